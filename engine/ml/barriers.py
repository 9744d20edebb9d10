"""The probability that the target comes before the stop, learned from both sides of the market at once.

A short position is a long one in the mirrored market, where every price is replaced by its inverse. The features of
the mirrored bars are what a short position sees, so one model learns from twice the outcomes, and no feature has to
say whether it has a direction. Where volatility is about to rise above the ATR, far targets are reached more often:
the model starts from that alone and trees add the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from sklearn.linear_model import LogisticRegression

from engine.domain.market import Bars, FloatArray, IntArray
from engine.features.catalogue import CATALOGUE
from engine.features.definitions import FEATURE_NAMES, feature_matrix
from engine.ml.baselines import fit_line, on_line
from engine.ml.excursions import scale_ridge
from engine.ml.labels import HORIZON, REWARD_RISKS, stop_fraction
from engine.ml.volatility import Volatility, realised_scale

BARRIER_FEATURES: tuple[str, ...] = tuple(CATALOGUE)
"""All that there are. Half of what trees add comes from a fit on them, half from one on the few that live models read:
long histories gained by the many and short ones by the few, and the mean of both stays near the better."""
_FEW = [*(BARRIER_FEATURES.index(name) for name in FEATURE_NAMES)]
BARRIER_PARAMETERS: Mapping[str, float] = {
    "eta": 0.04,
    "max_depth": 4,
    "min_child_weight": 80,
    "subsample": 0.6,
    "colsample_bytree": 0.5,
    "lambda": 10.0,
    "max_bin": 64,
    "seed": 7,
    "nthread": 1,
    "base_score": 0.5,
}
BARRIER_ROUNDS = 90
STRIDE = 2
"""Every second row is learned from: neighbours share 23 of their 24 bars."""
ENOUGH_TO_LEARN = 60
"""Independent outcomes (rows over horizon) below which only the base rate speaks."""
_NEAR_HORIZON = 4


@dataclass(frozen=True, slots=True, eq=False)
class BarrierInputs:
    """What the model reads, for n bars.

    Attributes:
        long, short: Shape (n, k), features of the market and of its mirror image.
        shared: Shape (n, m), volatility against the ATR, the same for both sides.
        log_stop: Shape (n,), log of the stop's distance as a fraction of the close; -inf where it is 0.
        linear: Shape (n, j), inputs of the line that forecasts the scale over the horizon.
        scale: Shape (n,), the log scale that came; NaN where it is not known yet.
    """

    long: FloatArray
    short: FloatArray
    shared: FloatArray
    log_stop: FloatArray
    linear: FloatArray
    scale: FloatArray


def mirror(bars: Bars) -> Bars:
    """Return the bars of the market in which every price is its inverse: up is down, and highs are lows."""
    return Bars(
        bars.symbol,
        bars.timeframe,
        bars.time,
        open=1 / bars.open,
        high=1 / bars.low,
        low=1 / bars.high,
        close=1 / bars.close,
        volume=bars.volume,
    )


def barrier_inputs(bars: Bars, volatility: Volatility) -> BarrierInputs:
    """Return what the model reads of closed bars."""
    with np.errstate(divide="ignore"):
        log_stop = np.log(np.nan_to_num(stop_fraction(bars)))
    unit = np.where(np.isfinite(log_stop), log_stop, 0.0)[:, None]
    ahead = volatility.profile_ahead(HORIZON)
    near = volatility.profile_ahead(_NEAR_HORIZON)
    slot = volatility.slot
    shared = np.column_stack([volatility.linear - unit, near, ahead, slot, slot % 24, unit])
    return BarrierInputs(
        long=feature_matrix(bars, BARRIER_FEATURES).values,
        short=feature_matrix(mirror(bars), BARRIER_FEATURES).values,
        shared=shared,
        log_stop=log_stop,
        linear=np.column_stack([volatility.linear, ahead]),
        scale=realised_scale(volatility.true_range, HORIZON),
    )


def forecast_barriers(
    inputs: BarrierInputs, hits: Mapping[tuple[int, float], IntArray], *, train: IntArray, rows: IntArray
) -> dict[float, FloatArray]:
    """Learn from training rows and return, for each reward:risk, log-odds of shape (2, 2, m).

    First what the expected volatility alone gives, then what the trees add to it; of each long, then short. They are
    given apart because they deserve different belief: in some markets the trees know a direction, in others nothing.

    Args:
        inputs: Of all bars.
        hits: By side and reward:risk, shape (n,): 1, 0, or below 0 where it is not known.
        train: Rows whose outcome was known before the first of `rows`.
        rows: Rows to forecast.
    """
    train = train[np.isfinite(inputs.log_stop[train])]
    is_much = len(train) / HORIZON >= ENOUGH_TO_LEARN
    ridge = scale_ridge(len(train), HORIZON)
    train = train[::STRIDE]
    line = fit_line(inputs.linear[train], inputs.scale[train], ridge=ridge)
    excess = on_line(line, inputs.linear) - inputs.log_stop
    excess = np.where(np.isfinite(excess) & is_much, np.clip(excess, -3, 3), 0.0)
    learned, seen = _both(inputs, excess, train), _both(inputs, excess, rows)
    few = [*_FEW, *range(len(BARRIER_FEATURES), learned.shape[1])]
    views = [
        (xgb.QuantileDMatrix(learned[:, columns], max_bin=64, nthread=1), seen[:, columns])
        for columns in (few, [*range(learned.shape[1])])
    ]
    parameters = {**BARRIER_PARAMETERS, "objective": "binary:logistic"}
    odds = {}
    for ratio in REWARD_RISKS:
        hit = np.concatenate([hits[1, ratio][train], hits[-1, ratio][train]])
        start, ahead = _start(excess, hit, train, rows)
        if not is_much:
            odds[ratio] = np.stack([ahead, np.zeros_like(ahead)]).reshape(2, 2, len(rows))
            continue
        added = [_added(parameters, matrix, hit, start, view, ahead) for matrix, view in views]
        odds[ratio] = np.stack([ahead, np.mean(added, axis=0)]).reshape(2, 2, len(rows))
    return odds


def _added(
    parameters: dict[str, object],
    matrix: xgb.QuantileDMatrix,
    hit: IntArray,
    start: FloatArray,
    view: FloatArray,
    ahead: FloatArray,
) -> FloatArray:
    """Return what trees fitted on some columns add to the log-odds of other rows."""
    matrix.set_label(hit)
    matrix.set_base_margin(start)
    trees = xgb.train(parameters, matrix, BARRIER_ROUNDS)
    margin = trees.inplace_predict(view, base_margin=ahead, predict_type="margin")
    return np.asarray(margin.astype(np.float64) - ahead)


def _both(inputs: BarrierInputs, excess: FloatArray, rows: IntArray) -> FloatArray:
    shared = np.column_stack([inputs.shared[rows], excess[rows]])
    sides = (inputs.long, inputs.short)
    return np.vstack([np.column_stack([side[rows], shared]) for side in sides])


def _start(excess: FloatArray, hit: IntArray, train: IntArray, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the log-odds that the expected volatility alone gives, for training rows and for others, both sides."""
    shape = np.column_stack([excess, excess**2])
    if hit.min() == hit.max():
        flat = float(np.log((hit.sum() + 1) / (len(hit) - hit.sum() + 1)))
        return np.full(2 * len(train), flat), np.full(2 * len(rows), flat)
    line = LogisticRegression(C=1e3).fit(np.vstack([shape[train], shape[train]]), hit)
    return tuple(np.tile(line.decision_function(shape[part]), 2) for part in (train, rows))  # type: ignore[return-value]  # two parts
