"""What holds for every strategy of the agents: call `check_strategy` for a new one before anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from agents.strategies import Table, TableStrategy, intent_at
from engine.backtest import AccountSettings, ClosedTrade, Listing, SizeRule, run_portfolio, run_strategy
from engine.domain.market import Bars
from engine.domain.strategies import FULL_SIZE_BPS, Decisions, Enter, Intent, Standing

COLUMNS = ("action", "price", "stop", "target")


def check_strategy(strategy: TableStrategy, listings: Sequence[Listing]) -> None:
    """Check one strategy on some bars; it must trade there, or the check would say nothing."""
    bars = {each.bars.symbol: each.bars for each in listings}
    tables = strategy.decide_tables(bars)
    assert any(table.decisions.action.any() for table in tables), "it never decides anything on these bars"
    check_rest_before_warmup(strategy, tables)
    check_later_bars_change_nothing(strategy, bars, tables)
    check_bar_by_bar(strategy, bars, tables)
    check_sizes_are_the_drivers(tables)
    check_money(strategy, listings, tables)


def check_rest_before_warmup(strategy: TableStrategy, tables: Sequence[Table]) -> None:
    for table in tables:
        assert not table.decisions.action[: strategy.warmup - 1].any(), "it decides before its warm-up"


def check_later_bars_change_nothing(strategy: TableStrategy, bars: Mapping[str, Bars], whole: Sequence[Table]) -> None:
    """Cut the bars, and bend those after the cut: what was decided before it stays to the last bit."""
    n = min(len(each) for each in bars.values())
    moments = sorted({int(time) for each in bars.values() for time in each.time})
    for share in (0.5, 0.8, (n - 1) / n):
        last = moments[int(share * len(moments))]
        for later in (cut, bent):
            changed = strategy.decide_tables({symbol: later(each, last) for symbol, each in bars.items()})
            for before, after in zip(whole, changed, strict=True):
                rows = int(np.searchsorted(bars[before.symbol].time, last, side="right"))
                assert_same_start(before.decisions, after.decisions, rows)


def check_bar_by_bar(strategy: TableStrategy, bars: Mapping[str, Bars], tables: Sequence[Table]) -> None:
    """Ask at every moment with the last `warmup` bars alone, holding and not holding: the answer is the table's row."""
    rows = {symbol: {int(time): row for row, time in enumerate(each.time)} for symbol, each in bars.items()}
    for moment in sorted({time for own in rows.values() for time in own}):
        here = {symbol: own[moment] for symbol, own in rows.items() if moment in own}
        windows = {
            symbol: bars[symbol][row + 1 - strategy.warmup : row + 1]
            for symbol, row in here.items()
            if row + 1 >= strategy.warmup
        }
        expected = [intent_at(table, here[table.symbol]) for table in tables if table.symbol in windows]
        wanted = [intent for intent in expected if intent is not None]
        for standings in ((), held(windows)):
            assert same_intents(strategy.decide(windows, standings), wanted), (moment, wanted)


def check_sizes_are_the_drivers(tables: Sequence[Table]) -> None:
    for table in tables:
        assert table.decisions.size_bps is None
        for row in np.flatnonzero(table.decisions.action).tolist():
            intent = intent_at(table, row)
            assert not isinstance(intent, Enter) or intent.size_bps == FULL_SIZE_BPS


def check_money(strategy: TableStrategy, listings: Sequence[Listing], tables: Sequence[Table]) -> None:
    """Drive it live and as tables: the same trades and the same cash, to the last digit."""
    account = AccountSettings(size=SizeRule("equity", Decimal("0.05")))
    places = {each.bars.symbol: each for each in listings}
    run = run_portfolio([places[table.symbol] for table in tables], [table.decisions for table in tables], account)
    exact = run_strategy(strategy, listings, account)
    assert len(exact.trades) > 0
    made = [run.trades.exact(row) for row in range(len(run.trades))]
    tags = [tables[number].tag for number in run.trades.symbol_row.tolist()]
    tagged = [replace(trade, tag=tag) for trade, tag in zip(made, tags, strict=True)]
    assert sorted(tagged, key=_when) == sorted(exact.trades, key=_when)
    assert run.cash == exact.cash


def assert_same_start(before: Decisions, after: Decisions, rows: int) -> None:
    assert (before.valid_bars, before.max_bars) == (after.valid_bars, after.max_bars)
    for name in COLUMNS:
        mine, theirs = getattr(before, name), getattr(after, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_array_equal(mine[:rows], theirs[:rows], err_msg=f"{name} changes with later bars")


def same_intents(said: Sequence[Intent], wanted: Sequence[Intent]) -> bool:
    return sorted(map(repr, said)) == sorted(map(repr, wanted))


def held(windows: Mapping[str, Bars]) -> tuple[Standing, ...]:
    return tuple(
        Standing(symbol, "", 1, float(window.close[0]), 3, None, None, False) for symbol, window in windows.items()
    )


def cut(bars: Bars, last: int) -> Bars:
    """Return the bars up to a moment."""
    return bars[: int(np.searchsorted(bars.time, last, side="right"))]


def bent(bars: Bars, last: int) -> Bars:
    """Return the bars with everything after a moment made wild."""
    rng = np.random.default_rng(5)
    factor = np.where(bars.time > last, np.exp(rng.standard_normal(len(bars)) * 0.1), 1.0)
    return replace(
        bars, open=bars.open * factor, high=bars.high * factor, low=bars.low * factor, close=bars.close * factor
    )


def _when(trade: ClosedTrade) -> tuple[str, str, int, int, Decimal]:
    return trade.symbol, trade.tag, trade.decided, trade.entered, trade.entry_price
