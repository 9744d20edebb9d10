"""Tell which bars an honest feed must have, holidays and half days included.

Coins trade always. Currencies rest from the evening of 24 December to that of 25 December and from that of 31 December
to that of 1 January; metals also on Good Friday, and they close early on the holidays of the United States. The table
is deliberately generous: a feed may quote through a holiday, and then its bars are welcome; only bars that every feed
has are missed. Weekends and the hours that summer time moves are in `engine.domain.sessions`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np

from engine.domain.market import IntArray
from engine.domain.sessions import DAY_S, HOUR_S, BoolArray, is_bar_expected
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx

_METALS = ("XAU", "XAG")
_EVENING_HOUR = 17
"""UTC hour from which feeds thin out on the eve of a holiday, summer and winter."""
_REOPEN_HOUR = 23
"""UTC hour by which every feed is back after one, in winter."""
_EARLY_CLOSE_HOUR = 17
"""UTC hour from which metals may rest on a half day."""
_MONDAY, _THURSDAY = 0, 3


def expected_mask(symbol: str, timeframe: Timeframe, seconds: IntArray) -> BoolArray:
    """Tell for each open time whether any honest feed has that bar.

    Args:
        symbol: The instrument.
        timeframe: Length of its bars.
        seconds: Open times, seconds since the epoch.
    """
    expected = is_bar_expected(symbol, timeframe, seconds)
    if not is_fx(symbol) or timeframe == "1w" or len(seconds) == 0:
        return expected
    closures = _closures(symbol.startswith(_METALS), _year(int(seconds.min())), _year(int(seconds.max())))
    rows = np.searchsorted(closures[:, 0], seconds, side="right") - 1
    is_inside: BoolArray = (rows >= 0) & (seconds < closures[rows, 1])
    if TIMEFRAME_S[timeframe] > HOUR_S:
        # A long bar may open before the closure and hold nothing, or open inside and hold the evening.
        next_rows = np.minimum(rows + 1, len(closures) - 1)
        is_inside |= closures[next_rows, 0] < seconds + TIMEFRAME_S[timeframe]
        is_inside &= seconds < closures[:, 1].max()
    return np.logical_and(expected, ~is_inside)


def easter_sunday(year: int) -> date:
    """Return the date of Easter in the Gregorian calendar.

    Source:
        The anonymous algorithm in Meeus (1991), Astronomical Algorithms.

    >>> easter_sunday(2024).isoformat(), easter_sunday(2025).isoformat()
    ('2024-03-31', '2025-04-20')
    """
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


def half_days(year: int) -> tuple[date, ...]:
    """Return the holidays of the United States on which metals close early."""
    thanksgiving = _nth(year, 11, _THURSDAY, 4)
    return (
        _nth(year, 1, _MONDAY, 3),
        _nth(year, 2, _MONDAY, 3),
        _last_monday(year, 5),
        *((date(year, 6, 19),) if year >= 2022 else ()),
        date(year, 7, 3),
        date(year, 7, 4),
        date(year, 7, 5),
        _nth(year, 9, _MONDAY, 1),
        thanksgiving,
        thanksgiving + timedelta(days=1),
    )


@cache
def _closures(is_metal: bool, first_year: int, last_year: int) -> IntArray:
    """Return rows of start and end, in seconds since the epoch, by start; they do not overlap."""
    found = []
    for year in range(first_year - 1, last_year + 1):
        for eve in (date(year, 12, 24), date(year, 12, 31)):
            found.append((_at(eve, _EVENING_HOUR), _at(eve + timedelta(days=1), _REOPEN_HOUR)))
        if is_metal:
            good_friday = easter_sunday(year) - timedelta(days=2)
            found.append((_at(good_friday, 0) - 3 * HOUR_S, _at(good_friday, 0) + DAY_S))
            found += [(_at(day, _EARLY_CLOSE_HOUR), _at(day, _REOPEN_HOUR)) for day in half_days(year)]
            found.append((_at(date(year, 12, 26), 0) - HOUR_S, _at(date(year, 12, 26), 1)))
    return np.array(sorted(found), dtype=np.int64)


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def _last_monday(year: int, month: int) -> date:
    last = date(year, month + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - _MONDAY) % 7)


def _at(day: date, hour: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp())


def _year(second: int) -> int:
    return datetime.fromtimestamp(second, UTC).year
