"""What one bar does to one symbol, and what a decision does: the rules of `engine.sim.matching`, compiled.

The order of events in a bar is that of the exact driver: funding at the opening, the close that was decided, the
entry that works, then the stop and the target. What nobody can know inside a bar counts as the worse.
"""

from __future__ import annotations

from math import isnan

import numpy as np

from engine.backtest.arithmetic import (
    fixed_lots,
    half_spread,
    is_too_large,
    share,
    share_half_up,
    slipped,
    to_ticks,
)
from engine.backtest.columns import (
    AGE,
    AT_OPEN_ENTRY,
    AT_OPEN_EXIT,
    BY_BALANCE,
    BY_EXIT,
    BY_MIN_NOTIONAL,
    BY_MIN_QUANTITY,
    BY_NO_STOP,
    BY_PRICE_SIDE,
    BY_PROTECTION,
    BY_QUANTITY,
    BY_REVERSE,
    BY_SHORT,
    BY_STOP,
    BY_TARGET,
    BY_TICK,
    BY_TIME,
    CASH,
    CLOSING,
    ENTRY_AGE,
    ENTRY_KIND,
    ENTRY_LOTS,
    ENTRY_PRICE,
    ENTRY_ROW,
    ENTRY_SIDE,
    ENTRY_STOP,
    ENTRY_TARGET,
    FINE,
    FUNDING_OVER,
    FUNDING_TIMES,
    HELD,
    LAST_AGE,
    LEVERAGE_OVER,
    LEVERAGE_TIMES,
    MAKER_ENTRY,
    MAKER_EXIT,
    MAKER_OVER,
    MAKER_TIMES,
    MARK,
    MAX_BARS,
    MIN_LOTS,
    MIN_VALUE,
    OPEN_DECISION,
    OPEN_FEE,
    OPEN_FLAGS,
    OPEN_FUNDING,
    OPEN_PRICE,
    OPEN_ROW,
    OPEN_STOP,
    OPEN_TARGET,
    SHORTABLE,
    SIZE_EQUITY,
    SIZE_FIXED,
    SIZE_KIND,
    SIZE_NOTIONAL,
    SIZE_OVER,
    SIZE_RISK,
    SIZE_TIMES,
    STATUS,
    STATUS_OVERFLOW,
    STOP,
    T_DECIDED,
    T_ENTERED,
    T_ENTRY,
    T_ENTRY_FEE,
    T_EXIT,
    T_EXIT_FEE,
    T_EXITED,
    T_FLAGS,
    T_FUNDING,
    T_LOTS,
    T_REASON,
    T_STOP,
    T_SYMBOL,
    T_TARGET,
    TAKER_OVER,
    TAKER_TIMES,
    TARGET,
    TRADES,
    UNIT,
    VALID_BARS,
)
from engine.backtest.compiled import inner

MARKET, LIMIT, STOP_ENTRY, PROTECT, EXIT = 1, 2, 3, 4, 5


@inner
def fee(lots, ticks, is_maker, rule):
    """Return the fee of a fill, in 1e-8 of account currency."""
    if is_maker:
        return share_half_up(lots * ticks, rule[MAKER_TIMES], rule[MAKER_OVER])
    return share_half_up(lots * ticks, rule[TAKER_TIMES], rule[TAKER_OVER])


@inner
def pay_funding(state, rule, account, money, ticks, rate):
    """Charge (or credit) what is held with one funding payment; `rate` in 1e-8 of its value."""
    amount = share_half_up(abs(state[HELD]) * ticks, abs(rate) * rule[FUNDING_TIMES], rule[FUNDING_OVER])
    if (rate > 0) != (state[HELD] > 0):
        amount = -amount
    state[OPEN_FUNDING] += amount
    account[CASH] -= amount * money[FINE]


@inner
def close_position(state, rule, account, money, trades, symbol, row, ticks, is_maker, is_at_open, reason):
    """Fill the close of what is held and write the trade down."""
    held = state[HELD]
    charged = fee(abs(held), ticks, is_maker, rule)
    account[CASH] += held * ticks * rule[UNIT] - charged * money[FINE]
    trade = trades[account[TRADES]]
    account[TRADES] += 1
    write_trade(state, trade, symbol)
    trade[T_EXITED] = row
    trade[T_EXIT] = ticks
    trade[T_EXIT_FEE] = charged
    trade[T_REASON] = reason
    trade[T_FLAGS] |= AT_OPEN_EXIT * is_at_open | MAKER_EXIT * is_maker
    state[HELD] = 0
    state[CLOSING] = 0
    state[STOP] = 0
    state[TARGET] = 0


@inner
def write_trade(state, trade, symbol):
    """Write down what is known of the open trade."""
    trade[T_SYMBOL] = symbol
    trade[T_LOTS] = state[HELD]
    trade[T_DECIDED] = state[OPEN_DECISION]
    trade[T_ENTERED] = state[OPEN_ROW]
    trade[T_EXITED] = -1
    trade[T_ENTRY] = state[OPEN_PRICE]
    trade[T_EXIT] = state[MARK]
    trade[T_ENTRY_FEE] = state[OPEN_FEE]
    trade[T_EXIT_FEE] = 0
    trade[T_FUNDING] = state[OPEN_FUNDING]
    trade[T_REASON] = 0
    trade[T_FLAGS] = state[OPEN_FLAGS]
    trade[T_STOP] = state[OPEN_STOP]
    trade[T_TARGET] = state[OPEN_TARGET]


@inner
def open_position(state, rule, account, money, row, ticks, is_maker, is_at_open):
    """Fill the entry that works, unless cash cannot pay for it; return whether it filled."""
    lots, side = state[ENTRY_LOTS], state[ENTRY_SIDE]
    charged = fee(lots, ticks, is_maker, rule)
    paid = lots * ticks * rule[UNIT] * side + charged * money[FINE]
    state[ENTRY_KIND] = 0
    if not rule[SHORTABLE] and paid > account[CASH]:
        account[BY_BALANCE] += 1
        return False
    account[CASH] -= paid
    state[HELD] = lots * side
    state[STOP] = state[OPEN_STOP] = state[ENTRY_STOP]
    state[TARGET] = state[OPEN_TARGET] = state[ENTRY_TARGET]
    state[AGE] = 0
    state[LAST_AGE] = rule[MAX_BARS]
    state[OPEN_DECISION] = state[ENTRY_ROW]
    state[OPEN_ROW] = row
    state[OPEN_PRICE] = ticks
    state[OPEN_FEE] = charged
    state[OPEN_FUNDING] = 0
    state[OPEN_FLAGS] = AT_OPEN_ENTRY * is_at_open | MAKER_ENTRY * is_maker
    return True


@inner
def find_refusal(state, rule, touch):
    """Return the counter of the first rule of the venue that a new entry breaks at the opening quote, or 0."""
    side, price = state[ENTRY_SIDE], state[ENTRY_PRICE]
    if state[ENTRY_LOTS] < rule[MIN_LOTS]:
        return BY_MIN_QUANTITY
    meets = touch if state[ENTRY_KIND] == MARKET else price
    if state[ENTRY_LOTS] * meets * rule[UNIT] < rule[MIN_VALUE]:
        return BY_MIN_NOTIONAL
    if state[ENTRY_KIND] == STOP_ENTRY and (touch - price) * side >= 0:
        return BY_PRICE_SIDE
    if state[ENTRY_STOP] != 0 and (meets - state[ENTRY_STOP]) * side <= 0:
        return BY_PROTECTION
    if state[ENTRY_TARGET] != 0 and (state[ENTRY_TARGET] - meets) * side <= 0:
        return BY_PROTECTION
    return 0


@inner
def meet_entry(state, rule, account, money, row, first, high, low, half):
    """Match the entry that works against a bar; return whether it filled inside the bar (after its opening).

    A new entry meets the opening quote first, as it would on arrival; an older one has stood since before it.
    """
    side, kind, price = state[ENTRY_SIDE], state[ENTRY_KIND], state[ENTRY_PRICE]
    touch = first + half * side
    is_new = state[ENTRY_AGE] == 0
    state[ENTRY_AGE] += 1
    if is_new:
        refusal = find_refusal(state, rule, touch)
        if refusal:
            account[refusal] += 1
            state[ENTRY_KIND] = 0
            return False
    if kind == MARKET:
        open_position(state, rule, account, money, row, slipped(touch, side, rule), False, True)
        return False
    if kind == LIMIT:
        best = (low if side > 0 else high) + half * side
        if (touch - price) * side <= 0:
            open_position(state, rule, account, money, row, touch, not is_new, True)
        elif (best - price) * side <= 0:
            return open_position(state, rule, account, money, row, price, True, False)
        return False
    worst = (high if side > 0 else low) + half * side
    if (worst - price) * side < 0:
        return False
    is_gap = (touch - price) * side >= 0
    filled = open_position(
        state, rule, account, money, row, slipped(touch if is_gap else price, side, rule), False, is_gap
    )
    return filled and not is_gap


@inner
def meet_protection(state, rule, account, money, trades, symbol, row, first, high, low, half, is_inside):
    """Match stop and target against a bar: a target gapped through counts first, then the stop, then the target."""
    out = -1 if state[HELD] > 0 else 1
    stop, target = state[STOP], state[TARGET]
    touch = first + half * out
    if target != 0 and not is_inside and (touch - target) * out <= 0:
        close_position(state, rule, account, money, trades, symbol, row, touch, True, True, BY_TARGET)
        return
    if stop != 0:
        worst = (low if out < 0 else high) + half * out
        if (worst - stop) * out >= 0:
            is_gap = not is_inside and (touch - stop) * out >= 0
            ticks = slipped(touch if is_gap else stop, out, rule)
            close_position(state, rule, account, money, trades, symbol, row, ticks, False, is_gap, BY_STOP)
            return
    if target != 0 and not is_inside:
        best = (high if out < 0 else low) + half * out
        if (best - target) * out <= 0:
            close_position(state, rule, account, money, trades, symbol, row, target, True, False, BY_TARGET)


@inner
def meet_bar(state, rule, account, money, trades, symbol, row, first, high, low, rate):
    """Let one bar happen to one symbol: prices in ticks, `rate` of funding at its opening in 1e-8."""
    half = half_spread(first, rule)
    if rate != 0 and state[HELD] != 0:
        pay_funding(state, rule, account, money, first, rate)
    if state[CLOSING] != 0:
        out = -1 if state[HELD] > 0 else 1
        ticks = slipped(first + half * out, out, rule)
        close_position(state, rule, account, money, trades, symbol, row, ticks, False, True, state[CLOSING])
    is_inside = False
    if state[ENTRY_KIND] != 0:
        is_inside = meet_entry(state, rule, account, money, row, first, high, low, half)
    if state[STOP] != 0 or state[TARGET] != 0:
        meet_protection(state, rule, account, money, trades, symbol, row, first, high, low, half, is_inside)
    if state[HELD] != 0:
        state[AGE] += 1
        if state[LAST_AGE] != 0 and state[AGE] >= state[LAST_AGE]:
            state[CLOSING] = BY_TIME
    if state[ENTRY_KIND] != 0 and rule[VALID_BARS] != 0 and state[ENTRY_AGE] >= rule[VALID_BARS]:
        state[ENTRY_KIND] = 0


@inner
def size(kind_price, stop, bps, equity, rule, money, account):
    """Return the lots of a new entry; 0 when there is nothing to trade with, with its counter raised."""
    kind = money[SIZE_KIND]
    if kind == SIZE_FIXED:
        lots = fixed_lots(bps, rule)
    else:
        base = (
            money[SIZE_TIMES]
            if kind == SIZE_NOTIONAL
            else share(max(equity, 0) // money[FINE], money[SIZE_TIMES], money[SIZE_OVER])
        )
        budget = share(base, bps, 10_000)
        per_lot = kind_price
        if kind == SIZE_RISK:
            if stop == 0:
                account[BY_NO_STOP] += 1
                return 0
            per_lot = abs(kind_price - stop)
        lots = budget * money[FINE] // max(per_lot * rule[UNIT], 1)
    most = share(max(equity, 0) // money[FINE], money[LEVERAGE_TIMES], money[LEVERAGE_OVER])
    lots = min(lots, most * money[FINE] // (kind_price * rule[UNIT]))
    if lots <= 0:
        account[BY_QUANTITY] += 1
        return 0
    if is_too_large(lots * 64, kind_price, rule[UNIT]):
        account[STATUS] = STATUS_OVERFLOW
        return 0
    return lots


@inner
def decide(state, rule, account, money, row, action, price, stop, target, bps, equity):
    """Take a decision at a bar's close; prices in ticks, 0 for none, `equity` in quanta."""
    if action == EXIT:
        state[ENTRY_KIND] = 0
        if state[HELD] != 0:
            state[CLOSING] = BY_EXIT
        return
    if action == PROTECT:
        if state[HELD] != 0:
            state[STOP] = stop
            state[TARGET] = target
        return
    side = 1 if action > 0 else -1
    if state[HELD] * side > 0 and state[CLOSING] == 0:
        return
    if state[HELD] * side < 0:
        state[CLOSING] = BY_REVERSE
    state[ENTRY_KIND] = 0
    if side < 0 and not rule[SHORTABLE]:
        account[BY_SHORT] += 1
        return
    kind = abs(action)
    meets = state[MARK] if kind == MARKET else price
    if meets <= 0 or stop < 0 or target < 0:
        account[BY_TICK] += 1
        return
    lots = size(meets, stop, bps, equity, rule, money, account)
    if lots == 0:
        return
    state[ENTRY_KIND] = kind
    state[ENTRY_SIDE] = side
    state[ENTRY_LOTS] = lots
    state[ENTRY_PRICE] = price
    state[ENTRY_STOP] = stop
    state[ENTRY_TARGET] = target
    state[ENTRY_AGE] = 0
    state[ENTRY_ROW] = row
