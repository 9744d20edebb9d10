"""How fast the compiled backtest is, against hand-written loops over the same bars in the same process.

The loops know one rule and one fee and keep nothing but sums. Ours takes a decision array, resolves every fill in
exact arithmetic, and keeps trades, the curve and the metrics; the time of making the decisions is part of it. Both take
turns, in processor time, and the best of each counts; ratios are judged, never a clock.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial

import numba
import numpy as np
import numpy.typing as npt
import pytest

from engine.backtest import AccountSettings, Listing, SizeRule, measure, run_decisions, sweep
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, FloatArray
from engine.domain.strategies import Decisions
from engine.sim.matching import MatchingSettings

pytestmark = pytest.mark.benchmark

YEARS_OF_MINUTES = 3_700_000
SWEEP_BARS = 100_000
PAIRS = [(fast, slow) for fast in range(5, 45) for slow in range(50, 300, 10)]
FAST, SLOW, STOP, TARGET, FEE = 20, 50, 0.002, 0.004, 0.001
ROUNDS = 9
CROSSOVER_LIMIT, BRACKET_LIMIT, SWEEP_LIMIT = 3.0, 4.0, 1.5
MEMORY_LIMIT_MIB = 450
FIRST_CALL_LIMIT_S = 1.0


def make_bars(n: int) -> Bars:
    rng = np.random.default_rng(11)
    close = 1000 * np.exp(np.cumsum(rng.standard_normal(n) * 5e-4))
    open_ = np.concatenate([[1000.0], close[:-1]])
    high = np.maximum(open_, close) * (1 + np.abs(rng.standard_normal(n)) * 2e-4)
    low = np.minimum(open_, close) * (1 - np.abs(rng.standard_normal(n)) * 2e-4)
    return Bars("BTC/USDT", "1m", np.arange(n, dtype=np.int64) * 60, open_, high, low, close, np.ones(n))


@numba.njit(error_model="numpy", nogil=True, cache=True)
def crossover_loop(close: FloatArray, fast: int, slow: int, fee: float) -> tuple[int, float, float, float]:
    """Return trades, last equity, Sharpe and drawdown of a long-or-flat crossover, in one pass."""
    fast_sum = slow_sum = units = total = squares = deepest = 0.0
    cash = last = peak = 1e6
    trades, is_long = 0, False
    for t in range(len(close)):
        price = close[t]
        value = cash + units * price
        change = value / last - 1
        total += change
        squares += change * change
        last = value
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
        fast_sum += price
        slow_sum += price
        if t >= fast:
            fast_sum -= close[t - fast]
        if t >= slow:
            slow_sum -= close[t - slow]
        if t < slow - 1:
            continue
        wants = fast_sum * slow > slow_sum * fast
        if wants and not is_long:
            units, cash, is_long = cash * (1 - fee) / price, 0.0, True
        elif is_long and not wants:
            cash, units, is_long = units * price * (1 - fee), 0.0, False
            trades += 1
    mean = total / len(close)
    return trades, last, mean / np.sqrt(squares / len(close) - mean * mean), deepest


@numba.njit(error_model="numpy", nogil=True, cache=True)
def bracket_loop(
    high: FloatArray, low: FloatArray, close: FloatArray, fast: int, slow: int, stop: float, target: float, fee: float
) -> tuple[int, float, float, float]:
    """Return the same for entries at upward crossings with a stop and a target inside the bar."""
    fast_sum = slow_sum = units = total = squares = deepest = below = above = 0.0
    cash = last = peak = 1e6
    trades, is_long, was_above = 0, False, False
    for t in range(len(close)):
        price = close[t]
        if is_long:
            if low[t] <= below:
                cash, units, is_long = units * below * (1 - fee), 0.0, False
                trades += 1
            elif high[t] >= above:
                cash, units, is_long = units * above * (1 - fee), 0.0, False
                trades += 1
        value = cash + units * price
        change = value / last - 1
        total += change
        squares += change * change
        last = value
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
        fast_sum += price
        slow_sum += price
        if t >= fast:
            fast_sum -= close[t - fast]
        if t >= slow:
            slow_sum -= close[t - slow]
        if t < slow - 1:
            continue
        is_above = fast_sum * slow > slow_sum * fast
        if is_above and not was_above and not is_long:
            units, cash, is_long = cash * (1 - fee) / price, 0.0, True
            below, above = price * (1 - stop), price * (1 + target)
        was_above = is_above
    mean = total / len(close)
    return trades, last, mean / np.sqrt(squares / len(close) - mean * mean), deepest


@numba.njit(error_model="numpy", nogil=True, cache=True)
def cross(close: FloatArray, fast: int, slow: int, exit_code: int, action: npt.NDArray[np.int8]) -> None:
    """Write down where two running means cross: 1 upwards, `exit_code` downwards."""
    action[:slow] = 0
    gap = 0.0
    for t in range(slow):
        gap -= fast * close[t]
    for t in range(slow - fast, slow):
        gap += slow * close[t]
    was_above = False
    if gap > 0:
        action[slow - 1], was_above = 1, True
    for t in range(slow, len(close)):
        gap += slow * (close[t] - close[t - fast]) - fast * (close[t] - close[t - slow])
        is_above = gap > 0
        action[t] = 0
        if is_above != was_above:
            action[t] = 1 if is_above else exit_code
        was_above = is_above


def decide(close: FloatArray, exit_code: int, pair: tuple[int, int]) -> Decisions:
    action = np.empty(len(close), np.int8)
    cross(close, pair[0], pair[1], exit_code, action)
    return Decisions(action)


def settings_of(bars: Bars, fee: float) -> tuple[Listing, AccountSettings]:
    ratio = Decimal(str(fee))
    instrument = replace(build_instrument(bars.symbol), is_shortable=True, taker_fee_ratio=ratio, maker_fee_ratio=ratio)
    account = AccountSettings(
        Decimal(10**6), SizeRule("equity", Decimal("0.99")), matching=MatchingSettings(slippage_bps=Decimal(0))
    )
    return Listing(bars, instrument), account


def best_of(
    ours: Callable[[], object], reference: Callable[[], object], clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the shortest time of each, taking turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for work, taken in zip((ours, reference), times, strict=True):
            started = clock()
            work()
            taken.append(clock() - started)
    return min(times[0]), min(times[1])


def report(name: str, ours: float, reference: float, limit: float, n: int) -> None:
    print(  # noqa: T201
        f"\n{name}: {ours / reference:.2f} of the reference loop (wanted at most {limit}), {n / ours / 1e6:.0f} M "
        f"bars/s against {n / reference / 1e6:.0f} M"
    )


def test_a_crossover_over_ten_years_of_minutes() -> None:
    bars = make_bars(YEARS_OF_MINUTES)
    listing, account = settings_of(bars, 0.0)

    def ours() -> int:
        run = run_decisions(listing, decide(bars.close, 5, (FAST, SLOW)), account)
        return measure(run).trades

    # The reference fills at the close and we at the next opening, which here is the same price.
    assert abs(ours() - crossover_loop(bars.close, FAST, SLOW, 0.0)[0]) <= 2
    taken = best_of(ours, lambda: crossover_loop(bars.close, FAST, SLOW, 0.0), time.thread_time)
    report("crossover", *taken, CROSSOVER_LIMIT, len(bars))
    assert taken[0] / taken[1] < CROSSOVER_LIMIT


def test_stops_and_targets_over_ten_years_of_minutes() -> None:
    bars = make_bars(YEARS_OF_MINUTES)
    listing, account = settings_of(bars, 0.0)

    def ours() -> int:
        action = decide(bars.close, 0, (FAST, SLOW)).action
        run = run_decisions(listing, Decisions(action, stop_ratio=STOP, target_ratio=TARGET), account)
        return measure(run).trades

    def reference() -> int:
        return bracket_loop(bars.high, bars.low, bars.close, FAST, SLOW, STOP, TARGET, 0.0)[0]

    assert ours() == pytest.approx(reference(), rel=0.02)
    taken = best_of(ours, reference, time.thread_time)
    report("stop and target", *taken, BRACKET_LIMIT, len(bars))
    assert taken[0] / taken[1] < BRACKET_LIMIT


def test_a_sweep_of_a_thousand_pairs() -> None:
    bars = make_bars(SWEEP_BARS)
    listing, account = settings_of(bars, FEE)

    def reference() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: crossover_loop(bars.close, pair[0], pair[1], FEE), PAIRS))

    def ours() -> None:
        sweep(listing, account, PAIRS, partial(decide, bars.close, 5), threads=2)

    ours()
    reference()
    wall = best_of(ours, reference, time.perf_counter)
    print(f"\nsweep on the wall clock: {wall[0] / wall[1]:.2f} of the reference, {wall[0]:.2f} s")  # noqa: T201
    taken = best_of(ours, reference, time.process_time)
    report(f"sweep of {len(PAIRS)} pairs", *taken, SWEEP_LIMIT, len(bars) * len(PAIRS))
    assert taken[0] / taken[1] < SWEEP_LIMIT


MEASURED = """
import time
from tests.benchmarks.test_backtest import *
n = {n}
bars = make_bars(100_000)
listing, account = settings_of(bars, 0.001)
action = np.zeros(len(bars), np.int8); action[::50] = 1; action[25::50] = 5
started = time.process_time()
run_decisions(listing, Decisions(action), account)
first = time.process_time() - started
if n:
    rng = np.random.default_rng(1)
    columns = [np.empty(n) for _ in range(5)]
    for column in columns: column.fill(1000.0)
    close = columns[3]
    for start in range(0, n, 100_000):
        close[start:start + 100_000] *= np.exp(np.cumsum(rng.standard_normal(len(close[start:start + 100_000])) * 5e-4))
    columns[0][1:] = close[:-1]
    np.maximum(columns[0], close, out=columns[1]); np.minimum(columns[0], close, out=columns[2])
    bars = Bars("BTC/USDT", "1m", np.arange(n, dtype=np.int64) * 60, *columns)
    listing, account = settings_of(bars, 0.001)
    measure(run_decisions(listing, decide(bars.close, 5, (20, 50)), account))
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(first, int(peak) / 1024)
"""


def measured(n: int) -> tuple[float, float]:
    """Return processor seconds of the first call and peak MiB in a process of its own, the bars included."""
    done = subprocess.run([sys.executable, "-c", MEASURED.format(n=n)], capture_output=True, text=True, check=True)
    first, peak = done.stdout.split()
    return float(first), float(peak)


def test_first_call_and_peak_memory() -> None:
    measured(YEARS_OF_MINUTES)
    first = min(measured(0)[0] for _ in range(3))
    peak = measured(YEARS_OF_MINUTES)[1]
    print(f"\nfirst call, compiled code on disk: {first:.2f} s; peak {peak:.0f} MiB at {YEARS_OF_MINUTES} bars")  # noqa: T201
    assert first < FIRST_CALL_LIMIT_S
    assert peak < MEMORY_LIMIT_MIB
