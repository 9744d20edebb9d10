"""One symbol that a live market carries: its bars, its best prices, and whether its history is being read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from engine.data.live.history import SymbolHistory

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class BestPrices:
    """Best bid and ask.

    Attributes:
        number: Of the change, as the stream counts; -1 before there are any.
        at_s: When they were last known to hold, in seconds since the epoch.
        streamed_at_s: When the stream told something last.
    """

    number: int = -1
    bid: str = ""
    ask: str = ""
    at_s: float = 0.0
    streamed_at_s: float = 0.0


class Carried:
    """What is known of one symbol.

    Attributes:
        is_asked: Whether its history is about to be read.
        retry_at, retry_s: When it may be asked for again, and the pause after that one, in seconds of `elapsed_s`.
    """

    def __init__(self, symbol: str, symbol_id: str, history: SymbolHistory) -> None:
        self.symbol, self.symbol_id, self.history = symbol, symbol_id, history
        self.prices = BestPrices()
        self.is_asked = False
        self.retry_at = self.retry_s = 0.0

    def missing_for_s(self, now_s: float) -> float:
        """Return for how long the oldest minute that is over has been missing; below 0 when none is."""
        return now_s - (self.history.minutes.until + MINUTE_S) if self.history.is_loaded else float("inf")

    def stream_prices(self, number: int, bid: str, ask: str, now_s: float) -> None:
        """Take best prices from the stream; a repeated or overtaken change does nothing."""
        if number > self.prices.number:
            self.prices = BestPrices(number, bid, ask, now_s, now_s)

    def confirm_prices(self, bid: str, ask: str, asked_s: float, *, silent_s: float) -> bool:
        """Take best prices that were asked for; return whether they have moved without a word from the stream.

        Args:
            bid: As the exchange writes it.
            ask: As the exchange writes it.
            asked_s: When they were asked for; what the stream told since is newer.
            silent_s: A stream that was silent for so long may begin its count anew.
        """
        known = self.prices
        if known.streamed_at_s > asked_s or not _are_prices(bid, ask):
            return False
        number = known.number if asked_s - known.streamed_at_s < silent_s else 0
        self.prices = BestPrices(number, bid, ask, asked_s, known.streamed_at_s)
        return known.number >= 0 and (known.bid, known.ask) != (bid, ask)


def _are_prices(bid: str, ask: str) -> bool:
    try:
        return 0 < Decimal(bid) <= Decimal(ask)
    except InvalidOperation:
        return False
