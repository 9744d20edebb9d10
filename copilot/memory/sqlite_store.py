"""Threads in one SQLite file, for a copilot without a Redis.

One connection in one thread of its own: each operation is a single hop and a single transaction. WAL with
`synchronous=FULL`, so that what was stored survives a crash of the machine, not only of the program.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from copilot.memory.store import Change, ForeignThread, StoredThread
from engine.domain.errors import MemoryUnavailable

T = TypeVar("T")

_BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process that writes."""
_WAL_PAGES = 256
"""Pages after which the log is folded into the file (1 MiB); SQLite's default lets it grow to four."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory_thread (
    thread_id TEXT PRIMARY KEY,
    owner TEXT
);
CREATE INDEX IF NOT EXISTS memory_thread_owner ON memory_thread (owner);
CREATE TABLE IF NOT EXISTS memory_field (
    thread_id TEXT NOT NULL REFERENCES memory_thread ON DELETE CASCADE,
    field BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (thread_id, field)
);
"""


class SqliteThreads:
    """A `ThreadStore` in a SQLite file."""

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
            self._connection = await self._hop(self._connect)
        except BaseException:
            self._worker.shutdown()
            raise

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        return await self._run(lambda: self._read(thread_id))

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change in one transaction."""
        await self._run(lambda: self._change(thread_id, change))

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads."""
        await self._run(lambda: self._erase(thread_ids))

    async def erase_owner(self, owner: str) -> int:
        """Remove every thread of the owner."""
        return await self._run(lambda: self._erase_owner(owner))

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists."""
        return await self._run(
            lambda: [name for (name,) in self._connection.execute("SELECT thread_id FROM memory_thread")]
        )

    async def close(self) -> None:
        """Close the file."""
        await self._hop(self._connection.close)
        self._worker.shutdown()

    async def _hop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._hop(work)
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
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self, thread_id: str) -> StoredThread:
        rows = self._connection.execute(
            "SELECT owner, field, value FROM memory_thread JOIN memory_field USING (thread_id) WHERE thread_id = ?",
            (thread_id,),
        ).fetchall()
        return StoredThread(rows[0][0] if rows else None, {field: value for _, field, value in rows})

    def _change(self, thread_id: str, change: Change) -> None:
        with self._transaction():
            self._claim(thread_id, change.owner)
            self._connection.executemany(
                "DELETE FROM memory_field WHERE thread_id = ? AND field >= ? AND field < ?",
                [(thread_id, low, high) for low, high in change.drop],
            )
            conflict = "REPLACE" if change.is_replacing else "IGNORE"
            self._connection.executemany(
                f"INSERT OR {conflict} INTO memory_field (thread_id, field, value) VALUES (?, ?, ?)",
                [(thread_id, field, value) for field, value in change.put.items()],
            )

    def _claim(self, thread_id: str, owner: str | None) -> None:
        found = self._connection.execute("SELECT owner FROM memory_thread WHERE thread_id = ?", (thread_id,)).fetchone()
        if found is None:
            self._connection.execute("INSERT INTO memory_thread VALUES (?, ?)", (thread_id, owner))
        elif owner is not None and found[0] is None:
            self._connection.execute("UPDATE memory_thread SET owner = ? WHERE thread_id = ?", (owner, thread_id))
        elif owner is not None and found[0] != owner:
            raise ForeignThread(thread_id)

    def _erase(self, thread_ids: Sequence[str]) -> None:
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM memory_thread WHERE thread_id = ?", [(name,) for name in thread_ids]
            )

    def _erase_owner(self, owner: str) -> int:
        with self._transaction():
            return self._connection.execute("DELETE FROM memory_thread WHERE owner = ?", (owner,)).rowcount

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    """Take the write lock at once, so that two processes wait for each other instead of failing half-way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
