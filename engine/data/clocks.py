"""Tell from the holes of a series whether its clock is UTC.

A currency's week opens at 17:00 in New York (gold at 18:00), summer and winter. A series whose weeks open at another
hour is shifted; one whose weeks open an hour off for half of the year does not follow New York's summer time; single
weeks off by an hour come from a clock that changes on other days, such as Europe's. A coin has no week: there only the
hour that a clock skips in spring shows, on the days on which Europe and America change theirs. A coin's shift by whole
hours the year round leaves no trace in its bars and is not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from engine.domain.market import IntArray, utc_from_seconds
from engine.domain.sessions import DAY_S, HOUR_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe, is_fx

NEW_YORK = ZoneInfo("America/New_York")
ClockKind = Literal["right", "shifted", "fixed", "moved", "skips_hours", "unknown"]

_OPEN_HOUR, _METAL_OPEN_HOUR, _CLOSE_HOUR = 17, 18, 17
_FEWEST_WEEKS = 4
_MOST_SHIFT_H = 14
_CHANGE_HOURS = range(1, 4)
"""Hours of a Sunday at which clocks skip one: 01:00 in London, 02:00 in New York and Berlin, 03:00 in Athens."""
_FRIDAY, _SUNDAY = 4, 6


@dataclass(frozen=True, slots=True)
class ClockFinding:
    """What the holes of a series say of its clock.

    Attributes:
        kind: `right`; `shifted` by `shift_h` the year round; `fixed`, without New York's summer time; `moved`, right
            but for some weeks; `skips_hours`, a local clock's missing hour in spring; `unknown`, nothing to tell by.
        shift_h: Hours by which the times are too late (negative: too early), in winter for `fixed`.
        weeks: Weeks, or springs, that were looked at.
        off: Those that are not where the others are.
        first_off_at: The first of them.
    """

    kind: ClockKind
    shift_h: int = 0
    weeks: int = 0
    off: int = 0
    first_off_at: datetime | None = None


CLOCK_UNKNOWN = ClockFinding("unknown")
"""What can be said when there is nothing to tell by."""


def judge_clock(symbol: str, timeframe: Timeframe, holes: IntArray) -> ClockFinding:
    """Return what the holes of a series say of its clock.

    Args:
        symbol: Its instrument.
        timeframe: Length of its bars; above an hour nothing can be told.
        holes: Shape (n, 2), time of the bar before and of the bar after each hole, oldest first.
    """
    if TIMEFRAME_S[timeframe] > HOUR_S:
        return CLOCK_UNKNOWN
    if is_fx(symbol):
        return _judge_weeks(symbol, holes, TIMEFRAME_S[timeframe])
    return _judge_springs(holes, TIMEFRAME_S[timeframe])


def _judge_weeks(symbol: str, holes: IntArray, step: int) -> ClockFinding:
    weeks = _weeks(holes[holes[:, 1] - holes[:, 0] >= DAY_S], step, _is_metal(symbol))
    if len(weeks) < _FEWEST_WEEKS:
        return ClockFinding("unknown", weeks=len(weeks))
    late = np.array([week.open_late for week in weeks])
    is_summer = np.array([week.is_summer for week in weeks])
    winter, summer = _usual(late[~is_summer], late), _usual(late[is_summer], late)
    if abs(winter - summer) == 1:
        expected = np.where(is_summer, summer, winter)
        return ClockFinding("fixed", winter, len(weeks), *_count_off(weeks, expected))
    shift = _usual(late, late)
    off, first_off_at = _count_off(weeks, np.full(len(weeks), shift))
    kind: ClockKind = "shifted" if shift else "moved" if off else "right"
    return ClockFinding(kind, shift, len(weeks), off, first_off_at)


@dataclass(frozen=True, slots=True)
class _Week:
    """One week: its first bar, how many hours late it opens and closes (None: no week end follows), and the season."""

    opens: int
    open_late: int
    close_late: int | None
    is_summer: bool


def _weeks(holes: IntArray, step: int, is_metal: bool) -> list[_Week]:
    """Return the weeks between the holes; one that begins half a day late or more begins after a holiday."""
    found = []
    for row, (_, opens) in enumerate(holes):
        opening = _nearest(int(opens), _SUNDAY, _METAL_OPEN_HOUR if is_metal else _OPEN_HOUR)
        open_late = round((int(opens) - opening) / HOUR_S)
        closes = int(holes[row + 1, 0]) + step if row + 1 < len(holes) else None
        if abs(open_late) > _MOST_SHIFT_H:
            continue
        close_late = None if closes is None else round((closes - _nearest(closes, _FRIDAY, _CLOSE_HOUR)) / HOUR_S)
        found.append(_Week(int(opens), open_late, close_late, bool(datetime.fromtimestamp(opening, NEW_YORK).dst())))
    return found


def _count_off(weeks: list[_Week], expected: IntArray) -> tuple[int, datetime | None]:
    """Return how many weeks open and close off by the same hours, and the first; a missing bar moves one end only."""
    closes = [
        week.close_late - late
        for week, late in zip(weeks, expected, strict=True)
        if week.close_late is not None and week.open_late == late
    ]
    usual_close = _usual(np.array(closes), np.zeros(1, dtype=np.int64))
    off = [
        week.opens
        for week, late in zip(weeks, expected.tolist(), strict=True)
        if week.open_late != late
        and week.close_late is not None
        and week.open_late - late == week.close_late - late - usual_close
    ]
    return len(off), utc_from_seconds(off[0]) if off else None


def _nearest(second: int, weekday: int, hour: int) -> int:
    """Return the nearest time at which New York's clock shows an hour of a weekday."""
    at = datetime.fromtimestamp(second, UTC).date()
    days = [at + timedelta(days=(weekday - at.weekday()) % 7 + week) for week in (-7, 0)]
    return min((_in_new_york(day, hour) for day in days), key=lambda one: abs(second - one))


@cache
def _in_new_york(day: date, hour: int) -> int:
    return int(datetime.combine(day, time(hour), NEW_YORK).timestamp())


def _is_metal(symbol: str) -> bool:
    return symbol.startswith(("XAU", "XAG"))


def _usual(some: IntArray, others: IntArray) -> int:
    values, counts = np.unique(some if len(some) else others, return_counts=True)
    return int(values[np.argmax(counts)])


def _judge_springs(holes: IntArray, step: int) -> ClockFinding:
    """Look for exactly one missing hour on the days on which clocks skip one."""
    begins = holes[holes[:, 1] - holes[:, 0] - step == HOUR_S, 0] + step
    hits = [int(begin) for begin in begins if _skips(int(begin))]
    if not hits:
        return CLOCK_UNKNOWN
    return ClockFinding("skips_hours", weeks=len(hits), off=len(hits), first_off_at=utc_from_seconds(hits[0]))


def _skips(begin: int) -> bool:
    at = datetime.fromtimestamp(begin, UTC)
    if begin % HOUR_S or at.hour not in _CHANGE_HOURS or at.weekday() != _SUNDAY or at.month != 3:
        return False
    is_last, is_second = at.day + 7 > 31, 8 <= at.day <= 14
    return is_last or is_second
