"""An agent's moments: what is opened and refused, closed and kept, and what its journal says of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agents.execution.values import OrderIntent
from agents.fleet import reading
from agents.fleet.lifecycle import AgentState
from agents.fleet.ports import Allowed, Answer, AskTicket, Refused
from agents.fleet.values import LegState
from agents.journal.values import DecisionQuery, FactKind, Verdict, WishKind
from agents.risk.states import TradingState
from engine.domain.errors import InvalidRequest, VenueUnavailable
from engine.domain.market import Bars
from engine.domain.orders import OrderRequest, OrderType, Side, VenueOrder
from engine.domain.strategies import Enter, Exit, Intent, Protect, Standing
from engine.domain.symbols import Timeframe
from tests.agents.execution.fakes import request
from tests.agents.fleet.stage import Stage, Tape, make_profile, walk

D = Decimal
A, B = "AAA/USDT", "BBB/USDT"


@dataclass
class Script:
    """A strategy that wants what a test tells it, bar by bar, and notes what it was told to stand."""

    name: str = "breakout"
    symbols: tuple[str, ...] = (A, B)
    timeframe: Timeframe = "1h"
    warmup: int = 1
    most_entries: int = 2
    says: list[Sequence[Intent]] = field(default_factory=list)
    seen: list[list[Standing]] = field(default_factory=list)

    def decide(self, bars: dict[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        self.seen.append(list(standings))
        return self.says.pop(0) if self.says else ()

    def decide_tables(self, bars: object) -> Sequence[object]:
        return ()


@dataclass
class Gatekeeper:
    answer: Answer = field(default_factory=Allowed)
    asked: list[str] = field(default_factory=list)

    async def may_trade(self, agent: str, notional: Decimal, symbol: str, at: datetime, *, source: str) -> Answer:
        self.asked.append(source)
        return self.answer


def buy(symbol: str = A, **options: object) -> Enter:
    return Enter(symbol, Side.BUY, **options)  # type: ignore[arg-type]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script()
    monkeypatch.setattr(reading, "build_strategies", lambda _profile, _symbols: (made,))
    return made


async def open_stage(folder: Path, extra: str = "", **options: object) -> Stage:
    bars = [walk(A, 80, 3), walk(B, 80, 4)]
    profile = make_profile("[{name: breakout}]", extra=extra)
    stage = Stage(folder / "a.db", Tape(bars), profile, options=options)
    await stage.open()
    return stage


async def held(stage: Stage) -> dict[str, Decimal]:
    return {s: each.quantity for s, each in (await stage.desk.account("vega")).positions.items()}


def last(stage: Stage, **query: object) -> object:
    return stage.fleet.journal.decisions(DecisionQuery(**query), limit=1)[0]  # type: ignore[arg-type]


async def test_an_entry_is_sized_sent_and_told_from_wish_to_result(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(stop=50.0, target=400.0)], [], [Exit(A)], []]
    await stage.play([A, B], 4)
    assert await held(stage) == {}
    (told,) = stage.fleet.journal.decisions(DecisionQuery(kind=WishKind.ENTER))
    assert (told.verdict, told.symbol, told.wish.stop, told.permission) == (Verdict.TAKEN, A, 50.0, "allowed")
    assert told.inputs.equity == 50_000
    assert {limit.name for limit in told.limits} >= {"position", "exposure", "positions", "drawdown", "daily_loss"}
    why = stage.fleet.journal.explain(DecisionQuery(agent="vega", symbol=A, side="sell"))
    assert why is not None
    codes = [step.code for step in why.steps]
    assert codes[:2] == ["inputs", "wish"]
    order = [
        codes.index(code) for code in ("size", "permission", "verdict", "order", "fill", "exit", "exit_order", "result")
    ]
    assert order == sorted(order)
    assert why.result is not None
    assert (why.result.exit_reason, why.is_open) == ("exit", False)
    performance = await stage.desk.performance("all", "vega")
    assert why.result.realised == performance.pnl
    assert why.result.r_multiple is not None
    by_trade = stage.fleet.journal.explain(DecisionQuery(trade=2))
    assert by_trade is not None
    assert by_trade.source == why.source


async def test_a_late_bar_closes_and_opens_nothing(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)], [Exit(A), buy(B)]]
    await stage.play([A, B], 1)
    await stage.close_bar([A, B], is_late=True)
    assert await held(stage) == {}
    refused = last(stage, symbol=B)
    assert (refused.verdict, refused.reasons) == (Verdict.REFUSED, ("late",))  # type: ignore[attr-defined]


async def test_a_stale_symbol_is_not_opened_on(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    stage.feed.stale[A] = "old_quote"
    script.says = [[buy(A), buy(B)]]
    await stage.play([A, B], 1)
    assert set(await held(stage)) == {B}
    assert last(stage, symbol=A).reasons == ("old_quote",)  # type: ignore[attr-defined]


async def test_a_paused_agent_leaves_and_does_not_enter(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A), buy(B, order_type=OrderType.LIMIT, price=85.0)], [Exit(A), buy(B)]]
    await stage.play([A, B], 1)
    assert len(await stage.desk.open_orders("vega")) == 1
    await stage.fleet.pause("vega", "ana")
    await stage.agent.look_after()
    assert await stage.desk.open_orders("vega") == ()
    await stage.play([A, B], 1)
    assert await held(stage) == {}
    assert last(stage, symbol=B).reasons == ("paused",)  # type: ignore[attr-defined]


async def test_a_stop_leaves_protection_standing_and_flatten_closes(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, stop=50.0)]]
    await stage.play([A, B], 1)
    await stage.fleet.stop("vega", "ana")
    await stage.play([A, B], 2)
    assert set(await held(stage)) == {A}
    assert len(await stage.desk.open_orders("vega")) == 1
    await stage.fleet.stop("vega", "ana", flatten=True)
    await stage.agent.look_after()
    assert (await held(stage), await stage.desk.open_orders("vega")) == ({}, ())
    (trip,) = stage.fleet.journal.round_trips("vega")
    assert trip.exit_reason == "flatten"
    await stage.agent.look_after()
    assert not (await stage.fleet.status("vega"))[0].is_flattening


async def test_a_halt_of_the_agent_flattens_and_only_lift_leads_out(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, stop=50.0), buy(B)], [buy(A)], [buy(A)], [buy(A)]]
    await stage.play([A, B], 1)
    await stage.fleet.halt("vega", "ana", "enough")
    await stage.agent.look_after()
    assert (await held(stage), await stage.desk.open_orders("vega")) == ({}, ())
    assert {trip.exit_reason for trip in stage.fleet.journal.round_trips("vega")} == {"halted"}
    with pytest.raises(InvalidRequest, match="agent_transition"):
        await stage.fleet.resume("vega", "ana")
    await stage.restart()
    await stage.play([A, B], 1)
    assert await held(stage) == {}
    await stage.fleet.lift("vega", "ana")
    await stage.agent.look_after()
    (status,) = await stage.fleet.status("vega")
    assert (status.state, status.trading_state) == (AgentState.PAUSED, TradingState.ACTIVE)
    await stage.fleet.resume("vega", "ana")
    await stage.play([A, B], 1)
    assert set(await held(stage)) == {A}


async def test_a_drawdown_halt_of_the_desk_halts_the_agent(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)]]
    await stage.play([A, B], 1)
    await stage.fleet.configure("vega", {"limits.max_drawdown_pct": "0.01"}, "ana")
    await stage.desk.watch()
    await stage.agent.look_after()
    (status,) = await stage.fleet.status("vega")
    assert (status.state, status.who, status.reason) == (AgentState.HALTED, "risk", "drawdown")
    assert await held(stage) == {}


async def test_the_kill_of_everything_closes_the_agents_positions_too(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)], [buy(B)]]
    await stage.play([A, B], 1)
    await stage.desk.kill("ana", "stop it")
    await stage.play([A, B], 1)
    assert await held(stage) == {}
    assert stage.agent.carrier.legs == ()
    assert last(stage, symbol=B).reasons == ("halted",)  # type: ignore[attr-defined]


async def test_time_protection_and_reversal(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, max_bars=2), buy(B, stop=60.0)], [Protect(B, stop=70.0, target=500.0)], [], []]
    await stage.play([A, B], 2)
    protection = {each.request.price for each in await stage.desk.open_orders("vega")}
    assert protection == {D(70), D(500)}
    await stage.play([A, B], 1)
    assert set(await held(stage)) == {B}
    (trip,) = stage.fleet.journal.round_trips("vega")
    assert (trip.symbol, trip.exit_reason) == (A, "time")
    standing = script.seen[2][-1]
    assert (standing.symbol, standing.side, standing.stop, standing.target, standing.bars_held) == (
        B,
        1,
        70.0,
        500.0,
        2,
    )


async def test_a_protection_that_the_market_has_passed_closes_the_position(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, stop=50.0)], [Protect(A, stop=900.0)]]
    await stage.play([A, B], 2)
    await stage.agent.look_after()
    assert await held(stage) == {}
    (trip,) = stage.fleet.journal.round_trips("vega")
    assert trip.exit_reason == "passed"


async def test_a_waiting_entry_lapses_is_kept_or_makes_room(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    limit = buy(A, order_type=OrderType.LIMIT, price=85.0, valid_bars=1, size_bps=5000)
    other = buy(A, order_type=OrderType.LIMIT, price=86.0, valid_bars=1)
    script.says = [[limit], [limit], [other], []]
    await stage.play([A, B], 1)
    (first,) = await stage.desk.open_orders("vega")
    await stage.play([A, B], 1)
    assert [each.venue_order_id for each in await stage.desk.open_orders("vega")] == [first.venue_order_id]
    await stage.play([A, B], 1)
    assert [each.request.price for each in await stage.desk.open_orders("vega")] == [D(86)]
    await stage.play([A, B], 1)
    assert await stage.desk.open_orders("vega") == ()
    assert [seen[0].is_waiting if seen else None for seen in script.seen] == [None, None, None, None]
    assert stage.agent.carrier.legs == ()


async def test_a_person_who_closes_an_agents_position_is_told_apart(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, tag="1", stop=50.0), buy(A, tag="2", stop=51.0)]]
    await stage.play([A, B], 1)
    await stage.desk.close("vega", A, "ticket:9", owner="ana")
    await stage.agent.look_after()
    assert [trip.exit_reason for trip in stage.fleet.journal.round_trips("vega")] == ["outside"] * 2
    assert stage.agent.carrier.legs == ()
    assert (await stage.fleet.status("vega"))[0].unexplained == {}


async def test_closing_one_slot_leaves_the_other_with_its_protection(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.most_entries = 4
    script.says = [[buy(A, tag="1", stop=50.0), buy(A, tag="2", stop=51.0)], [Exit(A, tag="1")], []]
    await stage.play([A, B], 2)
    (leg,) = stage.agent.carrier.legs
    assert (leg.tag, await held(stage)) == ("2", {A: leg.held})
    (stop,) = await stage.desk.open_orders("vega")
    assert (stop.request.price, stop.parent_id) == (D(51), leg.order_id)


async def test_the_owner_is_asked_and_the_answer_counts_once(tmp_path: Path, script: Script) -> None:
    gate, told = Gatekeeper(AskTicket("mandate_expired")), []
    stage = await open_stage(tmp_path, permission=gate, on_ask=lambda leg, record: told.append(leg.source))
    script.says = [[buy(A), buy(B)]]
    await stage.play([A, B], 1)
    assert await held(stage) == {}
    first, second = stage.fleet.asked()
    assert told == [first.source, second.source]
    stage.fleet.answer(first.source, is_approved=True, by="ana")
    stage.fleet.answer(second.source, is_approved=False, by="ana")
    with pytest.raises(InvalidRequest, match="agent_entry_gone"):
        stage.fleet.answer(first.source, is_approved=True, by="ana")
    await stage.agent.look_after()
    assert set(await held(stage)) == {first.symbol}
    assert len(gate.asked) == 2
    assert stage.fleet.asked() == ()
    facts = stage.fleet.journal.facts(first.source)
    assert [fact.codes["answer"] for fact in facts if fact.kind is FactKind.APPROVAL] == ["approved"]


async def test_an_entry_that_nobody_answers_lapses_with_its_bar(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path, permission=Gatekeeper(AskTicket("no_mandate")))
    script.says = [[buy(A)]]
    await stage.play([A, B], 3)
    assert (await held(stage), stage.fleet.asked(), stage.agent.carrier.legs) == ({}, (), ())


async def test_what_permission_refuses_is_recorded_as_refused(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path, permission=Gatekeeper(Refused("mandate_unreadable")))
    script.says = [[buy(A)]]
    await stage.play([A, B], 1)
    record = last(stage, symbol=A)
    assert (record.verdict, record.reasons) == (Verdict.REFUSED, ("mandate_unreadable",))  # type: ignore[attr-defined]
    assert await held(stage) == {}


async def test_a_straggler_of_a_moment_does_not_rank_anew(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.most_entries = 1
    script.says = [[buy(A)], [buy(B)]]
    stage.market.present = stage.market.present.replace(hour=1)
    await stage.agent.on_bars(stage.event([A]))
    await stage.agent.on_bars(stage.event([B]))
    assert set(await held(stage)) == {A}
    assert len(script.seen) == 1


async def test_a_strategy_that_was_taken_away_leaves_nothing_behind(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A), buy(B)]]
    await stage.play([A, B], 1)
    script.symbols = (B,)
    await stage.fleet.configure("vega", {"pairs": [B]}, "ana")
    await stage.play([A, B], 1)
    assert set(await held(stage)) == {B}
    (trip,) = stage.fleet.journal.round_trips("vega")
    assert trip.exit_reason == "dropped"


async def test_an_agent_that_is_made_anew_goes_on_with_what_it_held(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A, stop=50.0, max_bars=3)], [], [], []]
    await stage.play([A, B], 2)
    await stage.restart()
    assert [leg.state for leg in stage.agent.carrier.legs] == [LegState.OPEN]
    before = stage.agent.carrier.legs
    await stage.agent.look_after()
    await stage.agent.recover()
    assert stage.agent.carrier.legs == before
    await stage.play([A, B], 2)
    assert await held(stage) == {}


async def test_orders_of_others_in_the_account_do_not_matter(tmp_path: Path, script: Script) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)]]
    await stage.play([A, B], 1)
    mine = request("buy", "3", symbol=A, source="ticket:1")
    await stage.desk.execute(OrderIntent("ana", "ticket:1", mine))
    await stage.agent.look_after()
    (leg,) = stage.agent.carrier.legs
    assert await held(stage) == {A: leg.held}


async def test_an_entry_that_never_left_goes_again_in_time_and_once(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)]]
    submit = stage.venue.submit

    async def down(order: OrderRequest) -> VenueOrder:
        raise VenueUnavailable("maintenance")

    monkeypatch.setattr(stage.venue, "submit", down)
    await stage.play([A, B], 1)
    assert await held(stage) == {}
    monkeypatch.setattr(stage.venue, "submit", submit)
    stage.agent.carrier._retries.clear()
    await stage.agent.look_after()
    await stage.agent.look_after()
    (leg,) = stage.agent.carrier.legs
    assert (leg.attempt, await held(stage)) == (2, {A: leg.held})
    states = [fact.codes["state"] for fact in stage.fleet.journal.facts(leg.source) if fact.kind is FactKind.ORDER]
    assert states == ["unsent", "done"]


async def test_an_entry_that_never_left_is_given_up_when_its_time_is_over(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await open_stage(tmp_path)
    script.says = [[buy(A)]]

    async def down(order: OrderRequest) -> VenueOrder:
        raise VenueUnavailable("maintenance")

    with monkeypatch.context() as patch:
        patch.setattr(stage.venue, "submit", down)
        await stage.play([A, B], 1)
    stage.market.present += timedelta(minutes=30)
    await stage.agent.look_after()
    assert (await held(stage), stage.agent.carrier.legs) == ({}, ())
    why = stage.fleet.journal.explain(DecisionQuery(agent="vega", symbol=A))
    assert why is not None
    assert (why.steps[-1].code, why.is_open) == ("void", False)


async def test_strategies_of_one_agent_do_not_fight(tmp_path: Path, script: Script) -> None:
    bars = [walk(A, 80, 3), walk(B, 80, 4)]
    profile = make_profile("[{name: breakout}]", extra="shorts: true")
    stage = Stage(tmp_path / "a.db", Tape(bars, shortable=True), profile)
    await stage.open()
    script.says = [[buy(A, tag="1")], [Enter(A, Side.SELL, tag="2")], [Enter(A, Side.SELL, tag="1")]]
    await stage.play([A, B], 2)
    assert last(stage, symbol=A).reasons == ("conflict",)  # type: ignore[attr-defined]
    await stage.play([A, B], 1)
    assert (await held(stage))[A] < 0
    (trip,) = stage.fleet.journal.round_trips("vega")
    assert trip.exit_reason == "reverse"
