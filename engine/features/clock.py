"""Compiled work on the time of a bar: cycles, local clocks, periods of the calendar, and what is usual at an hour.

Times are seconds since the epoch, UTC, kept as float64 (exact for whole seconds). Daylight saving follows the rules in
force in New York since 2007 and in London since 1996; earlier years are told by the same rules.
"""

from __future__ import annotations

import math

from engine.domain.market import FloatArray, IntArray
from engine.features.compiled import inner
from engine.features.elementwise import count_cells
from engine.features.opcodes import (
    CONSTANTS,
    COSINE,
    EXTRA,
    FIRST,
    HIGHEST,
    LANES,
    LOCAL_TIME,
    LOWEST,
    NEW_YORK,
    OPERATION,
    OUT,
    PERIOD,
    PROFILE,
    SINE,
    SPAN,
    STATE,
    STEPS,
    A,
    B,
)
from engine.features.windows import count_steps

DAY_S = 86400.0
_TURN = 2 * math.pi
_MARCH, _OCTOBER, _NOVEMBER = 3, 10, 11
_SEEN = 0.05
"""Weight below which an hour counts as one at which the market does not trade."""


@inner
def run_clock(p: IntArray, m: FloatArray, r: int) -> None:
    """Turn times into something that a model can use."""
    operation = p[r + OPERATION]
    if operation in (SINE, COSINE):
        _cycle(p, m, r)
        return
    for lane in range(p[LANES]):
        start = lane * p[STEPS]
        n = count_steps(p, m, r, lane)
        if operation == LOCAL_TIME:
            _local_time(p, m, r, lane, start, n)
        elif operation == PERIOD:
            _period(p, m, r, lane, start, n)
        elif operation == PROFILE:
            _profile(p, m, r, lane, start, n)


@inner
def _cycle(p: IntArray, m: FloatArray, r: int) -> None:
    """Return the sine or cosine of a time within a period."""
    o, a, period, offset = p[r + OUT], p[r + A], m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1]
    is_sine = p[r + OPERATION] == SINE
    for i in range(count_cells(p, m, r)):
        x = m[a + i] + offset
        angle = _TURN * (x - period * math.floor(x / period)) / period
        m[o + i] = math.sin(angle) if is_sine else math.cos(angle)


@inner
def _days(year: int, month: int, day: int) -> int:
    """Return the days since the epoch of a date after 1970-03-01 (Hinnant, chrono-compatible date algorithms)."""
    y = year - 1 if month <= 2 else year
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return 365 * y + y // 4 - y // 100 + y // 400 + of_year - 719468


@inner
def _year(time: float) -> int:
    """Return the year of a time in UTC."""
    year = 1970 + int(time / (365.2425 * DAY_S))
    while _days(year + 1, 1, 1) * DAY_S <= time:
        year += 1
    while _days(year, 1, 1) * DAY_S > time:
        year -= 1
    return year


@inner
def _sunday_from(days: int) -> int:
    """Return the first Sunday on or after a day (day 0 was a Thursday)."""
    return days + (6 - (days + 3) % 7)


@inner
def _local_time(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """State: first and last second of the year at hand, then of its summer time."""
    lanes, o, a = p[LANES], p[r + OUT], p[r + A]
    s = p[r + STATE] + lane
    opened, closed, summer, winter = m[s], m[s + lanes], m[s + 2 * lanes], m[s + 3 * lanes]
    is_new_york = p[r + SPAN] == NEW_YORK
    base = -5 * 3600.0 if is_new_york else 0.0
    for i in range(start, start + n):
        time = m[a + i]
        if time < opened or time >= closed:
            year = _year(time)
            opened, closed = _days(year, 1, 1) * DAY_S, _days(year + 1, 1, 1) * DAY_S
            if is_new_york:
                summer = (_sunday_from(_days(year, _MARCH, 1)) + 7) * DAY_S + 7 * 3600
                winter = _sunday_from(_days(year, _NOVEMBER, 1)) * DAY_S + 6 * 3600
            else:
                summer = _sunday_from(_days(year, _MARCH, 25)) * DAY_S + 3600
                winter = _sunday_from(_days(year, _OCTOBER, 25)) * DAY_S + 3600
        m[o + i] = time + base + (3600.0 if summer <= time < winter else 0.0)
    m[s], m[s + lanes], m[s + 2 * lanes], m[s + 3 * lanes] = opened, closed, summer, winter


@inner
def _period(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Keep the first, highest, lowest or summed value since a period of the clock began, this bar included."""
    lanes, o, a, b, kind = p[LANES], p[r + OUT], p[r + A], p[r + B], p[r + EXTRA]
    length, offset = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1]
    s = p[r + STATE] + lane
    has, key, kept = m[s], m[s + lanes], m[s + 2 * lanes]
    for i in range(start, start + n):
        x, now = m[a + i], math.floor((m[b + i] + offset) / length)
        if x == x:
            if has == 0 or now != key:
                kept = x
            elif kind == HIGHEST:
                kept = max(kept, x)
            elif kind == LOWEST:
                kept = min(kept, x)
            elif kind != FIRST:
                kept += x
            has, key = 1.0, now
            m[o + i] = kept
        else:
            m[o + i] = math.nan
    m[s], m[s + lanes], m[s + 2 * lanes] = has, key, kept


@inner
def _profile(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Learn the mean of a value in each slot of the week, and tell it for the bars to come.

    Constants: slot length, seconds between bars, what each week keeps of the one before, offset of the week. `span` is
    the number of slots, `extra` the number of bars to come. Hours that the market sleeps through are passed over.
    State: for each slot, the weighted sum and its weight.
    """
    lanes, slots, ahead, o, a, b = p[LANES], p[r + SPAN], p[r + EXTRA], p[r + OUT], p[r + A], p[r + B]
    c = p[r + CONSTANTS]
    length, bar, keep, offset = m[c], m[c + 1], m[c + 2], m[c + 3]
    s, farthest = p[r + STATE] + lane, ahead + int(slots * length / bar)
    for i in range(start, start + n):
        x, time = m[a + i], m[b + i] + offset
        if x == x:
            slot = s + 2 * lanes * (math.floor(time / length) % slots)
            m[slot] = m[slot] * keep + x
            m[slot + lanes] = m[slot + lanes] * keep + 1.0
        total, found, asked = 0.0, 0, 0
        while found < ahead and asked < farthest:
            asked += 1
            slot = s + 2 * lanes * (math.floor((time + asked * bar) / length) % slots)
            if m[slot + lanes] > _SEEN:
                total += m[slot] / m[slot + lanes]
                found += 1
        m[o + i] = total / found if found else math.nan
