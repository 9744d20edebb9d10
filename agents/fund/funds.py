"""Funds at work: take orders, value by the calendar, move the money at the desk, and survive a crash anywhere.

A fund is the book of one agent. Money is moved between books by the desk, in a transaction of its own, once for each
source; the fund's journal follows in a second one. Between the two a crash may fall, so before anything else every
open movement is asked for again under the same source, which moves nothing twice and says what stands. What a fund
earned is `equity − transferred` of the book, which no movement changes, wherever it stands at that moment.

A deposit's money moves into the book when the order is taken; it belongs to nobody's units until the next valuation.
A payment is owed from its valuation on and leaves the book as soon as there is cash for it. Periods that passed while
nothing ran are caught up with in order, each at the value of its own end, each in one transaction, each once.

Money that reached the book in another way would be taken for profit and fees be charged on it; so a book whose
transfers are not the fund's own is not valued at all (`fund_books_differ`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine

from agents.fund.arithmetic import is_in_cents
from agents.fund.calendar import Calendar, boundaries, is_boundary, period_ending
from agents.fund.dealing import fund_deposit, open_books, refund_deposit, run_valuation, settle_payment
from agents.fund.store import PAY, REINVEST, AccountRecord, FundRecord, FundStore, Writing
from agents.fund.terms import ACCOUNT_PATTERN, BOOK_PATTERN, FundTerms
from agents.fund.values import FEES, Entry, FundBooks, FundOrder, FundRefused, OrderKind, OrderState, Payment
from agents.fund.views import AccountStatus, FundStatus, RunReport, account_statuses, audit_fund, fund_status

OWNER = "owner"
"""The account that what is in a book belongs to when its fund is opened."""
_BOOK = re.compile(BOOK_PATTERN, re.ASCII)
_ACCOUNT = re.compile(ACCOUNT_PATTERN, re.ASCII)
_SOURCE = re.compile(r"[!-~]{1,64}", re.ASCII)
_LOOKS = 3
"""How often the book is looked at again when another process may be moving money right now."""
_PAYMENTS_AT_ONCE = 100
_MOST = Decimal("1E12")


def _no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


class Funds:
    """All funds of one database and one desk; every method is safe to repeat.

    Args:
        database: Where the records are.
        books: The desk's books.
        checkpoint: Called with the name of each step; crash tests stop the process there.

    Raises, from every method: `DataUnavailable` when the database does not answer, and `FundRefused` for what
    cannot be done.
    """

    def __init__(
        self, database: Engine, books: FundBooks, *, checkpoint: Callable[[str], None] = _no_checkpoint
    ) -> None:
        self._store = FundStore(database)
        self._books = books
        self._checkpoint = checkpoint

    @property
    def store(self) -> FundStore:
        """Return the records, to be read."""
        return self._store

    def now(self) -> datetime:
        """Return the market's present."""
        return self._books.now()

    async def open_fund(self, name: str, terms: FundTerms, *, holder_name: str = "") -> FundRecord:
        """Open a fund on an agent's book; what is in the book becomes units of the account `owner`.

        Opening it again with the same terms changes nothing.

        Raises:
            FundRefused: `fund_bad_name`, `fund_exists` (with other terms), `fund_worthless`.
            DataUnavailable, VenueUnavailable: The book cannot be valued.
        """
        if not _BOOK.fullmatch(name) or name in (terms.cash_book, terms.fee_book):
            raise FundRefused("fund_bad_name", name=name)
        now = self._books.now()
        value = await self._books.value(name, now)
        if value.equity < 0:
            raise FundRefused("fund_worthless", fund=name)
        entry = open_books(terms, now, value, OWNER)
        owner = AccountRecord(OWNER, holder_name or OWNER, REINVEST, now) if entry.account else None
        self._store.create(name, terms, entry, owner)
        record = self._store.fund(name)
        if record.terms != terms:
            raise FundRefused("fund_exists", fund=name)
        return record

    def list_funds(self) -> tuple[FundStatus, ...]:
        """Return every fund at its last valuation, by name."""
        return tuple(fund_status(self._store, record.name) for record in self._store.funds())

    def fund(self, name: str) -> FundStatus:
        """Return one fund at its last valuation."""
        return fund_status(self._store, name)

    def accounts(self, fund: str) -> tuple[AccountStatus, ...]:
        """Return the accounts of a fund at its last valuation, by name."""
        return account_statuses(self._store, fund)

    def audit(self, fund: str) -> tuple[str, ...]:
        """Add up the journal again and return where the records differ from it; empty when all is well."""
        return audit_fund(self._store, fund)

    def change_account(
        self, fund: str, account: str, *, holder_name: str | None = None, payouts: str | None = None
    ) -> None:
        """Change the name on an account's statements, or what becomes of its payouts (`pay` or `reinvest`).

        Raises:
            FundRefused: `fund_account_not_found` or `fund_bad_payouts`.
        """
        self._store.fund(fund)
        if payouts not in (None, PAY, REINVEST):
            raise FundRefused("fund_bad_payouts", value=payouts)
        changes = {"holder": holder_name, "payouts": payouts}
        wanted = {name: value for name, value in changes.items() if value is not None}
        if wanted and not self._store.change_account(fund, account, **wanted):
            raise FundRefused("fund_account_not_found", fund=fund, account=account)

    async def deposit(
        self, fund: str, account: str, amount: Decimal, source: str, *, holder_name: str = "", payouts: str = PAY
    ) -> FundOrder:
        """Take a deposit, move its money into the book, and let it wait for the next valuation.

        The first deposit opens the account.

        Args:
            fund: Into which.
            account: Whose.
            amount: In cents, from the fund's cash book.
            source: What it comes from; the same source never deposits twice.
            holder_name: The person's name, when the account is new.
            payouts: `pay` or `reinvest`, when the account is new.

        Returns:
            The order: ready, or rejected with reason `no_cash`; dealt when it is a repeat.

        Raises:
            FundRefused: `fund_bad_name`, `fund_bad_source`, `fund_bad_amount`, `fund_bad_payouts`,
                `fund_below_minimum`, `fund_order_conflict` (the source was used with other terms).
            DataUnavailable, VenueUnavailable: The desk did not answer; the order stands and is tried again.
        """
        terms = self._store.fund(fund).terms
        self._check(account, source, amount)
        if payouts not in (PAY, REINVEST):
            raise FundRefused("fund_bad_payouts", value=payouts)
        if amount < terms.minimum_deposit:
            raise FundRefused("fund_below_minimum", amount=amount, minimum=terms.minimum_deposit)
        now = self._books.now()
        self._take(fund, FundOrder(source, OrderKind.DEPOSIT, account, amount, OrderState.TAKEN, now))
        self._store.open_account(fund, AccountRecord(account, holder_name or account, payouts, now))
        self._checkpoint("taken")
        await self._fund_deposits(fund)
        return self._order(fund, source)

    async def withdraw(self, fund: str, account: str, amount: Decimal | None, source: str) -> FundOrder:
        """Take a withdrawal and let it wait for the next valuation.

        Args:
            fund: Out of which.
            account: Whose.
            amount: In cents, before the fees that fall due on it; None is everything.
            source: What it comes from; the same source never withdraws twice.

        Raises:
            FundRefused: As `deposit`, and `fund_account_not_found`.
        """
        self._store.fund(fund)
        self._check(account, source, amount)
        if self._store.account(fund, account) is None:
            raise FundRefused("fund_account_not_found", fund=fund, account=account)
        now = self._books.now()
        order = FundOrder(source, OrderKind.WITHDRAWAL, account, amount, OrderState.READY, now, now)
        return self._take(fund, order)

    async def cancel(self, fund: str, source: str) -> FundOrder:
        """Take back an order that was not dealt yet, and give back its money; harmless when it is closed.

        Raises:
            FundRefused: `fund_order_not_found`.
        """
        await self._fund_deposits(fund)
        with self._store.writing(fund) as writing:
            order = writing.order(source)
            if order is None:
                raise FundRefused("fund_order_not_found", fund=fund, source=source)
            if order.state is OrderState.READY:
                self._cancel_ready(writing, order)
        await self._pay_due(fund)
        return self._order(fund, source)

    async def run_due(self, fund: str) -> tuple[RunReport, ...]:
        """Do everything that the calendar asks for up to now, in order; a second call does nothing.

        Raises:
            FundRefused: `fund_books_differ`: the book's transfers are not the fund's own.
            DataUnavailable: The book had no price at the end of a period; what came before is done.
            VenueUnavailable: The venue did not answer.
        """
        await self._prepare(fund)
        reports = []
        while (at := self._next_boundary(fund)) is not None:
            report = await self._run(fund, at)
            if report is not None:
                reports.append(report)
        await self._pay_due(fund)
        return tuple(reports)

    async def value(self, fund: str) -> tuple[RunReport, ...]:
        """Do what is due, then value the fund now and deal the orders that wait.

        Raises:
            As `run_due`.
        """
        reports = await self.run_due(fund)
        report = await self._run(fund, self._books.now())
        await self._pay_due(fund)
        return reports if report is None else (*reports, report)

    async def settle(self, fund: str) -> None:
        """Move what money is still to be moved; call it after a start."""
        await self._fund_deposits(fund)
        await self._pay_due(fund)

    def _check(self, account: str, source: str, amount: Decimal | None) -> None:
        if not _ACCOUNT.fullmatch(account):
            raise FundRefused("fund_bad_name", name=account)
        if not _SOURCE.fullmatch(source):
            raise FundRefused("fund_bad_source", source=source)
        if amount is not None and not (amount.is_finite() and 0 < amount <= _MOST and is_in_cents(amount)):
            raise FundRefused("fund_bad_amount", amount=amount)

    def _take(self, fund: str, order: FundOrder) -> FundOrder:
        stored = self._store.take(fund, order)
        if (stored.kind, stored.account, stored.amount) != (order.kind, order.account, order.amount):
            raise FundRefused("fund_order_conflict", source=order.source)
        return stored

    def _order(self, fund: str, source: str) -> FundOrder:
        order = self._store.order(fund, source)
        assert order is not None, "an order is never deleted"
        return order

    async def _fund_deposits(self, fund: str) -> None:
        """Move the money of every deposit that is only taken; what is not there rejects it."""
        cash_book = self._store.fund(fund).terms.cash_book
        for order in self._store.orders(fund, OrderState.TAKEN):
            assert order.amount is not None, "a deposit has an amount"
            source = f"fund:{fund}:deposit:{order.source}"
            is_moved = await self._books.transfer(order.amount, cash_book, fund, source)
            self._checkpoint("moved in")
            self._close_funding(fund, order, is_moved=is_moved)
            self._checkpoint("funded")

    def _close_funding(self, fund: str, order: FundOrder, *, is_moved: bool) -> None:
        now = self._books.now()
        with self._store.writing(fund) as writing:
            stored = writing.order(order.source)
            assert stored is not None, "an order is never deleted"
            # A process beside this one may have found no money a moment ago; that it stands moved is what counts.
            if is_moved and stored.state in (OrderState.TAKEN, OrderState.REJECTED) and stored.ready_at is None:
                _append(writing, [fund_deposit(stored, now)])
                writing.save_orders([replace(stored, state=OrderState.READY, reason="", ready_at=now)])
            elif not is_moved and stored.state is OrderState.TAKEN:
                writing.save_orders([replace(stored, state=OrderState.REJECTED, reason="no_cash")])

    def _cancel_ready(self, writing: Writing, order: FundOrder) -> None:
        now = self._books.now()
        if order.kind is OrderKind.DEPOSIT:
            entry, payment = refund_deposit(writing.fund.name, order, now)
            _append(writing, [entry])
            writing.save_payments([payment], now)
        writing.save_orders([replace(order, state=OrderState.CANCELLED)])

    async def _pay_due(self, fund: str) -> None:
        """Move what is owed out of the book; what it has no cash for stays owed."""
        due = self._store.due_payments(fund)
        for first in range(0, len(due), _PAYMENTS_AT_ONCE):
            await self._pay(fund, due[first : first + _PAYMENTS_AT_ONCE])

    async def _pay(self, fund: str, payments: Sequence[Payment]) -> None:
        """Move some payments at the desk, then book those that stand moved, in one transaction."""
        terms, moved = self._store.fund(fund).terms, []
        for payment in payments:
            target = terms.fee_book if payment.payable == FEES else terms.cash_book
            if await self._books.transfer(payment.amount, fund, target, payment.source):
                moved.append(payment)
            self._checkpoint("moved out")
        if not moved:
            return
        now = self._books.now()
        with self._store.writing(fund) as writing:
            paid = [payment for payment in moved if writing.mark_paid(payment, now)]
            _append(writing, [settle_payment(payment, now) for payment in paid])
        self._checkpoint("paid")

    async def _prepare(self, fund: str) -> None:
        """Settle what is open and see that the book's transfers are the fund's own."""
        for _ in range(_LOOKS):
            await self.settle(fund)
            found = (await self._books.value(fund, self._books.now())).transferred
            ours = self._store.snapshot(fund)[1].transferred
            if found == ours:
                return
        raise FundRefused("fund_books_differ", fund=fund, found=found, ours=ours)

    def _next_boundary(self, fund: str) -> datetime | None:
        """Return the next end of a period up to now; the last one of all while there is nothing to value."""
        record, balances = self._store.snapshot(fund)
        dates = boundaries(record.valued_at, self._books.now(), _calendars(record.terms))
        first = next(dates, None)
        if first is None or balances.units or self._store.orders(fund, OrderState.READY):
            return first
        return max(dates, default=first)

    async def _run(self, fund: str, at: datetime) -> RunReport | None:
        """Value and deal in one transaction; None when another process was there first."""
        value = await self._books.value(fund, at)
        self._checkpoint("valued")
        with self._store.writing(fund) as writing:
            record, balances = writing.fund, writing.balances
            if at <= record.valued_at:
                return None
            dealt = run_valuation(
                fund,
                record.terms,
                balances,
                value,
                at,
                since=record.valued_at,
                orders=writing.orders(OrderState.READY),
                reinvesting=writing.reinvesting(),
            )
            writing.append(dealt.entries, balances, valued_at=at)
            writing.save_orders(dealt.orders)
            writing.save_payments(dealt.payments, at)
            self._checkpoint("written")
        self._checkpoint("dealt")
        valuation = dealt.entries[0].valuation
        assert valuation is not None, "the first entry of a run is its valuation"
        rejected = tuple(order for order in dealt.orders if order.state is OrderState.REJECTED)
        return RunReport(fund, at, valuation, _periods(record.terms, at), tuple(dealt.entries), rejected)


def _append(writing: Writing, entries: list[Entry]) -> None:
    for entry in entries:
        writing.balances.post(entry)
    writing.append(entries, writing.balances)


def _calendars(terms: FundTerms) -> tuple[Calendar, ...]:
    """Return the calendars at whose boundaries a fund is valued."""
    payout = () if terms.payout is None else (terms.payout,)
    return (terms.dealing, terms.crystallisation, *payout)


def _periods(terms: FundTerms, at: datetime) -> tuple[str, ...]:
    """Return the periods of fees and payouts that end at a moment."""
    ending = {period_ending(at, each).name for each in _calendars(terms)[1:] if is_boundary(at, each)}
    return tuple(sorted(ending))
