"""When an instrument trades: crypto always, currencies and metals in the currency week.

The week runs from Sunday 22:00 to Friday 22:00 UTC the whole year round. Real feeds follow New York's summer
time, so their week opens and closes an hour earlier for half of the year, and gold rests for an hour a day;
`is_bar_expected` therefore asks only for bars that every honest feed has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.domain.market import IntArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx

HOUR_S = 3600
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
MONDAY_S = 4 * DAY_S
"""Seconds from the epoch (a Thursday) to the first Monday 00:00 UTC."""

_WEEK_CLOSE_HOUR = 4 * 24 + 22
_WEEK_OPEN_HOUR = 6 * 24 + 22
_FEED_CLOSE_HOUR = _WEEK_CLOSE_HOUR - 1
_METAL_BREAK_HOURS = (21, 22)
_SATURDAY = 5

BoolArray = npt.NDArray[np.bool_]


def week_hour(seconds: IntArray) -> IntArray:
    """Return the hour of the week, 0 at Monday 00:00 UTC."""
    return (seconds - MONDAY_S) // HOUR_S % (7 * 24)


def open_mask(symbol: str, seconds: IntArray) -> BoolArray:
    """Tell for each time (seconds since the epoch) whether the symbol's session is open."""
    if not is_fx(symbol):
        return np.ones(len(seconds), dtype=np.bool_)
    hour = week_hour(seconds)
    return (hour < _WEEK_CLOSE_HOUR) | (hour >= _WEEK_OPEN_HOUR)


def is_open(symbol: str, second: int) -> bool:
    """Tell whether the symbol's session is open at one time (seconds since the epoch)."""
    if not is_fx(symbol):
        return True
    hour = (second - MONDAY_S) // HOUR_S % (7 * 24)
    return hour < _WEEK_CLOSE_HOUR or hour >= _WEEK_OPEN_HOUR


def last_close_before(symbol: str, second: int) -> int:
    """Return when the session closed last, for a time at which it is closed."""
    if is_open(symbol, second):
        raise ValueError(f"{symbol} is open at {second}")
    week_start = second - (second - MONDAY_S) % WEEK_S
    return week_start + _WEEK_CLOSE_HOUR * HOUR_S


def is_bar_expected(symbol: str, timeframe: Timeframe, seconds: IntArray) -> BoolArray:
    """Tell for each open time whether any honest feed has that bar; used to find gaps.

    For currencies and metals the hour that summer time moves is left out on both ends of the week, and so is the
    daily rest of metals. Bars of a day are expected from Monday to Friday.
    """
    if not is_fx(symbol) or timeframe == "1w":
        return np.ones(len(seconds), dtype=np.bool_)
    hour = week_hour(seconds)
    if timeframe == "1d":
        return hour // 24 < _SATURDAY
    # A bar longer than an hour that only touches the session may be missing; it counts when its opening is inside.
    expected = (hour < _FEED_CLOSE_HOUR) | (hour >= _WEEK_OPEN_HOUR)
    if symbol.startswith(("XAU", "XAG")) and TIMEFRAME_S[timeframe] <= HOUR_S:
        expected &= ~np.isin(hour % 24, _METAL_BREAK_HOURS)
    return expected
