"""Our own record of execution: intents, orders as last told, fills and the ledger, each change in one transaction.

What makes repeats harmless stands here: an intent's source and id are unique; a state changes only from the state
that the caller saw; a fill is booked once by the venue's fill id, in the same transaction as its postings, its
holding and the cash. The journal is the truth, holdings and cash are its running totals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from agents.execution.rows import (
    ensure_state,
    fill_values,
    insert_once,
    read_fill,
    read_request,
    reading,
    request_values,
    writing,
)
from agents.execution.tables import (
    equity_marks,
    fills,
    ledger_entries,
    ledger_holdings,
    ledger_postings,
    ledger_state,
    order_intents,
    venue_orders,
)
from agents.execution.values import Discrepancy, Execution, IntentState, OrderIntent, SettledFill
from engine.domain.orders import Fill, OrderStatus, VenueOrder
from engine.ledger import Books, Deposit, Entry, Holding, Posting, exact_sum, post_deposit, post_fill

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
        version: Rises with every claim and settlement.
        sent: Intents handed over whose outcome is not known.
        recent_orders: Orders handed over in the last minute.
        peak_equity: Highest equity marked so far; 0 before the first.
    """

    version: int
    books: Books
    sent: tuple[StoredIntent, ...]
    recent_orders: int
    discrepancies: tuple[Discrepancy, ...]
    peak_equity: Decimal


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

    def deposit(self, amount: Decimal, reference: str, at: datetime) -> bool:
        """Book a deposit once; return whether this call booked it."""
        with reading(self._prepared()) as connection:
            if _is_booked(connection, "deposit", reference):
                return False
        with self._writing() as (connection, state):
            if _is_booked(connection, "deposit", reference):
                return False
            books, entry = post_deposit(_read_books(connection, state), amount, reference)
            self._write_entry(connection, state["last_entry"] + 1, entry, at)
            changed = {"cash": books.cash, "deposits": books.deposits, "last_entry": state["last_entry"] + 1}
            _update_state(connection, version=state["version"] + 1, **changed)
            return True

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
        insert_once(self._prepared(), insert(order_intents).values(values))
        stored = self.intent(intent.request.client_order_id)
        assert stored is not None, "an intent is never deleted"
        return stored

    def claim(self, client_order_id: str, version: int, claimed_by: str, wall: datetime, at: datetime) -> bool:
        """Take a stored intent for sending, if nothing has changed since `version` was read."""
        with self._writing() as (connection, state):
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
            _update_state(connection, version=version + 1)
            return True

    def close(
        self, client_order_id: str, seen: IntentState, state: IntentState, reasons: Sequence[str], at: datetime
    ) -> bool:
        """Move an intent to another state, if it is still in the one that was seen."""
        with self._writing() as (connection, row):
            closed = connection.execute(
                update(order_intents)
                .where(order_intents.c.client_order_id == client_order_id)
                .where(order_intents.c.state == seen.value)
                .values(state=state.value, reasons=json.dumps(list(reasons)), updated_at=at)
            )
            _update_state(connection, version=row["version"] + closed.rowcount)
            return closed.rowcount == 1

    def settle(self, orders: Iterable[VenueOrder], new_fills: Sequence[tuple[int, Fill]], at: datetime) -> int:
        """Book fills that are not booked yet and note orders as the venue told them; return how many were booked.

        An order's intent is done only when all that the venue filled of it is booked.
        """
        orders = tuple(orders)
        if not new_fills and self._is_noted(orders):
            return 0
        with self._writing() as (connection, state):
            booked = self._book_fills(connection, state, new_fills, at)
            changed = sum(_note_order(connection, order) for order in orders)
            changed += sum(_advance_intent(connection, stored, at) for stored in _read_intents(connection, UNFINISHED))
            if booked or changed:
                _update_state(connection, version=state["version"] + 1)
            return booked

    def _is_noted(self, orders: Iterable[VenueOrder]) -> bool:
        with reading(self._prepared()) as connection:
            return all(_read_order(connection, order.request.client_order_id) == order for order in orders)

    def snapshot(self, now: datetime) -> Snapshot:
        """Return the record as it is now."""
        minute_ago = now - timedelta(minutes=1)
        with reading(self._prepared()) as connection:
            state = connection.execute(select(ledger_state)).mappings().one()
            recent = select(order_intents.c.client_order_id).where(order_intents.c.sent_at > minute_ago)
            peaks = connection.scalars(select(equity_marks.c.peak_equity))
            return Snapshot(
                state["version"],
                _read_books(connection, state),
                tuple(_read_intents(connection, (IntentState.SENT,))),
                len(connection.execute(recent).all()),
                _read_discrepancies(state),
                max(peaks, default=ZERO),
            )

    def fill_cursor(self) -> int:
        """Return the venue's sequence number up to which fills are booked."""
        with reading(self._prepared()) as connection:
            return int(connection.execute(select(ledger_state.c.fill_cursor)).scalar_one())

    def intent(self, client_order_id: str) -> StoredIntent | None:
        """Return a stored intent."""
        query = select(order_intents).where(order_intents.c.client_order_id == client_order_id)
        with reading(self._prepared()) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _read_intent(row)

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

    def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent, as settled so far."""
        stored = self.intent(client_order_id)
        if stored is None:
            return None
        own_fills = select(fills).where(fills.c.client_order_id == client_order_id).order_by(fills.c.number)
        with reading(self._database) as connection:
            order = _read_order(connection, client_order_id)
            settled = tuple(read_fill(row) for row in connection.execute(own_fills).mappings())
        reasons = ("uncertain",) if stored.state is IntentState.SENT else stored.reasons
        return Execution(stored.intent, stored.state, order, settled, reasons, stored.updated_at)

    def trades(self, since: datetime | None, symbol: str | None, limit: int | None) -> list[SettledFill]:
        """Return settled fills, newest first."""
        query = select(fills).order_by(fills.c.number.desc())
        if since is not None:
            query = query.where(fills.c.at >= since)
        if symbol is not None:
            query = query.where(fills.c.symbol == symbol)
        with reading(self._prepared()) as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
            owners = _read_owners(connection)
        return [
            SettledFill(row["number"], read_fill(row), row["realised"], owners.get(_intent_id(row), "")) for row in rows
        ]

    def events(self) -> list[Deposit | Fill]:
        """Return every deposit and fill, in the order of their times and then of booking."""
        deposits = (
            select(ledger_entries.c.at, ledger_entries.c.reference, ledger_postings.c.amount)
            .join(ledger_postings, ledger_postings.c.entry == ledger_entries.c.number)
            .where(ledger_entries.c.kind == "deposit", ledger_postings.c.account == "cash")
            .order_by(ledger_entries.c.number)
        )
        with reading(self._prepared()) as connection:
            events: list[Deposit | Fill] = [
                Deposit(row.reference, row.amount, row.at) for row in connection.execute(deposits)
            ]
            booked = connection.execute(select(fills).order_by(fills.c.number)).mappings()
            events.extend(read_fill(row) for row in booked)
        return sorted(events, key=lambda event: event.at)

    def entries(self) -> list[Entry]:
        """Return the ledger's entries with their postings, in booking order."""
        query = (
            select(ledger_entries, ledger_postings.c.account, ledger_postings.c.amount)
            .join(ledger_postings, ledger_postings.c.entry == ledger_entries.c.number)
            .order_by(ledger_entries.c.number, ledger_postings.c.line)
        )
        grouped: dict[int, tuple[str, str, list[Posting]]] = {}
        with reading(self._prepared()) as connection:
            for row in connection.execute(query):
                entry = grouped.setdefault(row.number, (row.kind, row.reference, []))
                entry[2].append(Posting(row.account, row.amount))
        return [Entry(kind, reference, tuple(postings)) for kind, reference, postings in grouped.values()]

    def note_discrepancies(self, found: Sequence[Discrepancy]) -> None:
        """Remember the differences between venue and ledger; an empty list clears them."""
        text = json.dumps([[each.asset, str(each.venue_quantity), str(each.ledger_quantity)] for each in found])
        with reading(self._prepared()) as connection:
            if connection.execute(select(ledger_state.c.discrepancies)).scalar_one() == text:
                return
        with self._writing() as (connection, state):
            if state["discrepancies"] != text:
                _update_state(connection, version=state["version"] + 1, discrepancies=text)

    def start_equity(self, day: str) -> Decimal | None:
        """Return the equity marked for the start of a UTC day."""
        query = select(equity_marks.c.start_equity).where(equity_marks.c.day == day)
        with reading(self._prepared()) as connection:
            return connection.execute(query).scalar()

    def mark_equity(self, day: str, start_equity: Decimal, equity: Decimal) -> None:
        """Mark the start of a day once, and its highest equity as often as it rises."""
        here = equity_marks.c.day == day
        query = select(equity_marks.c.peak_equity).where(here)
        with reading(self._prepared()) as connection:
            peak = connection.execute(query).scalar()
            if peak is not None and equity <= peak:
                return
        with self._writing() as (connection, _):
            peak = connection.execute(query).scalar()
            if peak is None:
                values = {"day": day, "start_equity": start_equity, "peak_equity": max(start_equity, equity)}
                connection.execute(insert(equity_marks).values(values))
            elif equity > peak:
                connection.execute(update(equity_marks).where(here).values(peak_equity=equity))

    def _book_fills(
        self, connection: Connection, state: RowMapping, new_fills: Sequence[tuple[int, Fill]], at: datetime
    ) -> int:
        books, booked, cursor = _read_books(connection, state), 0, state["fill_cursor"]
        for sequence, fill in new_fills:
            cursor = max(cursor, sequence)
            reference = f"{self._venue}:{fill.fill_id}"
            if _is_booked(connection, "fill", reference):
                continue
            booked += 1
            before, (books, entry) = books, post_fill(books, fill)
            self._write_entry(connection, state["last_entry"] + booked, entry, fill.at, reference)
            values = fill_values(fill) | {"venue": self._venue, "realised": entry.realised, "settled_at": at}
            connection.execute(insert(fills).values(number=state["last_fill"] + booked, **values))
            _write_holding(connection, books.holdings[fill.symbol], is_new=fill.symbol not in before.holdings)
        if booked or cursor != state["fill_cursor"]:
            _update_state(
                connection,
                cash=books.cash,
                last_entry=state["last_entry"] + booked,
                last_fill=state["last_fill"] + booked,
                fill_cursor=cursor,
            )
        return booked

    def _write_entry(
        self, connection: Connection, number: int, entry: Entry, at: datetime, reference: str | None = None
    ) -> None:
        values = {"number": number, "kind": entry.kind, "reference": reference or entry.reference, "at": at}
        connection.execute(insert(ledger_entries).values(values))
        lines = [
            {"entry": number, "line": line, "account": posting.account, "amount": posting.amount}
            for line, posting in enumerate(entry.postings)
        ]
        connection.execute(insert(ledger_postings), lines)

    def _prepare(self) -> None:
        if not self._is_prepared:
            ensure_state(self._database, ledger_state, _FIRST_STATE)
            self._is_prepared = True

    def _prepared(self) -> Engine:
        self._prepare()
        return self._database

    def _writing(self) -> AbstractContextManager[tuple[Connection, RowMapping]]:
        return writing(self._prepared(), ledger_state)


def _is_booked(connection: Connection, kind: str, reference: str) -> bool:
    query = select(ledger_entries.c.number).where(
        ledger_entries.c.kind == kind, ledger_entries.c.reference == reference
    )
    return connection.execute(query).first() is not None


def _update_state(connection: Connection, **values: object) -> None:
    connection.execute(update(ledger_state).where(ledger_state.c.id == 1).values(values))


def _read_books(connection: Connection, state: RowMapping) -> Books:
    rows = connection.execute(select(ledger_holdings).order_by(ledger_holdings.c.symbol))
    holdings = {row.symbol: Holding(row.symbol, row.quantity, row.cost, row.realised, row.fees) for row in rows}
    return Books(state["cash"], state["deposits"], holdings)


def _write_holding(connection: Connection, holding: Holding, *, is_new: bool) -> None:
    values = {
        "symbol": holding.symbol,
        "quantity": holding.quantity,
        "cost": holding.cost,
        "realised": holding.realised,
        "fees": holding.fees,
    }
    if is_new:
        connection.execute(insert(ledger_holdings).values(values))
    else:
        here = ledger_holdings.c.symbol == holding.symbol
        connection.execute(update(ledger_holdings).where(here).values(values))


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


def _read_intents(connection: Connection, states: Iterable[IntentState]) -> list[StoredIntent]:
    query = select(order_intents).where(order_intents.c.state.in_([state.value for state in states]))
    ordered = query.order_by(order_intents.c.stored_at, order_intents.c.client_order_id)
    return [_read_intent(row) for row in connection.execute(ordered).mappings()]


def _read_intent(row: RowMapping) -> StoredIntent:
    return StoredIntent(
        OrderIntent(row["owner"], row["source"], read_request(row), row["quoted_price"]),
        IntentState(row["state"]),
        tuple(json.loads(row["reasons"])),
        row["claimed_by"],
        row["claimed_at"],
        row["updated_at"],
    )


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


def _read_owners(connection: Connection) -> Mapping[str, str]:
    rows = connection.execute(select(order_intents.c.client_order_id, order_intents.c.owner))
    return {row.client_order_id: row.owner for row in rows}


def _intent_id(row: RowMapping) -> str:
    """Return the id of the intent that a fill belongs to: its own, or its parent's when it is protective."""
    own: str = row["client_order_id"]
    return own[:-3] if own.endswith(("-sl", "-tp")) else own
