"""A statement: what one account had, did, paid and earned in a period, found from the journal alone.

A period is half open at its start: what is dealt at the moment it ends (the fees and payouts of March, at midnight of
the first of April) belongs to it, and what was dealt when it began belongs to the one before. The return is
time-weighted, over valuations: what was paid in or out does not change it, what was charged does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from agents.fund.arithmetic import ZERO, difference, negative
from agents.fund.calendar import Period
from agents.fund.store import AccountRecord, FundRecord, FundStore
from agents.fund.terms import FundTerms
from agents.fund.values import (
    Balances,
    Deal,
    Entry,
    EntryKind,
    FeeCalculation,
    FundOrder,
    FundRefused,
    Holding,
    OrderState,
    Valuation,
)
from agents.fund.views import account_status
from engine.ledger import exact_product, exact_sum


@dataclass(frozen=True, slots=True)
class Standing:
    """An account at one moment.

    Attributes:
        value: Fees not yet taken included; `fees` are what taking them then would cost.
    """

    at: datetime
    price: Decimal
    holding: Holding
    value: Decimal
    fees: FeeCalculation | None

    @property
    def fees_due(self) -> Decimal:
        """Return the fees that are not taken yet."""
        return self.fees.total if self.fees else ZERO


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a statement.

    Attributes:
        units_after: What the account held then.
    """

    at: datetime
    kind: EntryKind
    deal: Deal
    units_after: Decimal


@dataclass(frozen=True, slots=True)
class Point:
    """The account after one valuation and its deals."""

    at: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """What a period did to an account; exact money in account currency.

    `opening.value + deposits − withdrawals − payouts − fees + result − rounding = closing.value`, to the last digit.

    Attributes:
        deposits: Paid in.
        withdrawals, payouts: Paid out, after fees.
        reinvested: Payouts that stayed in the account.
        performance, management: Fees taken.
        result: What the price made of the units.
        rounding: What was left to the fund by rounding.
        return_ratio: Time-weighted, after fees taken; None when nothing was held.
        waiting: Orders for the next valuation.
    """

    fund: str
    terms: FundTerms
    account: AccountRecord
    period: Period
    opening: Standing
    closing: Standing
    movements: tuple[Movement, ...]
    points: tuple[Point, ...]
    deposits: Decimal
    withdrawals: Decimal
    payouts: Decimal
    reinvested: Decimal
    performance: Decimal
    management: Decimal
    result: Decimal
    rounding: Decimal
    return_ratio: Decimal | None
    waiting: tuple[FundOrder, ...]

    @property
    def fees(self) -> Decimal:
        """Return both fees together."""
        return exact_sum((self.performance, self.management))


def build_statement(store: FundStore, fund: str, account: str, period: Period) -> Statement:
    """Return the statement of an account.

    Raises:
        FundRefused: `fund_not_found`, `fund_account_not_found`, or `fund_no_statement` when the fund had not been
            valued yet within the period.
        DataUnavailable: The database did not answer.
    """
    record, found = store.fund(fund), store.account(fund, account)
    if found is None:
        raise FundRefused("fund_account_not_found", fund=fund, account=account)
    entries = store.entries(fund, account)
    within = [each for each in entries if period.start < each.at <= period.end]
    if not within and record.opened_at > period.end:
        raise FundRefused("fund_no_statement", fund=fund, account=account, period=period.name)
    waiting = [each for each in store.orders(fund, OrderState.TAKEN, OrderState.READY) if each.account == account]
    follower = _Follower(record, account)
    for entry in entries:
        if entry.at <= period.start:
            follower.follow(entry)
    start = follower.standing(max(period.start, record.opened_at), found)
    follower.begin()
    for entry in within:
        follower.follow(entry)
    end = follower.standing(min(period.end, record.valued_at), found)
    return follower.statement(found, period, start, end, waiting)


@dataclass(slots=True)
class _Sums:
    """What is added up within the period."""

    growth: Decimal = Decimal(1)
    has_held: bool = False
    result: Decimal = ZERO
    rounding: Decimal = ZERO
    movements: list[Movement] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


class _Follower:
    """Follows the journal with the eyes of one account."""

    def __init__(self, record: FundRecord, account: str) -> None:
        self._record, self._account = record, account
        self._balances = Balances()
        self._price = record.terms.initial_price
        self._sums = _Sums()

    def begin(self) -> None:
        """Add up from here."""
        self._sums = _Sums()
        units = self._holding().units
        if units:
            self._sums.points.append(Point(self._record.opened_at, exact_product(units, self._price)))

    def follow(self, entry: Entry) -> None:
        before = self._holding()
        self._balances.post(entry)
        if entry.valuation is not None:
            self._revalue(entry.at, entry.valuation, before)
        if entry.deal is not None:
            self._deal(entry, entry.deal, before)
        self._mark_point(entry.at)

    def _revalue(self, at: datetime, valuation: Valuation, before: Holding) -> None:
        if before.units:
            self._sums.has_held = True
            change = exact_product(before.units, difference(valuation.price, self._price))
            self._sums.result = exact_sum((self._sums.result, change))
            if self._price:
                self._sums.growth *= valuation.price / self._price
        self._price = valuation.price

    def _deal(self, entry: Entry, deal: Deal, before: Holding) -> None:
        sums, after = self._sums, self._holding()
        if deal.units:
            moved = exact_product(deal.units.copy_abs(), deal.price)
            left = difference(deal.amount, moved) if deal.units > 0 else difference(moved, deal.amount)
            sums.rounding = exact_sum((sums.rounding, left))
        if deal.fees is not None and before.units and deal.price:
            value = before.value(deal.price)
            sums.growth *= (value - deal.fees.total) / value
        sums.movements.append(Movement(entry.at, entry.kind, deal, after.units))

    def _mark_point(self, at: datetime) -> None:
        point = Point(at, self._holding().value(self._price))
        points = self._sums.points
        if points and points[-1].at == at:
            points[-1] = point
        elif points or point.value:
            points.append(point)

    def standing(self, at: datetime, record: AccountRecord) -> Standing:
        holding = self._holding()
        status = account_status(record, holding, self._price, self._record.terms)
        return Standing(at, self._price, holding, status.value, status.fees)

    def statement(
        self,
        account: AccountRecord,
        period: Period,
        opening: Standing,
        closing: Standing,
        waiting: Sequence[FundOrder],
    ) -> Statement:
        sums = self._sums
        if sums.points and sums.points[0].at == self._record.opened_at < opening.at:
            sums.points[0] = Point(opening.at, opening.value)
        fees = [each.deal.fees for each in sums.movements if each.deal.fees is not None]
        return Statement(
            fund=self._record.name,
            terms=self._record.terms,
            account=account,
            period=period,
            opening=opening,
            closing=closing,
            movements=tuple(sums.movements),
            points=tuple(sums.points),
            deposits=exact_sum((self._paid(EntryKind.DEPOSIT), self._paid(EntryKind.SEED))),
            withdrawals=self._paid(EntryKind.WITHDRAWAL),
            payouts=self._paid(EntryKind.PAYOUT),
            reinvested=exact_sum(e.deal.amount for e in sums.movements if e.kind is EntryKind.REINVESTMENT),
            performance=exact_sum(each.performance for each in fees),
            management=exact_sum(each.management for each in fees),
            result=sums.result,
            rounding=sums.rounding,
            return_ratio=sums.growth - 1 if sums.has_held else None,
            waiting=tuple(waiting),
        )

    def _paid(self, kind: EntryKind) -> Decimal:
        return exact_sum(each.deal.paid for each in self._sums.movements if each.kind is kind)

    def _holding(self) -> Holding:
        return self._balances.holding(self._account)


def displayed_result(statement: Statement, opening: Decimal, closing: Decimal) -> Decimal:
    """Return the result (rounding included) that makes the lines of a statement add up in the cents that it shows."""
    moved = exact_sum(
        (
            statement.deposits,
            negative(statement.withdrawals),
            negative(statement.payouts),
            negative(statement.fees),
        )
    )
    return difference(closing, opening, moved)
