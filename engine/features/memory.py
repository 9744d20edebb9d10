"""Compiled state that is not a window: exponential smoothing, the last value of an event, and its age."""

from __future__ import annotations

import math

from engine.domain.market import FloatArray, IntArray
from engine.features.compiled import inner
from engine.features.opcodes import (
    CONSTANTS,
    EXTRA,
    LANES,
    LATCH,
    OPERATION,
    OUT,
    SINCE,
    SMOOTH,
    SPAN,
    STATE,
    STEPS,
    A,
    B,
)
from engine.features.windows import count_steps


@inner
def run_memory(p: IntArray, m: FloatArray, r: int) -> None:
    """Carry something from bar to bar."""
    operation = p[r + OPERATION]
    for lane in range(p[LANES]):
        start = lane * p[STEPS]
        n = count_steps(p, m, r, lane)
        if operation == SMOOTH:
            _smooth(p, m, r, lane, start, n)
        elif operation == LATCH:
            _latch(p, m, r, lane, start, n)
        elif operation == SINCE:
            _since(p, m, r, lane, start, n)


@inner
def _smooth(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Seed with a mean, then move a fixed part of the way to each value.

    Constants: that part, the rest, and the weight of each of the `span` seeding values. Speaks from the `extra`-th
    value on.
    """
    lanes, span, spoken, o, a = p[LANES], p[r + SPAN], p[r + EXTRA], p[r + OUT], p[r + A]
    c = p[r + CONSTANTS]
    part, rest, share = m[c], m[c + 1], m[c + 2]
    s = p[r + STATE] + lane
    seen, value = int(m[s]), m[s + lanes]
    for i in range(start, start + n):
        x = m[a + i]
        if x == x:
            seen += 1
            value = value * rest + x * part if seen > span else value + x * share
        m[o + i] = value if seen >= spoken else math.nan
    m[s], m[s + lanes] = seen, value


@inner
def _latch(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Keep the value of the last bar at which the event was above 0; before the first event, the first value."""
    lanes, o, a, b = p[LANES], p[r + OUT], p[r + A], p[r + B]
    s = p[r + STATE] + lane
    has, value = m[s], m[s + lanes]
    for i in range(start, start + n):
        event, x = m[a + i], m[b + i]
        if event == event and x == x:
            if event > 0 or has == 0:
                value = x
            has = 1.0
        m[o + i] = value if has > 0 else math.nan
    m[s], m[s + lanes] = has, value


@inner
def _since(p: IntArray, m: FloatArray, r: int, lane: int, start: int, n: int) -> None:
    """Count the values since the event was last above 0, up to `span`, which also stands for "never"."""
    span, o, a = p[r + SPAN], p[r + OUT], p[r + A]
    s = p[r + STATE] + lane
    age = span - m[s]
    for i in range(start, start + n):
        event = m[a + i]
        if event == event:
            age = 0.0 if event > 0 else (age + 1 if age < span else age)
            m[o + i] = age
        else:
            m[o + i] = math.nan
    m[s] = span - age
