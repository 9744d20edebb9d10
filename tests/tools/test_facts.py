"""What counts as a fact, as the same fact, and how facts are quoted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import InvalidRequest
from tools.facts import MAX_FACT_LENGTH, Fact, clean_fact, quote_facts, same_fact

AT = datetime(2026, 11, 25, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("I never hold over the weekend", "I never hold over the weekend"),
        ("  nunca opero\nlos   viernes\t", "nunca opero los viernes"),
        ("odio el apalancamiento. ¿Vale?", "odio el apalancamiento. ¿Vale?"),
        ("no\u202e leverage\x00\u200b", "no leverage"),
        ("I like 👩‍🌾 stocks", "I like 👩‍🌾 stocks"),
        ("max 0.1000 BTC, 1.000,50 €", "max 0.1000 BTC, 1.000,50 €"),
        ("x" * MAX_FACT_LENGTH, "x" * MAX_FACT_LENGTH),
    ],
)
def test_words_stay_as_they_were_said_on_one_line(said: str, kept: str) -> None:
    assert clean_fact(said) == kept


@pytest.mark.parametrize(
    ("said", "code"),
    [("", "fact_empty"), (" \n\u200b ", "fact_empty"), ("\ud800", "fact_empty"), ("x" * 301, "fact_too_long")],
)
def test_no_words_or_too_many_are_refused(said: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        clean_fact(said)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("I hate leverage", "i  hate leverage.", True),
        ("Nunca opero los viernes", "NUNCA OPERO LOS VIERNES!", True),
        ("cafe\u0301", "café", True),
        ("I hate leverage", "I hate leverage on gold", False),
        ("risk 1%", "risk 10%", False),
    ],
)
def test_the_same_said_again_is_known(one: str, other: str, is_same: bool) -> None:
    assert (same_fact(one) == same_fact(other)) is is_same


@given(said=st.text(max_size=80))
def test_a_quoted_fact_stays_within_its_quotes_on_its_line(said: str) -> None:
    try:
        text = clean_fact(said)
    except InvalidRequest:
        return
    (line,) = quote_facts([Fact(7, text, AT)]).split("\n")
    number, quoted = line.split(" ", 1)
    assert number == "7."
    assert json.loads(quoted) == text
    assert clean_fact(text) == text
    text.encode()
