"""What the owner asks to have remembered, listed and forgotten, through the whole service and on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from copilot.brain.offline import OfflineBrain
from copilot.graph import Nodes, build_graph
from copilot.memory import open_memory
from copilot.remembering import Remembering, Wish, read_wish
from copilot.service import Copilot
from tests.copilot.talk import ScriptedModel, answer, opened, say
from tests.tools.world import OWNER, World, open_fast


@pytest.fixture
async def copilot(tmp_path: Path) -> AsyncIterator[Copilot]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        graph = build_graph(Nodes(OfflineBrain(ScriptedModel()), world.toolbox, world.decisions), memory)
        yield Copilot(
            graph,
            world.decisions,
            world.profiles,
            world.notices,
            world.market,
            fallback_language="en",
            remembering=Remembering(memory, world.profiles, world.clock.now),
            halt=world.halt,
        )
    database.dispose()


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("Remember that I never hold over the weekend.", Wish("remember", "en", "I never hold over the weekend")),
        ("please note that I hate leverage", Wish("remember", "en", "I hate leverage")),
        ("Recuerda que nunca opero los viernes", Wish("remember", "es", "nunca opero los viernes")),
        ("ten en cuenta que prefiero el oro", Wish("remember", "es", "prefiero el oro")),
        ("what do you know about me?", Wish("list", "en")),
        ("¿Qué sabes de mí?", Wish("list", "es")),
        ("forget fact 3", Wish("forget_one", "en", number=3)),
        ("olvida el dato 3", Wish("forget_one", "es", number=3)),
        ("Forget me.", Wish("ask_forget_all", "en")),
        ("borra todo lo que sabes de mí", Wish("ask_forget_all", "es")),
        ("forget me for good", Wish("forget_all", "en")),
        ("olvídame para siempre", Wish("forget_all", "es")),
    ],
)
def test_wishes_are_read(text: str, wish: Wish) -> None:
    assert read_wish(text) == wish


@pytest.mark.parametrize(
    "text",
    [
        "remember to buy gold",
        "forget it",
        "forget the order",
        "olvídalo",
        "buy 1 btc",
        "do you remember that trade?",
        "forget me not is a flower",
        "recuerda",
        "",
    ],
)
def test_other_messages_are_no_wishes(text: str) -> None:
    assert read_wish(text) is None


async def test_fact_is_kept_listed_and_forgotten(copilot: Copilot) -> None:
    assert "fact 1" in answer(await say(copilot, "remember that I never hold over the weekend"))
    assert "already" in answer(await say(copilot, "Remember that i never hold over the weekend."))
    assert "never hold" in answer(await say(copilot, "what do you know about me?", chat="another"))
    assert "Fact 1" not in answer(await say(copilot, "what do you know about me?", owner="somebody"))
    assert "never hold" in answer(await say(copilot, "forget fact 1"))
    assert "no fact 1" in answer(await say(copilot, "forget fact 1"))


async def test_forgetting_everything_needs_the_exact_sentence(copilot: Copilot) -> None:
    await say(copilot, "remember that I hate leverage")
    await say(copilot, "language")
    assert "para siempre" in answer(await say(copilot, "olvídame"))
    assert "leverage" in answer(await say(copilot, "¿qué sabes de mí?"))
    told = answer(await say(copilot, "olvídame para siempre"))
    assert "1 datos" in told
    assert "leverage" not in answer(await say(copilot, "¿qué sabes de mí?"))
    assert copilot.language(OWNER, "en") == "en"


async def test_tickets_outlive_what_is_forgotten(copilot: Copilot) -> None:
    ticket = opened(await say(copilot, "buy"))
    await say(copilot, "forget me for good")
    assert copilot.open_tickets(OWNER) == (ticket,)


async def test_too_long_a_fact_is_refused_in_words(copilot: Copilot) -> None:
    assert "300" in answer(await say(copilot, "remember that " + "x" * 301))
