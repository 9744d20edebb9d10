"""The simulated market: the generator's world seen through a clock, as any other market.

It offers what has happened by the clock's present and nothing after it. Chunks of hour bars are prepared whole, a
little past the present, because they do not depend on it; reads cut them at the present. Minute bars are made by
the day when they are asked for, and the last few hundred days are kept. A store of prepared chunks may be handed
in, so that a later start need not make them again; this room itself touches no file.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument, typical_spread_bps
from engine.domain.market import Bars, FloatArray, Instrument, Quote, utc_from_seconds
from engine.domain.protocols import Clock
from engine.domain.resampling import bucket_start_of, resample
from engine.domain.sessions import DAY_S, HOUR_S, is_open, last_close_before, open_mask
from engine.domain.symbols import SYMBOLS, TIMEFRAME_S, Timeframe
from engine.sim.generator import (
    CHUNK_S,
    EPOCH_S,
    HOURS_PER_CHUNK,
    VERSION,
    BarBlock,
    MarketGenerator,
    Skeleton,
    chunk_of,
)

HISTORY_DAYS = 1096
"""Three years of hour bars, leap day included."""
_KEPT_DAYS = 256
"""Days of minute bars kept in memory, about 70 kB each."""
_MINUTE_S = 60

Progress = Callable[[float], None]
"""Called with the share that is done, from 0 to 1."""


class ChunkStore(Protocol):
    """Keeps prepared chunks between starts; losing one costs time only."""

    def load(self, name: str) -> Mapping[str, FloatArray] | None:
        """Return the arrays stored under a name, or None when they are missing or damaged."""
        ...

    def save(self, name: str, arrays: Mapping[str, FloatArray]) -> None:
        """Store arrays under a name, all or nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    skeleton: Skeleton
    hours: Mapping[str, BarBlock]


class SimulatedMarket:
    """Prices that are invented, the same for everyone who uses the same seed.

    Safe to read from several threads.

    Args:
        seed: Which market.
        clock: The present; the market's own time is the clock's.
        chunk_store: Where prepared chunks are kept, or None to make them at each start.
        is_structured: False gives a random walk (see `engine.sim.generator`).
        history_days: How far back bars reach from the first read, rounded up to whole chunks.
    """

    name = "simulated"
    is_simulated = True

    def __init__(
        self,
        seed: int,
        clock: Clock,
        *,
        chunk_store: ChunkStore | None = None,
        is_structured: bool = True,
        history_days: int = HISTORY_DAYS,
    ) -> None:
        self._clock = clock
        self._generator = MarketGenerator(seed, is_structured=is_structured)
        self._chunk_store = chunk_store
        self._history_days = history_days
        self._instruments = MappingProxyType({symbol: build_instrument(symbol) for symbol in SYMBOLS})
        self._prices = {symbol: _Pricing.of(instrument) for symbol, instrument in self._instruments.items()}
        self._lock = threading.Lock()
        self._chunks: dict[int, _Chunk] = {}
        self._hours: dict[str, Bars] = {}
        self._paths: dict[str, tuple[int, FloatArray]] = {}
        self._day = lru_cache(maxsize=_KEPT_DAYS)(self._make_day)

    def now(self) -> datetime:
        """Return the clock's present."""
        return self._clock.now()

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of the thirteen symbols."""
        return self._instruments

    def prepare(self, progress: Progress | None = None) -> None:
        """Make or load the history up to the present; reads do it by themselves when it was not done.

        Raises:
            DataUnavailable: The clock stands before the market's first hour.
        """
        self._prepare_until(self._now_s(), progress)

    def quote(self, symbol: str) -> Quote:
        """Return the best prices of this second; outside the session those of its last close, not open.

        Raises:
            DataUnavailable: The symbol is unknown.
        """
        pricing = self._pricing(symbol)
        at = self._clock.now()
        second = math.floor(at.timestamp())
        trading = is_open(symbol, second)
        mid = self._price_at(symbol, second if trading else last_close_before(symbol, second) - 1, trading)
        bid, ask = pricing.bid_ask(mid)
        return Quote(symbol, bid, ask, at, trading)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars, oldest first.

        Raises:
            DataUnavailable: The symbol is unknown.
        """
        self._pricing(symbol)
        now_s = self._now_s()
        if TIMEFRAME_S[timeframe] >= HOUR_S:
            hours = self._closed_hours(symbol, now_s)
            made = hours if timeframe == "1h" else resample(hours, timeframe, now_s=now_s)
        else:
            made = self._short_bars(symbol, timeframe, limit, now_s)
        return made[max(0, len(made) - limit) :]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the closed minute bars with `start <= open time < end`.

        Raises:
            DataUnavailable: The symbol is unknown.
        """
        self._pricing(symbol)
        first = math.ceil(start.timestamp())
        last = min(math.ceil(end.timestamp()), self._now_s() - _MINUTE_S + 1)
        return self._minutes(symbol, first, last)

    def _now_s(self) -> int:
        return math.floor(self._clock.now().timestamp())

    def _pricing(self, symbol: str) -> _Pricing:
        try:
            return self._prices[symbol]
        except KeyError:
            raise DataUnavailable(f"the simulated market has no {symbol!r}; it has {', '.join(SYMBOLS)}") from None

    def _price_at(self, symbol: str, second: int, trading: bool) -> float:
        """Return the mid price of a second of an open session, or the close of its minute."""
        minute = second - second % _MINUTE_S
        kept = self._paths.get(symbol)
        if kept is None or kept[0] != minute or not trading:
            self._prepare_until(minute)
            bar = self._minutes(symbol, minute, minute + 1)
            edges = (float(bar.open[0]), float(bar.high[0]), float(bar.low[0]), float(bar.close[0]))
            if not trading:
                return edges[3]
            kept = (minute, self._generator.second_path(symbol, minute, edges))
            self._paths[symbol] = kept
        return float(kept[1][second - minute])

    def _closed_hours(self, symbol: str, now_s: int) -> Bars:
        self._prepare_until(now_s)
        hours = self._hours[symbol]
        return hours[: int(np.searchsorted(hours.time, now_s - HOUR_S, side="right"))]

    def _short_bars(self, symbol: str, timeframe: Timeframe, limit: int, now_s: int) -> Bars:
        """Return at least `limit` bars shorter than an hour, where history has them."""
        step = TIMEFRAME_S[timeframe]
        closed_until = bucket_start_of(now_s, timeframe)
        oldest = self._history_start()
        start, found = closed_until, 0
        while found < limit and start > oldest:
            day = bucket_start_of(start - 1, "1d")
            times = np.arange(day, start, step, dtype=np.int64)
            found += int(open_mask(symbol, times).sum())
            start = day
        return resample(self._minutes(symbol, start, closed_until), timeframe, now_s=now_s)

    def _minutes(self, symbol: str, start: int, end: int) -> Bars:
        """Return minute bars with `start <= open time < end`, whatever the present."""
        start = max(start, self._history_start())
        days = [self._day(symbol, day) for day in range((start - EPOCH_S) // DAY_S, (end - 1 - EPOCH_S) // DAY_S + 1)]
        if start >= end or not days:
            return _no_bars(symbol)
        joined = days[0] if len(days) == 1 else _join(days)
        rows = np.searchsorted(joined.time, (start, end))
        return joined[int(rows[0]) : int(rows[1])]

    def _make_day(self, symbol: str, day: int) -> Bars:
        """Return all minute bars of one day, numbered from the market's epoch."""
        start = EPOCH_S + day * DAY_S
        self._prepare_until(start)
        skeleton = self._chunks[chunk_of(start)].skeleton
        block = self._generator.minute_bars(skeleton, symbol, (start - skeleton.start_s) // DAY_S, 1)
        return _open_bars(symbol, "1m", start, block)

    def _history_start(self) -> int:
        if not self._chunks:
            self.prepare()
        return EPOCH_S + min(self._chunks) * CHUNK_S

    def _prepare_until(self, second: int, progress: Progress | None = None) -> None:
        wanted = chunk_of(second)
        if wanted in self._chunks:
            return
        if wanted < 0:
            raise DataUnavailable(
                f"the simulated market begins at {utc_from_seconds(EPOCH_S):%Y-%m-%d}; "
                f"the clock says {utc_from_seconds(second):%Y-%m-%d}"
            )
        with self._lock:
            first = min(self._chunks, default=max(0, chunk_of(second - self._history_days * DAY_S)))
            first = min(first, wanted)
            missing = [chunk for chunk in range(first, wanted + 1) if chunk not in self._chunks]
            made = dict(self._chunks)
            for done, chunk in enumerate(missing, start=1):
                made[chunk] = self._load(chunk) or self._make(chunk, made)
                if progress:
                    progress(done / len(missing))
            self._hours = {symbol: _join_hours(symbol, made) for symbol in SYMBOLS}
            # Last: readers without the lock take a present chunk as the sign that its hours are there.
            self._chunks = made

    def _make(self, chunk: int, made: Mapping[int, _Chunk]) -> _Chunk:
        if chunk - 1 in made:
            state = made[chunk - 1].skeleton.next_state
        else:
            state = self._generator.initial_state()
            for earlier in range(chunk):
                state = self._generator.skeleton(earlier, state).next_state
        skeleton = self._generator.skeleton(chunk, state)
        built = _Chunk(skeleton, {symbol: self._generator.hour_bars(skeleton, symbol) for symbol in SYMBOLS})
        if self._chunk_store is not None:
            self._chunk_store.save(self._chunk_name(chunk), _to_arrays(built))
        return built

    def _load(self, chunk: int) -> _Chunk | None:
        arrays = self._chunk_store.load(self._chunk_name(chunk)) if self._chunk_store is not None else None
        return None if arrays is None else _from_arrays(chunk, arrays)

    def _chunk_name(self, chunk: int) -> str:
        kind = "structured" if self._generator.is_structured else "walk"
        return f"v{VERSION}-{kind}-{self._generator.seed}-{chunk:04d}"


@dataclass(frozen=True, slots=True)
class _Pricing:
    """Turns a mid price into bid and ask on the tick."""

    tick_size: Decimal
    ticks_per_unit: float
    half_spread_ratio: float

    @classmethod
    def of(cls, instrument: Instrument) -> _Pricing:
        return cls(
            instrument.tick_size,
            float(1 / instrument.tick_size),
            typical_spread_bps(instrument.symbol) / 2 / 10_000,
        )

    def bid_ask(self, mid: float) -> tuple[Decimal, Decimal]:
        """Return the prices around a mid, at least one tick apart."""
        ticks, half = mid * self.ticks_per_unit, mid * self.half_spread_ratio * self.ticks_per_unit
        bid = max(1, math.floor(ticks - half))
        ask = max(bid + 1, math.ceil(ticks + half))
        return bid * self.tick_size, ask * self.tick_size


def _open_bars(symbol: str, timeframe: Timeframe, start: int, block: BarBlock) -> Bars:
    """Return the bars of a block whose session is open."""
    count = block.close.size
    times = start + TIMEFRAME_S[timeframe] * np.arange(count, dtype=np.int64)
    kept = open_mask(symbol, times)
    columns = (block.open, block.high, block.low, block.close, block.volume)
    return _frozen(Bars(symbol, timeframe, times[kept], *(column.ravel()[kept] for column in columns)))


def _join_hours(symbol: str, chunks: Mapping[int, _Chunk]) -> Bars:
    ordered = [chunks[number] for number in sorted(chunks)]
    return _join([_open_bars(symbol, "1h", chunk.skeleton.start_s, chunk.hours[symbol]) for chunk in ordered])


def _join(parts: list[Bars]) -> Bars:
    first = parts[0]
    joined = Bars(
        first.symbol,
        first.timeframe,
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.open for part in parts]),
        np.concatenate([part.high for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.close for part in parts]),
        np.concatenate([part.volume for part in parts]),
    )
    return _frozen(joined)


def _frozen(bars: Bars) -> Bars:
    """Make the arrays read-only: readers share them."""
    for column in (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume):
        column.flags.writeable = False
    return bars


def _no_bars(symbol: str) -> Bars:
    none = np.empty(0)
    return Bars(symbol, "1m", np.empty(0, dtype=np.int64), none, none, none, none, none)


def _to_arrays(chunk: _Chunk) -> dict[str, FloatArray]:
    skeleton = chunk.skeleton
    arrays = {
        "price": skeleton.price,
        "scale": skeleton.scale,
        "activity": skeleton.activity,
        "next_state": skeleton.next_state,
    }
    blocks = [chunk.hours[symbol] for symbol in SYMBOLS]
    arrays["high"] = np.stack([block.high for block in blocks], axis=1)
    arrays["low"] = np.stack([block.low for block in blocks], axis=1)
    arrays["volume"] = np.stack([block.volume for block in blocks], axis=1)
    return arrays


def _from_arrays(number: int, arrays: Mapping[str, FloatArray]) -> _Chunk | None:
    """Return the chunk that `_to_arrays` took apart, or None when the arrays are not such."""
    shape = (HOURS_PER_CHUNK, len(SYMBOLS))
    try:
        skeleton = Skeleton(number, *(arrays[key] for key in ("price", "scale", "activity", "next_state")))
        high, low, volume = arrays["high"], arrays["low"], arrays["volume"]
    except KeyError:
        return None
    if not all(column.shape == shape for column in (skeleton.scale, high, low, volume)):
        return None
    hours = {
        symbol: BarBlock(
            open=skeleton.price[:-1, column],
            high=high[:, column],
            low=low[:, column],
            close=skeleton.price[1:, column],
            volume=volume[:, column],
        )
        for column, symbol in enumerate(SYMBOLS)
    }
    return _Chunk(skeleton, hours)
