"""What a backtest assumes of the market and of the account, and the same in whole numbers for compiled code.

Prices become ticks, quantities lots, money quanta of 1e-8 of the account currency (finer when tick times lot is finer
still), so that the compiled run and the exact driver count the same amounts to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from engine.backtest import columns as at
from engine.domain.market import Bars, FloatArray, Instrument, IntArray
from engine.sim.matching import FEE_QUANTUM, MatchingSettings

MIN_DIGITS = 8
"""Decimals of a quantum at the least: those of a fee."""

MAX_CASH_QUANTA = 10**17
"""Most cash that a run may start with, so that what it becomes can be counted in 64 bits."""

_BPS = 10_000
_KINDS = {"fixed": at.SIZE_FIXED, "notional": at.SIZE_NOTIONAL, "equity": at.SIZE_EQUITY, "risk": at.SIZE_RISK}


@dataclass(frozen=True, slots=True)
class SizeRule:
    """How large an entry is.

    Attributes:
        kind: `fixed` quantity in base units; `notional` in account currency; `equity` a fraction of the account's
            worth at the close of the deciding bar; `risk` that fraction lost at the stop, costs apart.
        amount: In the unit of the kind, above 0.
    """

    kind: Literal["fixed", "notional", "equity", "risk"]
    amount: Decimal

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(f"the amount of a size must be above 0, got {self.amount}")


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The account of a run.

    Attributes:
        starting_cash: In account currency.
        size: Of each entry.
        max_leverage: Largest notional of one entry as a multiple of the account's worth when it was decided.
        matching: Slippage; its participation is what `Trades.exceeds_volume` measures against.
    """

    starting_cash: Decimal = Decimal(10_000)
    size: SizeRule = field(default_factory=lambda: SizeRule("equity", Decimal("0.99")))
    max_leverage: Decimal = Decimal(1)
    matching: MatchingSettings = field(default_factory=MatchingSettings)

    def __post_init__(self) -> None:
        if self.starting_cash <= 0 or self.max_leverage <= 0:
            raise ValueError("starting cash and leverage must be above 0")


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """One symbol of a run: its bars and what trading it costs.

    Attributes:
        bars: Mid prices, oldest first.
        instrument: Its venue's rules and fees; quoted in the account currency.
        spread_bps: Ask minus bid as a share of each bar's opening price; each half is rounded up to a tick.
        funding: Shape (n,), rate that longs pay (below 0: receive) at the opening of each bar, as a fraction of what
            is held, brought to 1e-8; None for none. See `funding_at`.
    """

    bars: Bars
    instrument: Instrument
    spread_bps: Decimal = Decimal(0)
    funding: FloatArray | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.spread_bps < _BPS:
            raise ValueError(f"spread_bps must be in [0, {_BPS}), got {self.spread_bps}")
        if self.funding is not None and len(self.funding) != len(self.bars):
            raise ValueError(f"{len(self.funding)} funding rates for {len(self.bars)} bars")

    def half_spread(self, opening: Decimal) -> Decimal:
        """Return half of a bar's spread, on the next tick above."""
        ticks = opening * self.spread_bps / (2 * _BPS) / self.instrument.tick_size
        return ticks.to_integral_value(ROUND_CEILING) * self.instrument.tick_size


def funding_at(time: IntArray, rate: Decimal, *, period_s: int = 8 * 3600) -> FloatArray:
    """Return funding rates by bar: `rate` at the first bar at or after each multiple of the period, else 0.

    Args:
        time: Open times in seconds since the epoch, increasing.
        rate: Fraction paid by longs each time.
        period_s: Seconds between two payments.
    """
    count = time // period_s
    rates = np.zeros(len(time))
    rates[1:][count[1:] > count[:-1]] = float(rate)
    if len(time) and time[0] % period_s == 0:
        rates[0] = float(rate)
    return rates


def with_costs_times(listing: Listing, account: AccountSettings, factor: int) -> tuple[Listing, AccountSettings]:
    """Return the same run with fees, spread and slippage multiplied; funding is a price and stays."""
    instrument = replace(
        listing.instrument,
        taker_fee_ratio=listing.instrument.taker_fee_ratio * factor,
        maker_fee_ratio=listing.instrument.maker_fee_ratio * factor,
    )
    matching = replace(account.matching, slippage_bps=account.matching.slippage_bps * factor)
    costly = replace(listing, instrument=instrument, spread_bps=listing.spread_bps * factor)
    return costly, replace(account, matching=matching)


def money_digits(instruments: list[Instrument]) -> int:
    """Return the decimals of a quantum: enough for a fee and for one lot at one tick of every instrument."""
    return max(MIN_DIGITS, *(_digits(each.tick_size) + _digits(each.lot_size) for each in instruments))


def to_quanta(amount: Decimal, digits: int) -> int:
    """Return an amount in quanta, rounded down."""
    return int(amount.scaleb(digits).to_integral_value(ROUND_DOWN))


def symbol_rules(
    listing: Listing, account: AccountSettings, digits: int, *, valid_bars: int = 0, max_bars: int = 0
) -> IntArray:
    """Return one row of rules in whole numbers."""
    instrument = listing.instrument
    tick, lot = Fraction(instrument.tick_size), Fraction(instrument.lot_size)
    fine = tick * lot / Fraction(FEE_QUANTUM)
    row = np.zeros(at.RULES, np.int64)
    fractions = (
        (at.TICK_TIMES, _over_power_of_ten(instrument.tick_size)),
        (at.TAKER_TIMES, _pair(fine * Fraction(instrument.taker_fee_ratio))),
        (at.MAKER_TIMES, _pair(fine * Fraction(instrument.maker_fee_ratio))),
        (at.FUNDING_TIMES, _pair(fine / 10**MIN_DIGITS)),
        (at.SPREAD_TIMES, _pair(Fraction(listing.spread_bps) / (2 * _BPS))),
        (at.SLIP_TIMES, _pair(Fraction(account.matching.slippage_bps) / _BPS)),
        (at.FIXED_TIMES, _pair(Fraction(account.size.amount) / lot)),
    )
    for place, pair in fractions:
        row[place : place + 2] = pair
    row[at.UNIT] = int(tick * lot * 10**digits)
    row[at.MIN_LOTS] = int((instrument.min_quantity / instrument.lot_size).to_integral_value(ROUND_CEILING))
    row[at.MIN_VALUE] = int(instrument.min_notional.scaleb(digits).to_integral_value(ROUND_CEILING))
    row[at.SHORTABLE] = instrument.is_shortable
    row[at.VALID_BARS], row[at.MAX_BARS] = valid_bars, max_bars
    return row


def make_book(account: AccountSettings, digits: int, symbols: list[IntArray]) -> IntArray:
    """Return the array that a run starts from: the account with its cash, then each symbol's rules and empty state.

    Raises:
        ValueError: The cash is too large to be counted exactly.
    """
    book = np.zeros(at.HEAD + at.WIDTH * len(symbols), np.int64)
    cash = to_quanta(account.starting_cash, digits)
    if cash > MAX_CASH_QUANTA:
        raise ValueError(f"starting cash {account.starting_cash} is too large to be counted exactly")
    book[at.CASH] = cash
    book[at.SIZE_KIND] = _KINDS[account.size.kind]
    is_amount = account.size.kind == "notional"
    book[at.SIZE_TIMES : at.SIZE_TIMES + 2] = (
        (to_quanta(account.size.amount, MIN_DIGITS), 1) if is_amount else _pair(Fraction(account.size.amount))
    )
    book[at.LEVERAGE_TIMES : at.LEVERAGE_TIMES + 2] = _pair(Fraction(account.max_leverage))
    book[at.FINE], book[at.QUANTA] = 10 ** (digits - MIN_DIGITS), 10**digits
    for number, rules in enumerate(symbols):
        place = at.HEAD + at.WIDTH * number
        book[place : place + at.RULES] = rules
    return book


def _digits(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _pair(ratio: Fraction) -> tuple[int, int]:
    return ratio.numerator, ratio.denominator


def _over_power_of_ten(step: Decimal) -> tuple[int, int]:
    over = 10 ** _digits(step)
    return int(step * over), over
