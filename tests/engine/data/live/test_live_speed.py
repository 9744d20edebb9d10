"""How much one process carries: ticks of five hundred symbols, and the way from a closed bar to an agent's event."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.feeds import MarketFeed
from engine.data.live.binance import BinanceMarket, LiveLimits
from engine.data.live.history import Depth
from engine.data.live.rest import PublicRest
from engine.data.store import BarStore
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tests.engine.data.live.blaster import blaster, symbol_ids
from tests.engine.data.live.exchange import START_S

SYMBOLS = [f"{symbol_id[:4]}/USDT" for symbol_id in symbol_ids(500)]
QUIET = LiveLimits(confirm_s=3600, clock_s=3600, late_s=3600)


class Canned(PublicRest):
    """Answers of an exchange whose bars are all alike."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self.clock = clock

    async def time_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    async def exchange_info(self) -> Sequence[Mapping[str, Any]]:
        steps = [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
        ]
        return [
            {"symbol": one, "status": "TRADING", "baseAsset": one[:4], "quoteAsset": "USDT", "filters": steps}
            for one in symbol_ids(500)
        ]

    async def klines(
        self, symbol: str, symbol_id: str, timeframe: Timeframe, start_s: int, limit: int
    ) -> tuple[Bars, int]:
        times = np.arange(start_s, int(self.clock.now().timestamp()), TIMEFRAME_S[timeframe], dtype=np.int64)[:limit]
        ones = np.ones(len(times))
        return Bars(symbol, timeframe, times, ones, ones, ones, ones, ones), len(times)

    async def best_prices(self, symbol_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        return []

    async def day_figures(self) -> Sequence[Mapping[str, Any]]:
        return []


class MovedClock:
    """The wall's time from `START_S` on, moved forward by hand."""

    def __init__(self) -> None:
        self.begun, self.ahead = time.monotonic(), timedelta(0)

    def now(self) -> datetime:
        return utc_from_seconds(START_S + time.monotonic() - self.begun) + self.ahead


def make_market(folder: Path, clock: MovedClock, ws_url: str, depth: Depth) -> BinanceMarket:
    return BinanceMarket(
        BarStore(folder),
        SYMBOLS,
        clock=clock,
        ws_url=ws_url,
        rest=Canned(clock),
        limits=QUIET,
        deep_symbols=SYMBOLS,
        depth=depth,
    )


@pytest.mark.benchmark
async def test_ticks_of_five_hundred_symbols(tmp_path: Path) -> None:
    each = 40_000
    with blaster(each) as ws_url:
        market = make_market(tmp_path, MovedClock(), ws_url, Depth(10, 10, 10, 10))
        taken, begun = 0, 0.0
        inner = market._on_prices

        def count(symbol_id: str, number: int, bid: str, ask: str) -> None:
            nonlocal taken, begun
            taken += 1
            begun = begun or time.perf_counter()
            inner(symbol_id, number, bid, ask)

        market._streams._on_prices = count
        await market.open()
        async with asyncio.timeout(120):
            while taken < 5 * each:  # noqa: ASYNC110 - the stream tells nobody
                await asyncio.sleep(0.01)
        seconds = time.perf_counter() - begun
        print(f"\n{taken} ticks of {len(SYMBOLS)} symbols in {seconds:.2f} s: {taken / seconds:,.0f} a second")  # noqa: T201
        assert market.quote(SYMBOLS[-1]).bid > 0
        await market.close()


@pytest.mark.benchmark
async def test_from_a_closed_bar_to_an_event(tmp_path: Path) -> None:
    clock = MovedClock()
    with blaster(0) as ws_url:
        market = make_market(tmp_path, clock, ws_url, Depth(300, 100, 100, 10))
        await market.open()
        await asyncio.sleep(0.5)
        feed = MarketFeed(market)
        arrived: dict[str, float] = {}
        delays: list[float] = []

        async def listen(symbols: Sequence[str]) -> None:
            async for event in feed.subscribe(symbols, "1m", after=None):
                now = time.perf_counter()
                delays.append(now - max(arrived[symbol] for symbol in event.symbols))

        groups = [SYMBOLS[first : first + 50] for first in range(0, 500, 50)]
        listeners = [asyncio.create_task(listen(group)) for group in groups]
        await asyncio.sleep(0.2)
        url = market._streams.lines[0].url
        for _ in range(60):
            clock.ahead += timedelta(seconds=60)
            opened = int(clock.now().timestamp()) // 60 * 60 - 60
            for symbol, symbol_id in zip(SYMBOLS, symbol_ids(500), strict=True):
                bar = {
                    "t": opened * 1000,
                    "o": "1.0",
                    "h": "1.0",
                    "l": "1.0",
                    "c": "1.0",
                    "v": "5",
                    "x": True,
                    "i": "1m",
                }
                text = json.dumps({"e": "kline", "E": 0, "s": symbol_id, "k": bar})
                arrived[symbol] = time.perf_counter()
                market._streams._hear(url, json.loads(text))
                if symbol_id.endswith("9USDT"):
                    await asyncio.sleep(0)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert len(delays) >= 600
        p50, p99 = np.quantile(np.array(delays) * 1000, [0.5, 0.99])
        print(f"\n{len(delays)} events of 50 symbols each: p50 {p50:.2f} ms, p99 {p99:.2f} ms after the last bar")  # noqa: T201
        for one in listeners:
            one.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        await feed.close()
        await market.close()
