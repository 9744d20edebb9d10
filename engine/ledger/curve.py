"""The equity curve: what a book or the account was worth at chosen times, from its events and the prices then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.ledger.accounts import Accounts, post
from engine.ledger.events import Event


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """A book or the account at one moment; money in account currency, since the first event.

    Attributes:
        deposits: Paid in less paid out; of a book, transfers count too.
        funding: Received for holding, less paid.
    """

    at: datetime
    equity: Decimal
    deposits: Decimal
    realised: Decimal
    fees: Decimal
    funding: Decimal = Decimal(0)


Marks = Callable[[Iterable[str], datetime], Mapping[str, Decimal]]
"""Returns the price of each symbol at a time."""


def equity_curve(
    events: Sequence[Event], times: Sequence[datetime], marks: Marks, *, book: str | None = None
) -> list[EquityPoint]:
    """Return a book (None: the account) at each time, events of that very moment included.

    Args:
        events: Of all books, in the order of their times.
        times: Ascending.
        marks: Prices of what is held then.
        book: Whose curve.
    """
    accounts, done, points = Accounts(), 0, []
    for at in times:
        while done < len(events) and events[done].at <= at:
            accounts, _ = post(accounts, events[done])
            done += 1
        books = accounts.of(book)
        prices = marks(books.open_holdings(), at)
        point = EquityPoint(at, books.equity(prices), books.deposits, books.realised, books.fees, books.funding)
        points.append(point)
    return points
