"""Run decisions through the compiled backtest."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from engine.backtest import columns as at
from engine.backtest import kernel
from engine.backtest.compiled import entry
from engine.backtest.result import Run, Trades, read_refusals
from engine.backtest.settings import AccountSettings, Listing, account_rules, money_digits, symbol_rules, to_quanta
from engine.domain.market import FloatArray
from engine.domain.strategies import Decisions

MAX_CASH_QUANTA = 10**17
_NO_FLOATS = np.empty(0)
_NO_SIZES = np.empty(0, np.int16)


def run_decisions(listing: Listing, decisions: Decisions, account: AccountSettings, *, has_equity: bool = True) -> Run:
    """Return what the decisions would have made of the account, exact to the last digit.

    Args:
        listing: The symbol with its bars and costs.
        decisions: One row per bar.
        account: Cash, size and leverage.
        has_equity: Whether to keep the account's worth at every close (8 bytes a bar).

    Raises:
        ValueError: Lengths differ, or amounts are too large to be counted exactly.
    """
    if len(decisions) != len(listing.bars):
        raise ValueError(f"{len(decisions)} decisions for {len(listing.bars)} bars")
    digits = money_digits([listing.instrument])
    cash = to_quanta(account.starting_cash, digits)
    if cash > MAX_CASH_QUANTA:
        raise ValueError(f"starting cash {account.starting_cash} is too large to be counted exactly")
    rule = symbol_rules(listing, account, digits, valid_bars=decisions.valid_bars, max_bars=decisions.max_bars)
    equity = np.empty(len(listing.bars) if has_equity else 0)
    sums = np.empty(at.SUMS)
    bars = listing.bars
    trades, state = _one()(
        *(_floats(column) for column in (bars.open, bars.high, bars.low, bars.close)),
        np.ascontiguousarray(decisions.action, np.int8),
        *(_floats(column) for column in (decisions.price, decisions.stop, decisions.target)),
        decisions.stop_ratio,
        decisions.target_ratio,
        _NO_SIZES if decisions.size_bps is None else np.ascontiguousarray(decisions.size_bps, np.int16),
        _floats(listing.funding),
        rule,
        account_rules(account, digits),
        cash,
        equity,
        sums,
    )
    if state[at.STATUS] != at.STATUS_DONE:
        raise ValueError(f"positions in {bars.symbol} became too large to be counted exactly; lower the leverage")
    return Run(
        listings=(listing,),
        account=account,
        time=bars.time,
        equity=equity,
        trades=Trades(trades, (listing,), digits),
        refused=read_refusals(state),
        sums=sums,
        cash_quanta=int(state[at.CASH]),
        digits=digits,
    )


def _floats(column: FloatArray | None) -> FloatArray:
    return _NO_FLOATS if column is None else np.ascontiguousarray(column, np.float64)


@cache
def _one() -> Any:
    """Return the compiled pass over one symbol; its types are fixed, so that it is compiled once."""
    made = entry(kernel.run_one)
    floats = numba.types.Array(numba.float64, 1, "C", readonly=True)
    whole = numba.types.Array(numba.int64, 1, "C", readonly=True)
    small, sizes = (numba.types.Array(kind, 1, "C", readonly=True) for kind in (numba.int8, numba.int16))
    out = numba.float64[::1]
    ratios = (numba.float64, numba.float64)
    types = (*[floats] * 4, small, *[floats] * 3, *ratios, sizes, floats, whole, whole, numba.int64, out, out)
    made.compile(types)
    made.disable_compile()
    return made
