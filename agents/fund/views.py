"""What can be seen of funds: each fund and account at the last valuation, what a run did, and the audit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.fund.arithmetic import negative
from agents.fund.fees import calculate_fees
from agents.fund.store import AccountRecord, FundRecord, FundStore
from agents.fund.terms import FundTerms
from agents.fund.values import (
    DOUBLE_ENTRY,
    Balances,
    Entry,
    EntryKind,
    FeeCalculation,
    FundOrder,
    Holding,
    Ledger,
    OrderState,
    Valuation,
    holder,
)
from engine.ledger import exact_sum


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account at the last valuation.

    Attributes:
        value: Fees not yet taken included.
        fees: What taking them now would cost; None without units, or without a price.
    """

    record: AccountRecord
    holding: Holding
    value: Decimal
    fees: FeeCalculation | None

    @property
    def net_value(self) -> Decimal:
        """Return the value less the fees that are not taken yet."""
        return self.value if self.fees is None else exact_sum((self.value, negative(self.fees.total)))


@dataclass(frozen=True, slots=True)
class FundStatus:
    """A fund at its last valuation.

    Attributes:
        owned: What the accounts own together, fees not yet taken included.
        payable: What is owed out of the book.
        waiting: Orders for the next valuation.
    """

    record: FundRecord
    price: Decimal
    units: Decimal
    owned: Decimal
    payable: Decimal
    accounts: int
    waiting: tuple[FundOrder, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one valuation did.

    Attributes:
        periods: Names of the periods of fees and payouts that ended with it.
        entries: Of this run, the valuation first.
        rejected: Orders that could not be dealt, with reasons.
    """

    fund: str
    at: datetime
    valuation: Valuation
    periods: tuple[str, ...]
    entries: tuple[Entry, ...]
    rejected: tuple[FundOrder, ...]

    def total(self, kind: EntryKind) -> Decimal:
        """Return the money of all entries of a kind, fees included."""
        return exact_sum(each.deal.amount for each in self.entries if each.kind is kind and each.deal is not None)

    @property
    def fees(self) -> Decimal:
        """Return all fees taken, on withdrawals too."""
        return exact_sum(each.deal.fees.total for each in self.entries if each.deal is not None and each.deal.fees)


def fund_status(store: FundStore, name: str) -> FundStatus:
    """Return one fund at its last valuation."""
    record, balances = store.snapshot(name)
    holdings = balances.holdings()
    return FundStatus(
        record,
        balances.price,
        balances.units,
        exact_sum(each.value(balances.price) for each in holdings),
        balances.payable,
        len(holdings),
        tuple(store.orders(name, OrderState.TAKEN, OrderState.READY)),
    )


def account_statuses(store: FundStore, fund: str) -> tuple[AccountStatus, ...]:
    """Return the accounts of a fund at its last valuation, by name."""
    record, balances = store.snapshot(fund)
    return tuple(
        account_status(each, balances.holding(each.account), balances.price, record.terms)
        for each in store.accounts(fund)
    )


def account_status(record: AccountRecord, holding: Holding, price: Decimal, terms: FundTerms) -> AccountStatus:
    """Return an account at a price, with the fees that taking them now would cost."""
    fees = calculate_fees(holding, price, terms) if holding.units and price else None
    return AccountStatus(record, holding, holding.value(price), fees)


def replay(entries: Iterable[Entry]) -> Balances:
    """Return the state that a journal leads to, from its postings alone."""
    balances = Balances()
    for entry in entries:
        balances.post(entry)
    return balances


def audit_fund(store: FundStore, fund: str) -> tuple[str, ...]:
    """Return where the records of a fund differ from what its journal adds up to; empty when all is well."""
    kept = store.snapshot(fund)[1].amounts()
    entries = store.entries(fund)
    told = replay(entries)
    amounts = told.amounts()
    differing = (key for key in sorted(kept.keys() | amounts.keys()) if kept.get(key) != amounts.get(key))
    return (
        *(f"balance {ledger} {account}" for ledger, account in differing),
        *_wrong_sums(told),
        *_unbooked_orders(store, fund, {entry.source for entry in entries}),
    )


def _wrong_sums(balances: Balances) -> Iterator[str]:
    for each in balances.holdings():
        if negative(balances[Ledger.MONEY, holder(each.account)]) != each.value(balances.price):
            yield f"value {each.account}"
    for ledger in DOUBLE_ENTRY:
        if exact_sum(amount for (its, _), amount in balances.amounts().items() if its is ledger):
            yield f"sum {ledger}"


def _unbooked_orders(store: FundStore, fund: str, sources: set[str]) -> Iterator[str]:
    for order in store.orders(fund, OrderState.DEALT):
        if f"{order.kind}:{order.source}" not in sources:
            yield f"order {order.source}"
