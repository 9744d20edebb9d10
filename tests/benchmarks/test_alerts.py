"""Alerts: 100,000 levels that arm again, against looking at every one of them at each tick.

The peer is what a plain watcher does: one vectorised comparison of all levels with the range that a tick moved through.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from engine.watch import Levels
from engine.watch.levels import FloatArray, IntArray, Level

pytestmark = pytest.mark.benchmark

TICKS = 2_000_000
PLAIN_TICKS = 2_000
WANTED_RATIO = 100.0
"""A million ticks a second where a vectorised look at all levels reaches about ten thousand."""


def _levels(n: int, n_series: int, rng: np.random.Generator) -> Levels:
    values, series = rng.uniform(50_000, 150_000, n), rng.integers(0, n_series, n)
    levels = Levels(n_series)
    levels.add(
        Level(key, int(series[key]), float(values[key]), is_rising=bool(key % 2), once=False, rest_s=60.0)
        for key in range(n)
    )
    return levels


def _ticks(n: int, n_series: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return a walk of one basis point a tick in each series, at 1,000 ticks a second."""
    series = rng.integers(0, n_series, n)
    values = np.empty(n)
    for each in range(n_series):
        mine = series == each
        values[mine] = 100_000 * np.exp(np.cumsum(rng.normal(0, 1e-4, int(mine.sum()))))
    return series, values, np.arange(n) / 1000.0


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _plain(levels: FloatArray, values: FloatArray) -> int:
    found, before = 0, values[0]
    for value in values[1:]:
        found += int(np.count_nonzero((levels > min(before, value)) & (levels <= max(before, value))))
        before = value
    return found


@pytest.mark.parametrize("n_series", [1, 50])
def test_ticks_cost_the_same_however_many_levels_there_are(n_series: int) -> None:
    rng = np.random.default_rng(7)
    series, values, at = _ticks(TICKS, n_series, rng)
    rates = {}
    for n in (1_000, 100_000):
        levels = _levels(n, n_series, rng)
        levels.feed(series[:1000], values[:1000], at[:1000])
        told: list[int] = []
        taken = _seconds(lambda levels=levels, told=told: told.append(len(levels.feed(series, values, at))))
        rates[n] = TICKS / taken
        print(f"\n{n_series} series, {n:7,} levels: {rates[n] / 1e6:.1f} M ticks/s, {told[0]:,} told")  # noqa: T201
    plain_levels = rng.uniform(50_000, 150_000, 100_000)
    plain = (PLAIN_TICKS - 1) / _seconds(lambda: _plain(plain_levels, values[:PLAIN_TICKS]))
    print(f"one comparison of all 100,000 a tick: {plain:,.0f} ticks/s")  # noqa: T201
    assert rates[100_000] >= WANTED_RATIO * plain


def test_one_tick_at_a_time() -> None:
    rng = np.random.default_rng(7)
    series, values, at = _ticks(20_000, 1, rng)
    levels = _levels(100_000, 1, rng)
    levels.feed(series[:10], values[:10], at[:10])
    taken = _seconds(lambda: [levels.feed(series[n : n + 1], values[n : n + 1], at[n : n + 1]) for n in range(20_000)])
    plain_levels = rng.uniform(50_000, 150_000, 100_000)
    plain = _seconds(lambda: _plain(plain_levels, values[:PLAIN_TICKS])) / PLAIN_TICKS
    print(f"\none tick a call: {taken / 20_000 * 1e6:.2f} us; a comparison of all: {plain * 1e6:.0f} us")  # noqa: T201
    assert taken / 20_000 < plain
