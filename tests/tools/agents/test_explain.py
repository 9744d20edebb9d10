"""Why something was traded: which record a question means, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.execution.values import Execution, IntentState, OrderIntent, SettledFill
from agents.journal import DecisionJournal
from agents.journal.values import Decision, DecisionQuery, Explanation, QuietCount, RoundTrip, Step, Verdict
from copilot.wording import render_answer
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from engine.domain.orders import Fill, OrderRequest, OrderType, Side
from tests.agents.journal.test_journal import decision, fill
from tests.copilot.wording.samples import ticket
from tests.tools.agents.world import HERE, NOON, D
from tools.agent_results import TradeExplained
from tools.explain import ExplainTool
from tools.results import TicketView, Unavailable
from tools.schema import ExplainTrade

EXPLAINED = Explanation(
    source="agent:nova/momentum/ETH/USDT//20260302T120000Z",
    agent="nova",
    strategy="momentum",
    symbol="ETH/USDT",
    timeframe="1h",
    side="buy",
    verdict=Verdict.TAKEN,
    steps=(
        Step("inputs", NOON, {"strategy": "momentum"}, {"close": 2499.5, "rsi": 61.2}),
        Step("size", NOON, {}, {"quantity": D("0.2"), "notional": D("500.02"), "stop": D(2400), "target": D(2650)}),
        Step("verdict", NOON, {"verdict": "taken"}),
        Step("fill", NOON, {"role": "entry", "side": "buy"}, {"quantity": D("0.2"), "price": D("2500.10")}),
    ),
    result=None,
    is_open=True,
    chart_from=NOON - timedelta(hours=40),
    chart_to=NOON + timedelta(hours=40),
)
TRIP = RoundTrip(
    source=EXPLAINED.source,
    agent="nova",
    strategy="momentum",
    symbol="ETH/USDT",
    tag="",
    side="buy",
    quantity=D("0.2"),
    entry_price=D("2500.10"),
    exit_price=D("2550"),
    fees=D("1.01"),
    realised=D("8.97"),
    realised_pct=D("1.794"),
    r_multiple=None,
    exit_reason="target",
    entered_at=NOON,
    exited_at=NOON + timedelta(hours=3),
)


class FakeJournal:
    """A journal that has one record, and remembers what it was asked."""

    def __init__(self) -> None:
        self.record: Explanation | None = EXPLAINED
        self.asked: list[DecisionQuery] = []

    def explain(self, query: DecisionQuery) -> Explanation | None:
        self.asked.append(query)
        record = self.record
        if record is None or query.agent not in ("", record.agent) or query.symbol not in ("", record.symbol):
            return None
        return record if query.verdict in (None, record.verdict) else None

    def decisions(self, query: DecisionQuery, limit: int = 100) -> tuple[Decision, ...]:
        return ()

    def quiet(self, agent: str, since_day: str = "") -> tuple[QuietCount, ...]:
        return ()


class FakeDesk:
    """Fills of the owner's own orders."""

    def __init__(self) -> None:
        self.fills: list[SettledFill] = []
        self.sources: dict[str, str] = {}

    def add(self, number: int, source: str, hours: float = 0) -> None:
        order_id = f"tc-{number}"
        fill = Fill(
            f"f{number}", order_id, "BTC/USDT", Side.BUY, D(1), D(100), D(0), False, NOON + timedelta(hours=hours)
        )
        self.fills.insert(0, SettledFill(number, fill, D(0), "ana"))
        self.sources[order_id] = source

    async def trades(self, *, symbol: str | None = None, limit: int = 100) -> tuple[SettledFill, ...]:
        return tuple(each for each in self.fills if symbol in (None, each.fill.symbol))[:limit]

    async def execution(self, client_order_id: str) -> Execution | None:
        source = self.sources.get(client_order_id)
        if source is None:
            return None
        request = OrderRequest(client_order_id, "BTC/USDT", Side.BUY, OrderType.MARKET, D(1))
        return Execution(OrderIntent("ana", source, request), IntentState.DONE, None, (), (), NOON)


class FakeMarket:
    """A market that has hourly bars up to its present."""

    name = "simulated"
    is_simulated = True

    def __init__(self) -> None:
        self.hours_later = 5
        self.has_bars = True

    def now(self) -> Any:
        return NOON + timedelta(hours=self.hours_later)

    def bars(self, symbol: str, timeframe: str, limit: int) -> Bars:
        if not self.has_bars:
            raise DataUnavailable("none")
        end = int(self.now().timestamp())
        time = np.arange(end - 3600 * limit, end, 3600, dtype=np.int64)
        flat = np.full(len(time), 2500.0)
        return Bars(symbol, "1h", time, flat, flat + 1, flat - 1, flat, flat)


class Asked:
    """The tool over the three."""

    def __init__(self) -> None:
        self.journal, self.desk, self.market = FakeJournal(), FakeDesk(), FakeMarket()
        self.tool = ExplainTool(self.journal, self.desk, self._ticket, self.market, self._titles)  # type: ignore[arg-type]  # a market of bars alone

    def _ticket(self, ticket_id: int, owner: str) -> TicketView | None:
        return ticket("executed").model_copy(update={"ticket_id": ticket_id}) if owner == HERE.owner else None

    def _titles(self) -> Mapping[str, str]:
        return {"nova": "Nova"}

    async def ask(self, **asked: str) -> TradeExplained | Unavailable:
        return await self.tool(ExplainTrade.model_validate(asked), HERE)

    async def explained(self, **asked: str) -> TradeExplained:
        told = await self.ask(**asked)
        assert isinstance(told, TradeExplained), told
        return told


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def test_an_agents_trade_is_told_link_by_link(asked: Asked) -> None:
    told = await asked.explained(agent="nova", symbol="ETH/USDT")
    assert (told.agent, told.title, told.strategy, told.side, told.verdict) == (
        *("nova", "Nova", "momentum"),
        *("buy", "taken"),
    )
    assert [step.code for step in told.steps] == ["inputs", "size", "verdict", "fill"]
    assert told.steps[0].figures == {"close": D("2499.5"), "rsi": D("61.2")}
    assert told.is_open


async def test_the_latest_that_was_done_comes_before_what_was_refused(asked: Asked) -> None:
    await asked.explained(agent="nova")
    assert asked.journal.asked == [DecisionQuery(agent="nova", verdict=Verdict.TAKEN)]
    asked.journal.record = replace(EXPLAINED, verdict=Verdict.REFUSED)
    assert (await asked.explained(agent="nova")).verdict == "refused"


async def test_a_number_means_that_trade(asked: Asked) -> None:
    await asked.explained(trade_id="#12")
    assert asked.journal.asked == [DecisionQuery(trade=12)]


@pytest.mark.parametrize("trade_id", ["x", "1.5", "-3", "12345678901", "١٢"])
async def test_what_is_no_number_is_refused(trade_id: str, asked: Asked) -> None:
    with pytest.raises(InvalidRequest):
        await asked.ask(trade_id=trade_id)


async def test_what_nobody_recorded_is_said(asked: Asked) -> None:
    asked.journal.record = None
    told = await asked.ask(symbol="ETH/USDT")
    assert told == Unavailable(tool="explain_trade", code="no_trade_found", params={"symbol": "ETH/USDT"})
    told = await asked.ask(agent="nova", symbol="ETH/USDT")
    assert told == Unavailable(tool="explain_trade", code="nothing_decided", params={"agent": "Nova"})


async def test_an_own_trade_is_told_by_its_ticket(asked: Asked) -> None:
    asked.journal.record = None
    asked.desk.add(7, "ticket:42")
    told = await asked.explained(symbol="BTC/USDT")
    assert told.ticket is not None
    assert (told.ticket.ticket_id, told.agent) == (42, "")


async def test_without_an_agent_the_newer_of_both_is_meant(asked: Asked) -> None:
    asked.desk.add(7, "ticket:42", hours=-1)
    assert (await asked.explained()).agent == "nova"
    asked.desk.add(8, "ticket:43", hours=1)
    newest = (await asked.explained()).ticket
    assert newest is not None
    assert newest.ticket_id == 43
    assert (await asked.explained(agent="nova")).ticket is None


async def test_fills_of_agents_and_of_somebody_else_are_no_own_trades(asked: Asked) -> None:
    asked.journal.record = None
    asked.desk.add(7, "agent:nova/x")
    asked.desk.add(8, "somebody")
    del asked.desk.sources["tc-8"]
    assert isinstance(await asked.ask(), Unavailable)


async def test_an_own_trade_can_be_asked_for_by_number(asked: Asked) -> None:
    asked.journal.record = None
    asked.desk.add(7, "ticket:42")
    asked.desk.add(8, "ticket:43")
    told = (await asked.explained(trade_id="7")).ticket
    assert told is not None
    assert told.ticket_id == 42
    assert isinstance(await asked.ask(trade_id="9"), Unavailable)


async def test_the_picture_shows_that_time_with_its_levels(asked: Asked) -> None:
    asked.journal.record = replace(EXPLAINED, result=TRIP, is_open=False, chart_to=NOON + timedelta(hours=2))
    told = await asked.explained(agent="nova")
    assert told.result is not None
    assert told.result.realised == D("8.97")
    assert told.chart is not None
    assert told.chart.time[-1] == int((NOON + timedelta(hours=2)).timestamp())
    assert {level.kind: level.price for level in told.chart.levels} == {
        "entry": 2500.1,
        "stop": 2400.0,
        "target": 2650.0,
        "exit": 2550.0,
    }


async def test_without_bars_of_that_time_there_is_no_picture(asked: Asked) -> None:
    asked.market.has_bars = False
    assert (await asked.explained(agent="nova")).chart is None
    asked.market.has_bars, asked.market.hours_later = True, 30_000
    assert (await asked.explained(agent="nova")).chart is None


async def test_the_picture_of_a_trade_of_last_year_shows_that_time(asked: Asked) -> None:
    asked.market.hours_later = 9000
    chart = (await asked.explained(agent="nova")).chart
    assert chart is not None
    assert (chart.time[0], chart.time[-1]) == tuple(int((NOON + timedelta(hours=h)).timestamp()) for h in (-40, 40))


async def test_an_own_trade_has_its_picture_too(asked: Asked) -> None:
    asked.journal.record = None
    asked.desk.add(7, "ticket:42")
    chart = (await asked.explained(symbol="BTC/USDT")).chart
    assert chart is not None
    assert ("entry", 100.0) in [(level.kind, level.price) for level in chart.levels]


async def test_an_own_trade_of_the_other_side_is_not_meant(asked: Asked) -> None:
    asked.journal.record = None
    asked.desk.add(7, "ticket:42")
    assert isinstance(await asked.ask(symbol="BTC/USDT", side="sell"), Unavailable)
    assert (await asked.explained(symbol="BTC/USDT", side="buy")).ticket is not None


@pytest.fixture
def kept(asked: Asked, tmp_path: Path) -> Asked:
    """Return the tool over a real journal: bought ETH, sold it at its stop, then refused BTC and ETH."""
    database = connect_database(f"sqlite:///{tmp_path}/j.db")
    metadata.create_all(database)
    journal = DecisionJournal(database)
    refused = {"verdict": Verdict.REFUSED, "signal": None, "limits": (), "permission": "", "order_id": ""}
    journal.write(
        [
            decision(1),
            decision(9, reasons=("signal_side",), **refused),
            decision(8, reasons=("position_room",), symbol="BTC/USDT", **refused),
        ],
        [fill(1, 11, "buy", "101.25"), fill(1, 12, "sell", "90.5", 5)],
        {("atlas", "2026-03-01", "grid", "no_wish"): 40, ("atlas", "2026-03-01", "grid", "warming_up"): 2},
    )
    asked.tool = replace(asked.tool, journal=journal)
    return asked


async def test_why_it_sold_is_told_from_the_trade_that_sold(kept: Asked) -> None:
    told = await kept.explained(agent="nova", symbol="ETH/USDT", side="sell")
    assert [step.codes["side"] for step in told.steps if step.code == "fill"] == ["buy", "sell"]


async def test_why_it_did_not_is_told_from_what_was_refused(kept: Asked) -> None:
    told = await kept.explained(agent="nova", outcome="refused")
    assert (told.verdict, told.symbol, told.refused_since) == ("refused", "ETH/USDT", None)
    assert "the signal speaks against it" in render_answer([told], "en")
    assert (await kept.explained(agent="nova", symbol="BTC/USDT", outcome="refused")).symbol == "BTC/USDT"
    nothing = await kept.ask(agent="nova", symbol="SOL/USDT", outcome="refused")
    assert isinstance(nothing, Unavailable)
    assert nothing.code == "no_trade_found"


async def test_what_was_refused_since_stands_beside_what_was_done(kept: Asked) -> None:
    told = await kept.explained(agent="nova")
    assert told.verdict == "taken"
    assert told.refused_since is not None
    assert (told.refused_since.symbol, told.refused_since.reasons) == ("ETH/USDT", ("signal_side",))
    for language, words in (("en", "did **not**"), ("es", "**no** lo hizo")):
        text = render_answer([told], language)  # type: ignore[arg-type]  # a language each
        assert words in text
        assert "{" not in text


async def test_an_agent_that_wished_for_nothing_says_how_often_it_looked(kept: Asked) -> None:
    told = await kept.ask(agent="atlas", outcome="refused")
    assert isinstance(told, Unavailable)
    assert told.code == "no_decision_found"
    assert "looked 42 times: 40 times its strategies wished for nothing, 2 times" in render_answer([told], "en")
    assert "miró 42 veces" in render_answer([told], "es")
