"""What a running market may offer beyond `MarketData`: where its prices come from, what ails it, and word of news.

A feed uses the last two where they exist and does without where they do not, as with the simulated market.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

SourceKind = Literal["exchange", "store", "proxy", "simulated"]

OnNews = Callable[[str], None]
"""Told a symbol of which a bar has just become readable; called in the event loop that runs the market."""


@dataclass(frozen=True, slots=True)
class SymbolSource:
    """Where the prices of a symbol come from.

    Attributes:
        kind: `exchange` for the venue's own market, `store` for bars that the owner keeps current, `proxy` for another
            instrument in its place, `simulated` for invented prices.
        name: The exchange, the name of the stored source, or the proxy's symbol and exchange (`PAXG/USDT@binance`).
        last_bar_at: Close of the last bar that can be read; None when there is none.
    """

    kind: SourceKind
    name: str
    last_bar_at: datetime | None


@runtime_checkable
class Announcing(Protocol):
    """A market that says when there is something new, so that nobody needs to look again and again."""

    def listen(self, on_news: OnNews) -> Callable[[], None]:
        """Have a function told of every symbol with a new closed bar; returns what ends that."""
        ...


@runtime_checkable
class Diagnosed(Protocol):
    """A market that knows when its prices cannot be relied on."""

    def trouble(self, symbol: str) -> str:
        """Return a stable code (`disconnected`, `gap`, `loading`), or an empty text when all is well."""
        ...
