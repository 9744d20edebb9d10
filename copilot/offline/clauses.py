"""Requests inside a message: where one ends, what each asks for.

A message is cut at marks and joining words. A piece with its own request starts a clause; a piece without one belongs
to the clause before it (or behind it, at the start). What a clause asks for is decided by the weighted rules in
`lexicon/shared.yaml`, over the meanings of its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import yaml

from copilot.offline.allotments import allotment_of
from copilot.offline.lexicon import word_set
from copilot.offline.tokens import Token

TRADE = "execute_trade"
_BRIEF = 5
_SHORTEST_TAGGED = 4
TF_UNITS = ("minute", "hour")
LONG_UNITS = ("day", "week", "month", "year")


@dataclass(slots=True)
class Clause:
    """Tokens that make one request.

    Attributes:
        tokens: In spoken order.
        asked: Whether a question mark closes it.
        tool: The tool it asks for; empty when it asks for nothing.
        score: How strongly.
    """

    tokens: list[Token] = field(default_factory=list)
    asked: bool = False
    tool: str = ""
    score: float = 0.0
    features: frozenset[str] = frozenset()
    inherits: bool = False

    def settle(self) -> None:
        """Work out the features, the tool and the score again."""
        self.features = features_of(self.tokens, self.asked)
        self.tool, self.score = best_tool(self.features)

    def all(self, kind: str) -> list[str]:
        """Return the payloads of a kind in spoken order, without repeats."""
        found: list[str] = []
        for token in self.tokens:
            found += [value for value in token.of(kind) if value not in found]
        return found

    def first(self, kind: str) -> str | None:
        """Return the first payload of a kind."""
        return next(iter(self.all(kind)), None)


@dataclass(frozen=True, slots=True)
class _Rule:
    tool: str
    score: float
    needs: tuple[frozenset[str], ...]
    none: frozenset[str]


@cache
def _rules() -> tuple[_Rule, ...]:
    text = files("copilot.offline.lexicon").joinpath("shared.yaml").read_text("utf-8")
    rows = yaml.load(text, Loader=yaml.BaseLoader)["intents"]
    rules = [
        _Rule(
            row["tool"],
            float(row["score"]),
            tuple(frozenset(need.split("|")) for need in row["all"]),
            frozenset(row.get("none", ())),
        )
        for row in rows
    ]
    return tuple(sorted(rules, key=lambda rule: -rule.score))


def best_tool(features: frozenset[str]) -> tuple[str, float]:
    """Return the tool with the strongest claim and its score; ("", 0) when none has any."""
    trade = trade_score(features)
    for rule in _rules():
        if rule.score <= trade:
            break
        if rule.none.isdisjoint(features) and all(not need.isdisjoint(features) for need in rule.needs):
            return rule.tool, rule.score
    return (TRADE, trade) if trade else ("", 0.0)


_OTHER_HEADS = frozenset({"backtest", "agent", "alert", "why", "lang", "base_currency", "favourites", "rpt", "alertid"})
_SIDES = frozenset({"buy", "sell", "dispose", "close", "halve"})


def trade_score(features: frozenset[str]) -> float:
    """Return how strongly the words ask for a trade."""
    if not _OTHER_HEADS.isdisjoint(features) or ("notify" in features and "condition" in features):
        return 0.0
    has_size = not features.isdisjoint({"number", "money", "percent", "allfree", "all"})
    has_sym = not features.isdisjoint({"sym", "sym?", "unknown"})
    if not features.isdisjoint({"signal", "model"}) and not ({"number", "money", "percent"} & features):
        return 0.0
    if "orderid" in features and "remove" in features:
        return 0.0
    if (
        not features.isdisjoint({"remove", "stop"})
        and not features.isdisjoint({"trade", "position"})
        and has_sym
        and "number" not in features
    ):
        return 66.0
    if not features.isdisjoint({"cancel"}) or ("pending" in features and "order" in features):
        return 0.0
    if not _SIDES.isdisjoint(features):
        return _strong(features, has_sym, has_size)
    if (
        not features.isdisjoint({"buy.noun", "sell.noun"})
        and has_size
        and not features.isdisjoint({"sym", "limit", "at"})
    ):
        return 73.0
    return _weak(features, has_sym, has_size)


def _strong(features: frozenset[str], has_sym: bool, has_size: bool) -> float:
    if not features.isdisjoint({"remove"}) and "order" in features and not ({"money", "percent"} & features):
        return 0.0 if "number" not in features or "orderid" in features else 73.0
    if "order" in features and not has_size and "question" in features:
        return 0.0
    if "question" in features and not has_sym and "number" not in features:
        return 0.0
    if has_sym:
        return 73.0 if not features.isdisjoint({"number", "money", "percent", "all"}) else 63.0
    return 62.0 if has_size else 45.0


def _waits_for_price(features: frozenset[str]) -> bool:
    """Tell whether the only number is a price to wait for, or names an order."""
    return "orderid" in features or ({"if", "condition"} <= features and "numbers2" not in features)


def _weak(features: frozenset[str], has_sym: bool, has_size: bool) -> float:
    if has_sym and "number" in features and not features.isdisjoint({"pays", "takes"}):
        return 60.0
    return _soft(features, has_sym)


def _soft(features: frozenset[str], has_sym: bool) -> float:
    if "cash" in features and has_sym and "number" in features and features.isdisjoint({"question", "show", "mine_"}):
        return 72.0
    if "allfree" in features and has_sym:
        return 72.0
    if _waits_for_price(features):
        return 0.0
    moneyed = not features.isdisjoint({"money", "percent"})
    sized = moneyed or "number" in features
    if (
        "buy.weak" in features
        and sized
        and has_sym
        and features.isdisjoint({"chart", "ind", "signal", "days", "position", "pnl", "per", "tf"})
    ):
        return 71.0
    if moneyed and has_sym and "of_sym" in features:
        return 53.0
    if (
        has_sym
        and not features.isdisjoint({"trade", "order", "position"})
        and "open_verb" in features
        and features.isdisjoint({"question", "pnl"})
    ):
        return 58.0
    if "buy.weak" in features and moneyed:
        return 49.0
    if has_sym and sized and features.isdisjoint({"chart", "ind", "signal", "days", "tf"}):
        return 37.0
    if sized and not features.isdisjoint({"sl", "tp", "limit", "unknown", "unit"}):
        return 36.0
    return 0.0


_ACTIONS = frozenset({"buy", "sell", "dispose", "close", "buy.weak", "remove", "first"})


def features_of(tokens: Sequence[Token], asked: bool) -> frozenset[str]:
    """Return the meanings in a clause: labels without payload, kinds of numbers, and a few relations."""
    minutes = _is_bare_minutes(tokens)
    found: set[str] = {"shorttime"} if minutes else set()
    conditional = told = False
    for index, token in enumerate(tokens):
        conditional = conditional or token.has("if") or reminds(tokens, index)
        told = told or (token.has("notify") and not conditional) or reminds(tokens, index)
        moves = conditional and (told or token.has("up", "down", "break"))
        found.update(_label_features(token, moves=moves))
        if token.is_number and not minutes:
            if token.unit != "time":
                found.add("numbers2" if "number" in found else "number")
            found.update(_number_features(token))
    if asked:
        found.update({"question", "asked"})
    if _opens_question(tokens):
        found.add("question")
    if len(tokens) <= _BRIEF:
        found.add("brief")
    found.update(_relations(tokens))
    allotted = allotment_of(tokens)
    if allotted is not None:
        found.add("mandates" if allotted == "shown" else "allots")
    if any(t.signed and t.unit == "percent" for t in tokens):
        found.add("condition")
    if not found.isdisjoint({"up", "down", "reach"}) and not found.isdisjoint({"number", "percent", "money"}):
        found.add("condition")
    return frozenset(found)


def reminds(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether the person only wants to be told to act ("remind me to sell", "avísame para comprar")."""
    ahead = tokens[index + 1 : index + 3]
    return (
        tokens[index].has("notify")
        and len(ahead) > 1
        and ahead[0].text in ("to", "para", "de", "que")
        and ahead[1].has("buy", "sell", "close", "dispose")
    )


def _label_features(token: Token, *, moves: bool) -> Iterator[str]:
    """Yield the meanings of one word; behind an "if" a word for a move is no order, nor any behind "tell me if"."""
    for label in token.labels:
        kind, _, value = label.partition(":")
        if label == "question" or (moves and label in _ACTIONS):
            continue
        yield kind
        if kind == "ind":
            yield label
        if kind == "days" and value == "365":
            yield "past_year"
    if token.text in word_set("self"):
        yield "self"


_URGED = ("buy", "sell", "close", "notify", "set", "show", "cancel", "remove", "pause", "resume", "name_word", "start")
_OPENERS = frozenset({"greeting", "also", "then", "confirm", "thanks", "polite", "smalltalk", "it"})


def _opens_question(tokens: Sequence[Token]) -> bool:
    """Tell whether a question word opens the clause, behind a greeting or an "and" at most."""
    for token in tokens[:3]:
        if token.has("question", "concept_q") and not is_plain_que(token):
            return not _is_stressed(tokens, tokens.index(token))
        if token.labels - _OPENERS:
            return False
    return False


def _is_stressed(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether "do" only urges ("do call me", "do let me know"), or "it is" states."""
    if tokens[index].text in ("is", "was") and index and tokens[index - 1].has("it"):
        return True
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    return tokens[index].text == "do" and after is not None and after.has(*_URGED)


def is_plain_que(token: Token) -> bool:
    """Tell whether it is the joining "que" and not the asking "qué"."""
    return token.raw.lower() in ("que", "como")


def _is_bare_minutes(tokens: Sequence[Token]) -> bool:
    """Tell whether "15m" can only be a length of time ("eth 15m"), and no fifteen million."""
    numbers = [t for t in tokens if t.is_number]
    alone = len(tokens) <= _BRIEF and len(numbers) == 1 and numbers[0].raw.lower() in ("1m", "5m", "15m", "30m")
    return alone and not any(
        t.has("buy", "sell", "close", "dispose", "buy.weak", "sell.noun", "buy.noun") for t in tokens
    )


def _number_features(token: Token) -> set[str]:
    if token.unit == "time":
        return {"shorttime"} if token.payload in TF_UNITS else {"longtime"}
    if token.unit == "percent":
        return {"percent", "number"}
    if token.unit == "money":
        return {"money", "number"}
    return {"number"}


_ID_NOUNS = {"alert": "alertid", "order": "orderid", "trade": "tradeid"}


def _relations(tokens: Sequence[Token]) -> set[str]:
    found: set[str] = set()
    for index, token in enumerate(tokens):
        if is_identifier(tokens, index):
            noun = noun_before(tokens, index)
            if index + 1 < len(tokens) and (tokens[index + 1].get("sym") or tokens[index + 1].has("unit")):
                continue
            if noun == "alert" and index + 1 < len(tokens) and tokens[index + 1].has("up", "down", "than"):
                continue
            if noun:
                found.add(_ID_NOUNS[noun])
        if token.get("sym") and index and tokens[index - 1].has("of", "into"):
            found.add("of_sym")
    return found


def is_identifier(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether a token may be the number of an order, an alert or a trade."""
    token = tokens[index]
    if token.has("id"):
        return True
    if token.is_word_number and token.value is not None and not token.is_fraction:
        return token.unit == "" and token.value == token.value.to_integral_value() and token.value > 1
    return token.is_number and token.unit == "" and token.raw.isdigit()


def noun_before(tokens: Sequence[Token], index: int) -> str | None:
    """Return what a number identifies by the noun in front of it: "alert", "order" or "trade"."""
    for back in range(index - 1, max(-1, index - 6), -1):
        token = tokens[back]
        for noun in ("alert", "order", "trade"):
            if token.has(noun) and not token.has("sl"):
                return noun
        if token.has("stop_order"):
            return "order"
        if token.text not in word_set("links") and not is_identifier(tokens, back):
            return None
    return None


def split_sentences(tokens: Sequence[Token]) -> list[Clause]:
    """Cut at the marks that end a sentence."""
    sentences: list[Clause] = []
    current = Clause()
    for token in tokens:
        if token.text in word_set("ends") and not token.is_number:
            current.asked = token.text == "?" and not _ends_in_tag(current.tokens)
            if current.tokens:
                sentences.append(current)
                current = Clause()
            elif token.text == "?" and sentences:
                sentences[-1].asked = not _ends_in_tag(sentences[-1].tokens)
            continue
        current.tokens.append(token)
    if current.tokens:
        sentences.append(current)
    return sentences


def _ends_in_tag(tokens: list[Token]) -> bool:
    """Drop a tag behind a request ("close my ltc, no?"); tell whether there was one. Who asks "I buy, no?" asks."""
    if len(tokens) < _SHORTEST_TAGGED or not tokens[-1].has("tag") or any(t.has("first") for t in tokens):
        return False
    tokens.pop()
    return True


def split_pieces(sentence: Clause) -> list[Clause]:
    """Cut a sentence at commas, colons and joining words."""
    pieces: list[Clause] = [Clause(asked=sentence.asked)]
    for index, token in enumerate(sentence.tokens):
        if (
            (token.text in word_set("joins") or token.has("then"))
            and not _is_cut_short(pieces[-1].tokens, token)
            and not token.is_number
            and not _glues(sentence.tokens, index)
        ):
            pieces.append(Clause(asked=sentence.asked))
        pieces[-1].tokens.append(token)
    return pieces


def _is_cut_short(tokens: Sequence[Token], mark: Token) -> bool:
    """Tell whether nothing stands in front of a mark, or a verb alone in front of "also" ("cierra también avax")."""
    if not tokens:
        return True
    said = [t for t in tokens if not t.has("also", "then")]
    return mark.text in word_set("adverbs") and len(said) == 1 and said[0].has(*_URGED)


def _glues(tokens: Sequence[Token], index: int) -> bool:
    return (
        tokens[index].text in ("-", "–", "+")
        and not tokens[index].raw.isspace()
        and index + 1 < len(tokens)
        and tokens[index + 1].is_number
    )
