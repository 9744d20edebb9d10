"""Rolling windows whose value at a row depends on the rows of the window alone, to the last bit.

A strategy sees exactly its last `warmup` bars when it runs, and the whole history in a backtest. Both must decide
alike, so a running sum, whose rounding depends on where it began, will not do. Here a window is put together from
blocks of 1, 2, 4, … rows in an order that depends on its length alone: the same numbers give the same bits wherever
they stand, in about log2(period) passes over the array. Rows before the first full window are NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.domain.market import Bars, FloatArray

Columns = tuple[FloatArray, ...]
Join = Callable[[Columns, int, Columns, int], Columns]
"""Puts an older block of so many rows and the newer block that follows it together."""


def rolling_mean(values: FloatArray, period: int) -> FloatArray:
    """Return the mean of the last `period` rows."""
    (total,) = _fold((values,), period, lambda older, _n, newer, _m: (older[0] + newer[0],))
    return total / period


def rolling_max(values: FloatArray, period: int) -> FloatArray:
    """Return the highest of the last `period` rows."""
    (highest,) = _fold((values,), period, lambda older, _n, newer, _m: (np.maximum(older[0], newer[0]),))
    return highest


def rolling_min(values: FloatArray, period: int) -> FloatArray:
    """Return the lowest of the last `period` rows."""
    (lowest,) = _fold((values,), period, lambda older, _n, newer, _m: (np.minimum(older[0], newer[0]),))
    return lowest


def rolling_deviation(values: FloatArray, period: int) -> FloatArray:
    """Return the population standard deviation of the last `period` rows.

    Source:
        Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance: blocks joined by pairs.
    """
    _, squares = _fold((values, np.zeros(len(values))), period, _join_moments)
    return np.sqrt(squares / period)


def true_range(bars: Bars) -> FloatArray:
    """Return Wilder's true range in price units; NaN at the first row, which has no close before it."""
    before = shifted(bars.close, 1)
    return np.maximum(bars.high, before) - np.minimum(bars.low, before)


def average_true_range(bars: Bars, period: int) -> FloatArray:
    """Return the plain mean of the last `period` true ranges, in price units; NaN in the first `period` rows.

    Wilder's own smoothing never forgets and so does not fit into a window.
    """
    return rolling_mean(true_range(bars), period)


def shifted(values: FloatArray, rows: int) -> FloatArray:
    """Return the values of `rows` rows before; NaN where there is none."""
    out = np.full(len(values), np.nan)
    if rows < len(values):
        out[rows:] = values[: len(values) - rows]
    return out


def _join_moments(older: Columns, n: int, newer: Columns, m: int) -> Columns:
    gap = newer[0] - older[0]
    mean = older[0] + gap * (m / (n + m))
    return mean, older[1] + newer[1] + gap * gap * (n * m / (n + m))


def _fold(columns: Columns, period: int, join: Join) -> Columns:
    """Return the columns joined over the last `period` rows."""
    if period < 1:
        raise ValueError(f"period must be at least 1, got {period}")
    block, length = columns, 1
    joined, covered = columns, 0
    while True:
        if period & length:
            joined = block if covered == 0 else join(_older(block, covered), length, joined, covered)
            covered += length
        if covered == period:
            return joined
        block = join(_older(block, length), length, block, length)
        length *= 2


def _older(columns: Columns, rows: int) -> Columns:
    return tuple(shifted(column, rows) for column in columns)
