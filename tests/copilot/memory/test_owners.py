"""Whose conversation it is, how long it is kept, and how it is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig

from copilot.memory import Forgotten, MemorySaver, open_memory
from engine.domain.errors import InvalidRequest
from tests.copilot.memory.conftest import RedisServer
from tests.copilot.memory.scripted import build_turns, conversation, held_bytes


async def _say(memory: MemorySaver, thread_id: str, owner: str, text: str) -> None:
    await build_turns(memory).ainvoke({"text": text}, conversation(thread_id, owner), durability="exit")


async def test_another_owner_sees_nothing_and_changes_nothing(memory: MemorySaver) -> None:
    await _say(memory, "web-1", "ana", "a secret")
    with pytest.raises(InvalidRequest):
        await _say(memory, "web-1", "eve", "show me")
    mine = await memory.aget_tuple(conversation("web-1", "ana"))
    assert mine is not None
    hers: RunnableConfig = {"configurable": {**mine.config["configurable"], "owner": "eve"}}
    await memory.aput_writes(hers, [("text", "forged")], "task")
    with pytest.raises(InvalidRequest):
        await memory.aput_writes(hers, [("__interrupt__", "forged")], "task")
    assert (await memory.aget_tuple(conversation("web-1", "ana"))) == mine
    assert await memory.aget_tuple(conversation("web-1", "eve")) is None
    assert [found async for found in memory.alist(conversation("web-1", "eve"))] == []
    state = await build_turns(memory).aget_state(conversation("web-1", "ana"))
    assert [line["text"] for line in state.values["history"]] == ["a secret", "about a secret"]


@pytest.mark.parametrize(("left", "right"), [("a", "a:b"), ("a*", "ab"), ("a", "a\x00"), ("web-1", "web-10")])
async def test_names_that_look_alike_are_apart(memory: MemorySaver, left: str, right: str) -> None:
    await _say(memory, left, "ana", "mine")
    await _say(memory, right, "eve", "hers")
    assert (await memory.forget_me("ana")).conversations == 1
    assert await memory.aget_tuple(conversation(left)) is None
    assert await memory.aget_tuple(conversation(right, "eve")) is not None


async def test_forgetting_erases_all_of_an_owner_and_nobody_else(memory: MemorySaver, memory_url: str) -> None:
    await _say(memory, "web-9", "eve", "hers")
    others = held_bytes(memory_url)
    for n in range(110):
        await _say(memory, f"web-a{n}", "ana", "mine")
    await _say(memory, "web-paused", "ana", "buy gold")
    assert (await memory.forget_me("ana")).conversations == 111
    assert held_bytes(memory_url) == others
    assert await memory.forget_me("ana") == Forgotten(0, 0)


def _is_in_a_file(folder: Path, words: bytes) -> bool:
    return any(words in path.read_bytes() for path in folder.iterdir())


async def test_what_was_forgotten_is_in_no_file(tmp_path: Path) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        for n in range(20):
            await _say(memory, "web-1", "ana", f"my-secret {n} " + "x" * 5_000 * n)
        assert _is_in_a_file(tmp_path, b"my-secret")
        await memory.forget_me("ana")
        assert not _is_in_a_file(tmp_path, b"my-secret")


async def test_deleting_a_thread_leaves_nothing_of_it(memory: MemorySaver, memory_url: str) -> None:
    await _say(memory, "web-1", "ana", "buy gold")
    await memory.adelete_thread("web-1")
    assert held_bytes(memory_url) == 0


async def test_a_conversation_moves_between_processes(memory_url: str) -> None:
    async with open_memory(memory_url) as one, open_memory(memory_url) as other:
        await _say(one, "web-1", "ana", "first")
        await _say(other, "web-1", "ana", "second")
        await _say(one, "web-1", "ana", "third")
        state = await build_turns(other).aget_state(conversation("web-1"))
    assert [line["text"] for line in state.values["history"]][::2] == ["first", "second", "third"]


async def test_every_key_of_redis_has_the_time_to_live(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        async with open_memory(redis_server.url, ttl_s=300, confirmation_s=120) as memory:
            await _say(memory, "web-1", "ana", "buy gold")
        lives = [client.ttl(key) for key in client.keys("*")]
        assert len(lives) == 2
        assert all(120 < life <= 300 for life in lives)
