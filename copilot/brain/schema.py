"""The one decision that a language model may take, as a JSON schema and as tools, both made from the tools' own types.

Only what every server's grammar understands is used: objects, enums, numbers, strings, arrays; no pattern, no bound, no
reference. What the grammar cannot say is checked when the decision is read (`copilot.brain.proposal`).
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from engine.domain.symbols import SYMBOLS
from tools.schema import AGENTS, ARGUMENTS, name_choices

CONVERSATION, ASK = "conversation", "ask"
QUESTIONS = (
    "which_symbol",
    "how_much",
    "buy_or_sell",
    "amount_ambiguous",
    "unknown_instrument",
    "bad_number",
    "contradiction",
    "which_price",
    "which_order",
    "which_alert",
    "alert_condition",
    "alert_value",
    "which_agent",
    "which_setting",
    "which_value",
    "which_target",
    "unclear",
)
"""What a model may ask for; each is a sentence in `prompts/<language>/questions.yaml`."""
MOST_REQUESTS = 4
CHANGING = ("configure_agent", "update_profile")
"""Tools whose `value` is a number, a text or a list of names."""
_VALUE: dict[str, Any] = {
    "value": {"type": "number"},
    "text": {"type": "string"},
    "names": {"type": "array", "items": {"type": "string"}},
}
"""A changed setting is a number, a text or a list of names; three fields, because grammars know no "one of these"."""


@cache
def decision_schema(own_agents: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a decision: the language and a list of requests, each an intent with its slots."""
    slots: dict[str, Any] = {}
    for tool in ARGUMENTS:
        for name, schema in _slots(tool, own_agents).items():
            slots[name] = _merged(slots[name], schema) if name in slots else schema
    request = {
        "type": "object",
        "properties": {
            "intent": {"type": "string", "enum": [*ARGUMENTS, CONVERSATION, ASK]},
            "question": {"type": "string", "enum": list(QUESTIONS)},
            **slots,
        },
        "required": ["intent"],
    }
    return {
        "type": "object",
        "properties": {
            "language": {"type": "string", "enum": ["en", "es"]},
            "requests": {"type": "array", "items": request, "minItems": 1, "maxItems": MOST_REQUESTS},
        },
        "required": ["language", "requests"],
    }


@cache
def decision_tools(own_agents: tuple[str, ...] = ()) -> tuple[dict[str, Any], ...]:
    """Return the tools of the native mode, in OpenAI's form.

    Each has a required argument: a call without any is lost in some servers. The last two stand for talk and questions,
    so that a model which must call something has something harmless to call.
    """
    tools = [_tool(name, arguments.__doc__ or name, _slots(name, own_agents)) for name, arguments in ARGUMENTS.items()]
    question = {"question": {"type": "string", "enum": list(QUESTIONS)}}
    return (
        *tools,
        _tool(CONVERSATION, "The message calls for no tool: talk, thanks, questions about concepts, approvals.", {}),
        _tool(ASK, "Something needed is missing, ambiguous or contradictory.", question),
    )


def _tool(name: str, description: str, slots: dict[str, Any]) -> dict[str, Any]:
    properties = {"language": {"type": "string", "enum": ["en", "es"]}, **slots}
    required = ["language", *(field for field in slots if _is_required(name, field))]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _is_required(tool: str, field: str) -> bool:
    fields = ARGUMENTS[tool].model_fields if tool in ARGUMENTS else {}
    return field in fields and fields[field].is_required() and tool not in CHANGING


def _slots(tool: str, own_agents: tuple[str, ...]) -> dict[str, Any]:
    slots: dict[str, Any] = {}
    for name, field in ARGUMENTS[tool].model_fields.items():
        if name == "value" and tool in CHANGING:
            slots.update(_VALUE)
        elif name == "symbol":
            slots[name] = {"type": "string", "enum": list(SYMBOLS)}
        elif choices := name_choices(tool, name, (*AGENTS, *own_agents)):
            slots[name] = {"type": "string", "enum": list(choices)}
        else:
            slots[name] = _shape(field.annotation)
    return slots


def _shape(annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of an argument's type, without anything that a grammar might not know."""
    choices = _choices(annotation)
    if choices:
        return {"type": "string", "enum": choices}
    if _holds(annotation, tuple):
        items = next(kind for kind in _parts(annotation) if get_origin(kind) is tuple)
        return {"type": "array", "items": _shape(get_args(items)[0])}
    if _holds(annotation, Decimal):
        return {"type": "number"}
    return {"type": "integer"} if _holds(annotation, int) else {"type": "string"}


def _parts(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows, without `None` and without what `Annotated` adds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _parts(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for kind in get_args(annotation) for part in _parts(kind)]
    return [] if annotation is type(None) else [annotation]


def _choices(annotation: Any) -> list[str]:
    parts = _parts(annotation)
    if not parts or any(get_origin(part) is not Literal for part in parts):
        return []
    return [str(choice) for part in parts for choice in get_args(part)]


def _holds(annotation: Any, kind: type) -> bool:
    return any(part is kind or get_origin(part) is kind for part in _parts(annotation))


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that takes what either takes: the same slot of two tools."""
    if "enum" not in one or "enum" not in other:
        return one
    return {"type": "string", "enum": list(dict.fromkeys([*one["enum"], *other["enum"]]))}
