"""Values of a fund: entries and their postings, balances, orders, and what the fund needs of the desk.

Everything that a fund knows is a sum of postings. Two ledgers are double-entry and sum to zero in every entry: `money`
and `units`. The others are memoranda with one line each: an account's high-water `mark`, its `hurdle`, the `basis` of
its next payout, the management fee `accrued`, the `price` of a unit and the book's `result`. So adding up the journal
gives the whole state again, to the last digit.

Signs in `money`: assets above 0 (`book`), what is owed and what holders own below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from agents.fund.arithmetic import ZERO, negative
from engine.domain.errors import InvalidRequest
from engine.ledger import exact_product, exact_sum


class FundRefused(InvalidRequest):
    """A request to a fund cannot be carried out as it stands.

    The code begins with `fund_`; its words are in `prompts/<language>/fund.yaml`, section `errors`.
    """


class Ledger(StrEnum):
    """What a posting counts."""

    MONEY = "money"
    UNITS = "units"
    MARK = "mark"
    HURDLE = "hurdle"
    BASIS = "basis"
    ACCRUED = "accrued"
    PRICE = "price"
    RESULT = "result"


DOUBLE_ENTRY = (Ledger.MONEY, Ledger.UNITS)

BOOK = "book"
"""Asset: what the agent's book is worth."""
SUBSCRIPTIONS = "subscriptions"
"""Owed: money in the book that has not become units yet."""
ROUNDING = "rounding"
"""Holders' own, in common: what roundings left over since the last valuation."""
DEFICIT = "deficit"
"""What the book owes beyond everything the holders had."""
UNOWNED = "unowned"
"""Result made while nobody held a unit."""
FEES = "payable:fees"
ISSUED = "issued"
FUND = "fund"
"""Name of the fund itself in the memoranda."""
_HOLDER = "holder:"


def holder(account: str) -> str:
    """Return the name under which an investment account stands in every ledger."""
    return _HOLDER + account


class EntryKind(StrEnum):
    """What an entry books."""

    SEED = "seed"
    """What was in the book when the fund was opened becomes its owner's units."""
    FUNDED = "funded"
    """Money for a deposit has reached the book."""
    VALUATION = "valuation"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    FEE = "fee"
    PAYOUT = "payout"
    REINVESTMENT = "reinvestment"
    REFUND = "refund"
    SETTLEMENT = "settlement"
    """A payment has left the book."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry."""

    ledger: Ledger
    account: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class FeeCalculation:
    """How a fee was found, with every figure that it needs; money in account currency.

    Attributes:
        value: Of the account at this price, before anything is taken.
        management: Management fee that had accrued (`accrued`), as charged.
        mark, hurdle: Before.
        profit: `value − accrued − mark − hurdle`, at least 0.
        share: Part of the account that it is taken on: 1, or what is withdrawn.
        performance: As charged, in cents; `uncapped` before the cap.
        mark_after, hurdle_after: Afterwards, of what remains.
    """

    value: Decimal
    accrued: Decimal
    mark: Decimal
    hurdle: Decimal
    profit: Decimal
    share: Decimal
    rate: Decimal
    uncapped: Decimal
    management: Decimal
    performance: Decimal
    mark_after: Decimal
    hurdle_after: Decimal

    @property
    def total(self) -> Decimal:
        """Return both fees together."""
        return exact_sum((self.management, self.performance))


@dataclass(frozen=True, slots=True)
class Deal:
    """What an entry did to one account.

    Attributes:
        amount: Money by which the account changed hands, fees included.
        price: Of a unit.
        units: Issued (above 0) or redeemed (below).
        paid: What was handed over after fees; 0 for a fee and for what was reinvested.
    """

    amount: Decimal
    price: Decimal
    units: Decimal
    paid: Decimal = ZERO
    fees: FeeCalculation | None = None


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a valuation found.

    Attributes:
        equity, transferred: Of the agent's book, as the desk had it.
        net_assets: What the holders own together.
        units: Of all accounts, before the orders of this valuation.
        price: Of a unit, rounded down; `issue_price` rounded up.
        rounding: Held in common.
    """

    equity: Decimal
    transferred: Decimal
    net_assets: Decimal
    units: Decimal
    price: Decimal
    issue_price: Decimal
    rounding: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the journal of a fund.

    Attributes:
        source: What it comes from; once in the life of the fund.
        account: Whose; empty when it is the fund's.
        postings: Those in `money` and those in `units` sum to zero.
        is_whole: False when only some of its postings are at hand, which then prove nothing.
    """

    kind: EntryKind
    source: str
    at: datetime
    account: str
    postings: tuple[Posting, ...]
    deal: Deal | None = None
    valuation: Valuation | None = None
    is_whole: bool = True

    def __post_init__(self) -> None:
        for ledger in DOUBLE_ENTRY if self.is_whole else ():
            off = exact_sum(each.amount for each in self.postings if each.ledger is ledger)
            if off:
                raise ValueError(f"entry {self.source!r} is off by {off} in {ledger}")


@dataclass(frozen=True, slots=True)
class Holding:
    """What one account has; see `FundTerms` and `FeeCalculation` for the words."""

    account: str
    units: Decimal = ZERO
    mark: Decimal = ZERO
    hurdle: Decimal = ZERO
    basis: Decimal = ZERO
    accrued: Decimal = ZERO

    def value(self, price: Decimal) -> Decimal:
        """Return the exact value at a price, fees not yet taken included."""
        return exact_product(self.units, price)


class Balances:
    """Running totals of postings: the whole state of a fund.

    Args:
        start: Balances by ledger and account; copied.
    """

    def __init__(self, start: Mapping[tuple[Ledger, str], Decimal] | None = None) -> None:
        self._amounts = dict(start or {})

    def __getitem__(self, key: tuple[Ledger, str]) -> Decimal:
        return self._amounts.get(key, ZERO)

    def post(self, entry: Entry) -> None:
        """Add an entry."""
        for posting in entry.postings:
            key = (posting.ledger, posting.account)
            self._amounts[key] = exact_sum((self[key], posting.amount))

    def changed(self, entries: Iterable[Entry]) -> dict[tuple[Ledger, str], Decimal]:
        """Return the balances that these entries touched."""
        keys = {(posting.ledger, posting.account) for entry in entries for posting in entry.postings}
        return {key: self[key] for key in sorted(keys)}

    def amounts(self) -> dict[tuple[Ledger, str], Decimal]:
        """Return every balance that is not zero."""
        return {key: amount for key, amount in sorted(self._amounts.items()) if amount}

    def holding(self, account: str) -> Holding:
        """Return what an account has."""
        name = holder(account)
        memo = (Ledger.UNITS, Ledger.MARK, Ledger.HURDLE, Ledger.BASIS, Ledger.ACCRUED)
        return Holding(account, *(self[ledger, name] for ledger in memo))

    def holdings(self) -> tuple[Holding, ...]:
        """Return what the accounts have that hold units, by name."""
        names = sorted(name for ledger, name in self._amounts if ledger is Ledger.UNITS and name.startswith(_HOLDER))
        return tuple(self.holding(name.removeprefix(_HOLDER)) for name in names if self[Ledger.UNITS, name])

    @property
    def units(self) -> Decimal:
        """Return the units of all accounts."""
        return negative(self[Ledger.UNITS, ISSUED])

    @property
    def price(self) -> Decimal:
        """Return the price of a unit at the last valuation; 0 before the first."""
        return self[Ledger.PRICE, FUND]

    @property
    def result(self) -> Decimal:
        """Return profit and loss of the book up to the last valuation."""
        return self[Ledger.RESULT, FUND]

    @property
    def transferred(self) -> Decimal:
        """Return the money that was moved into the book, less what has left it, as this journal has it."""
        return exact_sum((self[Ledger.MONEY, BOOK], negative(self.result)))

    @property
    def payable(self) -> Decimal:
        """Return what is owed out of the book: withdrawals, payouts, refunds and fees."""
        owed = (amount for (ledger, name), amount in self._amounts.items() if _is_payable(ledger, name))
        return negative(exact_sum(owed))


def _is_payable(ledger: Ledger, name: str) -> bool:
    return ledger is Ledger.MONEY and name.startswith("payable:")


class OrderKind(StrEnum):
    """What an order asks."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class OrderState(StrEnum):
    """Life of an order."""

    TAKEN = "taken"
    """Written down; the money of a deposit has not reached the book yet."""
    READY = "ready"
    """Waits for the next valuation."""
    DEALT = "dealt"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class FundOrder:
    """A deposit or a withdrawal.

    Attributes:
        source: What it comes from; once in the life of the fund.
        amount: In cents; None is everything that the account holds.
        reason: Why it was rejected; a stable code.
        ready_at: From when on it waits for a valuation.
    """

    source: str
    kind: OrderKind
    account: str
    amount: Decimal | None
    state: OrderState
    taken_at: datetime
    ready_at: datetime | None = None
    dealt_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that is to leave the book.

    Attributes:
        source: Under which the desk moves it once.
        payable: The account in `money` that owes it.
    """

    source: str
    payable: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class BookValue:
    """An agent's book at one moment.

    Attributes:
        equity: Cash plus marked positions.
        transferred: Money moved into the book less what was moved out of it, ever.
    """

    equity: Decimal
    transferred: Decimal

    @property
    def result(self) -> Decimal:
        """Return profit and loss, which no transfer changes, whenever it happens."""
        return exact_sum((self.equity, negative(self.transferred)))


class FundBooks(Protocol):
    """What a fund needs of the desk."""

    def now(self) -> datetime:
        """Return the market's present, aware UTC."""
        ...

    async def value(self, book: str, at: datetime) -> BookValue:
        """Return a book at a time that is not in the future.

        Raises:
            DataUnavailable: Something held then has no price.
            VenueUnavailable: The venue did not answer.
        """
        ...

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        """Move money once for a source; return whether it stands moved (also when it was before), False for no money.

        Raises:
            DataUnavailable, VenueUnavailable: It may have been moved or not; ask again.
        """
        ...


@dataclass(slots=True)
class Dealt:
    """What a valuation run books, all of it in one transaction.

    Attributes:
        orders: As they stand afterwards.
    """

    entries: list[Entry] = field(default_factory=list)
    orders: list[FundOrder] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
