"""One part of a text in its sentence, and what stands before a word in the same clause."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from copilot.brain.checking.words import fold, lower

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_CLAUSE = re.compile(r"[,;:|(—–!]|\. | - ")
_LEAD = re.compile(r"[\s\-•#>|\"“«¡¿(]*(?:\d{1,2}[.)] )?[\s\"“«¡¿]*")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as far as it has come.

    Attributes:
        text: Lower case, accents kept, from its first word on.
        folded: The same without accents; positions are equal.
        new: Where the part that is being checked begins; what ends before it was checked already.
        shift: Where the part's first letter stands; below 0 when marks in front were left out.
    """

    text: str
    folded: str
    new: int
    shift: int

    @property
    def is_question(self) -> bool:
        """Tell whether it asks."""
        return self.text.rstrip('"”»)*_ \n').endswith("?")

    def before(self, at: int, count: int) -> list[str]:
        """Return the last words of the clause in front of a position."""
        clause = _CLAUSE.split(self.folded[max(0, at - 120) : at])[-1]
        return [word.removesuffix("'s") for word in WORD.findall(clause)[-count:]]

    def is_new(self, match: re.Match[str]) -> bool:
        """Tell whether a match reaches into the part that is being checked."""
        return match.end() > self.new


def read_sentence(before: str, part: str) -> Sentence:
    """Return a part with what its sentence said before it."""
    whole = (before + part).replace("’", "'").replace("‘", "'")
    lead = _LEAD.match(whole)
    start = min(lead.end() if lead else 0, len(whole))
    lowered = lower(whole[start:])
    return Sentence(lowered, fold(lowered), max(0, len(before) - start), len(before) - start)


def any_of(words: Iterable[str]) -> str:
    """Return a pattern for one of some phrases, the longest first."""
    return "(?:" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + ")"


def blank(pattern: re.Pattern[str], text: str) -> str:
    """Return a text with every match replaced by as many spaces."""
    return pattern.sub(lambda match: " " * len(match[0]), text)
