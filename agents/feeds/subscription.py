"""One listener's place in the stream of closed bars: what it was told of each symbol, and what comes next.

Nothing is queued. What comes next is worked out from the last bar told and the bars that the market has, when the
listener asks; so a slow listener costs no memory, and a restart from a past moment is the same as having been slow.

- A moment is told once all symbols that were up to date have their bar, or when waiting for them is over.
- A symbol whose bar comes after its moment was told has an event of its own at that moment. When later moments were
  told meanwhile, time does not go back for it: its bars up to the last moment are told together there, as late.
- A symbol appears at most once at a moment, each of its bars counts in exactly one event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Self

from agents.feeds.values import BarsClosed
from agents.feeds.watcher import Watcher
from engine.domain.market import utc_from_seconds

_AHEAD = 512
"""Closes per symbol that are kept while catching up."""


class BarSubscription:
    """Closed bars of some symbols, as they close.

    Args:
        watcher: Sees them close.
        symbols: Which.
        after_s: Bars that closed up to then are not told, in seconds since the epoch.
        grace_s: Age of a moment from which it is late, in wall seconds.
        on_close: Called once when it is closed.
    """

    def __init__(
        self,
        watcher: Watcher,
        symbols: Collection[str],
        after_s: int,
        *,
        grace_s: float,
        on_close: Callable[[BarSubscription], None],
    ) -> None:
        self.symbols = tuple(sorted(set(symbols)))
        self.timeframe = watcher.timeframe
        self._watcher, self._grace_s, self._on_close = watcher, grace_s, on_close
        self._moment = after_s
        self._cursors = dict.fromkeys(self.symbols, after_s)
        """Close of the last bar told, by symbol."""
        self._told = dict.fromkeys(self.symbols, after_s)
        """The last moment at which a symbol was told."""
        self._ahead: dict[str, deque[int]] = {}
        self._news = asyncio.Event()
        self._is_closed = False

    def __aiter__(self) -> Self:
        """Return itself: there is one place in the stream."""
        return self

    async def __anext__(self) -> BarsClosed:
        """Wait for the next moment."""
        while not self._is_closed:
            self._news.clear()
            event = self._next()
            if event is not None:
                return event
            await self._news.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the iteration; harmless when repeated."""
        if not self._is_closed:
            self._is_closed = True
            self._news.set()
            self._on_close(self)

    def poke(self) -> None:
        """Look again."""
        self._news.set()

    def _next(self) -> BarsClosed | None:
        """Return what is to be told now, or None when nothing is."""
        labels = {symbol: label for symbol in self.symbols if (label := self._label(symbol)) is not None}
        if not labels:
            return None
        moment = min(labels.values())
        ready = [symbol for symbol, label in labels.items() if label == moment]
        if self._watcher.is_gathering(moment) and self._awaits_more(moment, ready):
            return None
        if moment > self._watcher.now_s():
            # The clock was put back: the market does not show these bars now.
            return None
        return self._tell(moment, ready)

    def _label(self, symbol: str) -> int | None:
        """Return the moment at which the next news of a symbol can be told, or None when there is none."""
        close = self._next_close(symbol, self._cursors[symbol])
        if close is None:
            return None
        told = self._told[symbol]
        if close >= self._moment and close > told:
            return close
        # Time does not go back: what is older goes to the last moment, unless the symbol was told there already.
        return self._moment if told < self._moment else self._next_close(symbol, self._moment)

    def _next_close(self, symbol: str, after: int) -> int | None:
        """Return the first close of a symbol after a time, or None when there is none yet."""
        ahead = self._ahead.get(symbol)
        if ahead is not None and ahead and after >= self._cursors[symbol]:
            found = next((close for close in ahead if close > after), None)
            if found is not None:
                return found
        closes = self._watcher.closes_after(symbol, after, _AHEAD)
        if len(closes) > 1 and after == self._cursors[symbol]:
            self._ahead[symbol] = deque(closes)
        return closes[0] if closes else None

    def _awaits_more(self, moment: int, ready: list[str]) -> bool:
        """Tell whether a symbol that kept up so far is still missing."""
        earliest = moment - self._watcher.step
        return any(
            earliest <= self._watcher.fronts.get(symbol, 0) < moment for symbol in self.symbols if symbol not in ready
        )

    def _tell(self, moment: int, ready: list[str]) -> BarsClosed:
        """Move on to a moment and return its event; symbols that lag behind it come after those that do not."""
        is_late = self._is_late(moment)
        on_time = [] if is_late else [symbol for symbol in ready if not self._lags(symbol, moment)]
        told = on_time or ready
        for symbol in told:
            self._advance(symbol, moment)
        self._moment = moment
        return BarsClosed(self.timeframe, utc_from_seconds(moment), tuple(told), is_late=not on_time)

    def _lags(self, symbol: str, moment: int) -> bool:
        close = self._next_close(symbol, self._cursors[symbol])
        return close is not None and close < moment

    def _advance(self, symbol: str, moment: int) -> None:
        """Take all bars of a symbol up to a moment as told."""
        self._told[symbol] = moment
        # A symbol that lags behind has no bar of this moment yet: that one is still to be told.
        self._cursors[symbol] = min(moment, self._watcher.fronts[symbol])
        ahead = self._ahead.get(symbol)
        if ahead is not None:
            while ahead and ahead[0] <= moment:
                ahead.popleft()
            if not ahead:
                del self._ahead[symbol]

    def _is_late(self, moment: int) -> bool:
        """Tell whether a moment is overtaken by the next one, or too long ago to act on."""
        age_s = self._watcher.now_s() - moment
        return age_s >= self._watcher.step or age_s > self._grace_s * self._watcher.pace.speed
