"""When to act: only where the expected value after costs is positive with doubt subtracted, and only what has paid.

A target (side and reward:risk) may be acted on in a fold if acting on it by the same rule, in all earlier folds, paid
after costs beyond what luck explains, given how many targets there are to choose from. The best target of a bar is
taken, and never on more than one bar in twenty. With nothing proven, nothing is signalled: that is the usual answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray
from engine.ml.economics import MIN_EDGE, expected_value, payoff_z
from engine.ml.folds import Fold
from engine.ml.labels import HORIZON

MOST_SIGNALS = 0.04
"""Share of bars that may carry a signal, counted as the bars come."""
PROVEN_Z = 3.0
"""Standard errors by which the past payoff after costs must exceed zero: one of six targets does so by luck in under
1 % of histories."""
MIN_ACTED = 50
"""Past bars acted on, below which nothing is proven."""
_NEIGHBOURHOOD = 0.02
Target = tuple[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What is done at consecutive rows.

    Attributes:
        side: Shape (m,), 1, -1, or 0 for no trade.
        reward_risk: Shape (m,), of the trade; 0 without one.
        value: Shape (m,), the best target's value with doubt subtracted, in multiples of the risk.
        proven: For each fold, the targets that could be acted on in it.
    """

    side: IntArray
    reward_risk: FloatArray
    value: FloatArray
    proven: Mapping[int, tuple[Target, ...]]


def decide(
    probability: Mapping[Target, FloatArray],
    payoff: Mapping[Target, FloatArray],
    cost: FloatArray,
    *,
    folds: tuple[Fold, ...],
    time: IntArray,
) -> Decisions:
    """Return what is done at each row, knowing only what had ended before its fold.

    Args:
        probability: By target, of consecutive rows from the first fold's first row on; shape (m,).
        payoff: By target, in multiples of the risk before costs; NaN where not known.
        cost: Of a round trip, in multiples of the risk; shape (m,), inf where there is no stop.
        folds: In order, from the first row on.
        time: Of the rows, in seconds.
    """
    targets, first, m = list(probability), folds[0].begin, len(cost)
    values = np.full((len(targets), m), -np.inf)
    proven: dict[int, tuple[Target, ...]] = {}
    for fold in folds:
        begin, end = fold.begin - first, fold.end - first
        past = np.arange(max(begin - 2 * HORIZON, 0))
        held = []
        for k, target in enumerate(targets):
            own = _values(probability[target], target, cost, past, np.arange(begin, end))
            if _has_paid(_promised(probability[target], target, cost, past), payoff[target], cost, past, time):
                held.append(target)
                values[k, begin:end] = own
        proven[fold.begin] = tuple(held)
    best = values.argmax(axis=0)
    value = values[best, np.arange(m)]
    is_acted = _ration(value >= MIN_EDGE, _test_start(folds) - first)
    sides = np.array([side for side, _ in targets], dtype=np.int64)
    ratios = np.array([ratio for _, ratio in targets])
    return Decisions(np.where(is_acted, sides[best], 0), np.where(is_acted, ratios[best], 0.0), value, proven)


def _promised(probability: FloatArray, target: Target, cost: FloatArray, past: IntArray) -> FloatArray:
    """Return what past rows promised after costs, without doubt, which needs a past of its own."""
    return expected_value(probability[past], target[1], 0.0) - cost[past]


def _values(probability: FloatArray, target: Target, cost: FloatArray, past: IntArray, rows: IntArray) -> FloatArray:
    """Return the values of rows with one standard error of the past rows of like probability subtracted."""
    p = probability[rows]
    known = np.sort(probability[past])
    near = np.searchsorted(known, p + _NEIGHBOURHOOD) - np.searchsorted(known, p - _NEIGHBOURHOOD)
    doubt = np.sqrt(p * (1 - p) / np.maximum(near / HORIZON, 1.0))
    return expected_value(p - doubt, target[1], 0.0) - cost[rows]


def _has_paid(promised: FloatArray, payoff: FloatArray, cost: FloatArray, past: IntArray, time: IntArray) -> bool:
    net = np.nan_to_num(payoff[past] - cost[past], posinf=0.0, neginf=0.0)
    is_acted: BoolArray = promised >= MIN_EDGE
    return int(is_acted.sum()) >= MIN_ACTED and payoff_z(net, time[past], is_acted) > PROVEN_Z


def _ration(is_wanted: BoolArray, test_start: int) -> BoolArray:
    """Return the wanted rows but those that would lift the share of signals since the test began above the limit."""
    out = np.zeros(len(is_wanted), dtype=np.bool_)
    given = 0
    for row in np.flatnonzero(is_wanted):
        if row >= test_start and given + 1 <= MOST_SIGNALS * (row - test_start + 1):
            out[row] = True
            given += 1
    return out


def _test_start(folds: tuple[Fold, ...]) -> int:
    return next(fold.begin for fold in folds if fold.is_test)
