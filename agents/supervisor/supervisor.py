"""The supervisor of one process: workers that run in every process, and those that run under the one leader.

Decides the order of things. A term is won, then its workers start; the term is renewed beside them; when that fails
they are ended first, and only then another term is sought. A worker that does not end keeps this process from
leading again, so that two of one name never run in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from sqlalchemy import Connection, Engine

from agents.execution.rows import DatabaseFailed
from agents.supervisor.heartbeats import Heartbeats
from agents.supervisor.keeper import Keeper
from agents.supervisor.leadership import Leadership, Term
from agents.supervisor.lease import LeaseStore, has_fence, new_holder
from agents.supervisor.pacing import Pace, RealPace
from agents.supervisor.values import ProcessStatus, SupervisorSettings, Worker, WorkerStatus
from engine.domain.errors import ConfigError
from engine.domain.protocols import Notifier

log = logging.getLogger(__name__)

_ALIVE_BEATS = 4
"""How many heartbeats a living process may miss."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Supervisor:
    """Runs workers, restarts what fails, and leads when nobody else does.

    Args:
        database: Where lease and heartbeats live, shared by all processes.
        leading: Workers of the one leader: agents, alerts, reconciliation.
        local: Workers of every process: feeds.
        notifier: How the owner learns what a person must look at.
        owner: Who is told.
        settings: Times and patience.
        store: The lease; the one of `database` when None.
        pace: Elapsed time and pauses.
        token: Identity of this process; made here when None.
        now: The wall clock.
        chance: Where the jitter of pauses comes from.
    """

    def __init__(
        self,
        database: Engine,
        leading: Sequence[Worker],
        *,
        notifier: Notifier,
        owner: str,
        local: Sequence[Worker] = (),
        settings: SupervisorSettings | None = None,
        store: LeaseStore | None = None,
        pace: Pace | None = None,
        token: str | None = None,
        now: Callable[[], datetime] = _wall_clock,
        chance: Random | None = None,
    ) -> None:
        names = [worker.name for worker in (*leading, *local)]
        if len(set(names)) < len(names):
            raise ConfigError(f"two workers have one name: {sorted(names)}")
        self.settings = settings or SupervisorSettings()
        self.token = token or new_holder()
        self._notifier = notifier
        self._owner = owner
        self._now = now
        self._pace: Pace = pace or RealPace()
        chance = chance or Random()
        self._leading = [self._keeper(worker, chance) for worker in leading]
        self._local = [self._keeper(worker, chance) for worker in local]
        lease = store or LeaseStore(database)
        self._leadership = Leadership(lease, self.token, self.settings, self._pace)
        self._heartbeats = Heartbeats(database, alive_s=self.settings.beat_s * _ALIVE_BEATS)
        self._term: Term | None = None
        self._started_at = now()

    @property
    def fence(self) -> int | None:
        """Return the number of the term that this process surely leads, or None."""
        term = self._term
        return term.fence if term is not None and term.is_valid else None

    def status(self) -> tuple[WorkerStatus, ...]:
        """Return how the workers of this process fare."""
        return tuple(keeper.status() for keeper in (*self._leading, *self._local))

    async def processes(self) -> tuple[ProcessStatus, ...]:
        """Return every process that shares the database, as its last heartbeat told.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        return await self._pace.offload(lambda: self._heartbeats.read(self._now()))

    async def run(self) -> None:
        """Run until cancelled; then end the workers, give the lease back, and only then return."""
        self._started_at = self._now()
        await self._write(lambda: self._heartbeats.forget(self._now()))
        tasks = [asyncio.create_task(keeper.keep(None)) for keeper in self._local]
        tasks.append(asyncio.create_task(self._beat()))
        try:
            while True:
                await self._lead(await self._leadership.win())
        finally:
            await _end_all(tasks)
            await self._write(lambda: self._heartbeats.end(self.token))

    async def _lead(self, term: Term) -> None:
        """Run the leader's workers for one term."""
        log.info("term %s begins", term.fence)
        self._term = term
        tasks = [asyncio.create_task(keeper.keep(term)) for keeper in self._leading]
        try:
            await self._leadership.hold(term)
        finally:
            term.end()
            try:
                await _end_all(tasks)
            finally:
                self._term = None
                await self._leadership.resign(term)
                log.info("term %s has ended", term.fence)

    async def _beat(self) -> None:
        while True:
            await self._write(self._heartbeat())
            await self._pace.pause(self.settings.beat_s)

    def _heartbeat(self) -> Callable[[], None]:
        """Return the writing of how things stand at this moment."""
        now, statuses, fence = self._now(), self.status(), self.fence
        return lambda: self._heartbeats.write(self.token, fence, self._started_at, now, statuses)

    async def _write(self, work: Callable[[], None]) -> None:
        try:
            await self._pace.offload(work)
        except DatabaseFailed:
            log.warning("the heartbeat could not be written")

    def _keeper(self, worker: Worker, chance: Random) -> Keeper:
        return Keeper(worker, self.settings, self._pace, self._now, chance, self._tell)

    def _tell(self, kind: str, worker: str, error: str) -> None:
        try:
            self._notifier.notify(self._owner, kind, {"worker": worker, "error": error})
        except Exception:
            log.exception("the owner could not be told that %s: %s", kind, worker)


def term_fence(supervisors: Sequence[Supervisor]) -> Callable[[Connection], bool]:
    """Return the fence of this process for its desk, which is made before the supervisor is put into the list.

    It stands while the process surely leads by its own clock, and no newer term has begun in the database.
    """

    def stands(connection: Connection) -> bool:
        fence = supervisors[0].fence if supervisors else None
        return fence is not None and has_fence(connection, fence)

    return stands


async def _end_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and return once every one has ended, however often this is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    is_interrupted = False
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            is_interrupted = True
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a keeper failed", exc_info=error)
    if is_interrupted:
        raise asyncio.CancelledError
