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
    EXTRA,
    EXTREME,
    IS_UNIFORM,
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
def is_full(p: IntArray, r: int) -> bool:
    """Tell whether every lane has all the steps of a block."""
    return bool(p[IS_UNIFORM] == 1 and p[r + RATE] == p[LENGTHS])


@inner
def count_steps(p: IntArray, m: FloatArray, r: int, lane: int) -> int:
    """Return how many values one lane has in this block."""
    return int(p[STEPS]) if is_full(p, r) else int(m[p[r + RATE] + 1 + lane])


@inner
def run_windows(p: IntArray, m: FloatArray, r: int) -> None:
    """Move a window over one register."""
    operation = p[r + OPERATION]
    if operation == SUM:
        _sum(p, m, r)
    elif operation == EXTREME:
        _extreme(p, m, r)
    elif operation == VARIANCE:
        _variance(p, m, r)
    else:
        _lag(p, m, r)


@inner
def _pass_over(m: FloatArray, a: int, o: int, i: int, stop: int) -> int:
    """Pass over what comes before a register's first number; return where that is."""
    while i < stop and m[a + i] != m[a + i]:
        m[o + i] = math.nan
        i += 1
    return i


@inner
def _count(m: FloatArray, o: int, start: int, stop: int, seen: float, needed: int) -> float:
    """Put NaN where a window was not full, and return how many values it has seen now."""
    for i in range(start, min(stop, start + needed - 1 - int(seen))):
        m[o + i] = math.nan
    return min(seen + (stop - start), float(needed))


@inner
def _add(m: FloatArray, at: int, lanes: int, running: float, factor: float, a: int, o: int) -> float:
    """Add a value to a sum in the middle of a block."""
    x = m[a]
    m[at] = x
    m[o] = (running + x + m[at + lanes]) * factor
    return float(running + x)


@inner
def _sum(p: IntArray, m: FloatArray, r: int) -> None:
    """State: place in the block, values seen, running sum, then `span` values of which the older are suffix sums."""
    lanes, steps, span, o, a = p[LANES], p[STEPS], p[r + SPAN], p[r + OUT], p[r + A]
    state, factor, is_uniform = p[r + STATE], m[p[r + CONSTANTS]], is_full(p, r)
    is_single = is_uniform and steps == 1
    for lane in range(lanes):
        s = state + lane
        ring = s + 3 * lanes
        place, seen, running = int(m[s]), m[s + lanes], m[s + 2 * lanes]
        i = lane * steps
        stop = i + (steps if is_uniform else count_steps(p, m, r, lane))
        if is_single and seen >= span and place < span - 1:
            m[s + 2 * lanes] = _add(m, ring + place * lanes, lanes, running, factor, a + i, o + i)
            m[s] = place + 1
            continue
        i = _pass_over(m, a, o, i, stop) if seen == 0 else i
        start = i
        while i < stop:
            within = min(stop, i + span - 1 - place)
            at = ring + place * lanes
            place += within - i
            while i < within:
                running = _add(m, at, lanes, running, factor, a + i, o + i)
                at += lanes
                i += 1
            if i < stop:
                x = m[a + i]
                m[at] = x
                m[o + i] = (running + x) * factor
                i += 1
                place, running, suffix = 0, 0.0, 0.0
                for _ in range(span - 1):
                    suffix += m[at]
                    m[at] = suffix
                    at -= lanes
        if seen < span:
            m[s + lanes] = _count(m, o, start, stop, seen, span)
        m[s], m[s + 2 * lanes] = place, running


@inner
def _raise(m: FloatArray, at: int, lanes: int, running: float, sign: float, a: int, o: int) -> float:
    """Take a value into an extreme in the middle of a block."""
    x, older = m[a] * sign, m[at + lanes]
    running = x if x > running else running
    m[at] = x
    m[o] = (older if older > running else running) * sign
    return running


@inner
def _extreme(p: IntArray, m: FloatArray, r: int) -> None:
    """Keep the highest value, or the lowest where the constant is -1; the state is laid out like that of `_sum`."""
    lanes, steps, span, o, a = p[LANES], p[STEPS], p[r + SPAN], p[r + OUT], p[r + A]
    state, sign, is_uniform = p[r + STATE], m[p[r + CONSTANTS]], is_full(p, r)
    is_single = is_uniform and steps == 1
    for lane in range(lanes):
        s = state + lane
        ring = s + 3 * lanes
        place, seen, running = int(m[s]), m[s + lanes], m[s + 2 * lanes]
        i = lane * steps
        stop = i + (steps if is_uniform else count_steps(p, m, r, lane))
        if is_single and seen >= span and 0 < place < span - 1:
            m[s + 2 * lanes] = _raise(m, ring + place * lanes, lanes, running, sign, a + i, o + i)
            m[s] = place + 1
            continue
        i = _pass_over(m, a, o, i, stop) if seen == 0 else i
        start = i
        while i < stop:
            running = running if place > 0 else -math.inf
            within = min(stop, i + span - 1 - place)
            at = ring + place * lanes
            place += within - i
            while i < within:
                running = _raise(m, at, lanes, running, sign, a + i, o + i)
                at += lanes
                i += 1
            if i < stop:
                x = m[a + i] * sign
                m[at] = x
                m[o + i] = (x if x > running else running) * sign
                i += 1
                place, suffix = 0, x
                for _ in range(span - 1):
                    older = m[at]
                    suffix = older if older > suffix else suffix
                    m[at] = suffix
                    at -= lanes
        if seen < span:
            m[s + lanes] = _count(m, o, start, stop, seen, span)
        m[s], m[s + 2 * lanes] = place, running


@inner
def _spread(
    m: FloatArray, at: int, lanes: int, first: float, second: float, gap: float, share: float, o: int
) -> tuple[float, float]:
    """Take a distance from the anchor into both sums in the middle of a block."""
    first, second = first + gap, second + gap * gap
    mean = (first + m[at + 4 * lanes]) * share
    value = (second + m[at + 5 * lanes]) * share - mean * mean
    m[o] = value if value > 0 else value * 0.0
    return first, second


@inner
def _variance(p: IntArray, m: FloatArray, r: int) -> None:
    """Keep sums of distances from an anchor that follows the values, so that no digits are lost in their squares.

    State: place, values seen, anchor, both running sums, then triples of a value, a suffix sum and one of squares.
    """
    lanes, steps, span, o, a = p[LANES], p[STEPS], p[r + SPAN], p[r + OUT], p[r + A]
    state, share, step, is_uniform = p[r + STATE], 1.0 / p[r + SPAN], 3 * p[LANES], is_full(p, r)
    is_single = is_uniform and steps == 1
    for lane in range(lanes):
        s = state + lane
        ring = s + 5 * lanes
        place, seen, anchor = int(m[s]), m[s + lanes], m[s + 2 * lanes]
        first, second = m[s + 3 * lanes], m[s + 4 * lanes]
        i = lane * steps
        stop = i + (steps if is_uniform else count_steps(p, m, r, lane))
        if is_single and seen >= span and place < span - 1:
            at, x = ring + place * step, m[a + i]
            first, second = _spread(m, at, lanes, first, second, x - anchor, share, o + i)
            m[at], m[s], m[s + 3 * lanes], m[s + 4 * lanes] = x, place + 1, first, second
            continue
        if seen == 0:
            i = _pass_over(m, a, o, i, stop)
            anchor = m[a + i] if i < stop else anchor
        start = i
        while i < stop:
            within = min(stop, i + span - 1 - place)
            at = ring + place * step
            place += within - i
            while i < within:
                first, second = _spread(m, at, lanes, first, second, m[a + i] - anchor, share, o + i)
                m[at] = m[a + i]
                at += step
                i += 1
            if i < stop:
                x = m[a + i]
                gap = x - anchor
                mean = (first + gap) * share
                value = (second + gap * gap) * share - mean * mean
                m[o + i] = value if value > 0 else value * 0.0
                m[at] = x
                i += 1
                anchor, place, first, second, after, squares = x, 0, 0.0, 0.0, 0.0, 0.0
                for _ in range(span - 1):
                    gap = m[at] - anchor
                    after += gap
                    squares += gap * gap
                    m[at + lanes] = after
                    m[at + 2 * lanes] = squares
                    at -= step
        if seen < span:
            m[s + lanes] = _count(m, o, start, stop, seen, span)
        m[s], m[s + 2 * lanes], m[s + 3 * lanes], m[s + 4 * lanes] = place, anchor, first, second


@inner
def _lag(p: IntArray, m: FloatArray, r: int) -> None:
    """Give the older value, or where `extra` is 1 how far the new one is from it. State: place, values seen, ring."""
    lanes, steps, span, o, a = p[LANES], p[STEPS], p[r + SPAN], p[r + OUT], p[r + A]
    state, is_change, is_uniform = p[r + STATE], p[r + EXTRA] == 1, is_full(p, r)
    is_single = is_uniform and steps == 1
    for lane in range(lanes):
        s = state + lane
        ring = s + 2 * lanes
        place, seen = int(m[s]), m[s + lanes]
        i = lane * steps
        stop = i + (steps if is_uniform else count_steps(p, m, r, lane))
        if is_single and seen > span and place < span - 1:
            at = ring + place * lanes
            x, older = m[a + i], m[at]
            m[o + i] = x - older if is_change else older
            m[at], m[s] = x, place + 1
            continue
        i = _pass_over(m, a, o, i, stop) if seen == 0 else i
        start = i
        if stop - i >= span:
            # Most of the older values still lie in the register itself.
            for j in range(span):
                x, older = m[a + i + j], m[ring + (place + j - (span if place + j >= span else 0)) * lanes]
                m[o + i + j] = x - older if is_change else older
            for j in range(i + span, stop):
                x, older = m[a + j], m[a + j - span]
                m[o + j] = x - older if is_change else older
            for j in range(span):
                m[ring + j * lanes] = m[a + stop - span + j]
            i, place = stop, 0
        while i < stop:
            within = min(stop, i + span - place)
            at = ring + place * lanes
            place += within - i
            while i < within:
                x, older = m[a + i], m[at]
                m[o + i] = x - older if is_change else older
                m[at] = x
                at += lanes
                i += 1
            place = place if place < span else 0
        if seen <= span:
            m[s + lanes] = _count(m, o, start, stop, seen, span + 1)
        m[s] = place
