"""Every number of a text against the facts: value, unit, sign, and the place where numbers of things may stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.facts import Fact, Facts
from copilot.brain.checking.figures import Figure, find_figures
from copilot.brain.checking.sentences import any_of
from copilot.brain.checking.words import LANGUAGES, Language, fold, load_list, load_numbers

_LIST_NUMBER = re.compile(r"[ \t]*(?:[-•#]+ )?(\d{1,2})(?:[.)])(?=\s)")
_SPACED_DIGITS = re.compile(r"(?<![\d.,])\d(?: \d){2,}(?!\d)")
_WORD = re.compile(r"[^\W\d_]+")
_ARTICLES = frozenset({"la", "las", "el", "los", "the", "y", "and"})
"""In front of a bare number that names a second thing, as in "order 12 and the 13"."""
_ROLE_REACH = 60
_WORDS_BEFORE, _WORDS_AFTER = 5, 3
_CLAUSE_END = re.compile(r"[.;:!?|]|, ")


class NumberCheck:
    """Checks the numbers of one text, part by part."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lines = 0
        self._said_thing = False
        self._other = _other_words(facts.language)

    def check(self, text: str, before: str, *, at_line_start: bool) -> None:
        """Check one part of a text.

        Args:
            text: Without Markdown's emphasis.
            before: What the same line said before this part.
            at_line_start: Whether the part begins a line, where a list may be numbered.

        Raises:
            Caught: A number is not covered.
        """
        if at_line_start:
            text = self._without_list_number(text)
        if not _may_hold_numbers(text, self._facts.language):
            self._check_other_language(text)
            return
        spaced = _SPACED_DIGITS.search(text)
        if spaced:
            raise Caught("number", spaced[0])
        masked = self._facts.mask_names(text)
        was_id = False
        for figure in find_figures(masked, self._facts.language):
            if not figure.is_free:
                was_id = self._check_figure(figure, text, before, after_id=was_id)
        self._check_other_language(masked)

    def _without_list_number(self, text: str) -> str:
        self._lines += 1
        match = _LIST_NUMBER.match(text)
        if match is None or not 1 <= int(match[1]) <= self._lines:
            return text
        return " " * match.end() + text[match.end() :]

    def _check_figure(self, figure: Figure, text: str, before: str, *, after_id: bool) -> bool:
        """Check one figure; tell whether it is the number of a thing (an order, a ticket)."""
        facts = self._facts
        if figure.unit == "date":
            return self._require(facts.knows_date(figure.payload), figure)
        if figure.unit in ("clock", "ratio"):
            return self._require(facts.knows_clock(figure.payload) or self._is_ratio(figure), figure)
        if figure.unit == "money" and figure.payload not in facts.currencies:
            self._require(figure.payload in facts.bases, figure)
            figure = replace(figure, unit="asset")
        found = facts.covering(figure)
        if not found:
            return self._require(self._is_year(figure), figure)
        kinds = {fact.kind for fact in found}
        if "id" in kinds and (after_id or self._names_thing(figure, text, before)):
            self._said_thing = True
            return True
        self._require(kinds != {"id"}, figure)
        self._check_role(figure, found, before + text[: figure.start])
        self._check_sign(figure, found, text)
        return False

    def _check_role(self, figure: Figure, found: Sequence[Fact], ahead: str) -> None:
        """Catch one known figure told as another: the target's price called the stop."""
        named = _role_names(self._facts.language).search(fold(ahead[-_ROLE_REACH:]))
        role = _roles(self._facts.language)[named["name"]] if named else "none"
        kinds = {fact.kind for fact in self._facts.numbers if fact.role == role} if role != "none" else set()
        if any(fact.kind in kinds for fact in found):
            self._require(any(fact.role == role or fact.kind == "plain" for fact in found), figure)

    def _require(self, condition: bool, figure: Figure) -> bool:
        if not condition:
            raise Caught("number", figure.text)
        return False

    def _is_ratio(self, figure: Figure) -> bool:
        """Tell whether "1.5:1" or "1:1.5" is a known reward for one of risk."""
        parts = [part.strip() for part in figure.payload.split(" ")[0].split(":")]
        if len(parts) != 2 or "1" not in parts:
            return False
        other = parts[0] if parts[1] == "1" else parts[1]
        return any(
            self._facts.covering(replace(read, unit="ratio")) for read in find_figures(other, self._facts.language)
        )

    def _is_year(self, figure: Figure) -> bool:
        is_plain = figure.unit == "" and figure.sign == 0 and figure.step == 1 and not figure.is_scaled
        return (
            is_plain and figure.text.isdecimal() and figure.value is not None and self._facts.knows_year(figure.value)
        )

    def _names_thing(self, figure: Figure, text: str, before: str) -> bool:
        ahead = before + text[: figure.start]
        line = ahead.rsplit("\n", 1)[-1]
        if not re.search(r"\w", line) or line.rstrip().endswith(("#", "nº", "n.º", "No.")):
            return True
        words = _WORD.findall(fold(line))[-4:]
        if self._said_thing and words and words[-1] in _ARTICLES:
            return True
        return any(word in load_numbers(language).id_nouns for word in words for language in LANGUAGES)

    def _check_sign(self, figure: Figure, found: Sequence[Fact], text: str) -> None:
        """Catch a loss told as a gain, and a gain as a loss."""
        if figure.sign or not all(fact.is_signed and fact.value for fact in found):
            return
        signs = {fact.value > 0 for fact in found}
        if len(signs) > 1:
            return
        near = _near_words(figure, text)
        gain, loss = (_has(near, name) for name in ("gain", "loss"))
        if (gain and not loss) if signs == {False} else (loss and not gain):
            raise Caught("number_sign", text)

    def _check_other_language(self, text: str) -> None:
        """Catch number words of the language that the answer is not in."""
        other: Language = "es" if self._facts.language == "en" else "en"
        folded = fold(text)
        if not self._other.search(folded):
            return
        for figure in find_figures(folded, other):
            said = _WORD.findall(figure.text.lower())
            if said and self._other.search(figure.text.lower()) and not self._facts.covering(figure):
                raise Caught("number", figure.text)


@cache
def _roles(language: Language) -> dict[str, str]:
    rows = load_list(f"words_{language}")["roles"].items()
    return {name: role for role, names in rows for name in names}


@cache
def _role_names(language: Language) -> re.Pattern[str]:
    links = any_of(load_list(f"words_{language}")["role_links"])
    return re.compile(rf"(?<![\w-])(?P<name>{any_of(_roles(language))})(?:\s*{links}(?!\w))*\s*$")


def _may_hold_numbers(text: str, language: Language) -> bool:
    return bool(_number_like(language).search(fold(text)))


@cache
def _number_like(language: Language) -> re.Pattern[str]:
    words = load_numbers(language)
    groups = (words.units, words.hundreds, words.scales, words.parts, words.counted_parts)
    return re.compile(rf"\d|[½¼¾⅓⅔⅛]|(?<!\w){any_of(word for group in groups for word in group)}(?!\w)")


_AMBIGUOUS = frozenset(
    {
        "once",
        "mil",
        "un",
        "una",
        "uno",
        "triple",
        "doble",
        "dobla",
        "ten",
        "one",
        "a",
        "hundreds",
        "tercio",
        "double",
        "miles",
        "doubles",
        "triples",
    }
)
"""Words that the two languages share, or that mean something else in the other one."""


@cache
def _other_words(language: Language) -> re.Pattern[str]:
    words = load_numbers("es" if language == "en" else "en")
    said = {w for group in (words.units, words.hundreds, words.scales, words.parts) for w in group} - _AMBIGUOUS
    return re.compile(rf"(?<!\w){any_of(said)}(?!\w)")


def _near_words(figure: Figure, text: str) -> list[str]:
    ahead = _CLAUSE_END.split(fold(text[: figure.start]))[-1]
    behind = _CLAUSE_END.split(fold(text[figure.end :]))[0]
    return _WORD.findall(ahead)[-_WORDS_BEFORE:] + _WORD.findall(behind)[:_WORDS_AFTER]


def _has(words: Sequence[str], name: str) -> bool:
    return any(word in getattr(load_numbers(language), name) for word in words for language in LANGUAGES)
