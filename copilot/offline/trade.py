"""A trade in words becomes exact order terms, or a question.

Every number must have a role: amount, price, trigger, stop or target. A number without one, two readings of one, or
terms that contradict each other make a question; nothing is guessed, because a wrong trade is the worst outcome.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from rapidfuzz.distance import OSA

from copilot.offline.clauses import Clause
from copilot.offline.lexicon import load_lexicon, typical_price, word_set
from copilot.offline.tokens import Token, Unit
from copilot.offline.values import ArgumentValue, Question

_HUNDRED = Decimal(100)
_AMBIGUOUS_FROM = Decimal(10)
_FX_PRICE_LIMIT = Decimal(100)
_FX = ("EURUSD", "GBPUSD")
_DEAR = ("XAUUSD", "BTC/USDT", "ETH/USDT")
_CHEAP = Decimal(100)
_PLURAL_FROM = 5
_STRANGERS = 2
_FAR, _VERY_FAR = 2.0, 8.0
_CLOSE_BY = 4
_DIGITS = 18
_TOO_LARGE = Decimal(10**_DIGITS)
_RESIZED = ("reduc", "reduz", "aliger", "recort", "rebaj", "disminu", "achic", "ampl", "aument", "increment", "merm")
_MAKERS = ("buy", "sell", "close", "dispose", "halve", "buy.weak", "sl", "tp", "limit", "stop_order")


@dataclass(slots=True)
class Terms:
    """What was said about an order so far."""

    symbol: str | None = None
    side: str | None = None
    amount: Token | None = None
    price: Token | None = None
    stop: Token | None = None
    target: Token | None = None
    stop_pct: Token | None = None
    target_pct: Token | None = None
    exits: list[Token] = field(default_factory=list)
    order_type: str = ""
    direction: str = ""
    breaks: bool = False
    conditional: bool = False
    market: bool = False
    question: Question | None = None

    def ask(self, code: str, **params: str) -> None:
        """Keep the first question."""
        if self.question is None:
            self.question = Question(code, params)


def read_terms(clause: Clause, symbol: str | None) -> Terms:
    """Return the terms of a trade clause; `symbol` is used when the clause names none."""
    terms = Terms()
    tokens = _at_that_price(clause.tokens)
    symbols = clause.all("sym") or clause.all("sym?")
    if len(symbols) > 1:
        symbols = _without_currencies(tokens, symbols)
    if not clause.all("sym"):
        _units_of_currency(tokens)
    terms.side = find_side(clause)
    if any(t.has("that_price") for t in tokens):
        terms.ask("which_price")
    _Reader(tokens, terms).read()
    if _has_unknown(clause, bool(symbols)):
        terms.ask("unknown_instrument", symbol=_unknown_name(clause))
    elif len(symbols) > 1:
        terms.ask("which_symbol")
    if count_strangers(clause) >= _STRANGERS or _bends_verb(clause):
        terms.ask("unclear")
    terms.symbol = symbols[0] if symbols else symbol or _weighed(clause) or _held_currency(clause)
    _settle_amount(clause, terms)
    return terms


def _at_that_price(tokens: list[Token]) -> list[Token]:
    """Put the one number that is no amount where "at that price" refers to it ("112: sell 6 ltc at that price")."""
    place = next((i for i, t in enumerate(tokens) if t.has("that_price")), None)
    if place is None:
        return tokens
    loose = [i for i, t in enumerate(tokens[:place]) if t.is_number and not _counts_thing(tokens, i)]
    if len(loose) != 1 or tokens[loose[0]].unit not in ("", "money"):
        return tokens
    rest = [t for i, t in enumerate(tokens) if i not in (loose[0], place)]
    return [*rest, Token("at", "at", frozenset({"at"})), tokens[loose[0]]]


def _counts_thing(tokens: Sequence[Token], index: int) -> bool:
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return after is not None and (after.get("sym") is not None or _is_unit(tokens, index + 1))


def _is_unit(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a word is the unit of the number in front of it, and does not announce the next ("61.2 qty 15")."""
    announces = tokens[index].text in word_set("amount_words") and index + 1 < len(tokens)
    return tokens[index].has("unit") and not (announces and tokens[index + 1].is_number)


def _weighed(clause: Clause) -> str | None:
    """Return gold when ounces are spoken of: nothing else here is weighed."""
    return "XAUUSD" if any(t.has("ounce") for t in clause.tokens) else None


def _held_currency(clause: Clause) -> str | None:
    """Return the currency that is traded when nothing else is named ("all I have in pounds")."""
    named = {token.get("cur") for token in clause.tokens if token.text in word_set("plural_currencies")}
    traded = {"EUR": "EURUSD", "GBP": "GBPUSD"}
    return traded.get(next(iter(named)) or "") if len(named) == 1 else None


def _units_of_currency(tokens: Sequence[Token]) -> None:
    """Read "5k euros" as units when no other instrument is named: the euro is what is traded."""
    for token in tokens:
        if token.is_number and token.unit == "money" and token.payload in ("EUR", "GBP") and token.get("sym?"):
            token.unit, token.payload = "", ""


def _without_currencies(tokens: Sequence[Token], symbols: list[str]) -> list[str]:
    """Drop a currency that only names the money ("500 euros of bitcoin")."""
    strong = [s for s in symbols if s not in _FX]
    money = any(t.get("cur") in ("EUR", "GBP") and t.get("sym") for t in tokens)
    return strong if strong and money and len(strong) == 1 else symbols


def _has_unknown(clause: Clause, has_symbol: bool) -> bool:
    for index, token in enumerate(clause.tokens):
        if token.has("unknown") and not token.get("sym") and not (has_symbol and _is_purpose(clause.tokens, index)):
            return True
    return any(_looks_like_pair(token) for token in clause.tokens)


def _is_purpose(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a word only says what for or where ("sell 0.05 btc for the vet"), behind a counted instrument."""
    before = [token.text for token in tokens[max(0, index - 2) : index]]
    told = len(before) > 1 and before[0] in word_set("purposes") and before[1] in ("the", "la", "el", "mi", "my")
    numbers = [place for place in range(index) if tokens[place].is_number]
    return told and any(_counts_thing(tokens, n) or _counts_part_of(tokens, n) for n in numbers)


def _counts_part_of(tokens: Sequence[Token], index: int) -> bool:
    ahead = tokens[index + 1 : index + 3]
    return len(ahead) > 1 and ahead[0].text in ("de", "of") and ahead[1].get("sym") is not None


def _looks_like_pair(token: Token) -> bool:
    left, mark, right = token.text.partition("/")
    return (
        bool(mark)
        and not token.labels
        and left.isalpha()
        and right.isalpha()
        and 2 < len(left) < 6
        and 2 < len(right) < 6
    )


def _unknown_name(clause: Clause) -> str:
    return next((t.raw for t in clause.tokens if t.has("unknown") or _looks_like_pair(t)), "")


def unknown_word(clause: Clause) -> str | None:
    """Return a content word that is in no vocabulary, if there is one."""
    lexicon = load_lexicon()
    for token in clause.tokens:
        if token.has("unknown"):
            return token.raw
        text = token.text
        if token.is_number or token.labels or not text.isalpha() or len(text) < 3:
            continue
        if any(text in vocabulary.known for vocabulary in (lexicon.shared, *lexicon.own.values())):
            continue
        return token.raw
    return None


def count_strangers(clause: Clause) -> int:
    """Return how many words are in no vocabulary; with several of them nobody can be sure of an order."""
    lexicon = load_lexicon()
    known = (lexicon.shared.known, *(vocabulary.known for vocabulary in lexicon.own.values()))
    words = [t.text for t in _core(clause) if not t.is_number and not t.labels and t.text.isalpha() and len(t.text) > 2]
    return sum(not any(word in vocabulary for vocabulary in known) for word in words)


def _bends_verb(clause: Clause) -> bool:
    """Tell whether an unknown word opens the clause right before its verb: it may deny it ("dnot sell")."""
    words = [t for t in clause.tokens if t.is_number or t.text[:1].isalpha()][:2]
    if len(words) < 2 or words[0].labels or words[0].is_number or not words[1].has("buy", "sell", "close", "dispose"):
        return False
    lexicon = load_lexicon()
    known = any(words[0].text in v.known for v in (lexicon.shared, *lexicon.own.values()))
    return not known and any(OSA.distance(words[0].text, denial) <= 1 for denial in word_set("denials"))


def _core(clause: Clause) -> Sequence[Token]:
    """Return what lies between the first and the last word that makes the order; chatter around it is no matter."""
    marks = [i for i, t in enumerate(clause.tokens) if t.is_number or t.get("sym") or t.has(*_MAKERS)]
    return clause.tokens[marks[0] : marks[-1] + 1] if marks else clause.tokens


def find_side(clause: Clause) -> str | None:
    """Return buy, sell or close; `both` when the words say two of them; `None` when they say none."""
    strong = [token for token in clause.tokens if token.has("buy", "sell", "dispose", "close", "halve")]
    strong = [token for token in strong if not _is_exit_phrase(token) and not _is_held(clause, token)]
    still = [token for token in strong if not _is_move(clause, token)]
    strong = still or ([] if "if" in clause.features else strong)
    sides = {_side_of(token) for token in strong}
    if "buy" in sides and "sell" in sides:
        return _of_two(clause, strong)
    if "buy" in sides and sides & {"close", "dispose"}:
        return "close" if strong[0].has("close", "dispose") else "both"
    if "sell" in sides and _is_paid_from_cash(clause):
        return "both"
    if "close" in sides:
        return "close"
    if "dispose" in sides and "buy" not in sides:
        return "dispose"
    if sides & {"buy", "sell"}:
        side = "sell" if "sell" in sides else "buy"
        return "close" if side == "sell" and _leaves_held(clause) else side
    if _leaves_held(clause) and not clause.features.isdisjoint({"remove", "stop", "cancel"}):
        return "close"
    return _soft_side(clause)


def _is_held(clause: Clause, token: Token) -> bool:
    """Tell whether "long" or "short" names what is held ("my short", "el corto de eth") and not what to do."""
    if not token.has("leg"):
        return False
    tokens = clause.tokens
    index = next(i for i, t in enumerate(tokens) if t is token)
    named = index > 1 and tokens[index - 1].get("sym") is not None and tokens[index - 2].has("mine", "holder")
    return index > 0 and (tokens[index - 1].has("mine", "holder") or (named and "number" not in clause.features))


def _leaves_held(clause: Clause) -> bool:
    """Tell whether something that is held shall go, and no number says how much ("scrap the solana long")."""
    return "number" not in clause.features and any(_is_held(clause, token) for token in clause.tokens)


def _is_paid_from_cash(clause: Clause) -> bool:
    """Tell whether money from the free cash goes into the instrument ("bota 10% del saldo en xrp")."""
    cash = next((i for i, t in enumerate(clause.tokens) if t.has("cash")), None)
    if cash is None:
        return False
    behind = clause.tokens[cash + 1 :]
    return any(t.has("into") for t in behind) and any(t.get("sym") for t in behind)


def _is_move(clause: Clause, token: Token) -> bool:
    """Tell whether a word tells what the price does ("if it loses 2,900") and not what to do."""
    index = next(i for i, t in enumerate(clause.tokens) if t is token)
    return token.has("up", "down", "break") and any(t.has("if") for t in clause.tokens[:index])


def _is_exit_phrase(token: Token) -> bool:
    return token.has("tp", "sl") and not token.text.startswith(
        ("buy", "sell", "compr", "vend", "recog", "recoj", "cort", "fuera", "salg")
    )


def _side_of(token: Token) -> str:
    if token.has("buy") and token.has("sell"):
        return "sell"
    if token.has("dispose"):
        return "dispose"
    for side in ("sell", "buy", "close"):
        if token.has(side):
            return side
    return "sell"


def _of_two(clause: Clause, strong: Sequence[Token]) -> str:
    last = _side_of(strong[-1])
    first = _side_of(strong[0])
    if clause.tokens.index(strong[-1]) and any(t.has("instead") for t in clause.tokens):
        return last
    if first == "sell" and any(t.text in ("short", "corto", "en corto", "sell short") for t in strong):
        return "sell" if last == "buy" and strong[-1].text.startswith(("recompr", "cubr", "buy back")) else "both"
    return "both"


def _soft_side(clause: Clause) -> str | None:
    features = clause.features
    if "buy.noun" in features and "sell.noun" not in features:
        return "buy"
    if "sell.noun" in features and "buy.noun" not in features:
        return "sell"
    if (
        not features.isdisjoint({"remove", "stop"})
        and not features.isdisjoint({"trade", "position"})
        and "number" not in features
    ):
        return "close"
    if ("pays" in features) != ("takes" in features):
        return "buy" if "pays" in features else "sell"
    share = _share_side(clause)
    if share is not None:
        return share
    if "order" in features:
        return None
    if "allfree" in features or "buy.weak" in features:
        return "buy"
    if "money" in features and "of_sym" in features:
        return "buy"
    return None


def _share_side(clause: Clause) -> str | None:
    """Read a share of the position as a sale, and a share of the cash as a purchase."""
    if "cash" in clause.features or _goes_into(clause):
        return "buy"
    for index, token in enumerate(clause.tokens):
        if not (token.is_number and (token.unit == "percent" or token.is_fraction)):
            continue
        ahead = _up_to_symbol(clause.tokens[index + 1 : index + 7])
        if ahead and ahead[0].text in ("of", "off", "from", "de", "del", "out"):
            held = token.unit == "percent" or any(t.has("mine") or t.text in ("the", "del", "that") for t in ahead)
            return "sell" if held else None
    return None


def _up_to_symbol(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return what stands up to the instrument, or nothing when money goes into it ("25% of my stables into sol")."""
    for index, token in enumerate(tokens):
        if token.get("sym"):
            return tokens[: index + 1]
        if index and token.has("into") and not token.has("of"):
            return ()
    return ()


def _goes_into(clause: Clause) -> bool:
    """Tell whether money is sent to an instrument ("7% of that to avax")."""
    tokens = clause.tokens
    for index, token in enumerate(tokens):
        if token.get("sym") and index and tokens[index - 1].text in ("to", "into", "on", "onto", "behind", "a", "al"):
            return any(t.has("buy.weak", "cash") for t in tokens)
    return False


class _Reader:
    """Walks the tokens once and gives every number a role."""

    def __init__(self, tokens: Sequence[Token], terms: Terms) -> None:
        self._tokens, self._terms = tokens, terms
        self._role = ""
        self._last = ""
        self._corrected_at = -_CLOSE_BY - 1
        self._corrects = False
        self._either = False
        self._vague = False
        self._raises = False
        self._amount_at = 0

    def read(self) -> None:
        """Fill the terms."""
        for index, token in enumerate(self._tokens):
            if token.is_number:
                self._number(index, token)
            else:
                self._word(index, token)
        if self._role in ("stop", "target") and self._refers(self._tokens):
            self._terms.ask("which_price")
        if self._role == "trigger" and self._terms.conditional and self._terms.price is None:
            self._terms.ask("which_price")

    def _refers(self, tokens: Sequence[Token]) -> bool:
        missing = self._terms.stop if self._role == "stop" else self._terms.target
        percent = self._terms.stop_pct if self._role == "stop" else self._terms.target_pct
        return missing is None and percent is None

    def _word(self, index: int, token: Token) -> None:
        terms = self._terms
        if token.has("or"):
            self._either = True
        if token.has("between"):
            terms.ask("two_prices")
        if (token.has("instead") and not token.has("up", "down", "raise")) or token.text in ("no", "not", "..."):
            self._corrected_at = index
        if token.has("approx"):
            self._vague = True
        if token.has("market"):
            terms.market = True
            if self._either:
                terms.ask("two_prices")
        if token.has("if"):
            terms.conditional = True
        self._cue(index, token)

    def _cue(self, index: int, token: Token) -> None:
        if token.has("buy", "sell") and not token.has("tp", "sl", "limit", "stop_order", "up", "down", "break"):
            self._role = "" if self._role in ("stop", "target") else self._role
        if not self._type_cue(index, token) and not self._exit_cue(index, token):
            self._price_cue(index, token)

    def _type_cue(self, index: int, token: Token) -> bool:
        """Read a word for the kind of order; tell whether it is one."""
        terms = self._terms
        if token.has("stop_order"):
            terms.order_type, self._role = "stop", "price"
            return True
        if token.has("limit") and not token.has("sl"):
            terms.order_type = terms.order_type or "limit"
            if not self._is_postfix(index):
                self._role = "price"
            return True
        return False

    def _exit_cue(self, index: int, token: Token) -> bool:
        """Read a word for a stop or a target; tell whether one is still waiting for its number."""
        if token.has("tp", "sl") and not self._is_postfix(index):
            if token.has("tp"):
                self._role = "target"
                return True
            if token.has("stop") or not token.has("buy", "sell"):
                self._role = "stop"
                return True
        return self._role in ("stop", "target")

    def _price_cue(self, index: int, token: Token) -> None:
        terms = self._terms
        if token.has("break", "up", "down", "reach") and (terms.conditional or token.has("rel")):
            self._trigger(token)
        elif token.has("raise") or token.text.startswith(_RESIZED):
            self._raises = True
        elif self._role == "" and self._links_price(index, token):
            self._role = "at"
        elif token.has("if") and self._role == "":
            self._role = "if"
        elif token.has("at") and self._role in ("", "if") and not (self._raises and token.text in ("en", "by", "a")):
            self._role = "at"
        elif (token.get("sym") or token.has("buy", "sell", "close", "unit")) and self._role in ("at", "price"):
            self._role = ""

    def _links_price(self, index: int, token: Token) -> bool:
        """Tell whether a plain "a" or "into" leads to the price ("vend 1 eth a 3900", "sell 1 into 70k")."""
        before_number = index + 1 < len(self._tokens) and self._tokens[index + 1].is_number
        return (token.text == "a" and before_number) or (token.text == "into" and self._terms.amount is not None)

    def _trigger(self, token: Token) -> None:
        terms = self._terms
        if terms.price is not None:
            return
        terms.breaks = terms.breaks or token.has("break")
        if token.has("up") != token.has("down"):
            terms.direction = "up" if token.has("up") else "down"
        self._role = "trigger"

    def _is_postfix(self, index: int) -> bool:
        """Tell whether a cue belongs to the number right before it ("a 3% stop")."""
        before = self._tokens[index - 1] if index else None
        if before is None or not before.is_number:
            before = (
                self._tokens[index - 2]
                if index > 1 and self._tokens[index - 1].text in ("tight", "protective", "de", "of")
                else None
            )
        if before is None or not before.is_number:
            return False
        ahead = self._next_number(index)
        return not ahead

    def _next_number(self, index: int) -> bool:
        for token in self._tokens[index + 1 : index + 4]:
            if token.is_number:
                return True
            if not token.has("at") and token.text not in ("de", "del", "of", "a", "al", "en", ":", "="):
                return False
        return False

    def _number(self, index: int, token: Token) -> None:
        if token.unit == "time":
            return
        if self._is_denied(index):
            return
        if token.signed and token.unit == "percent" and token.value and self._role not in ("stop", "target"):
            self._role = "target" if token.value > 0 else "stop"
        if token.value is None or (token.signed and token.value <= 0 and not self._is_distance(index, token)):
            self._terms.ask("bad_number", value=token.raw)
            return
        if token.value == 0 or abs(token.value) >= _TOO_LARGE:
            self._terms.ask("bad_number", value=token.raw)
            return
        self._corrects = index - self._corrected_at <= _CLOSE_BY
        if self._is_paid_for(index, token):
            self._terms.price, self._terms.amount = self._terms.amount, None
        role = "amount" if self._adds_half(index, token) else self._outcome(index) or self._role_of(index, token)
        if role == "amount" and self._is_loose(index, token):
            self._terms.ask("unclear")
        if role in ("stop", "target", "price", "trigger", "at") and self._is_odd(index):
            self._terms.ask("unclear")
        self._place(role, token)
        self._amount_at = index if role == "amount" else self._amount_at
        self._last, self._role = role, ""
        self._corrected_at = -_CLOSE_BY - 1
        self._either = self._vague = False

    def _is_paid_for(self, index: int, token: Token) -> bool:
        """Tell whether "for 40" behind a kind of order and a price is the amount ("buy stop link 16.75 for 40")."""
        terms, before = self._terms, self._tokens[index - 1] if index else None
        bare = terms.amount is not None and terms.price is None and not _counts_thing(self._tokens, self._amount_at)
        said = before is not None and (before.has("for") or before.text in word_set("amount_words"))
        typed = terms.order_type in ("limit", "stop") and token.unit == "" and said
        return typed and bare and terms.amount is not None and terms.amount.unit == "" and not terms.amount.is_fraction

    def _outcome(self, index: int) -> str:
        """Return the role that "if I'm wrong" and "if it works" behind a number give it."""
        for token in self._tokens[index + 1 : index + 3]:
            if token.has("wrong"):
                return "stop"
            if token.has("works"):
                return "target"
            if token.is_number:
                return ""
        return ""

    def _is_loose(self, index: int, token: Token) -> bool:
        """Tell whether a bare number right behind a price could as well be the price ("stop 4 71")."""
        before = self._tokens[index - 1] if index else None
        return self._last == "price" and token.unit == "" and before is not None and before.is_number

    def _is_odd(self, index: int) -> bool:
        """Tell whether something unknown is counted ("a stop 50 pips away", "55 lucas")."""
        after = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if after is None or after.is_number or not after.text.isalpha():
            return False
        if after.has("pips"):
            return True
        lexicon = load_lexicon()
        known = (lexicon.shared, *lexicon.own.values())
        return not after.labels and len(after.text) > 2 and not any(after.text in v.known for v in known)

    def _adds_half(self, index: int, token: Token) -> bool:
        """Read the half behind a unit ("an ounce and a half") into the number in front of the unit."""
        tokens = self._tokens
        if not token.is_fraction or index < 2 or tokens[index - 1].text not in ("y", "and"):
            return False
        if not tokens[index - 2].has("unit"):
            return False
        before = tokens[index - 3] if index > 2 else None
        whole = before.value if before is not None and before.is_number and before.value is not None else Decimal(1)
        token.value, token.is_fraction = whole + (token.value or 0), False
        self._terms.amount = None
        return True

    def _is_distance(self, index: int, token: Token) -> bool:
        return token.unit == "percent" and self._role_of(index, token) in ("stop", "target")

    def _is_denied(self, index: int) -> bool:
        """Tell whether the number is what the person does not mean ("$100, not 100 eth")."""
        before = self._tokens[index - 1] if index else None
        return before is not None and before.text in ("not", "no") and self._last != ""

    def _is_cue_behind(self, index: int, cue: Token) -> bool:
        if self._role in ("stop", "target") or cue.has("buy", "sell") or not cue.has("sl", "tp", "limit"):
            return False
        return not self._next_number(self._tokens.index(cue, index))

    def _role_of(self, index: int, token: Token) -> str:
        if self._is_share(index, token):
            return "amount"
        behind = self._role_behind(index)
        if behind or self._role in ("stop", "target"):
            return behind or self._role
        if token.unit == "percent" or self._counts(index, token):
            return "amount"
        if token.unit == "money" and self._role not in ("price", "trigger", "at"):
            return "amount"
        return self._plain_role(index, token)

    def _role_behind(self, index: int) -> str:
        """Return the role that a cue right behind a number gives it ("a 3% stop")."""
        after = self._tokens[index + 1 : index + 3]
        cue = after[0] if after else None
        if cue is not None and cue.text in ("tight", "protective", "trailing", "de", "of"):
            cue = after[1] if len(after) > 1 else None
        if cue is None or not self._is_cue_behind(index, cue):
            return ""
        return "stop" if cue.has("sl") else "target" if cue.has("tp") else "price"

    def _plain_role(self, index: int, token: Token) -> str:
        after = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if self._role == "if":
            after_move = after is not None and self._moves(after)
            return "trigger" if after_move or after is None or after.text in (",", "is", "se") else "amount"
        if after is not None and after.has("each"):
            return "at"
        if token.is_fraction and self._role in ("at", "price"):
            return "amount"
        if self._role == "" and self._corrects and self._last in ("price", "trigger", "at", "stop", "target"):
            return self._last
        return self._role or "amount"

    def _moves(self, after: Token) -> bool:
        """Tell whether a word behind a price says what it does ("if 27.40 gives way"), and note where it goes."""
        if after.text not in word_set("gives_in"):
            return after.has("up", "down", "break", "reach")
        self._terms.breaks = True
        return True

    def _is_share(self, index: int, token: Token) -> bool:
        """Tell whether it is a part of a holding ("take profits on 20% of avax") and so never a distance or a price."""
        if token.is_fraction and token.unit == "":
            return True
        ahead = self._tokens[index + 1 : index + 4]
        if token.unit != "percent" or not ahead or not (ahead[0].has("of") or ahead[0].text in ("on", "off")):
            return False
        return any(t.get("sym") is not None or t.has("position", "mine") for t in ahead)

    def _counts(self, index: int, token: Token) -> bool:
        """Tell whether a unit or a coin right behind makes it an amount."""
        after = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if after is None or (token.unit == "money" and token.payload != ""):
            return False
        if token.labels and any(label == "unit" or label.startswith("sym") for label in token.labels):
            return True
        beyond = self._tokens[index + 2] if index + 2 < len(self._tokens) else None
        of_symbol = after.text in ("de", "of") and beyond is not None and beyond.get("sym") is not None
        return _is_unit(self._tokens, index + 1) or after.get("sym") is not None or of_symbol

    def _place(self, role: str, token: Token) -> None:
        terms = self._terms
        if role == "stop":
            self._put("stop_pct" if token.unit == "percent" else "stop", token)
        elif role == "target":
            self._put("target_pct" if token.unit == "percent" else "target", token)
        elif role in ("price", "trigger", "at"):
            if self._vague:
                terms.ask("which_price")
            if role == "trigger" and not terms.order_type:
                terms.order_type = "trigger"
            elif role == "at" and not terms.order_type:
                terms.order_type = "limit"
            self._put("price", token)
        else:
            self._put_amount(token)

    def _put_amount(self, token: Token) -> None:
        terms = self._terms
        if (
            terms.amount is not None
            and terms.price is None
            and not self._corrects
            and not self._either
            and terms.order_type
            and token.unit == ""
        ):
            terms.price = token
            return
        self._put("amount", token)

    def _put(self, slot: str, token: Token) -> None:
        old: Token | None = getattr(self._terms, slot)
        if old is not None and slot == "amount" and old.unit == "money" and token.unit == "":
            token.unit, token.payload = old.unit, old.payload
        if old is not None and (old.value != token.value or old.unit != token.unit):
            if self._either:
                self._terms.ask("two_prices")
            elif not self._corrects:
                self._terms.ask("two_prices" if slot == "price" else "unclear")
        setattr(self._terms, slot, token)


def _settle_amount(clause: Clause, terms: Terms) -> None:
    features = clause.features
    if "except" in features or ("or" in features and "all" in features and terms.amount is None):
        terms.ask("how_much")
    _take_share(clause, terms)
    if terms.amount is None:
        _settle_unsized(clause, terms)
    amount = terms.amount
    if amount is None or amount.value is None:
        return
    if terms.side == "dispose":
        terms.side = "sell"
    if terms.side == "close" and amount.unit != "percent" and not amount.is_fraction:
        terms.side = "sell"
    if amount.is_fraction:
        _settle_fraction(clause, terms, amount, amount.value)
    if terms.side == "close" and amount.unit == "percent" and not _closes_plainly(clause):
        terms.side = "sell"
    if re.fullmatch(r"[$€£]?[1-9]\.000", amount.raw) and amount.value < _AMBIGUOUS_FROM:
        terms.ask("amount_ambiguous", amount=str(amount.raw), symbol=terms.symbol or "")
    if amount.unit == "" and not amount.is_fraction and is_ambiguous(clause, terms, amount):
        terms.ask("amount_ambiguous", amount=str(amount.raw), symbol=terms.symbol or "")


def _take_share(clause: Clause, terms: Terms) -> None:
    """Read the percentage behind "take profits" as the part to sell when nothing else is ordered."""
    verbs = [t for t in clause.tokens if t.has("sell", "close", "dispose")]
    if terms.amount is None and terms.target_pct is not None and verbs and all(t.has("tp") for t in verbs):
        terms.amount, terms.target_pct = terms.target_pct, None


def _settle_unsized(clause: Clause, terms: Terms) -> None:
    """Read what was said instead of a number: all of it, half of it, a coin, or nothing."""
    features = clause.features
    if count_strangers(clause) and terms.side is not None:
        terms.ask("unclear")
    if terms.side == "dispose":
        terms.side = "close"
    if "halve" in features:
        terms.side, terms.amount = "sell", number_token(Decimal(50), "percent")
    elif terms.side == "sell" and not features.isdisjoint({"all", "mine"}):
        terms.side = "close"
    elif terms.side == "buy" and "allfree" in features:
        terms.amount = number_token(_HUNDRED, "percent")
    elif terms.side in ("buy", "sell") and (has_article(clause) or _means_one_of(clause)):
        terms.amount = number_token(Decimal(1), "")
    elif terms.side == "buy" and (features.isdisjoint({"buy", "buy.noun"}) or "all" in features):
        terms.ask("how_much" if "all" in features else "buy_or_sell")


def number_token(value: Decimal, unit: Unit) -> Token:
    """Return a number that was said in other words."""
    return Token(str(value), str(value), value=value, unit=unit, is_number=True)


def _means_one_of(clause: Clause) -> bool:
    """Tell whether one coin of those held is meant ("sell one of the ethers")."""
    return any(first.has("one_of") and second.get("sym") for first, second in pairwise(clause.tokens))


def _is_article(tokens: Sequence[Token], index: int) -> bool:
    text = tokens[index].text
    return text in ("an", "un", "una") or (
        text == "a" and index > 0 and (tokens[index - 1].has("buy", "sell") or tokens[index - 1].text == "for")
    )


def has_article(clause: Clause) -> bool:
    """Tell whether one coin was said ("buy a bitcoin", "vende un ether")."""
    tokens = clause.tokens
    for index in range(len(tokens) - 1):
        if _is_article(tokens, index) and tokens[index + 1].get("sym"):
            after = tokens[index + 2] if index + 2 < len(tokens) else None
            return after is None or not after.has(
                "position", "trade", "order", "chart", "signal", "buy", "sell", "alert"
            )
    return False


def _closes_plainly(clause: Clause) -> bool:
    """Tell whether the word was "close" itself, which also takes a share."""
    return any(
        t.has("close") and t.text.startswith(("clos", "cierr", "cerr", "cover", "cubr", "flatten"))
        for t in clause.tokens
    )


def _settle_fraction(clause: Clause, terms: Terms, amount: Token, value: Decimal) -> None:
    """Read "half of my ltc" as a share and "half a bitcoin" as coins."""
    index = clause.tokens.index(amount)
    ahead = clause.tokens[index + 1 : index + 4]
    share = any(token.has("mine", "cash") for token in ahead) or "cash" in clause.features
    if terms.side == "buy" and not share and _is_part_of_something(ahead):
        terms.ask("how_much")
    behind = clause.tokens[index - 1].text if index else ""
    counted = len(ahead) > 1 and ahead[0].text in word_set("articles") and ahead[1].get("sym") is not None
    if terms.side == "close" and counted:
        terms.side = "sell"
        return
    if terms.side == "close" or (terms.side == "sell" and behind in ("by", "en")):
        share = not any(token.has("unit") for token in ahead[:1])
    if (
        terms.side in ("sell", "close", "dispose")
        and (not ahead or not _may_count(ahead[0]))
        and not _opens_short(clause)
    ):
        share = True
    if ahead and ahead[0].get("sym") and any(t.has("dispose") for t in clause.tokens):
        share = True
    if terms.side in ("sell", "close", "dispose") and ahead:
        share = share or ahead[0].text in ("the", "del", "de", "of", "that", "el", "la", "out")
        share = share or ahead[0].text.startswith("of ")
        share = share and not any(token.has("unit") and not token.text.startswith("of ") for token in ahead)
    if share:
        share_pct = (value * _HUNDRED).quantize(Decimal("0.01"))
        amount.value, amount.unit, amount.is_fraction = share_pct, "percent", False


def _is_part_of_something(ahead: Sequence[Token]) -> bool:
    """Tell whether a fraction is of something that is neither a coin nor its unit ("a quarter of the stash")."""
    if not ahead or ahead[0].text not in ("de", "of", "del"):
        return False
    return not any(t.get("sym") or t.has("unit") for t in ahead[1:])


def _opens_short(clause: Clause) -> bool:
    """Tell whether the sale opens a short instead of giving something held away."""
    return any(t.has("leg") and t.has("sell") for t in clause.tokens) and "mine" not in clause.features


def _may_count(after: Token) -> bool:
    """Tell whether a word behind a fraction may be what it counts ("half an ether", "half eth")."""
    return after.has("unit", "it") or after.get("sym") is not None or after.text in ("a", "an", "un", "una", "de", "of")


def is_ambiguous(clause: Clause, terms: Terms, amount: Token) -> bool:
    """Tell whether "100 of eth" could be coins or money."""
    if amount.value is None or amount.value < _AMBIGUOUS_FROM or "coins_said" in clause.features:
        return _odd_unit(clause, amount)
    index = clause.tokens.index(amount) if amount in clause.tokens else -1
    ahead = clause.tokens[index + 1 : index + 4]
    if index < 0 or len(ahead) < 2 or ahead[0].text not in word_set("of_or_into"):
        return _odd_unit(clause, amount)
    if amount.is_word_number and any(w in word_set("counted_groups") for w in amount.text.split(" ")):
        return False
    if (amount.is_word_number and amount.value >= 1_000_000) or any(s in amount.text for s in ("millon", "million")):
        return False
    if any(t.get("sym") and t.raw.lower().endswith("s") and len(t.raw) > _PLURAL_FROM for t in ahead):
        return False
    return ahead[1].get("sym") is not None and terms.symbol not in _FX


def _odd_unit(clause: Clause, amount: Token) -> bool:
    """Tell whether the number counts something unknown ("5 lucas a eth")."""
    index = clause.tokens.index(amount) if amount in clause.tokens else -1
    after = clause.tokens[index + 1] if 0 <= index < len(clause.tokens) - 1 else None
    if after is None or after.labels or after.is_number or not after.text.isalpha() or len(after.text) < 3:
        return False
    lexicon = load_lexicon()
    if not any(after.text in known.known for known in (lexicon.shared, *lexicon.own.values())):
        return True
    fillers = load_lexicon().own["en"].fillers | load_lexicon().own["es"].fillers
    beyond = clause.tokens[index + 2] if index + 2 < len(clause.tokens) else None
    return after.text not in fillers and beyond is not None and beyond.has("into", "of", "at")


def order_arguments(terms: Terms) -> dict[str, ArgumentValue] | Question:
    """Return the arguments of `execute_trade`, or the question that the terms leave open."""
    if terms.question is not None:
        return terms.question
    if terms.symbol is None:
        return Question("which_symbol")
    if terms.side == "both":
        return Question("contradiction")
    if terms.side is None:
        return Question("buy_or_sell")
    _fix_fx_prices(terms)
    if _prices_an_amount(terms) or _is_changed_over(terms):
        terms.amount, terms.price = terms.price, terms.amount
    args: dict[str, ArgumentValue] = {"symbol": terms.symbol, "side": terms.side}
    question = _add_amount(args, terms) or _add_price(args, terms) or _add_exits(args, terms)
    return question or contradiction(args) or args


def _fix_grouped_prices(terms: Terms) -> None:
    """Read "2.280" as thousands for what never costs so little, wherever a dot groups."""
    for slot in ("price", "stop", "target"):
        token: Token | None = getattr(terms, slot)
        if token is not None:
            token.value = read_price(terms.symbol, token)


def read_price(symbol: str | None, token: Token) -> Decimal | None:
    """Return the price that a number means for an instrument: "2.280" is no price of gold, 2280 is."""
    value = token.value
    if symbol in _FX and value is not None and value >= _FX_PRICE_LIMIT and re.fullmatch(r"\d[.,]\d{3}", token.raw):
        return value / 1000
    if symbol in _DEAR and value is not None and value < _CHEAP and re.fullmatch(r"\$?\d{1,2}\.\d{3}", token.raw):
        return value * 1000
    return value


def _fix_fx_prices(terms: Terms) -> None:
    """Read "1.305" as a price of a currency even where a dot groups thousands."""
    _fix_grouped_prices(terms)
    if terms.symbol not in _FX:
        return
    for slot in ("price", "stop", "target"):
        token: Token | None = getattr(terms, slot)
        if (
            token is not None
            and token.value is not None
            and token.value >= _FX_PRICE_LIMIT
            and token.raw.count(".") == 1
        ):
            token.value = Decimal(token.raw)


def _prices_an_amount(terms: Terms) -> bool:
    """Tell whether a currency's price and amount were taken for each other ("buy stop gbpusd 1.2825, 40k")."""
    price, amount = terms.price, terms.amount
    if terms.symbol not in _FX or price is None or amount is None or amount.unit or price.value is None:
        return False
    return price.value >= _FX_PRICE_LIMIT and amount.value is not None and amount.value < _FX_PRICE_LIMIT / 10


def _is_changed_over(terms: Terms) -> bool:
    """Tell whether the amount is about what a unit costs, and the price far from it ("eth 3000, limit buy 0.5")."""
    usual, price, amount = typical_price(terms.symbol), terms.price, terms.amount
    if usual is None or price is None or amount is None or amount.unit or amount.is_fraction:
        return False
    if price.value is None or amount.value is None or price.value <= 0:
        return False
    fits, far = float(amount.value) / usual, float(price.value) / usual
    return 1 / _FAR < fits < _FAR and not 1 / _VERY_FAR < far < _VERY_FAR


def _add_amount(args: dict[str, ArgumentValue], terms: Terms) -> Question | None:
    amount = terms.amount
    if amount is None or amount.value is None:
        return None
    if amount.unit == "percent":
        if amount.value > _HUNDRED:
            return Question("bad_number", {"value": amount.raw})
        if amount.value == _HUNDRED and args["side"] in ("sell", "close"):
            args["side"] = "close"
            return None
        args["unit"] = "percent"
    elif amount.unit == "money":
        args["unit"] = "quote"
    args["amount"] = plain(amount.value)
    return None


def _add_price(args: dict[str, ArgumentValue], terms: Terms) -> Question | None:
    price = terms.price
    if price is None or price.value is None:
        return Question("which_price") if terms.order_type in ("limit", "stop") and not terms.market else None
    if terms.market and terms.order_type == "":
        return Question("two_prices")
    args["order_type"] = _order_type(terms)
    args["price"] = plain(price.value)
    return None


def _order_type(terms: Terms) -> str:
    if terms.order_type in ("limit", "stop"):
        return terms.order_type
    if terms.breaks and not (terms.side == "buy" and terms.direction == "down"):
        return "stop"
    upward = terms.direction == "up"
    if terms.direction == "":
        return "stop" if terms.breaks else "limit"
    return "stop" if upward == (terms.side == "buy") else "limit"


def _add_exits(args: dict[str, ArgumentValue], terms: Terms) -> Question | None:
    for name, token in (
        ("stop_loss", terms.stop),
        ("take_profit", terms.target),
        ("stop_loss_pct", terms.stop_pct),
        ("take_profit_pct", terms.target_pct),
    ):
        if token is None or token.value is None:
            continue
        value = abs(token.value)
        if name == "stop_loss_pct" and value > _HUNDRED:
            return Question("bad_number", {"value": token.raw})
        args[name] = plain(value)
    return None


def contradiction(args: Mapping[str, ArgumentValue]) -> Question | None:
    """Return the question that an order with its stop, price and target out of order leaves open."""
    stop, price, target = (args.get(name) for name in ("stop_loss", "price", "take_profit"))
    if args["side"] == "close":
        return None
    ladder = [value for value in (stop, price, target) if isinstance(value, Decimal)]
    rising = all(low < high for low, high in pairwise(ladder))
    falling = all(low > high for low, high in pairwise(ladder))
    fits = rising if args["side"] == "buy" else falling
    return None if fits else Question("contradiction")


def plain(value: Decimal) -> Decimal:
    """Return a number without trailing zeros or exponent.

    >>> plain(Decimal("1.50")), plain(Decimal("1E+3"))
    (Decimal('1.5'), Decimal('1000'))
    """
    normal = value.normalize()
    is_whole = normal == normal.to_integral_value() and normal.adjusted() < _DIGITS
    return normal.quantize(Decimal(1)) if is_whole else normal
