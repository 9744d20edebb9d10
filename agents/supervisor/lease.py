"""The lease: one row in the database that makes one process the leader.

Decides by conditional UPDATEs alone, so that of any number of takers one wins. All times in the row are the
database's own, read in the same transaction: a process whose clock is wrong can neither take a lease early nor keep
it late. Each term has a new fence, which only rises; whoever writes on behalf of a term can check, in their own
transaction, that its fence still stands (`has_fence`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, text, update

from agents.execution.claims import has_ended, process_token
from agents.execution.rows import DatabaseFailed, changing, reading
from agents.supervisor.tables import supervisor_leases as leases

DEFAULT_LEASE = "agents"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {
    "sqlite": "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
    "mariadb": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
}

DatabaseClock = Callable[[Connection], datetime]


@dataclass(frozen=True, slots=True)
class Lease:
    """The row as it was read or written; times by the database's clock."""

    name: str
    fence: int
    holder: str
    acquired_at: datetime
    renewed_at: datetime
    expires_at: datetime


def database_now(connection: Connection) -> datetime:
    """Return the present by the clock of the database (for SQLite, of this machine)."""
    micros = connection.execute(text(_MICROSECONDS[connection.dialect.name])).scalar_one()
    return _EPOCH + timedelta(microseconds=int(micros))


def new_holder() -> str:
    """Return an identity for a process: the namespace of its process ids, then the token of `claims`."""
    return f"{_pid_namespace()}/{process_token()}"


def has_fence(connection: Connection, fence: int, name: str = DEFAULT_LEASE) -> bool:
    """Return whether a fence is still the newest one, read within the caller's transaction.

    In a write transaction the row stays locked until its end, so that no newer term can begin in between.
    """
    query = select(leases.c.fence).where(leases.c.name == name).with_for_update(read=True)
    return bool(connection.execute(query).scalar_one_or_none() == fence)


class LeaseStore:
    """The lease of one name.

    Args:
        database: Where the row lives, shared by all who may lead.
        name: Which lease.
        now: The database's clock.
    """

    def __init__(self, database: Engine, name: str = DEFAULT_LEASE, *, now: DatabaseClock = database_now) -> None:
        self._database = database
        self._name = name
        self._now = now

    def acquire(self, holder: str, *, lease_s: float, skew_s: float) -> Lease | None:
        """Begin a new term, if nobody's stands.

        A lease is free `skew_s` after its end, or at once when its holder was a process of this machine that has
        surely ended.

        Raises:
            DatabaseFailed: The database did not answer; a term may have begun that nobody uses, and runs out.
        """
        self._ensure_row()
        with changing(self._database) as connection:
            row = self._row(connection)
            now = self._now(connection)
            if not _is_free(row, now, timedelta(seconds=skew_s)):
                return None
            values = {
                "fence": row.fence + 1,
                "holder": holder,
                "acquired_at": now,
                "renewed_at": now,
                "expires_at": now + timedelta(seconds=lease_s),
            }
            same = (leases.c.name == self._name, leases.c.fence == row.fence, leases.c.expires_at == row.expires_at)
            if connection.execute(update(leases).where(*same).values(values)).rowcount != 1:
                return None
            return _lease(self._row(connection))

    def renew(self, lease: Lease, *, lease_s: float) -> Lease | None:
        """Prolong a term, or return None because another has begun or this one was released.

        Raises:
            DatabaseFailed: The database did not answer; it may be prolonged or not.
        """
        with changing(self._database) as connection:
            now = self._now(connection)
            values = {"renewed_at": now, "expires_at": now + timedelta(seconds=lease_s)}
            renewed = update(leases).where(*self._mine(lease)).values(values)
            if connection.execute(renewed).rowcount != 1:
                return None
            return _lease(self._row(connection))

    def release(self, lease: Lease) -> bool:
        """End a term, so that another may begin at once; return whether it still stood. Its fence is worth nothing.

        Raises:
            DatabaseFailed: The database did not answer; the term then runs out by itself.
        """
        with changing(self._database) as connection:
            values = {"fence": lease.fence + 1, "holder": "", "expires_at": _EPOCH}
            ended = update(leases).where(*self._mine(lease)).values(values)
            return connection.execute(ended).rowcount == 1

    def current(self) -> Lease | None:
        """Return the row as it stands, None before the first term.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with reading(self._database) as connection:
            row = connection.execute(select(leases).where(leases.c.name == self._name)).one_or_none()
        return None if row is None or row.fence == 0 else _lease(row)

    def _ensure_row(self) -> None:
        with reading(self._database) as connection:
            if connection.execute(select(leases.c.name).where(leases.c.name == self._name)).first():
                return
        first = {"fence": 0, "holder": "", "acquired_at": _EPOCH, "renewed_at": _EPOCH, "expires_at": _EPOCH}
        try:
            with changing(self._database) as connection:
                connection.execute(insert(leases).values(name=self._name, **first))
        except DatabaseFailed:
            return  # another process made it just now; if not, the next statement says what is wrong

    def _row(self, connection: Connection) -> Row[Any]:
        return connection.execute(select(leases).where(leases.c.name == self._name).with_for_update()).one()

    def _mine(self, lease: Lease) -> tuple[Any, ...]:
        return (leases.c.name == self._name, leases.c.fence == lease.fence, leases.c.holder == lease.holder)


def _is_free(row: Row[Any], now: datetime, skew: timedelta) -> bool:
    if row.holder == "":
        return True
    return bool(row.expires_at + skew < now) or _is_over(row.holder)


def _is_over(holder: str) -> bool:
    """Return whether a holder was a process of this machine that has surely ended."""
    namespace, _, token = holder.partition("/")
    return namespace == _pid_namespace() and has_ended(token)


def _pid_namespace() -> str:
    """Return which process ids are meant: containers on one machine can share its name, not their numbers."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "?"


def _lease(row: Row[Any]) -> Lease:
    return Lease(row.name, row.fence, row.holder, row.acquired_at, row.renewed_at, row.expires_at)
