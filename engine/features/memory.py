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
    SMOOTH,
    SPAN,
    STATE,
    STEPS,
    A,
    B,
)
from engine.features.windows import count_steps, is_full


@inner
def run_memory(p: IntArray, m: FloatArray, r: int) -> None:
    """Carry something from bar to bar."""
    operation = p[r + OPERATION]
    if operation == SMOOTH:
        if p[STEPS] == 1 and is_full(p, r):
            _smooth_lanes(p, m, r)
        else:
            _smooth(p, m, r)
        return
    for lane in range(p[LANES]):
        start = lane * p[STEPS]
        stop = start + count_steps(p, m, r, lane)
        if operation == LATCH:
            _latch(p, m, r, lane, start, stop)
        else:
            _since(p, m, r, lane, start, stop)


@inner
def _smooth(p: IntArray, m: FloatArray, r: int) -> None:
    """Seed with a mean, then move a fixed part of the way to each value.

    Constants: that part, the rest, and the weight of each of the `span` seeding values. Speaks from the `extra`-th
    value on. State: values seen, and the smoothed one.
    """
    lanes, span, spoken, o, a = p[LANES], p[r + SPAN], p[r + EXTRA], p[r + OUT], p[r + A]
    part, rest, share = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1], m[p[r + CONSTANTS] + 2]
    for lane in range(lanes):
        s = p[r + STATE] + lane
        seen, value = m[s], m[s + lanes]
        i = lane * p[STEPS]
        stop = i + count_steps(p, m, r, lane)
        while i < stop and (seen < spoken or seen < span):
            x = m[a + i]
            if x == x:
                seen += 1.0
                value = value * rest + x * part if seen > span else value + x * share
            m[o + i] = value if seen >= spoken else math.nan
            i += 1
        while i < stop:
            # A value that is not one moves nothing; told by factors, so that the chain of sums does not wait for it.
            x = m[a + i]
            kept, moved = rest if x == x else 1.0, x * part if x == x else 0.0
            value = value * kept + moved
            m[o + i] = value
            i += 1
        m[s], m[s + lanes] = seen, value


@inner
def _smooth_lanes(p: IntArray, m: FloatArray, r: int) -> None:
    """Do the same for one bar of each lane, several lanes to one instruction of the processor."""
    lanes, span, spoken, o, a = p[LANES], float(p[r + SPAN]), float(p[r + EXTRA]), p[r + OUT], p[r + A]
    part, rest, share = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1], m[p[r + CONSTANTS] + 2]
    s = p[r + STATE]
    for lane in range(lanes):
        x, before = m[a + lane], m[s + lanes + lane]
        seen = m[s + lane] + (1.0 if x == x else 0.0)
        moved, seeded = before * rest + x * part, before + x * share
        new = moved if seen > span else seeded
        value = new if x == x else before
        m[s + lane] = seen
        m[s + lanes + lane] = value
        m[o + lane] = value if seen >= spoken else math.nan


@inner
def _latch(p: IntArray, m: FloatArray, r: int, lane: int, start: int, stop: int) -> None:
    """Keep the value of the last bar at which the event was above 0; before the first event, the first value."""
    lanes, o, a, b = p[LANES], p[r + OUT], p[r + A], p[r + B]
    s = p[r + STATE] + lane
    has, value = m[s], m[s + lanes]
    for i in range(start, stop):
        event, x = m[a + i], m[b + i]
        if event == event and x == x:
            if event > 0 or has == 0:
                value = x
            has = 1.0
        m[o + i] = value if has > 0 else math.nan
    m[s], m[s + lanes] = has, value


@inner
def _since(p: IntArray, m: FloatArray, r: int, lane: int, start: int, stop: int) -> None:
    """Count the values since the event was last above 0, up to `span`, which also stands for "never"."""
    span, o, a = p[r + SPAN], p[r + OUT], p[r + A]
    s = p[r + STATE] + lane
    age = span - m[s]
    for i in range(start, stop):
        event = m[a + i]
        if event == event:
            age = 0.0 if event > 0 else (age + 1 if age < span else age)
            m[o + i] = age
        else:
            m[o + i] = math.nan
    m[s] = span - age
