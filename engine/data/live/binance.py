"""A market of Binance as it runs, from public data alone: no key, no account.

History comes from the exchange's klines and is kept on the disk; minutes and best prices come from its streams into
local copies, so that reads are plain look-ups. The present is the exchange's: nothing that closes after it is shown.
What a stream loses is found by the clock (a minute that is over and not here) and read from the history; what a stream
stops telling is found by asking for the best prices now and then. While a symbol's data cannot be relied on,
`trouble` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from engine.data.live.backfill import Backfill
from engine.data.live.carried import MINUTE_S, Carried
from engine.data.live.clock import ExchangeClock, SteadyClock, elapsed_s
from engine.data.live.history import WIDE, Depth, SymbolHistory
from engine.data.live.listing import Listing
from engine.data.live.networks import SPOT, Network
from engine.data.live.rest import PublicRest
from engine.data.live.rows import read_bars
from engine.data.live.stream import Line, Streams
from engine.data.live.values import OnNews, SymbolSource
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, Instrument, Quote, utc_from_seconds
from engine.domain.protocols import Clock
from engine.domain.symbols import CRYPTO_SYMBOLS, Timeframe

_AHEAD_S = 5.0
"""A minute that closes further in the future than this is a mistake, whosever."""
_log = logging.getLogger(__name__)

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """How patient a live market is, in seconds of the wall.

    Attributes:
        late_s: How long after its close a minute may stay away before it is asked for.
        confirm_s: How often the best prices are asked for, to see that the streams tell the truth.
        silent_s: How long a connection may be silent while there is news.
        mute_s: How long it may be silent at all.
        broken_s: How long it may be down before its symbols are in trouble.
        unheard_s: How long neither stream nor question may bring anything before all is in trouble.
        gap_s: How long a minute may be missing before its symbol is in trouble.
        clock_s: How often the exchange's clock is read.
        rank_s: How often rules and turnover are read.
        save_s: How often new bars are put on the disk.
        watch_s: How often it is looked for what is late.
        first_pause_s: Pause after a first failure; doubled with each.
        longest_retry_s: Longest pause between attempts to read a history.
    """

    late_s: float = 1.5
    confirm_s: float = 5.0
    silent_s: float = 10.0
    mute_s: float = 90.0
    broken_s: float = 5.0
    unheard_s: float = 20.0
    gap_s: float = 15.0
    clock_s: float = 300.0
    rank_s: float = 3600.0
    save_s: float = 3600.0
    watch_s: float = 0.25
    first_pause_s: float = 0.25
    longest_retry_s: float = 30.0


class BinanceMarket:
    """Public market data of Binance; a `MarketData` that is opened, runs, and is closed.

    Args:
        store: Where history is kept between starts.
        symbols: What to carry; those that the exchange does not trade are left out (see `missing`).
        clock: Our clock; corrected by the exchange's.
        network: Which of its markets.
        rest_url, ws_url: Scheme, host and port to use instead of Binance's own, for a mirror.
        source: The name under which the store keeps its bars; the network's when empty.
        deep_symbols: Those that get a long history; the others get a short one.
        depth: How long it is.
        limits: How patient it is.
        rest: Asks the questions; made when None.
        readers: How many histories are read at a time.
    """

    is_simulated = False

    def __init__(
        self,
        store: BarStore,
        symbols: Sequence[str] = CRYPTO_SYMBOLS,
        *,
        clock: Clock | None = None,
        network: Network = SPOT,
        rest_url: str | None = None,
        ws_url: str | None = None,
        source: str = "",
        deep_symbols: Collection[str] = CRYPTO_SYMBOLS,
        depth: Depth | None = None,
        limits: LiveLimits | None = None,
        rest: PublicRest | None = None,
        readers: int = 4,
    ) -> None:
        self.name: str = network.name
        self._wanted = tuple(dict.fromkeys(symbols))
        self._clock = ExchangeClock(clock or SteadyClock())
        self._limits = limits or LiveLimits()
        self._rest = rest or PublicRest(rest_url, network=network, first_pause_s=self._limits.first_pause_s)
        self._streams = Streams(
            self._rest.client,
            ws_url,
            self._on_kline,
            self._on_prices,
            network=network,
            first_pause_s=self._limits.first_pause_s,
        )
        self._backfill = Backfill(self._rest, store, source or network.name, self.now)
        self._deep, self._depth, self._readers = frozenset(deep_symbols), depth or Depth(), readers
        self._listing = Listing(is_futures=network.is_futures)
        self._carried: dict[str, Carried] = {}
        self._by_id: dict[str, Carried] = {}
        self._instruments: Mapping[str, Instrument] = MappingProxyType({})
        self._queue: asyncio.Queue[Carried] = asyncio.Queue()
        self._listeners: list[OnNews] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._confirmed_at = elapsed_s()

    # Life.

    async def open(self, progress: Progress | None = None) -> None:
        """Read the rules, the clock and the history, and begin to listen; later failures are repaired by themselves.

        Raises:
            DataUnavailable: The exchange does not answer at all.
        """
        self._listing.take_rules(await self._rest.exchange_info())
        await self._read_clock()
        self._tasks = [asyncio.create_task(self._read_histories()) for _ in range(self._readers)]
        await self.carry(self._wanted, progress)
        for first in (self._confirm_prices, self._read_listing):
            with suppress(DataUnavailable):
                await first()
        self._tasks += [
            asyncio.create_task(self._repeat(self._limits.watch_s, self._watch)),
            asyncio.create_task(self._repeat(self._limits.confirm_s, self._confirm_prices)),
            asyncio.create_task(self._repeat(self._limits.clock_s, self._read_clock)),
            asyncio.create_task(self._repeat(self._limits.rank_s, self._read_listing)),
            asyncio.create_task(self._repeat(self._limits.save_s, self._save)),
        ]

    async def close(self) -> None:
        """Stop, and put what is new on the disk; harmless when repeated."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._streams.close()
        await self._save()
        await self._rest.close()

    async def carry(self, symbols: Sequence[str], progress: Progress | None = None) -> None:
        """Carry more symbols from now on; returns once each has been tried, those that fail are tried again."""
        fresh = [symbol for symbol in symbols if symbol in self._listing.ids and symbol not in self._carried]
        added = [
            Carried(
                symbol, self._listing.ids[symbol], SymbolHistory(symbol, self._depth if symbol in self._deep else WIDE)
            )
            for symbol in fresh
        ]
        for one in added:
            self._carried[one.symbol] = self._by_id[one.symbol_id] = one
        self._show_rules()
        self._streams.carry([one.symbol_id for one in added])
        for one in added:
            self._ask_history(one)
        while busy := sum(one.is_asked for one in added):
            if progress:
                progress(1 - busy / len(added))
            await asyncio.sleep(self._limits.watch_s / 5)
        if progress:
            progress(1.0)

    # What `MarketData` asks for.

    def now(self) -> datetime:
        """Return the exchange's present, as far as it is known."""
        return self._clock.now()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of what is carried."""
        return self._instruments

    def quote(self, symbol: str) -> Quote:
        """Return the last known best prices; `at` is when they were last known to hold.

        Raises:
            DataUnavailable: The symbol is not carried, or nothing is known yet.
        """
        prices = self._find(symbol).prices
        if prices.number < 0:
            raise DataUnavailable(f"{self.name} has told no price of {symbol} yet")
        tick = self._instruments[symbol].tick_size
        # The exchange writes more digits than its prices have.
        bid, ask = (Decimal(price).quantize(tick) for price in (prices.bid, prices.ask))
        return Quote(symbol, bid, ask, min(self.now(), utc_from_seconds(prices.at_s)))

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars, oldest first.

        Raises:
            DataUnavailable: The symbol is not carried.
        """
        return self._find(symbol).history.bars(timeframe, limit, self.now().timestamp())

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the finest closed bars with `start <= open time < end`.

        Raises:
            DataUnavailable: The symbol is not carried.
        """
        history = self._find(symbol).history
        return history.between(start.timestamp(), end.timestamp(), self.now().timestamp())

    # What it offers beyond.

    def listen(self, on_news: OnNews) -> Callable[[], None]:
        """Have a function told of every symbol with a new closed bar; returns what ends that."""
        self._listeners.append(on_news)
        return lambda: self._listeners.remove(on_news)

    def trouble(self, symbol: str) -> str:
        """Return `loading`, `disconnected`, `gap`, or an empty text when a symbol can be relied on."""
        one = self._carried.get(symbol)
        if one is None or not one.history.is_loaded:
            return "loading"
        line = self._streams.line_of(one.symbol_id)
        now = elapsed_s()
        if line is None or (not line.is_live and now - line.changed_at > self._limits.broken_s):
            return "disconnected"
        if now - max(line.heard_at, self._confirmed_at) > self._limits.unheard_s:
            return "disconnected"
        return "gap" if one.missing_for_s(self.now().timestamp()) > self._limits.gap_s else ""

    def source_of(self, symbol: str) -> SymbolSource:
        """Return where the prices of a symbol come from.

        Raises:
            DataUnavailable: The symbol is not carried.
        """
        bars = self.bars(symbol, "1m", 1)
        last = utc_from_seconds(int(bars.time[-1]) + MINUTE_S) if len(bars) else None
        return SymbolSource("exchange", self.name, last)

    def missing(self) -> Mapping[str, str]:
        """Return the symbols that were wanted and are not carried, with the reason's code."""
        return {symbol: "not_traded" for symbol in self._wanted if symbol not in self._carried}

    def list_symbols(self, quote: str = "USDT") -> tuple[str, ...]:
        """Return all that the exchange trades now against an asset, by turnover of the last day where it is known."""
        return self._listing.all(quote)

    def top_symbols(self, count: int, quote: str = "USDT", *, ranking: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the first symbols of a ranking of coins that trade here, or those with the most turnover.

        Args:
            count: How many.
            quote: Against which asset.
            ranking: Coins by market value, as the owner sets them; empty ranks by the turnover of the last day.
        """
        return self._listing.top(count, quote, ranking)

    # From the streams.

    def _on_kline(self, symbol_id: str, kline: dict[str, Any]) -> None:
        one = self._by_id.get(symbol_id)
        if one is None or not kline["x"] or kline["i"] != "1m":
            return
        if int(kline["t"]) / 1000 + MINUTE_S > self.now().timestamp() + _AHEAD_S:
            return
        row = [kline["t"], kline["o"], kline["h"], kline["l"], kline["c"], kline["v"]]
        if one.history.take_minute(read_bars(one.symbol, "1m", [row])):
            self._announce(one)
        elif one.history.has_gap:
            self._ask_history(one)

    def _on_prices(self, symbol_id: str, number: int, bid: str, ask: str) -> None:
        one = self._by_id.get(symbol_id)
        if one is not None:
            one.stream_prices(number, bid, ask, self.now().timestamp())

    def _announce(self, one: Carried) -> None:
        one.retry_s = 0.0
        for listener in tuple(self._listeners):
            listener(one.symbol)

    # In the background.

    async def _repeat(self, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except DataUnavailable as error:
                _log.warning("%s", error)
            except Exception:
                _log.exception("work of the live market failed; it goes on")

    async def _watch(self) -> None:
        """Ask for minutes that are late, and break connections that are silent for too long."""
        now, now_s = elapsed_s(), self.now().timestamp()
        for one in self._carried.values():
            if not one.is_asked and now >= one.retry_at and one.missing_for_s(now_s) > self._limits.late_s:
                self._ask_history(one)
        for line in self._streams.lines:
            if line.is_live and now - line.heard_at > self._limits.mute_s:
                line.give_up.set()

    def _ask_history(self, one: Carried) -> None:
        if not one.is_asked:
            one.is_asked = True
            self._queue.put_nowait(one)

    async def _read_histories(self) -> None:
        """Read the histories that are asked for, one after the other."""
        while True:
            one = await self._queue.get()
            try:
                if await self._backfill.repair(one.history, one.symbol_id):
                    self._announce(one)
            except DataUnavailable as error:
                _log.warning("history of %s: %s", one.symbol, error)
            except Exception:
                _log.exception("reading the history of %s failed; it is tried again", one.symbol)
            finally:
                one.retry_s = min(self._limits.longest_retry_s, max(1.0, 2 * one.retry_s))
                one.retry_at = elapsed_s() + one.retry_s
                one.is_asked = False

    async def _confirm_prices(self) -> None:
        """Ask for the best prices: what still holds is fresh, and what has moved unheard gives away a silent stream."""
        begun_s = self.now().timestamp()
        silent: dict[int, Line] = {}
        rows = await self._rest.best_prices([one.symbol_id for one in self._carried.values()])
        self._confirmed_at = elapsed_s()
        for row in rows:
            one = self._by_id.get(str(row.get("symbol")))
            if one is not None and one.confirm_prices(
                str(row["bidPrice"]), str(row["askPrice"]), begun_s, silent_s=self._limits.silent_s
            ):
                line = self._streams.line_of(one.symbol_id)
                if line is not None and line.is_live and elapsed_s() - line.heard_at > self._limits.silent_s:
                    silent[id(line)] = line
        for line in silent.values():
            _log.warning("stream of %d symbols is silent; it is opened again", len(line.symbol_ids))
            line.give_up.set()

    async def _read_clock(self) -> None:
        await self._clock.read(self._rest.time_ms)

    async def _read_listing(self) -> None:
        self._listing.take_rules(await self._rest.exchange_info())
        self._listing.take_turnover(await self._rest.day_figures())
        self._show_rules()

    def _show_rules(self) -> None:
        """Offer the rules of what is carried; those of a symbol that is no longer traded stay as they were."""
        rules = {**self._instruments, **self._listing.instruments}
        self._instruments = MappingProxyType({symbol: rules[symbol] for symbol in self._carried})

    async def _save(self) -> None:
        for one in tuple(self._carried.values()):
            for series in one.history.series.values():
                await self._backfill.save(series)

    def _find(self, symbol: str) -> Carried:
        try:
            return self._carried[symbol]
        except KeyError:
            raise DataUnavailable(f"{symbol!r} is not carried from {self.name}") from None
