"""Several programs on one store: a conversation goes on wherever it moves, whoever is killed on the way."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from copilot.memory import open_memory
from tests.conftest import free_port
from tests.copilot.memory.conftest import RedisServer, redis_program
from tests.copilot.memory.scripted import Durability, Stops, build_turns, conversation
from tests.parts import REPOSITORY

KILLS, MANY_KILLS = 6, 150


class Speaker:
    """Another program on the store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **asked: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def speakers(url: str, count: int) -> Iterator[list[Speaker]]:
    command = [sys.executable, "-m", "tests.copilot.memory.speaker", url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(command, cwd=REPOSITORY, **pipes)) for _ in range(count)]
        yield [Speaker(process) for process in started]


def _lines(turns: list[str]) -> list[str]:
    return [line for turn in turns for line in (turn, f"about {turn}")]


def test_a_conversation_goes_on_wherever_it_moves(memory_url: str) -> None:
    with speakers(memory_url, 2) as (one, other):
        said = _move_about(one, other)
        one.ask(text="buy gold")
        assert one.told() == {"lines": _lines(said), "is_paused": True}
        other.ask(resume=" yes")
        assert other.told() == {"lines": [*_lines(said), "buy gold", "about buy gold yes"], "is_paused": False}
        _talk_at_once(one, other)


def _move_about(one: Speaker, other: Speaker) -> list[str]:
    said: list[str] = []
    for n in range(45):
        said.append(f"turn {n}")
        speaker = (one, other)[n // 3 % 2]
        speaker.ask(text=said[-1], mode=("exit", "sync")[n % 2])
        assert speaker.told()["lines"] == _lines(said)
    return said


def _talk_at_once(one: Speaker, other: Speaker) -> None:
    """Let both take turns at the same moment: one may overwrite the other's, but never mix with it."""
    for n in range(30):
        for name, speaker in (("a", one), ("b", other)):
            speaker.ask(text=f"{name}{n}", mode=("exit", "sync")[n % 2])
        for speaker in (one, other):
            lines = speaker.told()["lines"]
            assert [line.removesuffix(" yes") for line in lines] == _lines(lines[::2])
    one.ask(text="last")
    lines = one.told()["lines"]
    assert lines[-2:] == ["last", "about last"]
    assert len(lines) > 100


def _kill(url: str, modes: str, kills: int) -> tuple[int, int]:
    command = [sys.executable, "-m", "tests.copilot.memory.kill", url, modes, str(kills), "7"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    turns, beyond = done.stdout.split()
    return int(turns), int(beyond)


def test_a_program_killed_in_the_middle_leaves_a_whole_conversation(memory_url: str) -> None:
    turns, _ = _kill(memory_url, "exit,sync", KILLS)
    assert turns >= 2 * KILLS


@pytest.mark.prove
@pytest.mark.parametrize("mode", ["exit", "async", "sync"])
def test_many_programs_killed_in_the_middle_leave_a_whole_conversation(memory_url: str, mode: Durability) -> None:
    turns, _ = _kill(memory_url, mode, MANY_KILLS)
    assert turns >= 2 * MANY_KILLS


@pytest.mark.parametrize("mode", ["exit", "sync"])
async def test_redis_that_restarts_in_the_middle_of_a_turn_loses_nothing(tmp_path: Path, mode: Durability) -> None:
    server = RedisServer(redis_program(), tmp_path, free_port(), fsync="always")
    server.start()
    try:
        async with open_memory(server.url) as memory:
            config, stops = conversation("web-1"), Stops()
            await build_turns(memory).ainvoke({"text": "before"}, config, durability=mode)
            graph = build_turns(memory, stops=stops)
            running = asyncio.create_task(graph.ainvoke({"text": "meanwhile"}, config, durability=mode))
            await stops.reached.wait()
            server.kill()
            server.start()
            stops.go_on.set()
            done = await running
            assert [line["text"] for line in done["history"]] == _lines(["before", "meanwhile"])
            state = await build_turns(memory).aget_state(config)
            assert [line["text"] for line in state.values["history"]] == _lines(["before", "meanwhile"])
    finally:
        server.kill()
