"""Everything that a chat server does wrong ends in a correct answer of the offline model, soon, and says so.

The real client libraries talk to local servers that speak both protocols and break in every way that is known.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from copilot.chat_models.local import LocalModel, TimeLimits
from copilot.chat_models.ollama import OllamaServer
from copilot.wording import render_answer, render_talk
from engine.domain.errors import ModelUnavailable
from engine.domain.signals import Direction
from tests.copilot.brain.rig import QUICK, VAGUE, FakeClock, brain_of, decision, plan, word
from tests.servers.model_server import ModelServer
from tests.servers.ollama import FakeOllama
from tests.servers.openai import FakeOpenAI
from tests.servers.replies import DEFAULT_TEXT, Fault, FaultKind, ToolCall, always
from tests.tools.world import START, D, make_signal
from tools.results import QuoteView, SignalResult

PROTOCOLS = (FakeOllama, FakeOpenAI)
HARMLESS = {FaultKind.DRIP, FaultKind.WRONG_TYPE, FaultKind.THINKING, FaultKind.RELOAD}
"""What a patient client gets over."""
OF_DECISIONS = {FaultKind.INVALID_JSON, FaultKind.WRONG_SCHEMA}
GRACE_S = 3.0
SIGNAL = decision({"intent": "get_signal", "symbol": "XAUUSD", "timeframe": "1d"})
RESULT = SignalResult(
    signal=make_signal("BTC/USDT", "1h", Direction.LONG),
    quote=QuoteView(symbol="BTC/USDT", bid=D("99.5"), ask=D("100.5"), at=START, is_open=True),
    age_s=1.0,
    market="fake",
    is_simulated=True,
    chart=None,
)
LONGEST_S = max(QUICK.first_token_s, QUICK.turn_s)


def faulty(protocol: type[ModelServer], kind: FaultKind, answer: Any) -> ModelServer:
    seconds = 0.05 if kind in (FaultKind.DRIP, FaultKind.RELOAD) else 60.0
    return protocol(always(Fault(kind, answer, seconds=seconds, after=1)))


@pytest.fixture(params=PROTOCOLS, ids=["ollama", "openai"])
def protocol(request: pytest.FixtureRequest) -> type[ModelServer]:
    chosen: type[ModelServer] = request.param
    return chosen


@pytest.mark.parametrize("kind", FaultKind)
async def test_decision_falls_back_to_the_offline_model(protocol: type[ModelServer], kind: FaultKind) -> None:
    with faulty(protocol, kind, SIGNAL) as fake:
        brain = brain_of(fake)
        began = time.monotonic()
        planned = await plan(brain, VAGUE)
        took = time.monotonic() - began
    assert took < LONGEST_S + GRACE_S
    if kind in HARMLESS:
        assert [call.tool for call in planned.calls] == ["get_signal"]
        assert planned.voice.brain == brain.name
        return
    assert planned.voice.brain == "offline"
    assert planned.voice.trouble
    assert planned.calls == ()
    assert planned.words == render_talk("smalltalk", "en")


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind not in OF_DECISIONS])
async def test_wording_falls_back_to_the_plain_answer(protocol: type[ModelServer], kind: FaultKind) -> None:
    with faulty(protocol, kind, "The signal for Bitcoin is long on the hourly chart.") as fake:
        brain = brain_of(fake)
        began = time.monotonic()
        answer, voice, _ = await word(brain, [RESULT])
        took = time.monotonic() - began
    assert took < LONGEST_S + GRACE_S
    if kind in HARMLESS:
        assert answer == "The signal for Bitcoin is long on the hourly chart."
        assert voice.brain == brain.name
        return
    assert answer == render_answer([RESULT], "en")
    assert voice.brain == "offline"
    assert voice.trouble


async def test_no_server_at_all(protocol: type[ModelServer]) -> None:
    with protocol(always(SIGNAL)) as fake:
        brain = brain_of(fake)
    planned = await plan(brain, VAGUE)
    assert planned.voice.trouble == "unreachable"
    assert (await word(brain, [RESULT]))[0] == render_answer([RESULT], "en")


async def test_model_that_nobody_chose_may_be_away_without_a_word() -> None:
    with FakeOllama(always(SIGNAL)) as fake:
        brain = brain_of(fake, is_optional=True)
    assert (await plan(brain, VAGUE)).voice.trouble is None


async def test_model_is_used_again_when_it_is_back(protocol: type[ModelServer]) -> None:
    clock = FakeClock()
    with protocol(always(SIGNAL)) as fake:
        brain = brain_of(fake, clock=clock)
        fake.stop()
        assert (await plan(brain, VAGUE)).voice.trouble == "unreachable"
        fake.start()
        asked = len(fake.log)
        assert (await plan(brain, VAGUE)).voice.trouble == "unreachable", "not asked again so soon"
        assert len(fake.log) == asked
        clock.now += 5
        assert (await plan(brain, VAGUE)).voice.brain == brain.name


async def test_server_without_response_format_is_asked_in_words() -> None:
    with FakeOpenAI(always(SIGNAL), takes_response_format=False) as fake:
        planned = await plan(brain_of(fake), VAGUE)
    assert [call.tool for call in planned.calls] == ["get_signal"]


async def test_model_without_tools_is_asked_for_a_decision() -> None:
    with FakeOllama(always(SIGNAL)) as fake:
        planned = await plan(brain_of(fake, model="llama3:8b", mode="tools"), VAGUE)
    assert [call.tool for call in planned.calls] == ["get_signal"]
    assert all(not asked.tool_names for asked in fake.log)


async def test_tools_and_format_are_never_sent_together() -> None:
    with FakeOllama(always(DEFAULT_TEXT)) as fake:
        for mode in ("auto", "format", "tools"):
            await plan(brain_of(fake, model="qwen3:8b", mode=mode), VAGUE)
    assert fake.log
    assert not [asked for asked in fake.log if asked.tool_names and asked.schema]


async def test_native_calls_are_for_families_that_do_them_well() -> None:
    call = ToolCall("get_signal", {"language": "en", "symbol": "XAUUSD", "timeframe": "1d"})
    with FakeOllama(lambda asked: call if asked.tool_names else SIGNAL) as fake:
        for model in ("qwen3:8b", "llama3.1:8b", "llama3:8b"):
            planned = await plan(brain_of(fake, model=model, mode="auto"), VAGUE)
            assert [each.tool for each in planned.calls] == ["get_signal"]
            assert bool(fake.last.tool_names) == (model == "qwen3:8b")
            assert bool(fake.last.schema) == (model != "qwen3:8b")


async def test_native_calls_work_on_any_other_server() -> None:
    call = ToolCall("get_signal", {"language": "en", "symbol": "XAUUSD", "timeframe": "1d"})
    with FakeOpenAI(always(call)) as fake:
        planned = await plan(brain_of(fake, mode="tools"), VAGUE)
        assert fake.last.tool_names
    assert [each.tool for each in planned.calls] == ["get_signal"]


async def test_server_that_tells_nothing_of_its_models_still_answers() -> None:
    with FakeOllama(always(SIGNAL)) as fake:
        fake.page_faults = {"/api/show": Fault(FaultKind.HTML)}
        planned = await plan(brain_of(fake, mode="auto"), VAGUE)
    assert [call.tool for call in planned.calls] == ["get_signal"]


async def test_address_that_leads_nowhere_is_given_up_soon() -> None:
    limits = TimeLimits(connect_s=0.3, first_token_s=5, idle_s=1, turn_s=6)
    server = OllamaServer("llama3.1:8b", "http://127.0.0.1:1", 8192, 256, limits)
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match="unreachable"):
        await LocalModel(server, limits).ask([HumanMessage("hello")])
    await server.close()
    assert time.monotonic() - began < GRACE_S
