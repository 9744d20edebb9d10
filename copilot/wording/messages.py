"""Short messages: errors, refusals, notices, questions and plain talk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from copilot.wording.formats import escape, format_number, format_price, format_time
from engine.domain.errors import DataUnavailable, InvalidRequest, OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.symbols import FX_SYMBOLS
from prompts import load_words
from tools.schema import AGENTS

Language = Literal["en", "es"]


class Question(Protocol):
    """A question as the parser asks it: a code and values."""

    @property
    def code(self) -> str:
        """Name in `questions.yaml`."""
        ...

    @property
    def params(self) -> Mapping[str, str]:
        """Values for its placeholders."""
        ...


def render_question(question: Question, language: Language, agents: Sequence[str] = ()) -> str:
    """Return a question in words; one about agents names those of the program and the owner's own."""
    words = load_words(language, "questions")
    known = ", ".join(name.replace("_", " ").title() for name in dict.fromkeys((*AGENTS, *agents)))
    params = {"agents": known, **_as_written(question.code, question.params)}
    return _fill(words.get(question.code, words["unclear"]), params, language)


def render_talk(code: str, language: Language, name: str | None = None) -> str:
    """Return plain conversation: a greeting (by name when it is known), an explained concept, or what can be asked."""
    words = load_words(language, "talk")
    if code == "greeting" and name:
        return _fill(words["greeting_named"], {"name": name}, language)
    if code.startswith("concept:"):
        return str(words["concepts"].get(code.removeprefix("concept:"), words["question"]))
    told = words.get(code)
    return told if isinstance(told, str) else str(words["help"])


def render_error(error: Exception, language: Language) -> str:
    """Return what was wrong and what to do."""
    match error:
        case InvalidRequest() | DataUnavailable():
            return render_code(error.code, {key: str(value) for key, value in error.params.items()}, language)
        case OrderRejected():
            return _capital(render_reasons(error.codes, language))
        case OrderUncertain():
            return _capital(render_reasons(("uncertain",), language))
        case VenueUnavailable():
            return render_code("venue_unavailable", {"detail": str(error)}, language)
        case _:
            return render_code("no_data", {"detail": str(error)}, language)


def render_code(code: str, params: Mapping[str, str], language: Language) -> str:
    """Return the error that a code names."""
    words = load_words(language, "messages")["errors"]
    if code == "unknown_instrument" and params.get("symbol") in FX_SYMBOLS:
        code = "unknown_currency"
    return _fill(words.get(code, words["default"]), _as_written(code, {**params, "code": code}), language)


def render_reasons(reasons: Sequence[str], language: Language, **params: str) -> str:
    """Return why something was refused, each reason once; the first begins small, to follow a colon."""
    words = load_words(language, "messages")["reasons"]
    told = [_fill(words.get(code, words["default"]), {**params, "code": code}, language) for code in reasons]
    first, *others = dict.fromkeys(told) if told else ("",)
    return " ".join([first, *(f"{text[:1].upper()}{text[1:]}" for text in others)])


def render_message(name: str, language: Language) -> str:
    """Return one of the short messages."""
    return str(load_words(language, "messages")["messages"][name])


def render_voice(brain: str, trouble: str | None, language: Language) -> str:
    """Return whose words an answer is, or nothing where it is the offline model as usual."""
    words = load_words(language, "messages")
    if trouble is not None:
        return str(words["voice"]["instead"]).format(trouble=words["trouble"].get(trouble, words["trouble"]["default"]))
    return "" if brain == "offline" else str(words["voice"]["model"]).format(brain=escape(brain))


def render_waiting(ahead: int, language: Language) -> str:
    """Return how many come first."""
    words = load_words(language, "messages")["waiting"]
    return str(words["next"] if ahead == 0 else words["ahead"]).format(ahead=ahead)


def render_notice(kind: str, params: Mapping[str, str], language: Language) -> str:
    """Return what happened while the owner was away."""
    words = {**load_words(language, "messages")["notices"], **load_words(language, "agents")["notices"]}
    told = dict(params)
    if "side" in told:
        told["side"] = load_words(language, "answers")["side_word"][told["side"]]
    if "reasons" in told:
        codes = [code for code in told["reasons"].split(",") if code]
        told["reasons"] = render_reasons(codes, language, symbol=told.get("symbol", ""))
    if kind.startswith("alert_"):
        told["what"] = render_condition(told, language)
    if "at" in told:
        told["at"] = format_time(datetime.fromisoformat(told["at"]), language)
        kind = f"{kind}_late"
    if kind == "ticket_executed" and not told.get("price"):
        kind = "ticket_unfilled"
    return _fill(words.get(kind, words["default"]), {**told, "kind": kind}, language)


def render_condition(alert: Mapping[str, str], language: Language) -> str:
    """Return when an alert speaks, as the rest of a sentence."""
    words, condition = load_words(language, "answers")["alert"]["what"], alert["condition"]
    if condition.startswith("change") and "timeframe" in alert:
        condition = f"{condition}_within"
    return _fill(words[condition], {"timeframe": "1h", **alert}, language)


def _fill(sentence: str, params: Mapping[str, str], language: Language) -> str:
    return sentence.format_map(_Told({key: _localise(key, value, language) for key, value in params.items()}))


class _Told(dict[str, Any]):
    """Placeholders without a value stay visible instead of breaking the sentence."""

    def __missing__(self, key: str) -> str:
        return "…"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_PRICES = ("price", "market", "stop", "target", "entry")
_QUOTED = ("bad_number", "bad_argument", "bad_risk", "bad_name", "bad_language", "bad_currency")
"""Codes that give a person's own words back: those stay as they were written."""
_PLAIN_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)


class _Verbatim(str):
    """Text that is quoted, never read as a number."""


def _as_written(code: str, params: Mapping[str, str]) -> dict[str, str]:
    return {key: _Verbatim(text) if key == "value" and code in _QUOTED else text for key, text in params.items()}


def _localise(key: str, value: str, language: Language) -> str:
    """Write numbers as the language does; ids stay as they are, other text is made harmless."""
    if key.endswith("_id") or isinstance(value, _Verbatim) or not _PLAIN_NUMBER.fullmatch(value):
        return escape(value)
    number = Decimal(value)
    return format_price(number, language) if key in _PRICES else format_number(number, language)
