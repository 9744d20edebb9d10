"""Facts and the cache in the SQLite file of memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

from copilot.memory.sqlite_file import SqliteFile
from tools.facts import MAX_FACTS, Fact, FactAdded, clean_fact, same_fact

MAX_CACHED = 2_000
"""Values in the cache; of more, those that expire first go."""


class SqliteFacts:
    """`Facts` in a SQLite file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def add(self, owner: str, text: str, at: datetime) -> FactAdded:
        """Remember a fact; one that says the same as an earlier one changes nothing."""
        return await self._file.run(self._add, owner, clean_fact(text), at)

    async def list(self, owner: str) -> tuple[Fact, ...]:
        """Return the owner's facts, oldest first."""
        query = "SELECT number, text, at FROM memory_fact WHERE owner = ? ORDER BY number"
        return tuple(_fact(row) for row in self._file.query(query, (owner,)))

    async def remove(self, owner: str, number: int) -> Fact | None:
        """Forget one fact and return it."""
        return await self._file.run(self._remove, owner, number)

    def _add(self, owner: str, text: str, at: datetime) -> FactAdded:
        same = same_fact(text)
        with self._file.transaction() as connection:
            query = "SELECT number, text, at FROM memory_fact WHERE owner = ? AND same = ?"
            known = connection.execute(query, (owner, same)).fetchone()
            if known is not None:
                return FactAdded(_fact(known), is_new=False)
            count = (
                "INSERT INTO memory_fact_count VALUES (?, 1) ON CONFLICT (owner) DO UPDATE SET last = last + 1 "
                "RETURNING last"
            )
            (number,) = connection.execute(count, (owner,)).fetchone()
            row = (owner, number, same, text, at.isoformat())
            connection.execute("INSERT INTO memory_fact VALUES (?, ?, ?, ?, ?)", row)
            return FactAdded(Fact(number, text, at), is_new=True, dropped=self._drop_oldest(connection, owner))

    def _drop_oldest(self, connection: sqlite3.Connection, owner: str) -> Fact | None:
        query = "SELECT number, text, at FROM memory_fact WHERE owner = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
        oldest = connection.execute(query, (owner, MAX_FACTS)).fetchone()
        if oldest is None:
            return None
        connection.execute("DELETE FROM memory_fact WHERE owner = ? AND number = ?", (owner, oldest[0]))
        return _fact(oldest)

    def _remove(self, owner: str, number: int) -> Fact | None:
        with self._file.transaction() as connection:
            delete = "DELETE FROM memory_fact WHERE owner = ? AND number = ? RETURNING number, text, at"
            removed = connection.execute(delete, (owner, number)).fetchone()
        return None if removed is None else _fact(removed)


class SqliteCache:
    """A `CacheStore` in a SQLite file; what it holds need not survive a power cut."""

    def __init__(self, file: SqliteFile, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock

    async def read(self, owner: str, key: str) -> bytes | None:
        """Return a value that has not expired."""
        query = "SELECT value FROM memory_cache WHERE owner = ? AND key = ? AND expires_at > ?"
        rows = self._file.query(query, (owner, key, self._clock()))
        return rows[0][0] if rows else None

    async def write(self, owner: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value; what has expired and what is too much goes."""
        await self._file.run(self._write, owner, key, value, ttl_s)

    def _write(self, owner: str, key: str, value: bytes, ttl_s: float) -> None:
        now = self._clock()
        with self._file.transaction(is_durable=False) as connection:
            row = (owner, key, value, now + ttl_s)
            connection.execute("INSERT OR REPLACE INTO memory_cache VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM memory_cache WHERE expires_at <= ?", (now,))
            (count,) = connection.execute("SELECT COUNT(*) FROM memory_cache").fetchone()
            if count > MAX_CACHED:
                first = "SELECT rowid FROM memory_cache ORDER BY expires_at LIMIT ?"
                connection.execute(f"DELETE FROM memory_cache WHERE rowid IN ({first})", (count - MAX_CACHED,))


def _fact(row: tuple[int, str, str]) -> Fact:
    number, text, at = row
    return Fact(number, text, datetime.fromisoformat(at))
