"""One door to tickets and proposals: the number tells which is meant."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.tools.agents.world import OWNER as AGENT_OWNER
from tests.tools.agents.world import World as Agents
from tests.tools.world import OWNER, World
from tools.agent_results import FIRST_PROPOSAL, ProposalView
from tools.decisions import Decisions
from tools.results import TicketView


@pytest.fixture
async def both(database: Engine) -> tuple[World, Agents, Decisions]:
    trade = World(database)
    await trade.desk.start()
    assert OWNER == AGENT_OWNER
    agents = Agents(database)
    return trade, agents, Decisions(trade.tickets, agents.proposals)


async def test_each_is_found_decided_and_carried_out_by_its_number(both: tuple[World, Agents, Decisions]) -> None:
    trade, agents, decisions = both
    ticket, proposal = await trade.propose(), await agents.start()
    assert ticket.ticket_id < FIRST_PROPOSAL < proposal.ticket_id
    for asked in (ticket, proposal):
        assert decisions.view(asked.ticket_id, OWNER) == asked
        assert (await decisions.approve(asked.ticket_id, asked.nonce, OWNER, "web")).outcome == "approved"
        assert (await decisions.execute(asked.ticket_id)).state == "executed"
        decisions.carry_on(asked.ticket_id)
    assert len(agents.fleet.deeds) == 1
    assert decisions.open_for(OWNER) == ()


async def test_both_wait_side_by_side_and_can_be_edited_and_rejected(both: tuple[World, Agents, Decisions]) -> None:
    trade, agents, decisions = both
    ticket, proposal = await trade.propose(), await agents.start()
    assert {type(asked) for asked in decisions.open_for(OWNER)} == {TicketView, ProposalView}
    larger = await decisions.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": "2"})
    richer = await decisions.edit(proposal.ticket_id, proposal.nonce, OWNER, {"budget_nova": "1000"})
    assert isinstance(larger, TicketView)
    assert isinstance(richer, ProposalView)
    for asked in (larger, richer):
        assert (await decisions.reject(asked.ticket_id, asked.nonce, OWNER, "web")).outcome == "rejected"
    assert await decisions.recover() == ()
    await decisions.follow()
    assert decisions.expire_due() == 0
