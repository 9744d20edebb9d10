"""Properties: any split, one outcome; no strange number in any dress; no other exception."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from copilot.brain.checking import Caught, CheckedStream, Facts, check_text, facts_from
from copilot.brain.checking.words import LANGUAGES, Language
from tests.copilot.brain.checking.dishonest import DISHONEST
from tests.copilot.brain.checking.honest import HONEST, RESULTS

TEXTS = [(c.results, c.language, c.text) for c in HONEST] + [(c.results, c.language, c.text) for c in DISHONEST]
FACTS = {
    (name, language): facts_from(results, [], language) for name, results in RESULTS.items() for language in LANGUAGES
}
NUMBERS = {"signal_long": FACTS["signal_long", "en"], "portfolio_summary": FACTS["portfolio_summary", "en"]}
SPELLING = Path(__file__).with_name("spelling.yaml")
SPELT: dict[str, list[str]] = yaml.safe_load(SPELLING.read_text("utf-8"))
UNITS_EN, TENS_EN = SPELT["units_en"], SPELT["tens_en"]
UNITS_ES, TENS_ES, HUNDREDS_ES = SPELT["units_es"], SPELT["tens_es"], SPELT["hundreds_es"]


def outcome(pieces: list[str], facts: Facts, language: Language) -> tuple[str, str]:
    """Return the text that was released, or the reason why it was caught with what failed."""
    stream, released = CheckedStream(facts, language), ""
    try:
        for piece in pieces:
            released += stream.feed(piece)
        return "", released + stream.finish()
    except Caught as caught:
        return caught.reason_code, caught.excerpt


def cut(text: str, at: list[int]) -> list[str]:
    ends = sorted({position % (len(text) + 1) for position in at} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def spell_en(number: int) -> str:
    if number < 20:
        return UNITS_EN[number]
    if number < 100:
        tens = TENS_EN[number // 10 - 2]
        return tens if number % 10 == 0 else f"{tens}-{UNITS_EN[number % 10]}"
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {spell_en(number % size)}" if number % size else ""
            return f"{spell_en(number // size)} {name}{rest}"
    raise AssertionError(number)


def spell_es(number: int) -> str:
    if number < 30:
        return UNITS_ES[number]
    if number < 100:
        tens = TENS_ES[number // 10 - 3]
        return tens if number % 10 == 0 else f"{tens} y {UNITS_ES[number % 10]}"
    if number < 1000:
        rest = f" {spell_es(number % 100)}" if number % 100 else ""
        return "cien" if number == 100 else HUNDREDS_ES[number // 100 - 1] + rest
    head = "" if number // 1000 == 1 else spell_es(number // 1000) + " "
    return f"{head}mil" + (f" {spell_es(number % 1000)}" if number % 1000 else "")


def is_known(value: Decimal, facts: Facts) -> bool:
    """Tell whether a number, or what it could mean as a percentage, lies near a fact; independent of the checker."""
    near = [
        abs(fact.value)
        for fact in facts.numbers
        if abs(abs(fact.value) - value) <= max(Decimal("0.08") * value, Decimal(1))
    ]
    return bool(near) or value in {Decimal(year) for year, _, _ in facts.dates if year}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TEXTS), st.lists(st.integers(0, 5000), max_size=30))
def test_any_split_gives_the_same_outcome(case: tuple[str, Language, str], at: list[int]) -> None:
    name, language, text = case
    facts = FACTS[name, language]
    assert outcome(cut(text, at), facts, language) == outcome([text], facts, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_letter_by_letter_gives_the_same_outcome(language: Language) -> None:
    for name, own, text in TEXTS[:: 1 if language == "en" else 3]:
        if own == language:
            facts = FACTS[name, language]
            assert outcome(list(text), facts, language) == outcome([text], facts, language)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["signal_long", "portfolio_summary"]),
    st.decimals("2", "9999999", places=2),
    st.sampled_from(["plain", "grouped", "money", "k", "percent", "glued", "bold", "negative", "exponent", "wide"]),
    st.sampled_from(LANGUAGES),
    st.lists(st.integers(0, 80), max_size=6),
)
def test_a_number_that_is_no_fact_is_caught_in_any_dress(
    name: str, value: Decimal, dress: str, language: Language, at: list[int]
) -> None:
    facts = FACTS[name, language]
    assume(not is_known(value, facts) and not is_known(value.to_integral_value(), facts))
    swap = str.maketrans(",.", ".,") if language == "es" else {}
    plain = f"{value}".translate(swap)
    written = {
        "plain": plain,
        "grouped": f"{value:,}".translate(swap),
        "money": f"${value:,}".translate(swap),
        "k": f"{value}".translate(swap) + "k",
        "percent": plain + " %",
        "glued": f"XAU{plain}",
        "bold": f"{plain[:1]}**{plain[1:]}**",
        "negative": f"-{plain}",
        "exponent": f"{value}e0".translate(swap),
        "wide": plain.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
    }[dress]
    assume(dress != "k" or not is_known(value * 1000, facts))
    text = f"Gold: {written} now." if language == "en" else f"Oro: {written} ahora."
    assert outcome(cut(text, at), facts, language)[0] != ""


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 999_999), st.sampled_from(LANGUAGES), st.sampled_from(["signal_long", "portfolio_summary"]))
def test_a_number_in_words_that_is_no_fact_is_caught(number: int, language: Language, name: str) -> None:
    facts = FACTS[name, language]
    assume(not is_known(Decimal(number), facts))
    text = f"The figure is {spell_en(number)}." if language == "en" else f"La cifra es {spell_es(number)}."
    with pytest.raises(Caught) as caught:
        check_text(text, facts, language)
    assert caught.value.reason_code == "number"


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 999_999), st.sampled_from(LANGUAGES))
def test_a_number_of_the_person_may_be_said_in_words(number: int, language: Language) -> None:
    text = f"The figure is {spell_en(number)}." if language == "en" else f"La cifra es {spell_es(number)}."
    assert check_text(text, facts_from([], [f"{number}"], language), language) == text


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=400), st.sampled_from(LANGUAGES), st.lists(st.integers(0, 400), max_size=5))
def test_random_text_raises_nothing_but_caught(text: str, language: Language, at: list[int]) -> None:
    facts = FACTS["signal_long", language]
    assert outcome(cut(text, at), facts, language) == outcome([text], facts, language)


@settings(max_examples=250, deadline=None)
@given(st.text("0123456789.,:/-+%$€ '’½kKmMxeE\n|*`~hoursand", max_size=80), st.sampled_from(LANGUAGES))
def test_random_figures_raise_nothing_but_caught(text: str, language: Language) -> None:
    facts = facts_from(RESULTS["portfolio_summary"], [text], language)
    outcome([text], facts, language)


@settings(max_examples=200, deadline=None)
@given(st.integers(3000, 9999), st.integers(1, 60), st.integers(0, 30))
def test_a_number_is_never_shown_before_it_is_checked(number: int, size: int, lead: int) -> None:
    facts = FACTS["signal_long", "en"]
    text = (
        "So it is, " * lead + f"and gold is at {number} now, which you may like, or not, as you see it. That is all.\n"
    )
    stream = CheckedStream(facts, "en")
    released: list[str] = []
    with pytest.raises(Caught):
        released.extend(stream.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert str(number)[:1] not in "".join(released)


def test_after_a_catch_nothing_more_comes_out() -> None:
    stream = CheckedStream(FACTS["nothing", "en"], "en")
    with pytest.raises(Caught):
        stream.feed("I bought gold.\nIt is fine. ")
    with pytest.raises(Caught, match="claim"):
        stream.feed("All is well. ")
    with pytest.raises(Caught, match="claim"):
        stream.finish()
