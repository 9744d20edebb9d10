"""Kill a program amid its turns and look at what it left: `python -m tests.copilot.memory.kill URL MODES KILLS SEED`.

Every kill forks, so that the libraries are loaded once; the parent opens nothing. A child talks on one conversation
until it is killed at a random moment, telling each turn that was acknowledged; the next one reads what is there,
checks it and takes a turn. Prints how many turns were acknowledged and how many were found beyond that.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import cast

from copilot.memory import open_memory
from tests.copilot.memory.scripted import Durability, build_turns, conversation

KEEP_LINES = 300
"""Enough for several pieces of the history, and few enough that it is trimmed within a run."""
LONGEST_S = 0.12


async def talk(url: str, mode: Durability, first: int, ack: int) -> None:
    async with open_memory(url) as memory:
        graph = build_turns(memory, keep_lines=KEEP_LINES)
        for turn in range(first, first + 100_000):
            await graph.ainvoke({"text": str(turn)}, conversation("web-1"), durability=mode)
            os.write(ack, b".")


async def check(url: str, mode: Durability, at_least: int) -> int:
    """Read what a killed program left, as another program would, and go on from there; return the next turn."""
    async with open_memory(url) as memory:
        graph = build_turns(memory, keep_lines=KEEP_LINES)
        state = await graph.aget_state(conversation("web-1"))
        lines = [line["text"] for line in state.values.get("history", [])]
        turns = [int(text) for text in lines[::2]]
        assert lines[1::2] == [f"about {turn}" for turn in turns]
        assert all(later == earlier + 1 for earlier, later in pairwise(turns))
        assert len(lines) <= KEEP_LINES + 2
        last = turns[-1] if turns else -1
        assert at_least <= last + 1 <= at_least + 1, (at_least, last)
        done = await graph.ainvoke({"text": str(last + 1)}, conversation("web-1"), durability=mode)
        assert done["history"][-1]["text"] == f"about {last + 1}"
        return last + 2


def forked(work: Callable[[], Awaitable[object]]) -> int:
    """Run some work in a fork and return its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        asyncio.run(cast("Callable[[], asyncio.Future[object]]", work)())  # type: ignore[arg-type]  # a coroutine function
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def kill_once(url: str, mode: Durability, first: int, after_s: float) -> int:
    """Let a program talk for a while, kill it, and return the first turn that is left to be taken."""
    told, ack = os.pipe()
    pid = forked(lambda: talk(url, mode, first, ack))
    os.close(ack)
    os.read(told, 1)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    acknowledged = 1
    while dots := os.read(told, 65536):
        acknowledged += len(dots)
    os.close(told)
    return first + acknowledged


def check_once(url: str, mode: Durability, at_least: int) -> int:
    """Check in a fork; return the next turn."""
    told, ack = os.pipe()

    async def work() -> None:
        os.write(ack, str(await check(url, mode, at_least)).encode())

    pid = forked(work)
    os.close(ack)
    found = os.read(told, 100)
    os.close(told)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("what was left is not consistent")
    return int(found)


def main(url: str, modes: list[Durability], kills: int, seed: int) -> None:
    chance, next_turn, beyond = random.Random(seed), 0, 0
    for kill in range(kills):
        mode = modes[kill % len(modes)]
        acknowledged = kill_once(url, mode, next_turn, chance.random() * LONGEST_S)
        next_turn = check_once(url, mode, acknowledged)
        beyond += next_turn - 1 - acknowledged
    print(next_turn, beyond)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], cast(list[Durability], sys.argv[2].split(",")), int(sys.argv[3]), int(sys.argv[4]))
