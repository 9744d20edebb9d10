"""What is kept of a step with several nodes when one of them pauses or fails, and of threads of another kind."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from copilot.memory import MemorySaver, open_memory
from tests.copilot.memory.scripted import Durability, build_turns, conversation


def _joined(left: list[str], right: list[str]) -> list[str]:
    return [*left, *right]


class Both(TypedDict, total=False):
    said: Annotated[list[str], _joined]


class Pair:
    """A step of two nodes: one works, the other pauses or fails."""

    def __init__(self, *, is_working_first: bool, fails: bool = False) -> None:
        self.worked = 0
        self._is_working_first = is_working_first
        self._fails = fails

    def build(self, memory: MemorySaver) -> Any:
        async def work(_: Both) -> Both:
            await asyncio.sleep(0 if self._is_working_first else 0.03)
            self.worked += 1
            return {"said": ["worked"]}

        async def ask(_: Both) -> Both:
            await asyncio.sleep(0.03 if self._is_working_first else 0)
            if self._fails:
                raise OSError("not now")
            return {"said": [interrupt("well?")]}

        graph: Any = StateGraph(Both)
        graph.add_node("work", work)
        graph.add_node("ask", ask)
        graph.add_edge(START, "work")
        graph.add_edge(START, "ask")
        return graph.compile(checkpointer=memory)


@pytest.mark.parametrize("mode", ["exit", "async", "sync"])
@pytest.mark.parametrize("is_working_first", [True, False])
async def test_what_finished_beside_a_pause_is_not_done_again(
    memory_url: str, mode: Durability, is_working_first: bool
) -> None:
    pair = Pair(is_working_first=is_working_first)
    config = conversation("web-1")
    async with open_memory(memory_url) as memory:
        await pair.build(memory).ainvoke({"said": ["hello"]}, config, durability=mode)
    async with open_memory(memory_url) as memory:
        done = await pair.build(memory).ainvoke(Command(resume="yes"), config, durability=mode)
    assert sorted(done["said"]) == ["hello", "worked", "yes"]
    assert pair.worked == 1


@pytest.mark.parametrize("mode", ["exit", "async", "sync"])
async def test_what_finished_beside_a_failure_is_not_done_again(memory_url: str, mode: Durability) -> None:
    pair = Pair(is_working_first=True, fails=True)
    config = conversation("web-1")
    async with open_memory(memory_url) as memory:
        with pytest.raises(OSError, match="not now"):
            await pair.build(memory).ainvoke({"said": ["hello"]}, config, durability=mode)
    pair._fails = False
    async with open_memory(memory_url) as memory:
        await pair.build(memory).ainvoke(None, config, durability=mode)
        done = await pair.build(memory).ainvoke(Command(resume="yes"), config, durability=mode)
    assert sorted(done["said"]) == ["hello", "worked", "yes"]
    assert pair.worked == 1


@pytest.mark.parametrize("turns", [1, 50])
async def test_a_thread_of_nobody_goes_on_with_its_first_owner(memory: MemorySaver, turns: int) -> None:
    graph = build_turns(memory)
    for turn in range(turns):
        await graph.ainvoke({"text": str(turn)}, conversation("web-1", owner=None))
    done = await graph.ainvoke({"text": "mine"}, conversation("web-1"))
    assert len(done["history"]) == 2 * turns + 2
    assert (await graph.aget_state(conversation("web-1"))).values["history"] == done["history"]
    assert len([step async for step in memory.alist(conversation("web-1"))]) == 1
    assert await memory.aget_tuple(conversation("web-1", "eve")) is None


@pytest.mark.parametrize("turns", [1, 50])
async def test_a_copy_and_a_deleted_run_leave_no_half(memory: MemorySaver, turns: int) -> None:
    graph = build_turns(memory)
    for turn in range(turns):
        config = conversation("web-1")
        config["configurable"]["run_id"] = f"r{turn}"
        await graph.ainvoke({"text": str(turn)}, config, durability="exit")
    await memory.acopy_thread("web-1", "web-2")
    history = (await graph.aget_state(conversation("web-1"))).values["history"]
    assert len(history) == 2 * turns
    assert (await graph.aget_state(conversation("web-2"))).values["history"] == history
    await memory.adelete_for_runs([f"r{turns - 1}"])
    assert await memory.aget_tuple(conversation("web-2")) is None
    done = await graph.ainvoke({"text": "anew"}, conversation("web-2"), durability="exit")
    assert len(done["history"]) == 2


@pytest.mark.parametrize("keep", [70, 130, 200])
async def test_a_long_history_that_is_trimmed_comes_back_whole(memory_url: str, keep: int) -> None:
    said: list[str] = []
    async with open_memory(memory_url) as one, open_memory(memory_url) as other:
        for turn in range(130):
            graph = build_turns((one, other)[turn // 7 % 2], keep_lines=keep)
            await graph.ainvoke({"text": str(turn)}, conversation("web-1"), durability=("exit", "sync")[turn % 2])
            said = [*said[-keep:], str(turn), f"about {turn}"]
            state = await build_turns(one).aget_state(conversation("web-1"))
            assert [line["text"] for line in state.values["history"]] == said
