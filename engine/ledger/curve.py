"""The equity curve: what the account was worth at chosen times, from its events and the prices then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.domain.orders import Fill
from engine.ledger.books import Books, post_deposit, post_fill


@dataclass(frozen=True, slots=True)
class Deposit:
    """Money paid in (below 0: paid out)."""

    reference: str
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account at one moment; money in account currency, since the first event."""

    at: datetime
    equity: Decimal
    deposits: Decimal
    realised: Decimal
    fees: Decimal


Marks = Callable[[Iterable[str], datetime], Mapping[str, Decimal]]
"""Returns the price of each symbol at a time."""


def equity_curve(events: Sequence[Deposit | Fill], times: Sequence[datetime], marks: Marks) -> list[EquityPoint]:
    """Return the account at each time, events of that very moment included.

    Args:
        events: In the order of their times.
        times: Ascending.
        marks: Prices of what is held then.
    """
    books, done, points = Books(), 0, []
    for at in times:
        while done < len(events) and events[done].at <= at:
            books = _book(books, events[done])
            done += 1
        prices = marks(books.open_holdings(), at)
        points.append(EquityPoint(at, books.equity(prices), books.deposits, books.realised, books.fees))
    return points


def _book(books: Books, event: Deposit | Fill) -> Books:
    if isinstance(event, Deposit):
        return post_deposit(books, event.amount, event.reference)[0]
    return post_fill(books, event)[0]
