"""What stands over the books in the database: trading states with their history, limits, marks, trailing stops.

A change of state or limits raises the ledger's version in the same transaction, so that no order that was judged
under the old ones can still be claimed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from agents.execution.book_tables import (
    book_limits,
    book_marks,
    trading_state_changes,
    trading_states,
    trailing_stops,
)
from agents.risk.states import StateChange, TradingState
from agents.risk.trailing import TrailingStop
from agents.risk.values import RiskLimits, read_limits

ZERO = Decimal(0)
_DAY_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """A book's results over one UTC day: equity less what was paid in.

    Attributes:
        start_result: None when the day's start was not marked.
    """

    start_result: Decimal | None
    peak_result: Decimal


def read_states(connection: Connection) -> dict[str, StateChange]:
    """Return the present state of every book that ever had another than active, and of the account under `*`."""
    rows = connection.execute(select(trading_states)).mappings()
    return {row["book"]: _read_change(row, is_settled=bool(row["is_settled"])) for row in rows}


def read_history(connection: Connection, book: str | None) -> list[StateChange]:
    """Return changes of state, oldest first."""
    query = select(trading_state_changes).order_by(trading_state_changes.c.number)
    if book is not None:
        query = query.where(trading_state_changes.c.book == book)
    return [_read_change(row, is_settled=True) for row in connection.execute(query).mappings()]


def write_state(connection: Connection, change: StateChange) -> StateChange:
    """Write a change under the next number; call it under the ledger's lock."""
    number = (connection.execute(select(func.max(trading_state_changes.c.number))).scalar() or 0) + 1
    values = {
        "book": change.book,
        "state": change.state.value,
        "changed_by": change.by,
        "reason": change.reason,
        "changed_at": change.at,
        "number": number,
    }
    connection.execute(insert(trading_state_changes).values(values))
    here = trading_states.c.book == change.book
    present = values | {"is_settled": change.is_settled}
    if connection.execute(select(trading_states.c.book).where(here)).first() is None:
        connection.execute(insert(trading_states).values(present))
    else:
        connection.execute(update(trading_states).where(here).values(present))
    return StateChange(change.book, change.state, change.by, change.reason, change.at, change.is_settled, number)


def settle_state(connection: Connection, book: str, number: int) -> bool:
    """Note that a halt is done, unless another change came since."""
    here = (trading_states.c.book == book, trading_states.c.number == number, trading_states.c.is_settled.is_(False))
    return connection.execute(update(trading_states).where(*here).values(is_settled=True)).rowcount == 1


def read_all_limits(connection: Connection) -> dict[str, RiskLimits]:
    """Return the limits of every book that has some.

    Raises:
        ConfigError: A stored setting is not one that the gate knows.
    """
    rows = connection.execute(select(book_limits))
    return {row.book: read_limits(json.loads(row.limits)) for row in rows}


def write_limits(connection: Connection, book: str, limits: RiskLimits) -> bool:
    """Write a book's limits; return whether they differ from those before."""
    values = {each.name: getattr(limits, each.name) for each in fields(limits)}
    text = json.dumps({name: None if value is None else str(value) for name, value in values.items()}, sort_keys=True)
    here = book_limits.c.book == book
    known = connection.execute(select(book_limits.c.limits).where(here)).scalar()
    if known is None:
        connection.execute(insert(book_limits).values(book=book, limits=text))
    elif known != text:
        connection.execute(update(book_limits).where(here).values(limits=text))
    return known != text


def read_marks(connection: Connection, day: str) -> dict[str, Mark]:
    """Return by book the result at the start of a day (where it was marked) and the highest result ever marked."""
    found: dict[str, Mark] = {}
    starts = select(book_marks.c.book, book_marks.c.start_result).where(book_marks.c.day == day)
    start = {row.book: row.start_result for row in connection.execute(starts)}
    for row in connection.execute(select(book_marks.c.book, book_marks.c.peak_result)):
        known = found.get(row.book)
        peak = row.peak_result if known is None else max(known.peak_result, row.peak_result)
        found[row.book] = Mark(start.get(row.book), peak)
    return found


def write_mark(connection: Connection, book: str, day: str, mark: Mark) -> bool:
    """Write the start of a day once, and its highest result as often as it rises; return whether anything changed."""
    here = (book_marks.c.book == book, book_marks.c.day == day)
    known = connection.execute(select(book_marks.c.peak_result).where(*here)).scalar()
    if known is None:
        start = mark.peak_result if mark.start_result is None else mark.start_result
        values = {"start_result": start, "peak_result": mark.peak_result}
        connection.execute(insert(book_marks).values(book=book, day=day[:_DAY_LENGTH], **values))
        return True
    if mark.peak_result > known:
        connection.execute(update(book_marks).where(*here).values(peak_result=mark.peak_result))
        return True
    return False


def reset_peak(connection: Connection, book: str, result: Decimal) -> None:
    """Let the drawdown of a book count from its present result."""
    connection.execute(update(book_marks).where(book_marks.c.book == book).values(peak_result=result))


def read_trails(connection: Connection) -> dict[str, TrailingStop]:
    """Return the trailing stops by the client order id of the entry that they follow."""
    return {
        row.client_order_id: TrailingStop(row.distance, row.activation, row.best, row.stop)
        for row in connection.execute(select(trailing_stops).order_by(trailing_stops.c.client_order_id))
    }


def write_trail(connection: Connection, client_order_id: str, trail: TrailingStop) -> None:
    """Write a trailing stop as it stands."""
    values = {
        "distance": trail.distance,
        "activation": trail.activation,
        "best": trail.best,
        "stop": trail.stop,
    }
    here = trailing_stops.c.client_order_id == client_order_id
    if connection.execute(select(trailing_stops.c.client_order_id).where(here)).first() is None:
        connection.execute(insert(trailing_stops).values(client_order_id=client_order_id, **values))
    else:
        connection.execute(update(trailing_stops).where(here).values(values))


def drop_trail(connection: Connection, client_order_id: str) -> None:
    """Forget a trailing stop; harmless when there is none."""
    connection.execute(delete(trailing_stops).where(trailing_stops.c.client_order_id == client_order_id))


def _read_change(row: RowMapping | Mapping[str, object], *, is_settled: bool) -> StateChange:
    at, number = row["changed_at"], row["number"]
    assert isinstance(at, datetime), "the column holds times"
    assert isinstance(number, int), "the column holds numbers"
    state = TradingState(str(row["state"]))
    return StateChange(
        str(row["book"]), state, str(row["changed_by"]), str(row["reason"]), at, is_settled=is_settled, number=number
    )
