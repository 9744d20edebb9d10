"""Errors, refusals, questions, notices and talk: the right words, and nothing from outside can break them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilot.wording import (
    render_error,
    render_message,
    render_notice,
    render_question,
    render_reasons,
    render_talk,
)
from engine.domain.errors import (
    CopilotError,
    DataUnavailable,
    InvalidRequest,
    OrderRejected,
    OrderUncertain,
    VenueUnavailable,
)
from prompts import load_words

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")
NOTICE = {"ticket_id": "3", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.05", "price": "60000.10", "reasons": ""}


@dataclass(frozen=True)
class Asked:
    code: str
    params: Mapping[str, str] = field(default_factory=dict)


def test_number_is_quoted_as_the_person_wrote_it() -> None:
    assert "“1.000”" in render_question(Asked("bad_number", {"value": "1.000"}), "en")
    assert "«1.000»" in render_question(Asked("bad_number", {"value": "1.000"}), "es")


def test_number_of_ours_is_written_as_the_language_does() -> None:
    question = Asked("amount_ambiguous", {"amount": "1000.5", "symbol": "ETH/USDT"})
    assert "1,000.5 units of ETH/USDT" in render_question(question, "en")
    assert "1.000,5 unidades de ETH/USDT" in render_question(question, "es")


@given(st.text(), st.sampled_from(LANGUAGES))
def test_nothing_a_person_writes_breaks_a_question(value: str, language: Language) -> None:
    for code in ("bad_number", "unknown_instrument", "amount_ambiguous"):
        text = render_question(Asked(code, {"value": value, "symbol": value, "amount": value}), language)
        assert text.strip()
        assert "\n" not in text


def test_gigantic_number_is_quoted_and_not_worked_out() -> None:
    assert "1e999999" in render_question(Asked("bad_number", {"value": "1e999999"}), "en")
    assert "9" * 50 in render_question(Asked("amount_ambiguous", {"amount": "9" * 50, "symbol": "x"}), "en")


def test_unknown_question_is_asked_as_unclear() -> None:
    assert render_question(Asked("no such code"), "es") == load_words("es", "questions")["unclear"]


def test_text_from_outside_forms_no_markup() -> None:
    hostile = "[free](http://evil) <img src=x> | `a`\n# b {symbol}"
    text = render_question(Asked("unknown_instrument", {"symbol": hostile}), "en")
    assert "[free](" not in text.replace("\\[", "")
    assert "<img" not in text.replace("\\<", "")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("error", "english"),
    [
        (InvalidRequest("order_not_found", order_id="12"), "There is no resting order 12."),
        (InvalidRequest("message_too_long", length=5000, limit=4000), "5,000 characters; at most 4,000"),
        (InvalidRequest("a_new_code"), "a\\_new\\_code"),
        (OrderRejected("lot", "tick"), "The quantity is not on the venue's grid. A price is not on the venue's grid."),
        (OrderUncertain("x"), "nothing is sent twice"),
        (VenueUnavailable("timeout"), "The venue does not answer"),
        (DataUnavailable("no bars of XAUUSD"), "no bars of XAUUSD"),
        (CopilotError("strange"), "strange"),
    ],
)
def test_error(error: CopilotError, english: str) -> None:
    assert english in render_error(error, "en")
    assert render_error(error, "es") != render_error(error, "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_error_without_its_values_still_reads(language: Language) -> None:
    assert "…" in render_error(InvalidRequest("stop_wrong_side"), language)


def test_reasons_are_told_once_and_begin_small_after_a_colon() -> None:
    assert render_reasons(("cash", "cash", "position"), "en") == (
        "there is not enough free cash. The position would be larger than allowed."
    )
    assert render_reasons((), "en") == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["ticket_executed", "ticket_working", "ticket_failed", "ticket_unsent"])
def test_ticket_notice_leaves_nothing_open(kind: str, language: Language) -> None:
    text = render_notice(kind, NOTICE | {"reasons": "cash,position"}, language)
    assert "3" in text
    assert "…" not in text
    assert "{" not in text


def test_notice_of_an_order_without_a_fill_does_not_claim_one() -> None:
    text = render_notice("ticket_executed", NOTICE | {"price": "", "quantity": "0"}, "en")
    assert text == "While you were away, ticket 3 ended without a fill: buy BTC/USDT."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "condition",
    ["price_above", "price_below", "change_up", "change_down", "rsi_above", "rsi_below", "signal_change"],
)
def test_fired_alert(condition: str, language: Language) -> None:
    value = "" if condition == "signal_change" else "65000"
    params = {"alert_id": "4", "symbol": "BTC/USDT", "condition": condition, "value": value, "price": "65001.50"}
    text = render_notice("alert_fired", params, language)
    assert "BTC/USDT" in text
    assert ("65,001.50" if language == "en" else "65.001,50") in text
    assert "…" not in text


def test_unknown_notice_is_still_told() -> None:
    assert "new" in render_notice("new", {}, "en")


def test_greeting_uses_the_name_and_makes_it_harmless() -> None:
    assert render_talk("greeting", "es", "Ana").startswith("¡Hola, Ana!")
    assert "**" not in render_talk("greeting", "en", "**x**").replace("\\*", "")
    assert render_talk("greeting", "en", "{0}").startswith("Hello, \\{0\\}!")


@pytest.mark.parametrize("language", LANGUAGES)
def test_typed_yes_is_told_where_approval_happens(language: Language) -> None:
    button = {"en": "Approve", "es": "Aprobar"}[language]
    assert button in render_talk("confirmation", language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_concept_is_explained_in_a_few_sentences(language: Language) -> None:
    concepts = load_words(language, "talk")["concepts"]
    assert len(concepts) >= 50
    for key in concepts:
        text = render_talk(f"concept:{key}", language)
        assert text == concepts[key]
        assert 60 <= len(text) <= 420, key
        assert text.endswith("."), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_unknown_talk_never_breaks(language: Language) -> None:
    words = load_words(language, "talk")
    assert render_talk("concept:nothing", language) == words["question"]
    assert render_talk("nothing", language) == words["help"]
    assert render_talk("concepts", language) == words["help"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_short_messages(language: Language) -> None:
    for name in ("turn_failed", "ticket_repriced", "ticket_edited"):
        assert render_message(name, language)


def test_reason_without_its_symbol_shows_the_gap() -> None:
    assert render_reasons(("nothing_to_close",), "en").startswith("there is no position in … to close")
    assert "BTC/USDT" in render_reasons(("nothing_to_close",), "en", symbol="BTC/USDT")
