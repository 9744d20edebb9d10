"""Between domain values and table rows: the columns that several tables share, and the transactions on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Insert, RowMapping, Table, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from engine.domain.errors import DataUnavailable
from engine.domain.orders import Fill, OrderRequest, OrderType, Side


class DatabaseFailed(DataUnavailable):
    """The database did not answer; a change that was being committed may stand or not."""


@contextmanager
def reading(database: Engine) -> Iterator[Connection]:
    """Open one consistent snapshot; nothing is written and no writer is kept waiting."""
    with (
        _our_errors(),
        database.connect().execution_options(read_only=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def changing(database: Engine) -> Iterator[Connection]:
    """Open one write transaction; on SQLite it holds the only write lock from its start.

    Raises:
        DatabaseFailed: The database did not answer; what was being committed may stand or not.
    """
    with _our_errors(), database.begin() as connection:
        yield connection


@contextmanager
def writing(database: Engine, lock: Table) -> Iterator[tuple[Connection, RowMapping]]:
    """Open a write transaction that holds the one state row of a group of tables (`ensure_state` made it).

    SQLite locks the whole database when a write transaction begins; elsewhere the row is locked, as the first
    statement, so that everything read afterwards is current.
    """
    with _our_errors(), database.begin() as connection:
        row = connection.execute(select(lock).where(lock.c.id == 1).with_for_update()).mappings().one()
        yield connection, row


def ensure_state(database: Engine, lock: Table, first: Mapping[str, object], *also: Insert) -> None:
    """Make the state row of a group of tables, and what belongs beside it, unless it is there."""
    query = select(lock.c.id).where(lock.c.id == 1)
    with reading(database) as connection:
        if connection.execute(query).first():
            return
    with _our_errors():
        try:
            with database.begin() as connection:
                if connection.execute(query).first():
                    return
                connection.execute(insert(lock).values(id=1, **first))
                for statement in also:
                    connection.execute(statement)
        except IntegrityError:
            return  # another process made it just now


def insert_once(database: Engine, *statements: Insert) -> None:
    """Insert rows together unless a key is taken already."""
    with _our_errors():
        try:
            with database.begin() as connection:
                for statement in statements:
                    connection.execute(statement)
        except IntegrityError:
            return


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseFailed(f"the database did not answer: {str(cause).splitlines()[0]}") from error


def request_values(request: OrderRequest) -> dict[str, object]:
    """Return an order's terms as column values, its id included."""
    return {
        "client_order_id": request.client_order_id,
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "quantity": request.quantity,
        "price": request.price,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
        "is_reduce_only": request.is_reduce_only,
    }


def read_request(row: RowMapping) -> OrderRequest:
    """Return the order's terms that a row holds."""
    return OrderRequest(
        row["client_order_id"],
        row["symbol"],
        Side(row["side"]),
        OrderType(row["order_type"]),
        row["quantity"],
        row["price"],
        row["stop_loss"],
        row["take_profit"],
        bool(row["is_reduce_only"]),
    )


def fill_values(fill: Fill) -> dict[str, object]:
    """Return a fill as column values."""
    return {
        "fill_id": fill.fill_id,
        "client_order_id": fill.client_order_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price": fill.price,
        "fee": fill.fee,
        "is_maker": fill.is_maker,
        "at": fill.at,
    }


def read_fill(row: RowMapping) -> Fill:
    """Return the fill that a row holds."""
    return Fill(
        row["fill_id"],
        row["client_order_id"],
        row["symbol"],
        Side(row["side"]),
        row["quantity"],
        row["price"],
        row["fee"],
        bool(row["is_maker"]),
        row["at"],
    )
