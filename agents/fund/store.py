"""The records of funds in the database: each change in one transaction, under the lock of its fund's row.

What makes repeats harmless stands here: an entry's source is unique within its fund, an order's source too, a payment
becomes paid once. A crash before a commit leaves everything as it was, one after it leaves everything done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, Insert, RowMapping, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from agents.fund.details import read_details, write_details
from agents.fund.tables import (
    fund_accounts,
    fund_balances,
    fund_entries,
    fund_orders,
    fund_payments,
    fund_postings,
    funds,
)
from agents.fund.terms import FundTerms
from agents.fund.values import (
    Balances,
    Entry,
    EntryKind,
    FundOrder,
    FundRefused,
    Ledger,
    OrderKind,
    OrderState,
    Payment,
    Posting,
    holder,
)
from engine.domain.errors import DataUnavailable

PAY, REINVEST = "pay", "reinvest"
_DUE, _PAID = "due", "paid"


@dataclass(frozen=True, slots=True)
class FundRecord:
    """A fund as it stands.

    Attributes:
        valued_at: Of the last valuation.
        last_entry: Number of the last entry.
    """

    name: str
    terms: FundTerms
    opened_at: datetime
    valued_at: datetime
    last_entry: int


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An investment account.

    Attributes:
        holder: The person's name, for statements.
        payouts: `pay` or `reinvest`.
    """

    account: str
    holder: str
    payouts: str
    opened_at: datetime


class Writing:
    """An open transaction that holds a fund's lock.

    Attributes:
        fund: As it was when the lock was taken.
        balances: Likewise; hand changed ones to nobody else.
    """

    def __init__(self, connection: Connection, fund: FundRecord, stored: Mapping[tuple[Ledger, str], Decimal]) -> None:
        self.fund = fund
        self.balances = Balances(stored)
        self._connection = connection
        self._known = set(stored)
        self._last_entry = fund.last_entry

    def append(self, entries: Sequence[Entry], balances: Balances, *, valued_at: datetime | None = None) -> None:
        """Write entries, and the balances that they led to."""
        rows, lines = [], []
        for entry in entries:
            self._last_entry += 1
            rows.append(_entry_values(self.fund.name, self._last_entry, entry))
            lines += _posting_values(self.fund.name, self._last_entry, entry)
        for table, values in ((fund_entries, rows), (fund_postings, lines)):
            if values:
                self._connection.execute(insert(table), values)
        self._write_balances(balances, entries)
        marked = {"last_entry": self._last_entry, **({} if valued_at is None else {"valued_at": valued_at})}
        self._connection.execute(update(funds).where(funds.c.name == self.fund.name).values(marked))

    def order(self, source: str) -> FundOrder | None:
        """Return an order."""
        return _read_order(self._connection, self.fund.name, source)

    def orders(self, *states: OrderState) -> list[FundOrder]:
        """Return the orders in these states, as they were taken."""
        return _read_orders(self._connection, self.fund.name, states)

    def save_orders(self, orders: Iterable[FundOrder]) -> None:
        """Write where orders stand now."""
        for order in orders:
            mine = (fund_orders.c.fund == self.fund.name) & (fund_orders.c.source == order.source)
            changed = {
                "state": order.state.value,
                "reason": order.reason,
                "ready_at": order.ready_at,
                "dealt_at": order.dealt_at,
            }
            self._connection.execute(update(fund_orders).where(mine).values(changed))

    def save_payments(self, payments: Iterable[Payment], due_at: datetime) -> None:
        """Write down what is to leave the book."""
        for each in payments:
            values = {"fund": self.fund.name, "source": each.source, "payable": each.payable, "amount": each.amount}
            self._connection.execute(insert(fund_payments).values(values | {"state": _DUE, "due_at": due_at}))

    def mark_paid(self, payment: Payment, at: datetime) -> bool:
        """Mark a payment as paid; return whether this call did."""
        table = fund_payments.c
        due = (table.fund == self.fund.name) & (table.source == payment.source) & (table.state == _DUE)
        changed = self._connection.execute(update(fund_payments).where(due).values(state=_PAID, paid_at=at))
        return changed.rowcount == 1

    def reinvesting(self) -> set[str]:
        """Return the accounts that keep their payouts."""
        query = select(fund_accounts.c.account).where(
            fund_accounts.c.fund == self.fund.name, fund_accounts.c.payouts == REINVEST
        )
        return set(self._connection.execute(query).scalars())

    def _write_balances(self, balances: Balances, entries: Sequence[Entry]) -> None:
        changed = balances.changed(entries)
        new = [_balance_values(self.fund.name, *each) for each in changed.items() if each[0] not in self._known]
        old = [_balance_values(self.fund.name, *each, mark="_") for each in changed.items() if each[0] in self._known]
        for statement, values in ((insert(fund_balances), new), (_UPDATE_BALANCE, old)):
            if values:
                self._connection.execute(statement, values)
        self._known |= set(changed)


_UPDATE_BALANCE = (
    update(fund_balances)
    .where(
        fund_balances.c.fund == bindparam("_fund"),
        fund_balances.c.ledger == bindparam("_ledger"),
        fund_balances.c.account == bindparam("_account"),
    )
    .values(amount=bindparam("_amount"))
)


class FundStore:
    """All funds of a database.

    Every method raises `DataUnavailable` when the database does not answer, and those that name a fund `FundRefused`
    (`fund_not_found`) when it does not exist.
    """

    def __init__(self, database: Engine) -> None:
        self._database = database

    def create(self, name: str, terms: FundTerms, entry: Entry, owner: AccountRecord | None) -> bool:
        """Open a fund with its first entry; return False when there is one of that name already."""
        balances = Balances()
        balances.post(entry)
        with self._our_errors():
            try:
                with self._database.begin() as connection:
                    values = {"name": name, "terms": terms.model_dump_json(), "opened_at": entry.at}
                    connection.execute(insert(funds).values(values | {"valued_at": entry.at, "last_entry": 0}))
                    if owner is not None:
                        connection.execute(insert(fund_accounts).values(_account_values(name, owner)))
                    record = FundRecord(name, terms, entry.at, entry.at, 0)
                    Writing(connection, record, {}).append([entry], balances)
            except IntegrityError:
                return False
        return True

    def funds(self) -> list[FundRecord]:
        """Return every fund by name."""
        with self._reading() as connection:
            rows = connection.execute(select(funds).order_by(funds.c.name)).mappings()
            return [_fund(row) for row in rows]

    def fund(self, name: str) -> FundRecord:
        """Return one fund."""
        with self._reading() as connection:
            return _find_fund(connection, name)

    def snapshot(self, name: str) -> tuple[FundRecord, Balances]:
        """Return a fund and its balances, of one moment."""
        with self._reading() as connection:
            return _find_fund(connection, name), Balances(_read_balances(connection, name))

    @contextmanager
    def writing(self, name: str) -> Iterator[Writing]:
        """Open a transaction with the fund's lock."""
        with self._our_errors(), self._database.begin() as connection:
            fund = _find_fund(connection, name, is_locked=True)
            yield Writing(connection, fund, _read_balances(connection, name))

    def open_account(self, fund: str, account: AccountRecord) -> AccountRecord:
        """Open an account unless it is open, and return it as it stands."""
        self._insert_once(insert(fund_accounts).values(_account_values(fund, account)))
        found = self.account(fund, account.account)
        assert found is not None, "an account is never deleted"
        return found

    def change_account(self, fund: str, account: str, **changes: str) -> bool:
        """Change `holder` or `payouts` of an account; return whether there is one."""
        mine = (fund_accounts.c.fund == fund) & (fund_accounts.c.account == account)
        with self._our_errors(), self._database.begin() as connection:
            return connection.execute(update(fund_accounts).where(mine).values(changes)).rowcount == 1

    def account(self, fund: str, account: str) -> AccountRecord | None:
        """Return an account, or None."""
        return next((each for each in self.accounts(fund) if each.account == account), None)

    def accounts(self, fund: str) -> list[AccountRecord]:
        """Return the accounts of a fund by name."""
        query = select(fund_accounts).where(fund_accounts.c.fund == fund).order_by(fund_accounts.c.account)
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            return [AccountRecord(row["account"], row["holder"], row["payouts"], row["opened_at"]) for row in rows]

    def take(self, fund: str, order: FundOrder) -> FundOrder:
        """Write an order down, or return what is there already under its source."""
        known = self.order(fund, order.source)
        if known is not None:
            return known
        self._insert_once(insert(fund_orders).values(_order_values(fund, order)))
        stored = self.order(fund, order.source)
        assert stored is not None, "an order is never deleted"
        return stored

    def order(self, fund: str, source: str) -> FundOrder | None:
        """Return an order by its source."""
        with self._reading() as connection:
            return _read_order(connection, fund, source)

    def orders(self, fund: str, *states: OrderState) -> list[FundOrder]:
        """Return the orders in these states, as they were taken."""
        with self._reading() as connection:
            return _read_orders(connection, fund, states)

    def due_payments(self, fund: str) -> list[Payment]:
        """Return what has not left the book yet, oldest first."""
        table = fund_payments.c
        query = select(table.source, table.payable, table.amount).where(table.fund == fund, table.state == _DUE)
        with self._reading() as connection:
            return [Payment(*row) for row in connection.execute(query.order_by(table.due_at, table.source))]

    def entries(self, fund: str, account: str | None = None) -> list[Entry]:
        """Return the journal in its order.

        Args:
            fund: Whose.
            account: Only the valuations and the entries of this account, with only its own postings and the price's.
        """
        table, lines = fund_entries.c, fund_postings.c
        entries = select(fund_entries).where(table.fund == fund).order_by(table.number)
        postings = select(fund_postings).where(lines.fund == fund).order_by(lines.entry, lines.line)
        if account is not None:
            entries = entries.where(or_(table.account == account, table.kind == EntryKind.VALUATION.value))
        with self._reading() as connection:
            _find_fund(connection, fund)
            rows = connection.execute(entries).mappings().all()
            by_entry: dict[int, list[Posting]] = {}
            if account is not None:
                postings = postings.where(lines.account == holder(account))
            for row in connection.execute(postings).mappings():
                by_entry.setdefault(row["entry"], []).append(_posting(row))
        return [_entry(row, by_entry.get(row["number"], []), is_whole=account is None) for row in rows]

    def _insert_once(self, statement: Insert) -> None:
        with self._our_errors():
            try:
                with self._database.begin() as connection:
                    connection.execute(statement)
            except IntegrityError:
                return

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with (
            self._our_errors(),
            self._database.connect().execution_options(read_only=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise DataUnavailable(f"the database did not answer: {error}") from error


def _find_fund(connection: Connection, name: str, *, is_locked: bool = False) -> FundRecord:
    query = select(funds).where(funds.c.name == name)
    row = connection.execute(query.with_for_update() if is_locked else query).mappings().one_or_none()
    if row is None:
        raise FundRefused("fund_not_found", fund=name)
    return _fund(row)


def _fund(row: RowMapping) -> FundRecord:
    terms = FundTerms.model_validate_json(row["terms"])
    return FundRecord(row["name"], terms, row["opened_at"], row["valued_at"], row["last_entry"])


def _read_balances(connection: Connection, fund: str) -> dict[tuple[Ledger, str], Decimal]:
    query = select(fund_balances).where(fund_balances.c.fund == fund)
    return {(Ledger(row["ledger"]), row["account"]): row["amount"] for row in connection.execute(query).mappings()}


def _balance_values(fund: str, key: tuple[Ledger, str], amount: Decimal, mark: str = "") -> dict[str, object]:
    values = {"fund": fund, "ledger": key[0].value, "account": key[1], "amount": amount}
    return {mark + name: value for name, value in values.items()}


def _account_values(fund: str, account: AccountRecord) -> dict[str, object]:
    return {
        "fund": fund,
        "account": account.account,
        "holder": account.holder,
        "payouts": account.payouts,
        "opened_at": account.opened_at,
    }


def _entry_values(fund: str, number: int, entry: Entry) -> dict[str, object]:
    return {
        "fund": fund,
        "number": number,
        "kind": entry.kind.value,
        "source": entry.source,
        "account": entry.account,
        "at": entry.at,
        "details": write_details(entry),
    }


def _posting_values(fund: str, number: int, entry: Entry) -> list[dict[str, object]]:
    return [
        {
            "fund": fund,
            "entry": number,
            "line": line,
            "ledger": each.ledger.value,
            "account": each.account,
            "amount": each.amount,
        }
        for line, each in enumerate(entry.postings)
    ]


def _posting(row: RowMapping) -> Posting:
    return Posting(Ledger(row["ledger"]), row["account"], row["amount"])


def _entry(row: RowMapping, postings: list[Posting], *, is_whole: bool) -> Entry:
    deal, valuation = read_details(row["details"])
    return Entry(
        EntryKind(row["kind"]),
        row["source"],
        row["at"],
        row["account"],
        tuple(postings),
        deal,
        valuation,
        is_whole=is_whole,
    )


def _order_values(fund: str, order: FundOrder) -> dict[str, object]:
    return {
        "fund": fund,
        "source": order.source,
        "kind": order.kind.value,
        "account": order.account,
        "amount": order.amount,
        "state": order.state.value,
        "reason": order.reason,
        "taken_at": order.taken_at,
        "ready_at": order.ready_at,
        "dealt_at": order.dealt_at,
    }


def _read_order(connection: Connection, fund: str, source: str) -> FundOrder | None:
    query = select(fund_orders).where(fund_orders.c.fund == fund, fund_orders.c.source == source)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _order(row)


def _read_orders(connection: Connection, fund: str, states: Sequence[OrderState]) -> list[FundOrder]:
    table = fund_orders.c
    query = select(fund_orders).where(table.fund == fund, table.state.in_([state.value for state in states]))
    rows = connection.execute(query.order_by(table.taken_at, table.source)).mappings()
    return [_order(row) for row in rows]


def _order(row: RowMapping) -> FundOrder:
    return FundOrder(
        row["source"],
        OrderKind(row["kind"]),
        row["account"],
        row["amount"],
        OrderState(row["state"]),
        row["taken_at"],
        row["ready_at"],
        row["dealt_at"],
        row["reason"],
    )
