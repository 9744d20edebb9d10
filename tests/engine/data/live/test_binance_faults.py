"""Whatever happens to streams, questions and clocks: the same bars in the end, trouble said while it lasts."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.feeds import BarsClosed, FeedLimits, MarketFeed
from engine.domain.errors import DataUnavailable
from tests.binance.errors import ApiError
from tests.binance.faults import Empty, Fault, Hang, Html, Refuse, Reset, Truncate, When
from tests.engine.data.live.exchange import (
    QUICK,
    SYMBOLS,
    Meddler,
    is_current,
    local_exchange,
    make_market,
    until,
)
from tests.engine.data.live.test_binance_market import BTC, assert_same

TROUBLES: dict[str, Any] = {
    "429": Refuse(ApiError(-1003, "Too many requests.", 429)),
    "500": Refuse(ApiError(-1000, "An unknown error occurred.", 500)),
    "half an answer": Truncate(announces_whole=True),
    "half an answer that looks whole": Truncate(announces_whole=False),
    "an empty answer": Empty(),
    "an error page": Html(502),
    "a broken connection": Reset(),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_start_survives(tmp_path: Path, trouble: str) -> None:
    faults = [Fault(TROUBLES[trouble], When(path="/klines", nth=nth), times=1) for nth in (2, 5)]
    faults.append(Fault(TROUBLES[trouble], When(path="/exchangeInfo"), times=1))
    async with local_exchange(faults=faults) as local:
        market = make_market(local, tmp_path)
        async with asyncio.timeout(30):
            await market.open()
            await until(lambda: not any(market.trouble(symbol) for symbol in SYMBOLS))
        for timeframe in ("1m", "5m", "1h"):
            assert_same(market, local, BTC, timeframe)
        assert len(local.server.faults.hits) == 3


@pytest.mark.parametrize(
    "words", [["lose"], ["twice"] * 4, ["late"] * 2, ["half"], ["late", "lose", "twice", "half"] * 3]
)
async def test_minutes_that_go_astray_are_found(tmp_path: Path, words: list[str]) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        meddler = Meddler(local, words)
        await local.pass_minutes(10, pause_s=0.05)
        local.server.advance(5)
        await until(lambda: is_current(market, local))
        assert meddler.done == words
        for timeframe in ("1m", "5m"):
            assert_same(market, local, BTC, timeframe)
            assert_same(market, local, "ETH/USDT", timeframe)


async def test_a_dropped_stream_comes_back_and_its_hole_is_filled(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        local.server.drop_streams()
        await local.pass_minutes(30)
        local.server.advance(5)
        await until(lambda: is_current(market, local))
        assert_same(market, local, BTC, "1m")
        local.server.move("BTCUSDT", 71_000)
        await until(lambda: float(market.quote(BTC).mid) > 70_900)
        await local.pass_minutes(3, pause_s=0.02)
        await until(lambda: is_current(market, local))
        assert_same(market, local, BTC, "1m")


async def test_a_silent_stream_is_noticed_and_opened_again(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        await until(lambda: bool(local.server.hub.connections))
        muted = set(local.server.hub.connections)
        local.server.silence_streams()
        await asyncio.sleep(0.35)
        local.server.move("BTCUSDT", 72_000)
        await until(lambda: float(market.quote(BTC).mid) > 71_900, within_s=10.0)
        await until(lambda: bool(local.server.hub.connections - muted), within_s=20.0)
        fresh = local.server.hub.connections - muted
        await until(lambda: any("ethusdt@bookTicker" in connection.streams for connection in fresh))
        asked = len(local.server.requests)
        await local.pass_minutes(2, seen_by=market)
        await until(lambda: is_current(market, local))
        assert not [call for call in local.server.requests[asked:] if call.path.endswith("/klines")]


async def test_an_outage_is_said_in_time_and_passes(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        feed = MarketFeed(market)
        assert feed.stale(SYMBOLS) == ()
        await local.server.kill()
        await until(lambda: feed.stale(SYMBOLS) == SYMBOLS, within_s=20.0)
        assert feed.health(BTC).reason == "disconnected"
        local.clock.advance(1800)
        await local.server.start()
        await until(lambda: is_current(market, local))
        await until(lambda: feed.stale(SYMBOLS) == ())
        assert_same(market, local, BTC, "1m")
        assert_same(market, local, BTC, "5m")


@pytest.mark.parametrize("skew_s", [-40, 7])
async def test_the_exchange_s_clock_counts(tmp_path: Path, skew_s: int) -> None:
    async with local_exchange() as local:

        class Ours:
            def now(self) -> Any:
                return local.now() + timedelta(seconds=skew_s)

        market = make_market(local, tmp_path, clock=Ours())
        await market.open()
        assert abs((market.now() - local.now()).total_seconds()) < 1
        assert_same(market, local, BTC, "1m")


async def test_an_exchange_that_hangs_does_not_hold_up_reads(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        local.server.faults.add(Hang(seconds=2.0), times=None)
        before = market.bars(BTC, "1h", 5)
        begun = time.monotonic()
        assert len(market.bars(BTC, "1h", 5)) == len(before)
        market.quote(BTC)
        assert time.monotonic() - begun < 1.5
        local.server.faults.clear()


async def test_a_symbol_whose_history_cannot_be_read_is_said_and_tried_again(tmp_path: Path) -> None:
    faults = [Fault(Html(503), When(path="/klines", symbol="ETHUSDT"), times=None)]
    async with local_exchange(faults=faults) as local:
        market = make_market(local, tmp_path)
        await market.open()
        assert (market.trouble(BTC), market.trouble("ETH/USDT")) == ("", "loading")
        local.server.faults.clear()
        await until(lambda: market.trouble("ETH/USDT") == "")
        assert_same(market, local, "ETH/USDT", "1m")


async def play_schedule(folder: Path, seed: int, minutes: int) -> None:
    """Run a feed over a market whose streams and answers go wrong at random; compare everything at the end."""
    chance = random.Random(seed)
    async with local_exchange(seed=seed) as local:
        market = make_market(local, folder, limits=replace(QUICK, late_s=0.5))
        await market.open()
        for what in (Html(502), Truncate(), Empty(), Reset()):
            local.server.faults.add(what, times=None, chance=0.03)
        feed = MarketFeed(market, FeedLimits(gather_s=0.02))
        begun = local.now()
        subscription = feed.subscribe(SYMBOLS, "1m", after=None)
        told: list[BarsClosed] = []

        async def listen() -> None:
            async for event in subscription:
                told.append(event)

        listening = asyncio.create_task(listen())
        meddler = Meddler(local, [chance.choice(["lose", "twice", "late", "half", "", ""]) for _ in range(4 * minutes)])
        for _ in range(minutes):
            await local.pass_minutes(1, pause_s=0.01)
            if chance.random() < 0.05:
                local.server.drop_streams()
            if chance.random() < 0.03:
                local.server.silence_streams()
        local.server.faults.clear()
        meddler.words = []
        local.server.advance(5)
        await until(lambda: is_current(market, local), within_s=15.0)
        last = local.now().replace(second=0)
        await until(lambda: bool(told) and told[-1].closed_at == last)
        await asyncio.sleep(0.05)
        for symbol in SYMBOLS:
            assert_same(market, local, symbol, "1m")
            moments = [event.closed_at for event in told if symbol in event.symbols]
            assert moments == sorted(set(moments))
            assert moments[-1] == last
        assert [event.closed_at for event in told] == sorted(event.closed_at for event in told)
        assert told[0].closed_at > begun
        await subscription.close()
        await listening
        await feed.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_feed_over_a_bad_line_tells_every_minute(tmp_path: Path, seed: int) -> None:
    await play_schedule(tmp_path, seed, 40)


@pytest.mark.prove
async def test_a_feed_over_many_bad_lines_tells_every_minute(tmp_path: Path) -> None:
    for seed in range(100, 130):
        await play_schedule(tmp_path / str(seed), seed, 60)


async def test_an_exchange_that_refuses_for_good_is_said_at_once(tmp_path: Path) -> None:
    faults = [Fault(Refuse(ApiError(0, "Service unavailable from a restricted location", 451)), times=None)]
    async with local_exchange(faults=faults) as local:
        market = make_market(local, tmp_path)
        with pytest.raises(DataUnavailable, match="451"):
            await market.open()
        assert len(local.server.requests) == 1
