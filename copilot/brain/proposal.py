"""Read what a language model proposes. It is text from outside: nothing in it is believed, everything is validated.

A reply that is no decision at all is a `ModelUnavailable`: the model failed. A request in it that its tool would refuse
is dropped and leaves a doubt (`is_doubtful`), which the referee turns into a question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from copilot.brain.schema import ASK, CHANGING, CONVERSATION, MOST_REQUESTS, QUESTIONS
from copilot.offline import Call
from copilot.offline.values import ArgumentValue, Language
from engine.domain.errors import ModelUnavailable
from engine.domain.symbols import SYMBOLS
from tools.schema import ARGUMENTS

_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a model makes of a message.

    Attributes:
        calls: Requests that their tools would take, with what differs from the defaults.
        question: Code of what the model would ask, or None.
        language: Language that the model takes the message for, or None.
        is_doubtful: Whether a request was dropped because its tool would refuse it.
    """

    calls: tuple[Call, ...] = ()
    question: str | None = None
    language: Language | None = None
    is_doubtful: bool = False


def read_decision(text: str) -> Proposal:
    """Return the proposal in a schema-constrained reply.

    Raises:
        ModelUnavailable: It is no such decision.
    """
    decision = _object(text)
    requests = decision.get("requests")
    if not isinstance(requests, list) or not requests:
        raise ModelUnavailable("wrong_schema", "the decision has no list of requests")
    named = [(str(request.get("intent")), request) for request in requests[:MOST_REQUESTS] if isinstance(request, dict)]
    return _proposal(named, decision.get("language"))


def read_tool_calls(calls: Sequence[Mapping[str, Any]]) -> Proposal:
    """Return the proposal in native tool calls; none at all is conversation."""
    named = [(str(call["name"]), dict(call["args"])) for call in calls[:MOST_REQUESTS]]
    spoken = next((args.get("language") for _, args in named), None)
    return _proposal(named, spoken)


def _object(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0:
        raise ModelUnavailable("invalid_json", "the reply holds no JSON object")
    try:
        value, _ = json.JSONDecoder(parse_float=Decimal).raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError, ArithmeticError, ValueError) as error:
        raise ModelUnavailable("invalid_json", str(error)) from error
    if not isinstance(value, dict):
        raise ModelUnavailable("wrong_schema", "the decision is no object")
    return value


def _proposal(named: Sequence[tuple[str, Mapping[str, Any]]], spoken: object) -> Proposal:
    if named and all(intent not in ARGUMENTS and intent not in (CONVERSATION, ASK) for intent, _ in named):
        raise ModelUnavailable("wrong_schema", f"no such intent: {named[0][0][:40]!r}")
    calls: list[Call] = []
    question, is_doubtful = None, False
    for intent, slots in named:
        if intent == ASK:
            asked = str(slots.get("question"))
            question = asked if asked in QUESTIONS else "unclear"
        elif intent in ARGUMENTS:
            call = _call(intent, slots)
            is_doubtful = is_doubtful or call is None
            if call is not None and call not in calls:
                calls.append(call)
    language: Language | None = "es" if spoken == "es" else "en" if spoken == "en" else None
    return Proposal(tuple(calls), question, language, is_doubtful)


def _call(tool: str, slots: Mapping[str, Any]) -> Call | None:
    fields = ARGUMENTS[tool].model_fields
    given = {name: _plain(slots[name]) for name in fields if slots.get(name) not in (None, "", [])}
    if tool in CHANGING and (value := _changed_value(slots)) is not None:
        given["value"] = value
    if "symbol" in given and given["symbol"] not in SYMBOLS:
        return None
    try:
        valid = ARGUMENTS[tool].model_validate(given)
    except (ValidationError, RecursionError, ArithmeticError):
        return None
    args = {
        name: _argument(value)
        for name, value in valid.model_dump(exclude_unset=True).items()
        if value != fields[name].default
    }
    return Call(tool, args)


def _changed_value(slots: Mapping[str, Any]) -> object:
    for name in ("value", "names", "text"):
        if slots.get(name) not in (None, "", []):
            return _plain(slots[name])
    return None


def _plain(value: object) -> object:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value


def _argument(value: Any) -> ArgumentValue:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return value if isinstance(value, Decimal | int) else str(value)
