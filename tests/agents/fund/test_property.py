"""Random lives of a fund: nothing appears or disappears, and no fee is charged twice or below the mark.

Every life is a sequence of profits and losses, deposits, withdrawals, changes of the calendar, repeats and valuations,
carried out on the pure core; the checks keep their own account of each holder, in exact fractions, from the entries.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.fund.arithmetic import PRICE_STEP, UNIT_STEP
from agents.fund.calendar import boundaries
from agents.fund.dealing import fund_deposit, open_books, run_valuation, settle_payment
from agents.fund.terms import FundTerms
from agents.fund.values import (
    BOOK,
    DEFICIT,
    ROUNDING,
    SUBSCRIPTIONS,
    UNOWNED,
    Balances,
    BookValue,
    Entry,
    EntryKind,
    FundOrder,
    Ledger,
    OrderKind,
    OrderState,
    holder,
)
from agents.fund.views import replay
from tests.agents.fund.desk import at

ACCOUNTS = ("ada", "ben", "cleo", "dora")
REINVESTING = ("cleo",)
ZERO = Decimal(0)


@dataclass
class Life:
    """A fund, its orders, and what was moved; every step checks the whole."""

    terms: FundTerms
    now: datetime = field(default_factory=lambda: at("2026-01-01T09:00"))
    balances: Balances = field(default_factory=Balances)
    entries: list[Entry] = field(default_factory=list)
    orders: dict[str, FundOrder] = field(default_factory=dict)
    moved: Decimal = ZERO
    earned: Decimal = ZERO
    paid: Decimal = ZERO
    shuffle: int = 0
    peak_rounding: Decimal = ZERO

    def __post_init__(self) -> None:
        entry = open_books(self.terms, self.now, BookValue(ZERO, ZERO), "owner")
        self.valued = self.now
        self.book([entry])

    def book(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.balances.post(entry)
        self.entries += entries

    def order(self, kind: OrderKind, account: str, amount: Decimal | None) -> None:
        self.now += timedelta(minutes=1)
        source = f"{len(self.orders):04}"
        order = FundOrder(source, kind, account, amount, OrderState.READY, self.now, self.now)
        self.orders[source] = order
        if kind is OrderKind.DEPOSIT:
            assert amount is not None
            self.moved += amount
            self.book([fund_deposit(order, self.now)])

    def pass_days(self, days: int) -> None:
        until = self.now + timedelta(days=days)
        for moment in boundaries(self.valued, until, ["daily"]):
            self.run(moment)
        self.now = until

    def run(self, moment: datetime) -> None:
        ready = [order for order in self.orders.values() if order.state is OrderState.READY]
        random.Random(self.shuffle).shuffle(ready)
        value = BookValue(self.moved + self.earned, self.moved)
        dealt = run_valuation(
            "nova", self.terms, self.balances, value, moment,
            since=self.valued, orders=ready, reinvesting=REINVESTING,
        )  # fmt: skip
        self.valued = moment
        self.entries += dealt.entries
        self.orders |= {order.source: order for order in dealt.orders}
        self.check()
        for payment in dealt.payments:
            self.moved -= payment.amount
            self.paid += payment.amount
            self.book([settle_payment(payment, moment)])
        assert not self.balances.payable

    def check(self) -> None:
        """Hold the books against the book, to the last digit."""
        money = {name: -amount for (ledger, name), amount in self.balances.amounts().items() if ledger is Ledger.MONEY}
        owned = sum((each.value(self.balances.price) for each in self.balances.holdings()), ZERO)
        common = sum((money.get(name, ZERO) for name in (ROUNDING, DEFICIT, UNOWNED, SUBSCRIPTIONS)), ZERO)
        assert owned + common + self.balances.payable == -money.get(BOOK, ZERO) == self.moved + self.earned
        assert owned == sum((money.get(holder(name), ZERO) for name in (*ACCOUNTS, "owner")), ZERO)
        assert money.get(ROUNDING, ZERO) >= 0
        assert money.get(DEFICIT, ZERO) <= 0
        assert sum((each.units for each in self.balances.holdings()), ZERO) == self.balances.units
        for each in self.balances.holdings():
            assert min(each.units, each.mark, each.hurdle, each.accrued) >= 0
        self.check_rounding(money.get(ROUNDING, ZERO))

    def check_rounding(self, rounding: Decimal) -> None:
        """Hold the rounding against its bound: a step of the price a unit, a step of units and of cents a deal."""
        run = self.entries[max(n for n, each in enumerate(self.entries) if each.kind is EntryKind.VALUATION) :]
        dealt = [each.deal for each in run if each.deal is not None]
        units = self.balances.units + sum((abs(deal.units) for deal in dealt), ZERO)
        found = run[0].valuation
        assert found is not None
        carried = ZERO if found.units else found.rounding  # with nobody to share it, it waits
        bound = carried + units * PRICE_STEP + len(dealt) * (self.balances.price * UNIT_STEP + Decimal("0.01"))
        if self.balances.price:
            assert rounding <= bound
        self.peak_rounding = max(self.peak_rounding, rounding)


def charges(entries: list[Entry], terms: FundTerms) -> dict[str, Decimal]:
    """Check every fee on its own, and return what each account paid in all."""
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if entry.deal is None or entry.deal.fees is None:
            continue
        fees = entry.deal.fees
        if fees.performance:
            assert fees.value > fees.mark + fees.hurdle, "charged below the mark"
        assert fees.performance <= terms.performance_fee * fees.profit
        if terms.performance_fee_cap is not None:
            assert fees.performance <= terms.performance_fee_cap * fees.value
        paid[entry.account] += fees.performance
    return paid


def fee_ceilings(entries: list[Entry], terms: FundTerms) -> dict[str, Fraction]:
    """Return the most that each account may ever have been charged, from price and units alone.

    Each stretch between two movements of an account adds to the profit of what it holds now. The most that may be
    charged is the rate on the highest that this profit ever was, taken over parts that left with their share of it:
    a loss after a peak must be made good before anything new counts, and what left took its part of the profit along.
    """
    price = Fraction(0)
    units: dict[str, Fraction] = defaultdict(Fraction)
    profit: dict[str, Fraction] = defaultdict(Fraction)
    peak: dict[str, Fraction] = defaultdict(Fraction)
    left: dict[str, Fraction] = defaultdict(Fraction)
    for entry in entries:
        if entry.valuation is not None:
            new = Fraction(entry.valuation.price)
            for name, held in units.items():
                profit[name] += held * (new - price)
                peak[name] = max(peak[name], profit[name])
            price = new
        elif entry.kind is EntryKind.SEED:
            price = Fraction(terms.initial_price)
        elif entry.deal is not None:
            name, change = entry.account, Fraction(entry.deal.units)
            if entry.kind is EntryKind.WITHDRAWAL:
                share = -change / units[name]
                left[name] += peak[name] * share
                profit[name] *= 1 - share
                peak[name] *= 1 - share
            units[name] += change
    rate = Fraction(terms.performance_fee)
    return {name: rate * (peak[name] + left[name]) for name in units}


MONEY = st.integers(1000, 5_000_000).map(lambda cents: Decimal(cents) / 100)
STEPS = st.one_of(
    st.tuples(st.just("earn"), st.integers(-3000, 4000)),
    st.tuples(st.just("deposit"), st.sampled_from(ACCOUNTS), MONEY),
    st.tuples(st.just("withdraw"), st.sampled_from(ACCOUNTS), st.one_of(st.none(), MONEY)),
    st.tuples(st.just("days"), st.integers(1, 40)),
)
TERMS = st.builds(
    FundTerms,
    performance_fee=st.sampled_from([ZERO, Decimal("0.2"), Decimal("0.333333"), Decimal("0.5")]),
    performance_fee_cap=st.sampled_from([None, Decimal("0.01"), Decimal("0.000001")]),
    management_fee=st.sampled_from([ZERO, Decimal("0.02")]),
    hurdle=st.sampled_from([ZERO, Decimal("0.05")]),
    crystallisation=st.sampled_from(["monthly", "daily"]),
    payout=st.sampled_from([None, "monthly", "quarterly"]),
    payout_share=st.sampled_from([Decimal(1), Decimal("0.3")]),
    initial_price=st.sampled_from([Decimal(100), Decimal("0.01"), Decimal("70000")]),
    cutoff_h=st.sampled_from([0, 24]),
)


def live(terms: FundTerms, steps: list[tuple[object, ...]], shuffle: int = 0) -> Life:
    """Carry out the steps of a life; a profit or loss is in hundredths of a percent of the book."""
    life = Life(terms, shuffle=shuffle)
    for step in steps:
        match step:
            case ("earn", int(points)):
                life.earned += (life.moved + life.earned) * Decimal(points) / 10_000
            case ("deposit", str(account), Decimal() as amount):
                life.order(OrderKind.DEPOSIT, account, amount)
            case ("withdraw", str(account), amount):
                assert amount is None or isinstance(amount, Decimal)
                life.order(OrderKind.WITHDRAWAL, account, amount)
            case ("days", int(days)):
                life.pass_days(days)
    life.pass_days(1)
    return life


def check_life(terms: FundTerms, steps: list[tuple[object, ...]], shuffle: int) -> Life:
    """Live, and hold everything against the journal and an independent account of the profit."""
    life = live(terms, steps)
    assert replay(life.entries).amounts() == life.balances.amounts()
    paid, ceilings = charges(life.entries, terms), fee_ceilings(life.entries, terms)
    for account, total in paid.items():
        assert Fraction(total) <= ceilings[account], f"{account} paid twice for a profit"
    other = live(terms, steps, shuffle)
    assert other.balances.amounts() == life.balances.amounts(), "the order of accounts changed something"
    return life


@settings(max_examples=60, deadline=None)
@given(TERMS, st.lists(STEPS, min_size=1, max_size=25), st.integers(1, 1000))
def test_random_lives_lose_and_invent_nothing(terms: FundTerms, steps: list[tuple[object, ...]], shuffle: int) -> None:
    check_life(terms, steps, shuffle)


@pytest.mark.prove
@settings(max_examples=4000, deadline=None)
@given(TERMS, st.lists(STEPS, min_size=10, max_size=60), st.integers(1, 1000))
def test_many_long_lives_lose_and_invent_nothing(
    terms: FundTerms, steps: list[tuple[object, ...]], shuffle: int
) -> None:
    check_life(terms, steps, shuffle)
