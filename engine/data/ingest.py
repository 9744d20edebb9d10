"""Bring a file of bars into the store: read, judge, report, and only then store.

Bad rows are left out and counted, never silently; a file of which most rows are bad is refused, because then its
columns are not what they were taken for. The store is written once, at the end and atomically: an ingestion that
is interrupted leaves it as it was, and one that is repeated changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.cells import to_raw
from engine.data.columns import DAY_COLUMN, Progress, RawTable, read_table
from engine.data.naming import parse_file_name, parse_symbol
from engine.data.quality import QualityReport, RawBars, clean, judge_rows
from engine.data.store import BarStore
from engine.data.times import Zone, find_zone, read_times
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from engine.domain.symbols import TIMEFRAME_S, Timeframe

DEFAULT_SOURCE = "files"
_MOST_BAD_RATIO = 0.5
_READ_SHARE, _JUDGED_SHARE = 0.5, 0.8
_FEWEST_STEPS = 8
"""Steps between bars from which the timeframe can be told."""


def ingest_file(
    path: Path,
    store: BarStore,
    *,
    source: str = DEFAULT_SOURCE,
    symbol: str | None = None,
    timeframe: Timeframe | None = None,
    columns: Mapping[str, str] | None = None,
    time_zone: str = "UTC",
    time_format: str | None = None,
    progress: Progress | None = None,
) -> QualityReport:
    """Read a CSV or Parquet file of bars, and add its good rows to the store.

    Args:
        path: The file.
        store: Where the bars go.
        source: The name under which the store keeps them.
        symbol: The instrument, in any usual writing; None reads it from the file's name.
        timeframe: Length of the bars; None reads it from the file's name, or else from their times.
        columns: Our column names (`time open high low close volume`) to the file's, where guessing is wrong.
        time_zone: IANA name of the zone of times that do not carry one.
        time_format: `strptime` format of text times, where guessing is wrong.
        progress: Called with the share that is done, from 0 to 1.

    Returns:
        What was found and what was stored.

    Raises:
        DataUnavailable: The file is missing, damaged, or holds hardly any bar.
        InvalidRequest: The symbol, timeframe, columns or times cannot be told; it names file, row and column.
    """
    tell = progress or _tell_nobody
    zone = find_zone(time_zone)
    if not path.is_file():
        raise DataUnavailable(f"{path} is not there or is not a file")
    named_symbol, named_timeframe = parse_file_name(path.name.split(".")[0])
    chosen_symbol = _choose_symbol(path, symbol, named_symbol)
    table = read_table(path, columns or {}, lambda share: tell(share * _READ_SHARE))
    raw = _to_raw(path, table, zone, time_format)
    chosen_timeframe = _choose_timeframe(path, raw, timeframe or named_timeframe)
    bars, report = clean(raw, path.name, chosen_symbol, chosen_timeframe)
    tell(_JUDGED_SHARE)
    stored = _store(path, store, source, bars, _accept(path, raw, bars, report))
    tell(1.0)
    return stored


def _tell_nobody(_share: float) -> None:
    return


def _store(path: Path, store: BarStore, source: str, bars: Bars, report: QualityReport) -> QualityReport:
    try:
        counts = store.merge(source, bars)
    except ValueError as error:
        raise InvalidRequest("ingest_source", file=path.name, source=source) from error
    except OSError as error:
        raise DataUnavailable(f"the bars of {path} cannot be stored: {error}") from error
    return replace(report, added=counts.added, replaced=counts.replaced, unchanged=counts.unchanged)


def _choose_symbol(path: Path, given: str | None, named: str | None) -> str:
    symbol = named if given is None else parse_symbol(given)
    if symbol is None:
        raise InvalidRequest("ingest_symbol_unknown", file=path.name, symbol=given or "")
    return symbol


def _choose_timeframe(path: Path, raw: RawBars, wanted: Timeframe | None) -> Timeframe:
    """Return the timeframe, checked against the most frequent step of the times."""
    steps = np.diff(np.unique(raw.time[raw.has_time]))
    if len(steps) < _FEWEST_STEPS:
        if wanted is None:
            raise InvalidRequest("ingest_timeframe_unknown", file=path.name, found="")
        return wanted
    values, counts = np.unique(steps, return_counts=True)
    step = int(values[np.argmax(counts)])
    found = next((name for name, seconds in TIMEFRAME_S.items() if seconds == step), None)
    if wanted is None and found is None:
        raise InvalidRequest("ingest_timeframe_unknown", file=path.name, found=f"{step} s")
    if wanted is not None and found != wanted:
        raise InvalidRequest("ingest_timeframe_mismatch", file=path.name, timeframe=wanted, found=found or f"{step} s")
    chosen = wanted or found
    assert chosen is not None
    return chosen


def _accept(path: Path, raw: RawBars, bars: Bars, report: QualityReport | None) -> QualityReport:
    """Return the report, unless so many rows are bad that the file was misread.

    Raises:
        DataUnavailable: More than half of the rows are bad.
    """
    if report is not None and report.bad_count <= _MOST_BAD_RATIO * report.rows_read:
        return report
    bad = report.bad if report else judge_rows(raw)[1]
    first = min((example for kind in bad for example in kind.examples), key=lambda one: one.row)
    reasons = ", ".join(f"{kind.reason} {kind.count}" for kind in bad)
    raise DataUnavailable(
        f"{path}: only {len(bars)} of {raw.rows_read} rows are bars ({reasons}); "
        f"first at row {first.row}, column {first.column}: {first.value}"
    )


def _to_raw(path: Path, table: RawTable, zone: Zone, time_format: str | None) -> RawBars:
    time_column = _time_column(table)
    try:
        time, has_time = read_times(time_column, zone, time_format)
    except ValueError as error:
        raise InvalidRequest(
            "ingest_time_format", file=path.name, row=1, column=table.names["time"], value=str(error)
        ) from error
    cells = {**table.columns, "time": time_column}
    return to_raw(cells, time, has_time, rows_read=table.rows_read, unsplit=table.unsplit)


def _time_column(table: RawTable) -> pa.ChunkedArray:
    """Return the time column, date and time of day joined where a file keeps them apart."""
    day, time = table.columns.get(DAY_COLUMN), table.columns["time"]
    if day is None or not (pa.types.is_string(day.type) and pa.types.is_string(time.type)):
        return time
    first = next((value.as_py() for value in time if value.is_valid), "")
    is_time_of_day = ":" in first and len(first.strip()) <= len("HH:MM:SS.mmm")
    return pc.binary_join_element_wise(day, time, " ") if is_time_of_day else time
