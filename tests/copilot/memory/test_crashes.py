"""Killed without warning: what was stored is whole, and a pause is still waiting."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Literal

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.types import Command

from copilot.memory import open_memory
from engine.domain.errors import MemoryUnavailable
from tests.conftest import free_port
from tests.copilot.memory.conftest import RedisServer, redis_program
from tests.copilot.memory.scripted import Durability, build_turns, conversation
from tests.parts import REPOSITORY

TALKER = """
    import asyncio, os, signal, sys
    from copilot.memory import open_memory
    from tests.copilot.memory.scripted import build_turns, conversation

    async def talk(url, dies_at_commit):
        async with open_memory(url) as memory:
            graph = build_turns(memory)
            await graph.ainvoke({"text": "before"}, conversation("web-1"), durability="exit")
            if dies_at_commit:
                store = memory._store
                die = lambda sql: os.kill(os.getpid(), signal.SIGKILL) if sql.startswith("COMMIT") else None
                store._file.quick_connection.set_trace_callback(die)
            for turn in range(100_000):
                text = f"turn {turn} " + "x" * 20_000
                await graph.ainvoke({"text": text}, conversation("web-1"), durability="sync")
                print(turn, flush=True)

    asyncio.run(talk(sys.argv[1], sys.argv[2] == "at-commit"))
"""

MODES: tuple[Durability, ...] = ("exit", "async", "sync")
PAUSER = """
    import asyncio, os, signal, sys
    from copilot.memory import open_memory
    from tests.copilot.memory.scripted import build_turns, conversation

    async def pause(url):
        async with open_memory(url) as memory:
            for mode in ("exit", "async", "sync"):
                for text in ("hello", "buy gold"):
                    await build_turns(memory).ainvoke({"text": text}, conversation(f"web-{mode}"), durability=mode)
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(pause(sys.argv[1]))
"""


def _talker(url: str, when: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TALKER), url, when],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


async def _history(url: str) -> list[str]:
    async with open_memory(url) as memory:
        state = await build_turns(memory).aget_state(conversation("web-1"))
    return [line["text"].split(" x")[0] for line in state.values["history"]][::2]


@pytest.mark.parametrize("acknowledged", [1, 7])
async def test_a_killed_talker_leaves_every_acknowledged_turn(memory_url: str, acknowledged: int) -> None:
    with _talker(memory_url, "any-time") as talker:
        assert talker.stdout is not None
        seen = [int(talker.stdout.readline()) for _ in range(acknowledged)][-1]
        talker.kill()
        seen = max([seen, *(int(line) for line in talker.stdout)])
    found = await _history(memory_url)
    assert found[: seen + 2] == ["before", *(f"turn {turn}" for turn in range(seen + 1))]
    assert len(found) <= seen + 3


async def test_killed_inside_a_put_the_state_before_it_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    with _talker(url, "at-commit") as talker:
        assert talker.wait(120) == -SIGKILL
    assert await _history(url) == ["before"]


@pytest.mark.parametrize("mode", ["exit", "sync"])
async def test_a_pause_survives_a_restart(memory_url: str, mode: Literal["exit", "sync"]) -> None:
    config = conversation("web-1")
    async with open_memory(memory_url) as memory:
        await build_turns(memory).ainvoke({"text": "hello"}, config, durability=mode)
        await build_turns(memory).ainvoke({"text": "buy gold"}, config, durability=mode)
    async with open_memory(memory_url) as memory:
        graph = build_turns(memory)
        (pause,) = (await graph.aget_state(config)).interrupts
        assert pause.value == {"ticket_id": 7}
        done = await graph.ainvoke(Command(resume={pause.id: " approved"}), config, durability=mode)
        assert done["history"][-1]["text"] == "about buy gold approved"
        assert (await graph.aget_state(config)).interrupts == ()


async def test_a_pause_survives_a_kill_right_after_it(memory_url: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PAUSER), memory_url]
    assert await asyncio.to_thread(subprocess.call, command, cwd=REPOSITORY) == -SIGKILL
    async with open_memory(memory_url) as memory:
        graph = build_turns(memory)
        for mode in MODES:
            (pause,) = (await graph.aget_state(conversation(f"web-{mode}"))).interrupts
            done = await graph.ainvoke(Command(resume={pause.id: " yes"}), conversation(f"web-{mode}"), durability=mode)
            assert done["answer"] == "about buy gold yes"
            assert len(done["history"]) == 4


async def test_memory_comes_back_with_a_killed_redis(tmp_path: Path) -> None:
    server = RedisServer(redis_program(), tmp_path, free_port(), fsync="always")
    server.start()
    try:
        async with open_memory(server.url) as memory:
            graph = build_turns(memory)
            await graph.ainvoke({"text": "buy gold"}, conversation("web-1"), durability="exit")
            server.kill()
            with pytest.raises(MemoryUnavailable, match=r"does not answer"):
                await graph.aget_state(conversation("web-1"))
            server.start()
            (pause,) = (await graph.aget_state(conversation("web-1"))).interrupts
            done = await graph.ainvoke(Command(resume={pause.id: " yes"}), conversation("web-1"), durability="exit")
            assert done["answer"] == "about buy gold yes"
    finally:
        server.kill()


async def test_a_silent_redis_is_told_in_time(tmp_path: Path) -> None:
    server = RedisServer(redis_program(), tmp_path, free_port())
    server.start()
    assert server.process is not None
    try:
        async with open_memory(server.url) as memory:
            server.process.send_signal(SIGSTOP)
            async with asyncio.timeout(15):
                with pytest.raises(MemoryUnavailable, match=r"does not answer"):
                    await memory.aget_tuple(conversation("web-1"))
            server.process.send_signal(SIGCONT)
            assert await memory.aget_tuple(conversation("web-1")) is None
    finally:
        server.kill()


async def test_a_broken_file_is_told_to_everyone_who_waits(tmp_path: Path) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        broken = sqlite3.connect(tmp_path / "memory.db")
        broken.execute("DROP TABLE memory_field")
        broken.close()
        puts = (memory.aput(conversation(f"web-{n}"), empty_checkpoint(), {}, {}) for n in range(3))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [MemoryUnavailable] * 3
        with pytest.raises(MemoryUnavailable):
            await memory.aget_tuple(conversation("web-1"))
