"""What a backtest gives back: trades, equity and counters; exact where it is money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from engine.backtest import columns as at
from engine.backtest.settings import MIN_DIGITS, AccountSettings, Listing
from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray


@dataclass(frozen=True, eq=False)
class Trades:
    """Closed round trips in the order of their exits, then those still open; one row each, in columns.

    Attributes:
        table: Shape (m, columns), as `engine.backtest.columns` lays it out, in ticks, lots and 1e-8.
    """

    table: IntArray
    listings: tuple[Listing, ...]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def symbol_row(self) -> IntArray:
        """Return which of the listings each trade is of."""
        return self.table[:, at.T_SYMBOL]

    @property
    def side(self) -> IntArray:
        """Return +1 for long, -1 for short."""
        return np.sign(self.table[:, at.T_LOTS])

    @property
    def decided(self) -> IntArray:
        """Return the rows of the bars at whose close the entries were decided."""
        return self.table[:, at.T_DECIDED]

    @property
    def entered(self) -> IntArray:
        """Return the rows of the bars of the entries."""
        return self.table[:, at.T_ENTERED]

    @property
    def exited(self) -> IntArray:
        """Return the rows of the bars of the exits; -1 for a trade that is open."""
        return self.table[:, at.T_EXITED]

    @property
    def is_open(self) -> BoolArray:
        """Return which trades are open at the end; their exit price is the last close."""
        return self.table[:, at.T_EXITED] < 0

    @property
    def reason(self) -> IntArray:
        """Return why each closed: an index of `columns.REASONS`."""
        return self.table[:, at.T_REASON]

    @cached_property
    def quantity(self) -> FloatArray:
        """Return base units, above 0."""
        return np.abs(self.table[:, at.T_LOTS]) * self._each("lot_size")

    @cached_property
    def entry_price(self) -> FloatArray:
        """Return prices of the entries."""
        return self.table[:, at.T_ENTRY] * self._each("tick_size")

    @cached_property
    def exit_price(self) -> FloatArray:
        """Return prices of the exits."""
        return self.table[:, at.T_EXIT] * self._each("tick_size")

    @cached_property
    def fees(self) -> FloatArray:
        """Return fees of both fills, in account currency."""
        return (self.table[:, at.T_ENTRY_FEE] + self.table[:, at.T_EXIT_FEE]) / 10**MIN_DIGITS

    @cached_property
    def profit(self) -> FloatArray:
        """Return the net profit in account currency: fees and funding included, open trades at the last close."""
        moved = self.table[:, at.T_LOTS] * (self.table[:, at.T_EXIT] - self.table[:, at.T_ENTRY])
        gross = moved * (self._each("tick_size") * self._each("lot_size"))
        return gross - self.fees - self.table[:, at.T_FUNDING] / 10**MIN_DIGITS

    @cached_property
    def profit_ratio(self) -> FloatArray:
        """Return the net profit as a fraction of what was paid for the position."""
        return self.profit / (self.quantity * self.entry_price)

    def exact_profit(self, row: int) -> Decimal:
        """Return one trade's net profit to the last digit."""
        trade = [int(value) for value in self.table[row]]
        instrument = self.listings[trade[at.T_SYMBOL]].instrument
        gross = trade[at.T_LOTS] * (trade[at.T_EXIT] - trade[at.T_ENTRY]) * instrument.tick_size * instrument.lot_size
        paid = trade[at.T_ENTRY_FEE] + trade[at.T_EXIT_FEE] + trade[at.T_FUNDING]
        return gross - Decimal(paid).scaleb(-MIN_DIGITS)

    def _each(self, name: str) -> FloatArray:
        steps = np.array([float(getattr(listing.instrument, name)) for listing in self.listings])
        found: FloatArray = steps[self.symbol_row]
        return found


@dataclass(frozen=True, eq=False)
class Run:
    """One finished backtest.

    Attributes:
        time: Shape (n,), open times of the bars (of all symbols together), seconds since the epoch.
        equity: Shape (n,), the account's worth at each close in account currency; empty when it was not kept.
        refused: How many entries were refused, by code.
        sums: Sums over the bars, as `engine.backtest.columns` lays them out.
        cash_quanta: Cash at the end, in 10 to the minus `digits` of account currency.
    """

    listings: tuple[Listing, ...]
    account: AccountSettings
    time: IntArray
    equity: FloatArray
    trades: Trades
    refused: dict[str, int]
    sums: FloatArray
    cash_quanta: int
    digits: int

    @property
    def cash(self) -> Decimal:
        """Return the exact cash at the end."""
        return Decimal(self.cash_quanta).scaleb(-self.digits)


def read_refusals(book: IntArray) -> dict[str, int]:
    """Return the counters of refused entries that are not 0."""
    counts = zip(at.REFUSALS, book[at.REFUSED : at.REFUSED + len(at.REFUSALS)], strict=True)
    return {code: int(count) for code, count in counts if count}
