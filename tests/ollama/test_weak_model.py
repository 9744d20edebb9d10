"""Turns with a real, tiny, untrained model behind the product: its words are noise, and nothing may come of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from copilot.brain.access import Breaker, Line
from copilot.brain.model import ModelBrain
from copilot.brain.prompter import Prompter
from copilot.chat_models.local import LocalModel, TimeLimits
from copilot.chat_models.ollama import OllamaServer
from copilot.events import TurnEnded
from copilot.offline.values import Language
from tests.copilot.brain.rig import VAGO, VAGUE, FakeClock, copilot_around, read
from tests.copilot.talk import opened, reject, say
from tests.corpus import load
from tests.ollama.server import MODEL
from tests.tools.world import OWNER, World, open_fast

pytestmark = pytest.mark.ollama
PATIENT = TimeLimits(connect_s=2, first_token_s=240, idle_s=60, turn_s=300)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    yield world
    database.dispose()


async def take_turns(url: str, world: World, texts: list[str]) -> tuple[int, int]:
    """Return how many turns the model worded or decided, and how many orders there were."""

    async def situation(owner: str, language: Language) -> str:
        return "-"

    brain = ModelBrain(
        LocalModel(OllamaServer(MODEL, url, 6144, 128, PATIENT), PATIENT),
        Prompter("en", context_tokens=6144, reply_tokens=128),
        situation,
        Breaker(FakeClock(), first_pause_s=0.0001),
        Line(),
        read=read,
        mode="format",
        asks_when_certain=True,
    )
    copilot, spoken = copilot_around(brain, world), 0
    try:
        for number, text in enumerate(texts):
            told = await say(copilot, text, chat=f"chat-{number // 5}")
            end = told[-1]
            assert isinstance(end, TurnEnded)
            assert end.answer.strip()
            spoken += end.trouble is None
            for ticket in copilot.open_tickets(OWNER):
                assert opened(told) == ticket
                await reject(copilot, ticket)
    finally:
        await brain.close()
    return spoken, await world.orders()


async def test_a_few_turns_of_noise(real_ollama: str, world: World) -> None:
    _, orders = await take_turns(real_ollama, world, [VAGO, "buy 1 btc"])
    assert orders == 0


@pytest.mark.prove
async def test_a_few_hundred_turns_of_noise(real_ollama: str, world: World) -> None:
    lines = [line.text for language in ("en", "es") for line in load(language, "hostile_dev")]
    spoken, orders = await take_turns(real_ollama, world, [*lines[::2], VAGUE, VAGO] * 2)
    print(f"turns that the tiny model took part in: {spoken}")  # noqa: T201 - the figure of a proof
    assert orders == 0
