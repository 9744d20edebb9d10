"""The compiled backtest: one pass over one symbol's bars, or over several symbols on one account.

The pass over one symbol runs through stretches: where nothing is held and nothing waits it looks for the next
decision only; where something is held it looks at each bar for a decision, a stop or a target that may be reached,
and marks the account. Any bar on which something may happen goes through the exact rules in `rules`.
"""

from __future__ import annotations

import numpy as np

from engine.backtest.arithmetic import half_spread, to_ticks
from engine.backtest.columns import (
    ACCOUNT,
    AGE,
    BARS_HELD,
    CASH,
    CLOSING,
    DRAWDOWN,
    ENTRY_KIND,
    HELD,
    LAST,
    LAST_AGE,
    MARK,
    PEAK,
    QUANTA,
    STATE,
    STATUS,
    STATUS_DONE,
    STOP,
    SUM_RETURN,
    SUM_SQUARE,
    TARGET,
    TICK_OVER,
    TICK_TIMES,
    TRADE,
    TRADES,
    UNIT,
)
from engine.backtest.compiled import inner
from engine.backtest.rules import decide, meet_bar, write_trade

RATE_SCALE = 1e8
_FIRST_TRADES = 1024


@inner
def to_level(price, rule):
    """Return a decided price in ticks: 0 for none (NaN), -1 for one that is not above 0."""
    ticks = to_ticks(price, rule)
    return -1 if ticks <= 0 and not np.isnan(price) else ticks


@inner
def take_decision(
    t, close, action, price, stop, target, stop_ratio, target_ratio, bps, equity, state, rule, account, money
):
    """Read one row of decisions and take it."""
    what = action[t]
    side = 1 if what > 0 else -1
    at_price = to_level(price[t], rule) if len(price) else 0
    at_stop = at_target = 0
    if len(stop):
        at_stop = to_level(stop[t], rule)
    elif stop_ratio > 0:
        at_stop = to_level(close[t] * (1 - side * stop_ratio), rule)
    if len(target):
        at_target = to_level(target[t], rule)
    elif target_ratio > 0:
        at_target = to_level(close[t] * (1 + side * target_ratio), rule)
    share_bps = np.int64(bps[t]) if len(bps) else np.int64(10_000)
    decide(state, rule, account, money, t, np.int64(what), at_price, at_stop, at_target, share_bps, equity)


@inner
def with_room(trades, used):
    """Return the trades with room for two more."""
    if used + 2 < len(trades):
        return trades
    larger = np.empty((2 * len(trades), TRADE), np.int64)
    larger[:used] = trades[:used]
    return larger


@inner
def note_equity(value, sums):
    """Add one bar's equity to the sums."""
    change = value / sums[LAST] - 1
    sums[SUM_RETURN] += change
    sums[SUM_SQUARE] += change * change
    sums[LAST] = value
    if value > sums[PEAK]:
        sums[PEAK] = value
    elif 1 - value / sums[PEAK] > sums[DRAWDOWN]:
        sums[DRAWDOWN] = 1 - value / sums[PEAK]


@inner
def watch_levels(state, rule):
    """Return the prices (low, high) beyond which a bar may touch stop or target: never too late, at times early."""
    size = rule[TICK_TIMES] / rule[TICK_OVER]
    low, high = -np.inf, np.inf
    stop, target = state[STOP], state[TARGET]
    if state[HELD] > 0:
        if stop != 0:
            # Without a target the spread is bounded up to twice the mark; a bar that goes there is looked at.
            top = target if target != 0 else 2 * max(state[MARK], stop)
            low, high = (stop + half_spread(top, rule) + 1) * size, (top - 1) * size
        elif target != 0:
            high = (target - 1) * size
    else:
        if stop != 0:
            high = (stop - half_spread(stop, rule) - 1) * size
        if target != 0:
            low = (target + 1) * size
    return low, high


@inner
def hold_unprotected(t, end, close, action, cash, worth, equity, sums):
    """Mark a position that nothing but a decision ends; return the row of the next decision, or the end."""
    last, peak, deepest = sums[LAST], sums[PEAK], sums[DRAWDOWN]
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
    sums[LAST], sums[PEAK], sums[DRAWDOWN] = last, peak, deepest
    sums[SUM_RETURN] += total
    sums[SUM_SQUARE] += squares
    return t


@inner
def hold_protected(t, end, high, low, close, action, below, above, cash, worth, equity, sums):
    """Mark a protected position; return the first row that may end it (not marked), and whether it is one."""
    last, peak, deepest = sums[LAST], sums[PEAK], sums[DRAWDOWN]
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
    sums[LAST], sums[PEAK], sums[DRAWDOWN] = last, peak, deepest
    sums[SUM_RETURN] += total
    sums[SUM_SQUARE] += squares
    return t, is_touched


@inner
def next_decision(t, n, action):
    """Return the row of the first decision from `t` on, or n."""
    while t + 8 <= n:
        if (
            action[t]
            | action[t + 1]
            | action[t + 2]
            | action[t + 3]
            | action[t + 4]
            | action[t + 5]
            | action[t + 6]
            | action[t + 7]
        ):
            break
        t += 8
    while t < n and action[t] == 0:
        t += 1
    return t


@inner
def next_payment(t, n, funding):
    """Return the row of the first funding payment from `t` on, or n."""
    if len(funding) == 0:
        return n
    while t < n and funding[t] == 0.0:
        t += 1
    return t


def run_one(
    open_,
    high,
    low,
    close,
    action,
    price,
    stop,
    target,
    stop_ratio,
    target_ratio,
    bps,
    funding,
    rule,
    money,
    cash,
    equity,
    sums,
):
    """Run one symbol through its bars.

    Args:
        open_, high, low, close: Shape (n,), prices.
        action, price, stop, target, bps: Columns of `Decisions`; empty ones are absent.
        funding: Shape (n,), rate paid by longs at the opening of each bar; empty for none.
        rule, money: One row of rules, and those of the account.
        cash: Starting cash in quanta.
        equity: Shape (n,) to be filled with the account's worth at each close, or empty.
        sums: Shape (SUMS,), filled.

    Returns:
        Trades, an open one last, and the account's state.
    """
    n = len(close)
    state = np.zeros(STATE, np.int64)
    account = np.zeros(ACCOUNT, np.int64)
    account[CASH] = cash
    trades = np.empty((_FIRST_TRADES, TRADE), np.int64)
    quanta = float(money[QUANTA])
    unit_price = float(rule[UNIT]) * rule[TICK_OVER] / rule[TICK_TIMES] / quanta
    sums[:] = 0.0
    sums[LAST] = sums[PEAK] = cash / quanta
    stores = len(equity) > 0
    payment = next_payment(0, n, funding)
    t = 0
    while t < n:
        is_busy = state[ENTRY_KIND] != 0 or state[CLOSING] != 0
        if state[HELD] == 0 and not is_busy:
            upto = next_decision(t, n, action)
            if stores:
                equity[t : min(upto + 1, n)] = account[CASH] / quanta
            if upto == n:
                break
            t = upto
            note_equity(account[CASH] / quanta, sums)
        else:
            is_due = is_busy
            if not is_busy:
                if payment < t:
                    payment = next_payment(t, n, funding)
                end = min(n, payment)
                if state[LAST_AGE] != 0:
                    end = min(end, t + state[LAST_AGE] - state[AGE] - 1)
                start = t
                own, worth = account[CASH] / quanta, state[HELD] * unit_price
                if state[STOP] == 0 and state[TARGET] == 0:
                    t = hold_unprotected(t, end, close, action, own, worth, equity, sums)
                    is_due = t >= end
                else:
                    below, above = watch_levels(state, rule)
                    t, is_due = hold_protected(t, end, high, low, close, action, below, above, own, worth, equity, sums)
                    is_due |= t >= end
                held = t - start + (0 if is_due else 1)
                state[AGE] += held
                sums[BARS_HELD] += held
                if t == n:
                    break
            if is_due:
                trades = with_room(trades, account[TRADES])
                rate = np.int64(np.rint(funding[t] * RATE_SCALE)) if len(funding) else np.int64(0)
                was_held = state[HELD] != 0
                used = account[TRADES]
                meet_bar(
                    state,
                    rule,
                    account,
                    money,
                    trades,
                    0,
                    t,
                    to_ticks(open_[t], rule),
                    to_ticks(high[t], rule),
                    to_ticks(low[t], rule),
                    rate,
                )
                if was_held or state[HELD] != 0 or account[TRADES] != used:
                    sums[BARS_HELD] += 1
                value = account[CASH] / quanta + state[HELD] * unit_price * close[t]
                note_equity(value, sums)
                if stores:
                    equity[t] = value
        state[MARK] = to_ticks(close[t], rule)
        if action[t] != 0:
            worth_now = account[CASH] + state[HELD] * state[MARK] * rule[UNIT]
            take_decision(
                t,
                close,
                action,
                price,
                stop,
                target,
                stop_ratio,
                target_ratio,
                bps,
                worth_now,
                state,
                rule,
                account,
                money,
            )
            if account[STATUS] != STATUS_DONE:
                break
        t += 1
    if state[HELD] != 0 and n > 0:
        state[MARK] = to_ticks(close[n - 1], rule)
        write_trade(state, trades[account[TRADES]], 0)
        return trades[: account[TRADES] + 1], account
    return trades[: account[TRADES]], account
