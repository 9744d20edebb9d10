"""Many processes decide at once, on SQLite and on a real MariaDB: one wins, and things are done once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from engine.data.database import connect_database, metadata
from tests.tools.agents.world import OWNER, D, FakeFleet, World
from tools.agent_results import ProposalView
from tools.proposal_tables import proposal_decisions, proposals
from tools.tables import notices

MANDATES = ("mandates", "mandate_days", "mandate_events", "mandate_reservations")


TABLES = [proposals, proposal_decisions, notices, *(metadata.tables[name] for name in MANDATES)]
"""What these tests write: making every table takes a server longer than the tests."""


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database with all tables."""
    address = f"sqlite:///{tmp_path}/shared.db"
    if request.param == "mariadb":
        address = request.getfixturevalue("mariadb_url")
    database = connect_database(address)
    metadata.create_all(database, tables=TABLES)
    database.dispose()
    return address


@pytest.fixture
def shared(url: str) -> Iterator[Engine]:
    """Return that database, open."""
    database = connect_database(url)
    yield database
    database.dispose()


def in_processes(url: str, fleet: FakeFleet, asked: ProposalView, number: int) -> list[str]:
    """Let many stand-ins for processes approve and carry out one proposal at once; return how each fared."""

    async def click(world: World) -> str:
        decided = await world.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
        await world.proposals.execute(asked.ticket_id)
        return decided.outcome

    def one(_: int) -> str:
        database = connect_database(url)
        try:
            return asyncio.run(click(World(database, fleet=fleet)))
        finally:
            database.dispose()

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(number)))


async def test_of_many_approvals_one_starts_the_agent(url: str, shared: Engine) -> None:
    world = World(shared)
    asked = await world.start("nova")
    outcomes = Counter(await asyncio.to_thread(in_processes, url, world.fleet, asked, 24))
    assert outcomes["approved"] == 1
    assert outcomes.keys() <= {"approved", "already"}
    assert [deed[:2] for deed in world.fleet.deeds] == [("nova", "start")]
    assert world.fleet.agents["nova"].equity == D(10_000)
    await world.proposals.follow()
    done = world.proposals.view(asked.ticket_id, OWNER)
    assert done is not None
    assert done.state == "executed"


async def test_the_whole_life_of_a_proposal(shared: Engine) -> None:
    world = World(shared, "binance")
    asked = await world.start("nova")
    edited = await world.proposals.edit(asked.ticket_id, asked.nonce, OWNER, {"daily_nova": "1500.25"})
    assert (await world.approve(edited)).state == "executed"
    standing = world.mandates.standing("nova", "binance")
    assert standing is not None
    assert standing.terms.daily_notional == D("1500.25")
    rejected = await world.start("atlas")
    await world.proposals.reject(rejected.ticket_id, rejected.nonce, OWNER, "web")
    left = await world.start("orion")
    world.wait(minutes=17)
    assert world.proposals.expire_due() == 1
    ends = [world.proposals.view(each.ticket_id, OWNER) for each in (asked, rejected, left)]
    assert [end.state for end in ends if end is not None] == ["executed", "rejected", "expired"]
