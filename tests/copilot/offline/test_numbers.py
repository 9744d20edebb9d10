from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilot.offline.numbers import read_digits, read_scaled
from copilot.offline.tokens import tokenize


@pytest.mark.parametrize(
    ("text", "comma", "value"),
    [
        ("0,05", True, "0.05"),
        ("0,05", False, "0.05"),
        ("1.000", True, "1000"),
        ("1.000", False, "1.000"),
        ("1.000,50", True, "1000.50"),
        ("1,000.50", False, "1000.50"),
        ("1,000.50", True, "1000.50"),
        ("3,640", False, "3640"),
        ("1,0920", False, "1.0920"),
        ("10'000", False, "10000"),
        ("10.000", False, "10000"),
        ("2,500", True, "2500"),
        ("0,500", True, "0.5"),
        ("1,125", True, "1.125"),
        ("1,20,000", False, "120000"),
        (".48", False, "0.48"),
    ],
)
def test_digits_are_read_in_both_notations(text: str, comma: bool, value: str) -> None:
    assert read_digits(text, comma_decimal=comma) == Decimal(value)


@pytest.mark.parametrize("text", ["1.2.3", "12..5", "1,0,0", "5,5,5", "3..2"])
def test_malformed_digits_have_no_value(text: str) -> None:
    assert read_digits(text, comma_decimal=False) is None
    assert read_digits(text, comma_decimal=True) is None


def test_magnitudes_scale() -> None:
    assert read_scaled("58", "k", comma_decimal=False) == 58000
    assert read_scaled("1,5", "m", comma_decimal=True) == 1_500_000


@pytest.mark.parametrize(
    ("language", "text", "value"),
    [
        ("en", "forty", "40"),
        ("en", "two thousand five hundred", "2500"),
        ("en", "twenty nine fifty", "2950"),
        ("en", "zero point zero one", "0.01"),
        ("en", "two and a half", "2.5"),
        ("en", "a dozen", "12"),
        ("en", "thirty-three", "33"),
        ("en", "half a million", "500000"),
        ("es", "veinte mil", "20000"),
        ("es", "tres cuartos", "0.75"),
        ("es", "cuatro y medio", "4.5"),
        ("es", "siete mil quinientas", "7500"),
        ("es", "treinta y tres", "33"),
        ("es", "cero coma cero uno", "0.01"),
        ("es", "medio", "0.5"),
        ("es", "un par", "2"),
    ],
)
def test_spoken_numbers_are_read(language: str, text: str, value: str) -> None:
    numbers = [t.value for t in tokenize(text, language) if t.is_number]  # type: ignore[arg-type]  # literal from the table
    assert numbers == [Decimal(value)]


@given(st.decimals(min_value="0.01", max_value="9999999", places=2, allow_nan=False, allow_infinity=False))
def test_both_notations_give_the_same_value(value: Decimal) -> None:
    english = f"{value:,}"
    spanish = english.translate(str.maketrans(",.", ".,"))
    assert read_digits(english, comma_decimal=False) == value
    assert read_digits(spanish, comma_decimal=True) == value
