"""Read the time column of a file: timestamps, dates, numbers since the epoch in any unit, or text.

A text is read by the one format that fits the first rows; a day-month order that cannot be told apart is refused
rather than guessed. Times without a zone are in the zone that the caller names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
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
_AHEAD = re.compile(r"(?P<base>[A-Za-z_]+/[A-Za-z_/]+|UTC)(?P<sign>[+-])(?P<hours>\d{1,2})(:(?P<minutes>\d{2}))?")
_COMPACT_DAY = (19000101, 21001231)
_UNITS = ((1e17, 1_000_000_000), (1e14, 1_000_000), (1e11, 1_000))
"""A number at least this large counts this many in a second: nano-, micro-, milliseconds; else seconds."""


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a clock hangs.

    Attributes:
        base: The zone whose summer time it follows.
        ahead_s: Seconds that it is ahead of that zone the year round.
    """

    base: tzinfo
    ahead_s: int = 0


def find_zone(name: str) -> Zone:
    """Return a time zone by its IANA name, perhaps with hours on top.

    Many brokers' servers are two hours ahead of Greenwich and change their clocks with New York, so that a trading day
    is a calendar day: that is `America/New_York+7`.

    >>> find_zone("America/New_York+7").ahead_s
    25200

    Raises:
        InvalidRequest: There is no such zone.
    """
    if (known := _find_known(name)) is not None:
        return Zone(known)
    match = _AHEAD.fullmatch(name)
    base = _find_known(match["base"]) if match else None
    if match is None or base is None:
        raise InvalidRequest("ingest_time_zone", value=name)
    ahead_s = int(match["hours"]) * 3600 + int(match["minutes"] or 0) * 60
    return Zone(base, -ahead_s if match["sign"] == "-" else ahead_s)


def _find_known(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def read_times(
    column: pa.ChunkedArray, zone: Zone | tzinfo, time_format: str | None = None
) -> tuple[IntArray, BoolArray]:
    """Return seconds since the epoch and whether each could be read.

    A local time that the clocks skip or repeat when summer time changes counts as unreadable: which one was meant
    is not known.

    Raises:
        ValueError: No format fits; the message holds the first value.
    """
    zone = zone if isinstance(zone, Zone) else Zone(zone)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _from_pandas(pd.Series(column.to_pandas(date_as_object=False)), zone)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _from_numbers(column.cast(pa.float64(), safe=False).to_numpy(), zone)
    texts = column.cast(pa.string())
    try:
        return _from_numbers(pc.utf8_trim_whitespace(texts).cast(pa.float64()).to_numpy(), zone)
    except pa.ArrowInvalid:
        return _from_texts(texts.to_pandas().astype("str").str.strip(), zone, time_format)


def wall_to_utc(seconds: IntArray, zone: Zone) -> tuple[IntArray, BoolArray]:
    """Return seconds since the epoch of times that a clock of a zone showed, and whether each is certain.

    Args:
        seconds: From 1970-01-01 00:00 of that clock, as if it never changed.
        zone: Where the clock hangs.
    """
    if str(zone.base) == "UTC":
        return seconds - zone.ahead_s, np.ones(len(seconds), dtype=np.bool_)
    return _from_pandas(pd.Series(seconds.astype("datetime64[s]")), zone)


def _from_numbers(numbers: FloatArray, zone: Zone) -> tuple[IntArray, BoolArray]:
    is_known = np.isfinite(numbers)
    if not is_known.any():
        return np.zeros(len(numbers), dtype=np.int64), is_known
    middle = float(np.median(numbers[is_known]))
    whole = np.where(is_known, numbers, 0.0)
    if _COMPACT_DAY[0] <= middle <= _COMPACT_DAY[1]:
        return _from_pandas(pd.Series(pd.to_datetime(whole.astype(np.int64), format="%Y%m%d", errors="coerce")), zone)
    per_second = next((unit for least, unit in _UNITS if middle >= least), 1)
    return np.floor(whole / per_second).astype(np.int64), is_known


def _from_texts(texts: pd.Series[str], zone: Zone, time_format: str | None) -> tuple[IntArray, BoolArray]:
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


def _from_pandas(times: pd.Series[pd.Timestamp], zone: Zone) -> tuple[IntArray, BoolArray]:
    if times.dt.tz is None:
        of_base = times - pd.Timedelta(seconds=zone.ahead_s)
        times = of_base.dt.tz_localize(zone.base, ambiguous="NaT", nonexistent="NaT")
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None)
    is_known = utc.notna().to_numpy(dtype=np.bool_)
    seconds = utc.to_numpy(dtype="datetime64[s]").astype(np.int64)
    return np.where(is_known, seconds, 0), is_known
