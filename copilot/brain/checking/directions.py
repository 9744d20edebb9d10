"""Which way a text says to trade, and which instruments it speaks of, against the signals.

Advice must be the signal's own: it is caught where the signal says otherwise, and where there is no signal. Words for
a market's leaning may also rest on a chart's trend. The lines of tickets, orders and holdings may be spelt out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.facts import Facts
from copilot.brain.checking.instruments import find_symbols
from copilot.brain.checking.sentences import Sentence, any_of, blank
from copilot.brain.checking.standing import SIDES, Side
from copilot.brain.checking.words import LANGUAGES, Language, load_list

Manner = Literal["line", "advice", "state", "bias", "mention"]
_REACH = 6
_NO_GAP = r"(?:or|and|limit|stop|orders?|side|price|o|y|volume|pressure|a mercado|limitada|en stop)"
_PRAISED = r"(?:is|looks|makes|seems|wins|pays|es|parece|gana|tiene sentido)(?! (?:not|no|n't|below|above|at|\d))(?!\w)"
_MEANS = r"(?:significa|consiste|supone|implica|permite|gana|pierde|reparte|quiere decir|seria|means|would)(?!\w)"
"""Behind these a bare verb is the subject of an explanation, not an order."""


@dataclass(frozen=True, slots=True)
class _Directions:
    ways: tuple[tuple[Manner, Side, re.Pattern[str]], ...]
    names: re.Pattern[str]
    negations: frozenset[str]
    no_trade: re.Pattern[str]
    predicts: re.Pattern[str]
    enters: re.Pattern[str]


@cache
def _directions(language: Language) -> _Directions:
    data = load_list(f"words_{language}")
    return _Directions(
        ways=tuple(_ways(data)),
        names=re.compile(rf"(?<!\w)(?:{any_of(data['pattern_names'])}(?!\w)|{data['quotes']})"),
        negations=frozenset(data["negations"]),
        no_trade=re.compile(data["no_trade"]),
        predicts=re.compile(data["predicts"]),
        enters=re.compile(data["enters"]),
    )


def _ways(data: Mapping[str, Any]) -> Iterator[tuple[Manner, Side, re.Pattern[str]]]:
    """Yield how each side is named: a bare order, advice, what a signal or a position is, and a market's leaning."""
    starters, recommends, nouns = (any_of(data[name]) for name in ("starters", "recommends", "signal_nouns"))
    gap = rf"(?:[ :(*\"“«'—–-]+(?!{any_of(data['negations'])}(?!\w))[\w/']+){{0,3}}?"
    for side in SIDES:
        forms = data["directions"][side]
        base, any_form = any_of([*forms["base"], *forms["bare"]]), any_of([*forms["base"], *forms["ing"]])
        open_end = rf"(?!\w|-\w|[ -]{_NO_GAP}(?!\w)|(?: \w+){{0,5}} {_MEANS})"
        yield "line", side, re.compile(rf"(?:^|[.:;!,—–|•(] ?|- )(?:{starters}[,:!]? )*{base}{open_end}")
        yield "advice", side, re.compile(rf"(?<!\w){recommends}{gap}[ :(*\"“«'—–-]+{any_form}{open_end}")
        yield "state", side, re.compile(rf"(?<!\w){nouns}{gap}[ :(*\"“«'—–-]+{any_form}(?!\w)")
        yield "state", side, re.compile(rf"(?<!\w){any_form} {nouns}(?!\w)")
        yield "state", side, re.compile(rf"^(?:it's |it is |es )?(?:an? |una? )?{any_form}(?= ?[.:,!;—]|$)")
        yield "mention", side, re.compile(rf"(?<![\w-]){any_of([*forms['base'], *forms['doing']])}{open_end}")
        yield "state", side, re.compile(rf"(?<!\w)(?:an?|the|un|el) {any_of(forms['bare'])} {_PRAISED}")
        yield "bias", side, re.compile(rf"(?<!\w){any_of(data['bias'][side])}(?!\w)")


class DirectionCheck:
    """Checks instruments and directions, remembering which instrument a text speaks of."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._current: str | None = None
        self._is_first = True

    def check(self, sentence: Sentence, part: str) -> None:
        """Check the new part of a sentence; `part` is the same in its own letters.

        Raises:
            Caught: An instrument nobody spoke of, or a direction that no signal has.
        """
        named = self._instruments(part, sentence.shift)
        if self._is_first and sentence.text.strip():
            self._is_first = False
            self._check_assent(sentence)
        for language in LANGUAGES:
            directions = _directions(language)
            text = blank(directions.names, sentence.folded)
            for manner, side, pattern in directions.ways:
                for match in pattern.finditer(text):
                    if sentence.is_new(match):
                        self._check_side(manner, side, match, sentence, directions, named)
            self._check_others(text, sentence, directions, named)
        if named:
            self._current = named[-1][1]

    def _instruments(self, part: str, start: int) -> list[tuple[int, str]]:
        named = sorted((start + at, symbol) for at, symbol in find_symbols(part))
        for _, symbol in named:
            if symbol not in self._facts.symbols and symbol not in self._facts.currencies | self._facts.bases:
                raise Caught("instrument", part)
        return [(at, symbol) for at, symbol in named if symbol in self._facts.symbols]

    def _check_assent(self, sentence: Sentence) -> None:
        """Catch a "yes" to "should I buy?" that the signal does not give."""
        if self._facts.asked is None or not _ASSENT.match(sentence.folded):
            return
        if not self._is_allowed("line", self._facts.asked, self._only_symbol()):
            raise Caught("direction", sentence.text)

    def _check_side(
        self,
        manner: Manner,
        side: Side,
        match: re.Match[str],
        sentence: Sentence,
        directions: _Directions,
        named: list[tuple[int, str]],
    ) -> None:
        if sentence.is_question or self._is_denied(match.start(), sentence, directions):
            return
        symbol = self._symbol_at(match.start(), named)
        if manner == "mention" and (symbol is None or symbol not in self._facts.directions):
            return
        if manner == "line" and match[0].startswith("|"):
            manner = "state"
        if not self._is_allowed(manner, side, symbol):
            raise Caught("direction", sentence.text)

    def _is_denied(self, at: int, sentence: Sentence, directions: _Directions) -> bool:
        before = sentence.before(at, _REACH)
        return bool(directions.negations.intersection(before)) or any(word.endswith("n't") for word in before)

    def _check_others(
        self, text: str, sentence: Sentence, directions: _Directions, named: list[tuple[int, str]]
    ) -> None:
        for match in directions.no_trade.finditer(text):
            symbol = self._symbol_at(match.start(), named)
            advised = self._facts.directions.get(symbol or "", "none")
            if (
                sentence.is_new(match)
                and advised != "none"
                and not self._is_denied(match.start(), sentence, directions)
            ):
                raise Caught("direction", sentence.text)
        for match in directions.enters.finditer(text):
            symbol = self._symbol_at(match.start(), named)
            if sentence.is_question or not sentence.is_new(match) or self._has_reason(symbol):
                continue
            if not self._is_denied(match.start(), sentence, directions):
                raise Caught("direction", sentence.text)
        for match in directions.predicts.finditer(text):
            if sentence.is_question or not sentence.is_new(match):
                continue
            if not self._is_denied(match.start(), sentence, directions):
                raise Caught("certainty", sentence.text)

    def _has_reason(self, symbol: str | None) -> bool:
        """Tell whether anything speaks for a trade in an instrument, whichever way."""
        facts = self._facts
        sides = facts.lines | facts.leanings | {pair for pair in facts.directions.items() if pair[1] != "none"}
        return any(known == symbol for known, _ in sides)

    def _symbol_at(self, at: int, named: list[tuple[int, str]]) -> str | None:
        before = [symbol for start, symbol in named if start <= at]
        if before:
            return before[-1]
        after = [symbol for start, symbol in named if start > at]
        return after[0] if after else self._current or self._only_symbol()

    def _only_symbol(self) -> str | None:
        known = set(self._facts.directions) or self._facts.symbols
        return next(iter(known)) if len(known) == 1 else None

    def _is_allowed(self, manner: Manner, side: Side, symbol: str | None) -> bool:
        facts = self._facts
        advised = facts.directions
        if symbol is not None and symbol in advised:
            is_advised = advised[symbol] == side
        else:
            is_advised = symbol is None and bool(advised) and set(advised.values()) == {side}
        pairs = {
            "line": facts.lines,
            "advice": frozenset(),
            "state": facts.lines | facts.holdings,
            "bias": facts.leanings,
            "mention": facts.lines | facts.holdings,
        }
        known = pairs[manner]
        return is_advised or any(pair == (symbol or pair[0], side) for pair in known)


_ASSENT = re.compile(
    r"(?:yes|yeah|yep|sure|absolutely|of course|go ahead|go for it|by all means"
    r"|si|claro|por supuesto|adelante|vale)(?!\w)"
)
