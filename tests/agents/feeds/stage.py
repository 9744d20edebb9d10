"""A market whose bars come when a test says, and a wall clock that moves when a test says."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import numpy as np

from agents.feeds.feed import FeedLimits, MarketFeed
from agents.feeds.values import BarsClosed, Subscription
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Instrument, Quote
from engine.domain.symbols import TIMEFRAME_S, Timeframe

START = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
"""A Wednesday."""


class Stage:
    """The wall: seconds that pass when they are told to, and those who sleep until some second."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.naps = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def read(self) -> float:
        return self.wall

    async def sleep(self, seconds: float) -> None:
        self.naps += 1
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.wall + seconds, next(self._numbers), awake))
        await awake

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking every sleeper at its second."""
        end = self.wall + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, awake = heapq.heappop(self._sleepers)
            self.wall = max(self.wall, at)
            if not awake.done():
                awake.set_result(None)
            await self.settle()
        self.wall = end
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(6):
            await asyncio.sleep(0)


class ScriptedMarket:
    """Bars that become readable at given moments of the market's time.

    Args:
        stage: The wall; the market's time is `START` plus it, times the speed, plus `shift`.
        arrivals: By symbol, the close of each bar and when it can be read, in seconds after `START`, in order.
    """

    name = "scripted"
    is_simulated = True

    def __init__(
        self,
        stage: Stage,
        arrivals: Mapping[str, Iterable[tuple[float, float]]],
        *,
        timeframe: Timeframe = "1m",
        speed: float = 1.0,
    ) -> None:
        self.stage, self.speed, self.timeframe = stage, speed, timeframe
        self.shift = timedelta(0)
        self.arrivals = {symbol: list(of_symbol) for symbol, of_symbol in arrivals.items()}
        self.quote_age = timedelta(0)
        self.is_open = True
        self.reads = 0
        self.broken: set[str] = set()
        self._highest = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.stage.wall * self.speed) + self.shift

    def instruments(self) -> Mapping[str, Instrument]:
        return {symbol: build_instrument(symbol, 100.0) for symbol in self.arrivals}

    def quote(self, symbol: str) -> Quote:
        if symbol not in self.arrivals or symbol in self.broken:
            raise DataUnavailable(f"no quote of {symbol}")
        return Quote(symbol, Decimal(99), Decimal(101), self.now() - self.quote_age, self.is_open)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        self.reads += 1
        if symbol in self.broken:
            raise RuntimeError("the disk is gone")
        if timeframe != self.timeframe or symbol not in self.arrivals:
            raise DataUnavailable(f"no {timeframe} bars of {symbol}")
        now_s = (self.now() - START).total_seconds()
        # What has come stays, also when the clock is put back; only the present hides it then.
        self._highest = max(self._highest, now_s)
        closes = [close for close, at in self.arrivals[symbol] if close <= now_s and at <= self._highest]
        times = np.array([START.timestamp() + close for close in closes], dtype=np.int64) - TIMEFRAME_S[timeframe]
        ones = np.ones(len(times))
        return Bars(symbol, timeframe, times, ones, ones, ones, ones, ones)[max(0, len(times) - limit) :]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        bars = self.bars(symbol, self.timeframe, 10**9)
        rows = np.searchsorted(bars.time, (start.timestamp(), end.timestamp()))
        return bars[int(rows[0]) : int(rows[1])]


def on_time(minutes: Iterable[int]) -> list[tuple[float, float]]:
    """Return bars that can be read the moment they close."""
    return [(60.0 * minute, 60.0 * minute) for minute in minutes]


def make_feed(market: ScriptedMarket, limits: FeedLimits | None = None) -> MarketFeed:
    return MarketFeed(market, limits, wall=market.stage.read, sleep=market.stage.sleep)


class Reader:
    """Takes events as soon as they come, or `wait_s` of the wall after the last one."""

    def __init__(self, subscription: Subscription, stage: Stage, wait_s: float = 0.0) -> None:
        self.events: list[BarsClosed] = []
        self.walls: list[float] = []
        self._task = asyncio.create_task(self._read(subscription, stage, wait_s))

    async def _read(self, subscription: Subscription, stage: Stage, wait_s: float) -> None:
        async for event in subscription:
            self.events.append(event)
            self.walls.append(stage.wall)
            if wait_s:
                await stage.sleep(wait_s)

    @property
    def told(self) -> list[tuple[int, str, bool]]:
        """Return what was told: minutes after `START`, symbols joined, whether late."""
        return [
            (int((event.closed_at - START).total_seconds() // 60), " ".join(event.symbols), event.is_late)
            for event in self.events
        ]

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
