"""How long a conversation is kept, on a clock that moves only when told; facts have no time to live."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from langgraph.types import Command

from copilot.memory import MemorySaver, open_memory
from engine.domain.errors import ConfigError
from tests.copilot.memory.conftest import RedisServer
from tests.copilot.memory.scripted import build_turns, conversation

TTL_S = 600
AT = datetime(2026, 11, 25, 8, tzinfo=UTC)

FIRST_VERSION = """
CREATE TABLE memory_thread (thread_id TEXT PRIMARY KEY, owner TEXT);
CREATE INDEX memory_thread_owner ON memory_thread (owner);
CREATE TABLE memory_field (
    thread_id TEXT NOT NULL REFERENCES memory_thread ON DELETE CASCADE,
    field BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (thread_id, field)
);
"""


class Place:
    """One SQLite file and its clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_000_000.0

    @asynccontextmanager
    async def open(self, ttl_s: int | None = TTL_S) -> AsyncIterator[MemorySaver]:
        options = {"ttl_s": ttl_s, "confirmation_s": 120}
        async with open_memory(f"sqlite:///{self.path}", clock=lambda: self.now, **options) as memory:  # type: ignore[arg-type]  # both are whole numbers or None
            yield memory

    def threads(self) -> list[str]:
        connection = sqlite3.connect(self.path)
        found = connection.execute("SELECT DISTINCT thread_id FROM memory_field ORDER BY thread_id").fetchall()
        connection.close()
        return [name for (name,) in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "memory.db")


async def _say(memory: MemorySaver, text: str, thread_id: str = "web-1", owner: str = "ana") -> list[str]:
    done = await build_turns(memory).ainvoke({"text": text}, conversation(thread_id, owner), durability="exit")
    return [line["text"] for line in done["history"]][::2]


async def test_every_turn_gives_a_conversation_its_time_again(place: Place) -> None:
    async with place.open() as memory:
        for n in range(4):
            assert await _say(memory, str(n)) == [str(m) for m in range(n + 1)]
            place.now += TTL_S - 1


async def test_what_outlived_its_time_is_gone_for_everyone(place: Place) -> None:
    async with place.open() as memory:
        await _say(memory, "old")
        place.now += TTL_S
        assert await memory.aget_tuple(conversation("web-1")) is None
        assert [found async for found in memory.alist(None)] == []
        assert await _say(memory, "new") == ["new"]
        place.now += TTL_S
        assert await _say(memory, "mine now", owner="eve") == ["mine now"]


async def test_opening_prunes_what_outlived_its_time(place: Place) -> None:
    async with place.open() as memory:
        await _say(memory, "old")
        place.now += TTL_S / 2
        await _say(memory, "young", "web-2")
    place.now += TTL_S / 2
    async with place.open():
        assert place.threads() == ["web-2"]


async def test_writing_prunes_now_and_then(place: Place) -> None:
    async with place.open() as memory:
        await _say(memory, "old")
        place.now += 3000
        await _say(memory, "other", "web-2")
        assert place.threads() == ["web-1", "web-2"]
        place.now += 601
        await _say(memory, "another", "web-3")
        assert place.threads() == ["web-3"]


async def test_no_time_to_live_keeps_for_good(place: Place) -> None:
    async with place.open(None) as memory:
        await _say(memory, "old")
        place.now += 1e9
        assert await _say(memory, "new") == ["old", "new"]


async def test_a_pause_waits_as_long_as_its_confirmation_may(place: Place) -> None:
    async with place.open(120) as memory:
        graph = build_turns(memory)
        await graph.ainvoke({"text": "buy gold"}, conversation("web-1"), durability="exit")
        place.now += 119.9
        (pause,) = (await graph.aget_state(conversation("web-1"))).interrupts
        done = await graph.ainvoke(Command(resume={pause.id: " yes"}), conversation("web-1"), durability="exit")
        assert done["answer"] == "about buy gold yes"


async def test_memory_never_dies_before_a_pending_confirmation(place: Place) -> None:
    with pytest.raises(ConfigError, match="a confirmation may be pending for 120 s"):
        async with place.open(119):
            pass


async def test_facts_outlive_conversations(place: Place) -> None:
    async with place.open() as memory:
        await memory.facts.add("ana", "I hate leverage", AT)
        place.now += 1e9
        await memory._store.prune()  # type: ignore[attr-defined]  # SQLite's store has it
        assert [fact.text for fact in await memory.facts.list("ana")] == ["I hate leverage"]


async def test_a_file_of_the_first_version_goes_on(place: Place, tmp_path: Path) -> None:
    async with Place(tmp_path / "model.db").open() as memory:
        await _say(memory, "old")
    old = sqlite3.connect(place.path)
    old.executescript(FIRST_VERSION)
    old.execute("ATTACH DATABASE ? AS model", (str(tmp_path / "model.db"),))
    old.execute("INSERT INTO memory_thread SELECT thread_id, owner FROM model.memory_thread")
    old.execute("INSERT INTO memory_field SELECT * FROM model.memory_field")
    old.commit()
    old.close()
    async with place.open() as memory:
        assert await _say(memory, "new") == ["old", "new"]
        assert await _say(memory, "newer") == ["old", "new", "newer"]


async def test_redis_keeps_facts_and_lets_conversations_expire(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        async with open_memory(redis_server.url, ttl_s=300) as memory:
            await memory.facts.add("ana", "I hate leverage", AT)
            await _say(memory, "hello")
        lives = {key.split(b":")[2]: client.ttl(key) for key in client.keys("*")}
        assert lives.pop(b"facts") == -1
        assert all(295 < life <= 300 for life in lives.values())
        assert set(lives) == {b"thread", b"owner"}
        async with open_memory(redis_server.url, ttl_s=200) as memory:
            await _say(memory, "from a program with a shorter one", "web-2")
            assert client.ttl("copilot:memory:owner:ana") > 295
        async with open_memory(redis_server.url) as memory:
            await _say(memory, "no time to live any more")
        assert client.ttl("copilot:memory:thread:web-1") == -1
        assert client.ttl("copilot:memory:owner:ana") == -1
