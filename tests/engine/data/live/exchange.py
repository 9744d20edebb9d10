"""A local Binance with some history, whose time moves when a test says, and a market that listens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.live.binance import BinanceMarket, LiveLimits
from engine.data.live.composite import CompositeMarket
from engine.data.live.history import Depth
from engine.data.live.networks import FUTURES_DEMO
from engine.data.store import BarStore
from engine.domain.market import utc_from_seconds
from tests.binance.clock import SimulatedClock
from tests.binance.market import Candle
from tests.binance.server import BinanceServer

SYMBOLS = ("BTC/USDT", "ETH/USDT")
SHALLOW = Depth(minutes=240, fives=120, hours=60, days=4)
QUICK = LiveLimits(
    late_s=1.0,
    confirm_s=0.1,
    silent_s=0.3,
    mute_s=5.0,
    broken_s=0.3,
    unheard_s=0.6,
    gap_s=5.0,
    clock_s=0.5,
    watch_s=0.02,
    first_pause_s=0.02,
    longest_retry_s=0.1,
)
VOLUME = Decimal("1.25")
START_S = 1_767_225_600 + 10 * 86_400
"""2026-01-11 00:00 UTC, a Sunday."""


def minutes_of(start_s: int, count: int, first: float, seed: int) -> Iterable[Candle]:
    """Return a walk of minutes on the tick."""
    generator = np.random.default_rng(seed)
    close = first
    for number in range(count):
        opened, close = close, round(close * (1 + 0.0005 * generator.standard_normal()), 2)
        low, high = min(opened, close) - 0.01, max(opened, close) + 0.01
        open_, high_, low_, close_ = (Decimal(str(round(one, 2))) for one in (opened, high, low, close))
        opens_ms = (start_s + 60 * number) * 1000
        yield Candle(opens_ms, open_, high_, low_, close_, VOLUME, VOLUME * close_, trades=3)


class Local:
    """A server whose history begins three days before the present."""

    def __init__(self, days: int = 3, **options: Any) -> None:
        self.clock = SimulatedClock((START_S + 5) * 1000)
        self.markets: list[BinanceMarket | CompositeMarket] = []
        self.server = BinanceServer(clock=self.clock, **options)
        for seed, (symbol_id, price) in enumerate((("BTCUSDT", 60_000.0), ("ETHUSDT", 3_000.0))):
            for exchange in (self.server.spot, self.server.futures):
                tape = exchange.tapes[symbol_id]
                tape.seed({"1m": minutes_of(START_S - days * 86_400, days * 1440, price, seed)})

    def now(self) -> datetime:
        return utc_from_seconds(self.clock.now_ms() / 1000)

    async def pass_minutes(self, count: int, *, pause_s: float = 0.0, seen_by: BinanceMarket | None = None) -> None:
        """Let minutes pass, each to five seconds after its end, with a trade of each symbol in every one.

        Args:
            count: How many.
            pause_s: Wait so long when a minute has closed.
            seen_by: Wait until this market has its bars.
        """
        for _ in range(count):
            self.server.advance(30)
            for symbol_id in ("BTCUSDT", "ETHUSDT"):
                price = self.server.spot.last(symbol_id)
                self.server.move(symbol_id, price * Decimal("1.0001") // Decimal("0.01") * Decimal("0.01"))
            self.server.advance(25)
            await asyncio.sleep(pause_s)
            if seen_by is not None:
                await until(partial(is_current, seen_by, self))
            self.server.advance(5)

    def rows(self, symbol_id: str, interval: str) -> list[tuple[int, float, float, float, float]]:
        """Return the closed bars as the exchange has them: open time in seconds, then prices."""
        self.server.tick()
        tape = self.server.spot.tapes[symbol_id]
        return [
            (one.open_ms // 1000, float(one.open), float(one.high), float(one.low), float(one.close))
            for one in tape.bars[interval]
        ][:-1]


class Meddler:
    """Stands between the exchange and its streams of minutes, and does to each closed one what the next word says.

    Words: `lose`, `twice`, `late` (sent with the next), `half` (cut off), anything else sends it.
    """

    def __init__(self, local: Local, words: Iterable[str] = ()) -> None:
        self.words = list(words)
        self.done: list[str] = []
        self._hub = local.server.hub
        self._send, self._hub.publish = self._hub.publish, self._publish  # type: ignore[method-assign]
        self._held: list[tuple[str, str, Callable[[], Any]]] = []

    def _publish(self, kind: str, stream: str, payload: Callable[[], Any]) -> None:
        is_closed = stream.endswith("kline_1m") and payload()["k"]["x"]
        word = self.words.pop(0) if is_closed and self.words else ""
        if word:
            self.done.append(word)
        if word == "late":
            body = payload()
            self._held.append((kind, stream, lambda: body))
        elif word == "half":
            self._send(kind, stream, lambda: {"e": "kline", "s": payload()["s"], "k": {"x": True, "i": "1m"}})
        elif word != "lose":
            for _ in range(2 if word == "twice" else 1):
                self._send(kind, stream, payload)
            if is_closed:
                held, self._held = self._held, []
                for one in held:
                    self._send(*one)


@asynccontextmanager
async def local_exchange(**options: Any) -> AsyncIterator[Local]:
    """Run one."""
    local = Local(**options)
    async with local.server:
        try:
            yield local
        finally:
            for market in local.markets:
                await market.close()


def make_market(local: Local, folder: Path, *, limits: LiveLimits = QUICK, **options: Any) -> BinanceMarket:
    prefix = "/futures" if options.get("network") is FUTURES_DEMO else ""
    market = BinanceMarket(
        BarStore(folder),
        options.pop("symbols", SYMBOLS),
        clock=options.pop("clock", local),
        rest_url=local.server.rest_url,
        ws_url=local.server.ws_url + prefix,
        depth=options.pop("depth", SHALLOW),
        limits=limits,
        **options,
    )
    local.markets.append(market)
    return market


async def until(is_true: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something is true, or fail."""
    async with asyncio.timeout(within_s):
        while not is_true():  # noqa: ASYNC110 - whatever it is, it need not be an event
            await asyncio.sleep(0.01)


def is_current(market: BinanceMarket, local: Local) -> bool:
    """Tell whether the last minute of every symbol is there."""
    now_s = int(local.now().timestamp())
    return all(int(market.bars(symbol, "1m", 1).time[-1]) + 60 == now_s - now_s % 60 for symbol in SYMBOLS)
