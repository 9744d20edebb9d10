"""What changes from turn to turn, told to a language model in its last message and nowhere else.

It is material to understand words by ("close it", "my favourites"), in the language of the answer and without prices:
figures come from tools. What cannot be read is left out; a turn never fails for it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from copilot.offline.values import Language
from copilot.wording import format_time
from engine.domain.errors import CopilotError, DataUnavailable
from engine.domain.protocols import MarketData
from prompts import load_words
from tools.agent_results import ProposalView
from tools.decisions import Asked
from tools.facts import Fact, quote_facts
from tools.profile import Profiles

log = logging.getLogger(__name__)

_WATCHED = ("BTC/USDT", "ETH/USDT", "XAUUSD")
_MOST_WATCHED = 6
_DAY = 25
"""Hourly bars of a day, with the close that it began from."""
_FLAT_RATIO = 0.002
_FRESH_S = 60.0
_DIRECTIONS = ("up", "down", "flat", "unknown")

OpenTickets = Callable[[str], Sequence[Asked]]
OpenSymbols = Callable[[str], Awaitable[Sequence[str]]]
"""Instruments in which an owner holds a position."""
KnownFacts = Callable[[str], Awaitable[Sequence[Fact]]]
"""What an owner asked to be remembered, in their own words."""


class Cache(Protocol):
    """Keeps small values for a while, for every process of the app; a failing one holds nothing."""

    async def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""
        ...

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep a value for some seconds."""
        ...


class Situation:
    """Tells an owner's situation as short lines."""

    def __init__(
        self,
        market: MarketData,
        profiles: Profiles,
        tickets: OpenTickets,
        positions: OpenSymbols,
        facts: KnownFacts,
        cache: Cache,
        now: Callable[[], datetime],
    ) -> None:
        self._market = market
        self._profiles = profiles
        self._tickets = tickets
        self._positions = positions
        self._facts = facts
        self._cache = cache
        self._now = now

    async def __call__(self, owner: str, language: Language) -> str:
        """Return the lines, in a fixed order."""
        words = load_words(language, "situation")
        told = [words["now"].format(time=format_time(self._now().astimezone(UTC), language))]
        if self._market.is_simulated:
            told.append(words["simulated"].format(time=format_time(self._market.now(), language)))
        for part in (self._profile, self._movement, self._open, self._remembered):
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

    async def _movement(self, owner: str, words: Mapping[str, str]) -> list[str]:
        """Tell which way the owner's instruments have gone in a day, without figures."""
        symbols = self._profiles.get(owner).favourites or _WATCHED
        moved = [f"{symbol} {words[await self._direction(symbol)]}" for symbol in symbols[:_MOST_WATCHED]]
        return [words["moved"].format(moves=", ".join(moved))]

    async def _direction(self, symbol: str) -> str:
        key = f"direction:{self._market.name}:{symbol}"
        held = await self._cache.get(key)
        if held is not None:
            return held.decode() if held.decode() in _DIRECTIONS else "flat"
        try:
            close = self._market.bars(symbol, "1h", _DAY).close
        except DataUnavailable:
            return "unknown"
        change = 0.0 if len(close) < _DAY else float(close[-1] / close[0] - 1)
        direction = "flat" if abs(change) < _FLAT_RATIO else "up" if change > 0 else "down"
        await self._cache.put(key, direction, _FRESH_S)
        return direction

    async def _open(self, owner: str, words: Mapping[str, str]) -> list[str]:
        held = await self._positions(owner)
        told = [words["positions"].format(symbols=", ".join(held) or words["none"])]
        waiting = [_number(ticket) for ticket in self._tickets(owner)]
        return told + ([words["tickets"].format(ids=", ".join(waiting))] if waiting else [])

    async def _remembered(self, owner: str, words: Mapping[str, str]) -> list[str]:
        facts = await self._facts(owner)
        return [words["facts"].format(facts="\n" + quote_facts(facts))] if facts else []


def _number(asked: Asked) -> str:
    return asked.number if isinstance(asked, ProposalView) else str(asked.ticket_id)
