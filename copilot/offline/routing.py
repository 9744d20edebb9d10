"""The routing contract of the command line: text and history in, calls or a question out; nothing is executed."""

from __future__ import annotations

from typing import Any, Literal, cast

from copilot.offline.combined import decide
from copilot.offline.values import Turn
from copilot.wording import render_question
from tools.schema import contract_arguments


def route(text: str, history: list[dict[str, str]]) -> dict[str, Any]:
    """Return what a message would call.

    Args:
        text: The person's message.
        history: Earlier turns, oldest first, each with `role` ("user" or "assistant") and `text`.

    Returns:
        `calls`, each with `tool` and `args` (numbers as `Decimal`), and `ask`: the worded question or `None`.
    """
    turns = [Turn(cast(Literal["user", "assistant"], turn["role"]), turn["text"]) for turn in history]
    decision = decide(text, turns)
    ask = None if decision.question is None else render_question(decision.question, decision.language)
    calls = [{"tool": call.tool, "args": contract_arguments(call.tool, call.args)} for call in decision.calls]
    return {"calls": calls, "ask": ask}
