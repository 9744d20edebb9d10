"""Bars that the owner keeps current, read as a market at the present."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from agents.feeds import MarketFeed
from engine.data.live.stored import StoreMarket
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars
from engine.domain.symbols import Timeframe
from tests.engine.market_check import SetClock

WEDNESDAY = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
GOLD = "XAUUSD"


def bars_until(end: datetime, count: int, timeframe: Timeframe = "1m", symbol: str = GOLD) -> Bars:
    """Return bars of which the last one closes at a time."""
    step = {"1m": 60, "1h": 3600}.get(timeframe, 60)
    times = int(end.timestamp()) - step * np.arange(count, 0, -1, dtype=np.int64)
    close = np.linspace(2_000.0, 2_000.0 + 0.01 * count, count, dtype=np.float64)
    half = np.full(count, 0.05)
    return Bars(symbol, timeframe, times, close, close + half, close - half, close, np.ones(count))


def make_market(tmp_path: Path, clock: SetClock, **options: object) -> tuple[BarStore, StoreMarket]:
    store = BarStore(tmp_path)
    store.merge("broker", bars_until(WEDNESDAY, 600))
    return store, StoreMarket(store, "broker", [GOLD, "EURUSD"], clock=clock, look_s=0.0, **options)  # type: ignore[arg-type]


def test_bars_are_read_at_the_present(tmp_path: Path) -> None:
    _, market = make_market(tmp_path, SetClock(WEDNESDAY - timedelta(minutes=30)))
    bars = market.bars(GOLD, "1m", 5)
    assert bars.time[-1] + 60 == (WEDNESDAY - timedelta(minutes=30)).timestamp()
    assert len(market.bars(GOLD, "5m", 3)) == 3


def test_new_bars_are_seen_without_a_restart(tmp_path: Path) -> None:
    clock = SetClock(WEDNESDAY + timedelta(minutes=1))
    store, market = make_market(tmp_path, clock)
    assert market.source_of(GOLD).last_bar_at == WEDNESDAY
    store.merge("broker", bars_until(clock.at, 2))
    assert market.source_of(GOLD).last_bar_at == clock.at
    assert market.source_of(GOLD).kind == "store"


def test_a_quote_stands_until_the_next_bar_is_due_and_then_grows_old(tmp_path: Path) -> None:
    clock = SetClock(WEDNESDAY + timedelta(seconds=50))
    _, market = make_market(tmp_path, clock)
    quote = market.quote(GOLD)
    assert quote.at == clock.at
    assert quote.bid < quote.ask
    assert quote.is_open
    assert abs(float(quote.mid) - float(market.bars(GOLD, "1m", 1).close[-1])) < 0.02
    clock.at += timedelta(minutes=10)
    assert market.quote(GOLD).at == WEDNESDAY + timedelta(minutes=1)


def test_a_weekend_is_closed(tmp_path: Path) -> None:
    _, market = make_market(tmp_path, SetClock(datetime(2026, 3, 7, 12, tzinfo=UTC)))
    assert not market.quote(GOLD).is_open


def test_a_symbol_without_bars_is_absent_with_a_reason(tmp_path: Path) -> None:
    _, market = make_market(tmp_path, SetClock(WEDNESDAY))
    assert list(market.instruments()) == [GOLD]
    assert market.missing() == {"EURUSD": "no_bars"}
    with pytest.raises(DataUnavailable, match="EURUSD"):
        market.quote("EURUSD")


def test_an_empty_source_is_no_error_until_it_is_asked(tmp_path: Path) -> None:
    market = StoreMarket(BarStore(tmp_path), "broker", [GOLD], clock=SetClock(WEDNESDAY), look_s=0.0)
    assert dict(market.instruments()) == {}
    assert market.missing() == {GOLD: "no_bars"}


async def test_the_refresher_runs_while_it_is_open_and_its_failures_are_survived(tmp_path: Path) -> None:
    clock = SetClock(WEDNESDAY + timedelta(minutes=1))
    calls = 0

    def refresh() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the server is gone")
        store.merge("broker", bars_until(clock.at, 2))

    store = BarStore(tmp_path)
    store.merge("broker", bars_until(WEDNESDAY, 600))
    market = StoreMarket(store, "broker", [GOLD], clock=clock, refresh=refresh, refresh_s=0.02, look_s=0.02)
    await market.open()
    assert market.source_of(GOLD).last_bar_at == WEDNESDAY
    async with asyncio.timeout(30):
        while market.source_of(GOLD).last_bar_at != clock.at:  # noqa: ASYNC110 - a thread changes it
            await asyncio.sleep(0.01)
    await market.close()


async def test_a_source_that_is_not_kept_current_is_stale(tmp_path: Path) -> None:
    clock = SetClock(WEDNESDAY + timedelta(seconds=30))
    _, market = make_market(tmp_path, clock)
    feed = MarketFeed(market)
    assert not feed.health(GOLD).is_stale
    clock.at += timedelta(minutes=5)
    assert feed.health(GOLD).is_stale
    clock.at = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert not feed.health(GOLD).is_stale, "a weekend"
