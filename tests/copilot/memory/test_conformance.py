"""LangGraph's own contract, every capability, on both backends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate

from copilot.memory import open_memory


async def test_every_capability_conforms(memory_url: str) -> None:
    @checkpointer_test(name="MemorySaver")
    async def fresh() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        async with open_memory(memory_url) as saver:
            yield saver

    report = await validate(fresh)
    assert {name: result.failures for name, result in report.results.items() if result.failures} == {}
    assert {name for name, result in report.results.items() if result.passed} == {
        "put",
        "put_writes",
        "get_tuple",
        "list",
        "delete_thread",
        "delete_for_runs",
        "copy_thread",
        "prune",
    }
