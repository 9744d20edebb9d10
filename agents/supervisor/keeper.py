"""The keeper of one worker: runs it, restarts it when it fails, cancels it when it hangs.

A keeper that is cancelled ends its worker first: it returns only when the worker has truly ended, so that two of one
name never run in a process. What a worker raises is logged with its traceback and told by its code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from agents.supervisor.leadership import Term
from agents.supervisor.pacing import Pace
from agents.supervisor.restarts import Restarts, Verdict
from agents.supervisor.values import SupervisorSettings, Worker, WorkerState, WorkerStatus

log = logging.getLogger(__name__)

Tell = Callable[[str, str, str], None]
"""Told a notice's kind, the worker's name and the code of its error."""
_HUNG, _CANCELLED = "hung", "cancelled"
_LOOKS_PER_HANG = 8


@dataclass(slots=True)
class _Seen:
    """What a keeper knows of its worker, changed in place."""

    state: WorkerState
    since: datetime
    restarts: int = 0
    error: str = ""
    beat_at: datetime | None = None
    next_try_at: datetime | None = None


class WorkerPulse:
    """The pulse of one run of a worker."""

    def __init__(self, term: Term | None, note: Callable[[], None]) -> None:
        self._term = term
        self._note = note

    @property
    def fence(self) -> int:
        """Return the number of the term, 0 outside of one."""
        return 0 if self._term is None else self._term.fence

    def beat(self) -> None:
        """Note a sign of life."""
        self._note()

    def require_term(self) -> None:
        """Raise `NotLeading` when the term may not stand any more."""
        if self._term is not None:
            self._term.require()


class Keeper:
    """Keeps one worker running.

    Args:
        worker: What to run.
        settings: Times and patience.
        pace: Elapsed time and pauses.
        now: The wall clock, for what people see.
        chance: Where jitter comes from.
        tell: Tells the owner what they must know.
    """

    def __init__(
        self,
        worker: Worker,
        settings: SupervisorSettings,
        pace: Pace,
        now: Callable[[], datetime],
        chance: Random,
        tell: Tell,
    ) -> None:
        self.name = worker.name
        self._worker = worker
        self._settings = settings
        self._pace = pace
        self._now = now
        self._tell = tell
        self._restarts = Restarts(settings, chance)
        self._seen = _Seen(WorkerState.WAITING, now())
        self._beat_at = 0.0

    def status(self) -> WorkerStatus:
        """Return how the worker fares."""
        seen = self._seen
        return WorkerStatus(
            self.name,
            seen.state,
            self._restarts.failures,
            seen.restarts,
            seen.error,
            seen.since,
            seen.beat_at,
            seen.next_try_at,
        )

    async def keep(self, term: Term | None) -> None:
        """Run the worker until it finishes, or until cancelled; under a term only while that stands."""
        try:
            while term is None or term.is_valid:
                started = self._pace.elapsed()
                error = await self._run(term)
                if error is None:
                    self._enter(WorkerState.FINISHED)
                    return
                verdict = self._restarts.fail(self._pace.elapsed(), self._pace.elapsed() - started)
                self._failed(error, verdict)
                await self._pace.pause(verdict.pause_s)
                self._seen.restarts += 1
        finally:
            if self._seen.state is not WorkerState.FINISHED:
                self._enter(WorkerState.WAITING)

    async def _run(self, term: Term | None) -> str | None:
        """Run the worker once; return the code of its failure, or None when it returned by itself."""
        self._beat()
        self._enter(WorkerState.RUNNING)
        running = asyncio.ensure_future(self._worker.run(WorkerPulse(term, self._beat)))
        started, is_hung = self._pace.elapsed(), False
        try:
            while not running.done():
                await self._wait(running, self._settings.hang_s / _LOOKS_PER_HANG)
                self._note_recovery(started)
                if not running.done() and self._pace.elapsed() - self._beat_at >= self._settings.hang_s:
                    is_hung = True
                    await self._end(running)
        finally:
            await self._end_surely(running)
        return _HUNG if is_hung else _outcome(running, self.name)

    async def _wait(self, running: asyncio.Future[None], seconds: float) -> None:
        """Wait until the worker has ended, at most that long."""
        pause = asyncio.ensure_future(self._pace.pause(seconds))
        try:
            await asyncio.wait((running, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()

    async def _end(self, running: asyncio.Future[None]) -> None:
        """Cancel the worker again and again until it has ended."""
        while not running.done():
            running.cancel()
            await self._wait(running, self._settings.grace_s)
            if not running.done() and self._seen.state is not WorkerState.STUCK:
                self._enter(WorkerState.STUCK)
                self._tell("worker_stuck", self.name, "")

    async def _end_surely(self, running: asyncio.Future[None]) -> None:
        """End the worker although the keeper itself is being cancelled, however often."""
        ending, is_interrupted = asyncio.ensure_future(self._end(running)), False
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                is_interrupted = True
        if not running.cancelled():
            running.exception()
        if is_interrupted:
            raise asyncio.CancelledError

    def _failed(self, error: str, verdict: Verdict) -> None:
        self._seen.error = error
        self._enter(WorkerState.FAILING if verdict.is_given_up else WorkerState.BACKING_OFF)
        self._seen.next_try_at = self._now() + timedelta(seconds=verdict.pause_s)
        if verdict.is_news:
            self._tell("worker_failing", self.name, error)

    def _note_recovery(self, started: float) -> None:
        """Forget the failures of a worker that has run for long enough, and say so when it had been given up."""
        if not self._restarts.failures or self._pace.elapsed() - started < self._settings.stable_s:
            return
        error, self._seen.error = self._seen.error, ""
        if self._restarts.recover():
            self._tell("worker_recovered", self.name, error)

    def _beat(self) -> None:
        self._beat_at = self._pace.elapsed()
        self._seen.beat_at = self._now()

    def _enter(self, state: WorkerState) -> None:
        self._seen.state, self._seen.since, self._seen.next_try_at = state, self._now(), None


def _outcome(done: asyncio.Future[None], name: str) -> str | None:
    if done.cancelled():
        return _CANCELLED
    error = done.exception()
    if error is None:
        return None
    log.error("worker %s failed", name, exc_info=error)
    return type(error).__name__[:64]
