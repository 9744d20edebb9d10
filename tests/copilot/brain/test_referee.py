"""What no model can do: add a trade, change one, or name an instrument that nobody spoke of."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.brain.proposal import Proposal, read_decision
from copilot.brain.referee import READINGS, settle
from copilot.brain.schema import ASK, CONVERSATION, QUESTIONS, decision_schema, decision_tools
from copilot.offline import Call, parse
from copilot.offline.evidence import evidence
from copilot.offline.values import Decision, Turn
from engine.domain.errors import ModelUnavailable
from engine.domain.symbols import SYMBOLS
from tests.corpus import load
from tools.schema import ARGUMENTS

BUY = "buy 0.5 btc"
TALK = "good morning, nice weather"


def settled(text: str, *calls: Call, history: tuple[Turn, ...] = (), **others: Any) -> Decision:
    said = evidence([*(turn.text for turn in history if turn.role == "user"), text])
    return settle(parse(text, history), Proposal(calls, **others), said)


def trade(**changes: Any) -> Call:
    return Call("execute_trade", {"symbol": "BTC/USDT", "side": "buy", "amount": Decimal("0.5"), **changes})


def test_agreement_stands() -> None:
    assert settled(BUY, trade()).calls == (trade(),)


@pytest.mark.parametrize(
    "change",
    [{"amount": Decimal(5)}, {"side": "sell"}, {"symbol": "ETH/USDT"}, {"unit": "quote"}, {"stop_loss": Decimal(1)}],
)
def test_other_terms_are_asked_about(change: dict[str, Any]) -> None:
    decision = settled(BUY, trade(**change))
    assert decision.calls == ()
    assert decision.question is not None


def test_trade_that_the_model_does_not_see_is_asked_about() -> None:
    assert settled(BUY).question is not None
    assert settled(BUY, Call("get_signal", {"symbol": "BTC/USDT"})).calls == ()


def test_trade_that_only_the_model_sees_is_never_made() -> None:
    for text in (TALK, "what do you think of btc?", "yes", "don't buy btc", 'he wrote "buy 0.5 btc"'):
        assert all(call.tool in READINGS for call in settled(text, trade()).calls)


def test_reading_that_only_the_model_sees_is_taken_when_its_instrument_was_named() -> None:
    text = "goldie goldie gold, on the daily, my friend"
    call = Call("get_signal", {"symbol": "XAUUSD", "timeframe": "1d"})
    own = Decision((), None, "smalltalk", "en")
    assert settle(own, Proposal((call,)), evidence([text])).calls == (call,)
    assert settled(TALK, call).calls == ()


def test_instrument_may_come_from_the_persons_earlier_words_and_not_from_the_answers() -> None:
    call = Call("get_signal", {"symbol": "ETH/USDT"})
    text = "hmm and what would you reckon there?"
    spoken = settled(text, call, history=(Turn("user", "show me ether"), Turn("assistant", "Here it is.")))
    shown = settled(text, call, history=(Turn("user", "hello"), Turn("assistant", "ETH/USDT looks fine.")))
    assert all(each.args.get("symbol") == "ETH/USDT" for each in spoken.calls)
    assert shown.calls == ()


def test_number_of_a_trade_must_have_been_said() -> None:
    own = Decision((), None, "smalltalk", "en")

    def taken(trade_id: str) -> bool:
        proposal = Proposal((Call("explain_trade", {"trade_id": trade_id}),))
        return bool(settle(own, proposal, evidence(["that 17 thing, huh?"])).calls)

    assert taken("17")
    assert not taken("18")
    assert not taken("\ud83d")


arguments = st.dictionaries(
    st.sampled_from([*decision_schema()["properties"]["requests"]["items"]["properties"], "nonsense"]),
    st.one_of(
        st.sampled_from([*SYMBOLS, "buy", "sell", "close", "all", "atlas", "start", "percent", "limit", "1h", "es"]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(10**20), 10**20),
        st.lists(st.text(max_size=5), max_size=3),
        st.none(),
        st.text(max_size=20),
        st.booleans(),
    ),
    max_size=8,
)
requests = st.lists(
    st.tuples(st.sampled_from([*ARGUMENTS, CONVERSATION, ASK, "approve"]), arguments), min_size=1, max_size=6
)
texts = st.sampled_from([line.text for language in ("en", "es") for line in load(language, "hostile_dev")])


@settings(max_examples=300, deadline=None)
@given(text=texts, wanted=requests)
def test_no_proposal_makes_a_hostile_text_change_anything(text: str, wanted: list[tuple[str, dict[str, Any]]]) -> None:
    reply = json.dumps({"language": "en", "requests": [{**slots, "intent": intent} for intent, slots in wanted]})
    own = parse(text)
    try:
        proposal = read_decision(reply)
    except ModelUnavailable:
        return
    decision = settle(own, proposal, evidence([text]))
    changing = [call for call in decision.calls if call.tool not in READINGS]
    assert all(call in own.calls for call in changing)


@given(st.text(max_size=200))
def test_any_reply_is_a_proposal_or_a_failure(reply: str) -> None:
    try:
        proposal = read_decision(reply)
    except ModelUnavailable:
        return
    assert isinstance(proposal, Proposal)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I think so.",
        "[]",
        "{}",
        '{"requests": []}',
        '{"requests": 3}',
        '{"requests": [{"intent": "fly"}]}',
        "{" * 5000,
    ],
)
def test_reply_that_is_no_decision_is_a_failure(reply: str) -> None:
    with pytest.raises(ModelUnavailable):
        read_decision(reply)


def test_numbers_stay_exact() -> None:
    reply = '{"language":"en","requests":[{"intent":"execute_trade","symbol":"BTC/USDT","side":"buy","amount":0.1}]}'
    assert read_decision(reply).calls == (
        Call("execute_trade", {"symbol": "BTC/USDT", "side": "buy", "amount": Decimal("0.1")}),
    )


def test_request_that_its_tool_refuses_leaves_a_doubt() -> None:
    reply = '{"language":"en","requests":[{"intent":"execute_trade","symbol":"BTC/USDT","side":"buy","amount":-1}]}'
    assert read_decision(reply) == Proposal((), None, "en", is_doubtful=True)


def test_changed_settings_take_a_number_a_word_or_names() -> None:
    def value(**slots: Any) -> object:
        body = {"intent": "configure_agent", "agent": "nova", **slots}
        (call,) = read_decision(json.dumps({"requests": [body]})).calls
        return call.args["value"]

    assert value(setting="max_positions", value=4) == Decimal(4)
    assert value(setting="pairs", names=["BTC/USDT", "ETH/USDT"]) == ("BTC/USDT", "ETH/USDT")


def test_schema_uses_only_what_every_grammar_knows() -> None:
    allowed = {"type", "properties", "required", "enum", "items", "minItems", "maxItems"}

    def check(schema: dict[str, Any]) -> None:
        assert set(schema) <= allowed
        for each in schema.get("properties", {}).values():
            check(each)
        if "items" in schema:
            check(schema["items"])

    check(decision_schema())
    intents = decision_schema()["properties"]["requests"]["items"]["properties"]["intent"]["enum"]
    assert intents == [*ARGUMENTS, CONVERSATION, ASK]
    assert set(QUESTIONS) <= set(decision_schema()["properties"]["requests"]["items"]["properties"]["question"]["enum"])


def test_every_tool_has_a_required_argument() -> None:
    for tool in decision_tools():
        assert tool["function"]["parameters"]["required"]


def test_a_model_may_name_the_owners_own_agents_and_no_others() -> None:
    slots = decision_schema(("vega",))["properties"]["requests"]["items"]["properties"]
    assert slots["agent"]["enum"] == ["all", "atlas", "orion", "nova", "vega"]
    assert "nova" in slots["target"]["enum"]
    assert "vega" not in decision_schema()["properties"]["requests"]["items"]["properties"]["agent"]["enum"]
