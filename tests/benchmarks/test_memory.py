"""What remembering costs: a whole turn with each store against the same graph without one, and bytes added per turn.

The chat model and the tools are left out, and they only make the share of memory smaller. The graph alone and every
store take turns with each other, so that a busy moment of the machine hits all of them; judged as ratios of one run,
never by a clock. `exit` is how a turn that a person's words start is kept, `sync` how a decision on a ticket is.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import pytest

from copilot.graph import TurnState
from copilot.graph.state import Said
from copilot.memory import open_memory
from tests.copilot.memory.conftest import RedisServer, redis_server
from tests.copilot.memory.scripted import Durability, Turns, build_turns, conversation, held_bytes

__all__ = ["redis_server"]

pytestmark = pytest.mark.benchmark

LINES = (2, 50, 500)
ROUNDS = 100
TURN_BYTES = 4_000
WANTED_RATIO = 2.0
UNDISTURBED = 0.1
"""Share of the turns that other programs on the machine leave alone; the ratio is judged there."""
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


async def _busy(graph: Turns, durability: Durability | None = None) -> float:
    """Return turns per second over many conversations at once."""

    async def talk(n: int) -> None:
        for _ in range(TURNS_EACH):
            await graph.ainvoke(TurnState(text=TEXT), conversation(f"busy-{n}"), durability=durability)

    seconds = await _seconds(lambda: asyncio.gather(*(talk(n) for n in range(CONVERSATIONS))))
    return CONVERSATIONS * TURNS_EACH / seconds


async def _compare(stores: dict[str, Turns], lines: int, durability: Durability) -> dict[str, list[float]]:
    """Return the seconds of turns of the graph alone and with every store, fastest first."""
    bare = build_turns(None)
    taken: dict[str, list[float]] = {name: [] for name in ("alone", *stores)}
    for _ in range(ROUNDS):
        taken["alone"].append(await _turn_without_store(bare, lines))
        for name, graph in stores.items():
            taken[name].append(await _turn(graph, lines, durability))
    return {name: sorted(seconds) for name, seconds in taken.items()}


def _ratios(taken: dict[str, list[float]], share: float) -> dict[str, float]:
    """Return each store's seconds at this share of the turns as a multiple of the graph alone."""
    at = int(ROUNDS * share)
    return {name: seconds[at] / taken["alone"][at] for name, seconds in taken.items() if name != "alone"}


async def _measure(urls: dict[str, str]) -> None:
    async with AsyncExitStack() as stack:
        stores = {
            name: build_turns(await stack.enter_async_context(open_memory(url)), keep_lines=2 * max(LINES))
            for name, url in urls.items()
        }
        modes: tuple[Durability, ...] = ("exit", "sync")
        for durability in modes:
            for lines in LINES:
                taken = await _compare(stores, lines, durability)
                told = ", ".join(f"{name} {ratio:5.2f}" for name, ratio in _ratios(taken, 0.5).items())
                alone_ms = taken["alone"][ROUNDS // 2] * 1000
                print(f"{durability:<5} {lines:>4} lines, p50: the graph alone {alone_ms:.2f} ms, {told}")  # noqa: T201
                if durability == "exit":
                    assert max(_ratios(taken, UNDISTURBED).values()) <= WANTED_RATIO
        for name, graph in stores.items():
            added = [await _added_bytes(graph, urls[name], lines, "exit") for lines in LINES]
            print(f"{name:<7} bytes added per turn at {LINES} lines: {added}")  # noqa: T201
            assert max(added) <= TURN_BYTES
            rate, alone = await _busy(graph, "exit"), await _busy(build_turns(None))
            print(f"{name:<7} {CONVERSATIONS} conversations at once: {rate:.0f} turns/s of {alone:.0f}, wanted 400")  # noqa: T201


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


def test_remembering_costs(tmp_path: Path, redis_server: RedisServer) -> None:
    print(f"\nthe disk confirms a page in {_disk_ms(tmp_path):.2f} ms")  # noqa: T201
    asyncio.run(_measure({"sqlite": f"sqlite:///{tmp_path / 'memory.db'}", "redis": redis_server.url}))
