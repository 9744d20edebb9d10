"""One SQLite file for all of memory: who may write when, and what survives a crash.

WAL with `synchronous=FULL`, so that what was stored survives a crash of the machine, not only of the program; what
may be lost then (a cache) is written without waiting for the disk. A thread of its own writes, because that waits.
Reads wait for nobody in WAL and are served where they are asked for: handing 50 µs of work to another thread takes
longer than the work.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from engine.domain.errors import MemoryUnavailable

T = TypeVar("T")

_BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory_thread (
    thread_id TEXT PRIMARY KEY,
    owner TEXT,
    birth TEXT,
    changed_at REAL
);
CREATE INDEX IF NOT EXISTS memory_thread_owner ON memory_thread (owner);
CREATE TABLE IF NOT EXISTS memory_field (
    thread_id TEXT NOT NULL REFERENCES memory_thread ON DELETE CASCADE,
    field BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (thread_id, field)
);
CREATE TABLE IF NOT EXISTS memory_fact (
    owner TEXT NOT NULL,
    number INTEGER NOT NULL,
    same TEXT NOT NULL,
    text TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (owner, number),
    UNIQUE (owner, same)
);
CREATE TABLE IF NOT EXISTS memory_fact_count (owner TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS memory_cache (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX IF NOT EXISTS memory_cache_expires ON memory_cache (expires_at);
"""
_ADDED_COLUMNS = {"birth": "TEXT", "changed_at": "REAL"}
"""Columns of threads that files of the first version lack."""


class SqliteFile:
    """The file, one connection that writes in a thread of its own and one that reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="memory")

    async def open(self) -> None:
        """Create or open the file.

        Raises:
            sqlite3.Error: It is no database, or cannot be written.
            OSError: Its folder or the file cannot be made.
        """
        try:
            self.connection = await self.hop(self._connect)
        except BaseException:
            self._worker.shutdown()
            raise
        self._reader = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of one consistent read."""
        with self._reporting():
            return self._reader.execute(sql, values).fetchall()

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Do work on `connection` in the thread that writes; a failing database is a `MemoryUnavailable`."""
        with self._reporting():
            return await self.hop(partial(work, *args))

    async def hop(self, work: Callable[[], T]) -> T:
        """Do work in the thread that writes."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Take the write lock at once, so that two processes wait for each other instead of failing half-way.

        What is not durable outlives the program all the same, but not a power cut right after it.
        """
        if not is_durable:
            self.connection.execute("PRAGMA synchronous=NORMAL")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        finally:
            if not is_durable:
                self.connection.execute("PRAGMA synchronous=FULL")

    async def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        await self.hop(self.connection.close)
        self._worker.shutdown()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MemoryUnavailable(f"conversation memory in {self._path} cannot be used: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.executescript(_SCHEMA)
            _add_columns(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _add_columns(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    known = {name for _, name, *_ in connection.execute("PRAGMA table_info(memory_thread)")}
    for name, kind in _ADDED_COLUMNS.items():
        if name not in known:
            connection.execute(f"ALTER TABLE memory_thread ADD COLUMN {name} {kind}")
    connection.execute("UPDATE memory_thread SET changed_at = strftime('%s', 'now') WHERE changed_at IS NULL")
    connection.execute("COMMIT")
