"""What each classifier learns of a labelled utterance.

The first, `tool`, learns from every line; the others only from lines that expect exactly one call of their tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from copilot.offline.learned.model import ASK, PLAIN, SEVERAL

TOOL, TERMS, VIEW, CONDITION, ACTION = "tool", "terms", "view", "condition", "action"
HEADS = (TOOL, TERMS, VIEW, CONDITION, ACTION)
_OWNER = {"execute_trade": TERMS, "check_portfolio": VIEW, "set_alert": CONDITION, "control_agent": ACTION}


def labels_of(answers: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the accepted labels by classifier, the expected one first.

    Args:
        answers: The expected answer of an utterance, then its other acceptable ones.
    """
    found: dict[str, list[str]] = {TOOL: [tool_label(answer) for answer in answers]}
    own = _only_call(answers[0])
    head = _OWNER.get(own["tool"]) if own else None
    if own and head:
        calls = [call for call in map(_only_call, answers) if call and call["tool"] == own["tool"]]
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

    >>> argument_label("terms", {"side": "sell", "amount": 25, "unit": "percent"})
    'sell|percent'
    """
    if head == TERMS:
        return f"{args['side']}|{args.get('unit', 'base') if args.get('amount') is not None else 'none'}"
    return str(args.get(head, "summary"))


def _only_call(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    calls: Sequence[Mapping[str, Any]] = answer.get("calls") or ()
    return calls[0] if len(calls) == 1 else None


__all__ = ["ACTION", "CONDITION", "HEADS", "TERMS", "TOOL", "VIEW", "argument_label", "labels_of", "tool_label"]
