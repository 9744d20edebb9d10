"""Exact arithmetic of prices, fees and sizes in whole ticks, lots and quanta; compiled.

Each function gives to the last digit what `engine.sim.matching` and `engine.domain.market` give in `Decimal`.
"""

from __future__ import annotations

from math import isnan

import numpy as np

from engine.backtest.columns import (
    FIXED_OVER,
    FIXED_TIMES,
    LIMIT_QUANTA,
    SLIP_OVER,
    SLIP_TIMES,
    SPREAD_OVER,
    SPREAD_TIMES,
    TICK_OVER,
    TICK_TIMES,
)
from engine.backtest.compiled import inner

_NEAR_HALF = 0.499999


@inner
def to_ticks(price: float, rule: np.ndarray) -> int:
    """Return the nearest tick, half to even, of the decimal that the float is written as; 0 for NaN.

    Near the middle between two ticks the float is compared with the middle itself, whose double is the correctly
    rounded quotient of two whole numbers.
    """
    if isnan(price):
        return 0
    times, over = rule[TICK_TIMES], rule[TICK_OVER]
    raw = price * over / times
    near = np.rint(raw)
    if abs(raw - near) < _NEAR_HALF:
        return np.int64(near)
    below = np.int64(np.floor(raw))
    middle = ((2 * below + 1) * times) / (2.0 * over)
    if price > middle:
        return below + 1
    if price < middle:
        return below
    return below + (below & 1)


@inner
def share(amount: int, times: int, over: int) -> int:
    """Return `amount * times / over` rounded down, for amounts of at least 0, without leaving 64 bits."""
    return amount // over * times + amount % over * times // over


@inner
def share_half_up(amount: int, times: int, over: int) -> int:
    """Return `amount * times / over` rounded half up, for amounts of at least 0."""
    rest = amount % over * times
    return amount // over * times + (2 * rest + over) // (2 * over)


@inner
def half_spread(open_ticks: int, rule: np.ndarray) -> int:
    """Return half the spread of a bar that opens there, in whole ticks, rounded up."""
    times = rule[SPREAD_TIMES]
    if times == 0:
        return 0
    return (open_ticks * times + rule[SPREAD_OVER] - 1) // rule[SPREAD_OVER]


@inner
def slipped(price: int, side: int, rule: np.ndarray) -> int:
    """Return the price after slippage, on the next tick against the order, at least one tick."""
    times, over = rule[SLIP_TIMES], rule[SLIP_OVER]
    if times == 0:
        return max(price, 1)
    if side > 0:
        return max((price * (over + times) + over - 1) // over, 1)
    return max(price * (over - times) // over, 1)


@inner
def is_too_large(lots: int, ticks: int, unit: int) -> bool:
    """Return whether an amount cannot be counted in 64 bits with room to spare."""
    return abs(float(lots)) * float(ticks) * float(unit) > LIMIT_QUANTA


@inner
def fixed_lots(bps: int, rule: np.ndarray) -> int:
    """Return the share of the fixed quantity, in whole lots."""
    return share(rule[FIXED_TIMES], bps, rule[FIXED_OVER] * 10_000)
