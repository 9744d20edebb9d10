"""How far price goes up and down over a horizon, learned in two steps: how much it will move, and how that is shared.

A straight line on smoothed ranges forecasts the log scale of the next bars; trees forecast what the line leaves over.
Logs of ranges are nearly normal and carry far less noise than a quantile's own loss, which is why a forecast of scale
beats trees that learn quantiles directly. The outcome over the scale then has quantiles that change little; for short
horizons, where there are many independent outcomes, small trees learn how they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xgboost as xgb

from engine.domain.market import FloatArray, IntArray
from engine.ml.baselines import fit_line, on_line
from engine.ml.conformal import LEVELS
from engine.ml.volatility import ERA_COLUMNS, Volatility, realised_scale

NEAR_HORIZON = 4
"""Longest horizon, in bars, whose shape is learned. Beyond it outcomes overlap too much to learn from, and trees learn
whole years by heart: they are kept shallow, see every second row, and nothing that tells one era from another."""
STRIDE = 2
ENOUGH_FOR_TREES = 300
"""Independent outcomes (rows over horizon) below which the line alone speaks, its slopes held back."""
ENOUGH_FOR_SHAPES = 2000
_RIDGE = 20.0
SCALE_PARAMETERS: Mapping[str, float] = {
    "eta": 0.05,
    "max_depth": 5,
    "min_child_weight": 100,
    "subsample": 0.6,
    "colsample_bytree": 0.5,
    "lambda": 10.0,
    "max_bin": 64,
    "seed": 7,
    "nthread": 1,
}
FAR_PARAMETERS: Mapping[str, float] = {**SCALE_PARAMETERS, "max_depth": 3, "min_child_weight": 200}
SHAPE_PARAMETERS: Mapping[str, float] = {**SCALE_PARAMETERS, "max_depth": 3, "min_child_weight": 200}
SCALE_ROUNDS = 120
SHAPE_ROUNDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Excursions:
    """Forecasts for some rows, as fractions of the close.

    Attributes:
        line, scale: Shape (n,), log scale of every row, by the line alone and with the trees.
        up, down: Shape (m, 3), raw quantiles of the rows asked for; not yet calibrated.
    """

    line: FloatArray
    scale: FloatArray
    up: FloatArray
    down: FloatArray


def forecast_excursions(
    volatility: Volatility, up: FloatArray, down: FloatArray, *, horizon: int, train: IntArray, rows: IntArray
) -> Excursions:
    """Learn from training rows and forecast others.

    Args:
        volatility: Description of all bars.
        up: Outcomes above of all bars, as fractions of the close; known in the training rows.
        down: Outcomes below, likewise.
        horizon: In bars.
        train: Rows whose outcome was known before the first of `rows`.
        rows: Rows to forecast.
    """
    target = realised_scale(volatility.true_range, horizon)
    ahead = volatility.profile_ahead(horizon)
    inputs = np.column_stack([volatility.linear, ahead])
    independent = len(train) / horizon
    is_much = independent >= ENOUGH_FOR_TREES
    line = on_line(fit_line(inputs[train], target[train], ridge=scale_ridge(len(train), horizon)), inputs)
    is_near = horizon <= NEAR_HORIZON
    X = np.column_stack([volatility.rich if is_near else volatility.rich[:, :-ERA_COLUMNS], ahead])
    scale = line
    if is_much:
        learned = train if is_near else train[::STRIDE]
        matrix = xgb.QuantileDMatrix(X[learned], target[learned] - line[learned], max_bin=64, nthread=1)
        trees = xgb.train(dict(SCALE_PARAMETERS if is_near else FAR_PARAMETERS), matrix, SCALE_ROUNDS)
        scale = line + trees.inplace_predict(X)
    is_learned = is_near and independent >= ENOUGH_FOR_SHAPES
    shared = _shapes(np.column_stack([X, scale]), scale, (up, down), train, rows, is_learned=is_learned)
    size = np.exp(scale[rows])[:, None]
    return Excursions(line, scale, size * shared[0], size * shared[1])


def scale_ridge(rows: int, horizon: int) -> float:
    """Return how hard the line's slopes are held back: only where independent outcomes are few."""
    return 0.0 if rows / horizon >= ENOUGH_FOR_TREES else _RIDGE * horizon


def _shapes(
    X: FloatArray,
    scale: FloatArray,
    outcomes: tuple[FloatArray, FloatArray],
    train: IntArray,
    rows: IntArray,
    *,
    is_learned: bool,
) -> list[FloatArray]:
    """Return quantiles of outcome over scale for the rows, of each of the outcomes; shape (m, 3) each."""
    size = np.exp(scale[train])
    if not is_learned:
        return [np.tile(np.quantile(actual[train] / size, LEVELS), (len(rows), 1)) for actual in outcomes]
    matrix = xgb.QuantileDMatrix(X[train], weight=size / size.mean(), max_bin=64, nthread=1)
    parameters = {**SHAPE_PARAMETERS, "objective": "reg:quantileerror", "quantile_alpha": list(LEVELS)}
    shapes = []
    for actual in outcomes:
        matrix.set_label(actual[train] / size)
        trees = xgb.train(parameters, matrix, SHAPE_ROUNDS)
        shapes.append(np.maximum(np.sort(trees.inplace_predict(X[rows]), axis=1), 1e-6).astype(np.float64))
    return shapes
