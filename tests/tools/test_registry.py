"""The registry: every tool of the contract, its schema, its validation, and results that survive JSON."""

import json

import pytest
from pydantic import TypeAdapter

from agents.profiles.schema import NAME_PATTERN, RESERVED_NAMES
from engine.domain.errors import InvalidRequest, VenueUnavailable
from engine.domain.signals import Direction
from tests.agents.execution.fakes import D
from tests.tools.place import CONTEXT, Place, make_signal
from tools.registry import Tool, Toolbox, ToolContext
from tools.results import SignalResult, ToolResult, Unavailable
from tools.schema import ARGUMENTS, AgentStatus, ExecuteTrade

RESULT: TypeAdapter[ToolResult] = TypeAdapter(ToolResult)
READING = {
    "get_signal",
    "analyze_chart",
    "check_portfolio",
    "list_alerts",
    "run_backtest",
    "agent_status",
    "explain_trade",
}
ACTING = {"control_agent", "configure_agent", "cancel_order", "set_alert", "cancel_alert", "update_profile"}


def test_every_tool_of_the_contract_is_there_and_only_one_proposes(place: Place) -> None:
    assert {tool.name for tool in place.toolbox} == set(ARGUMENTS)
    assert {tool.name for tool in place.toolbox if tool.kind == "propose"} == {"execute_trade"}
    assert {tool.name for tool in place.toolbox if tool.kind == "act"} == ACTING
    assert {tool.name for tool in place.toolbox if tool.kind == "read"} == READING


def test_schemas_are_generated_from_the_types(place: Place) -> None:
    for tool in place.toolbox:
        schema = tool.schema()
        assert (schema["name"], schema["description"]) == (tool.name, tool.description)
        assert tool.description.endswith(".")
        assert schema["parameters"]["additionalProperties"] is False
        assert set(schema["parameters"]["properties"]) == set(ARGUMENTS[tool.name].model_fields)
        assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize(
    ("name", "arguments", "argument"),
    [
        ("get_signal", {}, "symbol"),
        ("get_signal", {"symbol": "XAUUSD", "timeframe": "2h"}, "timeframe"),
        ("get_signal", {"symbol": "XAUUSD", "hint": 1}, "hint"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "hold"}, "side"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": 0}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": -1}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": True}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": float("nan")}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": "Infinity"}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": "1e999999"}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "amount": "0." + "0" * 40 + "1"}, "amount"),
        ("execute_trade", {"symbol": "XAUUSD", "side": "buy", "stop_loss_pct": 101}, "stop_loss_pct"),
        ("set_alert", {"symbol": "XAUUSD", "condition": "price_above", "value": "1e400"}, "value"),
        ("check_portfolio", {"view": "everything"}, "view"),
        ("run_backtest", {"target": "atlas", "days": 0}, "days"),
    ],
)
async def test_a_wrong_argument_is_named(place: Place, name: str, arguments: dict[str, object], argument: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await place.toolbox.run(name, arguments, CONTEXT)
    assert caught.value.code == "bad_argument"
    assert caught.value.params["argument"] == argument


async def test_an_unknown_tool_is_refused(place: Place) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await place.toolbox.run("withdraw", {}, CONTEXT)
    assert (caught.value.code, caught.value.params) == ("unknown_tool", {"tool": "withdraw"})
    assert "withdraw" not in place.toolbox


@pytest.mark.parametrize("value", [0.1, "0.1", D("0.1")])
def test_numbers_arrive_exactly(value: object) -> None:
    asked = ExecuteTrade.model_validate({"symbol": "XAUUSD", "side": "buy", "amount": value})
    assert asked.amount == D("0.1")


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("run_backtest", {"target": "signal"}, "too_few_bars"),
        ("run_backtest", {"target": "grid"}, "too_few_bars"),
        ("get_signal", {"symbol": "XAUUSD"}, "no_data"),
        ("analyze_chart", {"symbol": "XAUUSD"}, "too_few_bars"),
    ],
)
async def test_what_cannot_be_answered_says_so(
    place: Place, name: str, arguments: dict[str, object], code: str
) -> None:
    result = await place.toolbox.run(name, arguments, CONTEXT)
    assert isinstance(result, Unavailable)
    assert (result.tool, result.code) == (name, code)


async def test_a_silent_venue_is_a_result_too() -> None:
    async def fails(_arguments: object, _context: object) -> ToolResult:
        raise VenueUnavailable("no answer")

    result = await Toolbox([Tool("check_portfolio", "read", fails)]).run("check_portfolio", {}, CONTEXT)
    assert isinstance(result, Unavailable)
    assert (result.code, result.params) == ("venue_unavailable", {"detail": "no answer"})


async def test_every_result_comes_back_from_json_as_it_was(place: Place) -> None:
    place.signals.present = make_signal(Direction.LONG)
    for number in range(120):
        place.market.minute("100", str(101 + number % 3), "99", str(100 + number % 2), "5")
    await place.hold("2")
    await place.open(order_type="limit", price="99")
    calls: list[tuple[str, dict[str, object]]] = [
        ("get_signal", {"symbol": "BTC/USDT"}),
        ("analyze_chart", {"symbol": "BTC/USDT", "timeframe": "1m", "indicators": ["rsi", "macd", "fibonacci"]}),
        ("check_portfolio", {"view": "summary"}),
        ("check_portfolio", {"view": "trades", "period": "7d"}),
        ("check_portfolio", {"view": "pnl", "period": "today"}),
        ("execute_trade", {"symbol": "BTC/USDT", "side": "buy"}),
        ("execute_trade", {"symbol": "BTC/USDT", "side": "sell", "amount": 900}),
        ("set_alert", {"symbol": "BTC/USDT", "condition": "price_above", "value": "123.456"}),
        ("list_alerts", {}),
        ("cancel_alert", {"alert_id": "all"}),
        ("cancel_order", {"order_id": "all"}),
        ("update_profile", {"setting": "risk_per_trade_pct", "value": "0.7"}),
        ("agent_status", {}),
    ]
    for name, arguments in calls:
        result = await place.toolbox.run(name, arguments, CONTEXT)
        assert RESULT.validate_json(RESULT.dump_json(result)) == result, name


async def test_a_signal_comes_with_the_present_price_and_its_age(place: Place) -> None:
    place.signals.present = make_signal(Direction.LONG)
    result = await place.toolbox.run("get_signal", {"symbol": "BTC/USDT"}, CONTEXT)
    assert isinstance(result, SignalResult)
    assert (result.quote.bid, result.quote.ask) == (D("99.9"), D("100.1"))
    assert result.age_s == (place.market.now() - place.signals.present.price_at).total_seconds() == 3600
    assert (result.market, result.is_simulated) == ("fake", True)


async def test_an_unknown_instrument_is_refused_by_every_tool_that_takes_one(place: Place) -> None:
    for name, more in [
        ("get_signal", {}),
        ("analyze_chart", {}),
        ("execute_trade", {"side": "buy", "amount": 1}),
        ("set_alert", {"condition": "price_above", "value": 1}),
    ]:
        with pytest.raises(InvalidRequest) as caught:
            await place.toolbox.run(name, {"symbol": "PEPE/USDT", **more}, CONTEXT)
        assert (caught.value.code, caught.value.params["symbol"]) == ("unknown_instrument", "PEPE/USDT")


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("agent_status", {"agent": "zeus"}, "agent_unknown"),
        ("control_agent", {"agent": "zeus", "action": "start"}, "agent_unknown"),
        ("configure_agent", {"agent": "zeus", "setting": "max_positions", "value": 2}, "agent_unknown"),
        ("explain_trade", {"agent": "all"}, "agent_unknown"),
        ("run_backtest", {"target": "martingale"}, "target_unknown"),
    ],
)
async def test_a_name_that_there_is_not_is_answered_with_those_that_there_are(
    name: str, arguments: dict[str, object], code: str, place: Place
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await place.toolbox.run(name, arguments, CONTEXT)
    assert caught.value.code == code
    assert {"atlas", "orion", "nova"} <= set(str(caught.value.params["known"]).split(", "))


async def test_an_agent_of_the_owners_own_can_be_named(place: Place) -> None:
    asked: list[object] = []

    async def note(arguments: object, _: ToolContext) -> Unavailable:
        asked.append(arguments)
        return Unavailable(tool="agent_status", code="no_data", params={})

    toolbox = Toolbox([Tool("agent_status", "read", note)], ("atlas", "vega"))
    await toolbox.run("agent_status", {"agent": "vega"}, CONTEXT)
    assert asked == [AgentStatus(agent="vega")]
    with pytest.raises(InvalidRequest):
        await toolbox.run("agent_status", {"agent": "orion"}, CONTEXT)


def test_names_of_agents_are_written_as_profiles_write_them() -> None:
    pattern = AgentStatus.model_json_schema()["properties"]["agent"]["pattern"]
    assert pattern == NAME_PATTERN
    assert "all" in RESERVED_NAMES
