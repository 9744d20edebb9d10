"""Tell when the market has left what a model learned from.

The last bars' features are compared with the training rows' by the population stability index. Neighbouring bars
are alike, so a window always differs from the whole: what counts as different is therefore measured on the training
windows themselves. A window stranger than all but one in a hundred of them means that the model speaks of a market it
has not seen, and signals stop until it is like itself again or a newer model knows it.

Source:
    Siddiqi (2006), Credit Risk Scorecards, for the index; the limit by windows is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.domain.market import Bars, FloatArray
from engine.features.definitions import feature_matrix

WINDOW = 200
"""Bars compared at a time: what a signal has at hand beyond the features' warm-up."""
_BINS = 10
_FEWEST_WINDOWS = 20
_LIMIT_LEVEL = 0.99
_FLOOR = 0.5 / WINDOW


@dataclass(frozen=True, slots=True)
class DriftReference:
    """What the training rows looked like.

    Attributes:
        edges: For each feature, the nine inner deciles.
        limit: Index above which a window is strange; 0 when there were too few windows to tell.
    """

    edges: tuple[tuple[float, ...], ...]
    limit: float

    def is_strange(self, values: FloatArray) -> bool:
        """Tell whether rows of features, shape (WINDOW, k), are unlike the training windows."""
        return self.limit > 0 and len(values) >= WINDOW and stability_index(values, np.array(self.edges)) > self.limit


def describe_training(bars_by_symbol: Mapping[str, Bars]) -> DriftReference:
    """Return what the features of some symbols look like, together and window by window."""
    values = [_complete(feature_matrix(bars).values) for bars in bars_by_symbol.values()]
    edges = np.quantile(np.concatenate(values), np.linspace(0, 1, _BINS + 1)[1:-1], axis=0).T
    windows = [part for rows in values for part in np.array_split(rows, max(len(rows) // WINDOW, 1))]
    indices = [stability_index(window, edges) for window in windows if len(window) >= WINDOW]
    limit = float(np.quantile(indices, _LIMIT_LEVEL)) if len(indices) >= _FEWEST_WINDOWS else 0.0
    return DriftReference(tuple(tuple(float(edge) for edge in row) for row in edges), limit)


def stability_index(values: FloatArray, edges: FloatArray) -> float:
    """Return the population stability index of rows against equally filled bins, as the mean over features.

    Args:
        values: Shape (w, k).
        edges: Shape (k, 9), inner deciles of the reference.
    """
    expected = 1 / _BINS
    total = 0.0
    for column, inner in zip(values.T, edges, strict=True):
        seen = np.bincount(np.searchsorted(inner, column), minlength=_BINS) / len(column)
        seen = np.maximum(seen, _FLOOR)
        total += float(np.sum((seen - expected) * np.log(seen / expected)))
    return total / len(edges)


def _complete(values: FloatArray) -> FloatArray:
    return values[~np.isnan(values).any(axis=1)]
