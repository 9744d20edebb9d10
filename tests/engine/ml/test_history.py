"""Signals of a past period: only what had closed speaks, and too little to learn from is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from engine.domain.strategies import Action
from engine.ml.history import LEAST_LEARNED, SignalHistory, signal_history
from engine.ml.labels import HORIZON

N = LEAST_LEARNED + 300


def tidal_bars(n: int = N) -> Bars:
    """Return hours of a market that climbs for one day and falls for the next, plain to see and worth its costs."""
    rng = np.random.default_rng(5)
    hour = np.arange(n)
    close = 100 * np.exp(np.cumsum(np.where(hour // 24 % 2, -1, 1) * 0.004 + 0.002 * rng.standard_normal(n)))
    open_ = np.concatenate([[100.0], close[:-1]])
    wick = 1 + 0.001 * rng.random((2, n))
    high, low = np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1]
    volume = 50 + 10 * rng.random(n)
    return Bars("BTC/USDT", "1h", 1_600_041_600 + 3600 * hour, open_, high, low, close, volume)


def history(bars: Bars, *, shorts: bool = True, begin: int = LEAST_LEARNED) -> SignalHistory:
    return signal_history(
        bars, start_s=int(bars.time[begin]), cost_ratio=0.002, shorts=shorts, progress=lambda _done: None
    )


@pytest.fixture(scope="module")
def bars() -> Bars:
    return tidal_bars()


@pytest.fixture(scope="module")
def whole(bars: Bars) -> SignalHistory:
    return history(bars)


def test_a_market_with_an_edge_is_traded_within_the_period_alone(bars: Bars, whole: SignalHistory) -> None:
    decisions, entries = whole.decisions, np.flatnonzero(whole.decisions.action)
    assert (whole.learned, whole.signals, decisions.max_bars) == (LEAST_LEARNED, len(entries), HORIZON)
    assert len(decisions) == len(bars)
    assert 0 < len(entries) <= 0.04 * (N - LEAST_LEARNED)
    assert entries.min() >= LEAST_LEARNED
    assert decisions.stop is not None
    assert decisions.target is not None
    side = np.sign(decisions.action[entries])
    assert set(np.abs(decisions.action[entries])) == {Action.ENTER_MARKET}
    assert ((bars.close[entries] - decisions.stop[entries]) * side > 0).all()
    assert ((decisions.target[entries] - bars.close[entries]) * side > 0).all()
    assert np.isnan(np.delete(decisions.stop, entries)).all()


def test_later_bars_change_no_earlier_signal(bars: Bars, whole: SignalHistory) -> None:
    known = N - 120
    bent = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for column in bent.values():
        column[known:] *= 1.7
    for other in (bars[:known], replace(bars, **bent)):
        again = history(other).decisions
        assert np.array_equal(again.action[:known], whole.decisions.action[:known])
        for mine, theirs in ((again.stop, whole.decisions.stop), (again.target, whole.decisions.target)):
            assert mine is not None
            assert theirs is not None
            assert np.array_equal(mine[:known], theirs[:known], equal_nan=True)
    assert whole.decisions.action[:known].any(), "there was something to change"


def test_a_market_that_lends_nothing_has_no_short_signals(bars: Bars) -> None:
    assert (history(bars, shorts=False).decisions.action >= 0).all()


def test_too_little_to_learn_from_says_how_many_bars_are_needed(bars: Bars) -> None:
    with pytest.raises(DataUnavailable) as caught:
        history(bars, begin=LEAST_LEARNED - 1)
    assert caught.value.code == "too_few_bars"
    assert str(caught.value.params["needed"]) == str(N + 1)


def test_what_the_progress_raises_ends_the_work(bars: Bars) -> None:
    told: list[float] = []

    def stop(done: float) -> None:
        told.append(done)
        if done > 0.1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        signal_history(bars, start_s=int(bars.time[LEAST_LEARNED]), cost_ratio=0.002, shorts=True, progress=stop)
    assert told[-1] < 0.5
