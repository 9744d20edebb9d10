"""Several markets as one, joined by symbol, with the provenance of each symbol.

The first part leads: its clock is the market's. A symbol belongs to the first part that has it. A part may show an
instrument of its own market under another name, as a proxy: prices are the other's, and `source_of` says so. What no
part has is absent, and `missing` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from engine.data.live.values import Announcing, Diagnosed, OnNews, SourceKind, SymbolSource
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Instrument, Quote, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, Timeframe


@runtime_checkable
class Running(Protocol):
    """A market that must be opened and closed."""

    async def open(self, progress: Callable[[float], None] | None = None) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """End."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A market within a market.

    Attributes:
        symbols: Our symbols from it and what they are called there; equal, but for proxies.
        kind: What it is, for symbols that are not proxies.
        is_owned: Whether it is opened and closed together with the whole.
    """

    market: MarketData
    symbols: Mapping[str, str]
    kind: SourceKind = "exchange"
    name: str = ""
    is_owned: bool = True


class CompositeMarket:
    """A `MarketData` made of several.

    Args:
        parts: The first leads.
        name: What the whole is called; the leading part's name when empty.
        wanted: Symbols that people expect; those that no part has are told by `missing`.
    """

    def __init__(self, parts: Sequence[Part], *, name: str = "", wanted: Sequence[str] = ()) -> None:
        if not parts:
            raise ValueError("a market needs at least one part")
        self._parts = tuple(parts)
        self.name = name or parts[0].market.name
        self.is_simulated = any(part.market.is_simulated for part in parts)
        self._wanted = tuple(wanted)
        self._closing = AsyncExitStack()

    async def open(self, progress: Callable[[float], None] | None = None) -> None:
        """Open the parts, one after the other.

        Raises:
            DataUnavailable: The leading part cannot be opened; another one that fails only lacks its symbols.
        """
        running = [(number, part.market) for number, part in enumerate(self._parts) if part.is_owned]
        for number, market in running:
            if not isinstance(market, Running):
                continue
            self._closing.push_async_callback(market.close)

            def tell(share: float, number: int = number) -> None:
                if progress:
                    progress((number + share) / len(self._parts))

            try:
                await market.open(tell)
            except DataUnavailable:
                if number == 0:
                    await self.close()
                    raise
        if progress:
            progress(1.0)

    async def close(self) -> None:
        """Close the parts that were opened; harmless when repeated."""
        await self._closing.aclose()

    def now(self) -> datetime:
        """Return the leading part's present."""
        return self._parts[0].market.now()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return what some part has."""
        found: dict[str, Instrument] = {}
        for part in self._parts:
            theirs = part.market.instruments()
            for symbol, their in part.symbols.items():
                if their in theirs and symbol not in found:
                    found[symbol] = theirs[their] if symbol == their else _named(symbol, theirs[their])
        return MappingProxyType(found)

    def quote(self, symbol: str) -> Quote:
        """Return the present best prices.

        Raises:
            DataUnavailable: No part has the symbol, or it has no price.
        """
        part, their = self._find(symbol)
        quote = part.market.quote(their)
        # A part's clock may be a little ahead of the leading one.
        return replace(quote, symbol=symbol, at=min(quote.at, self.now()))

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars, oldest first.

        Raises:
            DataUnavailable: No part has the symbol, or not that timeframe.
        """
        part, their = self._find(symbol)
        return _renamed(symbol, part.market.bars(their, timeframe, limit))

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the finest closed bars with `start <= open time < end`.

        Raises:
            DataUnavailable: No part has the symbol.
        """
        part, their = self._find(symbol)
        return _renamed(symbol, part.market.bars_between(their, start, end))

    def source_of(self, symbol: str) -> SymbolSource:
        """Return where the prices of a symbol come from, and how old its last bar is.

        Raises:
            DataUnavailable: No part has the symbol.
        """
        part, their = self._find(symbol)
        place = part.name or part.market.name
        last_bar_at = self._last_bar_at(symbol)
        if symbol != their:
            return SymbolSource("proxy", f"{their}@{place}", last_bar_at)
        return SymbolSource("simulated" if part.market.is_simulated else part.kind, place, last_bar_at)

    def missing(self) -> Mapping[str, str]:
        """Return the symbols that were wanted and that no part has, with the reason's code.

        `no_source` when no part was to have it, else that part's own reason (`not_traded`, `no_bars`).
        """
        found, reasons = self.instruments(), dict.fromkeys(self._wanted, "no_source")
        for part in reversed(self._parts):
            told: Mapping[str, str] = getattr(part.market, "missing", dict)()
            for symbol, their in part.symbols.items():
                reasons[symbol] = told.get(their, "not_traded")
        return {symbol: reason for symbol, reason in reasons.items() if symbol not in found}

    def listen(self, on_news: OnNews) -> Callable[[], None]:
        """Have a function told of every symbol of which a part says that it has a new bar; returns what ends that."""
        ends = []
        for part in self._parts:
            if isinstance(part.market, Announcing):
                ours: dict[str, list[str]] = {}
                for symbol, their in part.symbols.items():
                    ours.setdefault(their, []).append(symbol)

                def pass_on(their: str, ours: dict[str, list[str]] = ours) -> None:
                    for symbol in ours.get(their, ()):
                        on_news(symbol)

                ends.append(part.market.listen(pass_on))

        def stop() -> None:
            for end in ends:
                end()

        return stop

    def trouble(self, symbol: str) -> str:
        """Return the code of what ails a symbol in its part, or an empty text."""
        part, their = self._find(symbol)
        return part.market.trouble(their) if isinstance(part.market, Diagnosed) else ""

    def _find(self, symbol: str) -> tuple[Part, str]:
        for part in self._parts:
            their = part.symbols.get(symbol)
            if their is not None and their in part.market.instruments():
                return part, their
        raise DataUnavailable(f"there is no source for {symbol!r}")

    def _last_bar_at(self, symbol: str) -> datetime | None:
        for timeframe in TIMEFRAMES:
            try:
                bars = self.bars(symbol, timeframe, 1)
            except DataUnavailable:
                continue
            if len(bars):
                return utc_from_seconds(int(bars.time[-1]) + TIMEFRAME_S[timeframe])
        return None


def parse_proxies(text: str) -> dict[str, str]:
    """Return which instrument stands for which symbol, from text such as `XAUUSD=PAXG/USDT, EURUSD=EUR/USDT`.

    >>> parse_proxies("XAUUSD=PAXG/USDT, EURUSD=EUR/USDT")
    {'XAUUSD': 'PAXG/USDT', 'EURUSD': 'EUR/USDT'}

    Raises:
        ValueError: It is written in another way.
    """
    found = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        symbol, sign, their = (word.strip().upper() for word in one.partition("="))
        if not sign or not symbol or not their:
            raise ValueError(f"{one!r} names no proxy; write it like XAUUSD=PAXG/USDT")
        found[symbol] = their
    return found


def _named(symbol: str, theirs: Instrument) -> Instrument:
    """Return the rules of a symbol whose prices are another's: its own lots and fees, the other's tick."""
    try:
        own = build_instrument(symbol)
    except DataUnavailable:
        return replace(theirs, symbol=symbol)
    return replace(own, tick_size=theirs.tick_size)


def _renamed(symbol: str, bars: Bars) -> Bars:
    return bars if bars.symbol == symbol else replace(bars, symbol=symbol)
