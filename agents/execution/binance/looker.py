"""Looks at the exchange: its rules, what rests there, and what became of everything that was open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from agents.execution.binance.guard import Guard
from agents.execution.binance.keeper import Keeper, raise_first
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import read_rules
from agents.execution.binance.values import Incident, Leg, VenueState
from engine.domain.errors import VenueUnavailable

FRESH_S = 0.5
"""How long a complete look at the exchange counts as the present, while no event came."""
RULES_AGE_S = 3600.0
_INFO_TIMEOUT_S = 20.0


class Looker:
    """Brings what is stored in line with the exchange.

    Args:
        keeper: Knows what stands at the exchange.
        guard: Keeps what filled under protection.
    """

    def __init__(self, keeper: Keeper, guard: Guard) -> None:
        self._keeper = keeper
        self._guard = guard
        self._store = keeper.store
        self._looked_at: datetime | None = None
        self._ruled_at: datetime | None = None

    def forget(self) -> None:
        """Forget that we looked just now: something happened."""
        self._looked_at = None

    async def look_if_old(self) -> None:
        """Look, unless that was done just now.

        Raises:
            VenueUnavailable: Something was not answered.
        """
        if self._is_old(self._looked_at, FRESH_S):
            await self.look()

    async def look(self) -> None:
        """Ask for everything of which something is to be learnt, and tend what is protected.

        Raises:
            VenueUnavailable: Something was not answered.
        """
        begun = self._keeper.now()
        symbols = {leg.symbol for leg in self._store.open_legs()}
        symbols |= {symbol for symbol, _ in self._store.unfinished_entries()}
        raise_first(await asyncio.gather(*map(self._look_at, sorted(symbols)), return_exceptions=True))
        await self._keeper.price_fees()
        self._looked_at = begun

    async def _look_at(self, symbol: str) -> None:
        """Look at one symbol, each of its entries by itself, so that none waits for another's trouble."""
        legs = [leg for leg in self._store.open_legs() if leg.symbol == symbol]
        entries = {entry_id for each, entry_id in self._store.unfinished_entries() if each == symbol}
        urgency = Urgency.PROTECTION if entries else Urgency.ORDER
        [resting] = await asyncio.gather(self._keeper.resting(symbol, legs, urgency), return_exceptions=True)
        known = {} if isinstance(resting, BaseException) else resting
        names = sorted(entries | {leg.entry_id for leg in legs})
        work = [self._look_after(name, [leg for leg in legs if leg.entry_id == name], known, urgency) for name in names]
        raise_first([resting, *await asyncio.gather(*work, return_exceptions=True)])

    async def _look_after(
        self, entry_id: str, legs: Sequence[Leg], resting: Mapping[str, VenueState], urgency: Urgency
    ) -> None:
        """Bring one entry up to date and tend it, also when not everything about it was answered."""
        async with self._keeper.turn(entry_id):
            [answered] = await asyncio.gather(self._keeper.renew_all(legs, resting, urgency), return_exceptions=True)
            await self._guard.tend(entry_id)
            raise_first([answered])

    async def read_rules_if_old(self) -> None:
        """Read the exchange's rules once an hour.

        Raises:
            VenueUnavailable: It does not tell them.
        """
        if self._is_old(self._ruled_at, RULES_AGE_S):
            await self.read_rules_now()

    async def look_at_open(self) -> None:
        """Look at each symbol in which something is open once its rules are known; after a restart this comes first.

        No symbol waits for another's rules, and rules that an earlier attempt read are not asked for again.

        Raises:
            VenueUnavailable: Something was not answered.
        """
        symbols = {leg.symbol for leg in self._store.open_legs()}
        symbols |= {symbol for symbol, _ in self._store.unfinished_entries()}
        symbols |= {row["symbol"] for row in self._store.unpriced()}  # a fee is counted by the symbol's quote
        if symbols:
            raise_first(await asyncio.gather(*map(self._open_up, sorted(symbols)), return_exceptions=True))
            await self._keeper.price_fees()

    async def _open_up(self, symbol: str) -> None:
        if symbol not in self._keeper.rules:
            await self._read_rules(symbol.replace("/", ""), Urgency.PROTECTION, None)
        await self._look_at(symbol)

    async def read_rules_now(self) -> None:
        """Read the exchange's rules and limits.

        Raises:
            VenueUnavailable: It does not tell them.
        """
        await self._read_rules("", Urgency.READ, _INFO_TIMEOUT_S)
        self._ruled_at = self._keeper.now()

    async def _read_rules(self, symbol_id: str, urgency: Urgency, timeout_s: float | None) -> None:
        dialect = self._keeper.dialect
        try:
            info = await self._keeper.gateway.read(dialect.info(symbol_id), urgency=urgency, timeout_s=timeout_s)
        except Failure as failure:
            raise VenueUnavailable(f"the venue's rules: {failure}") from failure
        rules = read_rules(info, is_futures=dialect.is_futures) if isinstance(info, dict) else {}
        if not rules:
            raise VenueUnavailable("the venue told of no symbol that trades")
        self._keeper.gateway.limiter.learn(info.get("rateLimits") or ())
        self._keeper.rules = {**self._keeper.rules, **rules}

    async def look_for_strangers(self) -> None:
        """Tell of orders that rest on the account and are not ours.

        Raises:
            VenueUnavailable: The exchange does not tell what rests.
        """
        try:
            resting = await self._keeper.dialect.all_open_ids(self._keeper.gateway)
        except Failure as failure:
            raise VenueUnavailable(f"open orders: {failure}") from failure
        for symbol_id, leg_id in resting:
            if not self._store.legs(leg_id=leg_id):
                self._keeper.tell(Incident.UNKNOWN_ORDER, leg_id[:64], symbol_id[:32])

    def _is_old(self, at: datetime | None, seconds: float) -> bool:
        return at is None or (self._keeper.now() - at).total_seconds() > seconds
