"""One intent from every surface of several programs at once, and from the desk itself: one order."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents.execution.values import IntentState
from tests.agents.execution.fakes import open_database
from tests.copilot.talk import build_copilot, listen, opened, say
from tests.tools.world import OWNER, World

SURFACES = ("web", "telegram", "rest", "terminal")
PROGRAMS = 4


async def fire(path: Path, times: int) -> Counter[str]:
    """Let every surface of every program, and the desks beside them, send one ticket's order; count the answers."""
    worlds = [World(open_database(path))]
    await worlds[0].desk.start()
    worlds += [worlds[0].again() for _ in range(PROGRAMS - 1)]
    copilots = [build_copilot(world, InMemorySaver()) for world in worlds]
    ticket = opened(await say(copilots[0], "buy"))

    async def click(number: int) -> str:
        world, copilot = worlds[number % PROGRAMS], copilots[number % PROGRAMS]
        way = number % (len(SURFACES) + 1)
        if way < len(SURFACES):
            await listen(copilot.decide(OWNER, ticket.ticket_id, ticket.nonce, "approve", SURFACES[way]))
            return SURFACES[way]
        view = await world.tickets.execute(ticket.ticket_id)
        return f"desk {view.state}"

    answers = Counter(await asyncio.gather(*(click(number) for number in range(times))))
    for world in worlds:
        await world.desk.reconcile()
        assert [each.fill.side for each in await world.desk.trades()] == ["buy"]
        told = await world.desk.execution((await world.desk.trades())[0].fill.client_order_id)
        assert told is not None
        assert told.state is IntentState.DONE
    assert await worlds[0].orders() == 1
    assert len(await worlds[0].venue.fills(0)) == 1
    return answers


async def test_one_intent_from_every_surface_at_once_is_one_order(tmp_path: Path) -> None:
    answers = await fire(tmp_path / "one.db", 40)
    assert set(SURFACES) <= set(answers)


@pytest.mark.prove
async def test_one_intent_a_thousand_times_at_once_is_one_order(tmp_path: Path) -> None:
    answers = await fire(tmp_path / "one.db", 1000)
    print(f"\n1000 at once from {PROGRAMS} programs: {dict(answers)}, one order")  # noqa: T201 - it is the result
    assert sum(answers.values()) == 1000
