"""What each classifier learns of a labelled utterance.

The first, `tool`, learns from every line; the others only from lines that expect exactly one call of their tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from copilot.offline.learned.model import ASK, PLAIN, SEVERAL

TOOL, SIDE, SIZE, VIEW, CONDITION = "tool", "side", "size", "view", "condition"
ACTION, SETTING = "action", "setting"
HEADS = (TOOL, SIDE, SIZE, VIEW, CONDITION, ACTION, SETTING)
NO_SIZE = "none"
_OWNED = {
    "execute_trade": (SIDE, SIZE),
    "check_portfolio": (VIEW,),
    "set_alert": (CONDITION,),
    "control_agent": (ACTION,),
    "configure_agent": (SETTING,),
}


def labels_of(answers: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the accepted labels by classifier, the expected one first.

    Args:
        answers: The expected answer of an utterance, then its other acceptable ones.
    """
    found: dict[str, list[str]] = {TOOL: [tool_label(answer) for answer in answers]}
    own = _only_call(answers[0])
    calls = [call for call in map(_only_call, answers) if own and call and call["tool"] == own["tool"]]
    for head in _OWNED.get(own["tool"], ()) if own else ():
        found[head] = [argument_label(head, call["args"]) for call in calls]
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


def tool_label(answer: Mapping[str, Any]) -> str:
    """Return what an answer is: a tool, `several`, `ask` or `plain`."""
    calls = answer.get("calls") or ()
    if len(calls) > 1:
        return SEVERAL
    if calls:
        return str(calls[0]["tool"])
    return ASK if answer.get("ask") else PLAIN


def argument_label(head: str, args: Mapping[str, Any]) -> str:
    """Return what a call's arguments are to its classifier.

    >>> argument_label("size", {"side": "sell", "amount": 25, "unit": "percent"})
    'percent'
    """
    if head == SIZE:
        return str(args.get("unit", "base")) if args.get("amount") is not None else NO_SIZE
    return str(args.get(head, "summary"))


def _only_call(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    calls: Sequence[Mapping[str, Any]] = answer.get("calls") or ()
    return calls[0] if len(calls) == 1 else None


__all__ = [
    "ACTION",
    "CONDITION",
    "HEADS",
    "NO_SIZE",
    "SETTING",
    "SIDE",
    "SIZE",
    "TOOL",
    "VIEW",
    "argument_label",
    "labels_of",
    "tool_label",
]
