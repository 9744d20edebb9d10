"""What changes from turn to turn, told to a language model in its last message and nowhere else.

It is material to understand words by ("close it", "my favourites"), in the language of the answer and without prices:
figures come from tools. What cannot be read is left out; a turn never fails for it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from copilot.offline.values import Language
from copilot.wording import format_time
from engine.domain.errors import CopilotError
from engine.domain.protocols import MarketData
from prompts import load_words
from tools.profile import Profiles
from tools.results import TicketView

log = logging.getLogger(__name__)

OpenTickets = Callable[[str], Sequence[TicketView]]
OpenSymbols = Callable[[str], Awaitable[Sequence[str]]]
"""Instruments in which an owner holds a position."""
KnownFacts = Callable[[str], Awaitable[Sequence[str]]]
"""What an owner asked to be remembered, in their own words."""


class Situation:
    """Tells an owner's situation as short lines."""

    def __init__(
        self,
        market: MarketData,
        profiles: Profiles,
        tickets: OpenTickets,
        positions: OpenSymbols,
        facts: KnownFacts,
        now: Callable[[], datetime],
    ) -> None:
        self._market = market
        self._profiles = profiles
        self._tickets = tickets
        self._positions = positions
        self._facts = facts
        self._now = now

    async def __call__(self, owner: str, language: Language) -> str:
        """Return the lines, in a fixed order."""
        words = load_words(language, "situation")
        told = [words["now"].format(time=format_time(self._now().astimezone(UTC), language))]
        if self._market.is_simulated:
            told.append(words["simulated"].format(time=format_time(self._market.now(), language)))
        for part in (self._profile, self._open, self._remembered):
            try:
                told += await part(owner, words)
            except (CopilotError, ValueError) as error:
                log.warning("a part of the situation cannot be told: %s", error)
        return "\n".join(f"- {line}" for line in told)

    async def _profile(self, owner: str, words: Mapping[str, str]) -> list[str]:
        profile = self._profiles.get(owner)
        told = [words["name"].format(name=profile.name)] if profile.name else []
        return told + (
            [words["favourites"].format(symbols=", ".join(profile.favourites))] if profile.favourites else []
        )

    async def _open(self, owner: str, words: Mapping[str, str]) -> list[str]:
        held = await self._positions(owner)
        told = [words["positions"].format(symbols=", ".join(held) or words["none"])]
        waiting = [str(ticket.ticket_id) for ticket in self._tickets(owner)]
        return told + ([words["tickets"].format(ids=", ".join(waiting))] if waiting else [])

    async def _remembered(self, owner: str, words: Mapping[str, str]) -> list[str]:
        facts = await self._facts(owner)
        return (
            [words["facts"].format(facts="; ".join(json.dumps(fact, ensure_ascii=False) for fact in facts))]
            if facts
            else []
        )
