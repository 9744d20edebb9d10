"""What remembering costs: a whole turn with each store against the same graph without one, and bytes added per turn.

The chat model and the tools are left out. Each store takes turns with the graph alone, so that a busy moment of the
machine hits both; printed as ratios, never judged by a clock.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Literal

import pytest

from copilot.graph import TurnState
from copilot.graph.state import Said
from copilot.memory import open_memory
from tests.copilot.memory.conftest import RedisServer, redis_server
from tests.copilot.memory.scripted import Turns, build_turns, conversation, held_bytes

__all__ = ["redis_server"]

pytestmark = pytest.mark.benchmark

Durability = Literal["exit", "sync"]

LINES = (2, 50, 500)
ROUNDS = 100
TURN_BYTES = 4_000
CONVERSATIONS = 50
TURNS_EACH = 20
TEXT = "what did gold do today, and why did it move against the dollar in the afternoon session? " * 2


def _history(lines: int) -> list[Said]:
    return [Said(role="user", text=f"{n} {TEXT}") for n in range(lines)]


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def _turn_without_store(graph: Turns, lines: int) -> float:
    state = TurnState(text=TEXT, history=_history(lines))
    return await _seconds(lambda: graph.ainvoke(state))


async def _turn(graph: Turns, lines: int, durability: Durability) -> float:
    """Time a turn on a conversation that holds exactly these lines."""
    config = conversation(f"web-{lines}-{durability}")
    state = TurnState(text="", history=_history(lines), results=[], answer="", ticket_id=None)
    await graph.aupdate_state(config, state, as_node="answer")
    return await _seconds(lambda: graph.ainvoke(TurnState(text=TEXT), config, durability=durability))


async def _added_bytes(graph: Turns, url: str, lines: int, durability: Durability) -> int:
    await _turn(graph, lines, durability)
    before = held_bytes(url)
    for _ in range(5):
        await graph.ainvoke(TurnState(text=TEXT), conversation(f"web-{lines}-{durability}"), durability=durability)
    return (held_bytes(url) - before) // 5


async def _busy(graph: Turns) -> float:
    """Return turns per second over many conversations at once."""

    async def talk(n: int) -> None:
        for _ in range(TURNS_EACH):
            await graph.ainvoke(TurnState(text=TEXT), conversation(f"busy-{n}"), durability="exit")

    seconds = await _seconds(lambda: asyncio.gather(*(talk(n) for n in range(CONVERSATIONS))))
    return CONVERSATIONS * TURNS_EACH / seconds


async def _measure(name: str, url: str) -> None:
    async with open_memory(url) as memory:
        bare, graph = build_turns(None), build_turns(memory, keep_lines=2 * max(LINES))
        for durability in ("exit", "sync"):
            for lines in LINES:
                base, taken = await _compare(bare, graph, lines, durability)
                added = await _added_bytes(graph, url, lines, durability)
                print(  # noqa: T201
                    f"{name:<7} {durability:<5} {lines:>4} lines: {taken / base:5.2f} of the graph alone "
                    f"({base * 1000:.2f} ms), {added:>6} bytes added per turn"
                )
                assert added < TURN_BYTES
        rate = await _busy(graph)
        print(f"{name:<7} {CONVERSATIONS} conversations at once: {rate:.0f} turns/s, wanted 400")  # noqa: T201


async def _compare(bare: Turns, graph: Turns, lines: int, durability: Durability) -> tuple[float, float]:
    base, taken = [], []
    for _ in range(ROUNDS):
        base.append(await _turn_without_store(bare, lines))
        taken.append(await _turn(graph, lines, durability))
    return median(base), median(taken)


def _disk_ms(folder: Path) -> float:
    """Return how long this disk takes to confirm a page, the floor of any store that survives a power cut."""
    taken = []
    with (folder / "probe").open("wb") as probe:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            probe.write(bytes(4096))
            probe.flush()
            os.fsync(probe.fileno())
            taken.append(time.perf_counter() - started)
    return median(taken) * 1000


def test_remembering_in_sqlite_costs(tmp_path: Path) -> None:
    print(f"\nthe disk confirms a page in {_disk_ms(tmp_path):.2f} ms")  # noqa: T201
    asyncio.run(_measure("sqlite", f"sqlite:///{tmp_path / 'memory.db'}"))


def test_remembering_in_redis_costs(redis_server: RedisServer) -> None:
    print()  # noqa: T201
    asyncio.run(_measure("redis", redis_server.url))
