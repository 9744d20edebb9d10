"""Run decisions through the compiled backtest: one symbol, or several on one account."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np

from engine.backtest import columns as at
from engine.backtest import kernel
from engine.backtest.compiled import entry
from engine.backtest.result import Run, Trades, read_refusals
from engine.backtest.settings import AccountSettings, Listing, make_book, money_digits, symbol_rules
from engine.domain.market import FloatArray, IntArray
from engine.domain.strategies import FULL_SIZE_BPS, Decisions

_FIRST_TRADES = 4096
_NO_FLOATS = np.empty(0)
_NO_SIZES = np.empty(0, np.int16)


class Runner:
    """One symbol's bars made ready for many runs in one thread; each run overwrites what the last one left.

    Attributes:
        equity: The account's worth at each close of the last run; empty when it is not kept.
        sums: Sums over the bars of the last run.
    """

    def __init__(self, listing: Listing, account: AccountSettings, *, has_equity: bool = True) -> None:
        self._listing, self._account = listing, account
        self._digits = money_digits([listing.instrument])
        self._book = make_book(account, self._digits, [symbol_rules(listing, account, self._digits)])
        bars = listing.bars
        self._prices = tuple(_floats(column) for column in (bars.open, bars.high, bars.low, bars.close))
        self._funding = _floats(listing.funding)
        self._log = np.empty(_FIRST_TRADES * at.TRADE, np.int64)
        self._pass = _one()
        self.book = self._book
        self.equity = np.empty(len(bars) if has_equity else 0)
        self.sums = _first_sums(account)

    def count_trades(self, decisions: Decisions) -> int:
        """Run decisions and return how many trades they made.

        Raises:
            ValueError: Lengths differ, or amounts are too large to be counted exactly.
        """
        _check_lengths(self._listing, decisions)
        book = self.book = self._book.copy()
        book[at.HEAD + at.VALID_BARS], book[at.HEAD + at.MAX_BARS] = decisions.valid_bars, decisions.max_bars
        self.sums[:] = 0.0
        self.sums[at.LAST] = self.sums[at.PEAK] = float(self._account.starting_cash)
        columns = (
            *self._prices,
            np.ascontiguousarray(decisions.action, np.int8),
            *(_floats(column) for column in (decisions.price, decisions.stop, decisions.target)),
            decisions.stop_ratio,
            decisions.target_ratio,
            _NO_SIZES if decisions.size_bps is None else np.ascontiguousarray(decisions.size_bps, np.int16),
            self._funding,
        )
        n, t = len(decisions), 0
        while (t := self._pass(*columns, book, self._log, self.equity, self.sums, t)) < n and not book[at.STATUS]:
            self._log = _enlarged(self._log)
        _check_status(book)
        return int(book[at.TRADES])

    def finish(self) -> Run:
        """Return the last run; the runner must not run again."""
        listings, time = (self._listing,), self._listing.bars.time
        return _finish(listings, self._account, time, self.equity, self.sums, self._log, self.book, self._digits)


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
    runner = Runner(listing, account, has_equity=has_equity)
    runner.count_trades(decisions)
    return runner.finish()


def run_portfolio(
    listings: Sequence[Listing], decisions: Sequence[Decisions], account: AccountSettings, *, has_equity: bool = True
) -> Run:
    """Return what the decisions in several symbols would have made of one account.

    Args:
        listings: All of one timeframe; their bars need not be at the same times.
        decisions: For each listing, one row per bar.
        account: Shared cash, size and leverage.
        has_equity: Whether to keep the account's worth at every close.

    Raises:
        ValueError: Lengths or timeframes differ, or amounts are too large to be counted exactly.
    """
    for listing, table in zip(listings, decisions, strict=True):
        _check_lengths(listing, table)
    if len({each.bars.timeframe for each in listings}) != 1:
        raise ValueError("the symbols of one account must have bars of one timeframe")
    digits = money_digits([each.instrument for each in listings])
    pairs = list(zip(listings, decisions, strict=True))
    rules = [_rules(*pair, account, digits) for pair in pairs]
    book = make_book(account, digits, rules)
    lengths = [len(each.bars) for each in listings]
    time = np.concatenate([each.bars.time for each in listings])
    moments = np.unique(time)
    equity, sums = np.empty(len(moments) if has_equity else 0), _first_sums(account)
    log, place = np.empty(_FIRST_TRADES * len(listings) * at.TRADE, np.int64), (0, 0)
    columns = (
        *(np.concatenate([getattr(each.bars, name) for each in listings]) for name in ("open", "high", "low", "close")),
        np.concatenate([np.asarray(each.action, np.int8) for each in decisions]),
        _joined([each.price for each in decisions], lengths),
        _joined([_level(*pair, pair[1].stop, -pair[1].stop_ratio) for pair in pairs], lengths),
        _joined([_level(*pair, pair[1].target, pair[1].target_ratio) for pair in pairs], lengths),
        _joined_sizes(decisions, lengths),
        _joined([each.funding for each in listings], lengths, absent=0.0),
        time,
        np.argsort(time, kind="stable"),
        np.cumsum([0, *lengths[:-1]]),
        np.repeat(np.arange(len(listings)), lengths),
        np.zeros(len(listings)),
        np.zeros(len(listings)),
    )
    run = _many()
    while (place := run(*columns, book, log, equity, sums, *place))[0] < len(time) and not book[at.STATUS]:
        log = _enlarged(log)
    return _finish(tuple(listings), account, moments, equity, sums, log, book, digits)


def _first_sums(account: AccountSettings) -> FloatArray:
    sums = np.zeros(at.SUMS)
    sums[at.LAST] = sums[at.PEAK] = float(account.starting_cash)
    return sums


def _enlarged(log: IntArray) -> IntArray:
    larger = np.empty(2 * len(log), np.int64)
    larger[: len(log)] = log
    return larger


def _check_status(book: IntArray) -> None:
    if book[at.STATUS] != at.STATUS_DONE:
        raise ValueError("a position became too large to be counted exactly; lower the size or the leverage")


def _check_lengths(listing: Listing, decisions: Decisions) -> None:
    if len(decisions) != len(listing.bars):
        raise ValueError(f"{len(decisions)} decisions for {len(listing.bars)} bars of {listing.bars.symbol}")


def _rules(listing: Listing, decisions: Decisions, account: AccountSettings, digits: int) -> IntArray:
    return symbol_rules(listing, account, digits, valid_bars=decisions.valid_bars, max_bars=decisions.max_bars)


def _finish(
    listings: tuple[Listing, ...],
    account: AccountSettings,
    time: IntArray,
    equity: FloatArray,
    sums: FloatArray,
    log: IntArray,
    book: IntArray,
    digits: int,
) -> Run:
    if book[at.STATUS] != at.STATUS_DONE:
        raise ValueError("a position became too large to be counted exactly; lower the size or the leverage")
    used = int(book[at.TRADES])
    trades = Trades(log[: used * at.TRADE].reshape(used, at.TRADE), listings)
    cash = int(book[at.CASH])
    return Run(listings, account, time, equity, trades, read_refusals(book), sums, cash, digits)


def _floats(column: FloatArray | None) -> FloatArray:
    return _NO_FLOATS if column is None else np.ascontiguousarray(column, np.float64)


def _level(listing: Listing, decisions: Decisions, column: FloatArray | None, ratio: float) -> FloatArray | None:
    """Return stops or targets as prices, also where they were given as a distance (below 0: against the entry)."""
    if column is not None or not ratio:
        return column
    close = np.asarray(listing.bars.close)
    levels: FloatArray = close * (1 + np.sign(decisions.action) * ratio)
    return levels


def _joined(columns: Sequence[FloatArray | None], lengths: Sequence[int], *, absent: float = np.nan) -> FloatArray:
    """Return the columns one after another, or an empty one when no symbol has any."""
    if all(column is None for column in columns):
        return _NO_FLOATS
    pairs = zip(columns, lengths, strict=True)
    return np.concatenate([np.full(n, absent) if column is None else column for column, n in pairs])


def _joined_sizes(decisions: Sequence[Decisions], lengths: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if all(each.size_bps is None for each in decisions):
        return _NO_SIZES
    pairs = zip(decisions, lengths, strict=True)
    full = FULL_SIZE_BPS
    columns = [np.full(n, full) if each.size_bps is None else each.size_bps for each, n in pairs]
    return np.concatenate(columns).astype(np.int16)


@cache
def _one() -> Any:
    """Return the compiled pass over one symbol."""
    floats, small, sizes, _ = _read_only()
    ratios, out = (numba.float64, numba.float64), numba.float64[::1]
    types = (
        *[floats] * 4,
        small,
        *[floats] * 3,
        *ratios,
        sizes,
        floats,
        *[numba.int64[::1]] * 2,
        out,
        out,
        numba.int64,
    )
    return entry(kernel.run_one, types)


@cache
def _many() -> Any:
    """Return the compiled pass over several symbols."""
    floats, small, sizes, whole = _read_only()
    out = numba.float64[::1]
    types = (
        *[floats] * 4,
        small,
        *[floats] * 3,
        sizes,
        floats,
        *[whole] * 4,
        out,
        out,
        *[numba.int64[::1]] * 2,
        out,
        out,
        numba.int64,
        numba.int64,
    )
    return entry(kernel.run_many, types)


def _read_only() -> tuple[Any, ...]:
    """Return the types of columns, so declared that columns which cannot be written are taken without a copy."""
    kinds = (numba.float64, numba.int8, numba.int16, numba.int64)
    return tuple(numba.types.Array(kind, 1, "C", readonly=True) for kind in kinds)
