"""The compiled backtest: one pass over one symbol's bars.

The pass runs through stretches: where nothing is held and nothing waits it looks for the next decision only; where
something is held it looks at each bar for a decision, a stop or a target that may be reached, and marks the account.
Any bar on which something may happen goes through the exact rules in `rules`.
"""

from __future__ import annotations

import numpy as np

from engine.backtest import columns as c
from engine.backtest.arithmetic import half_spread, to_level, to_ticks
from engine.backtest.compiled import inner
from engine.backtest.rules import decide, grow_older, meet_opening, meet_range, pay_funding, write_trade
from engine.domain.market import FloatArray, IntArray
from engine.domain.strategies import ActionArray, SizeArray

RATE_SCALE = 1e8
"""Steps of a funding rate in 1."""

_FIRST_TRADES = 1024
_AT = c.HEAD


@inner
def with_room(log: IntArray, used: int) -> IntArray:
    """Return the log with room for three more trades."""
    if (used + 3) * c.TRADE < len(log):
        return log
    larger = np.empty(2 * len(log), np.int64)
    larger[: used * c.TRADE] = log[: used * c.TRADE]
    return larger


@inner
def note_equity(value: float, sums: FloatArray) -> None:
    """Add one bar's equity to the sums."""
    change = value / sums[c.LAST] - 1
    sums[c.SUM_RETURN] += change
    sums[c.SUM_SQUARE] += change * change
    sums[c.LAST] = value
    if value > sums[c.PEAK]:
        sums[c.PEAK] = value
    elif 1 - value / sums[c.PEAK] > sums[c.DRAWDOWN]:
        sums[c.DRAWDOWN] = 1 - value / sums[c.PEAK]


@inner
def watch_levels(book: IntArray, at: int) -> tuple[float, float]:
    """Return the prices (low, high) beyond which a bar may touch stop or target: never too late, at times early."""
    size = book[at + c.TICK_TIMES] / book[at + c.TICK_OVER]
    stop, target = book[at + c.STOP], book[at + c.TARGET]
    below, above = -np.inf, np.inf
    if book[at + c.HELD] > 0:
        # The spread follows the opening price; up to `top`, where a bar is looked at anyway, it is no wider than this.
        top = target if target != 0 else 2 * max(book[at + c.MARK], stop)
        above = (top - 1) * size
        if stop != 0:
            below = (stop + half_spread(top, book, at) + 1) * size
    else:
        if stop != 0:
            above = (stop - half_spread(stop, book, at) - 1) * size
        if target != 0:
            below = (target + 1) * size
    return below, above


@inner
def hold_unprotected(
    t: int,
    end: int,
    close: FloatArray,
    action: ActionArray,
    cash: float,
    worth: float,
    equity: FloatArray,
    sums: FloatArray,
) -> int:
    """Mark a position that nothing but a decision ends; return the row of the next decision (marked), or the end."""
    last, peak, deepest = sums[c.LAST], sums[c.PEAK], sums[c.DRAWDOWN]
    floor = peak * (1 - deepest)
    total = squares = 0.0
    stores = len(equity) > 0
    while t < end:
        value = cash + worth * close[t]
        change = value / last - 1
        total += change
        squares += change * change
        last = value
        if value > peak:
            peak = value
            floor = peak * (1 - deepest)
        elif value < floor:
            deepest = 1 - value / peak
            floor = value
        if stores:
            equity[t] = value
        if action[t] != 0:
            break
        t += 1
    sums[c.LAST], sums[c.PEAK], sums[c.DRAWDOWN] = last, peak, deepest
    sums[c.SUM_RETURN] += total
    sums[c.SUM_SQUARE] += squares
    return t


@inner
def hold_protected(
    t: int,
    end: int,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    action: ActionArray,
    below: float,
    above: float,
    cash: float,
    worth: float,
    equity: FloatArray,
    sums: FloatArray,
) -> tuple[int, bool]:
    """Mark a protected position; return the first row that may end it (not marked), and whether it is one."""
    last, peak, deepest = sums[c.LAST], sums[c.PEAK], sums[c.DRAWDOWN]
    floor = peak * (1 - deepest)
    total = squares = 0.0
    stores = len(equity) > 0
    is_touched = False
    while t < end:
        if low[t] <= below or high[t] >= above:
            is_touched = True
            break
        value = cash + worth * close[t]
        change = value / last - 1
        total += change
        squares += change * change
        last = value
        if value > peak:
            peak = value
            floor = peak * (1 - deepest)
        elif value < floor:
            deepest = 1 - value / peak
            floor = value
        if stores:
            equity[t] = value
        if action[t] != 0:
            break
        t += 1
    sums[c.LAST], sums[c.PEAK], sums[c.DRAWDOWN] = last, peak, deepest
    sums[c.SUM_RETURN] += total
    sums[c.SUM_SQUARE] += squares
    return t, is_touched


@inner
def next_decision(t: int, n: int, action: ActionArray) -> int:
    """Return the row of the first decision from `t` on, or n."""
    while t + 8 <= n:
        found = action[t] | action[t + 1] | action[t + 2] | action[t + 3]
        found |= action[t + 4] | action[t + 5] | action[t + 6] | action[t + 7]
        if found:
            break
        t += 8
    while t < n and action[t] == 0:
        t += 1
    return t


@inner
def next_payment(t: int, n: int, funding: FloatArray) -> int:
    """Return the row of the first funding payment from `t` on, or n."""
    if len(funding) == 0:
        return n
    while t < n and funding[t] == 0.0:
        t += 1
    return t


def run_one(
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    action: ActionArray,
    price: FloatArray,
    stop: FloatArray,
    target: FloatArray,
    stop_ratio: float,
    target_ratio: float,
    bps: SizeArray,
    funding: FloatArray,
    book: IntArray,
    equity: FloatArray,
    sums: FloatArray,
) -> IntArray:
    """Run one symbol through its bars; return the log of its trades, an open one last.

    Args:
        open_, high, low, close: Shape (n,), prices.
        action, price, stop, target, stop_ratio, target_ratio, bps: As in `Decisions`; empty columns are absent.
        funding: Shape (n,), rate paid by longs at the opening of each bar; empty for none.
        book: The account's head with its cash, then the symbol; changed to the state at the end.
        equity: Shape (n,) to be filled with the account's worth at each close, or empty.
        sums: Shape (SUMS,), filled.
    """
    n = len(close)
    log = np.empty(_FIRST_TRADES * c.TRADE, np.int64)
    quanta = float(book[c.QUANTA])
    per_lot = float(book[_AT + c.UNIT]) * book[_AT + c.TICK_OVER] / book[_AT + c.TICK_TIMES] / quanta
    sums[:] = 0.0
    sums[c.LAST] = sums[c.PEAK] = book[c.CASH] / quanta
    stores = len(equity) > 0
    payment = next_payment(0, n, funding)
    t = 0
    while t < n:
        is_due = book[_AT + c.ENTRY_KIND] != 0 or book[_AT + c.CLOSING] != 0
        if not is_due and book[_AT + c.HELD] == 0:
            start = t
            t = next_decision(t, n, action)
            if stores:
                equity[start : min(t + 1, n)] = sums[c.LAST]
            if t == n:
                break
        elif not is_due:
            if payment < t:
                payment = next_payment(t, n, funding)
            end = min(n, payment)
            if book[_AT + c.LAST_AGE] != 0:
                end = min(end, t + book[_AT + c.LAST_AGE] - book[_AT + c.AGE] - 1)
            start = t
            own, worth = book[c.CASH] / quanta, book[_AT + c.HELD] * per_lot
            if book[_AT + c.STOP] == 0 and book[_AT + c.TARGET] == 0:
                t = hold_unprotected(t, end, close, action, own, worth, equity, sums)
                is_due = t >= end
            else:
                below, above = watch_levels(book, _AT)
                t, is_due = hold_protected(t, end, high, low, close, action, below, above, own, worth, equity, sums)
                is_due |= t >= end
            passed = t - start if is_due else t - start + 1
            book[_AT + c.AGE] += passed
            sums[c.BARS_HELD] += passed
            if t == n:
                break
        if is_due:
            used, was_held = book[c.TRADES], book[_AT + c.HELD] != 0
            log = with_room(log, used)
            first = to_ticks(open_[t], book, _AT)
            half = half_spread(first, book, _AT)
            if was_held and len(funding):
                pay_funding(book, _AT, first, int(np.rint(funding[t] * RATE_SCALE)))
            meet_opening(book, _AT, log, 0, t, first, half)
            if book[_AT + c.ENTRY_KIND] != 0 or book[_AT + c.STOP] != 0 or book[_AT + c.TARGET] != 0:
                meet_range(book, _AT, log, 0, t, first, to_ticks(high[t], book, _AT), to_ticks(low[t], book, _AT), half)
            grow_older(book, _AT)
            if was_held or book[_AT + c.HELD] != 0 or book[c.TRADES] != used:
                sums[c.BARS_HELD] += 1
            value = book[c.CASH] / quanta + book[_AT + c.HELD] * per_lot * close[t]
            note_equity(value, sums)
            if stores:
                equity[t] = value
        what = int(action[t])
        if what != 0:
            mark = to_ticks(close[t], book, _AT)
            book[_AT + c.MARK] = mark
            side = 1 if what > 0 else -1
            at_stop = at_target = 0
            if len(stop):
                at_stop = to_level(stop[t], book, _AT)
            elif stop_ratio > 0:
                at_stop = to_level(close[t] * (1 - side * stop_ratio), book, _AT)
            if len(target):
                at_target = to_level(target[t], book, _AT)
            elif target_ratio > 0:
                at_target = to_level(close[t] * (1 + side * target_ratio), book, _AT)
            at_price = to_level(price[t], book, _AT) if len(price) else 0
            share_bps = int(bps[t]) if len(bps) else 10_000
            worth_now = book[c.CASH] + book[_AT + c.HELD] * mark * book[_AT + c.UNIT]
            decide(book, _AT, t, what, at_price, at_stop, at_target, share_bps, worth_now)
            if book[c.STATUS] != c.STATUS_DONE:
                break
        t += 1
    if book[_AT + c.HELD] != 0:
        book[_AT + c.MARK] = to_ticks(close[n - 1], book, _AT)
        log = with_room(log, book[c.TRADES])
        write_trade(book, _AT, log, 0)
    return log[: book[c.TRADES] * c.TRADE]
