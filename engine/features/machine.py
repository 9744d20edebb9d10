"""The compiled machine that runs a program of features, and its two entries: many bars, and one bar from Python.

A program (`opcodes.py`) is a list of instructions over registers; each instruction works on a block of bars of one
symbol, or on one bar of each of many symbols. History, stream and many symbols are therefore the same code with other
block sizes, and give the same bits. All numbers, registers and state alike, live in one array: a call from Python
costs little only when it passes few arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numba

from engine.domain.market import FloatArray, IntArray
from engine.features.clock import run_clock
from engine.features.compiled import entry, inner, outlined
from engine.features.elementwise import run_pairs, run_singles
from engine.features.higher import run_higher
from engine.features.memory import run_memory
from engine.features.opcodes import (
    CLOCK,
    FAMILY,
    HEAD,
    HIGHER,
    INPUTS,
    IS_UNIFORM,
    LANES,
    LAST_WARMUP,
    LENGTHS,
    MEMORY,
    N_OPS,
    N_OUTPUTS,
    OUTPUTS,
    PAIRS,
    RATE,
    SEEN,
    SINGLES,
    STEPS,
    WARMUPS,
    WIDTH,
    WINDOWS,
)
from engine.features.windows import run_windows


@outlined
def _run(p: IntArray, m: FloatArray, width: int) -> None:
    """Run the program over the block in the input registers; `width` is how far one register is from the next."""
    for at in range(p[N_OPS]):
        r = HEAD + at * WIDTH
        if m[p[r + RATE]] == 0:
            continue
        family = p[r + FAMILY]
        if family == PAIRS:
            run_pairs(p, m, r)
        elif family == SINGLES:
            run_singles(p, m, r)
        elif family == WINDOWS:
            run_windows(p, m, r)
        elif family == MEMORY:
            run_memory(p, m, r)
        elif family == CLOCK:
            run_clock(p, m, r)
        elif family == HIGHER:
            run_higher(p, m, r)
    _silence(p, m, width)


@inner
def _silence(p: IntArray, m: FloatArray, width: int) -> None:
    """Put NaN where an output is not warm yet, and count the bars."""
    steps = p[STEPS]
    for lane in range(p[LANES]):
        seen = int(m[p[SEEN] + lane])
        n = steps if p[IS_UNIFORM] == 1 else int(m[p[LENGTHS] + 1 + lane])
        if seen < p[LAST_WARMUP]:
            for column in range(p[N_OUTPUTS]):
                cold = min(int(m[p[WARMUPS] + column]) - seen, n)
                for i in range(lane * steps, lane * steps + cold):
                    m[p[OUTPUTS] + column * width + i] = math.nan
        m[p[SEEN] + lane] = seen + n


def _run_bar(
    p: IntArray, m: FloatArray, time: float, open_: float, high: float, low: float, close: float, volume: float
) -> None:
    """Take one bar of one symbol; the values lie in the output registers."""
    i = p[INPUTS]
    m[i], m[i + 1], m[i + 2], m[i + 3], m[i + 4], m[i + 5] = time, open_, high, low, close, volume
    _run(p, m, 1)


def _run_bars(
    p: IntArray,
    memories: FloatArray,
    size: int,
    width: int,
    time: IntArray,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    out: FloatArray,
) -> None:
    """Take many bars: all of one symbol's history, block by block, or one of each symbol, some lanes at a time.

    The bars' columns have shape (n,), `out` has (n, k); `width` is how far one register is from the next. Each group
    of lanes has a memory of its own, one after the other in `memories`; lanes beyond the last symbol stand idle.
    """
    n, lanes = len(time), p[LANES]
    block = p[STEPS] * lanes
    for done in range(0, n, block):
        count = min(block, n - done)
        m = memories[:size]
        if lanes > 1:
            m = memories[done // lanes * size : (done // lanes + 1) * size]
        else:
            p[STEPS] = count
            m[p[LENGTHS]] = m[p[LENGTHS] + 1] = count
        i = p[INPUTS]
        for j in range(count):
            m[i + j] = time[done + j]
            m[i + width + j] = open_[done + j]
            m[i + 2 * width + j] = high[done + j]
            m[i + 3 * width + j] = low[done + j]
            m[i + 4 * width + j] = close[done + j]
            m[i + 5 * width + j] = volume[done + j]
        _run(p, m, width)
        for j in range(count):
            o = p[OUTPUTS] + j
            row = out[done + j]
            for column in range(len(row)):
                row[column] = m[o + column * width]


class Entries(NamedTuple):
    """The machine, ready to be called."""

    run_bar: Callable[..., None]
    run_bars: Callable[..., None]


@cache
def load_machine() -> Entries:
    """Return the compiled entries: from the package's own cache, or compiled now, which takes some seconds.

    Nothing else is compiled afterwards: whole numbers, and arrays that cannot be written, are converted or accepted.
    """
    ints, floats = numba.types.Array(numba.int64, 1, "C"), numba.types.Array(numba.float64, 1, "C")
    prices = numba.types.Array(numba.float64, 1, "C", readonly=True)
    times = numba.types.Array(numba.int64, 1, "C", readonly=True)
    table = numba.types.Array(numba.float64, 2, "C")
    return Entries(
        entry(_run_bar, (ints, floats, *(numba.float64,) * 6)),
        entry(_run_bars, (ints, floats, numba.int64, numba.int64, times, *(prices,) * 5, table)),
    )
