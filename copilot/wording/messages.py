"""Short messages: errors, refusals, notices, questions and plain talk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol

from copilot.wording.formats import escape, format_number, format_price
from engine.domain.errors import InvalidRequest
from prompts import load_words

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


def render_question(question: Question, language: Language) -> str:
    """Return a question in words."""
    words = load_words(language, "questions")
    return _fill(words.get(question.code, words["unclear"]), question.params, language)


def render_talk(code: str, language: Language) -> str:
    """Return plain conversation: a greeting, thanks, an explained concept, or what can be asked."""
    words = load_words(language, "talk")
    kind, _, key = code.partition(":")
    if kind == "concept":
        return str(words["concepts"].get(key, words["question"]))
    return str(words.get(kind, words["help"]))


def render_error(error: Exception, language: Language) -> str:
    """Return what was wrong and what to do."""
    words = load_words(language, "messages")["errors"]
    if isinstance(error, InvalidRequest):
        return _fill(words.get(error.code, words["default"]), {**_text(error.params), "code": error.code}, language)
    return _fill(words["no_data"], {"detail": str(error)}, language)


def render_code(code: str, params: Mapping[str, str], language: Language) -> str:
    """Return the error that a code names."""
    words = load_words(language, "messages")["errors"]
    return _fill(words.get(code, words["default"]), {**params, "code": code}, language)


def render_reasons(reasons: Sequence[str], language: Language, **params: str) -> str:
    """Return why something was refused, each reason once."""
    words = load_words(language, "messages")["reasons"]
    told = [_fill(words.get(code, words["default"]), {**params, "code": code}, language) for code in reasons]
    return " ".join(dict.fromkeys(told))


def render_message(name: str, language: Language) -> str:
    """Return one of the short messages."""
    return str(load_words(language, "messages")["messages"][name])


def render_notice(kind: str, params: Mapping[str, str], language: Language) -> str:
    """Return what happened while the owner was away."""
    words = load_words(language, "messages")["notices"]
    told = dict(params)
    if "side" in told:
        told["side"] = load_words(language, "answers")["side_word"][told["side"]]
    if "reasons" in told:
        codes = [code for code in told["reasons"].split(",") if code]
        told["reasons"] = render_reasons(codes, language, symbol=told.get("symbol", ""))
    if kind == "alert_fired":
        told["what"] = render_condition(told, language)
    return _fill(words[kind], told, language)


def render_condition(alert: Mapping[str, str], language: Language) -> str:
    """Return when an alert speaks, as the rest of a sentence."""
    words = load_words(language, "answers")["alert"]["what"]
    return _fill(words[alert["condition"]], {"timeframe": "1h", **alert}, language)


def _text(params: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}


def _fill(sentence: str, params: Mapping[str, str], language: Language) -> str:
    return sentence.format_map(_Told({key: _localise(key, value, language) for key, value in params.items()}))


class _Told(dict[str, Any]):
    """Placeholders without a value stay visible instead of breaking the sentence."""

    def __missing__(self, key: str) -> str:
        return "…"


_PRICES = ("price", "market", "stop", "target", "entry")


def _localise(key: str, value: str, language: Language) -> str:
    """Write numbers as the language does; ids stay as they are, other text is made harmless."""
    if key.endswith("_id"):
        return escape(value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        return escape(value)
    if not number.is_finite():
        return escape(value)
    return format_price(number, language) if key in _PRICES else format_number(number, language)
