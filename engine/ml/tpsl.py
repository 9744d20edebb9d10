"""TPSLClassifier: the probability that the target is hit before the stop, for both sides and several reward:risks.

The boosted trees' margins become probabilities through a line fitted on out-of-fold predictions (Platt's method). A
target whose out-of-fold ranking is no better than chance keeps its base rate: the model then says what it knows,
nothing. Labels overlap and symbols move together, so rows are far from independent; chance is judged by how much the
ranking varies from one stretch of time to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xgboost as xgb
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from engine.domain.market import FloatArray, IntArray
from engine.ml.trees import FlatTrees, flatten_trees

_CERTAIN_Z = 3.0
"""Standard errors by which the AUC must beat 0.5 before its ranking is believed: one of six targets does so by luck in
about 2 % of models."""
_BLOCKS = 20
_MIN_OUTCOMES = 100
"""Fewer hits or misses than this, five a block, leave a block's AUC to accident."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probability = 1 / (1 + exp(-(slope × margin + intercept)))."""

    slope: float
    intercept: float

    def probability(self, margin: FloatArray) -> FloatArray:
        """Return probabilities for margins, same shape."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * margin + self.intercept))))


@dataclass(frozen=True, slots=True)
class TPSLClassifier:
    """Fitted trees and calibrations by target name; plain numbers and XGBoost's own objects."""

    boosters: Mapping[str, xgb.Booster]
    calibrations: Mapping[str, Calibration]
    _flat: dict[str, FlatTrees] = field(default_factory=dict, init=False, repr=False, compare=False)

    def predict_proba(self, X: FloatArray) -> dict[str, FloatArray]:
        """Return the probability of each target for rows of features; each of shape (m,)."""
        return {
            name: self.calibrations[name].probability(booster.inplace_predict(X, predict_type="margin"))
            for name, booster in self.boosters.items()
        }

    def predict_one(self, row: FloatArray) -> dict[str, float]:
        """Return the same for one row of features of shape (k,), many times faster."""
        if not self._flat:
            self._flat.update({name: flatten_trees(booster) for name, booster in self.boosters.items()})
        return {
            name: float(self.calibrations[name].probability(trees.margins(row)[0]))
            for name, trees in self._flat.items()
        }

    def contributions(self, name: str, row: FloatArray) -> FloatArray:
        """Return how each feature moved one row's log-odds; shape (k,), in calibrated log-odds."""
        raw = self.boosters[name].predict(xgb.DMatrix(row.reshape(1, -1), nthread=1), pred_contribs=True)
        return np.asarray(raw[0, :-1] * self.calibrations[name].slope, dtype=np.float64)


def calibrate(margin: FloatArray, hit: IntArray, time: IntArray) -> Calibration:
    """Return the line through out-of-fold margins, or the base rate when their ranking is not better than chance.

    Args:
        margin: Shape (m,): log-odds of rows that the trees had not seen.
        hit: Shape (m,): 0 or 1.
        time: Shape (m,): when each row was known, in any unit and order.
    """
    base = float(np.clip(hit.mean(), 1e-4, 1 - 1e-4))
    flat = Calibration(0.0, float(np.log(base / (1 - base))))
    if ranking_z(margin, hit, time) < _CERTAIN_Z:
        return flat
    line = LogisticRegression(C=1e6).fit(margin.reshape(-1, 1), hit)
    slope = float(line.coef_[0, 0])
    return Calibration(slope, float(line.intercept_[0])) if slope > 0 else flat


def ranking_z(margin: FloatArray, hit: IntArray, time: IntArray) -> float:
    """Return by how many standard errors the AUC beats 0.5, over equally filled stretches of time.

    Each stretch is many times longer than a label, so neighbours are nearly independent; 0 when there are too few
    outcomes to tell.
    """
    positives = int(hit.sum())
    if min(positives, len(hit) - positives) < _MIN_OUTCOMES:
        return 0.0
    blocks = np.array_split(np.argsort(time, kind="stable"), _BLOCKS)
    aucs = [roc_auc_score(hit[block], margin[block]) for block in blocks if 0 < hit[block].mean() < 1]
    error = float(np.std(aucs, ddof=1)) / len(aucs) ** 0.5 if len(aucs) > 1 else 0.0
    return (float(np.mean(aucs)) - 0.5) / error if error > 0 else 0.0


def brier_skill(probability: FloatArray, hit: IntArray, base: float) -> float:
    """Return how much better than a constant base rate the probabilities are (1 perfect, 0 no better)."""
    reference = float(np.mean((base - hit) ** 2))
    return 1.0 - float(np.mean((probability - hit) ** 2)) / reference if reference > 0 else 0.0


def calibration_error(probability: FloatArray, hit: IntArray, bins: int = 10) -> float:
    """Return the mean gap between said and seen frequency over equally filled bins."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(abs(probability[p].mean() - hit[p].mean()) * len(p) for p in parts if len(p)) / len(hit))
