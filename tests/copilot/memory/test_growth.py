"""How many bytes a conversation holds; bytes, so that no clock decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from copilot.memory import MemorySaver
from tests.copilot.memory.scripted import build_turns, conversation, held_bytes

TURN_BYTES = 4_000
THREAD_BYTES = 200 * 1024
WORDS = "what did gold do today, and why did it move against the dollar in the afternoon session? " * 2
"""About 180 characters, so that a turn adds two lines of 200."""


async def _talk(memory: MemorySaver, turns: int, keep_lines: int = 10_000) -> None:
    graph = build_turns(memory, keep_lines)
    for turn in range(turns):
        await graph.ainvoke({"text": f"{turn} {WORDS}"}, conversation("web-1"), durability="exit")


async def _steps(memory: MemorySaver) -> AsyncIterator[str]:
    async for found in memory.alist(conversation("web-1")):
        yield found.config["configurable"]["checkpoint_id"]


@pytest.mark.parametrize("lines", [2, 50, 500])
async def test_a_turn_adds_its_own_words_and_little_else(memory: MemorySaver, memory_url: str, lines: int) -> None:
    graph, history = build_turns(memory), [{"role": "user", "text": WORDS}] * lines
    await graph.aupdate_state(conversation("web-1"), {"history": history, "text": "", "results": []}, as_node="answer")
    await _talk(memory, 1)
    before = held_bytes(memory_url)
    await _talk(memory, 5)
    assert held_bytes(memory_url) - before <= 5 * TURN_BYTES


@pytest.mark.parametrize("mode", ["exit", "async", "sync"])
async def test_an_owners_thread_keeps_one_checkpoint(
    memory: MemorySaver, mode: Literal["exit", "async", "sync"]
) -> None:
    graph = build_turns(memory)
    for turn in range(3):
        await graph.ainvoke({"text": f"turn {turn}"}, conversation("web-1"), durability=mode)
    assert len([step async for step in _steps(memory)]) == 1
    state = await graph.aget_state(conversation("web-1"))
    assert [line["text"] for line in state.values["history"]][::2] == ["turn 0", "turn 1", "turn 2"]


async def test_a_thousand_turns_stay_flat(memory: MemorySaver, memory_url: str) -> None:
    await _talk(memory, 100, keep_lines=40)
    early = held_bytes(memory_url)
    await _talk(memory, 900, keep_lines=40)
    late = held_bytes(memory_url)
    assert late < THREAD_BYTES
    assert abs(late - early) < TURN_BYTES


async def test_pruning_an_ownerless_thread_leaves_its_latest(memory: MemorySaver, memory_url: str) -> None:
    graph, config = build_turns(memory), conversation("web-1", owner=None)
    for turn in range(20):
        await graph.ainvoke({"text": f"turn {turn} {WORDS}"}, config)
    full, state = held_bytes(memory_url), await graph.aget_state(config)
    await memory.aprune(["web-1"])
    assert held_bytes(memory_url) < full / 20
    assert (await graph.aget_state(config)).values == state.values
