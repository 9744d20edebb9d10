"""What happens to money: the events that the journal keeps, from which all books follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.domain.orders import Fill
from engine.ledger.books import MAIN_BOOK


@dataclass(frozen=True, slots=True)
class Deposit:
    """Something paid in from outside (below 0: paid out).

    Attributes:
        amount: In account currency: the money, or what the holding is worth.
        symbol, quantity: The holding, when it is not money.
    """

    reference: str
    amount: Decimal
    at: datetime
    book: str = MAIN_BOOK
    symbol: str = ""
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money moved from one book to another."""

    reference: str
    amount: Decimal
    from_book: str
    to_book: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Funding:
    """A payment for holding a symbol, as one book's part of it (below 0: paid)."""

    reference: str
    symbol: str
    amount: Decimal
    book: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BookedFill:
    """A fill with the book that it belongs to."""

    fill: Fill
    book: str

    @property
    def at(self) -> datetime:
        """Return when it filled."""
        return self.fill.at


Event = Deposit | Transfer | Funding | BookedFill | Fill
"""A bare fill belongs to `main`."""
