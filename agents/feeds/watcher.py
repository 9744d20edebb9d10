"""See bars close: one watcher per timeframe of a market, however many listen.

It sleeps until the grid of the timeframe is passed, then reads the last bar of each symbol until it is there, at
growing distances for those that stay away. What it keeps is one number per symbol, the close of the last readable bar;
everything else is read from the market again, so that its memory does not grow with slow readers. A clock that is put
back tells nothing twice, one that is put forward leaves nothing out: only bars count.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agents.feeds.pace import Pace, Timing
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, Timeframe

_LONGEST_NAP_S = 0.5
"""A clock that is put forward is noticed within this."""
_SHORTEST_NAP_S = 0.001
_FIRST_RETRY_S = 0.01
_LONGEST_RETRY_S = 2.0
_READS_PER_BREATH = 32
"""Reads after which others may run: five hundred symbols would hold up the event loop for a while."""
_log = logging.getLogger(__name__)

Poke = Callable[[], None]
"""Tells a listener to look again; never fails, never waits."""


@dataclass(slots=True)
class _Retry:
    """When a symbol whose bar is not there is looked at next, and how long to wait after that, in wall seconds."""

    at: float
    wait_s: float


class Watcher:
    """The closed bars of one timeframe of a market.

    Args:
        market: Whose bars.
        timeframe: Which.
        timing: The wall's time.
        gather_s: How long after a moment of the grid it is waited for the last symbols, in wall seconds; at most a
            quarter of a bar.
    """

    def __init__(self, market: MarketData, timeframe: Timeframe, timing: Timing, *, gather_s: float) -> None:
        self.timeframe = timeframe
        self.step = TIMEFRAME_S[timeframe]
        self.fronts: dict[str, int] = {}
        """Close of the last readable bar, in seconds since the epoch."""
        self.moment = bucket_start_of(int(market.now().timestamp()), timeframe)
        """The last moment of the grid that has been passed; never goes back."""
        self.pace = Pace()
        self._passed = self.moment
        self._market, self._timing, self._gather_s = market, timing, gather_s
        self._gather_until: float | None = None
        self._pokes: list[Poke] = []
        self._interest: Counter[str] = Counter()
        self._retries: dict[str, _Retry] = {}
        self._failing: set[str] = set()

    @property
    def symbols(self) -> Iterable[str]:
        """Return what is watched."""
        return self._interest.keys()

    def now_s(self) -> float:
        """Return the market's present in seconds since the epoch."""
        return self._market.now().timestamp()

    def is_gathering(self, moment: int) -> bool:
        """Tell whether bars that close at a moment are still waited for."""
        return moment == self.moment and self._gather_until is not None

    def add(self, symbols: Iterable[str], poke: Poke) -> None:
        """Watch symbols for a listener."""
        self._pokes.append(poke)
        for symbol in symbols:
            self._interest[symbol] += 1
            if self.fronts.get(symbol, 0) < self.moment:
                self._retries[symbol] = _Retry(self._timing.wall(), _FIRST_RETRY_S)

    def remove(self, symbols: Iterable[str], poke: Poke) -> bool:
        """Forget a listener; return whether nobody is left."""
        self._pokes.remove(poke)
        for symbol in symbols:
            self._interest[symbol] -= 1
            if self._interest[symbol] <= 0:
                del self._interest[symbol]
                self._retries.pop(symbol, None)
        return not self._pokes

    def closes_after(self, symbol: str, after: int, most: int) -> list[int]:
        """Return when the next bars of a symbol after a time closed, oldest first, at most so many.

        Never beyond the front: what it does not know of is told by itself later.
        """
        front = self.fronts.get(symbol, after)
        if front <= after:
            return []
        if front == after + self.step:
            return [front]
        try:
            bars = self._market.bars(symbol, self.timeframe, (front - after) // self.step + 2)
        except DataUnavailable:
            return []
        closes = bars.time + self.step
        return [int(close) for close in closes[(closes > after) & (closes <= front)][:most]]

    def look_at(self, symbol: str) -> None:
        """Read a symbol of which the market says that there is news."""
        if symbol in self._interest:
            self._pass_grid()
            if self._read(symbol):
                self._poke_all()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                is_passed = self._pass_grid()
                is_new = await self._read_due()
                if self._end_gathering() or is_new or is_passed:
                    self._poke_all()
                nap_s = self._nap_s()
            except Exception:
                _log.exception("watching bars of %s failed; it goes on", self.timeframe)
                nap_s = _LONGEST_NAP_S
            await self._timing.sleep(nap_s)

    def _pass_grid(self) -> bool:
        """Return whether a moment of the grid has been passed; when it is a new one, all symbols are due at once."""
        wall, now_s = self._timing.wall(), self.now_s()
        self.pace.observe(wall, now_s)
        before, passed = self._passed, bucket_start_of(int(now_s), self.timeframe)
        self._passed = passed
        if passed <= self.moment:
            # After a clock was put back: what is still to be told waits for its time to come again.
            return passed != before
        self.moment = passed
        self._gather_until = wall + min(self._gather_s, self.step / 4 / self.pace.speed)
        self._retries = {symbol: _Retry(wall, _FIRST_RETRY_S) for symbol in self._interest}
        return False

    def _end_gathering(self) -> bool:
        if self._gather_until is None or self._timing.wall() < self._gather_until:
            return False
        self._gather_until = None
        return True

    async def _read_due(self) -> bool:
        """Read the symbols that are due; return whether any has news."""
        wall = self._timing.wall()
        due = [symbol for symbol, retry in self._retries.items() if retry.at <= wall]
        is_new = False
        for number, symbol in enumerate(due, start=1):
            if symbol in self._interest:
                is_new |= self._read(symbol)
            if number % _READS_PER_BREATH == 0:
                await asyncio.sleep(0)
        return is_new

    def _read(self, symbol: str) -> bool:
        """Read the last bar of a symbol; return whether it is new, and see to it that a missing one is read again."""
        close = self._last_close(symbol)
        front = self.fronts.get(symbol)
        is_new = close is not None and (front is None or close > front)
        if close is not None and is_new:
            self.fronts[symbol] = front = close
        if front is not None and front >= self.moment:
            self._retries.pop(symbol, None)
        else:
            wait_s = self._retries[symbol].wait_s if symbol in self._retries else _FIRST_RETRY_S
            self._retries[symbol] = _Retry(self._timing.wall() + wait_s, min(2 * wait_s, _LONGEST_RETRY_S))
        return is_new

    def _last_close(self, symbol: str) -> int | None:
        try:
            bars = self._market.bars(symbol, self.timeframe, 1)
        except DataUnavailable:
            return None
        except Exception:
            # A symbol that cannot be read must not silence the others; said once, until it can be read again.
            if symbol not in self._failing:
                self._failing.add(symbol)
                _log.exception("the %s bars of %s cannot be read", self.timeframe, symbol)
            return None
        self._failing.discard(symbol)
        return int(bars.time[-1]) + self.step if len(bars) else None

    def _nap_s(self) -> float:
        """Return how long nothing can happen, in wall seconds."""
        wall, now_s = self._timing.wall(), self.now_s()
        until_grid = (bucket_start_of(int(now_s), self.timeframe) + self.step - now_s) / self.pace.speed
        waits = [retry.at - wall for retry in self._retries.values()]
        if self._gather_until is not None:
            waits.append(self._gather_until - wall)
        return max(_SHORTEST_NAP_S, min([_LONGEST_NAP_S, until_grid, *waits]))

    def _poke_all(self) -> None:
        for poke in tuple(self._pokes):
            poke()
