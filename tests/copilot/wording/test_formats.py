"""Numbers and times: exact, grouped and pointed as each language does."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilot.wording import format_money, format_number, format_percent, format_price, format_time
from copilot.wording.formats import escape, format_duration, format_float

Language = Literal["en", "es"]
MONEY = st.decimals(min_value=-(10**40), max_value=10**40, places=12, allow_nan=False, allow_infinity=False)


def read(text: str, language: Language) -> Decimal:
    """Read a written number back."""
    plain = text.replace(",", "") if language == "en" else text.replace(".", "").replace(",", ".")
    return Decimal(plain)


@given(MONEY, st.sampled_from(["en", "es"]))
def test_number_without_rounding_reads_back_exactly(value: Decimal, language: Language) -> None:
    assert read(format_number(value, language), language) == value


@given(MONEY, st.sampled_from(["en", "es"]), st.integers(0, 8))
def test_rounding_moves_a_number_by_at_most_half_a_step(value: Decimal, language: Language, places: int) -> None:
    shown = format_number(value, language, places)
    assert abs(read(shown, language) - value) <= Decimal(5).scaleb(-places - 1)
    _, _, decimals = shown.partition("." if language == "en" else ",")
    assert len(decimals) == places


@given(MONEY)
def test_both_languages_write_the_same_digits(value: Decimal) -> None:
    swap = str.maketrans(",.", ".,")
    assert format_number(value, "en", 2).translate(swap) == format_number(value, "es", 2)


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from(["en", "es"]))
def test_no_decimal_whatever_breaks_the_page(value: Decimal, language: Language) -> None:
    assert format_number(value, language)
    assert format_money(value, "USD", language)
    assert format_price(value, language)
    assert len(format_number(value, language)) < 400


@pytest.mark.parametrize(
    ("value", "english", "spanish"),
    [
        ("1234.56", "$1,234.56", "1.234,56 $"),
        ("-12.345", "-$12.34", "-12,34 $"),
        ("0.005", "$0.00", "0,00 $"),
        ("-0.004", "$0.00", "0,00 $"),
        ("1E+6", "$1,000,000.00", "1.000.000,00 $"),
    ],
)
def test_money(value: str, english: str, spanish: str) -> None:
    assert format_money(Decimal(value), "USD", "en") == english
    assert format_money(Decimal(value), "USD", "es") == spanish


def test_other_currencies_are_named() -> None:
    assert format_money(Decimal("1234.5"), "EUR", "en") == "1,234.50 EUR"
    assert format_money(Decimal("1234.5"), "EUR", "es") == "1.234,50 EUR"


@pytest.mark.parametrize(
    ("value", "symbol", "english"),
    [
        (Decimal("1.08"), "EURUSD", "1.08000"),
        (1.08345, "EURUSD", "1.08345"),
        (Decimal("60012.3333333333"), "BTC/USDT", "60,012.33"),
        (0.51, "XRP/USDT", "0.5100"),
        (Decimal("58000"), "", "58,000.00"),
        (Decimal("1.08000"), "", "1.08000"),
        (0.0000123, "PEPE/USDT", "0.000012300"),
        (1.5, "nonsense", "1.5000"),
    ],
)
def test_price_keeps_the_digits_of_its_tick(value: Decimal | float, symbol: str, english: str) -> None:
    assert format_price(value, "en", symbol) == english


def test_percent() -> None:
    assert format_percent(Decimal("1.50"), "en", None) == "1.5%"
    assert format_percent(Decimal("1.50"), "es", None) == "1,5 %"
    assert format_percent(0.4, "en", 1, signed=True) == "+0.4%"
    assert format_percent(-0.4, "es", 1, signed=True) == "-0,4 %"
    assert format_percent(0.0, "en", 1, signed=True) == "0.0%"


def test_a_missing_reading_does_not_look_like_a_number() -> None:
    assert format_float(float("nan"), "en") == "NaN"


def test_time_says_its_zone() -> None:
    at = datetime(2025, 3, 5, 14, 7, 59, tzinfo=UTC)
    assert format_time(at, "en") == "2025-03-05 14:07 UTC"
    assert format_time(at, "es") == "05/03/2025 14:07 UTC"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (172800, "2 d")]
)
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.text())
def test_outside_text_stays_on_one_line_with_every_sign_made_harmless(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown
    assert "\r" not in shown
    unescaped = shown
    for sign in "\\`*_{}[]<>#|!~&":
        unescaped = unescaped.replace(f"\\{sign}", "")
    assert not set(unescaped) & set("`*_{}[]<>#|!~&")
