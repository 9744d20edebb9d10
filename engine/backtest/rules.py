"""What one bar does to one symbol, and what a decision does: the rules of `engine.sim.matching`, compiled.

The order of events in a bar is that of the exact driver: funding at the opening, the close that was decided, the
entry that works, then the stop and the target. What nobody can know inside a bar counts as the worse.

`book` holds account, rules and state, `at` is the place of the symbol in it, `log` takes the trades.
"""

from __future__ import annotations

from engine.backtest import columns as c
from engine.backtest.arithmetic import (
    fee,
    fixed_lots,
    is_too_large,
    quotient,
    share,
    share_half_up,
    slipped,
)
from engine.backtest.compiled import inner
from engine.domain.market import IntArray

MARKET, LIMIT, STOP_ENTRY, PROTECT, EXIT = 1, 2, 3, 4, 5


@inner
def pay_funding(book: IntArray, at: int, ticks: int, rate: int) -> None:
    """Charge (or credit) what is held with one funding payment; `rate` in 1e-8 of its value."""
    held = book[at + c.HELD]
    times = abs(rate) * book[at + c.FUNDING_TIMES]
    amount = share_half_up(abs(held) * ticks, times, book[at + c.FUNDING_OVER])
    if (rate > 0) != (held > 0):
        amount = -amount
    book[at + c.OPEN_FUNDING] += amount
    book[c.CASH] -= amount * book[c.FINE]


@inner
def write_trade(book: IntArray, at: int, log: IntArray, symbol: int) -> int:
    """Write down what is known of the open trade; return its place in the log."""
    row = int(book[c.TRADES]) * c.TRADE
    log[row + c.T_SYMBOL] = symbol
    log[row + c.T_LOTS] = book[at + c.HELD]
    log[row + c.T_DECIDED] = book[at + c.OPEN_DECISION]
    log[row + c.T_ENTERED] = book[at + c.OPEN_ROW]
    log[row + c.T_EXITED] = -1
    log[row + c.T_ENTRY] = book[at + c.OPEN_PRICE]
    log[row + c.T_EXIT] = book[at + c.MARK]
    log[row + c.T_ENTRY_FEE] = book[at + c.OPEN_FEE]
    log[row + c.T_EXIT_FEE] = 0
    log[row + c.T_FUNDING] = book[at + c.OPEN_FUNDING]
    log[row + c.T_REASON] = c.OPEN
    log[row + c.T_FLAGS] = book[at + c.OPEN_FLAGS]
    log[row + c.T_STOP] = book[at + c.OPEN_STOP]
    log[row + c.T_TARGET] = book[at + c.OPEN_TARGET]
    book[c.TRADES] += 1
    return row


@inner
def close_position(
    book: IntArray, at: int, log: IntArray, symbol: int, t: int, ticks: int, flags: int, reason: int
) -> None:
    """Fill the close of what is held and write the trade down."""
    held = book[at + c.HELD]
    charged = fee(abs(held), ticks, flags & c.MAKER_EXIT != 0, book, at)
    book[c.CASH] += held * ticks * book[at + c.UNIT] - charged * book[c.FINE]
    row = write_trade(book, at, log, symbol)
    log[row + c.T_EXITED] = t
    log[row + c.T_EXIT] = ticks
    log[row + c.T_EXIT_FEE] = charged
    log[row + c.T_REASON] = reason
    log[row + c.T_FLAGS] |= flags
    book[at + c.HELD] = 0
    book[at + c.CLOSING] = 0
    book[at + c.STOP] = 0
    book[at + c.TARGET] = 0


@inner
def open_position(book: IntArray, at: int, t: int, ticks: int, flags: int) -> bool:
    """Fill the entry that works, unless cash cannot pay for it; return whether it filled."""
    lots, side = book[at + c.ENTRY_LOTS], book[at + c.ENTRY_SIDE]
    charged = fee(lots, ticks, flags & c.MAKER_ENTRY != 0, book, at)
    paid = lots * ticks * book[at + c.UNIT] * side + charged * book[c.FINE]
    book[at + c.ENTRY_KIND] = 0
    if not book[at + c.SHORTABLE] and paid > book[c.CASH]:
        book[c.BY_BALANCE] += 1
        return False
    book[c.CASH] -= paid
    book[at + c.HELD] = lots * side
    book[at + c.STOP] = book[at + c.OPEN_STOP] = book[at + c.ENTRY_STOP]
    book[at + c.TARGET] = book[at + c.OPEN_TARGET] = book[at + c.ENTRY_TARGET]
    book[at + c.AGE] = 0
    book[at + c.LAST_AGE] = book[at + c.MAX_BARS]
    book[at + c.OPEN_DECISION] = book[at + c.ENTRY_ROW]
    book[at + c.OPEN_ROW] = t
    book[at + c.OPEN_PRICE] = ticks
    book[at + c.OPEN_FEE] = charged
    book[at + c.OPEN_FUNDING] = 0
    book[at + c.OPEN_FLAGS] = flags
    return True


@inner
def find_refusal(book: IntArray, at: int, touch: int) -> int:
    """Return the counter of the first rule of the venue that a new entry breaks at the opening quote, or 0."""
    side, price, kind = book[at + c.ENTRY_SIDE], book[at + c.ENTRY_PRICE], book[at + c.ENTRY_KIND]
    if book[at + c.ENTRY_LOTS] < book[at + c.MIN_LOTS]:
        return c.BY_MIN_QUANTITY
    meets = touch if kind == MARKET else price
    if book[at + c.ENTRY_LOTS] * meets * book[at + c.UNIT] < book[at + c.MIN_VALUE]:
        return c.BY_MIN_NOTIONAL
    if kind == STOP_ENTRY and (touch - price) * side >= 0:
        return c.BY_PRICE_SIDE
    stop, target = book[at + c.ENTRY_STOP], book[at + c.ENTRY_TARGET]
    if (stop != 0 and (meets - stop) * side <= 0) or (target != 0 and (target - meets) * side <= 0):
        return c.BY_PROTECTION
    return 0


@inner
def meet_opening(book: IntArray, at: int, log: IntArray, symbol: int, t: int, first: int, half: int) -> None:
    """Let a bar's opening happen: the close that was decided, and a new entry's arrival at the venue."""
    if book[at + c.CLOSING] != 0:
        out = -1 if book[at + c.HELD] > 0 else 1
        ticks = slipped(first + half * out, out, book, at)
        close_position(book, at, log, symbol, t, ticks, c.AT_OPEN_EXIT, book[at + c.CLOSING])
    if book[at + c.ENTRY_KIND] == 0 or book[at + c.ENTRY_AGE] != 0:
        return
    side = book[at + c.ENTRY_SIDE]
    touch = first + half * side
    refusal = find_refusal(book, at, touch)
    if refusal:
        book[refusal] += 1
        book[at + c.ENTRY_KIND] = 0
    elif book[at + c.ENTRY_KIND] == MARKET:
        open_position(book, at, t, slipped(touch, side, book, at), c.AT_OPEN_ENTRY)
    elif book[at + c.ENTRY_KIND] == LIMIT and (touch - book[at + c.ENTRY_PRICE]) * side <= 0:
        open_position(book, at, t, touch, c.AT_OPEN_ENTRY)


@inner
def meet_entry(book: IntArray, at: int, t: int, first: int, high: int, low: int, half: int) -> bool:
    """Match the limit or stop entry that works against a bar; return whether it filled after the opening."""
    side, price = book[at + c.ENTRY_SIDE], book[at + c.ENTRY_PRICE]
    touch = first + half * side
    book[at + c.ENTRY_AGE] += 1
    if book[at + c.ENTRY_KIND] == LIMIT:
        best = (low if side > 0 else high) + half * side
        if (touch - price) * side <= 0:
            open_position(book, at, t, touch, c.AT_OPEN_ENTRY | c.MAKER_ENTRY)
        elif (best - price) * side <= 0:
            return open_position(book, at, t, price, c.MAKER_ENTRY)
        return False
    worst = (high if side > 0 else low) + half * side
    if (worst - price) * side < 0:
        return False
    if (touch - price) * side >= 0:
        open_position(book, at, t, slipped(touch, side, book, at), c.AT_OPEN_ENTRY)
        return False
    return open_position(book, at, t, slipped(price, side, book, at), 0)


@inner
def meet_protection(
    book: IntArray,
    at: int,
    log: IntArray,
    symbol: int,
    t: int,
    first: int,
    high: int,
    low: int,
    half: int,
    is_inside: bool,
) -> None:
    """Match stop and target against a bar: a target gapped through counts first, then the stop, then the target."""
    out = -1 if book[at + c.HELD] > 0 else 1
    stop, target = book[at + c.STOP], book[at + c.TARGET]
    touch = first + half * out
    is_target = target != 0 and not is_inside
    if is_target and (touch - target) * out <= 0:
        close_position(book, at, log, symbol, t, touch, c.AT_OPEN_EXIT | c.MAKER_EXIT, c.BY_TARGET)
        return
    worst = (low if out < 0 else high) + half * out
    if stop != 0 and (worst - stop) * out >= 0:
        is_gap = not is_inside and (touch - stop) * out >= 0
        ticks = slipped(touch if is_gap else stop, out, book, at)
        close_position(book, at, log, symbol, t, ticks, c.AT_OPEN_EXIT if is_gap else 0, c.BY_STOP)
        return
    best = (high if out < 0 else low) + half * out
    if is_target and (best - target) * out <= 0:
        close_position(book, at, log, symbol, t, target, c.MAKER_EXIT, c.BY_TARGET)


@inner
def meet_range(
    book: IntArray, at: int, log: IntArray, symbol: int, t: int, first: int, high: int, low: int, half: int
) -> None:
    """Let what comes after a bar's opening happen to the entry that works and to what protects the position."""
    is_inside = False
    if book[at + c.ENTRY_KIND] != 0:
        is_inside = meet_entry(book, at, t, first, high, low, half)
    if book[at + c.STOP] != 0 or book[at + c.TARGET] != 0:
        meet_protection(book, at, log, symbol, t, first, high, low, half, is_inside)


@inner
def grow_older(book: IntArray, at: int) -> None:
    """Count the bar for the position and for the entry that waits."""
    if book[at + c.HELD] != 0:
        book[at + c.AGE] += 1
        if book[at + c.LAST_AGE] != 0 and book[at + c.AGE] >= book[at + c.LAST_AGE]:
            book[at + c.CLOSING] = c.BY_TIME
    if 0 < book[at + c.VALID_BARS] <= book[at + c.ENTRY_AGE]:
        book[at + c.ENTRY_KIND] = 0


@inner
def size_entry(book: IntArray, at: int, price: int, stop: int, bps: int, equity: int) -> int:
    """Return the lots of a new entry; 0 when there is nothing to trade with, with its counter raised."""
    kind, unit, fine = book[c.SIZE_KIND], book[at + c.UNIT], book[c.FINE]
    worth = share(max(equity, 0), 1, fine)
    if kind == c.SIZE_FIXED:
        lots = fixed_lots(bps, book, at)
    else:
        base = book[c.SIZE_TIMES]
        if kind != c.SIZE_NOTIONAL:
            base = share(worth, book[c.SIZE_TIMES], book[c.SIZE_OVER])
        per_lot = price
        if kind == c.SIZE_RISK:
            if stop == 0:
                book[c.BY_NO_STOP] += 1
                return 0
            per_lot = max(abs(price - stop), 1)
        lots = quotient(share(base, bps, 10_000) * fine, per_lot * unit)
    most = quotient(share(worth, book[c.LEVERAGE_TIMES], book[c.LEVERAGE_OVER]) * fine, price * unit)
    lots = min(lots, most)
    if lots <= 0:
        book[c.BY_QUANTITY] += 1
        return 0
    if is_too_large(lots * 64, price, unit):
        book[c.STATUS] = c.STATUS_OVERFLOW
        return 0
    return lots


@inner
def place_entry(
    book: IntArray, at: int, t: int, kind: int, side: int, price: int, stop: int, target: int, bps: int, equity: int
) -> None:
    """Size an entry and let it work from the next bar on."""
    if side < 0 and not book[at + c.SHORTABLE]:
        book[c.BY_SHORT] += 1
        return
    meets = book[at + c.MARK] if kind == MARKET else price
    if meets <= 0 or stop < 0 or target < 0:
        book[c.BY_TICK] += 1
        return
    lots = size_entry(book, at, meets, stop, bps, equity)
    if lots == 0:
        return
    book[at + c.ENTRY_KIND] = kind
    book[at + c.ENTRY_SIDE] = side
    book[at + c.ENTRY_LOTS] = lots
    book[at + c.ENTRY_PRICE] = price
    book[at + c.ENTRY_STOP] = stop
    book[at + c.ENTRY_TARGET] = target
    book[at + c.ENTRY_AGE] = 0
    book[at + c.ENTRY_ROW] = t


@inner
def decide(
    book: IntArray, at: int, t: int, action: int, price: int, stop: int, target: int, bps: int, equity: int
) -> None:
    """Take a decision at a bar's close; prices in ticks, 0 for none, `equity` in quanta."""
    held = book[at + c.HELD]
    if action == EXIT:
        book[at + c.ENTRY_KIND] = 0
        if held != 0:
            book[at + c.CLOSING] = c.BY_EXIT
        return
    if action == PROTECT:
        if stop < 0 or target < 0:
            book[c.BY_TICK] += 1
        elif held != 0:
            book[at + c.STOP] = stop
            book[at + c.TARGET] = target
        return
    side = 1 if action > 0 else -1
    if held * side > 0 and book[at + c.CLOSING] == 0:
        return
    if held * side < 0:
        book[at + c.CLOSING] = c.BY_REVERSE
    book[at + c.ENTRY_KIND] = 0
    place_entry(book, at, t, abs(action), side, price, stop, target, bps, equity)
