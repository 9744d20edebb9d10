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
from engine.backtest.settings import AccountSettings, Listing, make_book, money_digits, symbol_rules
from engine.domain.market import FloatArray
from engine.domain.strategies import Decisions

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
    rules = symbol_rules(listing, account, digits, valid_bars=decisions.valid_bars, max_bars=decisions.max_bars)
    book = make_book(account, digits, [rules])
    bars = listing.bars
    equity = np.empty(len(bars) if has_equity else 0)
    sums = np.empty(at.SUMS)
    log = _one()(
        *(_floats(column) for column in (bars.open, bars.high, bars.low, bars.close)),
        np.ascontiguousarray(decisions.action, np.int8),
        *(_floats(column) for column in (decisions.price, decisions.stop, decisions.target)),
        decisions.stop_ratio,
        decisions.target_ratio,
        _NO_SIZES if decisions.size_bps is None else np.ascontiguousarray(decisions.size_bps, np.int16),
        _floats(listing.funding),
        book,
        equity,
        sums,
    )
    if book[at.STATUS] != at.STATUS_DONE:
        raise ValueError(f"positions in {bars.symbol} became too large to be counted exactly; lower the leverage")
    return Run(
        listings=(listing,),
        account=account,
        time=bars.time,
        equity=equity,
        trades=Trades(log.reshape(-1, at.TRADE), (listing,)),
        refused=read_refusals(book),
        sums=sums,
        cash_quanta=int(book[at.CASH]),
        digits=digits,
    )


def _floats(column: FloatArray | None) -> FloatArray:
    return _NO_FLOATS if column is None else np.ascontiguousarray(column, np.float64)


@cache
def _one() -> Any:
    """Return the compiled pass over one symbol; its types are fixed, so that it is compiled once."""
    made = entry(kernel.run_one)
    floats, small, sizes = (
        numba.types.Array(kind, 1, "C", readonly=True) for kind in (numba.float64, numba.int8, numba.int16)
    )
    ratios, out = (numba.float64, numba.float64), numba.float64[::1]
    types = (*[floats] * 4, small, *[floats] * 3, *ratios, sizes, floats, numba.int64[::1], out, out)
    made.compile(types)
    made.disable_compile()
    return made
