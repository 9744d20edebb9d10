from __future__ import annotations

import pytest

from copilot.evaluation import score
from copilot.offline import parse
from copilot.offline.routing import route
from copilot.offline.values import Turn
from tests.copilot.offline.corpus import read_lines


@pytest.mark.parametrize(
    "text",
    [
        "buy 0.2 btc at 60k, stop 58k, target 66k",
        "compra 0,2 btc a 60k con stop en 58k",
        "muéstrame el gráfico de oro en 4h",
        "pause orion please",
        "buy 100 of eth",
        "buy 0 btc",
        "hello",
        "muchas gracias",
        "yes, do it",
        'he said "buy 5 btc"',
        "what is a funding rate",
        "my uncle says buy 3 btc",
    ],
)
def test_what_is_understood_whole_is_certain(text: str) -> None:
    assert parse(text).is_certain


@pytest.mark.parametrize(
    "text",
    [
        "buy 0.2 btc like a flamboyant peacock",
        "don't buy 2 btc",
        "buy 2 btc or so",
        "sell 2 btc except the flibbert",
        "blorp the gold",
        "pausa a orion y tambien zarandea",
        "I'm not sure about anything",
    ],
)
def test_a_strange_word_or_a_bent_meaning_is_not(text: str) -> None:
    assert not parse(text).is_certain


@pytest.mark.parametrize(
    ("files", "right", "least"),
    [("en/dev_0*", 0.97, 0.6), ("es/dev_0*", 0.98, 0.6), ("en/dev_1[0-2]", 0.96, 0.4), ("es/dev_1[0-2]", 0.95, 0.4)],
)
def test_certain_answers_are_right(files: str, right: float, least: float) -> None:
    lines = read_lines(f"{files}.jsonl")
    certain = [
        line
        for line in lines
        if parse(line["text"], [Turn(turn["role"], turn["text"]) for turn in line["history"]]).is_certain
    ]
    assert len(certain) >= least * len(lines)
    assert score(certain, route).exact_accuracy >= right
