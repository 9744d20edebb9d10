"""RangePredictor: how far up and down price will go over the horizon, as quantiles in multiples of the ATR.

One XGBoost model per direction gives all quantiles at once. Each quantile is then shifted by what the out-of-fold
residuals demand (split conformal), sorted so that none cross, and kept at 0 or above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xgboost as xgb

from engine.domain.market import FloatArray
from engine.ml.trees import FlatTrees, flatten_trees

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class RangePredictor:
    """Fitted trees for both directions and the shift of each quantile."""

    up: xgb.Booster
    down: xgb.Booster
    up_shift: tuple[float, ...]
    down_shift: tuple[float, ...]
    _flat: list[FlatTrees] = field(default_factory=list, init=False, repr=False, compare=False)

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the quantiles of the excursions up and down for rows of features; each of shape (m, 3)."""
        return (
            settle_quantiles(self.up.inplace_predict(X), self.up_shift),
            settle_quantiles(self.down.inplace_predict(X), self.down_shift),
        )

    def predict_one(self, row: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same for one row of features of shape (k,), many times faster; each of shape (3,)."""
        if not self._flat:
            self._flat[:] = [flatten_trees(self.up), flatten_trees(self.down)]
        raw = [trees.margins(row).reshape(1, -1) for trees in self._flat]
        return settle_quantiles(raw[0], self.up_shift)[0], settle_quantiles(raw[1], self.down_shift)[0]


def settle_quantiles(raw: FloatArray, shift: Sequence[float]) -> FloatArray:
    """Return shifted quantiles that do not cross and are never below 0."""
    return np.asarray(np.maximum(np.sort(raw + np.asarray(shift), axis=1), 0.0), dtype=np.float64)


def conformal_shift(raw: FloatArray, actual: FloatArray) -> tuple[float, ...]:
    """Return, for each quantile, the shift after which the right share of out-of-fold rows lies below it."""
    return tuple(float(np.quantile(actual - raw[:, q], level)) for q, level in enumerate(QUANTILES))


def pinball_loss(predicted: FloatArray, actual: FloatArray) -> float:
    """Return the mean pinball loss over all quantiles."""
    gap = actual[:, None] - predicted
    levels = np.asarray(QUANTILES)
    return float(np.mean(np.maximum(levels * gap, (levels - 1) * gap)))


def coverage(predicted: FloatArray, actual: FloatArray) -> float:
    """Return the share of rows within the outer quantiles."""
    return float(np.mean((actual >= predicted[:, 0]) & (actual <= predicted[:, -1])))
