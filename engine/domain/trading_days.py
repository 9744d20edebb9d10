"""Make days and weeks of currencies and metals as their market trades them: from 17:00 to 17:00 in New York.

Days cut at 00:00 UTC tear the trading day in two, give every week a stub of two hours on Sunday, and put those hours
into the week before. Here Sunday evening belongs to Monday and to the week that it opens, summer and winter. A feed
that trades an hour past Friday's close, as one without summer time does, has that hour in Friday. Shorter bars and
symbols that always trade are cut by `engine.domain.resampling` alone: no such bar reaches over the end of a session.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from engine.domain.market import Bars, IntArray
from engine.domain.resampling import resample
from engine.domain.sessions import DAY_S, HOUR_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx

_NEW_YORK = ZoneInfo("America/New_York")
_EVENING_S = 7 * HOUR_S
"""From New York's 17:00 to its midnight: with it added, a trading day is a calendar day."""
_THURSDAY = 3
"""Weekday of day 0 of the epoch."""
_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6


def resample_by_session(bars: Bars, timeframe: Timeframe, *, now_s: int | None = None) -> Bars:
    """Return bars of a longer (or equal) timeframe, closed ones only, days and weeks as the symbol's market has them.

    Args:
        bars: Oldest first, of an hour at most for days and weeks of currencies. The first bucket holds what these bars
            hold of it: cut windows at a bucket's start.
        timeframe: A multiple of the bars' own.
        now_s: The market's present in seconds since the epoch: a bucket that ends after it is dropped. None means
            the close of the last bar.

    Returns:
        Bars whose time is when their session opens (17:00 in New York, on Sunday for a Monday and a week).

    Raises:
        ValueError: The timeframe is not a multiple of the bars', or the bars are too long to be cut at 17:00.
    """
    if not is_fx(bars.symbol) or timeframe not in ("1d", "1w") or bars.timeframe == timeframe:
        return resample(bars, timeframe, now_s=now_s)
    step = TIMEFRAME_S[bars.timeframe]
    if step > HOUR_S:
        raise ValueError(f"bars of {bars.timeframe} cannot be cut at 17:00 in New York")
    if len(bars) == 0:
        return resample(bars, timeframe, now_s=now_s)
    now = int(bars.time[-1]) + step if now_s is None else now_s
    days = trading_day(bars.time)
    keys = days if timeframe == "1d" else days - (days + _THURSDAY) % 7
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    made = Bars(
        bars.symbol,
        timeframe,
        np.array([_session_open(int(key)) for key in keys[first]], dtype=np.int64),
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )
    ends = [_session_end(int(key) + (0 if timeframe == "1d" else _FRIDAY)) for key in keys[first]]
    return made[: int(np.searchsorted(np.array(ends), now, side="right"))]


def trading_day(seconds: IntArray) -> IntArray:
    """Return the trading day of each time, in days since the epoch; Saturdays count to Friday, Sundays to Monday."""
    days = (seconds + _offsets(seconds) + _EVENING_S) // DAY_S
    weekday = (days + _THURSDAY) % 7
    moved: IntArray = days - (weekday == _SATURDAY) + (weekday == _SUNDAY)
    return moved


def _offsets(seconds: IntArray) -> IntArray:
    """Return New York's offset from UTC at each time, in seconds."""
    if len(seconds) == 0:
        return np.empty(0, dtype=np.int64)
    # Its clock changes at a whole hour of UTC, so one look at each hour that occurs is enough.
    hours, places = np.unique(seconds // HOUR_S, return_inverse=True)
    days, of_hours = np.unique(hours // 24, return_inverse=True)
    at_start = np.array([_offset(int(day) * DAY_S) for day in [*days, *(days + 1)]], dtype=np.int64).reshape(2, -1)
    found = at_start[0][of_hours]
    for row in np.flatnonzero((at_start[0] != at_start[1])[of_hours]):
        found[row] = _offset(int(hours[row]) * HOUR_S)
    offsets: IntArray = found[places]
    return offsets


@cache
def _offset(second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(_NEW_YORK).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _session_open(day: int) -> int:
    """Return when a trading day opens: 17:00 in New York on the evening before."""
    wall = day * DAY_S - _EVENING_S
    return wall - _offset(wall + 5 * HOUR_S)


def _session_end(day: int) -> int:
    """Return when a trading day is over for every feed; Friday's last hour is waited for."""
    return _session_open(day + 1) + (HOUR_S if (day + _THURSDAY) % 7 == _FRIDAY else 0)
