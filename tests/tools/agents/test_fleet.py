"""The tools over the real fleet, desk and paper venue: from words to books and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.fleet import ports
from agents.fleet.fleet import Fleet
from agents.fleet.lifecycle import AgentState
from agents.journal.values import DecisionQuery, Verdict
from agents.mandates import Mandates, Permission
from agents.profiles import PACKAGED, load_profiles
from copilot.wording.agents import AGENT_RENDERERS, render_details
from prompts import load_words
from tests.agents.fleet.stage import D, HandFeed, Stage, Tape, make_profile, walk
from tests.agents.journal.test_journal import decision
from tests.tools import world as tools_world
from tests.tools.agents.world import HERE, OWNER, proposal
from tests.tools.world import open_fast
from tools.agent_plans import AgentPlans
from tools.agent_results import AgentsChanged, AgentStatusResult, ProposalView, TradeExplained
from tools.agent_work import AgentWork
from tools.agents import AgentTools
from tools.asked_orders import AskedOrders
from tools.explain import ExplainTool
from tools.fleet import DeskFleet
from tools.notices import Notices
from tools.proposals import Proposals
from tools.schema import AgentStatus, ConfigureAgent, ControlAgent, ExplainTrade

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


class Told:
    """A permission that answers as a test says."""

    def __init__(self) -> None:
        self.answer: ports.Answer = ports.Allowed()

    async def may_trade(self, *asked: object, **options: object) -> ports.Answer:
        return self.answer


class Show:
    """The tools over a stage: real agents on a tape of bars."""

    def __init__(self, stage: Stage, fleet: Fleet) -> None:
        self.stage, self.real = stage, fleet
        database, now = stage.database, lambda: stage.market.present
        self.fleet = DeskFleet(fleet, stage.desk, stage.market)
        self.mandates = Mandates(database, now)
        permission = Permission(database, stage.desk.venue_name)
        self.notices = Notices(database, now)
        plans = AgentPlans(self.fleet, self.mandates, now)
        work = AgentWork(self.fleet, plans, self.mandates, now)
        self.proposals = Proposals(database, work, self.notices, now, ttl=timedelta(minutes=10))
        self.tools = AgentTools(self.fleet, plans, self.proposals, self.mandates, permission, now)
        self.asked = AskedOrders(self.fleet, plans, self.proposals, self.notices, OWNER, "en")
        self.explain = ExplainTool(fleet.journal, stage.desk, lambda *_: None, stage.market, self.fleet.titles)

    async def control(self, agent: str, action: str, **said: Any) -> AgentsChanged:
        asked = ControlAgent.model_validate({"agent": agent, "action": action, **said})
        return await self.tools.control(asked, HERE)

    async def configure(self, agent: str, setting: str, value: Any) -> AgentsChanged:
        asked = ConfigureAgent.model_validate({"agent": agent, "setting": setting, "value": value})
        return await self.tools.configure(asked, HERE)

    async def status(self, agent: str = "all", period: str | None = None) -> AgentStatusResult:
        return await self.tools.status(AgentStatus.model_validate({"agent": agent, "period": period}), HERE)

    async def approve(self, asked: ProposalView) -> ProposalView:
        decided = await self.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
        assert decided.outcome == "approved", decided
        return await self.proposals.execute(asked.ticket_id)

    async def start(self, agent: str = "nova", **changes: str) -> None:
        asked = proposal(await self.control(agent, "start"))
        if changes:
            asked = await self.proposals.edit(asked.ticket_id, asked.nonce, OWNER, changes)
        done = await self.approve(asked)
        assert done.state == "executed", done

    async def state(self, agent: str = "nova") -> AgentState:
        return (await self.fleet.state(agent))[0]


def tell(result: Any) -> str:
    """Return a result in words, and see that Spanish has words too."""
    texts = [AGENT_RENDERERS[result.kind](result, load_words(each, "answers"), each) for each in ("en", "es")]
    assert all("{" not in text for text in texts)
    return texts[0]


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Show]:
    """Atlas, Orion and Nova as they are shipped."""
    market = Tape([walk(symbol, 400, seed) for seed, symbol in enumerate(SYMBOLS)])
    stage = Stage(tmp_path / "fleet.db", market, load_profiles(PACKAGED)["nova"])
    fleet = Fleet(stage.database, load_profiles(PACKAGED), stage.desk, market, HandFeed(market))
    await stage.desk.start()
    yield Show(stage, fleet)
    stage.database.dispose()


Trading = Callable[..., Any]


@pytest.fixture
async def trading(tmp_path: Path) -> AsyncIterator[Trading]:
    """An agent called Nova that finds a lot to do, and how its entries are permitted."""
    stages = []

    async def open_show(answer: ports.Answer | None = None) -> Show:
        bars = [walk(symbol, 400, seed) for seed, symbol in enumerate(SYMBOLS[:2], 3)]
        profile = make_profile(
            "[{name: scalping, parameters: {strength_bars: 2, oversold: 30, trend_bars: 20, range_bars: 10}}]"
        )
        told = Told()
        told.answer = answer or ports.Allowed()
        named = profile.model_copy(update={"name": "nova", "title": {"en": "Nova"}})
        stage = Stage(tmp_path / "nova.db", Tape(bars), named, options={"permission": told})
        stages.append(stage)
        stage.market.present = stage.market.present + timedelta(hours=60)
        await stage.desk.start()
        return Show(stage, stage.fleet)

    yield open_show
    for stage in stages:
        stage.database.dispose()


async def test_a_start_moves_the_budget_and_lets_the_agent_trade(three: Show) -> None:
    asked = proposal(await three.control("nova", "start"))
    assert "$20,000.00 from your free cash of $100,000.00" in tell(asked)
    assert await three.state() is AgentState.CREATED
    assert (await three.approve(asked)).state == "executed"
    assert await three.state() is AgentState.RUNNING
    assert (await three.stage.desk.account("nova")).cash == D(20_000)
    assert (await three.stage.desk.account("main")).cash == D(80_000)


async def test_an_edited_budget_is_moved_and_the_same_approval_moves_it_once(three: Show) -> None:
    await three.start("atlas", budget_atlas="1234.5")
    assert (await three.stage.desk.account("atlas")).equity == D("1234.5")
    await three.proposals.recover()
    assert (await three.stage.desk.account("atlas")).equity == D("1234.5")


async def test_money_moves_to_and_from_a_running_agent_and_no_cent_is_lost(three: Show) -> None:
    await three.approve(proposal(await three.control("atlas", "start", amount=1000)))
    await three.approve(proposal(await three.control("atlas", "fund", amount="250.25")))
    result = await three.control("atlas", "withdraw", amount="0.25")
    assert tell(result).startswith("**$0.25 of Atlas are back in your own book.** It has $1,250.00 left.")
    books = {name: (await three.stage.desk.account(name)).cash for name in ("atlas", "main")}
    assert books == {"atlas": D(1250), "main": D(98_750)}
    assert await three.state("atlas") is AgentState.RUNNING
    (unchanged,) = (await three.control("atlas", "withdraw", amount=1251)).unchanged
    assert (unchanged.code, unchanged.params["available"]) == ("money_bound", "1250.00")
    (view,) = (await three.status("atlas")).agents
    assert (view.budget, view.pnl) == (D(1250), D(0))


async def test_starting_all_funds_each_from_what_is_left(three: Show) -> None:
    await three.approve(proposal(await three.control("all", "start")))
    books = {name: (await three.stage.desk.account(name)).equity for name in ("atlas", "orion", "nova")}
    assert all(equity > 0 for equity in books.values())
    assert sum(books.values()) + (await three.stage.desk.account("main")).cash == D(100_000)


async def test_a_whole_life_by_talk(three: Show) -> None:
    await three.start("nova")
    for action, state in (("pause", AgentState.PAUSED), ("stop", AgentState.STOPPED)):
        result = await three.control("nova", action)
        assert result.proposal is None
        assert await three.state() is state
        assert tell(result)
    again = proposal(await three.control("nova", "start"))
    assert again.terms.items[0].model_dump()["budget"] is None
    await three.approve(again)
    await three.control("nova", "pause")
    resumed = proposal(await three.control("nova", "resume"))
    assert await three.state() is AgentState.PAUSED
    await three.approve(resumed)
    assert await three.state() is AgentState.RUNNING


async def test_a_halted_agent_is_let_out_to_a_pause_by_its_owner_alone(three: Show) -> None:
    await three.start("nova")
    await three.real.halt("nova", "the gate", "drawdown")
    asked = proposal(await three.control("nova", "resume"))
    assert "the drawdown reached its limit" in tell(asked)
    assert await three.state() is AgentState.HALTED
    assert (await three.control("nova", "pause")).unchanged[0].code == "agent_transition"
    await three.approve(asked)
    assert await three.state() is AgentState.PAUSED


async def test_status_tells_money_limits_and_hopes(three: Show) -> None:
    await three.start("nova")
    status = await three.status()
    assert [view.agent for view in status.agents] == ["atlas", "nova", "orion"]
    nova, atlas = status.agents[1], status.agents[0]
    assert (nova.state, nova.budget, nova.equity, nova.pnl) == ("running", D(20_000), D(20_000), D(0))
    assert (nova.position_size_pct, nova.max_positions, nova.max_drawdown_pct) == (D(5), 10, D(20))
    assert (nova.pairs, nova.target_month_pct) == (("*",), (D(10), None))
    assert (atlas.state, atlas.budget, atlas.equity, atlas.since) == ("created", D(0), D(0), None)
    assert "Nova" in tell(status)
    assert "everything that the venue lists" in render_details(status, "en")


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [("position_size_pct", "4", "position_size_pct"), ("max_positions", "7", "max_positions")],
)
async def test_a_smaller_limit_holds_at_once(setting: str, value: str, path: str, three: Show) -> None:
    result = await three.configure("nova", setting, value)
    assert result.proposal is None
    assert tell(result)
    assert str(getattr(three.real.profile("nova").limits, path)) == value
    limits = three.stage.desk.book_limits("nova")
    assert limits is not None
    assert limits.position_ratio * 100 == three.real.profile("nova").limits.position_size_pct


async def test_a_larger_limit_is_asked_and_then_enforced(three: Show) -> None:
    asked = proposal(await three.configure("orion", "position_size_pct", "4"))
    assert "3% → 4%" in tell(asked)
    assert three.real.profile("orion").limits.position_size_pct == 3
    await three.approve(asked)
    limits = three.stage.desk.book_limits("orion")
    assert limits is not None
    assert limits.position_ratio == D("0.04")


async def test_fewer_pairs_hold_at_once_and_more_are_asked(three: Show) -> None:
    assert (await three.configure("nova", "pairs", ["BTC/USDT", "ETH/USDT"])).proposal is None
    assert three.real.profile("nova").pairs == ("BTC/USDT", "ETH/USDT")
    asked = proposal(await three.configure("nova", "pairs", ["BTC/USDT", "ETH/USDT", "SOL/USDT"]))
    assert len(three.real.profile("nova").pairs) == 2
    await three.approve(asked)
    assert len(three.real.profile("nova").pairs) == 3


async def test_top_pairs_are_told_as_such(three: Show) -> None:
    result = await three.configure("orion", "pairs", ["BTC/USDT"])
    assert "top 10" in tell(result)


async def test_strategies_can_be_taken_away_at_once_and_added_when_approved(three: Show) -> None:
    assert (await three.configure("nova", "strategies", ["momentum"])).proposal is None
    assert [plan.name for plan in three.real.profile("nova").strategies] == ["momentum"]
    asked = proposal(await three.configure("nova", "strategies", ["momentum", "breakout", "grid"]))
    await three.approve(asked)
    plans = {plan.name: plan.weight for plan in three.real.profile("nova").strategies}
    assert plans == {"momentum": D("0.4"), "breakout": D("0.3"), "grid": D("0.3")}


async def test_strategies_that_leave_no_room_share_it_all(three: Show) -> None:
    names = ["momentum", "scalping", "altcoin_rotation", "grid"]
    await three.approve(proposal(await three.configure("nova", "strategies", names)))
    plans = {plan.name: plan.weight for plan in three.real.profile("nova").strategies}
    assert plans == dict.fromkeys(names, D("0.25"))
    assert three.real.profile("nova").strategies[2].exclude == ("BTC/USDT",)


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("max_positions", "2.5", "bad_argument"),
        ("position_size_pct", "101", "bad_argument"),
        ("pairs", ["DOGE/USDT"], "unknown_instrument"),
        ("pairs", "3", "bad_argument"),
        ("strategies", ["magic"], "bad_argument"),
        ("max_positions", ["BTC/USDT"], "bad_argument"),
    ],
)
async def test_what_no_profile_can_say_is_refused(setting: str, value: Any, code: str, three: Show) -> None:
    (unchanged,) = (await three.configure("nova", setting, value)).unchanged
    assert unchanged.code == code
    assert not three.real.changes("nova")


async def test_a_start_without_money_is_refused(three: Show) -> None:
    await three.real.fund("atlas", D(100_000), "all of it")
    result = await three.control("nova", "start")
    assert [(each.agent, each.code) for each in result.unchanged] == [("nova", "no_cash")]
    assert result.proposal is None
    assert tell(result)


async def test_why_an_agent_traded_is_told_from_its_journal(trading: Trading) -> None:
    show = await trading()
    await show.start("nova")
    await show.stage.agent.recover()
    await show.stage.play(SYMBOLS[:2], 60)
    trips = show.real.journal.round_trips("nova")
    assert trips
    told = await show.explain(ExplainTrade(agent="nova", symbol=trips[0].symbol), HERE)
    assert isinstance(told, TradeExplained)
    text = tell(told)
    assert "bought" in text
    assert "Size:" in text
    number = next(step for step in told.steps if step.code == "fill").figures["trade"]
    same = await show.explain(ExplainTrade(trade_id=str(number)), HERE)
    assert isinstance(same, TradeExplained)
    assert same.strategy == told.strategy
    status = (await show.status("nova")).agents[0]
    assert status.trades == len(trips)
    assert status.win_rate_pct is not None
    assert tell(await show.status("nova", "7d"))


async def test_an_order_beyond_the_mandate_is_asked_for_and_goes_when_approved(trading: Trading) -> None:
    show = await trading(ports.AskTicket("no_mandate"))
    await show.start("nova")
    await show.stage.agent.recover()
    for _ in range(120):
        await show.stage.close_bar(SYMBOLS[:2])
        if show.real.asked():
            break
    await show.asked.look()
    (asked, *_) = show.proposals.open_for(OWNER)
    text = tell(asked)
    assert "it has no mandate there." in text
    assert not await show.stage.desk.open_orders("nova")
    assert (await show.approve(asked)).state == "executed"
    await show.stage.agent.look_after()
    assert await show.stage.desk.open_orders("nova")
    explained = await show.explain(ExplainTrade(agent="nova"), HERE)
    assert isinstance(explained, TradeExplained)
    assert "You approved it." in tell(explained)


async def test_a_rejected_order_is_given_up(trading: Trading) -> None:
    show = await trading(ports.AskTicket("no_mandate"))
    await show.start("nova")
    await show.stage.agent.recover()
    for _ in range(120):
        await show.stage.close_bar(SYMBOLS[:2])
        if show.real.asked():
            break
    await show.asked.look()
    for asked in show.proposals.open_for(OWNER):
        await show.proposals.reject(asked.ticket_id, asked.nonce, OWNER, "web")
    await show.asked.look()
    await show.stage.agent.look_after()
    assert not show.real.asked()
    assert not await show.stage.desk.open_orders("nova")


@pytest.mark.parametrize(("keep", "left"), [(None, 2), (timedelta(days=30), 1)])
async def test_the_journal_is_kept_as_long_as_its_owner_says(keep: timedelta | None, left: int, tmp_path: Path) -> None:
    world = tools_world.World(open_fast(tmp_path / "tools.db"))
    side = replace(world.agents, journal_keep=keep)
    now = world.market.now()
    refused = {"verdict": Verdict.REFUSED, "signal": None, "order_id": ""}
    old, fresh = (decision(number, at=now - timedelta(days=days), **refused) for number, days in ((1, 31), (2, 29)))
    side.fleet.journal.write([old, fresh])
    assert ("journal" in {worker.name for worker in side.workers()}) == (keep is not None)
    assert await side.prune() == 2 - left
    assert len(side.fleet.journal.decisions(DecisionQuery())) == left
    world.database.dispose()
