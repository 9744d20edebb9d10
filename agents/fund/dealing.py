"""One valuation run of a fund, pure: value the book, take fees, share profit, deal the orders, at one price.

The steps of a run are always the same: valuation, fees and payouts if a period of theirs ends at that moment, then
withdrawals, then deposits. Because the price stands before the first of them, the order of accounts changes nothing.
Orders wait for the first valuation after their cut-off, so that nobody deals at a price that is known already.

After every run, to the last digit: what holders own is units × price; that, `rounding`, `deficit`, `unowned`,
`subscriptions` and everything payable together are the book. A book that is worth nothing (or less) has a price of
zero; then nothing is dealt and the orders wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from agents.fund.arithmetic import CENT, PRICE_STEP, UNIT_STEP, ZERO, difference, divided, negative, stepped
from agents.fund.calendar import Calendar, is_boundary, period_ending
from agents.fund.fees import accrue_hurdle, accrue_management, calculate_fees, payout_of
from agents.fund.terms import FundTerms
from agents.fund.values import (
    BOOK,
    DEFICIT,
    FEES,
    FUND,
    ISSUED,
    ROUNDING,
    SUBSCRIPTIONS,
    UNOWNED,
    Balances,
    BookValue,
    Deal,
    Dealt,
    Entry,
    EntryKind,
    FeeCalculation,
    FundOrder,
    Holding,
    Ledger,
    OrderKind,
    OrderState,
    Payment,
    Posting,
    Valuation,
    holder,
)
from engine.ledger import exact_product, exact_sum


def open_books(terms: FundTerms, at: datetime, value: BookValue, owner: str) -> Entry:
    """Return the first entry: what is in the book becomes units of its owner, at the initial price.

    Raises:
        ValueError: The book is worth less than nothing.
    """
    price = terms.initial_price
    if value.equity < 0:
        raise ValueError(f"a fund cannot be opened on a book that is worth {value.equity}")
    units = divided(value.equity, price, UNIT_STEP)
    owned = exact_product(units, price)
    return Entry(
        EntryKind.SEED,
        "seed",
        at,
        owner if units else "",
        _lines(
            (Ledger.MONEY, BOOK, value.equity),
            (Ledger.MONEY, holder(owner), negative(owned)),
            (Ledger.MONEY, ROUNDING, difference(owned, value.equity)),
            (Ledger.UNITS, holder(owner), units),
            (Ledger.UNITS, ISSUED, negative(units)),
            (Ledger.MARK, holder(owner), value.equity if units else ZERO),
            (Ledger.BASIS, holder(owner), value.equity if units else ZERO),
            (Ledger.PRICE, FUND, price),
            (Ledger.RESULT, FUND, value.result),
        ),
        Deal(value.equity, price, units, value.equity) if units else None,
    )


def fund_deposit(order: FundOrder, at: datetime) -> Entry:
    """Return the entry for money that has reached the book and waits to become units."""
    amount = _amount(order)
    lines = _lines((Ledger.MONEY, BOOK, amount), (Ledger.MONEY, SUBSCRIPTIONS, negative(amount)))
    return Entry(EntryKind.FUNDED, f"funded:{order.source}", at, order.account, lines)


def refund_deposit(fund: str, order: FundOrder, at: datetime) -> tuple[Entry, Payment]:
    """Return entry and payment that give back money which has not become units."""
    amount, payable = _amount(order), f"payable:refund:{order.account}"
    source = f"refund:{order.source}"
    lines = _lines((Ledger.MONEY, SUBSCRIPTIONS, amount), (Ledger.MONEY, payable, negative(amount)))
    return Entry(EntryKind.REFUND, source, at, order.account, lines), Payment(f"fund:{fund}:{source}", payable, amount)


def settle_payment(payment: Payment, at: datetime) -> Entry:
    """Return the entry for money that has left the book."""
    lines = _lines((Ledger.MONEY, payment.payable, payment.amount), (Ledger.MONEY, BOOK, negative(payment.amount)))
    return Entry(EntryKind.SETTLEMENT, f"settled:{payment.source}", at, "", lines)


def run_valuation(
    fund: str,
    terms: FundTerms,
    balances: Balances,
    value: BookValue,
    at: datetime,
    *,
    since: datetime,
    orders: Iterable[FundOrder],
    reinvesting: Collection[str] = (),
) -> Dealt:
    """Value a fund and deal what is due.

    Args:
        fund: Its name, part of every payment's source.
        terms: Its terms.
        balances: Before; changed to what they are afterwards.
        value: Of the book at `at`.
        at: The moment; what a calendar period that ends then asks for is done.
        since: The valuation before.
        orders: Those that are ready; the ones after the cut-off are left alone.
        reinvesting: Accounts that keep their payouts.
    """
    run = _Run(fund, terms, balances, at)
    run.value(value, (at.date() - since.date()).days)
    if run.is_dealing:
        for holding in balances.holdings():
            run.take_fees(holding)
        for holding in balances.holdings():
            run.pay_out(holding, is_kept=holding.account in reinvesting)
        for order in _due(orders, at - timedelta(hours=terms.cutoff_h)):
            run.deal(order)
        run.pay_fees()
    return run.dealt


def _due(orders: Iterable[FundOrder], cutoff: datetime) -> list[FundOrder]:
    """Return the orders before the cut-off, withdrawals first, then as they were taken."""
    due = [order for order in orders if order.ready_at is not None and order.ready_at < cutoff]
    return sorted(due, key=lambda order: (order.kind is OrderKind.DEPOSIT, order.taken_at, order.source))


class _Run:
    def __init__(self, fund: str, terms: FundTerms, balances: Balances, at: datetime) -> None:
        self.dealt = Dealt()
        self.is_dealing = False
        self._fund, self._terms, self._balances, self._at = fund, terms, balances, at
        self._price = self._issue_price = ZERO

    def value(self, value: BookValue, days: int) -> None:
        """Book the result since the last valuation and set the price."""
        before, held = self._balances, self._balances.holdings()
        change = difference(value.result, before.result)
        units, price = before.units, before.price
        shared = negative(exact_sum((before[Ledger.MONEY, ROUNDING], before[Ledger.MONEY, DEFICIT])))
        net = exact_sum((exact_product(units, price), shared, change if units else ZERO))
        if units:
            price = divided(net, units, PRICE_STEP) if net > 0 else ZERO
            rest = difference(net, exact_product(units, price))
            rounding, deficit = max(rest, ZERO), min(rest, ZERO)
        else:
            rounding, deficit = net, ZERO
        self._price = price
        self._issue_price = exact_sum((price, PRICE_STEP)) if units and rounding else price
        self.is_dealing = price > 0
        lines = [
            (Ledger.MONEY, BOOK, change),
            (Ledger.MONEY, UNOWNED, ZERO if units else negative(change)),
            (Ledger.MONEY, ROUNDING, negative(exact_sum((rounding, before[Ledger.MONEY, ROUNDING])))),
            (Ledger.MONEY, DEFICIT, negative(exact_sum((deficit, before[Ledger.MONEY, DEFICIT])))),
            (Ledger.PRICE, FUND, difference(price, before.price)),
            (Ledger.RESULT, FUND, change),
        ]
        for each in held:
            lines += self._holder_lines(each, days)
        found = Valuation(value.equity, value.transferred, net, units, price, self._issue_price, rounding)
        source = f"valuation:{self._at.isoformat()}"
        self._book(Entry(EntryKind.VALUATION, source, self._at, "", _lines(*lines), valuation=found))

    def _holder_lines(self, holding: Holding, days: int) -> list[tuple[Ledger, str, Decimal]]:
        name = holder(holding.account)
        moved = exact_product(holding.units, difference(self._price, self._balances.price))
        return [
            (Ledger.MONEY, name, negative(moved)),
            (Ledger.ACCRUED, name, accrue_management(holding, self._price, self._terms, days)),
            (Ledger.HURDLE, name, accrue_hurdle(holding, self._terms, days)),
        ]

    def take_fees(self, holding: Holding) -> None:
        """Take the fees of an account if their period ends now."""
        period = self._ending(self._terms.crystallisation)
        if period is None:
            return
        fees = calculate_fees(holding, self._price, self._terms)
        if fees.total:
            source = f"fee:{period}:{holding.account}"
            self._redeem(EntryKind.FEE, source, holding, fees.total, fees)

    def pay_out(self, holding: Holding, *, is_kept: bool) -> None:
        """Share out the gain of an account if a period of payouts ends now."""
        period = self._ending(self._terms.payout)
        amount = ZERO if period is None else payout_of(holding, self._price, self._terms)
        if not amount:
            return
        source = f"payout:{period}:{holding.account}"
        if not is_kept:
            self._redeem(EntryKind.PAYOUT, source, holding, amount, None)
            return
        lines = _lines((Ledger.BASIS, holder(holding.account), self._gain(holding)))
        deal = Deal(amount, self._price, ZERO)
        self._book(Entry(EntryKind.REINVESTMENT, source, self._at, holding.account, lines, deal))

    def deal(self, order: FundOrder) -> None:
        """Carry out an order, or reject it."""
        if order.kind is OrderKind.DEPOSIT:
            self._issue(order)
        else:
            self._withdraw(order)

    def pay_fees(self) -> None:
        """Let all fees of this run leave the book in one payment."""
        total = exact_sum(
            entry.deal.fees.total for entry in self.dealt.entries if entry.deal is not None and entry.deal.fees
        )
        self._pay(f"fees:{self._at.isoformat()}", FEES, total)

    def _withdraw(self, order: FundOrder) -> None:
        holding = self._balances.holding(order.account)
        value = holding.value(self._price)
        if not holding.units:
            self._finish(order, OrderState.REJECTED, "nothing_held")
            return
        if order.amount is not None and order.amount > value:
            self._finish(order, OrderState.REJECTED, "more_than_held")
            return
        amount = stepped(value, CENT) if order.amount is None else order.amount
        leaving = holding.units if order.amount is None else self._units_for(amount, holding)
        fees = calculate_fees(holding, self._price, self._terms, leaving)
        self._redeem(EntryKind.WITHDRAWAL, f"withdrawal:{order.source}", holding, amount, fees, leaving)
        self._finish(order, OrderState.DEALT)

    def _issue(self, order: FundOrder) -> None:
        amount, name = _amount(order), holder(order.account)
        units = divided(amount, self._issue_price, UNIT_STEP)
        if not units:
            entry, payment = refund_deposit(self._fund, order, self._at)
            self._book(entry)
            self.dealt.payments.append(payment)
            self._finish(order, OrderState.REJECTED, "too_small")
            return
        owned = exact_product(units, self._price)
        lines = _lines(
            (Ledger.MONEY, SUBSCRIPTIONS, amount),
            (Ledger.MONEY, name, negative(owned)),
            (Ledger.MONEY, ROUNDING, difference(owned, amount)),
            (Ledger.UNITS, name, units),
            (Ledger.UNITS, ISSUED, negative(units)),
            (Ledger.MARK, name, amount),
            (Ledger.BASIS, name, amount),
        )
        deal = Deal(amount, self._price, units, amount)
        self._book(Entry(EntryKind.DEPOSIT, f"deposit:{order.source}", self._at, order.account, lines, deal))
        self._finish(order, OrderState.DEALT)

    def _redeem(
        self,
        kind: EntryKind,
        source: str,
        holding: Holding,
        amount: Decimal,
        fees: FeeCalculation | None,
        leaving: Decimal | None = None,
    ) -> None:
        """Turn units into money for fees and for a payment; what the last unit is worth beyond it is rounding."""
        units = self._units_for(amount, holding) if leaving is None else leaving
        released, charged = exact_product(units, self._price), fees.total if fees else ZERO
        name, paid = holder(holding.account), difference(amount, charged)
        payable = f"payable:{kind}:{holding.account}"
        after = self._memo_after(kind, holding, amount, units, fees)
        lines = _lines(
            (Ledger.MONEY, name, released),
            (Ledger.MONEY, FEES, negative(charged)),
            (Ledger.MONEY, payable, negative(paid)),
            (Ledger.MONEY, ROUNDING, difference(amount, released)),
            (Ledger.UNITS, name, negative(units)),
            (Ledger.UNITS, ISSUED, units),
            (Ledger.MARK, name, difference(after.mark, holding.mark)),
            (Ledger.HURDLE, name, difference(after.hurdle, holding.hurdle)),
            (Ledger.BASIS, name, difference(after.basis, holding.basis)),
            (Ledger.ACCRUED, name, difference(after.accrued, holding.accrued)),
        )
        deal = Deal(amount, self._price, negative(units), paid, fees)
        self._book(Entry(kind, source, self._at, holding.account, lines, deal))
        self._pay(source, payable, paid)

    def _memo_after(
        self, kind: EntryKind, before: Holding, amount: Decimal, units: Decimal, fees: FeeCalculation | None
    ) -> Holding:
        """Return what the account remembers after units were redeemed."""
        left = difference(before.units, units)
        if not left:
            return Holding(before.account)
        if fees is None:
            mark = max(ZERO, difference(before.mark, amount))
            basis = exact_product(left, self._price)
            return replace(before, mark=mark, basis=difference(basis, before.accrued))
        basis = before.basis
        if kind is EntryKind.WITHDRAWAL:
            basis = divided(exact_product(before.basis, left), before.units, UNIT_STEP, is_up=True)
        accrued = difference(before.accrued, fees.management)
        return replace(before, mark=fees.mark_after, hurdle=fees.hurdle_after, basis=basis, accrued=accrued)

    def _gain(self, holding: Holding) -> Decimal:
        return difference(holding.value(self._price), holding.accrued, holding.basis)

    def _units_for(self, amount: Decimal, holding: Holding) -> Decimal:
        return min(divided(amount, self._price, UNIT_STEP, is_up=True), holding.units)

    def _ending(self, calendar: Calendar | None) -> str | None:
        if calendar is None or not is_boundary(self._at, calendar):
            return None
        return period_ending(self._at, calendar).name

    def _pay(self, source: str, payable: str, amount: Decimal) -> None:
        if amount:
            self.dealt.payments.append(Payment(f"fund:{self._fund}:{source}", payable, amount))

    def _book(self, entry: Entry) -> None:
        self._balances.post(entry)
        self.dealt.entries.append(entry)

    def _finish(self, order: FundOrder, state: OrderState, reason: str = "") -> None:
        self.dealt.orders.append(replace(order, state=state, dealt_at=self._at, reason=reason))


def _amount(order: FundOrder) -> Decimal:
    assert order.amount is not None, "a deposit has an amount"
    return order.amount


def _lines(*lines: tuple[Ledger, str, Decimal]) -> tuple[Posting, ...]:
    return tuple(Posting(ledger, account, amount) for ledger, account, amount in lines if amount)
