"""Where each number lies in the arrays that the compiled code works on; all of them 64-bit integers.

Prices are counted in ticks, quantities in lots and money in quanta, so that every sum is exact.
"""

from __future__ import annotations

# The account, at the head of the book.
CASH, TRADES, STATUS = 0, 1, 2
REFUSED = 3  # and on: one counter per code of REFUSALS
REFUSALS = (
    "quantity",
    "min_quantity",
    "min_notional",
    "price_side",
    "protection_side",
    "not_shortable",
    "insufficient_balance",
    "risk_without_stop",
    "tick",
)
BY_QUANTITY, BY_MIN_QUANTITY, BY_MIN_NOTIONAL, BY_PRICE_SIDE, BY_PROTECTION = 3, 4, 5, 6, 7
BY_SHORT, BY_BALANCE, BY_NO_STOP, BY_TICK = 8, 9, 10, 11
SIZE_KIND, SIZE_TIMES, SIZE_OVER = 12, 13, 14
LEVERAGE_TIMES, LEVERAGE_OVER = 15, 16
FINE, QUANTA = 17, 18  # quanta in 1e-8 and in 1 of account currency
HEAD = 19
SIZE_FIXED, SIZE_NOTIONAL, SIZE_EQUITY, SIZE_RISK = 0, 1, 2, 3
STATUS_DONE, STATUS_OVERFLOW = 0, 1

# One symbol, counted from its place in the book; first its rules.
TICK_TIMES, TICK_OVER = 0, 1  # price = ticks * TIMES / OVER
UNIT = 2  # quanta that one lot is worth at one tick
TAKER_TIMES, TAKER_OVER, MAKER_TIMES, MAKER_OVER = 3, 4, 5, 6  # fee in 1e-8 = ticks * lots * TIMES / OVER
FUNDING_TIMES, FUNDING_OVER = 7, 8  # funding in 1e-8 = ticks * lots * rate in 1e-8 * TIMES / OVER
SPREAD_TIMES, SPREAD_OVER = 9, 10  # half the spread in ticks = ceil(ticks * TIMES / OVER)
SLIP_TIMES, SLIP_OVER = 11, 12  # slippage as a fraction
MIN_LOTS, MIN_VALUE, SHORTABLE = 13, 14, 15  # smallest order in lots and in quanta; 1 or 0
FIXED_TIMES, FIXED_OVER = 16, 17  # the fixed quantity in lots
VALID_BARS, MAX_BARS = 18, 19
RULES = 20

# Then its state.
HELD = 20  # signed lots
STOP, TARGET = 21, 22  # ticks of what protects the position; 0 for none
AGE, LAST_AGE = 23, 24  # bars that the position lasted, and may last (0: no end)
CLOSING = 25  # why it closes at the next opening; 0 when it does not
ENTRY_KIND, ENTRY_SIDE, ENTRY_LOTS, ENTRY_PRICE, ENTRY_STOP, ENTRY_TARGET = 26, 27, 28, 29, 30, 31
ENTRY_AGE, ENTRY_ROW = 32, 33  # bars that the entry has met; row of its decision
OPEN_DECISION, OPEN_ROW, OPEN_PRICE, OPEN_FEE, OPEN_FLAGS, OPEN_FUNDING = 34, 35, 36, 37, 38, 39
OPEN_STOP, OPEN_TARGET = 40, 41
MARK = 42  # last close in ticks
WIDTH = 43

# One trade. Rows are those of the symbol's bars; fees and funding in 1e-8 of account currency.
T_SYMBOL, T_LOTS, T_DECIDED, T_ENTERED, T_EXITED, T_ENTRY, T_EXIT = 0, 1, 2, 3, 4, 5, 6
T_ENTRY_FEE, T_EXIT_FEE, T_FUNDING, T_REASON, T_FLAGS, T_STOP, T_TARGET = 7, 8, 9, 10, 11, 12, 13
TRADE = 14
AT_OPEN_ENTRY, MAKER_ENTRY, AT_OPEN_EXIT, MAKER_EXIT = 1, 2, 4, 8
REASONS = ("open", "stop", "target", "exit", "reverse", "time")
OPEN, BY_STOP, BY_TARGET, BY_EXIT, BY_REVERSE, BY_TIME = 0, 1, 2, 3, 4, 5

# Sums of a run, in float64.
SUM_RETURN, SUM_SQUARE, PEAK, DRAWDOWN, LAST, BARS_HELD = 0, 1, 2, 3, 4, 5
SUMS = 6

LIMIT_QUANTA = 4e18
"""Largest amount that is counted, with room below 2**63."""
