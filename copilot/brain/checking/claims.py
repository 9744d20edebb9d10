"""Deeds that a text claims, and whether a result says the same.

A model can only word; whatever it says that it bought, sent, approved, cancelled or changed is untrue unless a result
tells so. Said by the first person, a deed of the past or of the near future is a claim whatever stands around it; said
of a thing ("the order was sent"), it is one unless its clause denies it or makes it wait for the owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.facts import Facts
from copilot.brain.checking.sentences import WORD, Sentence, any_of, blank
from copilot.brain.checking.words import LANGUAGES, Language, load_list, load_numbers

_THING_REACH = 5
_FAR, _NEAR, _DENIED = 7, 3, 3
_DENIALS = frozenset({"no", "nunca", "tampoco", "ni", "jamas", "nada", "not", "never", "nor"})
_PROTECTION = frozenset({"stop", "stop-loss", "target", "objetivo", "loss", "limit"})
_NOUGHT = re.compile(r" 0(?![\d.,]*[1-9])")
_RESTING = frozenset({"placed", "set", "colocado", "colocada", "puesta"})


@dataclass(frozen=True, slots=True)
class _Claims:
    first: re.Pattern[str]
    first_of: Mapping[str, str]
    strong: re.Pattern[str]
    weak: re.Pattern[str]
    deed_of: Mapping[str, str]
    gerund: re.Pattern[str]
    gerund_subjects: re.Pattern[str]
    things: frozenset[str]
    phrases: tuple[tuple[str, bool, re.Pattern[str]], ...]
    far: frozenset[str]
    near: frozenset[str]
    conditions: re.Pattern[str]
    blocks: re.Pattern[str]
    harmless: re.Pattern[str]
    own_order: re.Pattern[str]
    own_order_excuses: re.Pattern[str]


@cache
def _claims(language: Language) -> _Claims:
    data = load_list(f"words_{language}")
    deeds: Mapping[str, Mapping[str, Sequence[str]]] = data["deeds"]
    by_word = {word: deed for deed, forms in deeds.items() for form in forms.values() for word in form}
    strong, weak = ([word for forms in deeds.values() for word in forms[name]] for name in ("past", "weak"))
    return _Claims(
        first=_first_person(data, language),
        first_of=by_word,
        strong=re.compile(rf"(?<![\w-]){any_of(strong)}(?![\w-])"),
        weak=re.compile(rf"(?<![\w-]){any_of(weak)}(?![\w-])"),
        deed_of=by_word,
        gerund=re.compile(rf"(?:^|[,:;—] ?){any_of(word for forms in deeds.values() for word in forms['ing'])}(?!\w)"),
        gerund_subjects=re.compile(rf"(?<!\w){any_of(data['gerund_subjects'])}(?!\w)"),
        things=frozenset(data["things"]),
        phrases=tuple((row["deed"], "always" in row, re.compile(row["pattern"])) for row in data["claims"]),
        far=frozenset(data["negators_far"]),
        near=frozenset(data["negators_near"]),
        conditions=re.compile(rf"(?<!\w){data['conditions_after']}"),
        blocks=re.compile(rf"(?<!\w){any_of(data['history_blocks'])}(?!\w)"),
        own_order=re.compile(data["own_order"]),
        own_order_excuses=re.compile(data["own_order_excuses"]),
        harmless=re.compile(rf"(?<!\w){any_of(load_numbers(language).harmless)}(?!\w)"),
    )


def _first_person(data: Mapping[str, Any], language: Language) -> re.Pattern[str]:
    deeds = data["deeds"].values()
    past = any_of(word for forms in deeds for word in [*forms["past"], *forms["weak"]])
    ahead = any_of(word for forms in deeds for word in [*forms["base"], *forms["ing"]])
    gap = rf"(?:,? (?!{any_of(data['gap_stops'])}(?![\w']))[\w'-]+){{0,3}}"
    clitics = r"(?:se|te|me|nos)?(?:l[oae]s?)?" if language == "es" else ""
    ways = [
        rf"{data['first_past']}{gap},? (?P<past>{past})(?!\w)",
        rf"{data['first_future']}{gap} (?P<ahead>{ahead}){clitics}(?!\w)",
    ]
    if language == "es":
        ways.append(f"(?P<now>{any_of(word for forms in deeds for word in forms['first'])})(?!\\w)")
    return re.compile(r"(?<![\w'])(?:" + "|".join(ways) + ")")


class ClaimCheck:
    """Checks what a text says was done or will be done."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def check(self, sentence: Sentence) -> None:
        """Check the new part of a sentence.

        Raises:
            Caught: It claims a deed that no result holds.
        """
        for language in LANGUAGES:
            claims = _claims(language)
            text = blank(claims.harmless, sentence.folded)
            self._check_first(sentence, claims)
            self._check_strong(sentence, text, claims)
            self._check_weak(sentence, text, claims)
            self._check_phrases(sentence, text, claims)
            self._check_gerund(sentence, claims)
            self._check_own_order(sentence, text, claims)

    def _check_first(self, sentence: Sentence, claims: _Claims) -> None:
        for match in claims.first.finditer(sentence.text):
            if not sentence.is_new(match) or _DENIALS.intersection(sentence.before(match.start(), _DENIED)):
                continue
            said = match.groupdict()
            word = said["past"] or said["ahead"] or said.get("now") or ""
            if said.get("now") and sentence.is_question:
                continue
            self._require(claims.first_of[word], sentence, claims, is_first=True)

    def _check_strong(self, sentence: Sentence, text: str, claims: _Claims) -> None:
        for match in claims.strong.finditer(text):
            if sentence.is_new(match) and not self._is_excused(match, sentence, text, claims):
                self._require(claims.deed_of[match[0]], sentence, claims, is_first=False)

    def _check_weak(self, sentence: Sentence, text: str, claims: _Claims) -> None:
        for match in claims.weak.finditer(text):
            if not sentence.is_new(match) or not claims.things.intersection(
                sentence.before(match.start(), _THING_REACH)
            ):
                continue
            if not self._is_excused(match, sentence, text, claims):
                self._require(claims.deed_of[match[0]], sentence, claims, is_first=False)

    def _is_excused(self, match: re.Match[str], sentence: Sentence, text: str, claims: _Claims) -> bool:
        before = WORD.findall(re.split(r"[,;:|(—–!]", text[: match.start()])[-1])
        if claims.far.intersection(before[-_FAR:]) or any(word.endswith("n't") for word in before[-_FAR:]):
            return True
        if claims.near.intersection(before[-_NEAR:]) or claims.conditions.search(text, match.end()):
            return True
        if _NOUGHT.match(text, match.end()) or re.search(r"(?<![\d.,])0 $", text[: match.start()]):
            return True
        if match[0] in _RESTING and _PROTECTION.intersection(before[-3:]):
            return bool(self._facts.directions or "ticket" in self._facts.deeds)
        return match[0] == "sold" and text.startswith(" off", match.end())

    def _check_phrases(self, sentence: Sentence, text: str, claims: _Claims) -> None:
        for deed, is_always, pattern in claims.phrases:
            for match in pattern.finditer(text):
                if not sentence.is_new(match) or (deed == "alert" and sentence.is_question):
                    continue
                before = [*sentence.before(match.start(), 4), *WORD.findall(match[0])]
                waits = deed != "alert" and claims.conditions.search(text, match.end())
                is_denied = waits or _DENIALS.intersection(before) or any(word.endswith("n't") for word in before)
                if is_always or not (is_denied or claims.far.intersection(sentence.before(match.start(), 4))):
                    self._require(deed, sentence, claims, is_first=False)

    def _check_gerund(self, sentence: Sentence, claims: _Claims) -> None:
        """Catch "Placing the order…", but not "Selling short profits when…"."""
        for match in claims.gerund.finditer(sentence.folded):
            word = match[0].lstrip(",:;— ")
            if sentence.is_new(match) and not claims.gerund_subjects.search(sentence.folded, match.end()):
                self._require(claims.deed_of[word], sentence, claims, is_first=True)

    def _check_own_order(self, sentence: Sentence, text: str, claims: _Claims) -> None:
        """Catch what is told plainly of "your order" where no result holds an order."""
        facts = self._facts
        if facts.history or facts.holdings or "ticket" in facts.deeds or sentence.is_question:
            return
        for match in claims.own_order.finditer(text):
            if sentence.is_new(match) and not claims.own_order_excuses.search(text):
                raise Caught("claim", sentence.text)

    def _require(self, deed: str, sentence: Sentence, claims: _Claims, *, is_first: bool) -> None:
        facts = self._facts
        if deed in facts.deeds:
            return
        if not is_first and deed in facts.history and not claims.blocks.search(sentence.folded):
            return
        raise Caught("claim", sentence.text)
