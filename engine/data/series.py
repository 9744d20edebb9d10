"""Judge a series of good bars as a whole: what is missing, what is odd, and whether its clock is right.

The bars come in blocks, oldest first, so that ten years of minutes need no more memory than one block; what a block
must know of the one before is one bar and the run that it ended in. Nothing is repaired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from engine.data.calendars import expected_mask
from engine.data.clocks import ClockFinding, judge_clock
from engine.domain.market import Bars, FloatArray, IntArray, utc_from_seconds
from engine.domain.resampling import bucket_start
from engine.domain.sessions import DAY_S, HOUR_S, BoolArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe

EXAMPLES = 3
"""Findings shown of each kind."""
OUTLIER_SCALES = 30.0
"""A move is an outlier when it is above this many times the usual move around it."""
SPIKE_SCALES = 10.0
"""A bar is a spike when it reaches so many usual moves beyond both of its neighbours."""
_STALE_S, _FEWEST_STALE, _MOST_STALE = 2 * HOUR_S, 3, 30
_SCALE_BARS = 256
"""Bars over which the usual move is measured."""
_INSIDE_AT_ONCE = 1 << 20
_MOST_MONTHS = 1200
_CLOSURE_S = DAY_S
"""A hole at least this long ends a week, or a holiday."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of missing bars.

    Attributes:
        after: Open time of the last bar before it.
        missing: Bars that the calendar expects inside.
    """

    after: datetime
    missing: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run of bars that did not move.

    Attributes:
        first_at: Open time of its first bar.
        bars: Its length.
    """

    first_at: datetime
    bars: int


@dataclass(frozen=True, slots=True)
class SeriesFindings:
    """What was found in a series; the fields of the same name in `QualityReport`."""

    rows: int
    first_at: datetime
    last_at: datetime
    misaligned: int
    gap_count: int
    missing: int
    gaps: tuple[Gap, ...]
    outliers: int
    first_outlier_at: datetime | None
    spikes: int
    first_spike_at: datetime | None
    zero_volume: int
    stale_count: int
    stale_bars: int
    stale_runs: tuple[Run, ...]
    clock: ClockFinding
    months: tuple[tuple[str, int], ...]


class SeriesCheck:
    """Look at a series block by block.

    Args:
        symbol: Its instrument, for the calendar.
        timeframe: Length of its bars.
    """

    def __init__(self, symbol: str, timeframe: Timeframe) -> None:
        self._symbol, self._timeframe = symbol, timeframe
        self._step = TIMEFRAME_S[timeframe]
        self._tail: Bars | None = None
        self._rows = self._misaligned = self._zero_volume = self._outliers = self._spikes = 0
        self._first_time = 0
        self._first_outlier: int | None = None
        self._first_spike: int | None = None
        self._gap_count = self._missing = 0
        self._gaps: list[tuple[int, int]] = []
        self._holes: list[IntArray] = []
        self._stale_count = self._stale_bars = 0
        self._stale: list[tuple[int, int]] = []
        self._run_start, self._run_bars = 0, 0
        self._months: Counter[int] = Counter()

    def update(self, bars: Bars) -> None:
        """Add the next bars, all later than those before."""
        if len(bars) == 0:
            return
        if self._tail is None:
            self._first_time = int(bars.time[0])
        self._rows += len(bars)
        self._misaligned += int(np.sum(bucket_start(bars.time, self._timeframe) != bars.time))
        self._zero_volume += int(np.sum(bars.volume == 0))
        months, counts = np.unique(bars.time.astype("datetime64[s]").astype("datetime64[M]"), return_counts=True)
        self._months.update(dict(zip(months.astype(np.int64).tolist(), counts.tolist(), strict=True)))
        wide = bars if self._tail is None else _join(self._tail, bars)
        joined = wide[max(0, len(wide) - len(bars) - 1) :]
        self._add_gaps(joined)
        self._add_outliers(joined)
        self._add_spikes(wide)
        self._add_stale(bars, joined)
        self._tail = wide[max(0, len(wide) - 2) :]

    def finish(self) -> SeriesFindings | None:
        """Return what was found; None when there were no bars."""
        if self._tail is None:
            return None
        self._end_run()
        holes = np.concatenate(self._holes) if self._holes else np.empty((0, 2), dtype=np.int64)
        return SeriesFindings(
            rows=self._rows,
            first_at=utc_from_seconds(self._first_time),
            last_at=utc_from_seconds(int(self._tail.time[-1])),
            misaligned=self._misaligned,
            gap_count=self._gap_count,
            missing=self._missing,
            gaps=tuple(Gap(utc_from_seconds(after), missing) for after, missing in self._gaps),
            outliers=self._outliers,
            first_outlier_at=_at(self._first_outlier),
            spikes=self._spikes,
            first_spike_at=_at(self._first_spike),
            zero_volume=self._zero_volume,
            stale_count=self._stale_count,
            stale_bars=self._stale_bars,
            stale_runs=tuple(Run(utc_from_seconds(start), bars) for start, bars in self._stale),
            clock=judge_clock(self._symbol, self._timeframe, holes),
            months=self._by_month(),
        )

    def _by_month(self) -> tuple[tuple[str, int], ...]:
        every = range(min(self._months), max(self._months) + 1)
        # A span of centuries is somebody's mistake, and no list of months that anybody reads.
        shown = every if len(every) <= _MOST_MONTHS else sorted(self._months)
        return tuple((str(np.datetime64(month, "M")), self._months[month]) for month in shown)

    def _add_gaps(self, bars: Bars) -> None:
        rows = np.flatnonzero(np.diff(bars.time) > self._step)
        if len(rows) == 0:
            return
        after, until = bars.time[rows], bars.time[rows + 1]
        lengths = until - after
        # The clock is judged by ends of weeks and by holes of whole hours; nothing else needs to be kept.
        is_kept = (lengths >= _CLOSURE_S) | ((lengths - self._step) % HOUR_S == 0)
        self._holes.append(np.column_stack((after, until))[is_kept])
        missing = _count_expected(self._symbol, self._timeframe, after, until)
        self._gap_count += int(np.sum(missing > 0))
        self._missing += int(missing.sum())
        worst = np.argsort(-missing, kind="stable")[:EXAMPLES]
        found = [(int(after[row]), int(missing[row])) for row in worst if missing[row]]
        self._gaps = sorted([*self._gaps, *found], key=lambda gap: -gap[1])[:EXAMPLES]

    def _add_outliers(self, bars: Bars) -> None:
        rows = find_outliers(bars)
        self._outliers += len(rows)
        if len(rows) and self._first_outlier is None:
            self._first_outlier = int(bars.time[rows[0]])

    def _add_spikes(self, bars: Bars) -> None:
        """Count the spikes among all bars but the first and the last, which lack a neighbour."""
        rows = find_spikes(bars)
        self._spikes += len(rows)
        if len(rows) and self._first_spike is None:
            self._first_spike = int(bars.time[rows[0]])

    def _add_stale(self, bars: Bars, joined: Bars) -> None:
        is_still = _still(joined)[len(joined) - len(bars) :]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], is_still, [False])).astype(np.int8)))
        starts, ends = edges[::2], edges[1::2]
        if not len(starts) or starts[0] != 0:
            self._end_run()
        for start, end in zip(starts, ends, strict=True):
            if start or not self._run_bars:
                self._end_run()
                self._run_start = int(bars.time[start])
            self._run_bars += int(end - start)
        if len(ends) and ends[-1] != len(bars):
            self._end_run()

    def _end_run(self) -> None:
        bars, self._run_bars = self._run_bars, 0
        if bars < least_stale_run(self._timeframe):
            return
        self._stale_count += 1
        self._stale_bars += bars
        self._stale = sorted([*self._stale, (self._run_start, bars)], key=lambda run: -run[1])[:EXAMPLES]


def examine(bars: Bars) -> SeriesFindings | None:
    """Return what there is to find in bars that lie in memory; None without bars."""
    check = SeriesCheck(bars.symbol, bars.timeframe)
    check.update(bars)
    return check.finish()


def least_stale_run(timeframe: Timeframe) -> int:
    """Return how many bars in a row without any movement are a stale run: two hours, 3 bars at least, 30 at most."""
    return min(_MOST_STALE, max(_FEWEST_STALE, _STALE_S // TIMEFRAME_S[timeframe]))


def find_outliers(bars: Bars) -> IntArray:
    """Return the rows whose range, with the jump from the close before, is far beyond the usual around them."""
    if len(bars) < 2:
        return np.empty(0, dtype=np.int64)
    move = _moves(bars)
    return np.flatnonzero(move > OUTLIER_SCALES * _usual_move(move)) + 1


def find_spikes(bars: Bars) -> IntArray:
    """Return the rows that reach far beyond both neighbours, as a bad tick does: the price leaves and comes back.

    The first and the last row have one neighbour and are never among them.
    """
    if len(bars) < 3:
        return np.empty(0, dtype=np.int64)
    high, low = np.log(bars.high), np.log(bars.low)
    ceiling = np.maximum(np.maximum(high[:-2], high[2:]), np.log(np.maximum(bars.close[:-2], bars.open[2:])))
    ground = np.minimum(np.minimum(low[:-2], low[2:]), np.log(np.minimum(bars.close[:-2], bars.open[2:])))
    reach = np.maximum(high[1:-1] - ceiling, ground - low[1:-1])
    return np.flatnonzero(reach > SPIKE_SCALES * _usual_move(_moves(bars))[:-1]) + 1


def _moves(bars: Bars) -> FloatArray:
    """Return the range of each bar but the first, with the jump from the close before, as a logarithm."""
    before = bars.close[:-1]
    moves: FloatArray = np.log(np.maximum(bars.high[1:], before) / np.minimum(bars.low[1:], before))
    return moves


def _usual_move(moves: FloatArray) -> FloatArray:
    """Return the median move around each, in blocks; in a dead calm at least a quarter of the median of all."""
    whole = len(moves) // _SCALE_BARS * _SCALE_BARS
    usual = np.empty(len(moves))
    usual[:whole] = np.repeat(np.median(moves[:whole].reshape(-1, _SCALE_BARS), axis=1), _SCALE_BARS)
    if whole < len(moves):
        usual[whole:] = np.median(moves[whole:])
    return np.maximum(usual, float(np.median(moves)) / 4)


def _at(second: int | None) -> datetime | None:
    return None if second is None else utc_from_seconds(second)


def _still(bars: Bars) -> BoolArray:
    """Tell which bars have no range and the close of the bar before."""
    is_flat: BoolArray = (bars.high == bars.low) & (bars.open == bars.close)
    before = np.concatenate((bars.close[:1], bars.close[:-1]))
    is_flat &= bars.close == before
    return is_flat


def _join(last: Bars, bars: Bars) -> Bars:
    columns = ("time", "open", "high", "low", "close", "volume")
    joined = (np.concatenate((getattr(last, name), getattr(bars, name))) for name in columns)
    return Bars(bars.symbol, bars.timeframe, *joined)


def _count_expected(symbol: str, timeframe: Timeframe, after: IntArray, until: IntArray) -> IntArray:
    """Return how many bars the calendar expects strictly inside each hole."""
    step = TIMEFRAME_S[timeframe]
    counts = np.maximum((until - after - 1) // step, 0)
    missing = np.zeros(len(counts), dtype=np.int64)
    for first, end in _batches(counts):
        begins, sizes = after[first:end] + step, counts[first:end]
        if end - first == 1 and sizes[0] > _INSIDE_AT_ONCE:
            missing[first] = _count_in_pieces(symbol, timeframe, int(begins[0]), int(sizes[0]))
            continue
        starts = np.cumsum(sizes) - sizes
        inside = np.repeat(begins - starts * step, sizes) + np.arange(int(sizes.sum())) * step
        is_expected = expected_mask(symbol, timeframe, inside)
        totals = np.concatenate(([0], np.cumsum(is_expected)))
        missing[first:end] = totals[starts + sizes] - totals[starts]
    return missing


def _count_in_pieces(symbol: str, timeframe: Timeframe, begin: int, count: int) -> int:
    step, found = TIMEFRAME_S[timeframe], 0
    for first in range(0, count, _INSIDE_AT_ONCE):
        inside = begin + step * np.arange(first, min(count, first + _INSIDE_AT_ONCE), dtype=np.int64)
        found += int(expected_mask(symbol, timeframe, inside).sum())
    return found


def _batches(counts: IntArray) -> Iterator[tuple[int, int]]:
    """Yield ranges of holes with a bounded number of bars inside, at least one hole each."""
    totals = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = int(totals[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(totals, before + _INSIDE_AT_ONCE, side="right")))
        yield first, end
        first = end
