"""What holds for every strategy: call `check_strategy` from the tests of a new one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.backtest import AccountSettings, Listing, record_decisions, run_decisions, run_strategy
from engine.domain.market import Bars
from engine.domain.strategies import BatchStrategy, Decisions

COLUMNS = ("action", "price", "stop", "target", "size_bps")


def check_strategy(strategy: BatchStrategy, listing: Listing, account: AccountSettings) -> None:
    """Check that both forms decide alike, that neither sees the future, and that all drivers agree on the money."""
    bars = listing.bars
    whole, recorded = strategy.decide_all(bars), record_decisions(strategy, bars)
    np.testing.assert_array_equal(whole.action, recorded.action)
    assert not whole.action[: strategy.warmup - 1].any(), "it decides before its warm-up"
    for cut in (strategy.warmup, len(bars) // 2, len(bars) - 1):
        assert_same_start(strategy.decide_all(bars[:cut]), whole)
        assert_same_start(strategy.decide_all(bent(bars, cut)), whole, cut)
    exact = run_strategy(strategy, [listing], account)
    for decisions in (whole, recorded):
        run = run_decisions(listing, decisions, account)
        assert [run.trades.exact(row) for row in range(len(run.trades))] == list(exact.trades)
        assert run.cash == exact.cash


def assert_same_start(part: Decisions, whole: Decisions, rows: int | None = None) -> None:
    rows = len(part) if rows is None else rows
    for name in COLUMNS:
        mine, theirs = getattr(part, name), getattr(whole, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_array_equal(mine[:rows], theirs[:rows], err_msg=f"{name} changes with later bars")


def bent(bars: Bars, start: int) -> Bars:
    """Return the bars with everything from a row on made other."""
    factor = np.where(np.arange(len(bars)) >= start, 1.07, 1.0)
    return replace(
        bars, open=bars.open * factor, high=bars.high * factor, low=bars.low * factor, close=bars.close * factor
    )
