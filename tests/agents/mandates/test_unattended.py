"""What an agent is told before an entry on a real venue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.execution.desk import client_order_id
from agents.execution.values import Execution, IntentState
from agents.fleet import ports
from agents.mandates.unattended import Unattended
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable, VenueUnavailable
from tests.agents.mandates.test_permission import execution
from tests.agents.mandates.world import D, World

BOOK = AccountState(
    cash=D(990),
    positions={},
    marks={},
    equity=D(990),
    day_start_equity=D(1000),
    peak_equity=D(1000),
    open_orders=(),
    recent_orders=0,
)


class Agent:
    """An agent that asks, with a book as the test sets it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book: AccountState | Exception = BOOK
        self.unattended = Unattended(world.permission, self._read)

    async def _read(self, agent: str) -> AccountState:
        assert agent == "atlas"
        if isinstance(self.book, Exception):
            raise self.book
        return self.book

    async def ask(self, notional: str = "100", source: str = "agent:atlas/1") -> ports.Answer:
        return await self.unattended.may_trade("atlas", D(notional), "BTC/USDT", self.world.present, source=source)


@pytest.fixture
def agent(world: World) -> Agent:
    return Agent(world)


async def test_without_a_mandate_it_asks(agent: Agent) -> None:
    assert await agent.ask() == ports.AskTicket("no_mandate")


async def test_within_the_mandate_it_may_and_its_room_is_kept(agent: Agent) -> None:
    mandate = agent.world.confirmed()
    assert await agent.ask() == ports.Allowed(str(mandate.id))
    assert agent.world.reserved() == 100
    assert await agent.ask("401", source="agent:atlas/2") == ports.AskTicket("mandate_order_notional")


async def test_a_book_that_has_fallen_to_the_drawdown_asks(agent: Agent) -> None:
    agent.world.confirmed()
    agent.book = replace(BOOK, equity=D(950))
    assert await agent.ask() == ports.AskTicket("mandate_drawdown")
    agent.book = replace(BOOK, equity=D("950.01"))
    assert isinstance(await agent.ask(), ports.Allowed)


@pytest.mark.parametrize(
    "book", [VenueUnavailable("no answer"), DataUnavailable("no price"), replace(BOOK, peak_equity=D(0))]
)
async def test_a_book_that_cannot_be_read_refuses(book: AccountState | Exception, agent: Agent) -> None:
    agent.world.confirmed()
    agent.book = book
    assert await agent.ask() == ports.Refused("drawdown_unknown")


async def test_a_database_that_does_not_answer_refuses(agent: Agent) -> None:
    with agent.world.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE mandate_days")
    assert await agent.ask() == ports.Refused("mandate_unreadable")


async def test_the_room_of_what_was_never_sent_is_given_back(agent: Agent) -> None:
    agent.world.confirmed()
    for number in range(4):
        await agent.ask(source=f"agent:atlas/{number}")
    known = {
        client_order_id("agent:atlas/0"): execution("agent:atlas/0", IntentState.UNSENT),
        client_order_id("agent:atlas/1"): execution("agent:atlas/1", IntentState.DONE),
        client_order_id("agent:atlas/2"): execution("agent:atlas/2", IntentState.SENT),
    }

    async def find(order_id: str) -> Execution | None:
        return known.get(order_id)

    assert await agent.unattended.settle(find, agent.world.present) == 1
    assert await agent.unattended.settle(find, agent.world.present) == 0
    assert agent.world.reserved() == 300
