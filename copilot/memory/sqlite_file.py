"""One SQLite file for all of memory: who writes when, and what survives what.

Conversations are written where the turn runs, into the write-ahead log, without waiting for the disk: that takes about
as long as handing the work to another thread would, and outlives a `kill -9`. A thread of its own brings the log to
the disk a moment later, so a power cut costs that moment at most and never tears a conversation. The same thread does
whatever must wait: for the disk (facts, forgetting), or for another program that writes.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from engine.domain.errors import MemoryUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process that writes."""
_FLUSH_AFTER_S = 0.2
"""How long what was written may wait for the disk; many turns share it."""
_LONG_LOG_PAGES = 2000
"""From how many pages of 4 KiB on the log must begin anew, for which whoever writes is held up a moment."""
_BUSY_BITS = 0xFF
"""The part of SQLite's extended error code that says "busy"."""

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


class Busy(Exception):
    """Another program, or our own thread, is writing at this moment."""


class SqliteFile:
    """The file, with a connection of the thread that writes and two of the event loop: one reads, one writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._flushing: asyncio.Task[None] | None = None

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
        self._reader = _connection(self._path, _BUSY_TIMEOUT_S)
        self.quick_connection = _connection(self._path, 0)
        self.quick_connection.execute("PRAGMA synchronous=NORMAL")
        self.quick_connection.execute("PRAGMA wal_autocheckpoint=0")

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
            with _transaction(self.connection):
                yield self.connection
        finally:
            if not is_durable:
                self.connection.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def quick_transaction(self) -> Iterator[sqlite3.Connection]:
        """Write from the event loop, without waiting for the disk or for anybody.

        Raises:
            Busy: Somebody else is writing; nothing has changed.
        """
        with self._reporting():
            try:
                with _transaction(self.quick_connection):
                    yield self.quick_connection
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _BUSY_BITS != sqlite3.SQLITE_BUSY:
                    raise
                raise Busy from error
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def close(self) -> None:
        """Bring everything to the disk and close the connections."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        self._reader.close()
        self.quick_connection.close()
        await self.hop(self.connection.close)
        self._worker.shutdown()

    async def _flush(self) -> None:
        await asyncio.sleep(_FLUSH_AFTER_S)
        try:
            await self.run(self._flush_log)
        except MemoryUnavailable as error:
            log.warning("what was written waits for the disk: %s", error)

    def _flush_log(self) -> None:
        """Bring the log to the disk; while turns follow each other closely it would never end by itself."""
        _, pages, _ = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages > _LONG_LOG_PAGES:
            self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MemoryUnavailable(f"conversation memory in {self._path} cannot be used: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = _connection(self._path, _BUSY_TIMEOUT_S)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_SCHEMA)
            _add_columns(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _connection(path: Path, timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _add_columns(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    known = {name for _, name, *_ in connection.execute("PRAGMA table_info(memory_thread)")}
    for name, kind in _ADDED_COLUMNS.items():
        if name not in known:
            connection.execute(f"ALTER TABLE memory_thread ADD COLUMN {name} {kind}")
    connection.execute("UPDATE memory_thread SET changed_at = strftime('%s', 'now') WHERE changed_at IS NULL")
    connection.execute("COMMIT")
