"""The compiled backtest: one pass over one symbol's bars, or over several symbols on one account.

The pass over one symbol runs through stretches: where nothing is held and nothing waits it looks for the next decision
only; where something is held it looks at each bar for a decision, a stop or a target that may be reached, and marks
the account. Any bar on which something may happen goes through the exact rules in `rules`.
"""

from __future__ import annotations

import numpy as np

from engine.backtest import columns as c
from engine.backtest.arithmetic import half_spread, to_level, to_ticks
from engine.backtest.compiled import inner
from engine.backtest.prefetch import prefetch
from engine.backtest.rules import decide, grow_older, meet_opening, meet_range, pay_funding, write_trade
from engine.domain.market import FloatArray, IntArray
from engine.domain.strategies import ActionArray, SizeArray

RATE_SCALE = 1e8
"""Steps of a funding rate in 1."""

_AT = c.HEAD
_AHEAD = 128
"""Rows that an opening price is fetched ahead of its use."""


@inner
def is_full(log: IntArray, used: int, more: int) -> bool:
    """Return whether the log has no room for some more trades."""
    return (used + more) * c.TRADE > len(log)


@inner
def note_equity(t: int, value: float, equity: FloatArray, sums: FloatArray) -> None:
    """Keep one bar's equity and add it to the sums."""
    if len(equity):
        equity[t] = value
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
    open_: FloatArray,
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
        prefetch(open_, t + _AHEAD)
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
    open_: FloatArray,
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
        prefetch(open_, t + _AHEAD)
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
def next_decision(t: int, n: int, action: ActionArray, open_: FloatArray) -> int:
    """Return the row of the first decision from `t` on, or n."""
    while t + 8 <= n:
        prefetch(open_, t + _AHEAD)
        found = action[t] | action[t + 1] | action[t + 2] | action[t + 3]
        found |= action[t + 4] | action[t + 5] | action[t + 6] | action[t + 7]
        if found:
            break
        t += 8
    while t < n and action[t] == 0:
        t += 1
    return t


@inner
def stay_flat(t: int, n: int, action: ActionArray, open_: FloatArray, own: float, equity: FloatArray) -> int:
    """Go on to the next row with a decision, or to the end, with nothing but cash."""
    found = next_decision(t, n, action, open_)
    if len(equity):
        equity[t : min(found + 1, n)] = own
    return found


@inner
def next_payment(t: int, n: int, funding: FloatArray) -> int:
    """Return the row of the first funding payment from `t` on, or n."""
    if len(funding) == 0:
        return n
    while t < n and funding[t] == 0.0:
        t += 1
    return t


@inner
def meet_row(
    book: IntArray,
    at: int,
    log: IntArray,
    symbol: int,
    t: int,
    place: int,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    funding: FloatArray,
) -> bool:
    """Let one bar happen to one symbol (`t` its row, `place` where the columns have it); return whether it held."""
    used, held = book[c.TRADES], book[at + c.HELD]
    first = to_ticks(open_[place], book, at)
    half = half_spread(first, book, at)
    if held != 0 and len(funding) and funding[place] != 0:
        pay_funding(book, at, first, int(np.rint(funding[place] * RATE_SCALE)))
    meet_opening(book, at, log, symbol, t, first, half)
    if book[at + c.ENTRY_KIND] != 0 or book[at + c.STOP] != 0 or book[at + c.TARGET] != 0:
        top, bottom = to_ticks(high[place], book, at), to_ticks(low[place], book, at)
        meet_range(book, at, log, symbol, t, first, top, bottom, half)
    grow_older(book, at)
    return bool(held != 0 or book[at + c.HELD] != 0 or book[c.TRADES] != used)


@inner
def take_row(
    book: IntArray,
    at: int,
    t: int,
    place: int,
    close: FloatArray,
    action: ActionArray,
    price: FloatArray,
    stop: FloatArray,
    target: FloatArray,
    stop_ratio: float,
    target_ratio: float,
    bps: SizeArray,
    worth: int,
) -> None:
    """Take the decision of one row at its close; `worth` is the account's in quanta."""
    what = int(action[place])
    side = 1 if what > 0 else -1
    at_stop = at_target = 0
    if len(stop):
        at_stop = to_level(stop[place], book, at)
    elif stop_ratio > 0:
        at_stop = to_level(close[place] * (1 - side * stop_ratio), book, at)
    if len(target):
        at_target = to_level(target[place], book, at)
    elif target_ratio > 0:
        at_target = to_level(close[place] * (1 + side * target_ratio), book, at)
    at_price = to_level(price[place], book, at) if len(price) else 0
    share_bps = int(bps[place]) if len(bps) else 10_000
    decide(book, at, t, what, at_price, at_stop, at_target, share_bps, worth)


@inner
def value_of_lot(book: IntArray, at: int) -> float:
    """Return what one lot is worth at a price of 1, in account currency."""
    return (
        float(book[at + c.UNIT])
        * float(book[at + c.TICK_OVER])
        / float(book[at + c.TICK_TIMES])
        / float(book[c.QUANTA])
    )


@inner
def hold(
    t: int,
    n: int,
    payment: int,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    action: ActionArray,
    own: float,
    per_lot: float,
    book: IntArray,
    equity: FloatArray,
    sums: FloatArray,
) -> tuple[int, bool]:
    """Go on to the next row with a decision (marked), or on which the position may change (not marked: True)."""
    end = min(n, payment)
    if book[_AT + c.LAST_AGE] != 0:
        end = min(end, t + book[_AT + c.LAST_AGE] - book[_AT + c.AGE] - 1)
    start, worth, is_touched = t, book[_AT + c.HELD] * per_lot, False
    if book[_AT + c.STOP] == 0 and book[_AT + c.TARGET] == 0:
        t = hold_unprotected(t, end, open_, close, action, own, worth, equity, sums)
    else:
        below, above = watch_levels(book, _AT)
        t, is_touched = hold_protected(t, end, open_, high, low, close, action, below, above, own, worth, equity, sums)
    is_due = is_touched or t >= end
    passed = t - start if is_due else t - start + 1
    book[_AT + c.AGE] += passed
    sums[c.BARS_HELD] += passed
    return t, is_due


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
    log: IntArray,
    equity: FloatArray,
    sums: FloatArray,
    t: int,
) -> int:
    """Run one symbol through its bars; return the row before which it stopped: the end, or where the log is full.

    The caller then brings a larger log and goes on. An open trade comes last.

    Args:
        open_: Shape (n,), prices; so are `high`, `low` and `close`.
        high: Highest prices.
        low: Lowest prices.
        close: Last prices.
        action: As in `Decisions`; so are the next columns, of which empty ones are absent.
        price: Of limit and stop entries.
        stop: NaN for none.
        target: NaN for none.
        stop_ratio: Distance of the stop instead of `stop`; 0 for none.
        target_ratio: The same for the target.
        bps: Share of the usual size.
        funding: Shape (n,), rate paid by longs at the opening of each bar; empty for none.
        book: The account's head with its cash, then the symbol; changed to the state at the end.
        log: Room for trades, in rows of TRADE numbers.
        equity: Shape (n,) to be filled with the account's worth at each close, or empty.
        sums: Shape (SUMS,), with the starting cash as last equity and peak; filled.
        t: Row to begin at.
    """
    n = len(close)
    per_lot, own = value_of_lot(book, _AT), book[c.CASH] / book[c.QUANTA]
    payment = next_payment(t, n, funding)
    while t < n and book[c.STATUS] == c.STATUS_DONE:
        is_due = book[_AT + c.ENTRY_KIND] != 0 or book[_AT + c.CLOSING] != 0
        if not is_due and book[_AT + c.HELD] == 0:
            t = stay_flat(t, n, action, open_, own, equity)
        elif not is_due:
            if payment < t:
                payment = next_payment(t, n, funding)
            t, is_due = hold(t, n, payment, open_, high, low, close, action, own, per_lot, book, equity, sums)
        if t == n:
            break
        if is_due:
            if is_full(log, book[c.TRADES], 3):
                return t
            sums[c.BARS_HELD] += meet_row(book, _AT, log, 0, t, t, open_, high, low, funding)
            own = book[c.CASH] / book[c.QUANTA]
            value = own + book[_AT + c.HELD] * per_lot * close[t]
            note_equity(t, value, equity, sums)
            book[_AT + c.MARK] = to_ticks(close[t], book, _AT)
        if action[t] != 0:
            mark = to_ticks(close[t], book, _AT)
            book[_AT + c.MARK] = mark
            worth = book[c.CASH] + book[_AT + c.HELD] * mark * book[_AT + c.UNIT]
            take_row(book, _AT, t, t, close, action, price, stop, target, stop_ratio, target_ratio, bps, worth)
        t += 1
    if book[_AT + c.HELD] != 0:
        book[_AT + c.MARK] = to_ticks(close[n - 1], book, _AT)
        write_trade(book, _AT, log, 0)
    return n


@inner
def mark_account(book: IntArray, count: int, prices: FloatArray, per_lot: FloatArray) -> tuple[float, bool]:
    """Return what the account is worth at the last closes, and whether anything is held."""
    value, is_held = book[c.CASH] / book[c.QUANTA], False
    for symbol in range(count):
        held = book[c.HEAD + symbol * c.WIDTH + c.HELD]
        if held != 0:
            value += held * per_lot[symbol] * prices[symbol]
            is_held = True
    return value, is_held


@inner
def count_account(book: IntArray, count: int) -> int:
    """Return what the account is worth at the last closes in ticks, in quanta."""
    worth = int(book[c.CASH])
    for symbol in range(count):
        at = c.HEAD + symbol * c.WIDTH
        worth += book[at + c.HELD] * book[at + c.MARK] * book[at + c.UNIT]
    return worth


@inner
def write_open_trades(book: IntArray, log: IntArray, count: int) -> None:
    """Write down what is still held at the end."""
    for symbol in range(count):
        at = c.HEAD + symbol * c.WIDTH
        if book[at + c.HELD] != 0:
            write_trade(book, at, log, symbol)


def run_many(
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    action: ActionArray,
    price: FloatArray,
    stop: FloatArray,
    target: FloatArray,
    bps: SizeArray,
    funding: FloatArray,
    time: IntArray,
    order: IntArray,
    starts: IntArray,
    symbols: IntArray,
    prices: FloatArray,
    per_lot: FloatArray,
    book: IntArray,
    log: IntArray,
    equity: FloatArray,
    sums: FloatArray,
    i: int,
    moment: int,
) -> tuple[int, int]:
    """Run several symbols on one account; return the place in the order, and the moment, before which it stopped.

    As with `run_one`; trades still open come last.

    Args:
        open_: Of all symbols one after another, prices; so are `high`, `low` and `close`.
        high: Highest prices.
        low: Lowest prices.
        close: Last prices.
        action: As in `Decisions`; so are the next columns, of which empty ones are absent.
        price: Of limit and stop entries.
        stop: NaN for none.
        target: NaN for none.
        bps: Share of the usual size.
        funding: As in `run_one`.
        time: Open time of each row of the columns.
        order: The rows by time, and at one time by symbol.
        starts: Shape (symbols,), first row of each symbol.
        symbols: The symbol of each row.
        prices: Shape (symbols,), last closes, kept between calls.
        per_lot: Shape (symbols,), room for what a lot is worth.
        book: As in `run_one`, with all symbols.
        log: As in `run_one`.
        equity: One place per distinct time.
        sums: As in `run_one`.
        i: Place in the order to begin at.
        moment: The moment there.
    """
    m, count = len(order), len(starts)
    for symbol in range(count):
        per_lot[symbol] = value_of_lot(book, c.HEAD + symbol * c.WIDTH)
    while i < m and book[c.STATUS] == c.STATUS_DONE:
        if is_full(log, book[c.TRADES], 3 * count):
            return i, moment
        j, was_held = i, False
        while j < m and time[order[j]] == time[order[i]]:
            place = order[j]
            symbol = symbols[place]
            at = c.HEAD + symbol * c.WIDTH
            if book[at + c.HELD] != 0 or book[at + c.ENTRY_KIND] != 0:
                row = place - starts[symbol]
                was_held |= meet_row(book, at, log, symbol, row, place, open_, high, low, funding)
            prices[symbol] = close[place]
            book[at + c.MARK] = to_ticks(close[place], book, at)
            j += 1
        value, is_held = mark_account(book, count, prices, per_lot)
        note_equity(moment, value, equity, sums)
        sums[c.BARS_HELD] += is_held or was_held
        for k in range(i, j):
            place = order[k]
            if action[place] != 0:
                symbol = symbols[place]
                at, row = c.HEAD + symbol * c.WIDTH, place - starts[symbol]
                worth = count_account(book, count)
                take_row(book, at, row, place, close, action, price, stop, target, 0.0, 0.0, bps, worth)
        i, moment = j, moment + 1
    write_open_trades(book, log, count)
    return m, moment
