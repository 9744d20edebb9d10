"""Kill the program at every step of an approved ticket, start again: one order or none, and the owner is told which."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from copilot.wording import render_answer
from tests.copilot.kill import make_background, open_memory
from tests.copilot.talk import answer, approve, build_copilot, closed, say
from tests.parts import REPOSITORY
from tests.tools.world import OWNER, World, open_fast
from tools.tables import ticket_decisions

SENT = {"buy": "executed", "rest": "working", "buy both": "executed"}


def run_kills(folder: Path, text: str, *places: str) -> list[str]:
    command = [sys.executable, "-m", "tests.copilot.kill", str(folder), text, *places]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def check_restart(path: Path, text: str) -> str:
    """Start again twice on what a kill left, click again, talk on; return how the first start left the ticket."""
    database = open_fast(path)
    world = World(database)
    for _ in range(2):
        await make_background(world).recover()
        world = world.again()
    found = world.tickets.view(1, OWNER)
    assert found is not None
    with database.connect() as connection:
        decided = connection.execute(select(func.count()).select_from(ticket_decisions)).scalar_one()
    notices = [notice.kind for notice in world.notices.pending(OWNER, "web")]
    if decided:
        assert found.state in (SENT[text], "unsent")
        assert notices.count("ticket_unsent") == (found.state == "unsent")
        assert notices in ([], [f"ticket_{found.state}"])
    else:
        assert (found.state, notices) == ("pending", [])
    assert await world.orders() == (found.state == SENT[text])
    async with open_memory(path) as memory:
        copilot = build_copilot(world, memory)
        told = await approve(copilot, found)
        assert answer(told)
        final = closed(told)[0]
        assert final.state == (SENT[text] if found.state == "pending" else found.state)
        assert render_answer([final], "es")
        assert await world.orders() == (final.state == SENT[text])
        assert answer(await say(copilot, "portfolio"))
    assert world.desk.discrepancies() == ()
    assert len(await world.desk.trades()) == len(await world.venue.fills(0))
    database.dispose()
    return found.state


async def check_all(folder: Path, text: str, places: list[str]) -> tuple[int, Counter[str]]:
    """Kill at each place and check each restart; return how many were killed and how they were found."""
    ends = run_kills(folder, text, *places)
    assert len(ends) == len(places)
    killed = ends.count("killed")
    found = Counter([await check_restart(folder / f"{number}.db", text) for number in range(len(places))])
    return killed, found


async def test_kill_at_some_commits_leaves_one_order_or_none(tmp_path: Path) -> None:
    killed, found = await check_all(tmp_path, "buy", [f"c{n}" for n in (0, 11, 14, 19, 24, 30, 41, 52)])
    assert killed >= 6
    assert found.keys() >= {"pending", "unsent", "executed"}


async def test_kill_at_some_writes_to_memory_leaves_one_order_or_none(tmp_path: Path) -> None:
    killed, found = await check_all(tmp_path, "buy", [f"m{n}" for n in (0, 1, 4, 7)])
    assert killed >= 3
    assert found.keys() <= {"unsent", "executed"}


async def test_kill_in_the_recovery_of_a_kill(tmp_path: Path) -> None:
    ends = run_kills(tmp_path, "buy", "c24,c4", "c24,c13", "c41,c12")
    assert "killed killed" in ends
    for number in range(len(ends)):
        await check_restart(tmp_path / f"{number}.db", "buy")


@pytest.mark.prove
@pytest.mark.parametrize("text", ["buy", "rest", "buy both"])
@pytest.mark.parametrize("kind", ["c", "m"])
async def test_kill_at_every_step(tmp_path: Path, text: str, kind: str) -> None:
    places = [f"{kind}{n}" for n in range(200 if kind == "c" else 40)]
    killed, found = await check_all(tmp_path, text, places)
    assert killed < len(places)
    assert killed >= (40 if kind == "c" else 8)
    assert found[SENT[text]] > 0


@pytest.mark.prove
async def test_kill_at_every_step_of_the_recovery(tmp_path: Path) -> None:
    places = [f"c{first},c{second}" for first in range(10, 80, 6) for second in range(0, 60, 4)]
    ends = run_kills(tmp_path, "buy", *places)
    assert ends.count("killed killed") >= 50
    for number in range(len(places)):
        await check_restart(tmp_path / f"{number}.db", "buy")
