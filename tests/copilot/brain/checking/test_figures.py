"""Numbers as a reader sees them, in both notations, in digits and in words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from copilot.brain.checking.figures import find_figures, strip_marks
from copilot.brain.checking.words import Language

READ: tuple[tuple[Language, str, str, str, int], ...] = (
    ("en", "1,234.50", "1234.50", "", 0),
    ("es", "1.234,50", "1234.50", "", 0),
    ("es", "1.234", "1234", "", 0),
    ("en", "1.234", "1.234", "", 0),
    ("es", "2914.40", "2914.40", "", 0),
    ("es", "0.487", "0.487", "", 0),
    ("en", "58k", "58000", "", 0),
    ("en", "2.5M", "2500000", "", 0),
    ("es", "58 mil", "58000", "", 0),
    ("en", "2.5 million dollars", "2500000", "money", 0),
    ("es", "0,05", "0.05", "", 0),
    ("es", "12 %", "12", "percent", 0),
    ("en", "12 per cent", "12", "percent", 0),
    ("en", "49 times in 100", "49", "percent", 0),
    ("es", "49 de cada 100", "49", "percent", 0),
    ("en", "-3", "3", "", -1),
    ("en", "−3", "3", "", -1),
    ("en", "+3%", "3", "percent", 1),
    ("en", "-$5.50", "5.50", "money", -1),
    ("en", "$-5.50", "5.50", "money", -1),
    ("es", "-5,50 $", "5.50", "money", -1),
    ("en", "minus five", "5", "", -1),
    ("es", "al menos 5", "5", "", 0),
    ("en", "1e5", "1E+5", "", 0),
    ("en", "½", "0.5", "", 0),
    ("en", "2½", "2.5", "", 0),
    ("en", "3/4", "0.75", "", 0),
    ("en", "64 213.55", "64213.55", "", 0),
    ("en", "6**4**", "64", "", 0),
    ("en", "USD2950", "2950", "money", 0),
    ("en", "20 minutes", "1200", "seconds", 0),
    ("en", "4-hour", "14400", "seconds", 0),
    ("en", "1.5x", "1.5", "multiple", 0),
    ("en", "12 bps", "12", "bps", 0),
    ("en", "twenty thousand", "20000", "", 0),
    ("en", "two hundred and fourteen", "214", "", 0),
    ("en", "fifty-eight", "58", "", 0),
    ("en", "one point five", "1.5", "", 0),
    ("en", "two and a half", "2.5", "", 0),
    ("en", "a dozen", "12", "", 0),
    ("en", "three quarters", "3", "", 0),
    ("es", "cincuenta y ocho mil", "58000", "", 0),
    ("es", "dos mil novecientos catorce", "2914", "", 0),
    ("es", "uno coma cinco", "1.5", "", 0),
    ("es", "el doble", "2", "", 0),
    ("es", "la mitad", "0.5", "", 0),
    ("es", "veintidós", "22", "", 0),
)


@pytest.mark.parametrize(("language", "text", "value", "unit", "sign"), READ)
def test_number_is_read_as_a_person_reads_it(language: Language, text: str, value: str, unit: str, sign: int) -> None:
    figure = find_figures(strip_marks(text), language)[0]
    assert (figure.value, figure.unit, figure.sign) == (Decimal(value), unit, sign)


@pytest.mark.parametrize("text", ["1.2.3.4x", "12,34,5", "5O0", "b4ught", "1e999", "7/0"])
def test_form_that_cannot_be_read_has_no_value(text: str) -> None:
    assert any(figure.value is None for figure in find_figures(text, "en"))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "one of them is first, and a second one"),
        ("es", "una media de velas y el cuarto soporte"),
        ("en", "three white soldiers"),
        ("es", "tres cuervos negros"),
    ],
)
def test_words_that_count_nothing_are_no_numbers(language: Language, text: str) -> None:
    assert all(figure.is_free for figure in find_figures(text, language))


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("2026-11-25", "2026-11-25"),
        ("March 5, 2025", "2025-03-05"),
        ("the 5th of March", "????-03-05"),
        ("14:30", "14:30"),
        ("2:30 pm", "2:30 pm"),
        ("3:1", "3:1"),
    ],
)
def test_dates_and_times_are_told_from_numbers(text: str, payload: str) -> None:
    assert [figure.payload for figure in find_figures(text, "en")] == [payload]
