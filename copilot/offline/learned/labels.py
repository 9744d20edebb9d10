"""What each classifier learns of a labelled utterance.

The first, `tool`, learns from every line; the others only from lines that expect exactly one call of their tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from copilot.offline.learned.model import ASK, PLAIN, SEVERAL
from copilot.offline.tokens import Token

TOOL, SIDE, SIZE, VIEW, CONDITION = "tool", "side", "size", "view", "condition"
ACTION, SETTING = "action", "setting"
ROLE = "role"
HEADS = (TOOL, SIDE, SIZE, VIEW, CONDITION, ACTION, SETTING, ROLE)
NO_ROLE = "none"
_PLACES = ("amount", "price", "stop_loss", "take_profit", "stop_loss_pct", "take_profit_pct")
_HALF_STEP = Decimal("0.7")
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


def role_labels(token: Token, args: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a number is in the arguments of a trade; several where its value stands twice.

    >>> role_labels(Token("58k", "58k", value=Decimal(58000), is_number=True), {"stop_loss": 58000})
    ('stop_loss',)
    """
    found = tuple(_role(place, args) for place in _PLACES if args.get(place) is not None and _is(token, place, args))
    return found or (NO_ROLE,)


def _role(place: str, args: Mapping[str, Any]) -> str:
    if place == "amount":
        return f"amount:{args.get('unit', 'base')}"
    return f"price:{args.get('order_type', 'market')}" if place == "price" else place


def _is(token: Token, place: str, args: Mapping[str, Any]) -> bool:
    value, wanted = abs(token.value or Decimal(0)), Decimal(str(args[place]))
    if place == "amount" and args.get("unit") == "percent" and token.is_fraction:
        return abs(value * 100 - wanted) < _HALF_STEP
    return value == wanted and (token.unit == "percent" or not place.endswith("_pct"))


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
    "NO_ROLE",
    "NO_SIZE",
    "ROLE",
    "SETTING",
    "SIDE",
    "SIZE",
    "TOOL",
    "VIEW",
    "argument_label",
    "labels_of",
    "role_labels",
    "tool_label",
]
