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

_OPEN_HOUR, _METAL_OPEN_HOUR = 17, 18
_FEWEST_WEEKS = 4
_MOST_SHIFT_H = 14
_MOVED_RATIO = 0.5
"""Share of weeks that must agree on one hour before the others count as moved."""
_CHANGE_HOURS = range(1, 4)
"""Hours of a Sunday at which clocks skip one: 01:00 in London, 02:00 in New York and Berlin, 03:00 in Athens."""
_SUNDAY = 6


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
        return _judge_weeks(symbol, holes)
    return _judge_springs(holes, TIMEFRAME_S[timeframe])


def _judge_weeks(symbol: str, holes: IntArray) -> ClockFinding:
    opens = holes[holes[:, 1] - holes[:, 0] >= DAY_S, 1]
    hour = _METAL_OPEN_HOUR if symbol.startswith(("XAU", "XAG")) else _OPEN_HOUR
    found = [(int(second), *_lateness(int(second), hour)) for second in opens]
    # Weeks that begin half a day late or more begin after a holiday.
    kept = [(second, late, is_summer) for second, late, is_summer in found if abs(late) <= _MOST_SHIFT_H]
    if len(kept) < _FEWEST_WEEKS:
        return ClockFinding("unknown", weeks=len(kept))
    late = np.array([one[1] for one in kept])
    is_summer = np.array([one[2] for one in kept])
    winter, summer = _usual(late[~is_summer], late), _usual(late[is_summer], late)
    shift = _usual(late, late)
    if abs(winter - summer) == 1 and is_summer.any() and not is_summer.all():
        off = late != np.where(is_summer, summer, winter)
        return ClockFinding("fixed", winter, len(kept), int(off.sum()), _first(kept, off))
    off = late != shift
    is_moved = 0 < off.sum() <= _MOVED_RATIO * len(kept)
    kind: ClockKind = "shifted" if shift else "moved" if is_moved else "right"
    return ClockFinding(kind, shift, len(kept), int(off.sum()), _first(kept, off))


def _lateness(second: int, open_hour: int) -> tuple[int, bool]:
    """Return how many whole hours after the nearest opening of a week a time is, and whether it is summer there."""
    at = datetime.fromtimestamp(second, UTC)
    nearest = min(
        (_opening(at.date() + timedelta(days=days), open_hour) for days in range(-7, 8) if _is_sunday(at, days)),
        key=lambda opening: abs(second - opening),
    )
    is_summer = bool(datetime.fromtimestamp(nearest, NEW_YORK).dst())
    return (second - nearest) // HOUR_S, is_summer


def _is_sunday(at: datetime, days: int) -> bool:
    return (at + timedelta(days=days)).weekday() == _SUNDAY


@cache
def _opening(day: date, hour: int) -> int:
    return int(datetime.combine(day, time(hour), NEW_YORK).timestamp())


def _usual(some: IntArray, others: IntArray) -> int:
    values, counts = np.unique(some if len(some) else others, return_counts=True)
    return int(values[np.argmax(counts)])


def _first(kept: list[tuple[int, int, bool]], off: IntArray) -> datetime | None:
    rows = np.flatnonzero(off)
    return utc_from_seconds(kept[rows[0]][0]) if len(rows) else None


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
