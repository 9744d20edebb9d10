"""Last look at calls before they leave: what reads like a trade, and is likelier something else, is asked about.

Each rule names one way in which a trade has been read wrongly: out of a list of alerts or orders just shown, beside the
cancelling of an alert, with limit and stop changed over, or twice out of one sentence that repeats itself. A
call is only dropped here, or asked about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from copilot.offline.lexicon import fold
from copilot.offline.values import Call, Decision, Question, Turn

TRADE = "execute_trade"
_LISTED = re.compile(r"\b(alerts?|alertas?|orders?|orden|ordenes)\b")
_POINTING = re.compile(r"\b(one|ones|(?:la|el|las|los) (?:de|del)|es[ae]s?|est[ae]s?)\b")
_OTHERS = re.compile(
    r"\b(les? (puse|puso|pusimos|pusieron|llamo|llame)|(named|called) (my|our|the|his|her) \w+|mi (gat|perr)\w+)\b"
)
_TRADING_WORD = re.compile(r"\b(position|posicion|trade|operacion|holding|bag|stack)\b")
_LIMIT_AT = re.compile(r"\blimit\w*(?: order| orden)? (?:a|at|en|@|of|de) (\d[\d.,]*)(?![\d.,]*\s*[k%])")
_STOP_AT = re.compile(r"\bstop[ -]?loss (?:a|at|en|@|of|de) (\d[\d.,]*)(?![\d.,]*\s*[k%])")


_CURRENCY_ALONE = re.compile(r"(?<![\d\w.,])[$€£](?!\s*[\d.])|\b(?:for|por) [a-z]{2,4} (?:dollars|dolares)\b")
_HESITATES = re.compile(r"\d ?(?:,? ?(?:or )?(?:maybe|perhaps)|,? ?(?:o )?(?:quizas?|tal vez|a lo mejor)) \d")


def hold_back(decision: Decision, text: str, history: Sequence[Turn]) -> Decision:
    """Return the decision, or a question in its place when one of its trades is likelier something else."""
    words = fold(text)
    if _names_somebody_else(decision.calls, words):
        return replace(decision, calls=(), talk="smalltalk", is_certain=False)
    if not any(call.tool == TRADE for call in decision.calls):
        return decision
    if _points_into_a_list(decision.calls, words, history) or _is_beside_a_cancelled_alert(decision.calls):
        return _asking(decision, "unclear")
    if any(_is_changed_over(call, words) for call in decision.calls if call.tool == TRADE):
        return _asking(decision, "contradiction")
    if _CURRENCY_ALONE.search(words) or _HESITATES.search(words) or _turns_round(decision.calls):
        return _asking(decision, "unclear")
    return replace(decision, calls=_once_each(decision.calls))


def _names_somebody_else(calls: Sequence[Call], words: str) -> bool:
    """Tell whether a name that would be kept as the owner's was given to an animal, a child or a thing."""
    named = any(call.tool == "update_profile" and call.args.get("setting") == "name" for call in calls)
    return named and _OTHERS.search(words) is not None


def _points_into_a_list(calls: Sequence[Call], words: str, history: Sequence[Turn]) -> bool:
    """Tell whether a closing trade picks "the btc one" right after alerts or orders were spoken of."""
    if not history or not any(call.args.get("side") == "close" for call in calls):
        return False
    recent = fold(" ".join(turn.text for turn in history[-2:]))
    return bool(_LISTED.search(recent) and _POINTING.search(words) and not _TRADING_WORD.search(f"{words} {recent}"))


def _is_beside_a_cancelled_alert(calls: Sequence[Call]) -> bool:
    return any(call.tool == "cancel_alert" for call in calls)


def _is_changed_over(call: Call, words: str) -> bool:
    """Tell whether the number said right behind "limit at" or "stop loss at" became the other one's."""
    for pattern, name, other in ((_LIMIT_AT, "price", "stop_loss"), (_STOP_AT, "stop_loss", "price")):
        said = pattern.search(words)
        if said is None or name not in call.args or other not in call.args:
            continue
        digits = _digits(said[1])
        if digits == _digits(str(call.args[other])) and digits != _digits(str(call.args[name])):
            return True
    return False


def _turns_round(calls: Sequence[Call]) -> bool:
    """Tell whether the same amount of one instrument shall be bought and sold in one breath."""
    ways = {
        (call.args.get("symbol"), call.args.get("amount"), call.args.get("price"), call.args["side"] == "buy")
        for call in calls
        if call.tool == TRADE
    }
    return any((symbol, amount, price, not buys) in ways for symbol, amount, price, buys in ways)


def _once_each(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Drop a trade that another one of the same message says more fully."""
    return tuple(call for call in calls if not any(_says_more(other, call) for other in calls))


def _says_more(other: Call, call: Call) -> bool:
    if call.tool != TRADE or other.tool != TRADE or other is call:
        return False
    return "amount" not in call.args and call.args.items() < other.args.items()


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text).rstrip("0")


def _asking(decision: Decision, code: str) -> Decision:
    return replace(decision, calls=(), question=Question(code), talk=None, is_certain=False)
