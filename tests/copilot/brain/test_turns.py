"""Whole turns with a language model: real graph, tools, tickets and desk, and a server of Ollama's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from copilot.brain.access import Line
from copilot.events import AnswerWithdrawn, TurnEnded, Waiting
from copilot.service import Copilot
from copilot.wording import render_answer
from engine.domain.signals import Direction
from tests.copilot.brain.rig import VAGO, VAGUE, brain_of, copilot_around, decision, plan
from tests.copilot.talk import answer, approve, closed, finished, opened, say
from tests.servers.asked import Asked
from tests.servers.nonsense import Nonsense
from tests.servers.ollama import FakeOllama
from tests.servers.replies import Reply, Script, always
from tests.tools.world import OWNER, World, open_fast
from tools.results import SignalResult


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    yield world
    database.dispose()


def saying(words: str, *requests: dict[str, object], language: str = "en") -> Script:
    """Return a script that decides in one way and words in one way."""

    def reply(asked: Asked) -> Reply:
        return decision(*requests, language=language) if "TASK: DECIDE" in asked.last else words

    return reply


def ended(told: list[object]) -> TurnEnded:
    last = told[-1]
    assert isinstance(last, TurnEnded)
    return last


GOLD = {"intent": "get_signal", "symbol": "XAUUSD", "timeframe": "1d"}
TRADE = {"intent": "execute_trade", "symbol": "BTC/USDT", "side": "buy", "amount": 1}


async def test_model_routes_and_words_with_figures_of_the_tools(world: World) -> None:
    words = "The signal for gold is long: entry 100, stop 96, target 106."
    world.signals.directions["XAUUSD"] = Direction.LONG
    with FakeOllama(saying(words, GOLD)) as fake:
        told = await say(copilot_around(brain_of(fake), world), VAGUE)
    assert isinstance(finished(told)["get_signal"], SignalResult)
    assert answer(told) == words
    assert ended(told).brain == "llama3.1:8b"
    assert ended(told).trouble is None


@pytest.mark.parametrize(
    "words",
    [
        "The signal for gold is long: entry 101, stop 96.",
        "Gold is long. I have bought some for you.",
        "Gold is at a loss of 12 percent, sell it.",
        "See https://example.com/gold for more.",
    ],
)
async def test_words_that_do_not_pass_are_replaced_by_the_plain_answer(world: World, words: str) -> None:
    world.signals.directions["XAUUSD"] = Direction.LONG
    with FakeOllama(saying(words, GOLD)) as fake:
        told = await say(copilot_around(brain_of(fake), world), VAGUE)
    result = finished(told)["get_signal"]
    assert answer(told) == render_answer([result], "en")
    assert (ended(told).brain, ended(told).trouble) == ("offline", "words_caught")


async def test_what_was_shown_before_a_catch_is_withdrawn(world: World) -> None:
    words = "Gold has been quiet. The trend is up on this chart. Its entry would be near 9,999 dollars."
    world.signals.directions["XAUUSD"] = Direction.LONG
    with FakeOllama(saying(words, GOLD)) as fake:
        told = await say(copilot_around(brain_of(fake), world), VAGUE)
    shown = ended(told).answer
    assert "9,999" not in shown
    if any(isinstance(event, AnswerWithdrawn) for event in told):
        assert "quiet" not in shown


async def test_trade_is_never_worded_by_the_model(world: World) -> None:
    with FakeOllama(saying("Splendid! Your order was sent.", TRADE)) as fake:
        copilot = copilot_around(brain_of(fake), world)
        told = await say(copilot, "buy 1 btc")
        ticket = opened(told)
        assert "Splendid" not in answer(told)
        assert await world.orders() == 0
        done = await approve(copilot, ticket)
    assert [each.state for each in closed(done)] == ["executed"]
    assert "Splendid" not in answer(done)
    assert await world.orders() == 1


async def test_trade_that_the_person_did_not_ask_for_is_asked_about(world: World) -> None:
    with FakeOllama(saying("ok", TRADE)) as fake:
        told = await say(copilot_around(brain_of(fake), world), VAGUE)
    assert copilot_around(brain_of(fake), world).open_tickets(OWNER) == ()
    assert answer(told)


async def test_language_of_the_person_is_the_language_of_the_words(world: World) -> None:
    world.signals.directions["XAUUSD"] = Direction.LONG
    words = "La señal del oro es larga: entrada 100, stop 96 y objetivo 106."
    with FakeOllama(saying(words, GOLD, language="es")) as fake:
        told = await say(copilot_around(brain_of(fake), world), VAGO)
        asked = [each.last for each in fake.log if "TASK: REDACTA" in each.last]
    assert asked
    assert answer(told) == words
    assert ended(told).language == "es"


async def test_certain_messages_need_no_routing_call(world: World) -> None:
    with FakeOllama(always("nonsense")) as fake:
        brain = brain_of(fake, always_asked=False)
        planned = await plan(brain, "buy 1 btc")
        assert [call.tool for call in planned.calls] == ["execute_trade"]
        assert not fake.log


async def test_who_waits_is_told_who_comes_first(world: World) -> None:
    with FakeOllama(saying("Good to hear.", {"intent": "conversation"}), load_s=0.2) as fake:
        copilot = copilot_around(brain_of(fake, line=Line(longest=8)), world)
        told = await asyncio.gather(*(say(copilot, VAGUE, chat=f"chat-{n}") for n in range(3)))
    assert all(answer(events) for events in told)
    assert any(isinstance(event, Waiting) for events in told for event in events)


async def test_full_line_is_answered_offline_at_once(world: World) -> None:
    with FakeOllama(saying("Good to hear.", {"intent": "conversation"}), load_s=0.3) as fake:
        copilot = copilot_around(brain_of(fake, line=Line(longest=0)), world)
        told = await asyncio.gather(*(say(copilot, VAGUE, chat=f"chat-{n}") for n in range(3)))
    assert sorted(str(ended(events).trouble) for events in told).count("line_full") >= 1
    assert all(answer(events) for events in told)


async def test_random_model_that_loves_trades_sends_no_order(world: World) -> None:
    await attack(world, turns=60, seed=1)


@pytest.mark.prove
async def test_random_model_for_thousands_of_turns(world: World) -> None:
    for seed in range(20):
        await attack(world, turns=150, seed=seed)


async def attack(world: World, *, turns: int, seed: int) -> None:
    """Let a model that answers at random, and dangerously often a trade, take turns; nothing may happen."""
    from tests.corpus import load

    lines = [line.text for language in ("en", "es") for line in load(language, "hostile_dev")]
    lines += [VAGUE, "yes", "sí, hazlo", "go ahead", "what now?", "thanks", "¿y el oro?"]
    with FakeOllama(Nonsense(seed, prefer={"execute_trade", "control_agent", "configure_agent"})) as fake:
        copilot = copilot_around(brain_of(fake), world)
        for turn in range(turns):
            text = lines[(turn * 7919 + seed * 104_729) % len(lines)]
            told = await say(copilot, text, chat=f"chat-{turn % 3}")
            assert ended(told).answer.strip(), text
        await _reject_all(copilot)
    assert await world.orders() == 0


async def _reject_all(copilot: Copilot) -> None:
    for ticket in copilot.open_tickets(OWNER):
        async for _ in copilot.decide(OWNER, ticket.ticket_id, ticket.nonce, "reject", "test"):
            pass
