"""Judge raw bars: which rows are bad, which bars are missing, what looks odd.

Bad rows (unreadable, not positive, high below the body, ...) are left out and counted with examples; gaps,
outliers and bars without volume are reported and stay as they are. Nothing is repaired or interpolated. Gaps are
counted against the calendar of the symbol, so a weekend is none for a currency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from engine.data.clocks import CLOCK_UNKNOWN, ClockFinding
from engine.data.merging import count_conflicts
from engine.data.quality_text import ENGLISH, Words, render_lines
from engine.data.series import EXAMPLES, Gap, Run, SeriesFindings, examine
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.sessions import BoolArray
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that was left out: its number in the file (1 is the first row of data), column and value."""

    row: int
    column: str
    value: str


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows left out for one reason.

    Attributes:
        reason: `unreadable_time`, `unreadable_number`, `not_positive`, `high_too_low`, `low_too_high`,
            `negative_volume` or `wrong_columns`.
        examples: The first few.
    """

    reason: str
    count: int
    examples: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What was found in one file of bars.

    Attributes:
        rows_read: Rows of data in the file; `rows_kept + duplicates + bad rows` add up to it.
        duplicates: Rows whose time came again later in the file; the last one counts.
        conflicts: Those of the duplicates that said something else than the row that counts.
        unsorted: Rows earlier than the row before them; the bars are stored sorted.
        misaligned: Bars that do not open on a multiple of the timeframe.
        gaps: Runs of missing bars, longest first, at most `EXAMPLES`; `gap_count` and `missing` count all.
        outliers: Bars whose move is far beyond the usual; kept.
        zero_volume: Bars without volume; kept.
        spikes: Bars that reach far beyond both neighbours, as bad ticks do; kept.
        stale_count, stale_bars: Runs of bars without any movement, and the bars in them; kept.
        stale_runs: The longest of them, at most `EXAMPLES`.
        clock: Whether the times are UTC, as far as the holes of the series tell.
        months: Bars of each calendar month, from the first to the last.
        added, replaced, unchanged: What the store did with the kept rows.
    """

    file: str
    symbol: str
    timeframe: Timeframe
    rows_read: int
    rows_kept: int
    first_at: datetime
    last_at: datetime
    bad: tuple[BadRows, ...]
    duplicates: int
    conflicts: int
    unsorted: int
    misaligned: int
    gap_count: int
    missing: int
    gaps: tuple[Gap, ...]
    outliers: int
    first_outlier_at: datetime | None
    zero_volume: int
    spikes: int = 0
    first_spike_at: datetime | None = None
    stale_count: int = 0
    stale_bars: int = 0
    stale_runs: tuple[Run, ...] = ()
    clock: ClockFinding = CLOCK_UNKNOWN
    months: tuple[tuple[str, int], ...] = ()
    added: int = 0
    replaced: int = 0
    unchanged: int = 0

    @property
    def bad_count(self) -> int:
        """Return how many rows were left out as bad."""
        return sum(one.count for one in self.bad)

    def lines(self, words: Words = ENGLISH) -> tuple[str, ...]:
        """Return the report as plain text, for the command line; the last line says what was stored."""
        return render_lines(self, words)


@dataclass(frozen=True, slots=True, eq=False)
class RawBars:
    """Rows of a file as they were read, in their order.

    Attributes:
        row: Shape (n,), number of each row in the file, 1 for the first row of data.
        time: Shape (n,), seconds since the epoch; meaningless where `has_time` is False.
        open, high, low, close, volume: Shape (n,), NaN where it could not be read.
        text: Returns what a cell of a row number and a column (`time`, `open`, ...) held, for messages.
        rows_read: Rows of data in the file, `unsplit` included.
        unsplit: Rows that did not have the right number of columns; they are not among the arrays.
    """

    row: IntArray
    time: IntArray
    has_time: BoolArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    text: Callable[[int, str], str]
    rows_read: int
    unsplit: BadRows | None = None


def clean(raw: RawBars, file: str, symbol: str, timeframe: Timeframe) -> tuple[Bars, QualityReport | None]:
    """Return the good bars, sorted, and what was found; no report when no row is good.

    The report's counts of stored bars are left at 0 for the caller to fill in.
    """
    is_good, bad = judge_rows(raw)
    times = raw.time[is_good]
    order = np.argsort(times, kind="stable")
    is_last = np.append(np.diff(times[order]) != 0, True)[: len(order)]
    rows = np.flatnonzero(is_good)[order]
    columns = {name: getattr(raw, name)[rows] for name in ("open", "high", "low", "close", "volume")}
    kept = rows[is_last]
    bars = Bars(symbol, timeframe, raw.time[kept], *(column[is_last] for column in columns.values()))
    if len(bars) == 0:
        return bars, None
    found = examine(bars)
    assert found is not None
    report = make_report(
        file,
        symbol,
        timeframe,
        found,
        rows_read=raw.rows_read,
        bad=bad,
        duplicates=len(rows) - len(bars),
        conflicts=count_conflicts(tuple(columns.values()), is_last),
        unsorted=int(np.sum(np.diff(times) < 0)),
    )
    return bars, report


def make_report(
    file: str,
    symbol: str,
    timeframe: Timeframe,
    found: SeriesFindings,
    *,
    rows_read: int,
    bad: tuple[BadRows, ...],
    duplicates: int,
    conflicts: int,
    unsorted: int,
) -> QualityReport:
    """Join what was found in rows and in the series that they made; what the store did is left at 0."""
    return QualityReport(
        file=file,
        symbol=symbol,
        timeframe=timeframe,
        rows_read=rows_read,
        rows_kept=found.rows,
        first_at=found.first_at,
        last_at=found.last_at,
        bad=bad,
        duplicates=duplicates,
        conflicts=conflicts,
        unsorted=unsorted,
        misaligned=found.misaligned,
        gap_count=found.gap_count,
        missing=found.missing,
        gaps=found.gaps,
        outliers=found.outliers,
        first_outlier_at=found.first_outlier_at,
        zero_volume=found.zero_volume,
        spikes=found.spikes,
        first_spike_at=found.first_spike_at,
        stale_count=found.stale_count,
        stale_bars=found.stale_bars,
        stale_runs=found.stale_runs,
        clock=found.clock,
        months=found.months,
    )


def judge_rows(raw: RawBars) -> tuple[BoolArray, tuple[BadRows, ...]]:
    """Return which rows are good, and the others under the first reason that applies."""
    is_good = np.ones(len(raw.time), dtype=np.bool_)
    bad = [raw.unsplit] if raw.unsplit else []
    for reason, column, mask in _faults(raw):
        rows = np.flatnonzero(is_good & mask)
        if len(rows):
            is_good[rows] = False
            bad.append(_count_bad(raw, reason, column, rows))
    return is_good, join_bad(bad)


def _faults(raw: RawBars) -> list[tuple[str, str, BoolArray]]:
    prices = {"open": raw.open, "high": raw.high, "low": raw.low, "close": raw.close}
    numbers = {**prices, "volume": raw.volume}
    with np.errstate(invalid="ignore"):
        return [
            ("unreadable_time", "time", ~raw.has_time),
            *(("unreadable_number", name, ~np.isfinite(column)) for name, column in numbers.items()),
            *(("not_positive", name, column <= 0) for name, column in prices.items()),
            ("high_too_low", "high", raw.high < np.maximum(raw.open, raw.close)),
            ("low_too_high", "low", raw.low > np.minimum(raw.open, raw.close)),
            ("negative_volume", "volume", raw.volume < 0),
        ]


def _count_bad(raw: RawBars, reason: str, column: str, rows: IntArray) -> BadRows:
    numbers = [int(raw.row[row]) for row in rows[:EXAMPLES]]
    return BadRows(reason, len(rows), tuple(BadRow(row, column, raw.text(row, column)) for row in numbers))


def join_bad(bad: Sequence[BadRows]) -> tuple[BadRows, ...]:
    """Join the counts of one reason, over columns and over chunks; its first examples are kept."""
    joined: dict[str, BadRows] = {}
    for one in bad:
        before = joined.get(one.reason)
        if before is None:
            joined[one.reason] = one
        else:
            examples = sorted((*before.examples, *one.examples), key=lambda example: example.row)[:EXAMPLES]
            joined[one.reason] = BadRows(one.reason, before.count + one.count, tuple(examples))
    return tuple(joined.values())
