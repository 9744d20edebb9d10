"""What a backtest gives back: trades, equity and counters; exact where it is money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from engine.backtest import columns as at
from engine.backtest.settings import MIN_DIGITS, AccountSettings, Listing
from engine.domain.market import FloatArray, IntArray
from engine.domain.orders import Side
from engine.domain.sessions import BoolArray


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """One round trip, exact; without exit fields when it is open at the end.

    Attributes:
        decided, entered, exited: Rows of the symbol's bars; -1 for no exit.
        quantity: Base units, above 0.
        reason: One of `columns.REASONS`.
        funding: Paid while it was held; below 0 when received.
    """

    symbol: str
    tag: str
    side: Side
    quantity: Decimal
    decided: int
    entered: int
    entry_price: Decimal
    entry_fee: Decimal
    is_entry_maker: bool
    exited: int = -1
    exit_price: Decimal = Decimal(0)
    exit_fee: Decimal = Decimal(0)
    is_exit_maker: bool = False
    funding: Decimal = Decimal(0)
    reason: str = at.REASONS[0]


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
        charged = self.table[:, at.T_ENTRY_FEE] + self.table[:, at.T_EXIT_FEE]
        return _floats(charged)

    @cached_property
    def funding(self) -> FloatArray:
        """Return funding paid while they were held, in account currency; below 0 when received."""
        return _floats(self.table[:, at.T_FUNDING])

    @cached_property
    def profit(self) -> FloatArray:
        """Return the net profit in account currency: fees and funding included, open trades at the last close."""
        moved = self.table[:, at.T_LOTS] * (self.table[:, at.T_EXIT] - self.table[:, at.T_ENTRY])
        gross = moved * (self._each("tick_size") * self._each("lot_size"))
        return gross - self.fees - self.funding

    @cached_property
    def profit_ratio(self) -> FloatArray:
        """Return the net profit as a fraction of what was paid for the position."""
        return self.profit / (self.quantity * self.entry_price)

    def exceeds_volume(self, participation_ratio: Decimal) -> BoolArray:
        """Return which trades were larger than that share of the volume of a bar they filled in; 0 is no bound."""
        found = np.zeros(len(self), np.bool_)
        for number, listing in enumerate(self.listings):
            own = self.symbol_row == number
            for row in (self.entered, self.exited):
                filled = own & (row >= 0)
                volume = listing.bars.volume[row[filled]]
                borne = volume * float(participation_ratio)
                found[filled] |= (volume > 0) & (self.quantity[filled] > borne)
        return found

    def exact(self, row: int) -> ClosedTrade:
        """Return one trade in exact money, as the exact driver writes it."""
        trade = [int(value) for value in self.table[row]]
        instrument = self.listings[trade[at.T_SYMBOL]].instrument
        is_open = trade[at.T_EXITED] < 0
        return ClosedTrade(
            symbol=instrument.symbol,
            tag="",
            side=Side.BUY if trade[at.T_LOTS] > 0 else Side.SELL,
            quantity=abs(trade[at.T_LOTS]) * instrument.lot_size,
            decided=trade[at.T_DECIDED],
            entered=trade[at.T_ENTERED],
            entry_price=trade[at.T_ENTRY] * instrument.tick_size,
            entry_fee=_money(trade[at.T_ENTRY_FEE]),
            is_entry_maker=bool(trade[at.T_FLAGS] & at.MAKER_ENTRY),
            exited=trade[at.T_EXITED],
            exit_price=Decimal(0) if is_open else trade[at.T_EXIT] * instrument.tick_size,
            exit_fee=_money(trade[at.T_EXIT_FEE]),
            is_exit_maker=bool(trade[at.T_FLAGS] & at.MAKER_EXIT),
            funding=_money(trade[at.T_FUNDING]),
            reason=at.REASONS[trade[at.T_REASON]],
        )

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


def _money(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-MIN_DIGITS)


def _floats(amounts: IntArray) -> FloatArray:
    scaled: FloatArray = amounts / 10**MIN_DIGITS
    return scaled
