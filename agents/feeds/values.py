"""What a feed gives to an agent: closed bars as events, and how fresh its symbols are.

A simulated, a replayed and a real market are the same behind it. A feed tells *that* bars have closed; the bars are
read from the market, point in time, so that what an agent sees does not depend on how an event reached it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class BarsClosed:
    """All symbols of a subscription whose bar closed at one moment.

    Attributes:
        closed_at: The moment, on the grid of the timeframe; never goes back within a subscription. It may come again
            with other symbols, whose bars came later.
        symbols: Sorted; their bars up to `closed_at` can be read from the market now. A symbol whose bar came after
            later moments were told is told at the last of them, as late, with what it has by then; each symbol is told
            at most once at a moment, and each bar counts in one event.
        is_late: Whether they were noticed after a pause (a restart, a gap that was repaired): an agent keeps its books
            and its journal on a late bar, and opens nothing.
    """

    timeframe: Timeframe
    closed_at: datetime
    symbols: tuple[str, ...]
    is_late: bool


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """How fresh one symbol is.

    Attributes:
        last_quote_at, last_bar_at: Market time; None before the first.
        is_stale: Whether it is too old to open anything on; a closed market is not stale.
        reason: Stable code of why it is stale (`no_quote`, `old_quote`, `gap`, `disconnected`, `loading`,
            `clock_back`); empty otherwise.
    """

    symbol: str
    last_quote_at: datetime | None
    last_bar_at: datetime | None
    is_stale: bool
    reason: str


class Subscription(Protocol):
    """Closed bars of some symbols, as an async iterator; leave it by `close`.

    A reader that is slower than the market gets every moment in order, the overtaken ones with `is_late`.
    """

    def __aiter__(self) -> AsyncIterator[BarsClosed]:
        """Return the events, oldest first."""
        ...

    async def close(self) -> None:
        """End the iteration; harmless when repeated."""
        ...


class Feed(Protocol):
    """One source of closed bars per market, shared by everything that listens."""

    def subscribe(self, symbols: Collection[str], timeframe: Timeframe, *, after: datetime | None) -> Subscription:
        """Return what closes after a moment: `None` for from now on, a past moment to be told what was missed."""
        ...

    def health(self, symbol: str) -> FeedHealth:
        """Return how fresh a symbol is now."""
        ...
