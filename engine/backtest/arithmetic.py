"""Exact arithmetic of prices, fees and sizes in whole ticks, lots and quanta; compiled.

Each function gives to the last digit what `engine.sim.matching` and `engine.domain.market` give in `Decimal`. `book`
and `at` are the run's array and the place of a symbol in it, as `columns` lays them out.
"""

from __future__ import annotations

from math import isnan

import numpy as np

from engine.backtest.columns import (
    FIXED_OVER,
    FIXED_TIMES,
    LIMIT_QUANTA,
    MAKER_OVER,
    MAKER_TIMES,
    SLIP_OVER,
    SLIP_TIMES,
    SPREAD_OVER,
    SPREAD_TIMES,
    TAKER_OVER,
    TAKER_TIMES,
    TICK_OVER,
    TICK_TIMES,
)
from engine.backtest.compiled import inner
from engine.domain.market import IntArray

_NEAR_HALF = 0.499999


@inner
def to_ticks(price: float, book: IntArray, at: int) -> int:
    """Return the nearest tick, half to even, of the decimal that the float is written as; 0 for NaN.

    Near the middle between two ticks the float is compared with the middle itself, whose double is the correctly
    rounded quotient of two whole numbers.
    """
    if isnan(price):
        return 0
    times, over = book[at + TICK_TIMES], book[at + TICK_OVER]
    raw = price * over / times
    near = np.rint(raw)
    if abs(raw - near) < _NEAR_HALF:
        return int(near)
    below = int(np.floor(raw))
    middle = ((2 * below + 1) * times) / (2.0 * over)
    if price > middle:
        return below + 1
    if price < middle:
        return below
    return below + (below & 1)


@inner
def to_level(price: float, book: IntArray, at: int) -> int:
    """Return a decided price in ticks: 0 for none (NaN), -1 for one that is not above 0."""
    ticks = to_ticks(price, book, at)
    return -1 if ticks <= 0 and not isnan(price) else ticks


@inner
def quotient(amount: int, over: int) -> int:
    """Return `amount / over` rounded down, for amounts of at least 0.

    The processor's whole-number division takes several times as long as its float division, whose quotient is a few
    units off at the most and is put right here.
    """
    found = int(float(amount) / float(over))
    rest = amount - found * over
    while rest < 0:
        found -= 1
        rest += over
    while rest >= over:
        found += 1
        rest -= over
    return found


@inner
def share(amount: int, times: int, over: int) -> int:
    """Return `amount * times / over` rounded down, for amounts of at least 0, without leaving 64 bits."""
    if times == over:
        return amount
    whole = quotient(amount, over)
    return whole * times + quotient((amount - whole * over) * times, over)


@inner
def share_half_up(amount: int, times: int, over: int) -> int:
    """Return `amount * times / over` rounded half up, for amounts of at least 0."""
    if times == 0:
        return 0
    whole = quotient(amount, over)
    rest = (amount - whole * over) * times
    return whole * times + quotient(2 * rest + over, 2 * over)


@inner
def fee(lots: int, ticks: int, is_maker: bool, book: IntArray, at: int) -> int:
    """Return the fee of a fill, in 1e-8 of account currency."""
    if is_maker:
        return share_half_up(lots * ticks, book[at + MAKER_TIMES], book[at + MAKER_OVER])
    return share_half_up(lots * ticks, book[at + TAKER_TIMES], book[at + TAKER_OVER])


@inner
def half_spread(open_ticks: int, book: IntArray, at: int) -> int:
    """Return half the spread of a bar that opens there, in whole ticks, rounded up."""
    times = book[at + SPREAD_TIMES]
    if times == 0:
        return 0
    over = book[at + SPREAD_OVER]
    return quotient(open_ticks * times + over - 1, over)


@inner
def slipped(price: int, side: int, book: IntArray, at: int) -> int:
    """Return the price after slippage, on the next tick against the order, at least one tick."""
    times = book[at + SLIP_TIMES]
    if times == 0:
        return max(price, 1)
    over = book[at + SLIP_OVER]
    if side > 0:
        return max(quotient(price * (over + times) + over - 1, over), 1)
    return max(quotient(price * (over - times), over), 1)


@inner
def is_too_large(lots: int, ticks: int, unit: int) -> bool:
    """Return whether an amount cannot be counted in 64 bits with room to spare."""
    return abs(float(lots)) * float(ticks) * float(unit) > LIMIT_QUANTA


@inner
def fixed_lots(bps: int, book: IntArray, at: int) -> int:
    """Return the share of the fixed quantity, in whole lots."""
    return share(book[at + FIXED_TIMES], bps, book[at + FIXED_OVER] * 10_000)
