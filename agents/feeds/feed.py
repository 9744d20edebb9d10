"""The feed of a market: whatever it is, agents get its closed bars from here, and learn how fresh it is.

One watcher per timeframe serves all subscriptions; it runs while anybody listens. Freshness is judged by the market's
own clock: a quote that is too old, a bar that every honest feed has and this one lacks, or trouble that the market
knows of. A market that is closed (a weekend of currencies) is not stale; a clock that was put back is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from agents.feeds.pace import Timing
from agents.feeds.subscription import BarSubscription
from agents.feeds.values import FeedHealth
from agents.feeds.watcher import Watcher
from engine.data.calendars import expected_mask
from engine.data.live.values import Announcing, Diagnosed
from engine.domain.errors import DataUnavailable
from engine.domain.market import Quote, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, Timeframe

_SLEW_S = 5.0
"""A clock that is corrected by less was not put back."""


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """How patient a feed is.

    Attributes:
        gather_s: How long a moment waits for its last symbols, in wall seconds; at most a quarter of a bar.
        grace_s: Age from which a moment is late, in wall seconds; an overtaken one always is.
        quote_age_s: Age from which a quote is stale, in market seconds.
        bar_wait_s: How long after its close a bar may be missing, in wall seconds.
    """

    gather_s: float = 2.0
    grace_s: float = 10.0
    quote_age_s: float = 60.0
    bar_wait_s: float = 20.0


class MarketFeed:
    """Closed bars of one market, shared by everything that listens; see `agents.feeds.values.Feed`.

    Args:
        market: Simulated, replayed or real.
        limits: How patient it is.
        wall: Seconds of the wall from any origin, never going back.
        sleep: Waits some seconds of it.
    """

    def __init__(
        self,
        market: MarketData,
        limits: FeedLimits | None = None,
        *,
        wall: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._market = market
        self._limits = limits or FeedLimits()
        self._timing = Timing(wall, sleep)
        self._watchers: dict[Timeframe, Watcher] = {}
        self._tasks: dict[Timeframe, asyncio.Task[None]] = {}
        self._open: set[BarSubscription] = set()
        self._stop_listening: Callable[[], None] | None = None

    def subscribe(self, symbols: Collection[str], timeframe: Timeframe, *, after: datetime | None) -> BarSubscription:
        """Return what closes after a moment: `None` for from now on, a past moment to be told what was missed.

        To be called in a running event loop.

        Raises:
            DataUnavailable: The market does not have one of the symbols.
        """
        known = self._market.instruments()
        unknown = sorted(set(symbols) - set(known))
        if unknown:
            raise DataUnavailable(f"{self._market.name} has no {', '.join(unknown)}")
        watcher = self._watcher(timeframe)
        after_s = watcher.moment if after is None else int(after.timestamp())
        subscription = BarSubscription(
            watcher, symbols, after_s, grace_s=self._limits.grace_s, on_close=self._forget_subscription
        )
        self._open.add(subscription)
        watcher.add(subscription.symbols, subscription.poke)
        return subscription

    def health(self, symbol: str) -> FeedHealth:
        """Return how fresh a symbol is now."""
        last_bar_at, timeframe = self._last_bar(symbol)
        try:
            quote = self._market.quote(symbol)
        except DataUnavailable:
            return FeedHealth(symbol, None, last_bar_at, is_stale=True, reason=self._trouble(symbol) or "no_quote")
        reason = self._judge(symbol, quote, last_bar_at, timeframe)
        return FeedHealth(symbol, quote.at, last_bar_at, is_stale=bool(reason), reason=reason)

    def stale(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Return which of some symbols nothing may be opened on now, sorted."""
        return tuple(sorted(symbol for symbol in symbols if self.health(symbol).is_stale))

    async def close(self) -> None:
        """End all subscriptions and watching; harmless when repeated."""
        tasks = list(self._tasks.values())
        for subscription in tuple(self._open):
            await subscription.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watcher(self, timeframe: Timeframe) -> Watcher:
        if timeframe not in self._watchers:
            watcher = Watcher(self._market, timeframe, self._timing, gather_s=self._limits.gather_s)
            self._watchers[timeframe] = watcher
            self._tasks[timeframe] = asyncio.get_running_loop().create_task(watcher.run())
            if self._stop_listening is None and isinstance(self._market, Announcing):
                self._stop_listening = self._market.listen(self._hear)
        return self._watchers[timeframe]

    def _hear(self, symbol: str) -> None:
        for watcher in self._watchers.values():
            watcher.look_at(symbol)

    def _forget_subscription(self, subscription: BarSubscription) -> None:
        self._open.discard(subscription)
        timeframe = subscription.timeframe
        if self._watchers[timeframe].remove(subscription.symbols, subscription.poke):
            del self._watchers[timeframe]
            self._tasks.pop(timeframe).cancel()
        if not self._watchers and self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def _last_bar(self, symbol: str) -> tuple[datetime | None, Timeframe | None]:
        """Return the close and length of the last bar of a symbol, the shortest that is watched, or that there is."""
        watched = [one for one in TIMEFRAMES if one in self._watchers and symbol in self._watchers[one].symbols]
        for timeframe in watched or TIMEFRAMES:
            try:
                bars = self._market.bars(symbol, timeframe, 1)
            except DataUnavailable:
                continue
            if len(bars):
                return utc_from_seconds(int(bars.time[-1]) + TIMEFRAME_S[timeframe]), timeframe
        return None, None

    def _judge(self, symbol: str, quote: Quote, last_bar_at: datetime | None, timeframe: Timeframe | None) -> str:
        """Return why nothing may be opened on a symbol, or an empty text."""
        if not quote.is_open:
            return ""
        now_s = self._market.now().timestamp()
        trouble = self._trouble(symbol)
        if trouble:
            return trouble
        if now_s - quote.at.timestamp() > self._limits.quote_age_s:
            return "old_quote"
        if any(now_s < watcher.moment - _SLEW_S for watcher in self._watchers.values()):
            return "clock_back"
        if last_bar_at is None or timeframe is None:
            return "gap"
        return "gap" if self._lacks_bar(symbol, last_bar_at.timestamp(), timeframe, now_s) else ""

    def _trouble(self, symbol: str) -> str:
        return self._market.trouble(symbol) if isinstance(self._market, Diagnosed) else ""

    def _lacks_bar(self, symbol: str, last_close: float, timeframe: Timeframe, now_s: float) -> bool:
        """Tell whether a bar that every honest feed has is missing after the last one."""
        step = TIMEFRAME_S[timeframe]
        watcher = self._watchers.get(timeframe)
        wait_s = self._limits.bar_wait_s * (watcher.pace.speed if watcher else 1.0)
        end = bucket_start_of(int(now_s - wait_s), timeframe)
        # A few bars decide: when more are missing, the last of them is surely among those expected or all are closed.
        opens = np.arange(max(int(last_close), end - 64 * step), end, step, dtype=np.int64)
        return bool(np.any(expected_mask(symbol, timeframe, opens)))
