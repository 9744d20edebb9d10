"""What every `MarketData` must keep to, run on each implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe

COLUMNS = ("time", "open", "high", "low", "close", "volume")


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def assert_same_bars(left: Bars, right: Bars) -> None:
    """Compare to the bit."""
    assert (left.symbol, left.timeframe, len(left)) == (right.symbol, right.timeframe, len(right))
    for column in COLUMNS:
        assert np.array_equal(getattr(left, column), getattr(right, column)), column


def check_market(
    market: MarketData,
    clock: SetClock,
    fresh: Callable[[], MarketData],
    *,
    symbols: Sequence[str],
    timeframes: Sequence[Timeframe],
    steps: Sequence[timedelta],
    finer: Timeframe | None,
) -> None:
    """Walk the market through time and check its contract at every stop.

    Args:
        market: Under test; its time is the clock's, plus a constant, at speed 1.
        fresh: Makes another such market: it must say the same.
        steps: By how much the clock moves on between two looks.
        finer: A timeframe that the market cannot have, or None.
    """
    seen: dict[tuple[str, Timeframe], Bars] = {}
    for step in steps:
        clock.at += step
        for symbol in symbols:
            _check_quote(market, symbol)
            for timeframe in timeframes:
                bars = market.bars(symbol, timeframe, 50)
                _check_bars(market, bars, symbol, timeframe)
                _check_unchanged(seen.get((symbol, timeframe)), bars)
                seen[symbol, timeframe] = bars
            _check_between(market, symbol)
    twin = fresh()
    for (symbol, timeframe), bars in seen.items():
        assert_same_bars(twin.bars(symbol, timeframe, 50), bars)
        assert twin.quote(symbol) == market.quote(symbol)
    _check_refusals(market, symbols[0], finer)


def _check_quote(market: MarketData, symbol: str) -> None:
    quote, instrument = market.quote(symbol), market.instruments()[symbol]
    assert quote.symbol == symbol
    assert quote.at == market.now()
    assert quote.at.tzinfo is not None
    assert Decimal(0) < quote.bid < quote.ask
    assert instrument.round_price(quote.bid) == quote.bid
    assert instrument.round_price(quote.ask) == quote.ask


def _check_bars(market: MarketData, bars: Bars, symbol: str, timeframe: Timeframe) -> None:
    assert (bars.symbol, bars.timeframe) == (symbol, timeframe)
    assert 0 < len(bars) <= 50
    assert np.all(np.diff(bars.time) > 0)
    assert bars.time[-1] + TIMEFRAME_S[timeframe] <= market.now().timestamp()
    assert np.all(bars.high >= np.maximum(bars.open, bars.close))
    assert np.all(bars.low <= np.minimum(bars.open, bars.close))
    assert np.all(bars.low > 0)
    assert np.all(bars.volume >= 0)


def _check_unchanged(before: Bars | None, now: Bars) -> None:
    if before is None:
        return
    _, of_before, of_now = np.intersect1d(before.time, now.time, return_indices=True)
    for column in COLUMNS:
        assert np.array_equal(getattr(before, column)[of_before], getattr(now, column)[of_now]), column
    assert not np.any((now.time > before.time[0]) & (now.time < before.time[-1]) & ~np.isin(now.time, before.time))


def _check_between(market: MarketData, symbol: str) -> None:
    start, end = market.now() - timedelta(hours=30), market.now() + timedelta(hours=30)
    bars = market.bars_between(symbol, start, end)
    step = TIMEFRAME_S[bars.timeframe]
    assert np.all(bars.time >= start.timestamp())
    assert np.all(bars.time + step <= market.now().timestamp())
    if len(bars) > 2:
        middle = datetime.fromtimestamp(int(bars.time[len(bars) // 2]), tz=start.tzinfo)
        first = market.bars_between(symbol, start, middle)
        second = market.bars_between(symbol, middle, end)
        assert [*first.time, *second.time] == [*bars.time]
    last = market.bars(symbol, bars.timeframe, 1)
    if len(bars):
        assert_same_bars(bars[-1:], last)


def _check_refusals(market: MarketData, symbol: str, finer: Timeframe | None) -> None:
    with pytest.raises(DataUnavailable, match="NOPE"):
        market.quote("NOPE/USDT")
    with pytest.raises(DataUnavailable, match="NOPE"):
        market.bars("NOPE/USDT", "1h", 5)
    with pytest.raises(DataUnavailable, match="NOPE"):
        market.bars_between("NOPE/USDT", market.now() - timedelta(hours=1), market.now())
    if finer is not None:
        with pytest.raises(DataUnavailable, match=finer):
            market.bars(symbol, finer, 5)
