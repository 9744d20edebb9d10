"""Say when a fund deals, takes its fees and pays out: calendar periods in UTC, pure.

A period is half open. What belongs to it happens at its end, which is the first moment of the next one, so that a
valuation at midnight of the first of April closes March and the first quarter together. Weeks begin on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, assert_never

Calendar = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
"""How often something happens, from often to seldom."""

FREQUENCY: tuple[Calendar, ...] = ("daily", "weekly", "monthly", "quarterly", "yearly")
_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
_NAME = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(\d{2})(?:-(\d{2}))?))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the calendar.

    Attributes:
        name: `2026`, `2026-Q1`, `2026-03` or, for days and weeks, their first day `2026-03-30`.
        start: First moment.
        end: First moment after it.
    """

    name: str
    start: datetime
    end: datetime


def is_boundary(at: datetime, calendar: Calendar) -> bool:
    """Tell whether a period of this calendar ends at that very moment.

    >>> is_boundary(datetime(2026, 4, 1, tzinfo=UTC), "quarterly")
    True
    """
    if at != _midnight(at.date()):
        return False
    match calendar:
        case "daily":
            return True
        case "weekly":
            return at.weekday() == 0
        case "monthly" | "quarterly" | "yearly":
            return at.day == 1 and (at.month - 1) % _MONTHS[calendar] == 0
    assert_never(calendar)


def boundaries(after: datetime, until: datetime, calendars: Collection[Calendar]) -> Iterator[datetime]:
    """Yield the ends of periods with `after < end <= until`, of any of the calendars, ascending."""
    day = after.date() + timedelta(days=1)
    while (at := _midnight(day)) <= until:
        if any(is_boundary(at, calendar) for calendar in calendars):
            yield at
        day += timedelta(days=1)


def period_ending(end: datetime, calendar: Calendar) -> Period:
    """Return the period of a calendar that ends at one of its boundaries.

    Raises:
        ValueError: No period ends there.
    """
    if not is_boundary(end, calendar):
        raise ValueError(f"no {calendar} period ends at {end}")
    match calendar:
        case "daily" | "weekly":
            start = end - timedelta(days=1 if calendar == "daily" else 7)
            return Period(f"{start:%Y-%m-%d}", start, end)
        case "monthly" | "quarterly" | "yearly":
            return _months_before(end, _MONTHS[calendar])
    assert_never(calendar)


def find_period(name: str) -> Period | None:
    """Return the year, quarter, month or day of a name; None when it is none.

    >>> find_period("2026-Q2").end.isoformat()
    '2026-07-01T00:00:00+00:00'
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    year, quarter, month, day = (None if part is None else int(part) for part in found.groups())
    assert year is not None, "the year is not optional in the pattern"
    try:
        if day is not None and month is not None:
            start = _midnight(date(year, month, day))
            return Period(name, start, start + timedelta(days=1))
        if month is not None:
            return _months_before(_months_after(date(year, month, 1), 1), 1)
        if quarter is not None:
            return _months_before(_months_after(date(year, 3 * quarter - 2, 1), 3), 3)
        return _months_before(_midnight(date(year + 1, 1, 1)), 12)
    except ValueError:
        return None


def _months_before(end: datetime, months: int) -> Period:
    start = _months_after(end.date(), -months)
    quarter = (start.month + 2) // 3
    name = {1: f"{start:%Y-%m}", 3: f"{start:%Y}-Q{quarter}", 12: f"{start:%Y}"}[months]
    return Period(name, start, end)


def _months_after(day: date, months: int) -> datetime:
    number = day.year * 12 + day.month - 1 + months
    return _midnight(date(number // 12, number % 12 + 1, 1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
