"""Time that moves by hand, a wall clock tied to it, a notifier that remembers, workers that do as they are told."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from sqlalchemy import Connection

from agents.execution.rows import DatabaseFailed
from agents.supervisor import Pulse

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_T = TypeVar("_T")
_TURNS = 30
"""Turns of the loop after which everything that could go on has gone on."""


class ManualPace:
    """A `Pace` whose time stands still until `advance`; blocking work runs at once, or fails, or waits."""

    def __init__(self) -> None:
        self.present = 0.0
        self.is_down = False
        self.is_silent = False
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def elapsed(self) -> float:
        return self.present

    async def pause(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.present + max(seconds, 0), next(self._order), waiting))
        await waiting

    async def offload(self, work: Callable[[], _T]) -> _T:
        while self.is_silent:
            await self.pause(1)
        if self.is_down:
            raise DatabaseFailed("down")
        return work()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.present)

    def database_now(self, connection: Connection) -> datetime:
        return self.now()

    async def settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, stopping wherever somebody wakes."""
        end = self.present + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, waiting = heapq.heappop(self._sleepers)
            if not waiting.done():
                self.present = max(self.present, at)
                waiting.set_result(None)
                await self.settle()
        self.present = end
        await self.settle()


class Told:
    """A `Notifier` that remembers."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, str, dict[str, str]]] = []

    def notify(self, owner: str, kind: str, params: Mapping[str, str]) -> None:
        self.notices.append((owner, kind, dict(params)))

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.notices]


class Scripted:
    """A worker that follows its script: each run takes the next step, the last one is repeated.

    A step is seconds to run before failing, `"work"` (beats every second), `"hang"` (runs without a beat), `"stuck"`
    (ignores one cancellation a grace), or `"finish"`.
    """

    def __init__(self, pace: ManualPace, *steps: float | str, name: str = "worker") -> None:
        self.name = name
        self.runs = 0
        self.running = 0
        self.most_running = 0
        self.started_at: list[float] = []
        self.ended_at: list[float] = []
        self.fences: list[int] = []
        self.deaf = 0
        self._pace = pace
        self._steps = steps

    async def run(self, pulse: Pulse) -> None:
        step = self._steps[min(self.runs, len(self._steps) - 1)]
        self.runs += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started_at.append(self._pace.present)
        self.fences.append(pulse.fence)
        try:
            await self._follow(step, pulse)
        finally:
            self.running -= 1
            self.ended_at.append(self._pace.present)

    async def _follow(self, step: float | str, pulse: Pulse) -> None:
        if step == "finish":
            return
        if step == "hang":
            await asyncio.Event().wait()
        if step == "stuck":
            await self._ignore()
        if isinstance(step, float | int):
            await self._pace.pause(step)
            raise OSError("no route")
        while True:
            pulse.require_term()
            pulse.beat()
            await self._pace.pause(1)

    async def _ignore(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.deaf <= 0:
                    raise
                self.deaf -= 1
