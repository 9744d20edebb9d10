"""A graph of the turn's shape without tools, and a look at what a store holds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import redis
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from copilot.graph import TurnState
from copilot.graph.state import Said
from copilot.memory import MemorySaver

Durability = Literal["exit", "async", "sync"]
Turns = CompiledStateGraph[TurnState, None, TurnState, TurnState]


class Stops:
    """A place in the middle of a turn where it waits until told to go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.go_on.wait()


def build_turns(saver: MemorySaver | None, keep_lines: int = 10_000, *, stops: Stops | None = None) -> Turns:
    """Return four nodes; words that start with "buy" pause for a decision."""

    async def context(state: TurnState) -> TurnState:
        return {"history": state.get("history", [])[-keep_lines:], "results": [], "answer": "", "ticket_id": None}

    async def plan(state: TurnState) -> TurnState:
        if stops is not None:
            await stops.wait()
        return {"ticket_id": 7 if state["text"].startswith("buy") else None}

    async def gate(state: TurnState) -> TurnState:
        if state["ticket_id"] is None:
            return {}
        return {"results": [str(interrupt({"ticket_id": state["ticket_id"]}))]}

    async def answer(state: TurnState) -> TurnState:
        said = f"about {state['text']}" + "".join(state["results"])
        lines = [Said(role="user", text=state["text"]), Said(role="assistant", text=said)]
        return {"answer": said, "history": [*state["history"], *lines]}

    graph: StateGraph[TurnState, None, TurnState, TurnState] = StateGraph(TurnState)
    for name, node in (("context", context), ("plan", plan), ("gate", gate), ("answer", answer)):
        graph.add_node(name, node)
    graph.add_edge(START, "context")
    graph.add_edge("context", "plan")
    graph.add_edge("plan", "gate")
    graph.add_edge("gate", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def conversation(thread_id: str, owner: str | None = "ana") -> RunnableConfig:
    place: dict[str, Any] = {"thread_id": thread_id}
    return {"configurable": place if owner is None else {**place, "owner": owner}}


_HELD = (
    "SELECT COALESCE(SUM(LENGTH(thread_id) + LENGTH(field) + LENGTH(value)), 0) FROM memory_field",
    "SELECT COALESCE(SUM(LENGTH(owner) + LENGTH(same) + LENGTH(text) + LENGTH(at)), 0) FROM memory_fact",
    "SELECT COALESCE(SUM(LENGTH(owner)), 0) FROM memory_fact_count",
    "SELECT COALESCE(SUM(LENGTH(owner) + LENGTH(key) + LENGTH(value)), 0) FROM memory_cache",
)


def held_bytes(url: str) -> int:
    """Return the bytes of everything that the store holds: names, fields and values."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        held = sum(connection.execute(query).fetchone()[0] for query in _HELD)
        connection.close()
        return int(held)
    with redis.Redis.from_url(url) as client:
        return sum(map(len, _entries(client)))


def holds(url: str, words: bytes) -> bool:
    """Return whether words are anywhere in the store: in any file, or under any key."""
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        return any(words in path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    with redis.Redis.from_url(url) as client:
        return any(words in entry for entry in _entries(client))


def _entries(client: redis.Redis) -> Iterator[bytes]:
    """Yield every key, field and value as the bytes that they are."""
    for key in cast(list[bytes], client.keys("*")):
        yield key
        kind = cast(bytes, client.type(key))
        if kind == b"hash":
            for name, value in cast(dict[bytes, bytes], client.hgetall(key)).items():
                yield from (name, value)
        elif kind == b"set":
            yield from cast(set[bytes], client.smembers(key))
        else:
            yield cast(bytes | None, client.get(key)) or b""
