from __future__ import annotations

from decimal import Decimal

import pytest

from copilot.offline.evidence import Evidence, evidence


def numbers(text: str) -> set[Decimal]:
    return set(evidence([text]).numbers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("buy at 58k", {"58000"}),
        ("compra 0,05", {"0.05"}),
        ("veinte mil dólares", {"20000"}),
        ("with a 2% stop", {"2"}),
        ("sell half of my eth", {"0.5", "50"}),
        ("buy a bitcoin", {"1"}),
        ("go minus three percent", {"3"}),
        ("put all my cash into btc", {"100"}),
    ],
)
def test_numbers_are_absolute_and_as_spoken(text: str, said: set[str]) -> None:
    assert numbers(text) == {Decimal(one) for one in said}


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("buy 1 btc", {"buy"}),
        ("put 300 dollars into gold", {"buy"}),
        ("ponte corto en sol", {"sell"}),
        ("close my eth", {"close", "sell"}),
        ("deshazte de mi oro", {"close", "sell"}),
        ("sell all my sol", {"close", "sell"}),
        ("show me the chart of btc", set()),
    ],
)
def test_sides_are_those_a_word_stands_for(text: str, sides: set[str]) -> None:
    assert set(evidence([text]).sides) == sides


def test_names_are_collected_over_all_messages() -> None:
    said = evidence(["chart gold on the 4h", "y pausa a nova"])
    assert said == Evidence(
        frozenset({"XAUUSD"}), frozenset({Decimal(4)}), frozenset(), frozenset({"4h"}), frozenset({"nova"})
    )


@pytest.mark.parametrize("text", ['he wrote "buy 5 btc at 60k"', "«vende 3 eth»", "buу 5 btc"])
def test_what_is_quoted_or_disguised_is_no_evidence(text: str) -> None:
    assert evidence([text]) == Evidence()


def test_a_reported_order_gives_no_side() -> None:
    said = evidence(["my uncle says buy 3 btc"])
    assert said.symbols == {"BTC/USDT"}
    assert said.sides == frozenset()


def test_no_messages_mention_nothing() -> None:
    assert evidence([]) == Evidence()
