"""What an exchange lists, in which order of size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.data.live.rows import read_instruments
from engine.domain.market import Instrument

_CASH = frozenset(
    {"USDT", "USDC", "FDUSD", "TUSD", "USDP", "DAI", "BUSD", "USD1", "USDE", "XUSD", "EUR", "AEUR", "EURI"}
)
"""Coins that stand for money: they are no market to rank."""


class Listing:
    """The symbols that trade on an exchange now.

    Attributes:
        instruments: Their rules, by our symbol.
        ids: The exchange's name of each.
    """

    def __init__(self, *, is_futures: bool = False) -> None:
        self._is_futures = is_futures
        self.instruments: Mapping[str, Instrument] = {}
        self.ids: Mapping[str, str] = {}
        self._turnover: Mapping[str, float] = {}

    def take_rules(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the exchange's information on its symbols."""
        self.instruments, self.ids = read_instruments(rows, is_futures=self._is_futures)

    def take_turnover(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the figures of the last day."""
        figures = {str(row.get("symbol")): float(row.get("quoteVolume") or 0.0) for row in rows}
        self._turnover = {symbol: figures.get(symbol_id, 0.0) for symbol, symbol_id in self.ids.items()}

    def all(self, quote: str) -> tuple[str, ...]:
        """Return all symbols against an asset, those with the most turnover first, as far as it is known."""
        listed = [symbol for symbol, instrument in self.instruments.items() if instrument.quote == quote]
        return tuple(sorted(listed, key=lambda symbol: (-self._turnover.get(symbol, 0.0), symbol)))

    def top(self, count: int, quote: str, ranking: Sequence[str]) -> tuple[str, ...]:
        """Return the first symbols of a ranking of coins that are listed; without one, by turnover."""
        if ranking:
            ranked = [f"{coin}/{quote}" for coin in ranking]
        else:
            ranked = [symbol for symbol in self.all(quote) if self.instruments[symbol].base not in _CASH]
        return tuple(symbol for symbol in ranked if symbol in self.instruments)[:count]
