"""Compiled change of timeframe: bars of a longer one, dense, and their values held for the bars of the shorter.

A longer bar is handed on when it is closed: at the bar that ends with it, or, where that one is missing, at the next.
"""

from __future__ import annotations

import math

from engine.domain.market import FloatArray, IntArray
from engine.features.compiled import inner
from engine.features.opcodes import CONSTANTS, EXTRA, LANES, OPERATION, OUT, RESAMPLE, STATE, STEPS, A, B, C
from engine.features.windows import count_steps

KEPT = 9
"""Values of state per lane: was there ever one, is one open, is it whole, its number, then its five columns."""


@inner
def run_higher(p: IntArray, m: FloatArray, r: int) -> None:
    """Go to a longer timeframe, or come back from it."""
    if p[r + OPERATION] == RESAMPLE:
        total = 0
        for lane in range(p[LANES]):
            made = _resample(p, m, r, lane)
            m[p[r + EXTRA] + 1 + lane] = made
            total += made
        m[p[r + EXTRA]] = total
    else:
        for lane in range(p[LANES]):
            _hold(p, m, r, lane)


@inner
def _resample(p: IntArray, m: FloatArray, r: int, lane: int) -> int:
    """Close longer bars; return how many.

    Constants: length, offset, seconds between bars. `a` is the first of the six input registers, `out` the first of
    the five of the longer bars, `c` the distance between registers; `b` tells how many were closed up to each bar.
    """
    lanes, start, width = p[LANES], lane * p[STEPS], p[r + C]
    c, s = p[r + CONSTANTS], p[r + STATE] + lane
    length, offset, bar = m[c], m[c + 1], m[c + 2]
    made = 0
    for i in range(start, start + count_steps(p, m, r, lane)):
        time = m[p[r + A] + i] + offset
        number = math.floor(time / length)
        is_given = False
        if m[s + lanes] > 0 and number != m[s + 3 * lanes]:
            is_given = _give(m, s, lanes, p[r + OUT] + start + made, width)
        _take(m, s, lanes, p[r + A] + i, width, number, time == number * length)
        # One at most per bar: what a gap has delayed comes first, and this one then with the next bar.
        if not is_given and time + bar >= (number + 1) * length:
            is_given = _give(m, s, lanes, p[r + OUT] + start + made, width)
        made += 1 if is_given else 0
        m[p[r + B] + i] = made
    return made


@inner
def _take(m: FloatArray, s: int, lanes: int, bar: int, width: int, number: float, is_first: bool) -> None:
    """Add a bar to the longer one; a history that begins inside one gives no whole one for it."""
    columns = s + 4 * lanes
    opened, high, low = m[bar + width], m[bar + 2 * width], m[bar + 3 * width]
    close, volume = m[bar + 4 * width], m[bar + 5 * width]
    if m[s + lanes] == 0:
        m[s + 2 * lanes] = 1.0 if m[s] > 0 or is_first else 0.0
        m[s], m[s + lanes], m[s + 3 * lanes] = 1.0, 1.0, number
        m[columns], m[columns + lanes], m[columns + 2 * lanes] = opened, high, low
        m[columns + 4 * lanes] = volume
    else:
        m[columns + lanes] = max(m[columns + lanes], high)
        m[columns + 2 * lanes] = min(m[columns + 2 * lanes], low)
        m[columns + 4 * lanes] += volume
    m[columns + 3 * lanes] = close


@inner
def _give(m: FloatArray, s: int, lanes: int, out: int, width: int) -> bool:
    """Hand the longer bar on, if it is whole, and be ready for the next."""
    is_whole = bool(m[s + 2 * lanes] > 0)
    if is_whole:
        for column in range(5):
            m[out + column * width] = m[s + (4 + column) * lanes]
    m[s + lanes] = 0.0
    return is_whole


@inner
def _hold(p: IntArray, m: FloatArray, r: int, lane: int) -> None:
    """Repeat the newest value of a longer timeframe. State: is there one, and which."""
    lanes, start, o, a, b = p[LANES], lane * p[STEPS], p[r + OUT], p[r + A], p[r + B]
    s = p[r + STATE] + lane
    before = m[s + lanes] if m[s] > 0 else math.nan
    value = before
    for i in range(start, start + count_steps(p, m, r, lane)):
        made = int(m[b + i])
        value = m[a + start + made - 1] if made > 0 else before
        m[o + i] = value
    m[s], m[s + lanes] = 1.0, value
