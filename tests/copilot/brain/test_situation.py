"""The situation: what is there is told, what cannot be read is left out, and it holds no price."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from copilot.brain.situation import Situation
from copilot.memory import open_memory
from engine.domain.errors import MemoryUnavailable
from tests.copilot.brain.rig import brain_of, copilot_around, decision
from tests.copilot.talk import opened, say
from tests.servers.ollama import FakeOllama
from tests.servers.replies import always
from tests.tools.world import OWNER, World, open_fast
from tools.facts import Fact, Facts
from tools.results import TicketView


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    yield world
    database.dispose()


class Kept:
    """A cache in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        self.values[key] = value.encode()


def situation(world: World, facts: Facts | None = None, cache: Kept | None = None) -> Situation:
    async def held(owner: str) -> tuple[str, ...]:
        return tuple(status.position.symbol for status in await world.desk.positions())

    async def remembered(owner: str) -> tuple[Fact, ...]:
        return () if facts is None else await facts.list(owner)

    def waiting(owner: str) -> tuple[TicketView, ...]:
        return world.tickets.open_for(owner)

    return Situation(world.market, world.profiles, waiting, held, remembered, cache or Kept(), world.clock.now)


async def test_what_is_there_is_told_in_both_languages(world: World, tmp_path: Path) -> None:
    world.profiles.change(OWNER, "name", "Ada")
    world.profiles.change(OWNER, "favourites", ("BTC/USDT", "XAUUSD"))
    with FakeOllama(always(decision({"intent": "conversation"}))) as fake:
        ticket = opened(await say(copilot_around(brain_of(fake, always_asked=False), world), "buy 1 btc"))
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        await memory.facts.add(OWNER, 'I say "never" to leverage', datetime(2026, 1, 1, tzinfo=UTC))
        told = situation(world, memory.facts)
        english, spanish = await told(OWNER, "en"), await told(OWNER, "es")
    for text in (english, spanish):
        assert "Ada" in text
        assert "BTC/USDT" in text
        assert str(ticket.ticket_id) in text
        assert r"\"never\"" in text
    assert "Open positions: none" in english
    assert "Posiciones abiertas: ninguna" in spanish


async def test_movement_is_told_without_figures_and_read_once(world: World) -> None:
    cache = Kept()
    world.profiles.change(OWNER, "favourites", ("BTC/USDT",))
    first = await situation(world, cache=cache)(OWNER, "en")
    line = next(line for line in first.splitlines() if "Since yesterday" in line)
    assert not any(mark.isdigit() for mark in line)
    cache.values = dict.fromkeys(cache.values, b"up")
    if cache.values:
        assert "up" in await situation(world, cache=cache)(OWNER, "en")


async def test_what_cannot_be_read_is_left_out(world: World) -> None:
    class Broken(Kept):
        async def get(self, key: str) -> bytes | None:
            raise MemoryUnavailable("the store is gone")

    told = await situation(world, cache=Broken())(OWNER, "en")
    assert "Since yesterday" not in told
    assert "Open positions" in told
