"""Threads in one SQLite file, for a copilot without a Redis.

WAL with `synchronous=FULL`, so that what was stored survives a crash of the machine, not only of the program. A
thread of its own writes, because that waits for the disk; whatever waits to be written goes into one transaction
together, so that many conversations share the wait. Reads wait for nobody in WAL and are served where they are asked
for: handing 50 µs of work to another thread takes longer than the work.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from copilot.memory.store import Change, ForeignThread, StoredThread
from engine.domain.errors import MemoryUnavailable

T = TypeVar("T")

_BUSY_TIMEOUT_S = 5.0
"""How long to wait for another process that writes."""

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
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

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
        self._reader = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        with self._reporting():
            rows = self._reader.execute(
                "SELECT owner, field, value FROM memory_thread JOIN memory_field USING (thread_id) WHERE thread_id = ?",
                (thread_id,),
            ).fetchall()
        return StoredThread(rows[0][0] if rows else None, {field: value for _, field, value in rows})

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change in one transaction, which may hold changes of other threads too."""
        waiting = _Waiting(thread_id, change, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await waiting.done

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads."""
        await self._run(lambda: self._erase(thread_ids))

    async def erase_owner(self, owner: str) -> int:
        """Remove every thread of the owner."""
        return await self._run(lambda: self._erase_owner(owner))

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists."""
        with self._reporting():
            return [name for (name,) in self._reader.execute("SELECT thread_id FROM memory_thread")]

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._writing is not None:
            await self._writing
        self._reader.close()
        await self._hop(self._connection.close)
        self._worker.shutdown()

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                outcomes = await self._run(partial(self._change_all, batch))
            except Exception as error:  # whoever waits is told, whatever it was
                outcomes = [error] * len(batch)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.end(outcome)

    async def _hop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._reporting():
            return await self._hop(work)

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
        except BaseException:
            connection.close()
            raise
        return connection

    def _change_all(self, batch: Sequence[_Waiting]) -> list[Exception | None]:
        with self._transaction():
            return [self._change(waiting.thread_id, waiting.change) for waiting in batch]

    def _change(self, thread_id: str, change: Change) -> ForeignThread | None:
        if not self._claim(thread_id, change.owner):
            return ForeignThread(thread_id)
        self._connection.executemany(
            "DELETE FROM memory_field WHERE thread_id = ? AND field >= ? AND field < ?",
            [(thread_id, low, high) for low, high in change.drop],
        )
        conflict = "REPLACE" if change.is_replacing else "IGNORE"
        self._connection.executemany(
            f"INSERT OR {conflict} INTO memory_field (thread_id, field, value) VALUES (?, ?, ?)",
            [(thread_id, field, value) for field, value in change.put.items()],
        )
        return None

    def _claim(self, thread_id: str, owner: str | None) -> bool:
        """Make the thread if need be, and return whether the owner may change it."""
        found = self._connection.execute("SELECT owner FROM memory_thread WHERE thread_id = ?", (thread_id,)).fetchone()
        if found is None:
            self._connection.execute("INSERT INTO memory_thread VALUES (?, ?)", (thread_id, owner))
        elif owner is not None and found[0] is None:
            self._connection.execute("UPDATE memory_thread SET owner = ? WHERE thread_id = ?", (owner, thread_id))
        return found is None or owner is None or found[0] in (None, owner)

    def _erase(self, thread_ids: Sequence[str]) -> None:
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM memory_thread WHERE thread_id = ?", [(name,) for name in thread_ids]
            )

    def _erase_owner(self, owner: str) -> int:
        with self._transaction():
            count = self._connection.execute("DELETE FROM memory_thread WHERE owner = ?", (owner,)).rowcount
        # What was deleted stays readable in free pages and in the log until both are written anew.
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Take the write lock at once, so that two processes wait for each other instead of failing half-way."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A change that waits to be written, and who waits for it."""

    thread_id: str
    change: Change
    done: asyncio.Future[None]

    def end(self, outcome: Exception | None) -> None:
        if self.done.done():
            return
        if outcome is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(outcome)
