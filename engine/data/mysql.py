"""Read bars out of MySQL or MariaDB, whatever their tables look like.

A table is read in ranges of a key, each with its own short query: the time when an index leads to it (after the
symbol, if there is one), else a whole-number primary key; without either, in one go. Rows are never skipped by
counting. The server joins the cells of a row into one text, because a driver in Python spends most of its time on
making an object of every cell; the texts are read as columns afterwards.

Times that the server keeps as instants (`TIMESTAMP`) arrive as UTC; others are read as the clock that wrote them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, NoReturn

from sqlalchemy import (
    Column,
    Engine,
    MetaData,
    NullPool,
    Select,
    Table,
    create_engine,
    func,
    inspect,
    literal_column,
    select,
    text,
    types,
)
from sqlalchemy.dialects.mysql import FLOAT, TIMESTAMP
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.sql import ColumnElement

from engine.data.cells import SEPARATOR
from engine.data.chunked import TryAgain
from engine.data.naming import parse_symbol
from engine.data.tables import (
    PER_SECOND,
    TableMapping,
    match_timeframe,
    match_value,
    name_columns,
    name_table,
    named_symbols,
)  # fmt: skip
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.sessions import DAY_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe

ROWS_AT_ONCE = 20_000
"""Rows that the driver hands over together."""
_MOST_RANGES = 4096
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # a clock of an unnamed zone
_CONNECT_S, _READ_S = 10, 300
_GONE = frozenset({1053, 1152, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055, 1205, 1213, 1040, 1203})
"""Server shut down, connection lost, killed or refused, too many connections, lock waits: it may work in a moment."""
_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1698})
_NO_DATABASE = 1049

_log = logging.getLogger(__name__)
TimeKind = Literal["wall", "instant", "number", "text"]


@dataclass(frozen=True, slots=True)
class Key:
    """What a table is read by, in ranges of whole numbers.

    Attributes:
        column: The column that the ranges are over.
        kind: `time` counts seconds of the table's clock, `day` the same in whole days, `number` seconds in
            `per_second` parts, `id` the column's own numbers.
        per_second: Parts of a second of a `number`.
    """

    column: ColumnElement[Any]
    kind: Literal["time", "day", "number", "id"]
    per_second: int = 1

    def literal(self, key: int) -> object:
        """Return a key as the column holds it."""
        match self.kind:
            case "time":
                return _EPOCH + timedelta(seconds=key)
            case "day":
                return (_EPOCH + timedelta(seconds=key)).date()
            case "number":
                return key * self.per_second
            case "id":
                return key

    def number(self, value: Any) -> int:
        """Return what the column holds as a key, rounded down."""
        if isinstance(value, datetime):
            return int((value.replace(tzinfo=None) - _EPOCH) // timedelta(seconds=1))
        if isinstance(value, date):
            return (value - _EPOCH.date()).days * DAY_S
        return int(value) // self.per_second


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """How to read one symbol's bars.

    Attributes:
        table: The table's name.
        cells: Our name of each cell of a row, in the order of the query.
        time_kind: What the cell `time` holds.
        per_second: Its parts of a second, for numbers.
        query: All its rows, without order or limits; one text column.
        key: What it is read by; None where only one pass over all of it will do.
        first, last: The least and the greatest key, None in an empty table.
        fingerprint: What all of this was read from; holds no password.
    """

    symbol: str
    timeframe: Timeframe
    table: str
    cells: tuple[str, ...]
    time_kind: TimeKind
    per_second: int
    query: Select[Any]
    key: Key | None
    first: int | None
    last: int | None
    fingerprint: str

    def ranges(self, watermark: int | None, rows: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of keys with about so many rows each, from the watermark to the end."""
        if self.first is None or self.last is None:
            return
        start = self.first if watermark is None else max(self.first, watermark)
        end = self.last + 1
        width = end - start
        if self.key is not None:
            per_row = 1 if self.key.kind == "id" else TIMEFRAME_S[self.timeframe]
            width = max(rows * per_row, -(-width // _MOST_RANGES))
        if self.key is not None and self.key.kind == "day":
            width = -(-width // DAY_S) * DAY_S
        for first in range(start, end, max(1, width)):
            yield first, min(first + width, end)

    def between(self, first: int, end: int) -> Select[Any]:
        """Return the query for the keys of a range."""
        if self.key is None:
            return self.query
        column = self.key.column
        # The last range has no upper limit: rows of the last second, or of the last day, end after its key.
        limits = [column >= self.key.literal(first)]
        if self.last is not None and end <= self.last:
            limits.append(column < self.key.literal(end))
        return self.query.where(*limits).order_by(column)


class MySqlBars:
    """A database with tables of bars.

    Args:
        url: SQLAlchemy URL, such as `mysql+pymysql://user:password@host/name`.
        mapping: Where the bars lie, as far as it is not to be guessed.

    Raises:
        InvalidRequest: The URL names no MySQL or MariaDB.
    """

    def __init__(self, url: str, mapping: TableMapping) -> None:
        self._database = _connect(url)
        self._mapping = mapping
        self._name = self._database.url.render_as_string(hide_password=True)

    def series(self, symbols: Sequence[str], timeframe: Timeframe) -> tuple[SeriesTable, ...]:
        """Return how to read each symbol; without symbols, all that the tables tell of.

        Raises:
            TryAgain: The server does not answer.
            DataUnavailable: It refuses access, or has no such database.
            InvalidRequest: A table, column or symbol is not there; the message lists what is.
        """
        with self._opened() as connection:
            inspector = inspect(connection)
            available = [*inspector.get_table_names(), *inspector.get_view_names()]
            if not available:
                raise InvalidRequest("ingest_no_tables", database=self._database.url.database or "")
            wanted = [_ours(symbol) for symbol in symbols] or self._all_symbols(connection, available, timeframe)
            return tuple(
                _Planner(connection, self._mapping, self._name, timeframe).plan(
                    symbol, name_table(symbol, available, self._mapping, timeframe)
                )
                for symbol in dict.fromkeys(wanted)
            )

    def rows(self, query: Select[Any]) -> Iterator[list[str]]:
        """Yield the rows of a query in the order of the server, some thousands at a time.

        Raises:
            TryAgain: The connection was lost; what was yielded is right, the rest is unknown.
        """
        with self._opened() as connection:
            result = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE).execute(query)
            is_whole = False
            try:
                yield from (list(part) for part in result.scalars().partitions(ROWS_AT_ONCE))
                is_whole = True
            finally:
                if not is_whole:
                    _abandon(connection, result.cursor)

    def close(self) -> None:
        """Let go of the database."""
        self._database.dispose()

    def _all_symbols(self, connection: Connection, available: Sequence[str], timeframe: Timeframe) -> list[str]:
        """Return every symbol that a symbol's column, or else the tables' names, tell of."""
        if self._mapping.symbols:
            return list(self._mapping.symbols)
        told = list(named_symbols(available, self._mapping, timeframe))
        name = self._mapping.table if self._mapping.table in available else available[0]
        if (told and self._mapping.table is None) or (self._mapping.table or name) not in available:
            return told
        assert name is not None
        planner = _Planner(connection, self._mapping, self._name, timeframe)
        found = [symbol for value in planner.symbol_values(name) if (symbol := parse_symbol(value))]
        if not found:
            raise InvalidRequest("ingest_symbol_unknown", file=name, symbol=", ".join(planner.symbol_values(name)))
        return found

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        try:
            with self._database.connect() as connection:
                yield connection
        except DBAPIError as error:
            _raise_ours(error, self._name)
        except NoSuchTableError as error:
            raise InvalidRequest("ingest_table_missing", table=str(error), found="") from error
        except SQLAlchemyError as error:
            raise DataUnavailable(f"{self._name} cannot be read: {error}") from error


class _Planner:
    """Find out, over one connection, how to read a series."""

    def __init__(self, connection: Connection, mapping: TableMapping, database: str, timeframe: Timeframe) -> None:
        self._connection, self._mapping, self._database = connection, mapping, database
        self._timeframe = timeframe

    def symbol_values(self, name: str) -> list[str]:
        """Return what the symbol's column of a table holds; nothing when it has none."""
        table = self._reflect(name)
        column = name_columns(name, table.columns.keys(), self._mapping).get("symbol")
        return [] if column is None else self._values(table.c[column])

    def plan(self, symbol: str, name: str) -> SeriesTable:
        table = self._reflect(name)
        names = name_columns(name, table.columns.keys(), self._mapping)
        filters = self._filters(symbol, name, table, names)
        kind, time_cell, key = self._time(table, names)
        key = key if key is not None and self._leads(table, names, key) else _primary_number(table)
        if key is None:
            _log.warning(
                "%s has no index that leads to its time and no whole-number primary key: it is read in one pass, "
                "every time from its start",
                name,
            )
        first, last = self._limits(key, filters)
        cells = {"time": time_cell, **{ours: table.c[names[ours]] for ours in _numbers_of(names)}}
        return SeriesTable(
            symbol=symbol,
            timeframe=self._timeframe,
            table=name,
            cells=tuple(cells),
            time_kind=kind,
            per_second=self._unit(table.c[names["time"]]) if kind == "number" else 1,
            query=select(func.concat_ws(SEPARATOR, *map(_as_text, cells.values()))).where(*filters),
            key=key,
            first=first,
            last=last,
            fingerprint=repr(
                (self._database, name, sorted(names.items()), symbol, self._timeframe, str(self._mapping), str(key))
            ),
        )

    def _reflect(self, name: str) -> Table:
        return Table(name, MetaData(), autoload_with=self._connection, resolve_fks=False)

    def _values(self, column: Column[Any]) -> list[str]:
        return [str(value) for value in self._connection.scalars(select(column).distinct()) if value is not None]

    def _filters(self, symbol: str, name: str, table: Table, names: dict[str, str]) -> list[ColumnElement[bool]]:
        filters: list[ColumnElement[bool]] = []
        if "symbol" in names:
            column = table.c[names["symbol"]]
            filters.append(column == match_value(symbol, self._values(column), name, column.name, self._mapping))
        if "timeframe" in names:
            column = table.c[names["timeframe"]]
            filters.append(column == match_timeframe(self._timeframe, self._values(column), name, column.name))
        return filters

    def _time(self, table: Table, names: dict[str, str]) -> tuple[TimeKind, ColumnElement[Any], Key | None]:
        column = table.c[names["time"]]
        if "date" in names:
            return self._date_and_time(table.c[names["date"]], column)
        if isinstance(column.type, TIMESTAMP):
            return "instant", _seconds(column), Key(column, "time")
        if isinstance(column.type, types.DateTime):
            return "wall", _seconds(column), Key(column, "time")
        if isinstance(column.type, types.Date):
            return "wall", _seconds(column), Key(column, "day")
        if isinstance(column.type, types.Numeric | types.Integer):
            return "number", column, Key(column, "number", self._unit(column))
        return "text", column, None

    def _date_and_time(self, day: Column[Any], time: Column[Any]) -> tuple[TimeKind, ColumnElement[Any], Key | None]:
        if isinstance(day.type, types.Date) and isinstance(time.type, types.Time):
            return "wall", _seconds(func.timestamp(day, time)), Key(day, "day")
        joined = func.concat(day, " ", time)
        return "text", joined, Key(day, "day") if isinstance(day.type, types.Date) else None

    def _unit(self, column: Column[Any]) -> int:
        if self._mapping.time_unit != "auto":
            return PER_SECOND[self._mapping.time_unit]
        greatest = self._connection.scalar(select(func.max(column)))
        return _guess_unit(float(greatest or 0))

    def _leads(self, table: Table, names: dict[str, str], key: Key) -> bool:
        """Tell whether an index leads to ranges of the key: only columns that are fixed may stand before it."""
        fixed = {names[ours] for ours in ("symbol", "timeframe") if ours in names}
        indexes = [[column.name for column in table.primary_key.columns]]
        indexes += [[column.name for column in index.columns] for index in table.indexes]
        for columns in indexes:
            free = next((name for name in columns if name not in fixed), None)
            before = set(columns[: columns.index(free)]) if free is not None else set()
            # A symbol that no index finds would make every range a walk over the rows of all symbols.
            if free == getattr(key.column, "name", None) and ("symbol" not in names or names["symbol"] in before):
                return True
        return False

    def _limits(self, key: Key | None, filters: Sequence[ColumnElement[bool]]) -> tuple[int | None, int | None]:
        if key is None:
            return 0, 0
        row = self._connection.execute(select(func.min(key.column), func.max(key.column)).where(*filters)).one()
        return (None, None) if row[0] is None else (key.number(row[0]), key.number(row[1]))


def _connect(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("mysql", "mariadb"):
            raise InvalidRequest("ingest_database_url", found=parsed.drivername)
        if "+" not in parsed.drivername:
            parsed = parsed.set(drivername=f"{parsed.drivername}+pymysql")
        settings = f"SET time_zone = '+00:00', net_write_timeout = {_READ_S}"
        return create_engine(
            parsed,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"init_command": settings, "connect_timeout": _CONNECT_S, "read_timeout": _READ_S},
        )
    except (ArgumentError, ImportError, ValueError) as error:
        # The URL itself is left out of the message: it may hold a password.
        raise InvalidRequest("ingest_database_url", found=type(error).__name__) from error


def _raise_ours(error: DBAPIError, database: str) -> NoReturn:
    arguments = getattr(error.orig, "args", ())
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    detail = " ".join(str(part) for part in arguments[1:]) or str(error.orig)
    is_torn = number == 0 and isinstance(error, InterfaceError | InternalError)
    if number in _GONE or error.connection_invalidated or is_torn:
        raise TryAgain(f"{database}: {detail}") from error
    if number in _DENIED:
        message = f"{database} refuses access: {detail}"
        raise DataUnavailable(message, code="ingest_access_denied", database=database) from error
    if number == _NO_DATABASE:
        raise DataUnavailable(f"{database}: {detail}", code="ingest_no_database", database=database) from error
    raise DataUnavailable(f"{database} cannot be read: {detail}") from error


def _abandon(connection: Connection, cursor: Any) -> None:
    """Close a connection in the middle of an answer.

    The driver would read the rest of the answer first, which takes as long as the query, and fails when the server
    is gone; it does not when it believes that the answer is over.
    """
    answer = getattr(cursor, "_result", None)
    if answer is not None:
        answer.unbuffered_active = False
        answer.connection = None
    connection.invalidate()


def _ours(symbol: str) -> str:
    found = parse_symbol(symbol)
    if found is None:
        raise InvalidRequest("ingest_symbol_unreadable", symbol=symbol)
    return found


def _numbers_of(names: dict[str, str]) -> list[str]:
    return [ours for ours in ("open", "high", "low", "close", "volume") if ours in names]


def _as_text(cell: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(cell.type, FLOAT):
        # The server writes a FLOAT with six digits only; as a DOUBLE it writes all that it holds.
        cell = cell + literal_column("0e0")
    return func.coalesce(cell, "")


def _seconds(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.timestampdiff(text("SECOND"), literal_column("'1970-01-01 00:00:00'"), column)


def _primary_number(table: Table) -> Key | None:
    columns = list(table.primary_key.columns)
    is_number = len(columns) == 1 and isinstance(columns[0].type, types.Integer)
    return Key(columns[0], "id") if is_number else None


def _guess_unit(greatest: float) -> int:
    for unit, least in ((PER_SECOND["ns"], 1e17), (PER_SECOND["us"], 1e14), (PER_SECOND["ms"], 1e11)):
        if greatest >= least:
            return unit
    return 1
