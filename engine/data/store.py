"""Keep bars in columns on disk: one Parquet file per source, symbol and timeframe.

A file is always whole: it is replaced by an atomic rename, so an interrupted write leaves what was there. Storing
the same bars twice changes nothing. A row group holds about a quarter of a year of minutes, so that a range of
time reads only its part of the file. Rewriting a whole file for each merge is the price of that simplicity: it
suits files and backfills, not one bar a minute.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.files import write_atomically
from engine.data.merging import COLUMNS, MergeCounts, iterate_bars, merge_bars, merge_parts, write_table
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.symbols import TIMEFRAME_S, TIMEFRAMES, Timeframe

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SYMBOL = re.compile(r"[A-Za-z0-9]+(/[A-Za-z0-9]+)?")


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """What the store holds of one symbol in one timeframe.

    Attributes:
        first_at, last_at: Open times of the first and the last bar.
    """

    source: str
    symbol: str
    timeframe: Timeframe
    rows: int
    first_at: datetime
    last_at: datetime


class BarStore:
    """Bars on disk, by source, symbol and timeframe.

    Args:
        root: The folder of the store; made when the first bars are merged.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def merge(self, source: str, bars: Bars) -> MergeCounts:
        """Add bars to those stored; where both have a time, the new bar counts. All or nothing.

        Two programs that merge into one series wait for each other.

        Args:
            source: Name of where the bars come from: letters, digits, `.`, `_`, `-`.
            bars: Oldest first, times strictly increasing.

        Raises:
            ValueError: The source is not a safe name, or the times are not increasing.
        """
        if np.any(bars.time[1:] <= bars.time[:-1]):
            raise ValueError(f"the times of the bars of {bars.symbol} are not strictly increasing")
        path = self._path(source, bars.symbol, bars.timeframe)
        if len(bars) == 0:
            return MergeCounts(0, 0, 0)
        with _locked(path):
            old = self.load(source, bars.symbol, bars.timeframe) if path.exists() else bars[:0]
            merged, counts = merge_bars(old, bars)
            if counts.added or counts.replaced:
                write_atomically(path, lambda temporary: write_table(temporary, merged))
        return counts

    def merge_parts(self, source: str, symbol: str, timeframe: Timeframe, parts: Sequence[Path]) -> MergeCounts:
        """Add the rows of parts (`engine.data.merging.write_rows`) to those stored; the last of a time counts.

        All or nothing, in memory that does not grow with the series.

        Raises:
            ValueError: The source is not a safe name.
        """
        path = self._path(source, symbol, timeframe)
        with _locked(path):
            return merge_parts(path, parts, symbol, timeframe)

    def blocks(self, source: str, symbol: str, timeframe: Timeframe) -> Iterator[Bars]:
        """Yield a stored series in order, block by block; nothing when there is none."""
        path = self._path(source, symbol, timeframe)
        if path.exists():
            yield from iterate_bars(path, symbol, timeframe)

    def describe(self, source: str, symbol: str, timeframe: Timeframe) -> StoredSeries | None:
        """Return what is stored of one series, or None.

        Raises:
            DataUnavailable: Its file is damaged.
        """
        path = self._path(source, symbol, timeframe)
        return _describe(path) if path.exists() else None

    def staging_folder(self, source: str, symbol: str, timeframe: Timeframe) -> Path:
        """Return the folder where an ingestion of one series may keep its parts and its state."""
        path = self._path(source, symbol, timeframe)
        return path.with_name(f".{timeframe}.ingest")

    def load(
        self,
        source: str,
        symbol: str,
        timeframe: Timeframe,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Bars:
        """Return the stored bars with `start <= open time < end`, oldest first; None means no limit.

        Raises:
            DataUnavailable: The store has no such series, or its file is damaged.
        """
        path = self._path(source, symbol, timeframe)
        if not path.exists():
            raise DataUnavailable(f"the store has no {timeframe} bars of {symbol} from {source!r}")
        first = None if start is None else int(np.ceil(start.timestamp()))
        last = None if end is None else int(np.ceil(end.timestamp()))
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                groups = _groups_between(file.metadata, first, last)
                table = file.read_row_groups(groups, columns=list(COLUMNS)).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise DataUnavailable(f"{path} cannot be read ({error}); remove it and ingest its source again") from error
        bars = Bars(symbol, timeframe, *(table.column(name).to_numpy() for name in COLUMNS))
        begin = 0 if first is None else int(np.searchsorted(bars.time, first))
        stop = len(bars) if last is None else int(np.searchsorted(bars.time, last))
        return bars[begin:stop]

    def contents(self, source: str | None = None) -> tuple[StoredSeries, ...]:
        """Return every series of the store, or of one source, by source, symbol and length of bar.

        Raises:
            DataUnavailable: A file of the store is damaged.
        """
        if source is not None and not _SAFE_NAME.fullmatch(source):
            return ()
        found = [
            _describe(path)
            for path in self._root.glob(f"{source or '*'}/*/*.parquet")
            if path.stem in TIMEFRAMES and not path.name.startswith(".")
        ]
        return tuple(sorted(found, key=lambda one: (one.source, one.symbol, TIMEFRAME_S[one.timeframe])))

    def _path(self, source: str, symbol: str, timeframe: Timeframe) -> Path:
        if not _SAFE_NAME.fullmatch(source):
            raise ValueError(f"{source!r} cannot name a source; use letters, digits, '.', '_' and '-'")
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"{symbol!r} is not a symbol; write it like BTC/USDT or XAUUSD")
        return self._root / source / symbol.replace("/", "-") / f"{timeframe}.parquet"


def _groups_between(metadata: pq.FileMetaData, first: int | None, last: int | None) -> list[int]:
    """Return the row groups that may hold a time of the range."""
    groups = []
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(0).statistics
        if (first is None or statistics.max >= first) and (last is None or statistics.min < last):
            groups.append(number)
    return groups


def _describe(path: Path) -> StoredSeries:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise DataUnavailable(f"{path} cannot be read ({error}); remove it and ingest its source again") from error
    first = metadata.row_group(0).column(0).statistics.min
    last = metadata.row_group(metadata.num_row_groups - 1).column(0).statistics.max
    timeframe = next(one for one in get_args(Timeframe) if one == path.stem)
    return StoredSeries(
        source=path.parents[1].name,
        symbol=path.parent.name.replace("-", "/"),
        timeframe=timeframe,
        rows=metadata.num_rows,
        first_at=utc_from_seconds(first),
        last_at=utc_from_seconds(last),
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the series' lock; the system releases it when the program dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for rubbish in path.parent.glob(f".{path.stem}-*.partial"):
            # Only a writer that was killed leaves one: the others hold the lock.
            rubbish.unlink(missing_ok=True)
        yield
