"""`kill -9` at every step of an approved proposal, and again during recovery: done at most once, and told truly."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from agents.fleet.lifecycle import Action, AgentState
from engine.data.database import connect_database, metadata
from tests.tools.agents.world import OWNER, FakeFleet, World

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
AGENTS = ("atlas", "nova")


class Edges:
    """Count the edges of what is written, and die at one of them."""

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

        database.dialect.do_commit = counted  # type: ignore[method-assign]  # the only hook after a commit


class FileFleet(FakeFleet):
    """A fleet that outlives its process: what was done stands in a file, one line each."""

    def __init__(self, path: Path, edges: Edges) -> None:
        super().__init__()
        self._path = path
        self._edges = edges
        for name in AGENTS:
            if name in self.lines():
                self.agents[name].state = AgentState.RUNNING

    def lines(self) -> list[str]:
        return self._path.read_text().split() if self._path.exists() else []

    async def act(
        self, agent: str, action: Action, *, by: str, source: str = "", budget: Decimal | None = None
    ) -> None:
        self._edges.edge()
        with self._path.open("a") as file:
            file.write(f"{agent}\n")
        self._edges.edge()
        await super().act(agent, action, by=by, source=source, budget=budget)


class Place:
    """A folder where processes live and die."""

    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder}/killed.db"
        self._deeds = folder / "deeds"

    def world(self, edges: Edges) -> World:
        database = connect_database(self._url)
        event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        edges.around_commits(database)
        metadata.create_all(database)
        return World(database, fleet=FileFleet(self._deeds, edges))

    def deeds(self) -> list[str]:
        return self._deeds.read_text().split() if self._deeds.exists() else []

    def run(self, work: Callable[[World], Any], fatal: int | None) -> bool:
        """Work in a process of its own that may be killed; return whether it was."""
        pid = os.fork()
        if pid == 0:
            edges = Edges(None)
            world = self.world(edges)
            edges._fatal, edges._seen = fatal, 0
            asyncio.run(work(world))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, -signal.SIGKILL)
        return code != 0


async def _open(world: World) -> None:
    world.fleet.agents["orion"].state = AgentState.RUNNING
    await world.control("all", "start")


async def _approve(world: World) -> None:
    for asked in world.proposals.open_for(OWNER):
        await world.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
        await world.proposals.execute(asked.ticket_id)


async def _recover(world: World) -> None:
    await world.proposals.recover()


def run_and_look(folder: Path, *fatal: int) -> tuple[list[str], str, bool]:
    """Kill the approval at an edge, and recoveries at others; return the deeds, the end and whether it was killed."""
    folder.mkdir()
    place = Place(folder)
    place.run(_open, None)
    was_killed = place.run(_approve, fatal[0])
    for edge in fatal[1:]:
        place.run(_recover, edge)
    place.run(_recover, None)
    world = place.world(Edges(None))
    view = world.proposals.view(1_000_000_001, OWNER)
    assert view is not None
    told = [kind for kind, _ in world.told()]
    if view.state in ("executed", "unsent") and was_killed:
        assert told == [f"proposal_{view.state}"] or (view.state == "executed" and not told)
    outcomes = [AGENTS[each.index] for each in view.outcomes if each.is_done]
    assert outcomes == place.deeds()
    world.database.dispose()
    return place.deeds(), view.state, was_killed


def assert_true(deeds: list[str], state: str) -> None:
    """Each was started at most once, in order, and the end says what was done."""
    assert deeds == list(AGENTS[: len(deeds)])
    assert (state == "executed") == (deeds == list(AGENTS))
    assert state in ("pending", "executed", "unsent")
    assert state != "pending" or not deeds


def test_killed_at_any_step_each_agent_is_started_at_most_once_and_the_end_is_true(tmp_path: Path) -> None:
    ends = set()
    for edge in range(100):
        deeds, state, was_killed = run_and_look(tmp_path / str(edge), edge)
        assert_true(deeds, state)
        ends.add((tuple(deeds), state))
        if not was_killed:
            break
    else:
        raise AssertionError("there were more than a hundred edges")
    assert ((), "pending") in ends
    assert ((), "unsent") in ends
    assert (("atlas",), "unsent") in ends
    assert (AGENTS, "executed") in ends


@pytest.mark.prove
def test_killed_during_recovery_too_nothing_changes(tmp_path: Path) -> None:
    for edge in range(0, 60, 2):
        for again in range(12):
            deeds, state, was_killed = run_and_look(tmp_path / f"{edge}-{again}", edge, again, again // 2)
            assert_true(deeds, state)
            if not was_killed:
                return
