"""Read the time column of a file: timestamps, dates, numbers since the epoch in any unit, or text.

A text is read by the one format that fits the first rows; a day-month order that cannot be told apart is refused
rather than guessed. Times without a zone are in the zone that the caller names.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.errors import InvalidRequest
from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray

_SAMPLE_ROWS = 200
_FORMATS = (
    "ISO8601",
    "%Y.%m.%d %H:%M:%S",
    "%Y.%m.%d %H:%M",
    "%Y.%m.%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d %H:%M",
)
_HAS_ZONE = re.compile(r"(Z|UTC|[+-]\d{2}:?\d{2})$")
_COMPACT_DAY = (19000101, 21001231)
_UNITS = ((1e17, 1_000_000_000), (1e14, 1_000_000), (1e11, 1_000))
"""A number at least this large counts this many in a second: nano-, micro-, milliseconds; else seconds."""


def find_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        InvalidRequest: There is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRequest("ingest_time_zone", value=name) from error


def read_times(column: pa.ChunkedArray, zone: tzinfo, time_format: str | None = None) -> tuple[IntArray, BoolArray]:
    """Return seconds since the epoch and whether each could be read.

    A local time that the clocks skip or repeat when summer time changes counts as unreadable: which one was meant
    is not known.

    Raises:
        ValueError: No format fits; the message holds the first value.
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _from_pandas(pd.Series(column.to_pandas(date_as_object=False)), zone)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _from_numbers(column.cast(pa.float64(), safe=False).to_numpy(), zone)
    texts = column.cast(pa.string())
    try:
        return _from_numbers(pc.utf8_trim_whitespace(texts).cast(pa.float64()).to_numpy(), zone)
    except pa.ArrowInvalid:
        return _from_texts(texts.to_pandas().astype("str").str.strip(), zone, time_format)


def wall_to_utc(seconds: IntArray, zone: tzinfo) -> tuple[IntArray, BoolArray]:
    """Return seconds since the epoch of times that a clock of a zone showed, and whether each is certain.

    Args:
        seconds: From 1970-01-01 00:00 of that clock, as if it never changed.
        zone: Where the clock hangs.
    """
    if zone == UTC or str(zone) == "UTC":
        return seconds, np.ones(len(seconds), dtype=np.bool_)
    return _from_pandas(pd.Series(seconds.astype("datetime64[s]")), zone)


def _from_numbers(numbers: FloatArray, zone: tzinfo) -> tuple[IntArray, BoolArray]:
    is_known = np.isfinite(numbers)
    if not is_known.any():
        return np.zeros(len(numbers), dtype=np.int64), is_known
    middle = float(np.median(numbers[is_known]))
    whole = np.where(is_known, numbers, 0.0)
    if _COMPACT_DAY[0] <= middle <= _COMPACT_DAY[1]:
        return _from_pandas(pd.Series(pd.to_datetime(whole.astype(np.int64), format="%Y%m%d", errors="coerce")), zone)
    per_second = next((unit for least, unit in _UNITS if middle >= least), 1)
    return np.floor(whole / per_second).astype(np.int64), is_known


def _from_texts(texts: pd.Series[str], zone: tzinfo, time_format: str | None) -> tuple[IntArray, BoolArray]:
    sample = texts[texts.notna()].head(_SAMPLE_ROWS)
    has_zone = bool(len(sample)) and bool(_HAS_ZONE.search(str(sample.iloc[0])))
    best, readable = "", 0
    for candidate in (time_format,) if time_format else _FORMATS:
        count = int(pd.to_datetime(sample, format=candidate, errors="coerce", utc=has_zone).notna().sum())
        if count > readable:
            best, readable = candidate, count
    if not readable:
        raise ValueError(str(sample.iloc[0]) if len(sample) else "")
    return _from_pandas(pd.Series(pd.to_datetime(texts, format=best, errors="coerce", utc=has_zone)), zone)


def _from_pandas(times: pd.Series[pd.Timestamp], zone: tzinfo) -> tuple[IntArray, BoolArray]:
    if times.dt.tz is None:
        times = times.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None)
    is_known = utc.notna().to_numpy(dtype=np.bool_)
    seconds = utc.to_numpy(dtype="datetime64[s]").astype(np.int64)
    return np.where(is_known, seconds, 0), is_known
