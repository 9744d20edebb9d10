"""The database: one place for its exact column types and its connection.

Money goes in and out as `Decimal` without a detour through floats: it is stored as text, because SQLite has no
exact decimal type and MySQL's would fix a scale. Times are stored as whole microseconds since the epoch, which
sort and compare alike on both. Rooms declare their tables on `metadata`; Alembic revisions create them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Dialect, Engine, MetaData, String, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.types import TypeDecorator

from engine.domain.errors import ConfigError

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE_WAIT_S = 30


class ExactDecimal(TypeDecorator[Decimal]):
    """A `Decimal` kept digit for digit, as text."""

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Turn a finite `Decimal` into plain digits; anything else is a programming error."""
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise TypeError(f"expected a finite Decimal, got {value!r}")
        return format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """Turn stored digits back into a `Decimal`."""
        if value is None:
            return None
        try:
            return Decimal(value)
        except InvalidOperation as error:
            raise ValueError(f"the database holds {value!r} where a decimal should be") from error


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as whole microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse naive times; store microseconds."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError(f"expected an aware time, got {value!r}")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return an aware UTC time."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


def connect_database(url: str) -> Engine:
    """Open the database that a SQLAlchemy URL names.

    SQLite runs in WAL mode with full synchronisation, so that what was committed survives a power cut; every
    write transaction takes the lock at its start, so that two of them queue instead of failing.

    Raises:
        ConfigError: The URL is malformed, its driver is missing, or its folder cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
        database = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, ImportError, OSError, ValueError) as error:
        raise ConfigError(
            f"COPILOT_DATABASE_URL is not usable ({error}); write it like sqlite:///data/copilot.db "
            "or mysql+pymysql://user:password@host/name"
        ) from error
    if database.dialect.name == "sqlite":
        event.listen(database, "connect", _prepare_sqlite)
        event.listen(database, "begin", _begin_immediate)
    return database


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={_SQLITE_WAIT_S * 1000}")


def _begin_immediate(connection: Any) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")
