"""Reads of the market and of signals, off the event loop: the engine is synchronous, and a read may take long.

The same question asked by many at once is answered once. Signals have one thread, because their source computes one at
a time anyway; bars, models and files have two of their own, so that a training in progress does not hold them up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, cast

from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from engine.domain.symbols import Timeframe

_READ_WORKERS = 2
T = TypeVar("T")


class SignalSource(Protocol):
    """Whoever computes signals; called on a thread, and never twice at once for the same question."""

    def signal(self, symbol: str, timeframe: str) -> Signal:
        """Return the signal of the last closed bar.

        Raises:
            DataUnavailable: There is none.
        """
        ...


class OnceAtATime:
    """Runs blocking work on threads; work under a key that is already running is shared.

    Args:
        workers: Threads.
        name: What they are called.
    """

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._running: dict[Hashable, asyncio.Future[object]] = {}

    async def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return what the work returns; a caller that gives up leaves it running for the others."""
        running = self._running.get(key)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(self._pool, cast("Callable[[], object]", work))
            self._running[key] = running
            running.add_done_callback(lambda future: self._forget(key, future))
        return cast("T", await asyncio.shield(running))

    def _forget(self, key: Hashable, future: asyncio.Future[object]) -> None:
        del self._running[key]
        if not future.cancelled():
            # Retrieved, so that asyncio does not complain when everybody who asked has left.
            future.exception()


class MarketReader:
    """What the service reads, without holding up anybody.

    Args:
        market: Bars and the present.
        signals: Computes signals.
    """

    def __init__(self, market: MarketData, signals: SignalSource) -> None:
        self.market = market
        self._signals = signals
        self._reads = OnceAtATime(_READ_WORKERS, "api-read")
        self._computed = OnceAtATime(1, "api-signal")

    def symbols(self) -> tuple[str, ...]:
        """Return the market's symbols."""
        return tuple(self.market.instruments())

    async def read(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return what a blocking read returns."""
        return await self._reads.run(key, work)

    async def signal(self, symbol: str, timeframe: Timeframe) -> Signal:
        """Return the signal of the last closed bar.

        Raises:
            DataUnavailable: There is none.
        """
        return await self._computed.run((symbol, timeframe), lambda: self._signals.signal(symbol, timeframe))

    async def fresh_signal(self, symbol: str, timeframe: Timeframe) -> Signal:
        """Return a signal whose computation begins after this call, so that it knows a bar that has just closed.

        Raises:
            DataUnavailable: There is none.
        """
        return await self._computed.run((symbol, timeframe, "fresh"), lambda: self._signals.signal(symbol, timeframe))


def path_name(symbol: str) -> str:
    """Return how a symbol is written in a path, where a slash would end it.

    >>> path_name("BTC/USDT"), path_name("XAUUSD")
    ('BTC-USDT', 'XAUUSD')
    """
    return symbol.replace("/", "-")


def find_symbol(market: MarketData, text: str) -> str | None:
    """Return the symbol that a text names, as it is or as in a path; None when the market has none such."""
    instruments = market.instruments()
    if text in instruments:
        return text
    return next((symbol for symbol in instruments if path_name(symbol) == text), None)
