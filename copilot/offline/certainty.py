"""Whether a message was understood whole, so that no language model need be asked what it means.

Certain is stricter than right: every word must carry a known meaning or be grammatical glue, every name and number must
have found its place in a call, and nothing in the message may bend its meaning (a negation, a story, a supposition).
Doubt costs one question to a model; false certainty costs a wrong answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from copilot.offline.lexicon import load_lexicon
from copilot.offline.tokens import Token
from copilot.offline.trade import plain
from copilot.offline.values import Call, Decision

_SURE_TALK = frozenset({"greeting", "thanks", "goodbye", "confirmation"})
_DEFINITE = frozenset({"bad_number", "unknown_instrument", "amount_ambiguous", "two_prices", "contradiction"})
_BENDS = ("neg", "neg_end", "hypothetical", "future", "past", "third", "reported", "except", "one_of", "or", "approx")
_LOOSE = frozenset({"smalltalk", "reported", "reported.weak", "passed_on", "third", "holder"})
_NAMES = ("sym", "agent", "strat", "ind", "lang")
_TRADE = "execute_trade"
_FEW = 6


def is_certain(decision: Decision, tokens: Sequence[Token], *, quoted: bool) -> bool:
    """Return whether a decision rests on every word of its message.

    Args:
        decision: What was read.
        tokens: The words it was read from, quotations left out.
        quoted: Whether something in the message stood between quotation marks.
    """
    if decision.talk is not None:
        return _is_sure_talk(decision.talk, tokens, quoted=quoted)
    if not all(_is_understood(token) for token in tokens):
        return False
    if decision.question is not None:
        return decision.question.code in _DEFINITE and not any(token.has(*_BENDS) for token in tokens)
    bends = any(token.has(*_BENDS) for token in tokens)
    return not bends and _names_are_placed(decision.calls, tokens) and numbers_are_placed(decision.calls, tokens)


def _is_sure_talk(talk: str, tokens: Sequence[Token], *, quoted: bool) -> bool:
    if talk == "quoted":
        return quoted or sum(token.has("reported", "reported.weak") for token in tokens) > 1
    if talk.startswith("concept:") or talk == "confirmation":
        return True
    return talk in _SURE_TALK and len(tokens) <= _FEW


def _is_understood(token: Token) -> bool:
    """Tell whether a token has a meaning, is a readable number, a mark, or glue."""
    if token.is_number:
        return token.value is not None
    if token.repaired:
        return False
    if token.labels - _LOOSE or not any(char.isalpha() for char in token.text):
        return True
    return any(token.text in vocabulary.glue for vocabulary in load_lexicon().own.values())


def _names_are_placed(calls: Sequence[Call], tokens: Sequence[Token]) -> bool:
    placed = {item for call in calls for value in call.args.values() for item in _items(value)}
    return all(name in placed for token in tokens for kind in _NAMES for name in token.of(kind)[:1])


def _items(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        yield from (str(item) for item in value)
    else:
        yield str(value)


def numbers_are_placed(calls: Sequence[Call], tokens: Sequence[Token]) -> bool:
    """Return whether every number but a length of time stands in a call."""
    placed = {item for call in calls for value in call.args.values() for item in _items(value)}
    for token in tokens:
        if not token.is_number or token.value is None or token.unit == "time":
            continue
        value = abs(token.value)
        forms = {str(plain(value)), token.raw}
        if token.is_fraction:
            forms.add(str(plain((value * 100).quantize(Decimal("0.01")))))
        if forms.isdisjoint(placed) and not _is_written_out(token, placed):
            return False
    return True


def _is_written_out(token: Token, placed: set[str]) -> bool:
    """Tell whether "5m" went into a timeframe, or "100%" into the whole of something."""
    return token.raw.lower() in placed or (token.unit == "percent" and token.value == 100)
