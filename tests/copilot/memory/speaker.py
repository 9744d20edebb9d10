"""A program that takes turns when told: `python -m tests.copilot.memory.speaker URL`, one JSON object a line.

`{"text": ..., "mode": ...}` takes a turn; `{"resume": ...}` answers what the conversation pauses on. Each answer is
the conversation's lines, and whether it is paused.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langgraph.types import Command

from copilot.memory import open_memory
from tests.copilot.memory.scripted import build_turns, conversation


async def main(url: str) -> None:
    loop, config = asyncio.get_running_loop(), conversation("web-1")
    async with open_memory(url) as memory:
        graph = build_turns(memory)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            entry: Any = {"text": asked.get("text")}
            if "resume" in asked:
                (pause,) = (await graph.aget_state(config)).interrupts
                entry = Command(resume={pause.id: asked["resume"]})
            await graph.ainvoke(entry, config, durability=asked.get("mode", "exit"))
            state = await graph.aget_state(config)
            lines = [said["text"] for said in state.values.get("history", [])]
            print(json.dumps({"lines": lines, "is_paused": bool(state.interrupts)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
