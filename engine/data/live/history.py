"""The local copy of one symbol's bars: four series of whole bars that grow at their end and never change.

Minutes come from the stream, and what the stream left out from the exchange's history. A minute that follows a hole is
kept back until the hole is filled, so that nobody computes on a window with a piece missing; where the exchange itself
has no bar, the hole stays. Longer series are made of shorter ones as their bars complete. Only one task writes; reads
may come from any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.resampling import bucket_start_of, resample
from engine.domain.symbols import TIMEFRAME_S, Timeframe

TIERS: tuple[Timeframe, ...] = ("1m", "5m", "1h", "1d")
"""The lengths that are kept; others are made of the longest of these that divides them."""
_MOST_KEPT_BACK = 3000
_SPARE = 512


@dataclass(frozen=True, slots=True)
class Depth:
    """How many bars of each length are kept in memory and loaded at the start.

    The defaults give every timeframe a thousand bars, and hours three years, as models need; about 3 MB a symbol.
    """

    minutes: int = 2_880
    fives: int = 10_080
    hours: int = 26_304
    days: int = 2_000

    def of(self, timeframe: Timeframe) -> int:
        """Return the number of bars of a kept length."""
        return {"1m": self.minutes, "5m": self.fives, "1h": self.hours, "1d": self.days}[timeframe]


WIDE = Depth(minutes=1_500, fives=3_000, hours=2_000, days=730)
"""For the many: some 700 kB a symbol."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Columns with room behind the last bar; rows from `start` to `stop` count."""

    time: IntArray
    values: FloatArray
    start: int
    stop: int


class BarSeries:
    """Bars of one length, oldest first.

    Attributes:
        until: Up to where the history is known, in seconds since the epoch; 0 before anything was loaded.
        saved_until: Up to where it is on the disk.
    """

    def __init__(self, symbol: str, timeframe: Timeframe, depth: int) -> None:
        self.symbol, self.timeframe, self.depth = symbol, timeframe, depth
        self.step = TIMEFRAME_S[timeframe]
        self.until = 0
        self.saved_until = 0
        self._block = _Block(np.empty(0, dtype=np.int64), np.empty((5, 0)), 0, 0)

    def __len__(self) -> int:
        return self._block.stop - self._block.start

    def view(self) -> Bars:
        """Return all bars, without a copy; they never change."""
        block = self._block
        rows = slice(block.start, block.stop)
        return Bars(self.symbol, self.timeframe, block.time[rows], *(column[rows] for column in block.values))

    def closed(self, now_s: float) -> Bars:
        """Return the bars that have closed by a time."""
        bars = self.view()
        return bars[: int(np.searchsorted(bars.time, int(now_s) - self.step, side="right"))]

    def extend(self, bars: Bars) -> int:
        """Add bars that open where the history ends or later; return how many were new."""
        first = int(np.searchsorted(bars.time, self.until))
        count = len(bars) - first
        if count > 0:
            block = self._make_room(count)
            stop = block.stop + count
            columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
            block.time[block.stop : stop] = bars.time[first:]
            for number, column in enumerate(columns):
                block.values[number, block.stop : stop] = column[first:]
            self.until = int(bars.time[-1]) + self.step
            # Last: whoever reads meanwhile sees the bars before.
            self._block = _Block(block.time, block.values, max(block.start, stop - 2 * self.depth), stop)
        return max(0, count)

    def _make_room(self, count: int) -> _Block:
        """Return a block with room for more bars; those beyond the depth are left behind when it is a new one."""
        block = self._block
        if block.stop + count <= len(block.time):
            return block
        kept = min(block.stop - block.start, self.depth)
        size = kept + count + self.depth // 2 + _SPARE
        time, values = np.empty(size, dtype=np.int64), np.empty((5, size))
        time[:kept] = block.time[block.stop - kept : block.stop]
        values[:, :kept] = block.values[:, block.stop - kept : block.stop]
        return _Block(time, values, 0, kept)


class SymbolHistory:
    """All bars of one symbol.

    Args:
        symbol: Ours.
        depth: How much is kept.
    """

    def __init__(self, symbol: str, depth: Depth) -> None:
        self.symbol, self.depth = symbol, depth
        self.series: Mapping[Timeframe, BarSeries] = {
            timeframe: BarSeries(symbol, timeframe, depth.of(timeframe)) for timeframe in TIERS
        }
        self.minutes = self.series["1m"]
        self.is_loaded = False
        self._kept_back: dict[int, Bars] = {}

    @property
    def has_gap(self) -> bool:
        """Return whether a bar has come whose predecessor has not."""
        return bool(self._kept_back)

    def take_minute(self, bar: Bars) -> bool:
        """Take one closed minute from the stream; return whether more can be read now.

        A repeated or overtaken one changes nothing; one after a hole waits for it to be filled.
        """
        opened = int(bar.time[0])
        if not self.is_loaded or opened > self.minutes.until:
            if len(self._kept_back) < _MOST_KEPT_BACK:
                self._kept_back[opened] = bar
            return False
        if opened < self.minutes.until:
            return False
        self.minutes.extend(bar)
        self._go_on()
        return True

    def fill(self, bars: Bars) -> bool:
        """Take minutes from the exchange's history; return whether more can be read now."""
        is_new = self.minutes.extend(bars) > 0
        self._go_on()
        return is_new

    def finish_loading(self) -> None:
        """Join what the stream brought meanwhile to what was loaded."""
        self.is_loaded = True
        self._go_on()

    def _go_on(self) -> None:
        """Add kept back minutes that follow now, and the longer bars that are complete."""
        while (bar := self._kept_back.pop(self.minutes.until, None)) is not None:
            self.minutes.extend(bar)
        if self._kept_back:
            self._kept_back = {opened: bar for opened, bar in self._kept_back.items() if opened > self.minutes.until}
        for finer, longer in pairwise(TIERS):
            _make_longer(self.series[finer], self.series[longer])

    def bars(self, timeframe: Timeframe, limit: int, now_s: float) -> Bars:
        """Return the last `limit` bars that have closed by a time."""
        step = TIMEFRAME_S[timeframe]
        tier = next(one for one in reversed(TIERS) if step % TIMEFRAME_S[one] == 0)
        closed = self.series[tier].closed(now_s)
        if tier != timeframe:
            if len(closed):
                first = bucket_start_of(int(closed.time[-1]), timeframe) - limit * step
                # The oldest bucket counts only when it is whole.
                first = max(first, bucket_start_of(int(closed.time[0]) - 1, timeframe) + step)
                closed = closed[int(np.searchsorted(closed.time, first)) :]
            closed = resample(closed, timeframe, now_s=int(now_s))
        return closed[max(0, len(closed) - limit) :]

    def between(self, start_s: float, end_s: float, now_s: float) -> Bars:
        """Return the finest closed bars that reach back to a start, or else those that reach back furthest."""
        candidates = [series.closed(now_s) for series in self.series.values()]
        held = [bars for bars in candidates if len(bars)]
        if not held:
            raise DataUnavailable(f"there are no bars of {self.symbol} yet")
        bars = next((one for one in held if one.time[0] <= start_s), min(held, key=lambda one: int(one.time[0])))
        rows = np.searchsorted(bars.time, (int(np.ceil(start_s)), int(np.ceil(end_s))))
        return bars[int(rows[0]) : int(rows[1])]


def _make_longer(finer: BarSeries, longer: BarSeries) -> None:
    """Add the longer bars whose time the finer ones cover; a bar without any finer one does not exist."""
    if not longer.until:
        return
    while longer.until + longer.step <= finer.until:
        end = longer.until + longer.step
        bars = finer.view()
        rows = np.searchsorted(bars.time, (longer.until, end))
        part = bars[int(rows[0]) : int(rows[1])]
        if len(part):
            longer.extend(resample(part, longer.timeframe, now_s=end))
        longer.until = end
