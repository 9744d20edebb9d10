"""What the owner asks to have remembered or forgotten: done here, without tools and without a model.

A fact is kept in the person's own words and only ever quoted. Erasing everything needs a second, exact sentence,
because it cannot be undone; orders, tickets and the ledger are not memory and stay.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from copilot.memory import Fact, Facts, Forgotten
from copilot.wording import format_time, render_error
from copilot.wording.formats import escape
from engine.domain.errors import InvalidRequest
from prompts import load_words
from tools.profile import Profiles

Language = Literal["en", "es"]
Kind = Literal["remember", "list", "forget_one", "ask_forget_all", "forget_all"]

_POLITE = r"(?:please|por favor|oye|hey)?[\s,]*"
_WORDS: tuple[tuple[Kind, Language, str], ...] = (
    ("forget_all", "en", r"forget me for good"),
    ("forget_all", "es", r"olv[ií]dame para siempre"),
    ("ask_forget_all", "en", r"forget me"),
    (
        "ask_forget_all",
        "en",
        r"(?:forget|erase|delete) (?:everything|all) (?:you (?:know|have) )?(?:about|of|on) me",
    ),
    ("ask_forget_all", "es", r"olv[ií]dame"),
    (
        "ask_forget_all",
        "es",
        r"(?:olvida|borra|elimina) todo lo que (?:sabes|tienes|guardas) (?:de|sobre) m[ií]",
    ),
    ("forget_one", "en", r"(?:forget|erase|delete) (?:fact|note)\s*#?(?P<number>\d{1,6})"),
    ("forget_one", "es", r"(?:olvida|borra|elimina) (?:el |la )?(?:dato|nota)\s*#?(?P<number>\d{1,6})"),
    ("list", "en", r"(?:what do you (?:know|remember) about me|what have i told you about me)\s*\??"),
    ("list", "es", r"¿?\s*qu[eé] (?:sabes|recuerdas) (?:de|sobre) m[ií]\s*\??"),
    ("remember", "en", r"(?:(?:remember|note|keep in mind|bear in mind) that|remember:)\s+(?P<fact>.+?)"),
    (
        "remember",
        "es",
        r"(?:(?:recuerda|apunta|anota|ten en cuenta|ten presente|acu[eé]rdate de) que|recuerda:)\s+(?P<fact>.+?)",
    ),
)
_PATTERNS = tuple(
    (kind, language, re.compile(_POLITE + words + r"[\s.!]*", re.IGNORECASE | re.DOTALL))
    for kind, language, words in _WORDS
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a message asks of the memory."""

    kind: Kind
    language: Language
    fact: str = ""
    number: int = 0


class Memory(Protocol):
    """What is needed of the memory."""

    facts: Facts

    async def forget_me(self, owner: str) -> Forgotten:
        """Erase everything of an owner."""
        ...


def read_wish(text: str) -> Wish | None:
    """Return what a message asks of the memory, or None when it is about something else.

    >>> read_wish("Remember that I never hold over the weekend.").fact
    'I never hold over the weekend'
    >>> read_wish("remember to buy gold") is None
    True
    """
    said = text.strip()
    for kind, language, pattern in _PATTERNS:
        if (match := pattern.fullmatch(said)) is not None:
            found = match.groupdict()
            return Wish(kind, language, found.get("fact") or "", int(found.get("number") or 0))
    return None


class Remembering:
    """Does what wishes ask, and says so."""

    def __init__(
        self,
        memory: Memory,
        profiles: Profiles,
        now: Callable[[], datetime],
        *,
        erase: Callable[[str], object] = lambda _owner: None,
    ) -> None:
        """Bind them.

        Args:
            memory: Conversations and facts.
            profiles: What owners have set.
            now: The present, aware UTC.
            erase: Erases what surfaces keep of an owner's conversations.
        """
        self._memory = memory
        self._profiles = profiles
        self._now = now
        self._erase = erase

    async def answer(self, owner: str, wish: Wish, chosen: Language | None) -> tuple[str, Language]:
        """Carry a wish out and return the answer, in the language chosen or else in that of the wish."""
        language = chosen or wish.language
        words: Mapping[str, Any] = load_words(language, "messages")["facts"]
        match wish.kind:
            case "remember":
                return await self._remember(owner, wish.fact, words, language), language
            case "list":
                return _list(await self._memory.facts.list(owner), words, language), language
            case "forget_one":
                fact = await self._memory.facts.remove(owner, wish.number)
                told = words["forgot_one"] if fact is not None else words["no_such"]
                return str(told).format(number=wish.number, fact="" if fact is None else escape(fact.text)), language
            case "ask_forget_all":
                return str(words["ask_forget_all"]), language
            case "forget_all":
                gone = await self._memory.forget_me(owner)
                self._profiles.forget(owner)
                await asyncio.to_thread(self._erase, owner)
                told = str(words["forgot_all"])
                return told.format(conversations=gone.conversations, facts=gone.facts), language

    async def _remember(self, owner: str, fact: str, words: Mapping[str, Any], language: Language) -> str:
        try:
            added = await self._memory.facts.add(owner, fact, self._now())
        except InvalidRequest as error:
            return render_error(error, language)
        told = words["noted"] if added.is_new else words["known"]
        answer = str(told).format(number=added.fact.number, fact=escape(added.fact.text))
        if added.dropped is not None:
            answer += " " + str(words["dropped"]).format(fact=escape(added.dropped.text))
        return answer


def _list(facts: tuple[Fact, ...], words: Mapping[str, Any], language: Language) -> str:
    if not facts:
        return str(words["none"])
    told = [
        str(words["line"]).format(number=fact.number, fact=escape(fact.text), at=format_time(fact.at, language))
        for fact in facts
    ]
    return "\n".join([str(words["head"]), "", *(f"- {line}" for line in told)])
