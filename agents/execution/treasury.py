"""Money between the outside, the account and its books: deposits, transfers, opening an empty ledger.

All of it is double entry and happens once for a source, whatever crashes or is called at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agents.execution.observing import Observer, free_cash
from agents.execution.parts import DeskParts, check_book
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.orders import VenueOrder
from engine.ledger import (
    ACCOUNT_CURRENCY,
    MAIN_BOOK,
    Accounts,
    Deposit,
    Transfer,
    account_asset,
    exact_product,
)

STARTING_DEPOSIT = "starting cash"
_OPENING = "opening balance"
_REFERENCE_LENGTH = 128
ZERO = Decimal(0)


class Treasurer:
    """Books money that no fill moved.

    Args:
        parts: What the desk works on.
        observer: Says what is free.
    """

    def __init__(self, parts: DeskParts, observer: Observer) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._observer = observer

    async def open(self, starting_cash: Decimal | None) -> None:
        """Open an empty ledger with a sum, or (None) with what the venue holds; an open one stays as it is.

        An asset without a price stays out and shows as a difference.

        Raises:
            VenueUnavailable: The venue did not tell its balances.
        """
        if starting_cash is not None:
            self._journal.deposit(starting_cash, STARTING_DEPOSIT, self._parts.now())
            return
        if self._journal.booked_event("deposit", STARTING_DEPOSIT) is not None:
            return
        balances = await self._parts.venue.balances()
        cash = sum((quantity for asset, quantity in balances.items() if _is_money(asset)), ZERO)
        for asset, quantity in sorted(balances.items()):
            if quantity and not _is_money(asset):
                try:
                    await self.deposit(quantity, f"{_OPENING} {asset}", asset, MAIN_BOOK)
                except DataUnavailable:
                    continue
        self._parts.checkpoint("opening")
        self._journal.deposit(cash, STARTING_DEPOSIT, self._parts.now())

    async def deposit(self, quantity: Decimal, source: str, asset: str, book: str) -> bool:
        """Book what was paid in from outside, once for a source; return whether this call did."""
        _check_source(source)
        check_book(book)
        if not quantity.is_finite() or not quantity:
            raise InvalidRequest("deposit_amount", amount=quantity)
        now = self._parts.now()
        if _is_money(asset):
            return self._journal.book(Deposit(source, quantity, now, book)) is None
        symbol = self._symbol_of(asset)
        worth = exact_product(quantity, self._parts.market.quote(symbol).mid)
        return self._journal.book(Deposit(source, worth, now, book, symbol, quantity)) is None

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        """Move cash between books once for a source; return whether it stands moved."""
        _check_source(source)
        if check_book(from_book) == check_book(to_book):
            raise InvalidRequest("book", book=to_book)
        if not amount.is_finite() or amount <= 0:
            raise InvalidRequest("transfer_amount", amount=amount)
        known = self._journal.booked_event("transfer", source)
        if known is None:
            transfer = Transfer(source, amount, from_book, to_book, self._parts.now())
            look = await self._observer.look()
            marks = self._observer.account(look, from_book).marks
            orders = look.orders_of(from_book)
            outcome = self._journal.book(transfer, lambda accounts: _refusal(accounts, transfer, orders, marks))
            self._parts.checkpoint("transferred")
            if outcome != "booked":
                return outcome is None
            known = self._journal.booked_event("transfer", source)
        if not _is_same(known, amount, from_book, to_book):
            raise InvalidRequest("transfer_conflict", source=source)
        return True

    def _symbol_of(self, asset: str) -> str:
        """Return the symbol under which an asset is held: the one that trades it for account currency."""
        for symbol, instrument in sorted(self._parts.market.instruments().items()):
            if instrument.base == asset and account_asset(instrument.quote) == ACCOUNT_CURRENCY:
                return symbol
        raise DataUnavailable(f"no symbol trades {asset} for {ACCOUNT_CURRENCY}")


def _refusal(
    accounts: Accounts, transfer: Transfer, orders: tuple[VenueOrder, ...], marks: Mapping[str, Decimal]
) -> str | None:
    free = free_cash(accounts.book(transfer.from_book), orders, marks)
    return "no_money" if free < transfer.amount else None


def _is_same(known: object, amount: Decimal, from_book: str, to_book: str) -> bool:
    if not isinstance(known, Transfer):
        return False
    return (known.amount, known.from_book, known.to_book) == (amount, from_book, to_book)


def _is_money(asset: str) -> bool:
    return account_asset(asset) == ACCOUNT_CURRENCY


def _check_source(source: str) -> None:
    if not 0 < len(source) <= _REFERENCE_LENGTH:
        raise InvalidRequest("transfer_source", source=source)
