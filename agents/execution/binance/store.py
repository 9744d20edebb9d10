"""The adapter's own record: reads and single-transaction writes on its tables.

Sequence numbers are given out under the lock of the state row, only to trades whose fee is known in quote currency,
and never twice. A leg moves only from the phase that its caller saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, and_, bindparam, func, insert, or_, select, update

from agents.execution.binance.tables import (
    binance_incidents,
    binance_legs,
    binance_orders,
    binance_releases,
    binance_state,
    binance_trades,
)
from agents.execution.binance.values import FeeDetail, Incident, Leg, Phase, Role, Told, Tracked, VenueTrade
from agents.execution.rows import DatabaseFailed, ensure_state, read_request, reading, request_values, writing
from engine.domain.errors import CopilotError, VenueUnavailable
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Side

_FIRST_STATE = {"last_sequence": 0, "last_number": 0}
_LEG_FIELDS = [each.name for each in fields(Leg)]
ZERO = Decimal(0)


class Store:
    """The record of one venue.

    Args:
        database: Where the tables live.
        venue: Name of the venue; rows of others are not seen.

    Every method raises `VenueUnavailable` when the database does not answer.
    """

    def __init__(self, database: Engine, venue: str) -> None:
        self._database = database
        self._venue = venue
        self._name = {"venue": venue}
        self._is_prepared = False
        self.version = 0
        """Rises with every write of this object."""

    def order(self, client_order_id: str) -> Tracked | None:
        """Return an order of ours."""
        with self._reading() as connection:
            found = self._rows(connection, binance_orders, client_order_id=client_order_id)
        return _read_order(found[0]) if found else None

    def orders(self, *, unfinished: bool) -> list[Tracked]:
        """Return orders, oldest first; all of them, or those that are not final."""
        query = self._of(binance_orders).order_by(binance_orders.c.number)
        if unfinished:
            query = query.where(binance_orders.c.status.not_in([each.value for each in OrderStatus if each.is_final]))
        with self._reading() as connection:
            return [_read_order(row) for row in connection.execute(query).mappings()]

    def children(self, entry_id: str) -> list[Tracked]:
        """Return every protective child that an entry ever had, oldest first."""
        with self._reading() as connection:
            return [_read_order(row) for row in self._rows(connection, binance_orders, "number", parent_id=entry_id)]

    def legs(self, **where: str) -> list[Leg]:
        """Return the legs with some column values, oldest first."""
        with self._reading() as connection:
            return [_read_leg(row) for row in self._rows(connection, binance_legs, "number", **where)]

    def open_legs(self) -> list[Leg]:
        """Return the legs of which something is still to be learnt, oldest first."""
        with self._reading() as connection:
            return [_read_leg(row) for row in self._rows(connection, binance_legs, "number", is_open=True)]

    def unfinished_entries(self) -> list[tuple[str, str]]:
        """Return symbol and id of every entry whose protection is wanted or whose fate is open."""
        with self._reading() as connection:
            return [(row.symbol, row.client_order_id) for row in connection.execute(_UNFINISHED, self._name)]

    def add_order(
        self, orders: Sequence[Tracked], legs: Sequence[Leg], releases: Sequence[tuple[str, Decimal]] = ()
    ) -> bool:
        """Write an order down with its children and its first leg; False when its id is taken."""
        with self._writing() as (connection, state):
            first = orders[0].request.client_order_id
            if connection.execute(self._of(binance_orders, client_order_id=first)).first():
                return False
            number = state["last_number"]
            for order in orders:
                number += 1
                self._insert_order(connection, replace(order, number=number))
            for leg in legs:
                number += 1
                self._insert_leg(connection, replace(leg, number=number))
            for position, (entry_id, quantity) in enumerate(releases):
                values = {"client_order_id": first, "position": position, "entry_id": entry_id, "quantity": quantity}
                connection.execute(insert(binance_releases).values(venue=self._venue, **values))
            _count(connection, last_number=number)
            return True

    def add_children(self, children: Sequence[Tracked]) -> None:
        """Write new children down; they take the place of the current ones of their kind."""
        with self._writing() as (connection, state):
            number = state["last_number"]
            for child in children:
                number += 1
                self._insert_order(connection, replace(child, number=number))
            _count(connection, last_number=number)

    def add_legs(self, legs: Sequence[Leg]) -> None:
        """Write legs down before they are sent."""
        with self._writing() as (connection, state):
            number = state["last_number"]
            for leg in legs:
                number += 1
                self._insert_leg(connection, replace(leg, number=number))
            _count(connection, last_number=number)

    def revive(self, leg: Leg) -> bool:
        """Hand a leg over again that surely never reached the venue; False when somebody else moved it."""
        with self._writing() as (connection, _):
            changed = connection.execute(
                self._at(binance_legs, leg_id=leg.leg_id)
                .where(binance_legs.c.phase == Phase.UNSENT.value)
                .values(**_changed_values(leg))
            )
            return changed.rowcount == 1

    def save_leg(self, leg: Leg, seen: Leg) -> bool:
        """Store what was learnt of a leg, if nobody stored something else since it was seen."""
        if leg == seen:
            return True
        with self._writing() as (connection, _):
            statement = self._at(binance_legs, leg_id=leg.leg_id).where(
                binance_legs.c.phase == seen.phase.value,
                binance_legs.c.status == seen.status.value,
                binance_legs.c.filled_quantity == seen.filled_quantity,
                binance_legs.c.settled_quantity == seen.settled_quantity,
            )
            return connection.execute(statement.values(**_changed_values(leg))).rowcount == 1

    def save_order(self, order: Tracked) -> None:
        """Store what became of an order."""
        values = {**request_values(order.request), **_order_values(order)}
        with self._writing() as (connection, _):
            connection.execute(self._at(binance_orders, client_order_id=order.request.client_order_id).values(**values))

    def add_trades(self, leg: Leg, trades: Iterable[VenueTrade]) -> Decimal:
        """Store trades of a leg once each, and return how much of it is settled now."""
        with self._writing() as (connection, _):
            for trade in trades:
                known = self._of(binance_trades, symbol=leg.symbol, trade_id=trade.trade_id)
                if connection.execute(known).first() is None:
                    values = {
                        "venue": self._venue,
                        "symbol": leg.symbol,
                        "trade_id": trade.trade_id,
                        "leg_id": leg.leg_id,
                        "client_order_id": leg.client_order_id,
                        "entry_id": leg.entry_id,
                        "side": leg.side.value,
                        "quantity": trade.quantity,
                        "price": trade.price,
                        "fee_asset": trade.fee_asset,
                        "fee_amount": trade.fee_amount,
                        "is_maker": trade.is_maker,
                        "at": trade.at,
                    }
                    connection.execute(insert(binance_trades).values(**values))
            rows = connection.execute(
                select(binance_trades.c.quantity).where(
                    binance_trades.c.venue == self._venue, binance_trades.c.leg_id == leg.leg_id
                )
            )
            return sum((row.quantity for row in rows), ZERO)

    def unpriced(self) -> list[RowMapping]:
        """Return the trades whose fee is not counted in quote currency yet, oldest first."""
        query = self._of(binance_trades).where(binance_trades.c.sequence.is_(None))
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return sorted(rows, key=lambda row: (row["at"], int(row["trade_id"]) if row["trade_id"].isdigit() else 0))

    def price_fee(self, row: RowMapping, fee: Decimal, fee_price: Decimal) -> None:
        """Give a trade its fee and the next sequence number, once."""
        with self._writing() as (connection, state):
            sequence = state["last_sequence"] + 1
            changed = connection.execute(
                self._at(binance_trades, symbol=row["symbol"], trade_id=row["trade_id"])
                .where(binance_trades.c.sequence.is_(None))
                .values(sequence=sequence, fee=fee, fee_price=fee_price)
            )
            if changed.rowcount == 1:
                _count(connection, last_sequence=sequence)

    def fills(self, after: int) -> list[tuple[int, Fill]]:
        """Return fills with a sequence number above `after`, in order."""
        query = self._of(binance_trades).where(binance_trades.c.sequence > after)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(binance_trades.c.sequence)).mappings().all()
        return [(row["sequence"], _read_fill(row)) for row in rows]

    def last_sequence(self) -> int:
        """Return the highest sequence number given out for this venue."""
        query = select(func.max(binance_trades.c.sequence)).where(binance_trades.c.venue == self._venue)
        with self._reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    def begun_at(self) -> datetime | None:
        """Return when the first order of this venue was handed over."""
        query = select(binance_legs.c.handed_at).where(binance_legs.c.venue == self._venue)
        with self._reading() as connection:
            found: datetime | None = connection.execute(query.order_by(binance_legs.c.number).limit(1)).scalar()
        return found

    def fee_details(self, fill_id: str) -> FeeDetail | None:
        """Return what a fill cost, as the venue took it."""
        symbol, _, trade_id = fill_id.rpartition(":")
        with self._reading() as connection:
            found = self._rows(connection, binance_trades, symbol=symbol, trade_id=trade_id)
        if not found or found[0]["fee"] is None:
            return None
        row = found[0]
        return FeeDetail(fill_id, row["fee_asset"], row["fee_amount"], row["fee_price"], row["fee"])

    def trades(self, **where: str) -> list[RowMapping]:
        """Return stored trades with some column values, oldest first."""
        with self._reading() as connection:
            rows = self._rows(connection, binance_trades, **where)
        return sorted(rows, key=lambda row: row["at"])

    def releases(self, **where: str) -> list[RowMapping]:
        """Return what closing orders take from entries, in their order."""
        with self._reading() as connection:
            return self._rows(connection, binance_releases, "client_order_id", "position", **where)

    def tell(
        self, code: Incident, client_order_id: str, symbol: str, at: datetime, detail: Mapping[str, str]
    ) -> Told | None:
        """Note an incident; None when the same one is the last that was noted for this order."""
        with self._writing() as (connection, state):
            last = (
                connection.execute(
                    self._of(binance_incidents, client_order_id=client_order_id, code=code.value)
                    .order_by(binance_incidents.c.number.desc())
                    .limit(1)
                )
                .mappings()
                .first()
            )
            text = json.dumps(dict(detail), sort_keys=True)
            if last is not None and last["detail"] == text and (at - last["at"]).total_seconds() < _REPEAT_S:
                return None
            number = state["last_number"] + 1
            values = {
                "number": number,
                "code": code.value,
                "client_order_id": client_order_id,
                "symbol": symbol,
                "detail": text,
                "at": at,
            }
            connection.execute(insert(binance_incidents).values(venue=self._venue, **values))
            _count(connection, last_number=number)
            return Told(number, code, client_order_id, symbol, at, dict(detail))

    def incidents(self, after: int) -> list[Told]:
        """Return incidents with a number above `after`, in order."""
        query = self._of(binance_incidents).where(binance_incidents.c.number > after)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(binance_incidents.c.number)).mappings().all()
        return [
            Told(
                row["number"],
                Incident(row["code"]),
                row["client_order_id"],
                row["symbol"],
                row["at"],
                json.loads(row["detail"]),
            )
            for row in rows
        ]

    def _rows(self, connection: Connection, table: Table, *order: str, **where: object) -> list[RowMapping]:
        """Return rows with some column values, by a statement that is built once."""
        statement = _selection(table, tuple(where), order)
        return list(connection.execute(statement, {**self._name, **where}).mappings())

    def _of(self, table: Table, **where: str) -> Any:
        return select(table).where(self._here(table, where))

    def _at(self, table: Table, **where: str) -> Any:
        return update(table).where(self._here(table, where))

    def _here(self, table: Table, where: Mapping[str, str]) -> Any:
        return and_(table.c.venue == self._venue, *(table.c[name] == value for name, value in where.items()))

    def _insert_order(self, connection: Connection, order: Tracked) -> None:
        values = {**request_values(order.request), **_order_values(order), "number": order.number}
        connection.execute(insert(binance_orders).values(venue=self._venue, created_at=order.created_at, **values))

    def _insert_leg(self, connection: Connection, leg: Leg) -> None:
        connection.execute(insert(binance_legs).values(venue=self._venue, **_leg_values(leg)))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._prepare()
        try:
            with reading(self._database) as connection:
                yield connection
        except DatabaseFailed as error:
            raise VenueUnavailable(f"the adapter's database cannot be read: {error}") from error

    @contextmanager
    def _writing(self, failure: type[CopilotError] = VenueUnavailable) -> Iterator[tuple[Connection, RowMapping]]:
        self._prepare()
        try:
            with writing(self._database, binance_state) as opened:
                self.version += 1
                yield opened
        except DatabaseFailed as error:
            raise failure(f"the adapter's database cannot be written: {error}") from error

    def _prepare(self) -> None:
        if self._is_prepared:
            return
        try:
            ensure_state(self._database, binance_state, _FIRST_STATE)
        except DatabaseFailed as error:
            raise VenueUnavailable(f"the adapter's database cannot be prepared: {error}") from error
        self._is_prepared = True


@cache
def _selection(table: Table, columns: tuple[str, ...], order: tuple[str, ...]) -> Any:
    wanted = [table.c[name] == bindparam(name) for name in ("venue", *columns)]
    return select(table).where(*wanted).order_by(*(table.c[name] for name in order))


def _unfinished() -> Any:
    """Return the statement for entries whose protection is wanted or whose fate is open."""
    final = [each.value for each in OrderStatus if each.is_final]
    child = binance_orders.alias()
    wanted = select(child.c.client_order_id).where(
        child.c.venue == bindparam("venue"),
        child.c.parent_id == binance_orders.c.client_order_id,
        child.c.status.not_in(final),
    )
    return (
        select(binance_orders.c.symbol, binance_orders.c.client_order_id)
        .where(binance_orders.c.venue == bindparam("venue"), binance_orders.c.parent_id.is_(None))
        .where(or_(binance_orders.c.status.not_in(final), wanted.exists()))
        .order_by(binance_orders.c.number)
    )


_UNFINISHED = _unfinished()
_REPEAT_S = 3600
"""The same incident of the same order is told once an hour."""


def _count(connection: Connection, **values: int) -> None:
    connection.execute(update(binance_state).where(binance_state.c.id == 1).values(**values))


def _order_values(order: Tracked) -> dict[str, object]:
    return {
        "takes": json.dumps([[entry_id, str(quantity)] for entry_id, quantity in order.request.takes]),
        "status": order.status.value,
        "reason": order.reason,
        "parent_id": order.parent_id,
        "is_current": order.is_current,
        "updated_at": order.updated_at,
    }


def _leg_values(leg: Leg) -> dict[str, object]:
    values = {name: getattr(leg, name) for name in _LEG_FIELDS}
    plain = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
    return {**plain, "is_open": leg.is_open}


def _changed_values(leg: Leg) -> dict[str, object]:
    """Return what may change of a leg; its number was given when it was written down."""
    return {name: value for name, value in _leg_values(leg).items() if name != "number"}


def _read_leg(row: RowMapping) -> Leg:
    values: dict[str, Any] = {name: row[name] for name in _LEG_FIELDS}
    values |= {
        "role": Role(row["role"]),
        "side": Side(row["side"]),
        "order_type": OrderType(row["order_type"]),
        "phase": Phase(row["phase"]),
        "status": OrderStatus(row["status"]),
    }
    values["is_confirmed"] = bool(row["is_confirmed"])
    return Leg(**values)


def _read_order(row: RowMapping) -> Tracked:
    request: OrderRequest = read_request(row)
    takes = tuple((entry_id, Decimal(quantity)) for entry_id, quantity in json.loads(row["takes"]))
    return Tracked(
        replace(request, takes=takes),
        row["number"],
        OrderStatus(row["status"]),
        row["reason"],
        row["parent_id"],
        bool(row["is_current"]),
        row["created_at"],
        row["updated_at"],
    )


def _read_fill(row: RowMapping) -> Fill:
    in_kind = row["fee_amount"] and row["fee_asset"] != row["symbol"].rpartition("/")[2]
    return Fill(
        f"{row['symbol']}:{row['trade_id']}",
        row["client_order_id"],
        row["symbol"],
        Side(row["side"]),
        row["quantity"],
        row["price"],
        row["fee"],
        bool(row["is_maker"]),
        row["at"],
        row["fee_asset"] if in_kind else "",
        row["fee_amount"] if in_kind else ZERO,
    )
