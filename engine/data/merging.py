"""Merge parts of a series into its file, window by window, so that memory does not grow with the series.

Parts come from an ingestion that reads in chunks: each holds good bars in the order in which they were read, perhaps
unsorted, perhaps with times that come again. Later parts count over earlier ones and new bars over stored ones. The
merged file is written beside the old one and takes its place in one rename, as every write of the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.files import write_atomically
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.sessions import BoolArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
COLUMNS = ("time", *PRICE_COLUMNS)
_ROW_GROUP_ROWS = 1 << 17
_GROUPS_AT_ONCE = 2
_WINDOW_BARS = 1 << 19
"""Bars of a window when none is missing: half a million minutes, about a year."""
_MOST_WINDOWS = 4096
_TIME_NOTE = {"time": "open time of the bar, seconds since 1970-01-01 UTC"}
_SCHEMA = pa.schema([("time", pa.int64()), *((name, pa.float64()) for name in PRICE_COLUMNS)], metadata=_TIME_NOTE)


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What a merge did with the new bars.

    Attributes:
        added: Bars at new times.
        replaced: Bars that differed from the stored ones.
        unchanged: Bars that were there already.
        duplicates: New rows whose time came again later among the new rows; the last one counts.
        conflicts: Those of the duplicates that said something else than the row that counts.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    duplicates: int = 0
    conflicts: int = 0

    def __add__(self, other: Self) -> MergeCounts:
        """Return the counts of both together."""
        return MergeCounts(
            self.added + other.added,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.duplicates + other.duplicates,
            self.conflicts + other.conflicts,
        )


def merge_bars(old: Bars, new: Bars) -> tuple[Bars, MergeCounts]:
    """Return the bars of both, sorted; where both have a time, the new one counts. Each has strictly rising times."""
    if len(old) == 0 or len(new) == 0:
        return (new if len(old) == 0 else old), MergeCounts(added=len(new))
    kept = ~np.isin(old.time, new.time, assume_unique=True)
    shared = len(old) - int(kept.sum())
    replaced = _count_changes(old, new) if shared else 0
    counts = MergeCounts(added=len(new) - shared, replaced=replaced, unchanged=shared - replaced)
    time = np.concatenate((old.time[kept], new.time))
    order = np.argsort(time, kind="stable")
    columns = (np.concatenate((getattr(old, name)[kept], getattr(new, name)))[order] for name in PRICE_COLUMNS)
    return Bars(new.symbol, new.timeframe, time[order], *columns), counts


def sort_rows(rows: Bars) -> tuple[Bars, MergeCounts]:
    """Return rows sorted by time, the last of each time only, with the counts of what was dropped."""
    if np.all(rows.time[1:] > rows.time[:-1]):
        return rows, MergeCounts()
    order = np.argsort(rows.time, kind="stable")
    is_last = np.append(np.diff(rows.time[order]) != 0, True)
    columns = [getattr(rows, name)[order] for name in PRICE_COLUMNS]
    bars = Bars(rows.symbol, rows.timeframe, rows.time[order][is_last], *(column[is_last] for column in columns))
    return bars, MergeCounts(duplicates=len(order) - len(bars), conflicts=count_conflicts(columns, is_last))


def count_conflicts(columns: Sequence[FloatArray], is_last: BoolArray) -> int:
    """Return how many rows, sorted by time, differ from the last row of the same time, which counts."""
    last_rows = np.flatnonzero(is_last)
    counting = last_rows[np.searchsorted(last_rows, np.arange(len(is_last)))]
    differs = np.zeros(len(is_last), dtype=np.bool_)
    for column in columns:
        differs |= column != column[counting]
    return int(differs.sum())


def merge_parts(path: Path, parts: Sequence[Path], symbol: str, timeframe: Timeframe) -> MergeCounts:
    """Merge parts into the series' file; it is only written when that changes it.

    Args:
        path: The file of the series, which may be missing.
        parts: Files of `write_rows`, in the order in which they were read.
        symbol: The instrument of all of them.
        timeframe: Length of their bars.
    """
    merge = _Merge(path, parts, symbol, timeframe)
    if not merge.has_rows:
        return MergeCounts()
    if path.exists() and not merge.changes():
        return merge.counts
    write_atomically(path, merge.write)
    return merge.counts


def write_rows(path: Path, rows: Bars) -> None:
    """Write rows to a file, whole or not at all."""
    write_atomically(path, lambda temporary: write_table(temporary, rows))


def write_table(path: Path, bars: Bars) -> None:
    """Write bars in the store's format, in place."""
    with _open_writer(path) as writer:
        writer.write_table(_table(bars), row_group_size=_ROW_GROUP_ROWS)


def iterate_bars(path: Path, symbol: str, timeframe: Timeframe) -> Iterator[Bars]:
    """Yield the bars of a file of the store in order, a few hundred thousand at a time."""
    with pq.ParquetFile(path) as file:
        yield from _blocks(file, symbol, timeframe)


def _blocks(file: pq.ParquetFile, symbol: str, timeframe: Timeframe) -> Iterator[Bars]:
    groups = range(file.metadata.num_row_groups)
    for first in range(0, len(groups), _GROUPS_AT_ONCE):
        some = list(groups[first : first + _GROUPS_AT_ONCE])
        table = file.read_row_groups(some, columns=list(COLUMNS), use_threads=False)
        yield _to_bars(table, symbol, timeframe)


class _Merge:
    """One merge: which windows there are, what changes, and the writing."""

    def __init__(self, path: Path, parts: Sequence[Path], symbol: str, timeframe: Timeframe) -> None:
        self.counts = MergeCounts()
        self._path, self._symbol, self._timeframe = path, symbol, timeframe
        self._old = _ranges([path]) if path.exists() else []
        self._new = _ranges(parts)

    @property
    def has_rows(self) -> bool:
        return bool(self._new)

    def changes(self) -> bool:
        """Tell whether the parts hold anything that is not stored; counts them when they do not."""
        counts = MergeCounts()
        for first, end in self._windows(self._new):
            _, found = self._merged(first, end)
            counts += found
            if found.added or found.replaced:
                return True
        self.counts = counts
        return False

    def write(self, path: Path) -> None:
        """Write everything, old and new, to a file."""
        counts = MergeCounts()
        with _open_writer(path) as writer:
            for first, end in self._windows([*self._old, *self._new]):
                bars, found = self._merged(first, end)
                counts += found
                if len(bars):
                    writer.write_table(_table(bars), row_group_size=_ROW_GROUP_ROWS)
        self.counts = counts

    def _windows(self, ranges: Sequence[_Range]) -> Iterator[tuple[int, int]]:
        first, last = min(one.first for one in ranges), max(one.last for one in ranges)
        width = TIMEFRAME_S[self._timeframe] * _WINDOW_BARS
        # Times that lie centuries apart are somebody's mistake; it must not cost a million empty windows.
        width = max(width, -(-(last + 1 - first) // _MOST_WINDOWS))
        for start in range(first, last + 1, width):
            yield start, min(start + width, last + 1)

    def _merged(self, first: int, end: int) -> tuple[Bars, MergeCounts]:
        old = self._read(self._old, first, end)
        new, dropped = sort_rows(self._read(self._new, first, end))
        bars, counts = merge_bars(old, new)
        return bars, counts + dropped

    def _read(self, ranges: Sequence[_Range], first: int, end: int) -> Bars:
        tables = [one.read() for one in ranges if one.last >= first and one.first < end]
        table = pa.concat_tables(tables) if tables else _SCHEMA.empty_table()
        time = table.column("time").to_numpy()
        rows = _to_bars(table, self._symbol, self._timeframe)
        is_inside = (time >= first) & (time < end)
        return rows if is_inside.all() else _pick(rows, np.flatnonzero(is_inside))


@dataclass(frozen=True, slots=True)
class _Range:
    """One row group of one file and the times that it spans."""

    path: Path
    group: int
    first: int
    last: int

    def read(self) -> pa.Table:
        with pq.ParquetFile(self.path) as file:
            table = file.read_row_group(self.group, columns=list(COLUMNS), use_threads=False)
        return table.replace_schema_metadata(_TIME_NOTE)


def _ranges(paths: Sequence[Path]) -> list[_Range]:
    found = []
    for path in paths:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(0).statistics
            if statistics is not None and statistics.has_min_max:
                found.append(_Range(path, group, statistics.min, statistics.max))
    return found


def _pick(bars: Bars, rows: IntArray) -> Bars:
    columns = (getattr(bars, name)[rows] for name in PRICE_COLUMNS)
    return Bars(bars.symbol, bars.timeframe, bars.time[rows], *columns)


def _to_bars(table: pa.Table, symbol: str, timeframe: Timeframe) -> Bars:
    return Bars(symbol, timeframe, *(table.column(name).to_numpy() for name in COLUMNS))


def _table(bars: Bars) -> pa.Table:
    return pa.table({name: getattr(bars, name) for name in COLUMNS}, schema=_SCHEMA)


def _open_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        _SCHEMA,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"time": "DELTA_BINARY_PACKED", **dict.fromkeys(PRICE_COLUMNS, "BYTE_STREAM_SPLIT")},
    )


def _count_changes(old: Bars, new: Bars) -> int:
    _, of_old, of_new = np.intersect1d(old.time, new.time, assume_unique=True, return_indices=True)
    changed = np.zeros(len(of_old), dtype=np.bool_)
    for name in PRICE_COLUMNS:
        changed |= getattr(old, name)[of_old] != getattr(new, name)[of_new]
    return int(changed.sum())
