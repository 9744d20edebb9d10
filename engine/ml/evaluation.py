"""Evaluate the engine on one history: walk-forward forecasts, calibrated as they go, and the decisions they lead to.

Everything at a bar of the test part rests on bars that had closed by then: the fits on what had ended before their
fold, the calibration on outcomes already known, the decision to act on how acting had paid until the fold began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.sessions import DAY_S
from engine.domain.signals import Phase
from engine.ml.amd import detect_phases
from engine.ml.baselines import BASELINES
from engine.ml.conformal import track_drift, track_quantiles
from engine.ml.dataset import SIDES
from engine.ml.decisions import Decisions, Target, decide
from engine.ml.folds import Fold
from engine.ml.forward import (
    HORIZONS,
    FoldStore,
    Forward,
    Outcomes,
    Progress,
    forecast_forward,
    label_outcomes,
    shuffled_hits,
)
from engine.ml.labels import HORIZON, REWARD_RISKS, stop_fraction
from engine.ml.spread import Spread

CRYPTO_COST = 0.002
"""Round trip of taker fees and spread, as a fraction of the price, where a market trades on weekends."""
CURRENCY_COST = 0.0002
"""Likewise where it rests on weekends: one to two pips, commission included."""
_FEWEST_TO_CALIBRATE = 1500
"""Rows: outcomes of 24 bars, so some 60 independent ones a side."""
_BELIEF, _BELIEF_SPREAD = 0.7, 0.3
"""Slope of a margin before its outcomes are seen, and how far it may be from that: fits promise a little too much."""
_OVERLAP = HORIZON / 2
"""Rows that share one independent outcome: half a horizon, since most trades end before it does."""
_NEWTON_STEPS = 10
_SATURDAY = 5
_LEAST_MOVING = 0.5
"""Share of bars whose ATR is above 0, below which a file is no market."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Forecasts and decisions for the test part, and what they are measured with.

    Attributes:
        rows: Shape (m,), the test part's rows in `bars`.
        up: By horizon, quantiles (10, 50, 90 %) of the excursion above as fractions of the close; shape (m, 3).
        down: Below, likewise.
        baselines: By name and horizon, the same pair of arrays.
        probability: By side and reward:risk, that the target comes first; shape (m,), over `HORIZON` bars.
        stop: Shape (m,), the stop's distance as a fraction of the close.
        cost: Shape (m,), of a round trip in multiples of the risk; infinite where there is no stop.
        decisions: What is done.
        phase: At each row.
        placebo: By side and reward:risk, what a fit on shuffled outcomes said in the last fold, beside those outcomes.
        reused: Parts of folds that came from an earlier run.
    """

    bars: Bars
    outcomes: Outcomes
    folds: tuple[Fold, ...]
    rows: IntArray
    up: Mapping[int, FloatArray]
    down: Mapping[int, FloatArray]
    baselines: Mapping[tuple[str, int], tuple[FloatArray, FloatArray]]
    probability: Mapping[Target, FloatArray]
    stop: FloatArray
    cost: FloatArray
    cost_ratio: float
    decisions: Decisions
    phase: tuple[Phase, ...]
    placebo: Mapping[Target, tuple[FloatArray, IntArray]]
    reused: int


def evaluate(
    bars: Bars,
    *,
    test_from: int | None,
    cost_ratio: float | None,
    store: FoldStore,
    progress: Progress,
    spread: Spread | None = None,
) -> Evaluation:
    """Evaluate the engine on closed bars.

    Args:
        bars: Oldest first.
        test_from: Where the test part begins, in seconds; None for the last two fifths.
        cost_ratio: Of a round trip as a fraction of the price; None for what is usual.
        store: Keeps finished folds.
        progress: Told a fraction (0-1) and what is being done.
        spread: Where the fits are done; threads of this process by default.

    Raises:
        DataUnavailable: There are too few bars, or most of them do not move.
    """
    if not np.mean(stop_fraction(bars) > 0) > _LEAST_MOVING:
        raise DataUnavailable(
            f"the {bars.timeframe} bars of {bars.symbol} do not move; there is nothing to forecast",
            code="no_movement",
            symbol=bars.symbol,
            timeframe=bars.timeframe,
        )
    outcomes = label_outcomes(bars)
    forward = forecast_forward(bars, outcomes, test_from=test_from, store=store, progress=progress, spread=spread)
    progress(0.96, "calibration")
    rows = np.arange(forward.begin, len(bars))
    test = next(fold.begin for fold in forward.folds if fold.is_test) - forward.begin
    ratio = usual_cost_ratio(bars) if cost_ratio is None else cost_ratio
    stop = stop_fraction(bars)[rows]
    with np.errstate(divide="ignore"):
        cost = np.where(stop > 0, ratio / stop, np.inf)
    probability = calibrate_forward(forward, outcomes)
    decisions = decide(
        probability,
        {target: labels.payoff[rows] for target, labels in outcomes.barriers.items()},
        cost,
        folds=forward.folds,
        time=bars.time[rows],
    )
    return Evaluation(
        bars=bars,
        outcomes=outcomes,
        folds=forward.folds,
        rows=rows[test:],
        up={h: track_quantiles(forward.ranges[h]["up"], outcomes.ranges[h].up[rows], h)[test:] for h in HORIZONS},
        down={h: track_quantiles(forward.ranges[h]["down"], outcomes.ranges[h].down[rows], h)[test:] for h in HORIZONS},
        baselines={
            (name, h): (forward.ranges[h][f"{name}_up"][test:], forward.ranges[h][f"{name}_down"][test:])
            for name in BASELINES
            for h in HORIZONS
        },
        probability={target: p[test:] for target, p in probability.items()},
        stop=stop[test:],
        cost=cost[test:],
        cost_ratio=ratio,
        decisions=Decisions(
            decisions.side[test:], decisions.reward_risk[test:], decisions.value[test:], decisions.proven
        ),
        phase=tuple(detect_phases(bars)[rows[test] :]),
        placebo=_placebo(forward, outcomes),
        reused=forward.reused,
    )


def usual_cost_ratio(bars: Bars) -> float:
    """Return what a round trip usually costs, told by whether the market trades on weekends."""
    weekend = np.mean((bars.time // DAY_S + 3) % 7 == _SATURDAY)
    return CRYPTO_COST if weekend > 0.05 else CURRENCY_COST


def calibrate_forward(forward: Forward, outcomes: Outcomes) -> dict[Target, FloatArray]:
    """Return calibrated probabilities of all rows forecast, by side and reward:risk."""
    rows = np.arange(forward.begin, forward.folds[-1].end)
    probability: dict[Target, FloatArray] = {}
    for ratio in REWARD_RISKS:
        hits = np.stack([outcomes.barriers[side, ratio].hit[rows] for side in SIDES])
        lines = _lines(forward, forward.odds[ratio], hits)
        tracked = track_drift(lines, hits, HORIZON)
        probability |= {(side, ratio): tracked[number] for number, side in enumerate(SIDES)}
    return probability


def _placebo(forward: Forward, outcomes: Outcomes) -> dict[Target, tuple[FloatArray, IntArray]]:
    rows, hits = forward.folds[-1].rows, shuffled_hits(outcomes)
    return {
        (side, ratio): (forward.placebo[ratio].sum(axis=0)[number], hits[side, ratio][rows])
        for ratio in REWARD_RISKS
        for number, side in enumerate(SIDES)
    }


def _lines(forward: Forward, odds: FloatArray, hits: IntArray) -> FloatArray:
    """Return log-odds of each fold, shape (2, m), what volatility says and what trees add weighed by earlier folds."""
    out = np.asarray(odds.sum(axis=0))
    for fold in forward.folds:
        begin, end = fold.begin - forward.begin, fold.end - forward.begin
        known = max(begin - 2 * HORIZON, 0)
        hit, margins = hits[:, :known].ravel(), odds[:, :, :known].reshape(2, -1).T
        usable = hit >= 0
        if known < _FEWEST_TO_CALIBRATE or not 0 < hit[usable].mean() < 1:
            continue
        intercept, *slopes = belief_line(margins[usable], hit[usable])
        out[:, begin:end] = np.tensordot(np.array(slopes), odds[:, :, begin:end], axes=1) + intercept
    return out


def belief_line(margins: FloatArray, hit: IntArray) -> FloatArray:
    """Return intercept and slopes of the line from margins to log-odds, leaning to a cautious belief in each margin.

    Overlapping outcomes count for a twelfth each, so that a few years can move the slopes but not throw them about.

    Args:
        margins: Shape (n, k), log-odds to be added up.
        hit: Shape (n,), 0 or 1, both of them present.

    Source:
        Platt (1999), Probabilistic Outputs for Support Vector Machines; with a normal prior on the slopes, by Newton.
    """
    design = np.column_stack([np.ones(len(hit)), margins])
    middle = np.array([0.0, *[_BELIEF] * margins.shape[1]])
    weight = np.array([0.0, *[_BELIEF_SPREAD**-2] * margins.shape[1]])
    line = middle.copy()
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(design @ line)))
        slope = design.T @ (hit - p) / _OVERLAP - weight * (line - middle)
        bend = (design * (p * (1 - p))[:, None]).T @ design / _OVERLAP + np.diag(weight)
        line = line + np.linalg.solve(bend, slope)
    return line
