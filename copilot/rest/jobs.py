"""Backtests as jobs: taken in at once, run one after the other, kept in the database until they are dropped.

A job belongs to the process that took it in. One whose process is gone (a restart, a crash, a machine that is silent
for too long) is told as interrupted by whoever looks at it next, and is never begun again by itself. A job that is
dropped ends the work on it as far as that can be ended: what waits is not begun, what a thread computes is thrown away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, cast

from sqlalchemy import Engine, Row, delete, func, insert, select, update

from agents.execution.claims import has_ended, process_token
from copilot.events import Language
from copilot.rest.tables import rest_backtests
from engine.domain.errors import InvalidRequest
from tools.registry import ToolContext
from tools.results import BacktestResult, Result, Unavailable
from tools.schema import RunBacktest

log = logging.getLogger(__name__)

MAX_OPEN = 10
"""Jobs of one owner that may wait or run."""
KEPT = timedelta(days=30)
_BEAT_S = 5.0
_SILENCE = timedelta(seconds=60)
"""A process that has not said for this long that it runs a job does not run it any more."""
_DONE = "done_ratio"
"""Key in a running job's `params`, where other processes read how far it is."""

JobState = Literal["queued", "running", "done", "failed", "interrupted"]
OPEN = ("queued", "running")


class RunsTools(Protocol):
    """The toolbox."""

    async def run(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Result:
        """Validate the arguments and run a tool."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A backtest that was asked for.

    Attributes:
        ahead: Jobs of this process that come before it.
        done_ratio: Share of its work that is done (0–1), as the tool tells it.
        code, params: Why it failed.
    """

    id: str
    state: JobState
    request: RunBacktest
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ahead: int
    done_ratio: float
    result: BacktestResult | None
    code: str | None
    params: Mapping[str, str] = field(default_factory=dict)


class BacktestJobs:
    """The jobs of one process, and a view of everybody's.

    Args:
        database: Where they are kept.
        tools: Runs them.
        now: The present, aware UTC.
    """

    def __init__(self, database: Engine, tools: RunsTools, now: Callable[[], datetime]) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._tools = tools
        self._now = now
        self._process = process_token()
        self._line: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._done: dict[str, float] = {}

    def start(self, asked: RunBacktest, owner: str, language: Language) -> Job:
        """Take a backtest in.

        Raises:
            InvalidRequest: `too_many_backtests` are under way.
        """
        now, job_id = self._now(), secrets.token_hex(16)
        values = {
            "id": job_id,
            "owner": owner,
            "language": language,
            "request": asked.model_dump_json(),
            "state": "queued",
            "process": self._process,
            "created_at": now,
            "seen_at": now,
        }
        self._end_left()
        mine = (rest_backtests.c.owner == owner, rest_backtests.c.state.in_(OPEN))
        with self._database.begin() as connection:
            if (
                connection.execute(select(func.count()).select_from(rest_backtests).where(*mine)).scalar_one()
                >= MAX_OPEN
            ):
                raise InvalidRequest("too_many_backtests", limit=MAX_OPEN)
            connection.execute(delete(rest_backtests).where(rest_backtests.c.created_at < now - KEPT))
            connection.execute(insert(rest_backtests).values(values))
        self._line.append(job_id)
        context = ToolContext(owner, "rest", language, lambda done: self._move(job_id, done))
        task = asyncio.create_task(self._work(job_id, asked, context))
        self._tasks[job_id] = task
        # Not in the task itself: one that is cancelled before its first step never runs a line.
        task.add_done_callback(lambda _: self._forget(job_id))
        job = self.get(job_id, owner)
        assert job is not None, "it was just written"
        return job

    def get(self, job_id: str, owner: str) -> Job | None:
        """Return the owner's job, or None."""
        self._end_left()
        mine = (rest_backtests.c.id == job_id, rest_backtests.c.owner == owner)
        with self._reads.connect() as connection:
            row = connection.execute(select(rest_backtests).where(*mine)).one_or_none()
        return None if row is None else self._read(row)

    def list(self, owner: str, limit: int = 50) -> tuple[Job, ...]:
        """Return the owner's jobs, newest first."""
        self._end_left()
        query = select(rest_backtests).where(rest_backtests.c.owner == owner)
        newest = query.order_by(rest_backtests.c.created_at.desc(), rest_backtests.c.id).limit(limit)
        with self._reads.connect() as connection:
            return tuple(self._read(row) for row in connection.execute(newest))

    def drop(self, job_id: str, owner: str) -> bool:
        """Cancel a job and forget it; return whether there was one."""
        mine = (rest_backtests.c.id == job_id, rest_backtests.c.owner == owner)
        with self._database.begin() as connection:
            if connection.execute(delete(rest_backtests).where(*mine)).rowcount != 1:
                return False
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
        return True

    def count_open(self) -> int:
        """Return how many jobs of this process wait or run."""
        return len(self._tasks)

    async def close(self) -> None:
        """End everything here, and say so."""
        open_here = dict(self._tasks)
        for task in open_here.values():
            task.cancel()
        await asyncio.gather(*open_here.values(), return_exceptions=True)
        for job_id in open_here:
            self._end(job_id, state="interrupted")

    def _forget(self, job_id: str) -> None:
        del self._tasks[job_id]
        self._line.remove(job_id)
        self._done.pop(job_id, None)

    def _move(self, job_id: str, done: float) -> None:
        """Note how far a job is; the thread that works on it calls this, maybe after the job was dropped."""
        if job_id in self._tasks:
            self._done[job_id] = max(done, self._done.get(job_id, 0.0))

    async def _work(self, job_id: str, asked: RunBacktest, context: ToolContext) -> None:
        try:
            async with self._one_at_a_time:
                if self._change(job_id, state="running", started_at=self._now(), seen_at=self._now()):
                    await self._run(job_id, asked, context)
        except asyncio.CancelledError:
            self._end(job_id, state="interrupted")
            raise
        except Exception:
            log.exception("backtest %s failed", job_id)
            self._end(job_id, state="failed", code="internal_error")

    async def _run(self, job_id: str, asked: RunBacktest, context: ToolContext) -> None:
        work = asyncio.ensure_future(self._tools.run("run_backtest", asked.model_dump(exclude_none=True), context))
        try:
            while not (await asyncio.wait((work,), timeout=_BEAT_S))[0]:
                for each in self._line:
                    self._change(each, seen_at=self._now(), params=json.dumps({_DONE: self._done.get(each, 0.0)}))
                if not self._is_wanted(job_id):
                    return
            self._settle(job_id, work)
        finally:
            work.cancel()

    def _settle(self, job_id: str, work: asyncio.Future[Result]) -> None:
        try:
            result = work.result()
        except InvalidRequest as error:
            self._end(job_id, state="failed", code=error.code, params=error.params)
            return
        match result:
            case BacktestResult():
                self._end(job_id, state="done", result=result.model_dump_json())
            case Unavailable():
                self._end(job_id, state="failed", code=result.code, params=result.params)
            case _:
                raise TypeError(f"run_backtest answered {type(result).__name__}")

    def _end(self, job_id: str, *, params: Mapping[str, object] | None = None, **values: Any) -> None:
        told = json.dumps({key: str(value) for key, value in (params or {}).items()})
        self._change(job_id, ended_at=self._now(), params=told, **values)

    def _change(self, job_id: str, **values: Any) -> bool:
        """Change a job of this process that has not ended; False when it has, or is gone."""
        mine = (
            rest_backtests.c.id == job_id,
            rest_backtests.c.process == self._process,
            rest_backtests.c.state.in_(OPEN),
        )
        with self._database.begin() as connection:
            return connection.execute(update(rest_backtests).where(*mine).values(values)).rowcount == 1

    def _is_wanted(self, job_id: str) -> bool:
        """Return whether a job still stands; another process may have dropped it."""
        with self._reads.connect() as connection:
            return (
                connection.execute(select(rest_backtests.c.id).where(rest_backtests.c.id == job_id)).first() is not None
            )

    def _end_left(self) -> None:
        """Tell jobs whose process is gone."""
        open_jobs = select(rest_backtests).where(
            rest_backtests.c.state.in_(OPEN), rest_backtests.c.process != self._process
        )
        with self._reads.connect() as connection:
            left = [row for row in connection.execute(open_jobs) if self._is_left(row)]
        for row in left:
            same = (
                rest_backtests.c.id == row.id,
                rest_backtests.c.state.in_(OPEN),
                rest_backtests.c.seen_at == row.seen_at,
            )
            values = {"state": "interrupted", "ended_at": self._now(), "params": "{}"}
            with self._database.begin() as connection:
                connection.execute(update(rest_backtests).where(*same).values(values))

    def _is_left(self, row: Row[Any]) -> bool:
        return has_ended(row.process) or self._now() - row.seen_at > _SILENCE

    def _read(self, row: Row[Any]) -> Job:
        params = json.loads(row.params or "{}")
        told = params.pop(_DONE, 0.0)
        return Job(
            row.id,
            cast(JobState, row.state),
            RunBacktest.model_validate_json(row.request),
            row.created_at,
            row.started_at,
            row.ended_at,
            self._line.index(row.id) if row.state == "queued" and row.id in self._line else 0,
            self._ratio(row, told),
            None if row.result is None else BacktestResult.model_validate_json(row.result),
            row.code,
            params,
        )

    def _ratio(self, row: Row[Any], told: float) -> float:
        """Return how far a job is: here as its thread says, elsewhere as its process last wrote."""
        if row.state == "done":
            return 1.0
        if row.state != "running":
            return 0.0
        return round(min(max(self._done.get(row.id, 0.0), told), 0.99), 3)
