"""One write transaction, with the database's failures told in our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from agents.execution.rows import DatabaseFailed


@contextmanager
def changing(database: Engine) -> Iterator[Connection]:
    """Open one write transaction; on SQLite it holds the only write lock from its start.

    Raises:
        DatabaseFailed: The database did not answer; what was being committed may stand or not.
    """
    try:
        with database.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise DatabaseFailed(f"the database did not answer: {type(error).__name__}") from error
