"""What the parts of the desk share: one venue, one market, one record, the clocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection

from agents.execution.book_tables import BOOK_NAME_LENGTH
from agents.execution.journal import Journal
from agents.risk.values import RiskLimits
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Quote
from engine.domain.orders import Side
from engine.domain.protocols import MarketData, Venue

ZERO = Decimal(0)
Fence = Callable[[Connection], bool]
"""Tells within a transaction whether this process still leads; nobody else begins to lead before it ends."""
_BOOK_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{BOOK_NAME_LENGTH - 1}}}")


def wall_clock() -> datetime:
    """Return the real present."""
    return datetime.now(UTC)


def no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


def check_book(book: str) -> str:
    """Return a book's name, or refuse it.

    Raises:
        InvalidRequest: `book`: not a lower-case word of at most 16 letters, digits and underscores.
    """
    if not _BOOK_NAME.fullmatch(book):
        raise InvalidRequest("book", book=book)
    return book


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What every part of the desk works on.

    Attributes:
        limits: Of the whole account.
        groups: Group of each symbol that moves with others.
        token: Identity of this process, under which it claims intents.
        wall_clock: The real present, against which claims are judged (the market may be a replay).
        checkpoint: Called with the name of each step; crash tests stop the process there.
        fence: Asked before what an agent wants is sent; None where no other process can lead.
    """

    venue: Venue
    market: MarketData
    journal: Journal
    limits: RiskLimits
    token: str
    groups: Mapping[str, str] = field(default_factory=dict)
    wall_clock: Callable[[], datetime] = wall_clock
    checkpoint: Callable[[str], None] = no_checkpoint
    fence: Fence | None = None

    def now(self) -> datetime:
        """Return the market's present."""
        return self.market.now()

    def quote(self, symbol: str) -> Quote | None:
        """Return the present best prices, None when there are none."""
        try:
            return self.market.quote(symbol)
        except DataUnavailable:
            return None

    def round_held(self, symbol: str, quantity: Decimal) -> Decimal:
        """Return what an order can close of a holding: its size down to the lot."""
        instrument = self.market.instruments().get(symbol)
        return quantity.copy_abs() if instrument is None else instrument.round_quantity(quantity.copy_abs())


def closing_side(held: Decimal) -> Side:
    """Return the side of the order that closes a holding."""
    return Side.SELL if held > 0 else Side.BUY
