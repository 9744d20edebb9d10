from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilot.events import Language
from copilot.web.card import _typed
from copilot.web.typed_numbers import AmbiguousNumber, plain_number


@pytest.mark.parametrize(
    ("typed", "language", "plain"),
    [
        ("0.05", "en", "0.05"),
        ("0,05", "en", "0.05"),
        ("0,05", "es", "0.05"),
        ("0.050", "es", "0.050"),
        ("0,050", "en", "0.050"),
        ("64,250.5", "en", "64250.5"),
        ("64.250,5", "es", "64250.5"),
        ("64 250,5", "es", "64250.5"),
        ("1.234.567", "es", "1234567"),
        ("1,234,567", "en", "1234567"),
        ("64250", "es", "64250"),
        ("-1", "en", "-1"),
        ("abc", "en", "abc"),
        ("1.2.3", "en", "1.2.3"),
    ],
)
def test_typed_numbers(typed: str, language: Language, plain: str) -> None:
    assert plain_number(typed, language) == plain


@pytest.mark.parametrize(("typed", "language", "plain"), [("1.500", "es", "1500"), ("64,250", "en", "64250")])
def test_what_reads_two_ways_is_asked_back(typed: str, language: Language, plain: str) -> None:
    with pytest.raises(AmbiguousNumber) as caught:
        plain_number(typed, language)
    assert (caught.value.value, caught.value.plain) == (typed, plain)


@given(st.decimals(min_value="0.00000001", max_value="99999999", places=8), st.sampled_from(["en", "es"]))
def test_what_the_form_shows_comes_back_unchanged(value: Decimal, language: Language) -> None:
    shown = _typed(value, language)
    try:
        assert Decimal(plain_number(shown, language)) == value
    except AmbiguousNumber:
        pytest.fail(f"the form shows {shown!r}, which it would not take back")
