"""Play stored bars as if they were live, at any speed.

The market's time runs from an anchor: what the wall clock says above the anchor's wall time, times the speed, is
added to the anchor's market time. Anchors are arguments, so that a restart can go on where it was. At any moment
only closed bars are given, and a quote rests on the elapsed part of the bar that is under way: a path from its
open over both extremes to its close, the nearer extreme first, as backtests usually assume.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np

from engine.data.store import BarStore, StoredSeries
from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument, typical_spread_bps
from engine.domain.market import Bars, Instrument, Quote, decimal_price, utc_from_seconds
from engine.domain.protocols import Clock
from engine.domain.resampling import bucket_start, resample
from engine.domain.symbols import TIMEFRAME_S, Timeframe

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ReplayAnchor:
    """A moment of the wall clock, the market's time at it, and the market seconds per second from then on."""

    wall_at: datetime
    market_at: datetime
    speed: float = 1.0

    def market_time(self, wall: datetime) -> datetime:
        """Return the market's time at a wall time."""
        return self.market_at + (wall - self.wall_at) * self.speed


class ReplayMarket:
    """Real bars of the past, point in time; safe to read from several threads.

    Args:
        store: Where the bars are.
        source: Whose bars to play.
        clock: The wall clock.
        anchor: Where the replay starts, and how fast it runs.
        symbols: Which to offer; None means all that the source has.

    Raises:
        DataUnavailable: The source has no bars, or not those of a symbol that was asked for.
    """

    name = "replay"
    is_simulated = False

    def __init__(
        self,
        store: BarStore,
        source: str,
        clock: Clock,
        anchor: ReplayAnchor,
        *,
        symbols: Iterable[str] | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._anchor = anchor
        self._series = _series_by_symbol(store, source, symbols)
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, Timeframe], Bars] = {}
        self._instruments = MappingProxyType({symbol: self._build_instrument(symbol) for symbol in self._series})

    def now(self) -> datetime:
        """Return the market's present."""
        return self._anchor.market_time(self._clock.now())

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of the symbols that are played."""
        return self._instruments

    def prepare(self, progress: Progress | None = None) -> None:
        """Read all bars into memory; reads do it by themselves when it was not done."""
        wanted = [(symbol, one.timeframe) for symbol, series in self._series.items() for one in series]
        for done, (symbol, timeframe) in enumerate(wanted, start=1):
            self._load(symbol, timeframe)
            if progress:
                progress(done / len(wanted))

    def quote(self, symbol: str) -> Quote:
        """Return the present best prices; between bars those of the last close, not open.

        Raises:
            DataUnavailable: The symbol is not played, or the present is before its first bar or after its last.
        """
        at = self.now()
        now_s = at.timestamp()
        bars = self._load(symbol, self._finest(symbol, now_s))
        row = int(np.searchsorted(bars.time, math.floor(now_s), side="right")) - 1
        elapsed = (now_s - float(bars.time[row])) / TIMEFRAME_S[bars.timeframe]
        trading = elapsed < 1.0
        return self._quote_around(symbol, _path_price(bars, row, min(elapsed, 1.0)), at, trading)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars, oldest first; longer ones are made of what is stored.

        Raises:
            DataUnavailable: The symbol is not played, or the timeframe is finer than its bars.
        """
        now_s = math.floor(self.now().timestamp())
        closed = self._closed(symbol, self._source_timeframe(symbol, timeframe, now_s), now_s)
        if closed.timeframe == timeframe:
            return closed[max(0, len(closed) - limit) :]
        made = resample(_window(closed, timeframe, limit), timeframe, now_s=now_s)
        return made[max(0, len(made) - limit) :]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the finest closed bars with `start <= open time < end`; also after the last bar has been played.

        Raises:
            DataUnavailable: The symbol is not played.
        """
        series = self._series_of(symbol)
        finest = next((one for one in series if one.first_at < end and one.last_at >= start), series[0])
        closed = self._closed(symbol, finest.timeframe, math.floor(self.now().timestamp()))
        # Whole seconds: a float would make numpy copy the whole column.
        rows = np.searchsorted(closed.time, (math.ceil(start.timestamp()), math.ceil(end.timestamp())))
        return closed[int(rows[0]) : int(rows[1])]

    def _finest(self, symbol: str, now_s: float) -> Timeframe:
        """Return the shortest timeframe whose stored bars span the present."""
        series = self._series_of(symbol)
        for one in series:
            if _spans(one, now_s):
                return one.timeframe
        last = max(series, key=lambda one: one.last_at)
        first = min(series, key=lambda one: one.first_at)
        if now_s < first.first_at.timestamp():
            raise DataUnavailable(
                f"the replay of {symbol} stands at {utc_from_seconds(now_s):%Y-%m-%d %H:%M} UTC, before its first bar "
                f"at {first.first_at:%Y-%m-%d %H:%M} UTC",
                code="replay_not_begun",
                symbol=symbol,
                first=f"{first.first_at:%Y-%m-%d %H:%M} UTC",
            )
        raise DataUnavailable(
            f"the replay of {symbol} is over: its last {last.timeframe} bar opened at {last.last_at:%Y-%m-%d %H:%M} "
            "UTC; start it again from an earlier time or ingest later bars",
            code="replay_over",
            symbol=symbol,
            last=f"{last.last_at:%Y-%m-%d %H:%M} UTC",
        )

    def _source_timeframe(self, symbol: str, timeframe: Timeframe, now_s: int) -> Timeframe:
        """Return the stored timeframe to serve another from: the longest that divides it and is not over."""
        step = TIMEFRAME_S[timeframe]
        series = self._series_of(symbol)
        dividing = [one for one in series if step % TIMEFRAME_S[one.timeframe] == 0]
        if not dividing:
            raise DataUnavailable(
                f"the shortest bars of {symbol} from {self._source!r} are of {series[0].timeframe}: "
                f"there are none of {timeframe}",
                code="timeframe_too_fine",
                symbol=symbol,
                shortest=series[0].timeframe,
                timeframe=timeframe,
            )
        running = [one for one in dividing if _spans(one, now_s)]
        # Where none spans the present, the bars that reach furthest.
        return (running[-1] if running else max(dividing, key=lambda one: one.last_at)).timeframe

    def _closed(self, symbol: str, timeframe: Timeframe, now_s: int) -> Bars:
        bars = self._load(symbol, timeframe)
        return bars[: int(np.searchsorted(bars.time, now_s - TIMEFRAME_S[timeframe], side="right"))]

    def _load(self, symbol: str, timeframe: Timeframe) -> Bars:
        key = (symbol, timeframe)
        bars = self._loaded.get(key)
        if bars is None:
            with self._lock:
                bars = self._loaded.get(key) or self._store.load(self._source, symbol, timeframe)
                self._loaded[key] = bars
        return bars

    def _series_of(self, symbol: str) -> tuple[StoredSeries, ...]:
        try:
            return self._series[symbol]
        except KeyError:
            raise DataUnavailable(
                f"{symbol!r} is not in the replay of {self._source!r}; it has {', '.join(self._series)}"
            ) from None

    def _build_instrument(self, symbol: str) -> Instrument:
        last = self._series[symbol][-1]
        # Only the size of the price counts, and only for symbols without known rules.
        tail = self._store.load(self._source, symbol, last.timeframe, start=last.last_at)
        return build_instrument(symbol, float(tail.close[-1]))

    def _quote_around(self, symbol: str, mid: float, at: datetime, trading: bool) -> Quote:
        instrument = self._instruments[symbol]
        half = mid * typical_spread_bps(symbol) / 2 / 10_000
        bid = max(instrument.tick_size, decimal_price(mid - half, instrument))
        ask = max(bid + instrument.tick_size, decimal_price(mid + half, instrument))
        return Quote(symbol, bid, ask, at, trading)


def start_of_replay(store: BarStore, source: str, *, before_end: timedelta) -> datetime:
    """Return the market time some way before the end that all symbols of a source share.

    Raises:
        DataUnavailable: The source has no bars.
    """
    series = _series_by_symbol(store, source, None)
    end = min(max(one.last_at for one in of_symbol) for of_symbol in series.values())
    return end - before_end


def _series_by_symbol(
    store: BarStore, source: str, symbols: Iterable[str] | None
) -> dict[str, tuple[StoredSeries, ...]]:
    """Return the stored series of each symbol, shortest bars first."""
    contents = store.contents(source)
    if not contents:
        raise DataUnavailable(f"the store has no bars from {source!r}; ingest a file of bars first")
    present = {one.symbol for one in contents}
    wanted = sorted(present) if symbols is None else list(dict.fromkeys(symbols))
    missing = [symbol for symbol in wanted if symbol not in present]
    if missing:
        raise DataUnavailable(f"the store has no bars of {', '.join(missing)} from {source!r}")
    return {symbol: tuple(one for one in contents if one.symbol == symbol) for symbol in wanted}


def _spans(series: StoredSeries, now_s: float) -> bool:
    end = series.last_at.timestamp() + TIMEFRAME_S[series.timeframe]
    return series.first_at.timestamp() <= now_s < end


def _window(closed: Bars, timeframe: Timeframe, limit: int) -> Bars:
    """Return the last bars that surely hold `limit` longer ones, the first bucket whole."""
    ratio = TIMEFRAME_S[timeframe] // TIMEFRAME_S[closed.timeframe]
    # One bucket more for the one under way, one for the one that the window cuts.
    first = len(closed) - (limit + 2) * ratio
    if first <= 0:
        return closed
    # Without the row before there would be no telling whether its bucket begins with the window.
    buckets = bucket_start(closed.time[first - 1 :], timeframe)
    changes = np.flatnonzero(buckets[1:] != buckets[:-1])
    return closed[first + int(changes[0]) :] if len(changes) else closed


def _path_price(bars: Bars, row: int, elapsed: float) -> float:
    """Return the price after a share of a bar: open, nearer extreme, other extreme, close; a third each."""
    opened, closed = float(bars.open[row]), float(bars.close[row])
    low, high = float(bars.low[row]), float(bars.high[row])
    extremes = (low, high) if closed >= opened else (high, low)
    return float(np.interp(elapsed, (0.0, 1 / 3, 2 / 3, 1.0), (opened, *extremes, closed)))
