"""Approve a ticket in processes of their own and kill them: `python -m tests.copilot.kill FOLDER TEXT PLACE...`.

TEXT opens the ticket (`tests.copilot.talk.SCRIPT`). A PLACE is `c<n>` (at the n-th edge of a database commit, even
numbers before it, odd ones after it) or `m<n>` (likewise of a write to the conversation's memory), counted from the
click on; `c8,c3` kills the approval at c8 and then the recovery of the next start at its c3. Every process works on
`FOLDER/<number>.db`; the parent forks, so that the libraries are loaded once, and opens nothing before a fork.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from copilot.background import Background
from copilot.memory import MemorySaver
from copilot.memory import open_memory as open_store
from tests.copilot.talk import approve, build_copilot, opened, say
from tests.tools.world import World, open_fast


class Edges:
    """Count the edges of something that is written, and die at one of them."""

    def __init__(self, fatal: int | None) -> None:
        self._fatal = fatal
        self._seen = 0

    def edge(self) -> None:
        if self._seen == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self._seen += 1

    def around_commits(self, database: Engine) -> None:
        commit = database.dialect.do_commit

        def counted(connection: Any) -> None:
            self.edge()
            commit(connection)
            self.edge()

        database.dialect.do_commit = counted  # type: ignore[assignment]  # the only hook after a commit

    def around_writes(self, memory: MemorySaver) -> None:
        def wrap(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def counted(*args: Any, **options: Any) -> Any:
                self.edge()
                answer = await write(*args, **options)
                self.edge()
                return answer

            return counted

        for name in ("aput", "aput_writes"):
            setattr(memory, name, wrap(getattr(memory, name)))


@asynccontextmanager
async def open_memory(path: Path) -> AsyncIterator[MemorySaver]:
    """Yield the conversation's memory beside a database."""
    async with open_store(f"sqlite:///{path.with_suffix('.memory')}") as memory:
        yield memory


def make_background(world: World) -> Background:
    return Background(world.venue, world.desk, world.decisions, world.alerts)


def edges_of(place: str, kind: str) -> Edges:
    return Edges(int(place[1:]) if place.startswith(kind) else None)


async def ask_and_approve(path: Path, text: str, place: str) -> None:
    world = World(open_fast(path))
    async with open_memory(path) as memory:
        await make_background(world).recover()
        copilot = build_copilot(world, memory)
        ticket = opened(await say(copilot, text))
        edges_of(place, "c").around_commits(world.database)
        edges_of(place, "m").around_writes(memory)
        await approve(copilot, ticket)


async def recover(path: Path, place: str) -> None:
    world = World(open_fast(path))
    edges_of(place, "c").around_commits(world.database)
    await make_background(world).recover()


def is_killed(work: Callable[[], Any]) -> bool:
    """Run some work in a fork; return whether it was killed. A failure ends everything."""
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work())
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        sys.exit("a process failed instead of being killed")
    return os.WIFSIGNALED(status)


def main(folder: str, text: str, *places: str) -> None:
    for number, places_in_turn in enumerate(places):
        path = Path(folder) / f"{number}.db"
        first, _, second = places_in_turn.partition(",")
        killed = [is_killed(functools.partial(ask_and_approve, path, text, first))]
        if second:
            killed.append(is_killed(functools.partial(recover, path, second)))
        sys.stdout.write(" ".join("killed" if each else "ended" for each in killed) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
