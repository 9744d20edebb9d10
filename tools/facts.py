"""What the owner asked to have remembered about themself, in their own words.

A fact is a quotation, never an instruction: nothing here reads it, and whoever shows it to a chat model passes it
through `quote_facts`, so that its words cannot pose as anything else. Who keeps facts is a Protocol; how long one may
be, how many there are and what counts as the same fact is decided here, once for every store.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.domain.errors import InvalidRequest

MAX_FACTS = 100
"""Facts kept for one owner; all of them must fit a prompt."""
MAX_FACT_LENGTH = 300
"""Longest fact, in characters."""
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
"""Unicode categories that nobody says: controls, invisible marks, half characters, breaks."""
_JOINERS = "\u200c\u200d"
"""Invisible marks that spelling (and emoji) need."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    Attributes:
        number: Given once to each fact of an owner, counting up; a removed one is not given again.
        text: The person's own words.
        at: When they were first said, aware UTC.
    """

    number: int
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FactAdded:
    """What adding a fact did.

    Attributes:
        fact: The fact as it stands; the earlier one where the same had been said before.
        is_new: Whether it was not known yet.
        dropped: The oldest fact, which had to go to make room; the person must be told.
    """

    fact: Fact
    is_new: bool
    dropped: Fact | None = None


class Facts(Protocol):
    """Keeps facts, each owner's apart from all others'; a failing store is a `MemoryUnavailable`."""

    async def add(self, owner: str, text: str, at: datetime) -> FactAdded:
        """Remember a fact; one that says the same as an earlier one changes nothing.

        Raises:
            InvalidRequest: There are no words, or too many (`fact_empty`, `fact_too_long`).
        """
        ...

    async def list(self, owner: str) -> tuple[Fact, ...]:
        """Return the owner's facts, oldest first."""
        ...

    async def remove(self, owner: str, number: int) -> Fact | None:
        """Forget one fact and return it; None when the owner has none of that number."""
        ...


def clean_fact(text: str) -> str:
    """Return the words on one line, without invisible characters; the words themselves stay as they were said.

    Raises:
        InvalidRequest: Nothing is left, or more than `MAX_FACT_LENGTH` characters.
    """
    words = " ".join("".join(_visible(mark) for mark in text).split())
    if not words:
        raise InvalidRequest("fact_empty")
    if len(words) > MAX_FACT_LENGTH:
        raise InvalidRequest("fact_too_long", length=len(words), limit=MAX_FACT_LENGTH)
    return words


def same_fact(text: str) -> str:
    """Return what two facts have in common that say the same: case, accents' form and the last stop don't count.

    >>> same_fact("I hate  leverage.") == same_fact("i hate leverage")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .!¡")


def quote_facts(facts: Iterable[Fact]) -> str:
    r"""Return facts for a prompt: one a line, its number and its words as a JSON string, so that none ends its quotes.

    >>> from datetime import UTC, datetime
    >>> print(quote_facts([Fact(3, 'I say "no" to leverage', datetime(2026, 1, 1, tzinfo=UTC))]))
    3. "I say \"no\" to leverage"
    """
    return "\n".join(f"{fact.number}. {json.dumps(fact.text, ensure_ascii=False)}" for fact in facts)


def _visible(mark: str) -> str:
    if mark.isspace():
        return " "
    return "" if unicodedata.category(mark) in _HIDDEN and mark not in _JOINERS else mark
