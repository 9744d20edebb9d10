"""Our own record of execution: intents, orders as last told, fills and the books, each change in one transaction.

What makes repeats harmless stands here: an intent's source and id are unique; a state changes only from the state
that the caller saw; a fill is booked once by the venue's fill id, in the same transaction as its postings and the
totals of its book. The journal is the truth, totals follow from it (`ledger_rows`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, insert, or_, select, update

from agents.execution.book_tables import fill_details, funding_cursors, ledger_books, order_books
from agents.execution.claims import NotLeading
from agents.execution.control_store import Mark, read_all_limits, read_marks, read_states
from agents.execution.ledger_rows import (
    is_booked,
    read_accounts,
    read_booked_fill,
    read_entries,
    read_events,
    rebuild_accounts,
    select_fills,
    update_state,
    write_accounts,
    write_asset_deposit,
    write_entry,
    write_fill,
)
from agents.execution.rows import ensure_state, insert_once, read_request, reading, request_values, writing
from agents.execution.tables import fills, ledger_state, order_intents, venue_orders
from agents.execution.values import Discrepancy, Execution, IntentState, OrderIntent, SettledFill
from agents.risk.states import StateChange
from agents.risk.values import RiskLimits
from engine.domain.orders import Fill, FundingPayment, OrderStatus, VenueOrder
from engine.ledger import (
    MAIN_BOOK,
    Accounts,
    BookedFill,
    Books,
    Deposit,
    Entry,
    Event,
    Funding,
    Transfer,
    exact_sum,
    post,
    split_by_holding,
)

ZERO = Decimal(0)
UNFINISHED = (IntentState.STORED, IntentState.SENT, IntentState.WORKING)
_FIRST_STATE = {
    "version": 0,
    "cash": ZERO,
    "deposits": ZERO,
    "last_entry": 0,
    "last_fill": 0,
    "fill_cursor": 0,
    "discrepancies": "[]",
}
_CHILD = re.compile(r"(.+)-(?:sl|tp)\d*")


def intent_id(order_id: str) -> str:
    """Return the id of the intent that an order belongs to: its own, or its parent's when it is protective.

    >>> intent_id("tc-abc"), intent_id("tc-abc-sl"), intent_id("tc-abc-tp2")
    ('tc-abc', 'tc-abc', 'tc-abc')
    """
    child = _CHILD.fullmatch(order_id)
    return child[1] if child else order_id


@dataclass(frozen=True, slots=True)
class StoredIntent:
    """An intent with where it stands.

    Attributes:
        claimed_by, claimed_at: The process that handles it, since when by the wall clock.
    """

    intent: OrderIntent
    state: IntentState
    reasons: tuple[str, ...]
    claimed_by: str
    claimed_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The record at one moment, read in one transaction.

    Attributes:
        version: Rises with every claim, settlement and change of state or limits.
        sent: Intents handed over whose outcome is not known.
        recent: Books of the orders handed over in the last minute, one for each.
        marks: Of the day of the snapshot, by book; the account's under `*`.
        states, limits: By book.
        order_books: Books of the orders that were asked for, by client order id; `main` ones may lack.
    """

    version: int
    accounts: Accounts
    sent: tuple[StoredIntent, ...]
    recent: tuple[str, ...]
    discrepancies: tuple[Discrepancy, ...]
    marks: Mapping[str, Mark]
    states: Mapping[str, StateChange]
    limits: Mapping[str, RiskLimits]
    order_books: Mapping[str, str] = field(default_factory=dict)

    @property
    def books(self) -> Books:
        """Return the whole account."""
        return self.accounts.total()

    def book_of(self, order_id: str) -> str:
        """Return the book of an order that was asked for."""
        return self.order_books.get(intent_id(order_id), MAIN_BOOK)

    def with_books(self, more: Mapping[str, str]) -> Snapshot:
        """Return the same with the books of further orders."""
        return replace(self, order_books={**self.order_books, **more})


class Journal:
    """The record of one account at one venue.

    Args:
        database: Where the tables live.
        venue: Name of the venue, part of a fill's identity.

    Every method raises `DataUnavailable` when the database does not answer.
    """

    def __init__(self, database: Engine, venue: str) -> None:
        self._database = database
        self._venue = venue
        self._is_prepared = False

    def book(self, event: Deposit | Transfer, unless: Callable[[Accounts], str | None] | None = None) -> str | None:
        """Book a deposit or a transfer once.

        Args:
            event: With a reference that is unique for its kind.
            unless: Says of the books as they are why it may not be booked; only asked when it is not booked yet.

        Returns:
            None when this call booked it, `booked` when it stood already, or what `unless` said.
        """
        kind = "transfer" if isinstance(event, Transfer) else "deposit"
        with reading(self._prepared()) as connection:
            if is_booked(connection, kind, event.reference):
                return "booked"
        with self.writing() as (connection, state):
            if is_booked(connection, kind, event.reference):
                return "booked"
            accounts = read_accounts(connection)
            refusal = unless(accounts) if unless else None
            if refusal is not None:
                return refusal
            self._post(connection, state, accounts, [event])
            return None

    def deposit(self, amount: Decimal, reference: str, at: datetime) -> bool:
        """Book money paid into `main` once; return whether this call booked it."""
        return self.book(Deposit(reference, amount, at)) is None

    def booked_event(self, kind: str, reference: str) -> Event | None:
        """Return an event as it was booked."""
        with reading(self._prepared()) as connection:
            if not is_booked(connection, kind, reference):
                return None
            wanted = Deposit if kind == "deposit" else Transfer
            events = read_events(connection)
        return next(event for event in events if isinstance(event, wanted) and event.reference == reference)

    def store(self, intent: OrderIntent, claimed_by: str, wall: datetime, at: datetime) -> StoredIntent:
        """Write an intent down, or return what is stored already under its id."""
        values = {
            **request_values(intent.request),
            "source": intent.source,
            "owner": intent.owner,
            "quoted_price": intent.quoted_price,
            "state": IntentState.STORED.value,
            "reasons": "[]",
            "claimed_by": claimed_by,
            "claimed_at": wall,
            "stored_at": at,
            "updated_at": at,
        }
        known = self.intent(intent.request.client_order_id)
        if known is not None:
            return known
        statements = [insert(order_intents).values(values)]
        if intent.book != MAIN_BOOK:
            key = intent.request.client_order_id
            statements.append(insert(order_books).values(client_order_id=key, book=intent.book))
        insert_once(self._prepared(), *statements)
        stored = self.intent(intent.request.client_order_id)
        assert stored is not None, "an intent is never deleted"
        return stored

    def claim(
        self,
        client_order_id: str,
        version: int,
        claimed_by: str,
        wall: datetime,
        at: datetime,
        fence: Callable[[Connection], bool] | None = None,
    ) -> bool:
        """Take a stored intent for sending, if nothing has changed since `version` was read.

        Raises:
            NotLeading: The fence does not stand; the intent is left to whoever leads.
        """
        with self.writing() as (connection, state):
            _require(fence, connection)
            if state["version"] != version:
                return False
            claimed = connection.execute(
                update(order_intents)
                .where(order_intents.c.client_order_id == client_order_id)
                .where(order_intents.c.state == IntentState.STORED.value)
                .values(state=IntentState.SENT.value, claimed_by=claimed_by, claimed_at=wall, sent_at=at, updated_at=at)
            )
            if claimed.rowcount != 1:
                return False
            update_state(connection, version=version + 1)
            return True

    def check_fence(self, fence: Callable[[Connection], bool] | None) -> None:
        """Make sure that a fence stands.

        Raises:
            NotLeading: It does not.
        """
        if fence is not None:
            with reading(self._prepared()) as connection:
                _require(fence, connection)

    def close(
        self, client_order_id: str, seen: IntentState, state: IntentState, reasons: Sequence[str], at: datetime
    ) -> bool:
        """Move an intent to another state, if it is still in the one that was seen."""
        with self.writing() as (connection, row):
            closed = connection.execute(
                update(order_intents)
                .where(order_intents.c.client_order_id == client_order_id)
                .where(order_intents.c.state == seen.value)
                .values(state=state.value, reasons=json.dumps(list(reasons)), updated_at=at)
            )
            update_state(connection, version=row["version"] + closed.rowcount)
            return closed.rowcount == 1

    def settle(self, orders: Iterable[VenueOrder], new_fills: Sequence[tuple[int, Fill]], at: datetime) -> int:
        """Book fills that are not booked yet and note orders as the venue told them; return how many were booked.

        An order's intent is done only when all that the venue filled of it is booked.
        """
        orders = tuple(orders)
        if not new_fills and self._is_noted(orders):
            return 0
        with self.writing() as (connection, state):
            booked = self._book_fills(connection, state, new_fills, at)
            changed = sum(_note_order(connection, order) for order in orders)
            changed += sum(_advance_intent(connection, stored, at) for stored in _read_intents(connection, UNFINISHED))
            if booked or changed:
                update_state(connection, version=state["version"] + 1)
            return booked

    def _is_noted(self, orders: Iterable[VenueOrder]) -> bool:
        with reading(self._prepared()) as connection:
            return all(_read_order(connection, order.request.client_order_id) == order for order in orders)

    def snapshot(self, now: datetime, order_ids: Iterable[str] = ()) -> Snapshot:
        """Return the record as it is now, with the books of some orders."""
        minute_ago = now - timedelta(minutes=1)
        with reading(self._prepared()) as connection:
            state = connection.execute(select(ledger_state)).mappings().one()
            sent = tuple(_read_intents(connection, (IntentState.SENT,)))
            recent = list(
                connection.scalars(select(order_intents.c.client_order_id).where(order_intents.c.sent_at > minute_ago))
            )
            known = _read_books(connection, {*map(intent_id, order_ids), *recent})
            return Snapshot(
                state["version"],
                read_accounts(connection),
                sent,
                tuple(known.get(each, MAIN_BOOK) for each in recent),
                _read_discrepancies(state),
                read_marks(connection, f"{now:%Y-%m-%d}"),
                read_states(connection),
                read_all_limits(connection),
                known,
            )

    def version(self) -> int:
        """Return the number of the record's present state."""
        with reading(self._prepared()) as connection:
            return int(connection.execute(select(ledger_state.c.version)).scalar_one())

    def fill_cursor(self) -> int:
        """Return the venue's sequence number up to which fills are booked."""
        with reading(self._prepared()) as connection:
            return int(connection.execute(select(ledger_state.c.fill_cursor)).scalar_one())

    def funding_cursor(self) -> int:
        """Return the venue's sequence number up to which funding is booked."""
        query = select(funding_cursors.c.cursor).where(funding_cursors.c.venue == self._venue)
        with reading(self._prepared()) as connection:
            return int(connection.execute(query).scalar() or 0)

    def settle_funding(self, payments: Sequence[tuple[int, FundingPayment]]) -> int:
        """Book payments for holding, split among the books that hold; return how many were new."""
        if not payments:
            return 0
        with self.writing() as (connection, state):
            accounts, events = read_accounts(connection), list[Event]()
            new = 0
            for _, payment in payments:
                reference = f"{self._venue}:{payment.payment_id}"
                if is_booked(connection, "funding", f"{reference}:0"):
                    continue
                new += 1
                parts = split_by_holding(payment.amount, payment.symbol, accounts)
                for number, (book, part) in enumerate(parts.items() or [(MAIN_BOOK, ZERO)]):
                    events.append(Funding(f"{reference}:{number}", payment.symbol, part, book, payment.at))
            self._post(connection, state, accounts, events)
            cursor = max(number for number, _ in payments)
            _write_cursor(connection, self._venue, cursor)
            return new

    def intent(self, client_order_id: str) -> StoredIntent | None:
        """Return a stored intent."""
        query = _select_intents().where(order_intents.c.client_order_id == client_order_id)
        with reading(self._prepared()) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _read_intent(row)

    def known_ids(self, order_ids: Iterable[str]) -> set[str]:
        """Return which of some orders are ours: an intent stands behind them."""
        wanted = {each: intent_id(each) for each in order_ids}
        query = select(order_intents.c.client_order_id).where(
            order_intents.c.client_order_id.in_([*wanted, *wanted.values()])
        )
        with reading(self._prepared()) as connection:
            ours = set(connection.scalars(query))
        return {each for each, owner in wanted.items() if each in ours or owner in ours}

    def unfinished(self) -> list[StoredIntent]:
        """Return the intents that are not final, oldest first."""
        with reading(self._prepared()) as connection:
            return list(_read_intents(connection, UNFINISHED))

    def unfinished_orders(self) -> list[str]:
        """Return the ids of orders that were not final when the venue last told of them."""
        final = [status.value for status in OrderStatus if status.is_final]
        query = select(venue_orders.c.client_order_id).where(venue_orders.c.status.not_in(final))
        with reading(self._prepared()) as connection:
            return list(connection.scalars(query.order_by(venue_orders.c.created_at, venue_orders.c.client_order_id)))

    def book_of(self, order_id: str) -> str:
        """Return the book of an order, protective ones included."""
        key = intent_id(order_id)
        with reading(self._prepared()) as connection:
            return _read_books(connection, [key]).get(key, MAIN_BOOK)

    def entries_of(self, book: str, symbol: str) -> list[str]:
        """Return the ids of a book's intents in a symbol that the venue took, oldest first."""
        query = (
            _select_intents()
            .where(order_intents.c.symbol == symbol, order_intents.c.sent_at.is_not(None))
            .order_by(order_intents.c.sent_at, order_intents.c.client_order_id)
        )
        with reading(self._prepared()) as connection:
            rows = connection.execute(query).mappings().all()
        return [row["client_order_id"] for row in rows if (row["book"] or MAIN_BOOK) == book]

    def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent, as settled so far."""
        stored = self.intent(client_order_id)
        if stored is None:
            return None
        own_fills = select_fills().where(fills.c.client_order_id == client_order_id).order_by(fills.c.number)
        with reading(self._database) as connection:
            order = _read_order(connection, client_order_id)
            settled = tuple(read_booked_fill(row).fill for row in connection.execute(own_fills).mappings())
        reasons = ("uncertain",) if stored.state is IntentState.SENT else stored.reasons
        return Execution(stored.intent, stored.state, order, settled, reasons, stored.updated_at)

    def filled(self, order_id: str) -> Decimal:
        """Return the base units booked of an order."""
        query = select(fills.c.quantity).where(fills.c.client_order_id == order_id)
        with reading(self._prepared()) as connection:
            return exact_sum(connection.scalars(query))

    def trades(
        self, since: datetime | None, symbol: str | None, limit: int | None, book: str | None = None
    ) -> list[SettledFill]:
        """Return settled fills, newest first."""
        query = select_fills().order_by(fills.c.number.desc())
        if since is not None:
            query = query.where(fills.c.at >= since)
        if symbol is not None:
            query = query.where(fills.c.symbol == symbol)
        if book is not None:
            query = query.where(_is_of(book))
        with reading(self._prepared()) as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
            owners = _read_owners(connection, {intent_id(row["client_order_id"]) for row in rows})
        return [_settled(row, owners) for row in rows]

    def events(self) -> list[Event]:
        """Return every event, in the order of their times and then of booking."""
        return sorted(self.booked_events(), key=lambda event: event.at)

    def booked_events(self) -> list[Event]:
        """Return every event in the order in which it was booked; `replay_events` makes the books of it."""
        with reading(self._prepared()) as connection:
            return read_events(connection)

    def entries(self) -> list[Entry]:
        """Return the ledger's entries with their postings, in booking order."""
        with reading(self._prepared()) as connection:
            found = read_entries(connection)
        return [Entry(row["kind"], row["reference"], tuple(postings)) for row, postings in found]

    def note_discrepancies(self, found: Sequence[Discrepancy]) -> None:
        """Remember the differences between venue and ledger; an empty list clears them."""
        text = json.dumps([[each.asset, str(each.venue_quantity), str(each.ledger_quantity)] for each in found])
        with reading(self._prepared()) as connection:
            if connection.execute(select(ledger_state.c.discrepancies)).scalar_one() == text:
                return
        with self.writing() as (connection, state):
            if state["discrepancies"] != text:
                update_state(connection, version=state["version"] + 1, discrepancies=text)

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a snapshot of the record."""
        return reading(self._prepared())

    def writing(self) -> AbstractContextManager[tuple[Connection, RowMapping]]:
        """Open a change of the record, under its lock."""
        return writing(self._prepared(), ledger_state)

    def _book_fills(
        self, connection: Connection, state: RowMapping, new_fills: Sequence[tuple[int, Fill]], at: datetime
    ) -> int:
        accounts, events, cursor = read_accounts(connection), list[Event](), state["fill_cursor"]
        books = _read_books(connection, {intent_id(fill.client_order_id) for _, fill in new_fills})
        seen: set[str] = set()
        for sequence, fill in new_fills:
            cursor = max(cursor, sequence)
            if fill.fill_id not in seen and not is_booked(connection, "fill", f"{self._venue}:{fill.fill_id}"):
                seen.add(fill.fill_id)
                events.append(BookedFill(fill, books.get(intent_id(fill.client_order_id), MAIN_BOOK)))
        self._post(connection, state, accounts, events, settled_at=at)
        if cursor != state["fill_cursor"]:
            update_state(connection, fill_cursor=cursor)
        return len(events)

    def _post(
        self,
        connection: Connection,
        state: RowMapping,
        before: Accounts,
        events: Sequence[Event],
        settled_at: datetime | None = None,
    ) -> None:
        """Book events with everything that follows from them, and raise the version."""
        if not events:
            return
        after, entry_number, fill_number = before, state["last_entry"], state["last_fill"]
        for event in events:
            after, entry = post(after, event)
            entry_number += 1
            reference = f"{self._venue}:{entry.reference}" if isinstance(event, BookedFill) else None
            write_entry(connection, entry_number, entry, event.at, reference)
            if isinstance(event, BookedFill):
                fill_number += 1
                more = {"venue": self._venue, "realised": entry.realised, "settled_at": settled_at}
                write_fill(connection, fill_number, event, more)
            if isinstance(event, Deposit) and event.symbol:
                write_asset_deposit(connection, entry_number, event)
        write_accounts(connection, before, after)
        total = after.total()
        update_state(
            connection,
            version=state["version"] + 1,
            cash=total.cash,
            deposits=total.deposits,
            last_entry=entry_number,
            last_fill=fill_number,
        )

    def _prepared(self) -> Engine:
        if not self._is_prepared:
            ensure_state(self._database, ledger_state, _FIRST_STATE)
            self._rebuild_if_absent()
            self._is_prepared = True
        return self._database

    def _rebuild_if_absent(self) -> None:
        """Give a database from before the books its totals: everything in it is `main`'s."""
        some = select(ledger_books.c.book).limit(1)
        with reading(self._database) as connection:
            entries = connection.execute(select(ledger_state.c.last_entry)).scalar_one()
            if not entries or connection.execute(some).first() is not None:
                return
        with writing(self._database, ledger_state) as (connection, _):
            if connection.execute(some).first() is None:
                rebuild_accounts(connection)


def _require(fence: Callable[[Connection], bool] | None, connection: Connection) -> None:
    if fence is not None and not fence(connection):
        raise NotLeading("this process does not lead; an agent's order is left to the one that does")


def _note_order(connection: Connection, order: VenueOrder) -> bool:
    """Write an order as the venue told it, unless something later is known; return whether anything changed."""
    known = _read_order(connection, order.request.client_order_id)
    values = {
        **request_values(order.request),
        "venue_order_id": order.venue_order_id,
        "status": order.status.value,
        "filled_quantity": order.filled_quantity,
        "average_price": order.average_price,
        "parent_id": order.parent_id,
        "reason": order.reason,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
    }
    if known is None:
        connection.execute(insert(venue_orders).values(values))
        return True
    if known == order or known.status.is_final or known.updated_at > order.updated_at:
        return False
    here = venue_orders.c.client_order_id == order.request.client_order_id
    connection.execute(update(venue_orders).where(here).values(values))
    return True


def _advance_intent(connection: Connection, stored: StoredIntent, at: datetime) -> bool:
    """Bring an intent in line with its order and its booked fills; return whether it changed."""
    client_order_id = stored.intent.request.client_order_id
    order = _read_order(connection, client_order_id)
    if order is None:
        return False
    state, reasons = IntentState.WORKING, list[str]()
    if order.status.is_final:
        own = connection.scalars(select(fills.c.quantity).where(fills.c.client_order_id == client_order_id))
        if exact_sum(own) >= order.filled_quantity:
            state = IntentState.REJECTED if order.status is OrderStatus.REJECTED else IntentState.DONE
            reasons = [order.reason] if order.reason else []
    if state is stored.state:
        return False
    values = {"state": state.value, "reasons": json.dumps(reasons), "updated_at": at}
    here = order_intents.c.client_order_id == client_order_id
    connection.execute(update(order_intents).where(here).values(values))
    return True


def _select_intents() -> Select[tuple[object, ...]]:
    return select(order_intents, order_books.c.book).outerjoin(
        order_books, order_books.c.client_order_id == order_intents.c.client_order_id
    )


def _read_intents(connection: Connection, states: Iterable[IntentState]) -> list[StoredIntent]:
    query = _select_intents().where(order_intents.c.state.in_([state.value for state in states]))
    ordered = query.order_by(order_intents.c.stored_at, order_intents.c.client_order_id)
    return [_read_intent(row) for row in connection.execute(ordered).mappings()]


def _read_intent(row: RowMapping) -> StoredIntent:
    book = row["book"] or MAIN_BOOK
    return StoredIntent(
        OrderIntent(row["owner"], row["source"], read_request(row), row["quoted_price"], book),
        IntentState(row["state"]),
        tuple(json.loads(row["reasons"])),
        row["claimed_by"],
        row["claimed_at"],
        row["updated_at"],
    )


def _read_books(connection: Connection, intent_ids: Iterable[str]) -> dict[str, str]:
    """Return the books of some intents; those of `main` are left out."""
    query = select(order_books).where(order_books.c.client_order_id.in_(list(intent_ids)))
    return {row.client_order_id: row.book for row in connection.execute(query)}


def _is_of(book: str) -> ColumnElement[bool]:
    own = fill_details.c.book == book
    return or_(own, fill_details.c.book.is_(None)) if book == MAIN_BOOK else own


def _settled(row: RowMapping, owners: Mapping[str, str]) -> SettledFill:
    booked = read_booked_fill(row)
    owner = owners.get(intent_id(booked.fill.client_order_id), "")
    return SettledFill(row["number"], booked.fill, row["realised"], owner, booked.book)


def _write_cursor(connection: Connection, venue: str, cursor: int) -> None:
    here = funding_cursors.c.venue == venue
    known = connection.execute(select(funding_cursors.c.cursor).where(here)).scalar()
    if known is None:
        connection.execute(insert(funding_cursors).values(venue=venue, cursor=cursor))
    elif cursor > known:
        connection.execute(update(funding_cursors).where(here).values(cursor=cursor))


def _read_order(connection: Connection, client_order_id: str) -> VenueOrder | None:
    query = select(venue_orders).where(venue_orders.c.client_order_id == client_order_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return VenueOrder(
        read_request(row),
        row["venue_order_id"],
        OrderStatus(row["status"]),
        row["filled_quantity"],
        row["average_price"],
        row["created_at"],
        row["updated_at"],
        row["parent_id"],
        row["reason"],
    )


def _read_discrepancies(state: RowMapping) -> tuple[Discrepancy, ...]:
    rows: list[list[str]] = json.loads(state["discrepancies"])
    return tuple(Discrepancy(asset, Decimal(venue), Decimal(ledger)) for asset, venue, ledger in rows)


def _read_owners(connection: Connection, intent_ids: Iterable[str]) -> Mapping[str, str]:
    wanted = order_intents.c.client_order_id.in_(list(intent_ids))
    rows = connection.execute(select(order_intents.c.client_order_id, order_intents.c.owner).where(wanted))
    return {row.client_order_id: row.owner for row in rows}
