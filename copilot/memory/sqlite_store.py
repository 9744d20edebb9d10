"""Threads in the SQLite file of memory, for a copilot without a Redis.

A change is written at once where it is asked for. While somebody else writes, changes wait and go into one transaction
together, in the order they came. A thread that has outlived its time is gone for every reader at once; its bytes go
at the next opening, or within an hour of writing.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from copilot.memory.sqlite_file import Busy, SqliteFile
from copilot.memory.store import Change, ErasedThread, ForeignThread, Forgotten, MovedThread, StoredThread

_PRUNE_EVERY_S = 3600.0
_TRUNCATIONS = 20
_TRUNCATION_PAUSE_S = 0.1


class SqliteThreads:
    """A `ThreadStore` in a SQLite file.

    Args:
        file: Opened; closed with the store.
        ttl_s: Seconds after its last change that a thread is kept; None keeps it for good.
        clock: Seconds since the epoch.
    """

    def __init__(self, file: SqliteFile, ttl_s: int | None, clock: Callable[[], float]) -> None:
        self._file = file
        self._ttl_s = math.inf if ttl_s is None else ttl_s
        self._clock = clock
        self._pruned_at = -math.inf
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        rows = self._file.query(
            "SELECT owner, birth, field, value FROM memory_thread JOIN memory_field USING (thread_id) "
            "WHERE thread_id = ? AND changed_at > ?",
            (thread_id, self._horizon()),
        )
        owner, birth = rows[0][:2] if rows else (None, None)
        return StoredThread(owner, {field: value for *_, field, value in rows}, birth)

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change in one transaction; it outlives the program on return, and a power cut a moment later."""
        if self._writing is None or self._writing.done():
            try:
                with self._file.quick_transaction() as connection:
                    refused = self._change(connection, thread_id, change)
            except Busy:
                pass
            else:
                if refused is not None:
                    raise refused
                if self._clock() - self._pruned_at > _PRUNE_EVERY_S:
                    await self.prune()
                return
        waiting = _Waiting(thread_id, change, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await waiting.done

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads."""
        await self._file.run(self._erase, thread_ids)

    async def erase_owner(self, owner: str) -> Forgotten:
        """Remove every thread of the owner, their facts and what is cached of them, from the disk too.

        What was deleted stays readable in free pages and in the log until both are written anew; another program that
        reads at that moment can hold up the log's end for a little.
        """
        forgotten = await self._file.run(self._erase_owner, owner)
        await self._file.run(self._vacuum)
        for _ in range(_TRUNCATIONS):
            if await self._file.run(self._truncate_log):
                break
            await asyncio.sleep(_TRUNCATION_PAUSE_S)
        return forgotten

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists."""
        query = "SELECT thread_id FROM memory_thread WHERE changed_at > ?"
        return [name for (name,) in self._file.query(query, (self._horizon(),))]

    async def prune(self) -> None:
        """Remove what has outlived its time."""
        await self._file.run(self._prune)

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._writing is not None:
            await self._writing
        await self._file.close()

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                outcomes = await self._file.run(self._change_all, batch)
            except Exception as error:  # whoever waits is told, whatever it was
                outcomes = [error] * len(batch)
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.end(outcome)

    def _horizon(self) -> float:
        return self._clock() - self._ttl_s

    def _change_all(self, batch: Sequence[_Waiting]) -> list[Exception | None]:
        with self._file.transaction(is_durable=False) as connection:
            return [self._change(connection, waiting.thread_id, waiting.change) for waiting in batch]

    def _change(self, connection: sqlite3.Connection, thread_id: str, change: Change) -> Exception | None:
        refused = self._claim(connection, thread_id, change)
        if refused is not None:
            return refused
        if not all(self._holds(connection, thread_id, *pair) for pair in change.expected.items()):
            return MovedThread(thread_id)
        connection.executemany(
            "DELETE FROM memory_field WHERE thread_id = ? AND field >= ? AND field < ?",
            [(thread_id, low, high) for low, high in change.drop],
        )
        conflict = "REPLACE" if change.is_replacing else "IGNORE"
        connection.executemany(
            f"INSERT OR {conflict} INTO memory_field (thread_id, field, value) VALUES (?, ?, ?)",
            [(thread_id, field, value) for field, value in change.put.items()],
        )
        return None

    def _claim(self, connection: sqlite3.Connection, thread_id: str, change: Change) -> Exception | None:
        """Make the thread if need be, and return why the change may not be applied."""
        query = "SELECT owner, birth, changed_at FROM memory_thread WHERE thread_id = ?"
        owner, birth, changed_at = connection.execute(query, (thread_id,)).fetchone() or (None, None, None)
        if changed_at is not None and changed_at <= self._horizon():
            self._drop(connection, [thread_id])
            owner = birth = changed_at = None
        if change.birth not in (None, birth):
            return ErasedThread(thread_id)
        if change.owner and owner not in (None, change.owner):
            return ForeignThread(thread_id)
        keep = (
            "INSERT INTO memory_thread (thread_id, owner, birth, changed_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (thread_id) DO UPDATE SET owner = excluded.owner, birth = excluded.birth, "
            "changed_at = excluded.changed_at"
        )
        row = (thread_id, change.owner or owner, birth or secrets.token_hex(8), self._clock())
        connection.execute(keep, row)
        return None

    def _holds(self, connection: sqlite3.Connection, thread_id: str, field: bytes, value: bytes) -> bool:
        query = "SELECT 1 FROM memory_field WHERE thread_id = ? AND field = ? AND value = ?"
        return connection.execute(query, (thread_id, field, value)).fetchone() is not None

    def _erase(self, thread_ids: Sequence[str]) -> None:
        with self._file.transaction() as connection:
            self._drop(connection, thread_ids)

    def _drop(self, connection: sqlite3.Connection, thread_ids: Sequence[str]) -> None:
        connection.executemany("DELETE FROM memory_thread WHERE thread_id = ?", [(name,) for name in thread_ids])

    def _erase_owner(self, owner: str) -> Forgotten:
        with self._file.transaction() as connection:
            threads, facts, _, _ = (
                connection.execute(f"DELETE FROM {table} WHERE owner = ?", (owner,)).rowcount
                for table in ("memory_thread", "memory_fact", "memory_fact_count", "memory_cache")
            )
        return Forgotten(threads, facts)

    def _vacuum(self) -> None:
        self._file.connection.execute("VACUUM")

    def _truncate_log(self) -> bool:
        (is_busy, _, _) = self._file.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy

    def _prune(self) -> None:
        self._pruned_at = self._clock()
        with self._file.transaction(is_durable=False) as connection:
            connection.execute("DELETE FROM memory_thread WHERE changed_at <= ?", (self._horizon(),))
            connection.execute("DELETE FROM memory_cache WHERE expires_at <= ?", (self._clock(),))


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
