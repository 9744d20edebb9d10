"""Between the ledger and its rows: totals, entries, events.

The journal (entries, fills and their details) is the truth; the totals are its sum and are rebuilt from it when they
are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from agents.execution.book_tables import asset_deposits, book_holdings, fill_details, ledger_books
from agents.execution.rows import fill_values, read_fill
from agents.execution.tables import fills, ledger_entries, ledger_postings, ledger_state
from engine.domain.orders import Fill
from engine.ledger import (
    MAIN_BOOK,
    Accounts,
    BookedFill,
    Books,
    Deposit,
    Entry,
    Event,
    Funding,
    Holding,
    Posting,
    Transfer,
    negative,
    replay_events,
)

ZERO = Decimal(0)
_EVENT_KINDS = ("deposit", "transfer", "funding")


def read_accounts(connection: Connection) -> Accounts:
    """Return the stored totals of all books."""
    holdings: dict[str, dict[str, Holding]] = {}
    for row in connection.execute(select(book_holdings).order_by(book_holdings.c.book, book_holdings.c.symbol)):
        holding = Holding(row.symbol, row.quantity, row.cost, row.realised, row.fees, row.funding)
        holdings.setdefault(row.book, {})[row.symbol] = holding
    rows = connection.execute(select(ledger_books).order_by(ledger_books.c.book))
    return Accounts({row.book: Books(row.cash, row.deposits, holdings.get(row.book, {})) for row in rows})


def write_accounts(connection: Connection, before: Accounts, after: Accounts) -> None:
    """Write the totals that changed."""
    for name, books in after.books.items():
        known = before.books.get(name)
        if known is None:
            connection.execute(insert(ledger_books).values(book=name, cash=books.cash, deposits=books.deposits))
        elif (known.cash, known.deposits) != (books.cash, books.deposits):
            here = ledger_books.c.book == name
            connection.execute(update(ledger_books).where(here).values(cash=books.cash, deposits=books.deposits))
        held_before = {} if known is None else known.holdings
        for symbol, holding in books.holdings.items():
            _write_holding(connection, name, held_before.get(symbol), holding)


def rebuild_accounts(connection: Connection) -> None:
    """Build the totals from the journal: that of a database from before the books, whose rows are all `main`'s."""
    write_accounts(connection, Accounts(), replay_events(read_events(connection)))


def is_booked(connection: Connection, kind: str, reference: str) -> bool:
    """Return whether an event is in the ledger."""
    query = select(ledger_entries.c.number).where(
        ledger_entries.c.kind == kind, ledger_entries.c.reference == reference
    )
    return connection.execute(query).first() is not None


def write_entry(connection: Connection, number: int, entry: Entry, at: datetime, reference: str | None = None) -> None:
    """Write an entry with its postings."""
    values = {"number": number, "kind": entry.kind, "reference": reference or entry.reference, "at": at}
    connection.execute(insert(ledger_entries).values(values))
    lines = [
        {"entry": number, "line": line, "account": posting.account, "amount": posting.amount}
        for line, posting in enumerate(entry.postings)
    ]
    connection.execute(insert(ledger_postings), lines)


def write_fill(connection: Connection, number: int, booked: BookedFill, more: Mapping[str, object]) -> None:
    """Write a fill to the journal, with its details where it has any."""
    fill = booked.fill
    connection.execute(insert(fills).values(number=number, **fill_values(fill), **more))
    if booked.book != MAIN_BOOK or fill.fee_quantity:
        values = {"book": booked.book, "fee_asset": fill.fee_asset, "fee_quantity": fill.fee_quantity}
        connection.execute(insert(fill_details).values(number=number, **values))


def write_asset_deposit(connection: Connection, entry: int, event: Deposit) -> None:
    """Write which holding a deposit brought."""
    connection.execute(insert(asset_deposits).values(entry=entry, symbol=event.symbol, quantity=event.quantity))


def update_state(connection: Connection, **values: object) -> None:
    """Change the one state row of the ledger."""
    connection.execute(update(ledger_state).where(ledger_state.c.id == 1).values(values))


def select_fills() -> Select[tuple[object, ...]]:
    """Return a query of fills with their details."""
    details = (fill_details.c.book, fill_details.c.fee_asset, fill_details.c.fee_quantity)
    return select(fills, *details).outerjoin(fill_details, fill_details.c.number == fills.c.number)


def read_booked_fill(row: RowMapping) -> BookedFill:
    """Return the fill of a row of `select_fills` with its book."""
    fill = read_fill(row)
    if row["book"] is None:
        return BookedFill(fill, MAIN_BOOK)
    detailed = Fill(
        fill.fill_id,
        fill.client_order_id,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        fill.fee,
        fill.is_maker,
        fill.at,
        row["fee_asset"],
        row["fee_quantity"],
    )
    return BookedFill(detailed, row["book"])


def read_entries(connection: Connection, kinds: Sequence[str] = ()) -> list[tuple[RowMapping, list[Posting]]]:
    """Return the ledger's entries with their postings, in booking order; only of some kinds when they are given."""
    query = (
        select(ledger_entries, ledger_postings.c.account, ledger_postings.c.amount)
        .join(ledger_postings, ledger_postings.c.entry == ledger_entries.c.number)
        .order_by(ledger_entries.c.number, ledger_postings.c.line)
    )
    if kinds:
        query = query.where(ledger_entries.c.kind.in_(kinds))
    grouped: dict[int, tuple[RowMapping, list[Posting]]] = {}
    for row in connection.execute(query).mappings():
        grouped.setdefault(row["number"], (row, []))[1].append(Posting(row["account"], row["amount"]))
    return list(grouped.values())


def read_events(connection: Connection) -> list[Event]:
    """Return every event in the order in which it was booked, exactly as it was booked."""
    brought = {row.entry: (row.symbol, row.quantity) for row in connection.execute(select(asset_deposits))}
    booked = [
        (row["number"], _read_event(row, lines, brought)) for row, lines in read_entries(connection, _EVENT_KINDS)
    ]
    numbers = connection.execute(
        select(ledger_entries.c.number).where(ledger_entries.c.kind == "fill").order_by(ledger_entries.c.number)
    ).scalars()
    rows = connection.execute(select_fills().order_by(fills.c.number)).mappings()
    told: Iterable[tuple[int, Event]] = zip(numbers, (read_booked_fill(row) for row in rows), strict=True)
    return [event for _, event in sorted([*booked, *told], key=lambda each: each[0])]


def _read_event(row: RowMapping, lines: Sequence[Posting], brought: Mapping[int, tuple[str, Decimal]]) -> Event:
    reference, at = row["reference"], row["at"]
    amounts = [(*_split_name(line.account), line.amount) for line in lines]
    if row["kind"] == "deposit":
        book, paid = next((book, negative(amount)) for account, book, amount in amounts if account == "deposits")
        return Deposit(reference, paid, at, book, *brought.get(row["number"], ("", ZERO)))
    if row["kind"] == "funding":
        symbol = next(account for account, _, _ in amounts if account.startswith("funding:")).partition(":")[2]
        book, amount = next((book, amount) for account, book, amount in amounts if account == "cash")
        return Funding(reference, symbol, amount, book, at)
    (_, giver, _), (_, taker, moved) = (each for each in amounts if each[0] == "cash")
    return Transfer(reference, moved, giver, taker, at)


def _split_name(account: str) -> tuple[str, str]:
    name, _, book = account.partition("@")
    return name, book or MAIN_BOOK


def _write_holding(connection: Connection, book: str, before: Holding | None, holding: Holding) -> None:
    if before == holding:
        return
    values = {
        "quantity": holding.quantity,
        "cost": holding.cost,
        "realised": holding.realised,
        "fees": holding.fees,
        "funding": holding.funding,
    }
    if before is None:
        connection.execute(insert(book_holdings).values(book=book, symbol=holding.symbol, **values))
    else:
        here = (book_holdings.c.book == book, book_holdings.c.symbol == holding.symbol)
        connection.execute(update(book_holdings).where(*here).values(values))
