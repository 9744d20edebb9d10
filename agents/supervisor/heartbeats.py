"""Heartbeats in the database: how each process and each of its workers fares, for every process to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, delete, insert, select, update

from agents.execution.rows import changing, reading
from agents.supervisor.tables import supervisor_processes as processes
from agents.supervisor.tables import supervisor_workers as workers
from agents.supervisor.values import ProcessStatus, WorkerState, WorkerStatus

_KEPT = timedelta(days=7)
"""How long a process that no longer beats stays on record."""


class Heartbeats:
    """Writes and reads them.

    Args:
        database: Where they live.
        alive_s: How old the heartbeat of a living process may be.
    """

    def __init__(self, database: Engine, *, alive_s: float) -> None:
        self._database = database
        self._alive_s = alive_s

    def write(
        self, token: str, fence: int | None, started_at: datetime, now: datetime, statuses: Sequence[WorkerStatus]
    ) -> None:
        """Write how a process fares.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with changing(self._database) as connection:
            key, values = {"token": token}, {"fence": fence, "started_at": started_at, "beat_at": now}
            _put(connection, processes, key, values)
            for status in statuses:
                _put(connection, workers, {"process": token, "name": status.name}, _worker_values(status))

    def forget(self, now: datetime) -> None:
        """Drop the record of processes that ended long ago.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        old = select(processes.c.token).where(processes.c.beat_at < now - _KEPT)
        with changing(self._database) as connection:
            tokens = list(connection.scalars(old))
            if tokens:
                connection.execute(delete(workers).where(workers.c.process.in_(tokens)))
                connection.execute(delete(processes).where(processes.c.token.in_(tokens)))

    def end(self, token: str) -> None:
        """Drop the record of a process that ends in order.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with changing(self._database) as connection:
            connection.execute(delete(workers).where(workers.c.process == token))
            connection.execute(delete(processes).where(processes.c.token == token))

    def read(self, now: datetime) -> tuple[ProcessStatus, ...]:
        """Return every process on record, the one that beat last first.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with reading(self._database) as connection:
            rows = connection.execute(select(processes).order_by(processes.c.beat_at.desc(), processes.c.token)).all()
            each = connection.execute(select(workers).order_by(workers.c.name)).all()
        told: dict[str, list[WorkerStatus]] = {}
        for row in each:
            told.setdefault(row.process, []).append(_worker(row))
        alive_since = now - timedelta(seconds=self._alive_s)
        return tuple(
            ProcessStatus(
                row.token,
                row.fence,
                row.started_at,
                row.beat_at,
                row.beat_at >= alive_since,
                tuple(told.get(row.token, ())),
            )
            for row in rows
        )


def _put(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Write a row that only this process writes."""
    same = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*same).values(values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))


def _worker_values(status: WorkerStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "failures": status.failures,
        "restarts": status.restarts,
        "error": status.error,
        "since": status.since,
        "beat_at": status.beat_at,
        "next_try_at": status.next_try_at,
    }


def _worker(row: Row[Any]) -> WorkerStatus:
    return WorkerStatus(
        row.name,
        WorkerState(row.state),
        row.failures,
        row.restarts,
        row.error,
        row.since,
        row.beat_at,
        row.next_try_at,
    )
