"""A desk for funds to work with: books that trade as a test says, and move money once for a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, event

import agents.fund.tables as _tables  # noqa: F401  # importing declares the tables
from agents.fund.values import BookValue
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class FakeDesk:
    """Books with cash; profit is what a test books with `earn`, at the time of the clock.

    Attributes:
        clock: The present.
        moves: What each source moved.
        tied: Money of a book that is bound in positions and can't be moved.
    """

    clock: datetime = START
    cash: dict[str, Decimal] = field(default_factory=lambda: {"main": Decimal(1_000_000)})
    tied: dict[str, Decimal] = field(default_factory=dict)
    moves: dict[str, tuple[datetime, str, str, Decimal]] = field(default_factory=dict)
    results: list[tuple[datetime, str, Decimal]] = field(default_factory=list)
    is_silent: bool = False

    def now(self) -> datetime:
        return self.clock

    def advance(self, **delta: int) -> None:
        self.clock += timedelta(**delta)

    def earn(self, book: str, amount: Decimal | str | int) -> None:
        self.results.append((self.clock, book, Decimal(amount)))
        self.cash[book] = self.cash.get(book, Decimal(0)) + Decimal(amount)

    def equity(self, book: str) -> Decimal:
        return self.cash.get(book, Decimal(0))

    async def value(self, book: str, at: datetime) -> BookValue:
        if self.is_silent:
            raise DataUnavailable("no price")
        moved = sum(
            (
                amount * ((target == book) - (origin == book))
                for when, origin, target, amount in self.moves.values()
                if when <= at
            ),
            Decimal(0),
        )
        earned = sum((amount for when, each, amount in self.results if each == book and when <= at), Decimal(0))
        return BookValue(moved + earned, moved)

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        if self.is_silent:
            raise DataUnavailable("no answer")
        if source in self.moves:
            assert self.moves[source][1:] == (from_book, to_book, amount), "a source was used for another movement"
            return True
        if self.cash.get(from_book, Decimal(0)) - self.tied.get(from_book, Decimal(0)) < amount:
            return False
        self.moves[source] = (self.clock, from_book, to_book, amount)
        self.cash[from_book] -= amount
        self.cash[to_book] = self.cash.get(to_book, Decimal(0)) + amount
        return True


def open_tables(folder: Path) -> Engine:
    """Return an empty database that does not wait for the disk: what is stopped here is the process, not the power."""
    database = connect_database(f"sqlite:///{folder / 'funds.db'}")
    event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    metadata.create_all(database)
    return database


def at(text: str) -> datetime:
    """Return a UTC time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
