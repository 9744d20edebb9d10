"""Bars that the owner keeps current, as a running market: what ingestion puts into the store can be read at once.

The store is looked at every few seconds, and a refresher, when one is given, is run now and then (an ingestion from
MySQL or from a file); both in threads of their own, while the market is open. The last three years are offered. There
are no quotes in bars: a price is the last close with the instrument's usual spread around it. It counts as known until
the next bar is due, and grows old from then on, so that a feed that is not kept current is seen.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from engine.data.live.clock import SteadyClock, elapsed_s
from engine.data.live.values import SymbolSource
from engine.data.replay import ReplayAnchor, ReplayMarket
from engine.data.store import BarStore, StoredSeries
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import typical_spread_bps
from engine.domain.market import Bars, Instrument, Quote, decimal_price, utc_from_seconds
from engine.domain.protocols import Clock
from engine.domain.sessions import is_open
from engine.domain.symbols import TIMEFRAME_S, Timeframe

_LOOK_S = 5.0
_REFRESH_S = 60.0
_KEPT = timedelta(days=1100)
_log = logging.getLogger(__name__)


class StoreMarket:
    """A `MarketData` over one source of the bar store, at the present; safe to read from several threads.

    Args:
        store: Where the bars are.
        source: Whose.
        symbols: Which to offer; those that the source does not have are left out (see `missing`).
        clock: The present.
        refresh: Brings new bars into the store; runs in a thread, failures are logged and it is tried again.
        refresh_s: How often.
        look_s: How often the store is looked at for new bars.
    """

    name = "store"
    is_simulated = False

    def __init__(
        self,
        store: BarStore,
        source: str,
        symbols: Iterable[str],
        *,
        clock: Clock | None = None,
        refresh: Callable[[], object] | None = None,
        refresh_s: float = _REFRESH_S,
        look_s: float = _LOOK_S,
    ) -> None:
        self._store, self._source, self._clock = store, source, clock or SteadyClock()
        self._wanted = tuple(dict.fromkeys(symbols))
        self._refresh, self._refresh_s, self._look_s = refresh, refresh_s, look_s
        self._lock = threading.Lock()
        self._looked_at = -math.inf
        self._series: tuple[StoredSeries, ...] = ()
        self._replay: ReplayMarket | None = None
        self._refreshed_at = -math.inf
        self._task: asyncio.Task[None] | None = None
        self._look()

    async def open(self, progress: Callable[[float], None] | None = None) -> None:
        """Refresh once and read what is stored; again from time to time."""
        await self._look_again()
        self._task = asyncio.create_task(self._keep_looking())
        if progress:
            progress(1.0)

    async def close(self) -> None:
        """Stop looking; harmless when repeated."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def now(self) -> datetime:
        """Return the clock's present."""
        return self._clock.now()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of the symbols that have bars."""
        replay = self._look()
        return MappingProxyType({}) if replay is None else replay.instruments()

    def quote(self, symbol: str) -> Quote:
        """Return the last close with the usual spread around it; outside the session not open.

        Raises:
            DataUnavailable: There are no bars of the symbol.
        """
        bars = self._last_bar(symbol)
        instrument, now = self._replay_of(symbol).instruments()[symbol], self.now()
        known_until = int(bars.time[-1]) + 2 * TIMEFRAME_S[bars.timeframe]
        mid = float(bars.close[-1])
        half = mid * typical_spread_bps(symbol) / 2 / 10_000
        bid = max(instrument.tick_size, decimal_price(mid - half, instrument))
        ask = max(bid + instrument.tick_size, decimal_price(mid + half, instrument))
        at = min(now, utc_from_seconds(known_until))
        return Quote(symbol, bid, ask, at, is_open(symbol, math.floor(now.timestamp())))

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars, oldest first; longer ones are made of what is stored.

        Raises:
            DataUnavailable: There are no bars of the symbol, or only longer ones.
        """
        return self._replay_of(symbol).bars(symbol, timeframe, limit)

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the finest closed bars with `start <= open time < end`.

        Raises:
            DataUnavailable: There are no bars of the symbol.
        """
        return self._replay_of(symbol).bars_between(symbol, start, end)

    def source_of(self, symbol: str) -> SymbolSource:
        """Return where the prices of a symbol come from, and how old the last bar is.

        Raises:
            DataUnavailable: There are no bars of the symbol.
        """
        bars = self._last_bar(symbol)
        last_at = utc_from_seconds(int(bars.time[-1]) + TIMEFRAME_S[bars.timeframe])
        return SymbolSource("store", self._source, last_at)

    def missing(self) -> Mapping[str, str]:
        """Return the symbols that were wanted and have no bars, with the reason's code."""
        found = self.instruments()
        return {symbol: "no_bars" for symbol in self._wanted if symbol not in found}

    def _last_bar(self, symbol: str) -> Bars:
        """Return the last closed bar, of the shortest length that is kept current."""
        replay = self._replay_of(symbol)
        last = [replay.bars(symbol, one.timeframe, 1) for one in self._series if one.symbol == symbol]
        held = [bars for bars in last if len(bars)]
        if not held:
            raise DataUnavailable(f"no bar of {symbol} from {self._source!r} has closed yet")
        return max(held, key=lambda bars: int(bars.time[-1]) + TIMEFRAME_S[bars.timeframe])

    def _replay_of(self, symbol: str) -> ReplayMarket:
        replay = self._look()
        if replay is None or symbol not in replay.instruments():
            raise DataUnavailable(f"the store has no bars of {symbol!r} from {self._source!r}")
        return replay

    def _look(self) -> ReplayMarket | None:
        """Return the stored bars; while nobody keeps looking, see first whether there are new ones."""
        if self._task is None and elapsed_s() - self._looked_at >= self._look_s:
            self._read()
        return self._replay

    def _read(self) -> None:
        """Take what is stored now: a replay at the speed and the time of the wall."""
        with self._lock:
            contents = self._store.contents(self._source)
            series = tuple(one for one in contents if one.symbol in self._wanted)
            if series != self._series:
                replay = self._play(series)
                self._replay, self._series = replay, series
            self._looked_at = elapsed_s()

    def _play(self, series: tuple[StoredSeries, ...]) -> ReplayMarket | None:
        symbols = dict.fromkeys(one.symbol for one in series)
        if not symbols:
            return None
        now = self._clock.now()
        recent = _RecentBars(self._store, now - _KEPT)
        replay = ReplayMarket(recent, self._source, self._clock, ReplayAnchor(now, now), symbols=symbols)
        replay.prepare()
        return replay

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            await self._look_again()

    async def _look_again(self) -> None:
        try:
            if self._refresh is not None and elapsed_s() - self._refreshed_at >= self._refresh_s:
                self._refreshed_at = elapsed_s()
                await asyncio.to_thread(self._refresh)
        except Exception:  # whatever the owner's source does, what is stored stays readable and grows old
            _log.exception("the bars of %r could not be refreshed; it is tried again", self._source)
        try:
            await asyncio.to_thread(self._read)
        except DataUnavailable as error:
            _log.warning("the bars of %r cannot be read: %s", self._source, error)


class _RecentBars(BarStore):
    """The store without what is long ago, so that a new bar does not cost the reading of ten years."""

    def __init__(self, store: BarStore, since: datetime) -> None:
        self._whole, self._since = store, since

    def load(
        self,
        source: str,
        symbol: str,
        timeframe: Timeframe,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Bars:
        """Return the stored bars of a range, as far as they are recent; at least the last one."""
        stored = self._whole.describe(source, symbol, timeframe)
        since = self._since if stored is None else min(self._since, stored.last_at)
        return self._whole.load(source, symbol, timeframe, since if start is None else max(start, since), end)

    def contents(self, source: str | None = None) -> tuple[StoredSeries, ...]:
        """Return every series of the store, or of one source."""
        return self._whole.contents(source)
