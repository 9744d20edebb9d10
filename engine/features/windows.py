"""Compiled rolling windows, each with constant memory and work per bar.

Sums and extremes are built from a running value of the current block and stored values of the end of the block before
it (van Herk 1992; Gil and Werman 1993). Nothing is ever taken away from a sum, so no rounding error gathers over ten
years, and a sum of what is never negative is never negative. NaN inputs are "not yet" and are not counted.
"""

from __future__ import annotations

import math

from engine.domain.market import FloatArray, IntArray
from engine.features.compiled import inner
from engine.features.opcodes import (
    CONSTANTS,
    EXTREME,
    IS_UNIFORM,
    LAG,
    LANES,
    LENGTHS,
    OPERATION,
    OUT,
    RATE,
    SPAN,
    STATE,
    STEPS,
    SUM,
    VARIANCE,
    A,
)


@inner
def count_steps(p: IntArray, m: FloatArray, r: int, lane: int) -> int:
    """Return how many values one lane has in this block."""
    if p[IS_UNIFORM] == 1 and p[r + RATE] == p[LENGTHS]:
        return int(p[STEPS])
    return int(m[p[r + RATE] + 1 + lane])


@inner
def run_windows(p: IntArray, m: FloatArray, r: int) -> None:
    """Move a window over one register."""
    operation = p[r + OPERATION]
    for lane in range(p[LANES]):
        start = lane * p[STEPS]
        n = count_steps(p, m, r, lane)
        if operation == SUM:
            _sum(p, m, r, lane, start, n)
        elif operation == EXTREME:
            _extreme(p, m, r, lane, start, n)
        elif operation == VARIANCE:
            _variance(p, m, r, lane, start, n)
        elif operation == LAG:
            _lag(p, m, r, lane, start, n)


@inner
def _sum(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """State: place in the block, values seen, running sum, then `span` values of which the older are suffix sums."""
    lanes, span, o, a = p[LANES], p[r + SPAN], p[r + OUT], p[r + A]
    s, factor = p[r + STATE] + lane, m[p[r + CONSTANTS]]
    ring = s + 3 * lanes
    place, seen, running = int(m[s]), int(m[s + lanes]), m[s + 2 * lanes]
    for i in range(start, start + n):
        x = m[a + i]
        value = math.nan
        if x == x:
            running += x
            value = running
            m[ring + place * lanes] = x
            place += 1
            if place < span:
                value += m[ring + place * lanes]
            else:
                place = 0
                running = 0.0
                suffix = 0.0
                for q in range(span - 1, 0, -1):
                    suffix += m[ring + q * lanes]
                    m[ring + q * lanes] = suffix
            seen += 1
        m[o + i] = value * factor if seen >= span else math.nan
    m[s], m[s + lanes], m[s + 2 * lanes] = place, seen, running


@inner
def _extreme(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Keep the highest value, or the lowest where the constant is -1; the state is laid out like that of `_sum`."""
    lanes, span, o, a = p[LANES], p[r + SPAN], p[r + OUT], p[r + A]
    s, sign = p[r + STATE] + lane, m[p[r + CONSTANTS]]
    ring = s + 3 * lanes
    place, seen, running = int(m[s]), int(m[s + lanes]), m[s + 2 * lanes]
    for i in range(start, start + n):
        x = m[a + i] * sign
        value = math.nan
        if x == x:
            running = x if x > running or place == 0 else running
            value = running
            m[ring + place * lanes] = x
            place += 1
            if place < span:
                older = m[ring + place * lanes]
                value = older if older > value else value
            else:
                place = 0
                suffix = x
                for q in range(span - 1, 0, -1):
                    older = m[ring + q * lanes]
                    suffix = older if older > suffix else suffix
                    m[ring + q * lanes] = suffix
            seen += 1
        m[o + i] = value * sign if seen >= span else math.nan
    m[s], m[s + lanes], m[s + 2 * lanes] = place, seen, running


@inner
def _variance(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Keep sums of distances from an anchor that follows the values, so that no digits are lost in their squares.

    State: place, values seen, anchor, both running sums, then three rings: values, suffix sums and those of squares.
    """
    lanes, span, o, a = p[LANES], p[r + SPAN], p[r + OUT], p[r + A]
    s = p[r + STATE] + lane
    values = s + 5 * lanes
    firsts = values + span * lanes
    seconds = firsts + span * lanes
    place, seen, anchor = int(m[s]), int(m[s + lanes]), m[s + 2 * lanes]
    first, second = m[s + 3 * lanes], m[s + 4 * lanes]
    for i in range(start, start + n):
        x = m[a + i]
        value = math.nan
        if x == x:
            anchor = x if seen == 0 else anchor
            first += x - anchor
            second += (x - anchor) * (x - anchor)
            m[values + place * lanes] = x
            place += 1
            one, two = first, second
            if place < span:
                one += m[firsts + place * lanes]
                two += m[seconds + place * lanes]
            else:
                place = 0
                anchor = x
                first = second = 0.0
                after, squares = 0.0, 0.0
                for q in range(span - 1, 0, -1):
                    gap = m[values + q * lanes] - anchor
                    after += gap
                    squares += gap * gap
                    m[firsts + q * lanes] = after
                    m[seconds + q * lanes] = squares
            seen += 1
            value = max((two - one * one / span) / span, 0.0)
        m[o + i] = value if seen >= span else math.nan
    m[s], m[s + lanes], m[s + 2 * lanes] = place, seen, anchor
    m[s + 3 * lanes], m[s + 4 * lanes] = first, second


@inner
def _lag(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """State: place, values seen, then the last `span` values."""
    lanes, span, o, a = p[LANES], p[r + SPAN], p[r + OUT], p[r + A]
    s = p[r + STATE] + lane
    ring = s + 2 * lanes
    place, seen = int(m[s]), int(m[s + lanes])
    for i in range(start, start + n):
        x = m[a + i]
        if x == x:
            m[o + i] = m[ring + place * lanes] if seen >= span else math.nan
            m[ring + place * lanes] = x
            place = place + 1 if place + 1 < span else 0
            seen += 1
        else:
            m[o + i] = math.nan
    m[s], m[s + lanes] = place, seen
