"""An order read by the learned model: its side, and what each of its numbers is.

The grammar reads an order by the cues it knows; where it finds none it asks. This reader gives every number the role
that numbers in such places have, and a side only where the message holds a word that the grammar knows for it. Nothing
is read out of a message that denies, supposes, tells, asks or leaves open, nor where one number is in doubt; what is
read passes the same checks of ambiguity and contradiction as any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

from copilot.offline.clauses import TRADE, Clause
from copilot.offline.learned.labels import NO_ROLE, NO_SIZE, ROLE, SIDE, SIZE, TOOL
from copilot.offline.learned.model import Judgement
from copilot.offline.learned.roles import number_places, role_features
from copilot.offline.learned.thresholds import Thresholds
from copilot.offline.lexicon import word_set
from copilot.offline.stance import Verdict, judge
from copilot.offline.tokens import Token
from copilot.offline.trade import Terms, has_article, is_ambiguous, number_token, order_arguments
from copilot.offline.values import ArgumentValue, Question

_BENDS = (
    "neg",
    "neg_end",
    "hypothetical",
    "future",
    "third",
    "reported",
    "except",
    "one_of",
    "unsure",
    "howto",
    "advice",
    "halve",
    "half_that",
    "that_price",
    "pips",
    "approx",
    "lang_other",
    "triple",
    "raising",
    "or",
)
_MARKS = frozenset({"?", "!", "¿", "¡", "."})
_GROUNDS: Mapping[str, frozenset[str]] = {
    "buy": frozenset({"buy", "buy.weak", "buy.noun", "allfree", "cash", "pays", "into", "raise"}),
    "sell": frozenset({"sell", "sell.noun", "dispose", "close", "takes", "remove", "leaves"}),
    "close": frozenset({"close", "dispose", "sell", "sell.noun", "remove", "stop", "leaves", "all", "mine"}),
}
_AGAINST: Mapping[str, frozenset[str]] = {
    "buy": frozenset({"sell", "sell.noun", "dispose", "close"}),
    "sell": frozenset({"buy", "buy.noun", "cash"}),
    "close": frozenset({"buy", "buy.noun", "cash"}),
}
_TOLD = frozenset({"buy.past", "sell.past", "close.past", "buy.weak.past"})
_ORDERS = ("price:limit", "price:stop")
_ACT = Verdict()
_HUNDRED = Decimal(100)
_SLOTS = {"stop_loss": "stop", "take_profit": "target", "stop_loss_pct": "stop_pct", "take_profit_pct": "target_pct"}
Roles = dict[str, Token]


def read_order(
    tokens: Sequence[Token], judgement: Judgement, sure: Thresholds, *, reported: bool
) -> dict[str, ArgumentValue] | Question | None:
    """Return the arguments of the one order that a message gives, its open question, or `None` when it is in doubt.

    Args:
        tokens: The tagged words, quotations left out.
        judgement: What the learned model makes of the message.
        sure: How sure the model must be.
        reported: Whether the message tells somebody else's words.
    """
    clause = Clause([token for token in tokens if token.text not in _MARKS], any(t.text == "?" for t in tokens))
    clause.settle()
    clause.tool = TRADE
    symbols = clause.all("sym")
    if len(symbols) != 1 or not _is_plain(clause) or judge(clause, quoted=False, reported=reported) != _ACT:
        return None
    side = _side(clause, judgement, sure)
    roles = _roles(clause.tokens, symbols[0], judgement, sure)
    if side is None or roles is None or _misses_exit(clause, roles):
        return None
    terms = _terms(clause, symbols[0], side, roles)
    if terms.amount is None and not _is_unsized(terms, judgement, sure):
        return None
    return order_arguments(terms)


def _is_plain(clause: Clause) -> bool:
    """Tell whether nothing in the words bends an order, and every number can be read."""
    if any(token.has(*_BENDS) or (token.has("unknown") and not token.get("sym")) for token in clause.tokens):
        return False
    return all(t.value is not None and t.value > 0 for t in clause.tokens if t.is_number and not t.signed)


def _side(clause: Clause, judgement: Judgement, sure: Thresholds) -> str | None:
    side = judgement.of(SIDE)
    labels = {label for token in clause.tokens if not token.has("sl", "tp") for label in token.labels}
    if not labels.isdisjoint(_TOLD):
        return None
    if not labels.isdisjoint(_AGAINST[side.name]):
        return None
    if side.probability >= sure.read_side and not labels.isdisjoint(_GROUNDS[side.name]):
        return side.name
    is_sure = judgement.of(TOOL).of(TRADE) >= sure.bare_order and side.probability >= sure.bare_side
    return side.name if is_sure and _says_more_than_names(clause) else None


def _misses_exit(clause: Clause, roles: Roles) -> bool:
    """Tell whether a stop or a target was spoken of, and no number is one ("sell 3 sol with a stop")."""
    kinds = {role.partition(":")[0] for role in roles}
    return any(token.has("sl", "tp") for token in clause.tokens) and kinds.isdisjoint({"price", *_SLOTS})


def _says_more_than_names(clause: Clause) -> bool:
    """Tell whether a message holds money or a word besides an instrument and a count ("bitcoin, 0.4" says no side)."""
    if any(token.is_number and token.unit == "money" for token in clause.tokens):
        return True
    said = [t for t in clause.tokens if t.text.isalpha() and not t.is_number and not t.get("sym")]
    return bool(said) and all(len(token.text) > 1 or token.text == "a" for token in said)


def _roles(tokens: Sequence[Token], symbol: str, judgement: Judgement, sure: Thresholds) -> Roles | None:
    """Return the number of each role, or `None` when one number is in doubt or does not suit its role.

    What is no amount must surely be none; which of the prices a number is, may be less sure.
    """
    found: Roles = {}
    amount = other = 1.0
    places = number_places(tokens)
    for place in places:
        role = judgement.of_part(ROLE, role_features(tokens, place, symbol))
        sized = role.of(*(name for name in role.shares if name.startswith("amount")))
        amount *= role.probability if role.name.startswith("amount") else 1 - sized
        other *= role.of(*_ORDERS) if role.name in _ORDERS else role.probability
        if role.name == NO_ROLE and {place - 1, place + 1} & {*places}:
            return None
        if role.name == NO_ROLE:
            continue
        if role.name in found or not _suits(role.name, tokens[place]) or _stands_for_thing(tokens, place):
            return None
        found[role.name] = tokens[place]
    kinds = Counter(role.partition(":")[0] for role in found)
    is_sure = amount >= sure.read_amount and other >= sure.read_roles
    return found if is_sure and all(count == 1 for count in kinds.values()) else None


def _stands_for_thing(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether "one" points at something instead of counting it."""
    ahead = tokens[place + 1] if place + 1 < len(tokens) else None
    counts = ahead is not None and (ahead.get("sym") is not None or ahead.has("unit", "ounce"))
    return tokens[place].text in word_set("alert_pronouns") and not counts


def _suits(role: str, token: Token) -> bool:
    """Tell whether a number is of the kind that its role takes; a "thousand" alone has lost its count."""
    if token.text in word_set("bare_magnitudes"):
        return False
    if role == "amount:percent":
        return token.unit == "percent" or (token.unit == "" and token.is_fraction)
    if role == "amount:quote":
        return token.unit == "money"
    if role.endswith("_pct"):
        return token.unit == "percent"
    return token.unit in (("",) if role == "amount:base" else ("", "money"))


def _terms(clause: Clause, symbol: str, side: str, roles: Roles) -> Terms:
    terms = Terms(symbol=symbol, side=side, amount=_amount(roles))
    for role, token in roles.items():
        kind, _, detail = role.partition(":")
        if kind == "price":
            terms.price, terms.order_type = token, detail
        elif kind in _SLOTS:
            setattr(terms, _SLOTS[kind], token)
    if terms.price is None and not clause.features.isdisjoint({"limit", "stop_order"}):
        terms.ask("which_price")
    if terms.amount is None:
        _fill_amount(clause, terms)
    elif terms.amount.unit == "":
        terms.side = "sell" if side == "close" else side
        if is_ambiguous(clause, terms, terms.amount):
            terms.ask("amount_ambiguous", amount=str(terms.amount.raw), symbol=symbol)
    return terms


def _amount(roles: Roles) -> Token | None:
    role, token = next(((role, token) for role, token in roles.items() if role.startswith("amount")), ("", None))
    if token is not None and role == "amount:percent" and token.is_fraction and token.value is not None:
        return number_token((token.value * _HUNDRED).quantize(Decimal("0.01")), "percent")
    return token


def _fill_amount(clause: Clause, terms: Terms) -> None:
    """Read what stands for a number: all of the cash, a coin."""
    if terms.side == "buy" and "allfree" in clause.features:
        terms.amount = number_token(_HUNDRED, "percent")
    elif terms.side in ("buy", "sell") and has_article(clause):
        terms.amount = number_token(Decimal(1), "")


def _is_unsized(terms: Terms, judgement: Judgement, sure: Thresholds) -> bool:
    """Tell whether no amount was meant; closing takes all."""
    return terms.side == "close" or judgement.of(SIZE).of(NO_SIZE) >= sure.read_unsized


__all__ = ["read_order"]
