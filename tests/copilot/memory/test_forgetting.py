"""Forget me: everything of an owner goes, whoever writes meanwhile, and nothing old comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from typing import Literal

import pytest
from langgraph.types import Command

from copilot.memory import Forgotten, MemorySaver, open_memory
from tests.copilot.memory.conftest import RedisServer
from tests.copilot.memory.scripted import Stops, build_turns, conversation, held_bytes, holds
from tests.parts import REPOSITORY

AT = datetime(2026, 11, 25, 8, tzinfo=UTC)
MODES: tuple[Literal["exit", "async", "sync"], ...] = ("exit", "async", "sync")

WRITER = """
    import asyncio, sys
    from copilot.memory import open_memory
    from tests.copilot.memory.scripted import build_turns, conversation

    async def talk(url):
        async with open_memory(url) as memory:
            graph = build_turns(memory)
            for turn in range(100_000):
                mode = ("exit", "sync")[turn % 2]
                text = f"old-{turn}" if turn < 40 else f"new-{turn}"
                await graph.ainvoke({"text": text}, conversation(f"web-{turn % 3}"), durability=mode)
                print(turn, flush=True)

    asyncio.run(talk(sys.argv[1]))
"""


async def _lines(memory: MemorySaver, thread_id: str = "web-1", owner: str = "ana") -> list[str]:
    state = await build_turns(memory).aget_state(conversation(thread_id, owner))
    return [line["text"] for line in state.values.get("history", [])]


def _start_writer(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), url]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def _turn(writer: subprocess.Popen[str]) -> int:
    assert writer.stdout is not None
    line = writer.stdout.readline()
    assert line, f"the writer ended with {writer.wait(10)}; its error is printed above"
    return int(line)


async def test_everything_of_an_owner_goes_and_nothing_else(memory: MemorySaver, memory_url: str) -> None:
    for owner in ("eve", "ana:eve", "an", "a*"):
        await build_turns(memory).ainvoke({"text": "hers"}, conversation(f"web-{owner}", owner))
        await memory.facts.add(owner, "I hate leverage", AT)
        await memory.context.put("portfolio", "hers", 60, owner=owner)
    await memory.context.put("quote", "everybody's", 60)
    others = held_bytes(memory_url)
    for n in range(3):
        await build_turns(memory).ainvoke({"text": "my-secret"}, conversation(f"web-{n}", "ana"))
        await memory.facts.add("ana", f"my-secret {n}", AT)
    await memory.context.put("portfolio", "my-secret", 60, owner="ana")
    assert holds(memory_url, b"my-secret")
    assert await memory.forget_me("ana") == Forgotten(conversations=3, facts=3)
    assert not holds(memory_url, b"my-secret")
    assert held_bytes(memory_url) == others
    assert await memory.forget_me("ana") == Forgotten(0, 0)
    assert await memory.forget_me("a?") == Forgotten(0, 0)
    assert held_bytes(memory_url) == others


@pytest.mark.parametrize("mode", MODES)
async def test_a_turn_in_progress_brings_nothing_old_back(
    memory: MemorySaver, memory_url: str, mode: Literal["exit", "async", "sync"]
) -> None:
    await build_turns(memory).ainvoke({"text": "old-secret"}, conversation("web-1"), durability="exit")
    stops = Stops()
    async with open_memory(memory_url) as other:
        graph = build_turns(other, stops=stops)
        running = asyncio.create_task(graph.ainvoke({"text": "goes on"}, conversation("web-1"), durability=mode))
        await stops.reached.wait()
        assert (await memory.forget_me("ana")).conversations == 1
        stops.go_on.set()
        done = await running
    assert done["answer"] == "about goes on"
    assert not holds(memory_url, b"old-secret")
    assert await _lines(memory) == []
    await build_turns(memory).ainvoke({"text": "anew"}, conversation("web-1"), durability=mode)
    assert await _lines(memory) == ["anew", "about anew"]


@pytest.mark.parametrize("mode", MODES)
async def test_nor_does_it_where_the_conversation_began_anew_meanwhile(
    memory: MemorySaver, memory_url: str, mode: Literal["exit", "async", "sync"]
) -> None:
    await build_turns(memory).ainvoke({"text": "old-secret"}, conversation("web-1"), durability="exit")
    stops = Stops()
    async with open_memory(memory_url) as other:
        running = asyncio.create_task(
            build_turns(other, stops=stops).ainvoke({"text": "goes on"}, conversation("web-1"), durability=mode)
        )
        await stops.reached.wait()
        await memory.forget_me("ana")
        await build_turns(memory).ainvoke({"text": "anew"}, conversation("web-1"), durability=mode)
        stops.go_on.set()
        await running
    assert not holds(memory_url, b"old-secret")
    assert await _lines(memory) == ["anew", "about anew"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_first_turn_in_progress_ends_well(memory: MemorySaver, mode: Literal["exit", "async", "sync"]) -> None:
    stops = Stops()
    graph = build_turns(memory, stops=stops)
    running = asyncio.create_task(graph.ainvoke({"text": "hello"}, conversation("web-1"), durability=mode))
    await stops.reached.wait()
    await memory.forget_me("ana")
    stops.go_on.set()
    assert (await running)["answer"] == "about hello"
    assert await _lines(memory) in ([], ["hello", "about hello"])


async def test_a_pause_that_was_forgotten_is_gone(memory: MemorySaver) -> None:
    graph, config = build_turns(memory), conversation("web-1")
    await graph.ainvoke({"text": "buy gold"}, config, durability="sync")
    (pause,) = (await graph.aget_state(config)).interrupts
    await memory.forget_me("ana")
    assert (await graph.aget_state(config)).interrupts == ()
    await graph.ainvoke({"text": "hello"}, config, durability="sync")
    await graph.ainvoke(Command(resume={pause.id: "yes"}), config, durability="sync")
    assert await _lines(memory) == ["hello", "about hello"]


async def test_forgetting_while_another_program_writes(memory: MemorySaver, memory_url: str) -> None:
    with _start_writer(memory_url) as writer:
        while _turn(writer) < 45:
            pass
        async with asyncio.timeout(20):
            forgotten = await memory.forget_me("ana")
        assert forgotten.conversations > 0
        seen = [_turn(writer) for _ in range(12)][-1]
        writer.kill()
    assert not holds(memory_url, b"old-")
    lines = [line for n in range(3) for line in await _lines(memory, f"web-{n}")]
    assert seen > 45
    assert lines


async def test_a_thread_that_passed_to_another_owner_stays(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.flushall()
        async with open_memory(redis_server.url, ttl_s=60) as memory:
            await build_turns(memory).ainvoke({"text": "hers"}, conversation("web-1", "ana"))
            client.delete("copilot:memory:thread:web-1")  # as if it had expired
            await build_turns(memory).ainvoke({"text": "mine"}, conversation("web-1", "eve"))
            assert await memory.forget_me("ana") == Forgotten(0, 0)
            assert await _lines(memory, "web-1", "eve") == ["mine", "about mine"]
