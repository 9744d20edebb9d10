"""The life of an agent: the whole table, and that what raises risk is told apart."""

from decimal import Decimal
from pathlib import Path

import pytest

from agents.fleet.changes import raises_risk
from agents.fleet.lifecycle import TRANSITIONS, Action, AgentState, action_raises_risk, may_open, next_state
from agents.profiles import PACKAGED, apply_changes, load_profiles
from engine.domain.errors import ConfigError, InvalidRequest
from tests.agents.fleet.stage import Stage, Tape, make_profile, walk

DONE = {(AgentState.RUNNING, Action.START), (AgentState.PAUSED, Action.PAUSE), (AgentState.RUNNING, Action.RESUME)}
DONE |= {(AgentState.STOPPED, Action.STOP), (AgentState.HALTED, Action.HALT), (AgentState.PAUSED, Action.LIFT)}


@pytest.mark.parametrize("state", AgentState)
@pytest.mark.parametrize("action", Action)
def test_every_pair_of_state_and_action_leads_somewhere_or_is_refused(state: AgentState, action: Action) -> None:
    if (state, action) in TRANSITIONS:
        assert next_state(state, action) is TRANSITIONS[state, action]
    elif (state, action) in DONE:
        assert next_state(state, action) is state
    else:
        with pytest.raises(InvalidRequest, match="agent_transition"):
            next_state(state, action)


def test_a_halt_has_one_way_out_and_it_opens_nothing() -> None:
    ways = [to for (state, _), to in TRANSITIONS.items() if state is AgentState.HALTED]
    assert ways == [AgentState.PAUSED]
    assert not may_open(AgentState.PAUSED)


@pytest.mark.parametrize("action", Action)
def test_an_action_raises_risk_if_it_leads_toward_opening(action: Action) -> None:
    leads = {to for (_, each), to in TRANSITIONS.items() if each is action}
    assert action_raises_risk(action) == (bool(leads & {AgentState.RUNNING}) or action is Action.LIFT)


RAISING = [
    ("atlas", {"limits.max_positions": 4}),
    ("atlas", {"limits.max_drawdown_pct": 6}),
    ("atlas", {"limits.position_size_pct": 3}),
    ("atlas", {"limits.gross_exposure_pct": 7}),
    ("atlas", {"pairs": "all"}),
    ("atlas", {"pairs": {"top": 2}}),
    ("atlas", {"pairs": ["BTC/USDT", "ETH/USDT", "SOL/USDT"]}),
    ("atlas", {"quote": "USDC"}),
    ("atlas", {"shorts": True}),
    ("atlas", {"signal.mode": "off"}),
    ("atlas", {"signal.phases": ["accumulation", "manipulation"]}),
    ("atlas", {"strategies.grid.timeframe": "5m"}),
    ("atlas", {"strategies.grid.parameters.levels": 3}),
    ("atlas", {"budget_share_pct": 31}),
    ("orion", {"pairs": {"top": 11}}),
    ("orion", {"signal.least_weight": "0.6"}),
    ("nova", {"strategies.altcoin_rotation.exclude": []}),
]
LOWERING = [
    ("atlas", {"limits.max_positions": 2, "limits.max_drawdown_pct": 4}),
    ("atlas", {"limits.position_size_pct": 1}),
    ("atlas", {"limits.gross_exposure_pct": 5}),
    ("atlas", {"pairs": ["BTC/USDT"]}),
    ("atlas", {"strategies.grid.weight": "0.3"}),
    ("atlas", {"signal.min_probability": "0.6"}),
    ("atlas", {"signal.phases": ["neutral"]}),
    ("atlas", {"signal.when_missing": "refuse"}),
    ("atlas", {"strategies.grid.trailing_pct": 2}),
    ("atlas", {"targets.win_rate_pct": 70, "title": {"en": "A", "es": "A"}, "temperament": "aggressive"}),
    ("orion", {"pairs": {"top": 5}}),
    ("nova", {"pairs": ["BTC/USDT"]}),
    ("nova", {"pairs": {"top": 3}}),
]


@pytest.mark.parametrize(("name", "changes"), RAISING)
def test_a_change_that_lets_an_agent_lose_more_raises_risk(name: str, changes: dict[str, object]) -> None:
    old = load_profiles(PACKAGED)[name]
    assert raises_risk(old, apply_changes(old, changes))


@pytest.mark.parametrize(("name", "changes"), LOWERING)
def test_a_change_that_only_tightens_does_not(name: str, changes: dict[str, object]) -> None:
    old = load_profiles(PACKAGED)[name]
    assert not raises_risk(old, apply_changes(old, changes))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "a.db", Tape([walk("AAA/USDT", 60, 3)]), make_profile("[{name: breakout}]"))


async def test_an_agent_without_money_does_not_start(stage: Stage) -> None:
    await stage.desk.start()
    with pytest.raises(InvalidRequest, match="agent_unfunded"):
        await stage.fleet.start("vega", "ana")
    assert (await stage.fleet.status("vega"))[0].state is AgentState.CREATED


async def test_steps_are_kept_with_who_and_why_and_survive_a_restart(stage: Stage) -> None:
    await stage.open()
    await stage.fleet.pause("vega", "ana", "lunch")
    assert await stage.fleet.pause("vega", "ana") is None
    await stage.fleet.resume("vega", "bea")
    await stage.fleet.stop("vega", "ana", "enough")
    await stage.restart()
    (status,) = await stage.fleet.status("vega")
    assert (status.state, status.who, status.reason) == (AgentState.STOPPED, "ana", "enough")
    steps = [(each.action.value, each.who, each.reason) for each in stage.fleet.history("vega")]
    assert steps == [("start", "ana", ""), ("pause", "ana", "lunch"), ("resume", "bea", ""), ("stop", "ana", "enough")]


async def test_a_change_of_the_profile_is_kept_with_history_and_reaches_the_gate(stage: Stage) -> None:
    await stage.open()
    preview = await stage.fleet.configure("vega", {"limits.max_positions": 2}, "ana", "careful")
    assert not preview.raises_risk
    limits = stage.desk.book_limits("vega")
    assert limits is not None
    assert limits.max_positions == 2
    await stage.restart()
    assert stage.fleet.profile("vega").limits.max_positions == 2
    (change,) = stage.fleet.changes("vega")
    assert (change.changes, change.who, change.raises_risk) == ({"limits.max_positions": 2}, "ana", False)
    with pytest.raises(ConfigError, match=r"limits\.max_positions"):
        stage.fleet.preview("vega", {"limits.max_positions": 0})
    with pytest.raises(InvalidRequest, match="agent_unknown"):
        stage.fleet.preview("nobody", {})


async def test_money_goes_to_the_book_and_back_once_for_a_source(stage: Stage) -> None:
    await stage.open()
    assert await stage.fleet.fund("vega", Decimal(1000), "fund:2")
    assert await stage.fleet.fund("vega", Decimal(1000), "fund:2")
    assert (await stage.desk.account("vega")).equity == 51_000
    assert await stage.fleet.fund("vega", Decimal(-11_000), "fund:3")
    assert (await stage.desk.account("vega")).equity == 40_000
    assert not await stage.fleet.fund("vega", Decimal(10**9), "fund:4")
    assert await stage.fleet.proposed_budget("vega") == 50_000
