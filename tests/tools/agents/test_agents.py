"""The agents by talk: what lowers risk acts at once, what raises it asks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from agents.fleet.lifecycle import AgentState
from agents.mandates import Allowed, MandateTerms
from engine.domain.errors import InvalidRequest, VenueUnavailable
from tests.tools.agents.world import HERE, NOON, OWNER, D, World, proposal
from tools.agent_results import ProposedAction, ProposedMandate, ProposedSetting
from tools.schema import AgentStatus

RUNNING, PAUSED, STOPPED, HALTED = AgentState.RUNNING, AgentState.PAUSED, AgentState.STOPPED, AgentState.HALTED


def put(world: World, state: AgentState, *agents: str) -> None:
    for agent in agents or world.fleet.names():
        world.fleet.agents[agent].state = state
        world.fleet.agents[agent].equity = D(5000)


@pytest.mark.parametrize(
    ("state", "action", "after"),
    [(RUNNING, "pause", "paused"), (RUNNING, "stop", "stopped"), (PAUSED, "stop", "stopped")],
)
async def test_what_lowers_risk_acts_at_once(state: AgentState, action: str, after: str, world: World) -> None:
    put(world, state, "nova")
    result = await world.control("nova", action)
    assert result.proposal is None
    assert [(c.agent, c.before, c.after) for c in result.changes] == [("nova", state.value, after)]
    assert world.fleet.agents["nova"].state.value == after
    assert world.fleet.deeds == [("nova", action, OWNER, "")]


@pytest.mark.parametrize(
    ("state", "said", "meant", "after"),
    [
        (AgentState.CREATED, "start", "start", "running"),
        (STOPPED, "start", "start", "running"),
        (STOPPED, "resume", "start", "running"),
        (PAUSED, "resume", "resume", "running"),
        (PAUSED, "start", "resume", "running"),
        (HALTED, "start", "lift", "paused"),
        (HALTED, "resume", "lift", "paused"),
    ],
)
async def test_what_raises_risk_is_only_proposed(
    state: AgentState, said: str, meant: str, after: str, world: World
) -> None:
    put(world, state, "nova")
    world.fleet.agents["nova"].reason = "drawdown"
    result = await world.control("nova", said)
    assert not result.changes
    (item,) = proposal(result).terms.items
    assert isinstance(item, ProposedAction)
    assert (item.action, item.state_before, item.state_after) == (meant, state.value, after)
    assert item.reason == ("drawdown" if meant == "lift" else "")
    assert world.fleet.agents["nova"].state is state
    assert not world.fleet.deeds


async def test_a_first_start_proposes_a_budget_and_shows_the_limits(world: World) -> None:
    (item,) = (await world.start("nova")).terms.items
    assert isinstance(item, ProposedAction)
    assert (item.budget, item.available, item.equity) == (D(10_000), D(100_000), D(0))
    assert (item.position_size_pct, item.max_positions, item.max_drawdown_pct) == (D(5), 10, D(20))


async def test_an_approved_start_moves_the_budget_and_starts(world: World) -> None:
    done = await world.approve(await world.start("nova"))
    assert done.state == "executed"
    assert world.fleet.agents["nova"].state is RUNNING
    assert (world.fleet.agents["nova"].equity, world.fleet.cash) == (D(10_000), D(90_000))
    assert world.fleet.deeds == [("nova", "start", OWNER, "proposal:1/0")]


async def test_an_edited_budget_is_the_one_that_moves(world: World) -> None:
    asked = await world.start("nova")
    edited = await world.proposals.edit(asked.ticket_id, asked.nonce, OWNER, {"budget_nova": "1000"})
    assert edited.version == 2
    await world.approve(edited)
    assert world.fleet.agents["nova"].equity == D(1000)


@pytest.mark.parametrize(
    "changes",
    [
        {"budget_nova": "100000.01"},
        {"budget_nova": "0"},
        {"budget_nova": "-5"},
        {"budget_nova": "NaN"},
        {"budget_nova": "1e3"},
        {"budget_nova": "ten"},
        {"budget_atlas": "10"},
        {"daily_nova": "10"},
        {"quantity": "10"},
    ],
)
async def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(changes: dict[str, str], world: World) -> None:
    asked = await world.start("nova")
    with pytest.raises(InvalidRequest):
        await world.proposals.edit(asked.ticket_id, asked.nonce, OWNER, changes)
    assert world.proposals.view(asked.ticket_id, OWNER) == asked


async def test_what_is_so_already_is_said_and_nothing_is_done(world: World) -> None:
    put(world, RUNNING, "nova")
    result = await world.control("nova", "start")
    assert [(u.agent, u.code, u.params) for u in result.unchanged] == [("nova", "already", {"state": "running"})]
    assert result.proposal is None
    assert not world.fleet.deeds


async def test_what_does_not_apply_is_said(world: World) -> None:
    (unchanged,) = (await world.control("nova", "pause")).unchanged
    assert (unchanged.code, unchanged.params) == ("agent_transition", {"state": "created", "action": "pause"})


async def test_stop_all_stops_each_whatever_happens_with_another(world: World) -> None:
    put(world, RUNNING)
    world.fleet.deaf = {"atlas"}
    result = await world.control("all", "stop")
    assert [change.agent for change in result.changes] == ["orion", "nova"]
    assert [(u.agent, u.code) for u in result.unchanged] == [("atlas", "failed")]


async def test_start_all_is_one_proposal_for_those_that_do_not_run(world: World) -> None:
    put(world, RUNNING, "orion")
    result = await world.control("all", "start")
    assert [item.agent for item in proposal(result).terms.items] == ["atlas", "nova"]
    assert [(u.agent, u.code) for u in result.unchanged] == [("orion", "already")]
    await world.approve(proposal(result))
    assert {agent.state for agent in world.fleet.agents.values()} == {RUNNING}


async def test_pausing_needs_no_venue(world: World) -> None:
    put(world, RUNNING)
    world.fleet.trouble = VenueUnavailable("no answer")
    assert len((await world.control("all", "pause")).changes) == 3
    with pytest.raises(VenueUnavailable):
        await world.control("all", "resume")


@pytest.mark.parametrize(
    ("setting", "value", "after"),
    [
        ("position_size_pct", "2", "2"),
        ("position_size_pct", "1.50", "1.5"),
        ("max_positions", "4", "4"),
        ("pairs", ["BTC/USDT"], ("BTC/USDT",)),
    ],
)
async def test_a_setting_that_lowers_risk_acts_at_once(
    setting: str, value: Any, after: str | tuple[str, ...], world: World
) -> None:
    result = await world.configure("orion", setting, value)
    assert result.proposal is None
    assert [(c.name, c.after) for c in result.changes] == [(setting, after)]
    assert world.fleet.agents["orion"].settings[setting] == after


@pytest.mark.parametrize(
    ("setting", "value"), [("position_size_pct", "4"), ("max_drawdown_pct", "15"), ("pairs", ["BTC/USDT", "SOL/USDT"])]
)
async def test_a_setting_that_raises_risk_asks_and_is_set_when_approved(setting: str, value: Any, world: World) -> None:
    before = world.fleet.agents["orion"].settings[setting]
    asked = proposal(await world.configure("orion", setting, value))
    (item,) = asked.terms.items
    assert isinstance(item, ProposedSetting)
    assert item.before == before
    assert world.fleet.agents["orion"].settings[setting] == before
    await world.approve(asked)
    assert world.fleet.agents["orion"].settings[setting] == item.after != before


async def test_one_figure_for_all_acts_for_some_and_asks_for_others(world: World) -> None:
    result = await world.configure("all", "position_size_pct", "3")
    assert [change.agent for change in result.changes] == ["nova"]
    assert [(u.agent, u.code) for u in result.unchanged] == [("orion", "same")]
    assert [item.agent for item in proposal(result).terms.items] == ["atlas"]


async def test_a_value_that_does_not_fit_is_said(world: World) -> None:
    (unchanged,) = (await world.configure("orion", "pairs", "4")).unchanged
    assert unchanged.code == "bad_argument"


async def test_on_a_real_venue_a_start_is_asked_together_with_its_mandate(live: World) -> None:
    asked = await live.start("nova")
    mandate, action = asked.terms.items
    assert isinstance(mandate, ProposedMandate)
    assert isinstance(action, ProposedAction)
    assert mandate.pairs == ("BTC/USDT", "ETH/USDT")
    assert (mandate.daily_notional, mandate.max_order_notional, mandate.drawdown_pct) == (D(10_000), D(500), D(20))
    assert mandate.expires_at == NOON + timedelta(days=30)
    assert live.mandates.standing("nova", "binance") is None
    await live.approve(asked)
    standing = live.mandates.standing("nova", "binance")
    assert standing is not None
    assert (standing.confirmed_by, standing.confirmed_on) == (OWNER, "web")
    assert live.permission.may_trade(
        "nova", "ETH/USDT", D(500), NOON, source="agent:x", drawdown_ratio=D(0)
    ) == Allowed(standing.id)


async def test_a_mandate_that_stands_is_not_asked_for_again(live: World) -> None:
    await live.approve(await live.start("nova"))
    await live.control("nova", "stop")
    asked = await live.start("nova")
    assert [item.subject for item in asked.terms.items] == ["action"]


async def test_the_figures_of_a_mandate_can_be_edited(live: World) -> None:
    asked = await live.start("nova")
    changes = {"daily_nova": "2000", "order_nova": "250.5", "days_nova": "7"}
    await live.approve(await live.proposals.edit(asked.ticket_id, asked.nonce, OWNER, changes))
    standing = live.mandates.standing("nova", "binance")
    assert standing is not None
    assert standing.terms == MandateTerms(
        "nova", "binance", ("BTC/USDT", "ETH/USDT"), D(2000), D("250.5"), D("0.2"), NOON + timedelta(days=7)
    )


@pytest.mark.parametrize("changes", [{"order_nova": "10001"}, {"days_nova": "367"}])
async def test_figures_of_a_mandate_that_mean_nothing_are_refused(changes: dict[str, str], live: World) -> None:
    asked = await live.start("nova")
    with pytest.raises(InvalidRequest):
        await live.proposals.edit(asked.ticket_id, asked.nonce, OWNER, changes)


async def test_a_mandate_alone_can_be_proposed_from_a_form(live: World) -> None:
    (mandate, _) = (await live.start("nova")).terms.items
    assert isinstance(mandate, ProposedMandate)
    asked = proposal(live.tools.propose_mandate(mandate.model_copy(update={"agent": "atlas"}), HERE))
    await live.approve(asked)
    assert live.mandates.standing("atlas", "binance") is not None
    with pytest.raises(InvalidRequest):
        live.tools.propose_mandate(mandate.model_copy(update={"daily_notional": Decimal(0)}), HERE)


async def test_status_shows_every_agent_with_what_is_left_of_its_mandate(live: World) -> None:
    await live.approve(await live.start("nova"))
    live.permission.may_trade("nova", "ETH/USDT", D(300), NOON, source="agent:x", drawdown_ratio=D(0))
    status = await live.tools.status(AgentStatus(agent="all", period="7d"), HERE)
    assert [view.agent for view in status.agents] == ["atlas", "orion", "nova"]
    assert status.agents[0].mandate is None
    mandate = status.agents[2].mandate
    assert mandate is not None
    assert (mandate.used_today, mandate.daily_notional, mandate.drawdown_pct) == (D(300), D(10_000), D(20))
    live.wait(days=31)
    assert (await live.tools.status(AgentStatus(agent="nova"), HERE)).agents[0].mandate is None


async def test_an_agent_that_does_not_exist_is_refused(world: World) -> None:
    del world.fleet.agents["nova"]
    with pytest.raises(InvalidRequest):
        await world.control("nova", "stop")
