"""Money and mandates by talk: giving and permitting ask, taking and revoking act at once, as far as nothing breaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.fleet.lifecycle import AgentState
from engine.domain.errors import InvalidRequest
from tests.tools.agents.world import HERE, NOON, OWNER, D, World, proposal
from tools.agent_results import ProposedAction, ProposedMandate
from tools.schema import AgentStatus


def put(world: World, agent: str, state: AgentState, equity: int = 5000, bound: int = 0) -> None:
    one = world.fleet.agents[agent]
    one.state, one.equity, one.bound = state, D(equity), D(bound)


async def test_a_start_with_an_amount_proposes_that_amount(world: World) -> None:
    asked = proposal(await world.control("atlas", "start", amount=1000))
    (item,) = asked.terms.items
    assert isinstance(item, ProposedAction)
    assert (item.action, item.budget) == ("start", D(1000))
    await world.approve(asked)
    assert (world.fleet.agents["atlas"].equity, world.fleet.cash) == (D(1000), D(99_000))


async def test_an_agent_that_has_money_starts_with_the_amount_on_top(world: World) -> None:
    put(world, "atlas", AgentState.STOPPED)
    (item,) = proposal(await world.control("atlas", "start", amount=1000)).terms.items
    assert isinstance(item, ProposedAction)
    assert (item.equity, item.budget) == (D(5000), D(1000))


@pytest.mark.parametrize("action", ["start", "resume", "fund"])
async def test_a_running_agent_gets_more_by_ticket_and_goes_on(action: str, world: World) -> None:
    put(world, "nova", AgentState.RUNNING)
    asked = proposal(await world.control("nova", action, amount="500.50"))
    (item,) = asked.terms.items
    assert isinstance(item, ProposedAction)
    assert (item.action, item.budget, item.state_after) == ("fund", D("500.50"), "running")
    assert world.fleet.cash == D(100_000)
    done = await world.approve(asked)
    assert done.state == "executed"
    assert (world.fleet.agents["nova"].equity, world.fleet.cash) == (D("5500.50"), D("99499.50"))
    assert world.fleet.agents["nova"].state is AgentState.RUNNING


@pytest.mark.parametrize("action", ["start", "fund"])
async def test_more_than_the_owner_has_is_not_even_asked(action: str, world: World) -> None:
    (unchanged,) = (await world.control("nova", action, amount=100_001)).unchanged
    assert (unchanged.code, unchanged.params) == ("budget_too_large", {"available": "100000"})


async def test_what_is_given_can_be_edited_and_both_kinds_of_ticket_stand_beside_each_other(world: World) -> None:
    put(world, "nova", AgentState.PAUSED)
    resumed = proposal(await world.control("nova", "resume"))
    asked = proposal(await world.control("nova", "fund", amount=500))
    assert {each.number for each in world.proposals.open_for(OWNER)} == {resumed.number, asked.number}
    edited = await world.proposals.edit(asked.ticket_id, asked.nonce, OWNER, {"budget_nova": "250"})
    await world.approve(edited)
    assert world.fleet.agents["nova"].equity == D(5250)


async def test_an_amount_that_nobody_said_is_asked_for(world: World) -> None:
    (unchanged,) = (await world.control("nova", "fund")).unchanged
    assert unchanged.code == "amount_needed"


async def test_money_goes_back_at_once(world: World) -> None:
    put(world, "atlas", AgentState.RUNNING)
    result = await world.control("atlas", "withdraw", amount=200)
    (change,) = result.changes
    assert (change.subject, change.amount, change.before, change.after) == ("money", D(200), "5000", "4800")
    assert result.proposal is None
    assert (world.fleet.agents["atlas"].equity, world.fleet.cash) == (D(4800), D(100_200))


async def test_without_an_amount_all_goes_back_that_is_not_needed(world: World) -> None:
    put(world, "atlas", AgentState.RUNNING, bound=4000)
    await world.control("atlas", "withdraw")
    assert world.fleet.agents["atlas"].equity == D(4000)


@pytest.mark.parametrize(("bound", "said"), [(4801, {"amount": 200}), (5000, {})])
async def test_what_is_needed_stays(bound: int, said: dict[str, Any], world: World) -> None:
    put(world, "atlas", AgentState.RUNNING, bound=bound)
    (unchanged,) = (await world.control("atlas", "withdraw", **said)).unchanged
    assert (unchanged.code, unchanged.params) == ("money_bound", {"available": str(5000 - bound)})
    assert not world.fleet.deeds


@pytest.mark.parametrize("action", ["start", "fund", "withdraw"])
async def test_money_of_a_fund_is_not_moved(action: str, world: World) -> None:
    world.fleet.funds.add("nova")
    (unchanged,) = (await world.control("nova", action, amount=100)).unchanged
    assert unchanged.code == "money_of_fund"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("pause", {"amount": 5}),
        ("stop", {"amount": 5}),
        ("start", {"days": 5}),
        ("fund", {"amount": 5, "pairs": ["BTC/USDT"]}),
        ("revoke", {"days": 5}),
    ],
)
async def test_what_an_action_has_no_use_for_is_refused(action: str, said: dict[str, Any], world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.control("nova", action, **said)


async def test_a_mandate_is_asked_for_as_it_was_said(live: World) -> None:
    put(live, "atlas", AgentState.RUNNING, equity=20_000)
    asked = proposal(await live.control("atlas", "permit", amount=500, pairs=["BTC/USDT"], days=7))
    (item,) = asked.terms.items
    assert isinstance(item, ProposedMandate)
    assert (item.pairs, item.daily_notional, item.max_order_notional) == (("BTC/USDT",), D(500), D(400))
    assert item.expires_at == NOON + timedelta(days=7)
    assert live.mandates.standing("atlas", "binance") is None
    await live.approve(asked)
    standing = live.mandates.standing("atlas", "binance")
    assert standing is not None
    assert standing.terms.daily_notional == D(500)


async def test_what_was_not_said_of_a_mandate_is_as_small_as_makes_sense(live: World) -> None:
    put(live, "atlas", AgentState.RUNNING, equity=20_000)
    (item,) = proposal(await live.control("atlas", "permit")).terms.items
    assert isinstance(item, ProposedMandate)
    assert (item.daily_notional, item.pairs) == (D(20_000), ("BTC/USDT", "ETH/USDT"))


async def test_a_mandate_ends_at_once(live: World) -> None:
    put(live, "atlas", AgentState.RUNNING)
    await live.approve(proposal(await live.control("atlas", "permit", amount=500)))
    result = await live.control("atlas", "revoke")
    assert [(change.subject, change.name) for change in result.changes] == [("mandate", "revoke")]
    assert live.mandates.standing("atlas", "binance") is None
    assert (await live.tools.status(AgentStatus(agent="atlas"), HERE)).agents[0].mandate is None
    (unchanged,) = (await live.control("atlas", "revoke")).unchanged
    assert unchanged.code == "no_mandate_standing"


async def test_on_paper_no_mandate_is_needed(world: World) -> None:
    (unchanged,) = (await world.control("atlas", "permit", amount=500)).unchanged
    assert unchanged.code == "mandate_not_needed"


async def test_money_whose_giving_was_cut_off_is_looked_up_and_never_given_twice(world: World) -> None:
    put(world, "nova", AgentState.RUNNING)
    (item,) = proposal(await world.control("nova", "fund", amount=500)).terms.items
    assert not await world.work.is_done(item, "proposal:1/0")
    await world.work.carry_out(item, OWNER, "web", "proposal:1/0")
    assert await world.work.is_done(item, "proposal:1/0")
