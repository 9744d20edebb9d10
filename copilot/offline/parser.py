"""Decide what a message asks for: calls, a question, or talk. Pure: the same words give the same decision.

The order matters. What is not the person's own comes out first; a typed "yes" never approves; then requests are read,
each is checked for its stance, and what is left open is asked. Every call is checked against its tool's arguments
before it leaves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from copilot.offline.allotments import without_report
from copilot.offline.certainty import is_certain, numbers_are_placed
from copilot.offline.clauses import TRADE
from copilot.offline.corrections import apply_corrections
from copilot.offline.followup import resume
from copilot.offline.guard import Screened, refuses, screen
from copilot.offline.lexicon import word_set
from copilot.offline.messages import ACTS, Frame, Message, read_message
from copilot.offline.requests import Context
from copilot.offline.retractions import is_corrected_unclearly, takes_all_back
from copilot.offline.shapes import shape
from copilot.offline.stance import is_reported
from copilot.offline.talk import choose_talk, find_concept, is_confirmation
from copilot.offline.tokens import Token, detect_language, tokenize
from copilot.offline.values import ArgumentValue, Call, Decision, Language, Question, Turn
from tools.schema import ARGUMENTS

_CLOCK = re.compile(r"(?<![\d:.,])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])")
"""A time of day beside a trade: no order waits for one, and its digits are no amount."""
_PRIORITY = ("bad_number", "contradiction", "unknown_instrument", "amount_ambiguous", "two_prices")


def parse(text: str, history: Sequence[Turn] = (), fallback: Language = "en") -> Decision:
    """Return what a message asks for.

    Args:
        text: The person's message.
        history: Earlier turns, oldest first; they complete a message that leans on them.
        fallback: Language to answer in when the words do not tell.
    """
    screened = screen(text)
    language = detect_language(screened.text) or detect_language(text) or fallback
    if screened.is_untrusted:
        return Decision((), None, "quoted", language, is_certain=True)
    spoken = tokenize(screened.text, language)
    tokens = shape(apply_corrections(_after_dismissal(spoken) if screened.quoted else spoken), language)
    tokens = tokens if screened.quoted else without_report(tokens)
    decision = _read(screened, tokens, history, language)
    return replace(decision, is_certain=is_certain(decision, tokens, quoted=screened.quoted))


def _after_dismissal(tokens: list[Token]) -> list[Token]:
    """Return what a person says after waving a quotation aside ("nah. buy 30 link"), or everything."""
    ends = [-1, *(index for index, token in enumerate(tokens) if token.text in word_set("ends") or token.text == ",")]
    for first, second in reversed(list(pairwise(ends))):
        said = " ".join(token.text for token in tokens[first + 1 : second])
        if said in word_set("dismissals"):
            return tokens[second + 1 :]
    return tokens


def _read(screened: Screened, tokens: list[Token], history: Sequence[Turn], language: Language) -> Decision:
    reported = is_reported(tokens) or "\n" in screened.text.strip()
    if is_confirmation(tokens, language):
        return Decision((), None, "confirmation", language)
    concept = find_concept(tokens, language) if _is_concept(tokens) else None
    if concept is not None and not screened.quoted:
        return Decision((), None, f"concept:{concept}", language)
    message = read_message(tokens, quoted=screened.quoted, reported=reported)
    if history and not screened.quoted:
        resumed = resume(tokens, message, history)
        if resumed is not None and not (reported and any(f.tool in ACTS for f in resumed.frames)):
            message = resumed
    if _is_concept(tokens) and not any(frame.calls for frame in message.frames):
        return Decision((), None, choose_talk(tokens, language), language)
    decision = _decide(message, tokens, language, quoted=screened.quoted or reported)
    if not any(call.tool == TRADE for call in decision.calls):
        return decision
    if _forbids(screened.text, tokens) or takes_all_back(tokens):
        return Decision((), None, "negated", language)
    if any(token.get("lang_other") for token in tokens):
        return Decision((), None, "quoted", language)
    question = Question("unclear") if _CLOCK.search(screened.text) else _doubt(decision, tokens)
    return decision if question is None else Decision((), question, None, language)


def _doubt(decision: Decision, tokens: Sequence[Token]) -> Question | None:
    """Return what to ask about trades: a person who is unsure, or an amount that was said and found no place."""
    if any(token.has("unsure") for token in tokens):
        return Question("unclear")
    trades = [call for call in decision.calls if call.tool == TRADE]
    if len(trades) > 1 and is_corrected_unclearly(tokens):
        return Question("unclear")
    unsized = any("amount" not in call.args and call.args["side"] != "close" for call in trades)
    return Question("how_much") if unsized and not numbers_are_placed(decision.calls, tokens) else None


def _forbids(text: str, tokens: Sequence[Token]) -> bool:
    """Tell whether the one instrument spoken of shall not be traded; with several, each clause decides."""
    return refuses(text) and len({token.get("sym") for token in tokens} - {None}) <= 1


def _is_concept(tokens: Sequence[Token]) -> bool:
    labels = {label.partition(":")[0] for token in tokens for label in token.labels}
    labels |= {"number"} if any(t.is_number for t in tokens) else set()
    if any(t.text in word_set("self") for t in tokens):
        return False
    if "number" in labels and labels & {"trade", "order", "alert", "tradeid"}:
        return False
    return "concept_q" in labels and labels.isdisjoint({"mine", "sym", "agent", "agents", "unknown", "pending"})


def _decide(message: Message, tokens: Sequence[Token], language: Language, *, quoted: bool) -> Decision:
    questions = [frame.question for frame in message.frames if frame.question is not None]
    if questions and questions[0].code == "unclear" and any(t.has("smalltalk", "thanks") for t in tokens):
        return Decision((), None, choose_talk(tokens, language), language)
    if questions:
        return Decision((), _first(questions), None, language)
    blocked = [frame.talk for frame in message.frames if frame.talk is not None]
    if any(frame.talk == "negated" and frame.tool not in ACTS for frame in message.frames) and len(message.frames) > 1:
        blocked = [frame.talk for frame in message.frames if frame.talk is not None and frame.tool in ACTS]
    calls = [Call(frame.tool, args) for frame in message.frames for args in frame.calls]
    if blocked and set(blocked) == {"negated"} and not any(call.tool in ACTS for call in calls):
        blocked = blocked if not calls else []
    if blocked and (not calls or blocked[0] == "quoted" or (blocked[0] == "negated" and not _apart(message))):
        return Decision((), None, blocked[0], language)
    calls = _without_repeats(calls)
    if not calls:
        return Decision((), None, "quoted" if quoted else choose_talk(tokens, language), language)
    checked = [_check(call) for call in calls]
    refused = next((item for item in checked if isinstance(item, Question)), None)
    if refused is not None:
        return Decision((), refused, None, language)
    return Decision(tuple(item for item in checked if isinstance(item, Call)), None, None, language)


def _apart(message: Message) -> bool:
    """Tell whether what shall not be done concerns other instruments than what shall."""
    denied = {name for frame in message.frames if frame.talk for name in frame.clause.all("sym")}
    wanted = {str(call.get("symbol")) for frame in message.frames for call in frame.calls}
    return bool(denied) and denied.isdisjoint(wanted) and "None" not in wanted


def _first(questions: Sequence[Question]) -> Question:
    return min(questions, key=lambda q: _PRIORITY.index(q.code) if q.code in _PRIORITY else len(_PRIORITY))


def _without_repeats(calls: Sequence[Call]) -> list[Call]:
    kept: list[Call] = []
    for call in calls:
        if call not in kept:
            kept.append(call)
    return kept


def _check(call: Call) -> Call | Question:
    """Return the call with only its non-default arguments, or a question when the tool would refuse it."""
    try:
        valid = ARGUMENTS[call.tool].model_validate(dict(call.args))
    except ValidationError:
        return Question("unclear")
    fields = ARGUMENTS[call.tool].model_fields
    args: dict[str, ArgumentValue] = {}
    for name, value in valid.model_dump(exclude_unset=True).items():
        if value != fields[name].default:
            args[name] = _plain(value)
    return Call(call.tool, args)


def _plain(value: Any) -> ArgumentValue:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    if isinstance(value, Decimal):
        return value
    return value if isinstance(value, int) else str(value)


__all__ = ["Context", "Frame", "parse"]
