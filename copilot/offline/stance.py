"""Whether a clause is an order of the person, and not a question, a story, a refusal or somebody else's words.

Only an order may act. The default for a trade word in any other stance is no action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from copilot.offline.clauses import TRADE, Clause, reminds
from copilot.offline.lexicon import word_set
from copilot.offline.tokens import Token

ACTS = frozenset(
    {TRADE, "cancel_order", "set_alert", "cancel_alert", "control_agent", "configure_agent", "update_profile"}
)
_ACTION = ("buy", "sell", "close", "dispose", "halve", "buy.weak")
_DOES = {
    "cancel_order": ("cancel", "remove"),
    "cancel_alert": ("cancel", "remove", "stop"),
    "control_agent": ("start", "stop", "pause", "resume", "remove"),
    "configure_agent": ("set", "opers", "cap"),
    "set_alert": ("notify", "set", "alert"),
    "update_profile": ("set",),
}
_ORDERS = (*_ACTION, "buy.noun", "sell.noun", "cancel", "start", "stop", "pause", "resume", "set", "remove")
_REACH = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a clause may do: act as it says, become another tool, or only be talked about."""

    talk: str | None = None
    tool: str = ""


_ACT = Verdict()


def judge(clause: Clause, *, quoted: bool, reported: bool) -> Verdict:
    """Return what a clause may do."""
    if clause.tool not in ACTS:
        return _reading(clause, quoted=quoted, reported=reported)
    if quoted and not _is_own_order(clause):
        return Verdict(talk="quoted")
    if reported and not quoted and not _is_harmless(clause):
        return Verdict(talk="quoted")
    if clause.tool == TRADE and _is_chant(clause):
        return Verdict(talk="quoted")
    return _trade(clause) if clause.tool == TRADE else _change(clause)


_NEAR = 5
_FEW_REPORTS = 2


def is_reported(tokens: Sequence[Token]) -> bool:
    """Tell whether a message passes on somebody else's words.

    A firm word ("forwarded", "my broker") is enough; everyday words ("says", "my wife") count close before an order or
    before an agent with a figure ("he says Nova runs best with 40"), or in numbers.
    """
    if any(token.has("reported") for token in tokens) or _is_introduced(tokens):
        return True
    faint = [index for index, token in enumerate(tokens) if token.has("reported.weak")]
    return len(faint) >= _FEW_REPORTS or any(
        token.has(*_ORDERS) or (token.get("agent") and any(t.is_number for t in tokens))
        for index in faint
        for token in tokens[index + 1 : index + 1 + _NEAR]
    )


def _is_introduced(tokens: Sequence[Token]) -> bool:
    """Tell whether a lead passes on what stands behind its colon ("the letter said: sell the gold")."""
    for index, token in enumerate(tokens):
        if token.text != ":" or not any(t.has(*_ORDERS) for t in tokens[index + 1 : index + 1 + _NEAR]):
            continue
        if any(t.has("passed_on") for t in tokens[:index]):
            return True
    return False


_QUIET = frozenset({"check_portfolio", "list_alerts", "agent_status", "explain_trade"})


def _reading(clause: Clause, *, quoted: bool, reported: bool) -> Verdict:
    features = clause.features
    if (quoted or reported) and clause.tool in _QUIET and features.isdisjoint({"show", "mine"}):
        return Verdict(talk="quoted")
    if clause.tool != "check_portfolio":
        return _ACT
    if "hypothetical" in features or ("howto" in features and features.isdisjoint({"show", "mine"})):
        return Verdict(talk="question")
    if "neg" in features and not clause.asked and features.isdisjoint({"show", "question", "pending"}):
        return Verdict(talk="negated")
    return _ACT


def _is_harmless(clause: Clause) -> bool:
    """Tell whether a change raises no risk: an alert, a name, a language."""
    if clause.tool == "update_profile":
        return clause.features.isdisjoint({"rpt", "risk"})
    return clause.tool == "set_alert"


def _is_chant(clause: Clause) -> bool:
    """Tell whether a trade word is shouted again and again ("buy buy buy")."""
    words = [t.text for t in clause.tokens if t.has("buy", "sell") and not t.has("tp", "sl")]
    return any(words.count(word) > 2 for word in words)


def _is_own_order(clause: Clause) -> bool:
    """Tell whether a clause next to a quotation plainly starts with the person's own order."""
    if "reported" in clause.features or clause.asked:
        return False
    for token in clause.tokens[:4]:
        if token.has(*_ACTION, "cancel", "remove", "pause", "stop") and not token.has("buy.past", "sell.past"):
            return True
        if token.has("if") or token.is_number:
            return False
    return False


def _trade(clause: Clause) -> Verdict:
    features = clause.features
    if "neg_end" in features or _negated(clause, _ACTION):
        return Verdict(talk="negated")
    if any(reminds(clause.tokens, index) for index in range(len(clause.tokens))):
        return Verdict(talk="question")
    advice = Verdict(tool="get_signal") if "sym" in features else Verdict(talk="question")
    if "hypothetical" in features:
        return Verdict(talk="question")
    if "howto" in features and not ("polite" in features and "number" in features):
        return Verdict(talk="question")
    if "advice" in features and _is_advice(clause):
        return advice
    if _is_story(clause):
        return Verdict(talk="past")
    if _is_question(clause):
        return Verdict(talk="past") if "past" in features else advice
    if "future" in features:
        return Verdict(talk="negated")
    if "third" in features:
        return Verdict(talk="past")
    return _ACT


def _is_advice(clause: Clause) -> bool:
    """Tell whether advice is asked for; a plain order that ends "or not" is rare, and a signal is harmless."""
    first = next((t for t in clause.tokens if t.has("advice") and not t.has("limit")), None)
    if first is None:
        return False
    index = clause.tokens.index(first)
    urged = first.text in word_set("urges") or any(t.text in word_set("urges") for t in clause.tokens[:index])
    soft = not clause.asked and "number" in clause.features and (index > 3 or urged)
    if urged and soft:
        return False
    return not soft or first.text.startswith(("or ", "o "))


def _is_question(clause: Clause) -> bool:
    features = clause.features
    if "polite" in features and not features.isdisjoint({"number", "all", "money", "percent", "mine", "close"}):
        return False
    if clause.tokens and clause.tokens[0].text in word_set("auxiliaries"):
        return not _opens_condition(clause)
    starts = bool(clause.tokens) and clause.tokens[0].has("question") and not clause.tokens[0].has("if", "all")
    if clause.asked:
        return (
            not ("buy" in features and "number" in features and "first" not in features and _imperative_first(clause))
            or starts
        )
    return (
        starts
        and clause.tokens[0].text
        not in ("que", "como", "a", "hay", "do", "have", "tengo", "esta", "alguna", "any", "what", "q")
        and not _has_order_verb(clause)
    )


def _opens_condition(clause: Clause) -> bool:
    """Tell whether "should" supposes a price, and an order follows it ("should litecoin reach 92, sell 11")."""
    if clause.asked or not clause.tokens[0].has("if"):
        return False
    price = next((i for i, t in enumerate(clause.tokens) if t.is_number), len(clause.tokens))
    moves = any(t.has("up", "down", "reach", "break") for t in clause.tokens[:price])
    return moves and any(t.has("buy", "sell", "close", "dispose") for t in clause.tokens[price:])


def _imperative_first(clause: Clause) -> bool:
    return (
        bool(clause.tokens) and clause.tokens[0].has("buy", "sell", "close") and "first" not in clause.tokens[0].labels
    )


def _has_order_verb(clause: Clause) -> bool:
    return any(
        t.has("buy", "sell", "close", "dispose") and not t.has("first", "inf", "sub", "buy.past", "sell.past")
        for t in clause.tokens
    )


def _is_story(clause: Clause) -> bool:
    past = [t for t in clause.tokens if t.has("buy.past", "buy.weak.past", "sell.past", "close.past")]
    orders = [
        t for t in clause.tokens if t.has("buy", "sell", "close", "dispose", "halve", "buy.weak") and t not in past
    ]
    if past and orders and clause.tokens.index(orders[-1]) > clause.tokens.index(past[-1]):
        return False
    if past and not any(t.has("buy", "sell", "close", "dispose") for t in orders):
        return True
    return "past" in clause.features and not orders and "number" in clause.features


def _change(clause: Clause) -> Verdict:
    features = clause.features
    if not features.isdisjoint({"howto", "hypothetical"}) and clause.tool != "set_alert":
        return Verdict(talk="question")
    if clause.tool == "set_alert" and clause.asked and features.isdisjoint({"notify", "alert", "watch"}):
        return Verdict(talk="question")
    stops = clause.tool in ("control_agent", "cancel_order", "cancel_alert")
    if stops and _is_postponed(clause):
        return Verdict(talk="negated")
    wanted = clause.tool != "control_agent" and ("nomore" in features or _refuses(clause))
    if stops and not wanted and _negated(clause, _DOES[clause.tool]):
        return Verdict(talk="negated")
    return _ACT


def _is_postponed(clause: Clause) -> bool:
    """Tell whether "not yet" stands right in front of a verb ("todavía no cierres"); an order may be unfilled yet."""
    pairs = pairwise(clause.tokens)
    return any(first.has("neg_end") and second.has("sub", "inf", "close", "cancel") for first, second in pairs)


def _refuses(clause: Clause) -> bool:
    """Tell whether the negation is itself the request ("I don't want order 88"), and not of a verb behind it."""
    return any(
        t.has("remove", "nomore")
        and (t.has("neg") or t.text.startswith(("no ", "ya no", "dont", "i dont")))
        and not _has_verb_behind(clause.tokens, index)
        for index, t in enumerate(clause.tokens)
    )


def _has_verb_behind(tokens: Sequence[Token], index: int) -> bool:
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return after is not None and (after.text == "to" or after.has("inf", "cancel"))


def _negated(clause: Clause, labels: tuple[str, ...]) -> bool:
    """Tell whether a negation stands closely before an action word."""
    last: int | None = None
    for index, token in enumerate(clause.tokens):
        if _denies(clause.tokens, index):
            last = index if not _is_correction(clause.tokens, index) else None
        elif token.text in (",", ":", ";") or token.has("if"):
            last = None if token.text != "," else last
        if last is not None and index > last and index - last <= _REACH and _acts(token, labels):
            return True
    return False


def _denies(tokens: list[Token], index: int) -> bool:
    """Tell whether a token negates what follows; a bare "no" does when an action stands right behind it."""
    token = tokens[index]
    if token.is_number:
        return False
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return token.has("neg") or (
        token.text == "no" and after is not None and after.has(*_ACTION, "buy.noun", "sell.noun")
    )


def _acts(token: Token, labels: tuple[str, ...]) -> bool:
    return token.has(*labels) and not (token.has("neg") and not token.has("stop"))


def _is_correction(tokens: list[Token], index: int) -> bool:
    """Tell whether a "no" takes back what was said before it; in front of a subjunctive it forbids ("no cierres")."""
    if index + 1 < len(tokens) and tokens[index + 1].has("sub"):
        return False
    return (
        tokens[index].text in ("no", "not", "nah", "espera")
        and index > 0
        and (
            (index + 1 < len(tokens) and (tokens[index + 1].text in (",", "...") or tokens[index + 1].is_number))
            or tokens[index - 1].text in ("...", ",", "—")
        )
    )
