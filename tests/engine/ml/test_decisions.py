"""Decisions: act only on what has paid, after costs, and seldom."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.domain.market import FloatArray
from engine.ml.decisions import MOST_SIGNALS, Decisions, Target, decide
from engine.ml.folds import Fold

N = 8000
FOLDS = (Fold(0, 1000, 3000, False), Fold(0, 3000, 6000, True), Fold(0, 6000, 9000, True))
TIME = np.arange(1000, 9000, dtype=np.int64) * 3600


def _decide(chance: Mapping[Target, FloatArray], truth: Mapping[Target, FloatArray], cost: float) -> Decisions:
    rng = np.random.default_rng(5)
    payoff = {t: np.where(rng.random(N) < truth[t], t[1], -1.0) for t in chance}
    return decide(chance, payoff, np.full(N, cost), folds=FOLDS, time=TIME)


def _chances(high: float) -> dict[Target, FloatArray]:
    """Return a long target that is likely on one bar in thirty, and a short one that never is."""
    return {(1, 1.0): np.where(np.arange(N) % 30 == 0, high, 0.45), (-1, 1.0): np.full(N, 0.45)}


def test_edge_that_paid_is_acted_on() -> None:
    chances = _chances(0.8)
    decided = _decide(chances, chances, cost=0.1)
    assert set(np.unique(decided.side)) == {0, 1}
    acted = np.flatnonzero(decided.side)
    assert (acted % 30 == 0).all()
    assert acted.min() >= 2000
    assert decided.proven[3000] == ((1, 1.0),)


def test_promise_that_did_not_hold_is_not_acted_on() -> None:
    promised = _chances(0.8)
    decided = _decide(promised, {target: np.full(N, 0.45) for target in promised}, cost=0.1)
    assert not decided.side.any()
    assert decided.proven == {1000: (), 3000: (), 6000: ()}


def test_costs_above_the_edge_leave_no_trade() -> None:
    chances = _chances(0.8)
    assert _decide(chances, chances, cost=0.0).side.any()
    assert not _decide(chances, chances, cost=0.7).side.any()


def test_signals_stay_rare_even_where_all_is_worth_it() -> None:
    always = {(1, 1.0): np.full(N, 0.8), (-1, 1.0): np.full(N, 0.2)}
    decided = _decide(always, always, cost=0.0)
    tested = decided.side[2000:]
    assert 0 < np.mean(tested != 0) <= MOST_SIGNALS


def test_bars_without_a_stop_are_never_traded() -> None:
    chances = _chances(0.8)
    decided = _decide(chances, chances, cost=np.inf)
    assert not decided.side.any()
