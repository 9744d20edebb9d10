"""A graph of the turn's shape without tools, and a look at what a store holds."""

from __future__ import annotations

import sqlite3
from typing import Any

import redis
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from copilot.graph import TurnState
from copilot.graph.state import Said
from copilot.memory import MemorySaver

Turns = CompiledStateGraph[TurnState, None, TurnState, TurnState]


def build_turns(saver: MemorySaver | None, keep_lines: int = 10_000) -> Turns:
    """Return four nodes; words that start with "buy" pause for a decision."""

    async def context(state: TurnState) -> TurnState:
        return {"history": state.get("history", [])[-keep_lines:], "results": [], "answer": "", "ticket_id": None}

    async def plan(state: TurnState) -> TurnState:
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


def held_bytes(url: str) -> int:
    """Return the bytes of everything that the store holds: names, fields and values."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        query = "SELECT COALESCE(SUM(LENGTH(thread_id) + LENGTH(field) + LENGTH(value)), 0) FROM memory_field"
        held: int = connection.execute(query).fetchone()[0]
        connection.close()
        return held
    with redis.Redis.from_url(url) as client:
        return sum(_entry_bytes(client, key) for key in client.keys("*"))


def _entry_bytes(client: redis.Redis, key: bytes) -> int:
    if client.type(key) == b"hash":
        fields = client.hgetall(key)
        return len(key) + sum(len(name) + len(value) for name, value in fields.items())
    return len(key) + sum(map(len, client.smembers(key)))
