"""The model that knows only the grammar."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

import ollama
import pytest
from pydantic import BaseModel

from tests.servers.nonsense import HALF_CHARACTER, Nonsense
from tests.servers.ollama import FakeOllama


class Slots(BaseModel):
    symbol: str
    quantity: float | None = None


class Decision(BaseModel):
    intent: Literal["price", "place_order", "none"]
    slots: Slots
    certain: bool
    others: list[Slots] = []


class Arguments(BaseModel):
    symbol: Literal["BTC/USDT", "ETH/USDT"]
    quantity: float


TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": Arguments.model_json_schema()}}
    for name in ("price", "place_order")
]


def decisions(seed: int, count: int) -> list[str]:
    script = Nonsense(seed, prefer=["place_order"])
    with FakeOllama(script) as fake, ollama.Client(fake.url, verify=False) as client:
        message = [{"role": "user", "content": "hello"}]
        schema = Decision.model_json_schema()
        return [str(client.chat("llama3.1:8b", message, format=schema).message.content) for _ in range(count)]


def test_every_answer_fits_the_schema_and_most_are_dangerous() -> None:
    answers = [Decision.model_validate(json.loads(answer)) for answer in decisions(7, 200)]
    counts = Counter(answer.intent for answer in answers)
    assert counts["place_order"] > 120
    assert set(counts) == {"price", "place_order", "none"}
    assert len({answer.slots.symbol for answer in answers}) > 10


def test_some_answers_hold_half_a_character() -> None:
    assert any(HALF_CHARACTER in json.loads(answer)["slots"]["symbol"] for answer in decisions(7, 200))


def test_a_seed_says_the_same_again() -> None:
    assert decisions(7, 20) == decisions(7, 20)
    assert decisions(7, 20) != decisions(8, 20)


def test_tools_are_called_with_arguments_of_their_schema() -> None:
    names: Counter[str] = Counter()
    with FakeOllama(Nonsense(7, prefer=["place_order"])) as fake, ollama.Client(fake.url, verify=False) as client:
        for _ in range(100):
            answer = client.chat("llama3.1:8b", [{"role": "user", "content": "hello"}], tools=TOOLS)
            for call in answer.message.tool_calls or []:
                names[call.function.name] += 1
                Arguments.model_validate(dict(call.function.arguments))
    assert names["place_order"] > names["price"] > 0
    assert sum(names.values()) < 100


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"const": "fixed"}, {"fixed"}),
        ({"enum": [1, 2]}, {1, 2}),
        ({"type": "null"}, {None}),
        ({"type": ["boolean", "null"]}, {True, False, None}),
        ({"anyOf": [{"const": 1}, {"const": 2}]}, {1, 2}),
    ],
)
def test_small_schemas_give_all_their_values(schema: dict[str, Any], values: set[Any]) -> None:
    script = Nonsense(7)
    assert {script.value(schema, schema) for _ in range(100)} == values
