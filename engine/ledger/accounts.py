"""All books of one account: each is a sub-ledger of its own, and the account is exactly their sum.

An event touches one book or two, and leaves every one of them in balance by itself:

- A transfer moves cash and counts as paid out of the one and paid into the other; of the account it changes nothing.
- A fee that the venue took in a third asset (BNB) left the stock that the `main` book keeps for it: the book that
  traded pays the fee's worth in cash, `main` gives up the asset and receives that cash.

`replay` builds the books from events alone; whatever running totals are stored must equal it to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import assert_never

from engine.domain.orders import Fill
from engine.ledger.books import (
    MAIN_BOOK,
    Books,
    Entry,
    Holding,
    Posting,
    exact_sum,
    negative,
    pays_in_third,
    post_asset_deposit,
    post_deposit,
    post_fill,
    post_funding,
    quote_asset,
    trade,
)
from engine.ledger.events import BookedFill, Deposit, Event, Funding, Transfer


@dataclass(frozen=True, slots=True)
class Accounts:
    """The books of an account after some events, by name; a book that nothing has touched is not among them."""

    books: Mapping[str, Books] = field(default_factory=dict)

    def book(self, name: str) -> Books:
        """Return one book; an empty one when nothing has touched it."""
        return self.books.get(name, Books())

    def total(self) -> Books:
        """Return the account: the exact sum of all books."""
        symbols = sorted({symbol for books in self.books.values() for symbol in books.holdings})
        return Books(
            exact_sum(books.cash for books in self.books.values()),
            exact_sum(books.deposits for books in self.books.values()),
            {symbol: self._held(symbol) for symbol in symbols},
        )

    def of(self, book: str | None) -> Books:
        """Return one book, or the account for None."""
        return self.total() if book is None else self.book(book)

    def _held(self, symbol: str) -> Holding:
        parts = [books.holdings[symbol] for books in self.books.values() if symbol in books.holdings]
        return Holding(
            symbol,
            exact_sum(part.quantity for part in parts),
            exact_sum(part.cost for part in parts),
            exact_sum(part.realised for part in parts),
            exact_sum(part.fees for part in parts),
            exact_sum(part.funding for part in parts),
        )


def post(accounts: Accounts, event: Event) -> tuple[Accounts, Entry]:
    """Book one event; the entry's postings name their books."""
    match event:
        case Fill():
            return _post_fill(accounts, event, MAIN_BOOK)
        case BookedFill():
            return _post_fill(accounts, event.fill, event.book)
        case Deposit() if event.symbol:
            before = accounts.book(event.book)
            after, entry = post_asset_deposit(before, event.symbol, event.quantity, event.amount, event.reference)
            return _with(accounts, event.book, after), _named(entry, event.book)
        case Deposit():
            after, entry = post_deposit(accounts.book(event.book), event.amount, event.reference)
            return _with(accounts, event.book, after), _named(entry, event.book)
        case Transfer():
            return _post_transfer(accounts, event)
        case Funding():
            after, entry = post_funding(accounts.book(event.book), event.symbol, event.amount, event.reference)
            return _with(accounts, event.book, after), _named(entry, event.book)
        case _:
            assert_never(event)


def replay_events(events: Iterable[Event]) -> Accounts:
    """Return the books that events, in the order of booking, make from nothing."""
    accounts = Accounts()
    for event in events:
        accounts, _ = post(accounts, event)
    return accounts


def account_name(account: str, book: str) -> str:
    """Return a ledger account's name within a book.

    >>> account_name("cash", "main"), account_name("cash", "atlas")
    ('cash', 'cash@atlas')
    """
    return account if book == MAIN_BOOK else f"{account}@{book}"


def fee_symbol(fill: Fill) -> str:
    """Return under which symbol the asset of a third-asset fee is held.

    A market prices it against the fill's own quote asset: `BNB/USDT` for a fee in BNB of any USDT symbol.
    """
    return f"{fill.fee_asset}/{quote_asset(fill.symbol)}"


def _post_transfer(accounts: Accounts, event: Transfer) -> tuple[Accounts, Entry]:
    giver, left = post_deposit(accounts.book(event.from_book), negative(event.amount), event.reference)
    accounts = _with(accounts, event.from_book, giver)
    taker, right = post_deposit(accounts.book(event.to_book), event.amount, event.reference)
    postings = (*_named(left, event.from_book).postings, *_named(right, event.to_book).postings)
    return _with(accounts, event.to_book, taker), Entry("transfer", event.reference, postings)


def _post_fill(accounts: Accounts, fill: Fill, book: str) -> tuple[Accounts, Entry]:
    after, entry = post_fill(accounts.book(book), fill)
    accounts, entry = _with(accounts, book, after), _named(entry, book)
    if not pays_in_third(fill):
        return accounts, entry
    stock = accounts.book(MAIN_BOOK)
    symbol = fee_symbol(fill)
    before = stock.holdings.get(symbol, Holding(symbol))
    held, realised = trade(before, negative(fill.fee_quantity), negative(fill.fee))
    postings = (
        Posting("cash", fill.fee),
        Posting(f"holding:{symbol}", exact_sum((held.cost, negative(before.cost)))),
        Posting(f"realised:{symbol}", negative(realised)),
    )
    stock = replace(stock, cash=exact_sum((stock.cash, fill.fee)), holdings={**stock.holdings, symbol: held})
    return _with(accounts, MAIN_BOOK, stock), replace(entry, postings=(*entry.postings, *postings))


def _named(entry: Entry, book: str) -> Entry:
    if book == MAIN_BOOK:
        return entry
    return replace(entry, postings=tuple(Posting(account_name(p.account, book), p.amount) for p in entry.postings))


def _with(accounts: Accounts, book: str, books: Books) -> Accounts:
    return Accounts({**accounts.books, book: books})


def split_by_holding(amount: Decimal, symbol: str, accounts: Accounts) -> dict[str, Decimal]:
    """Return each book's part of a payment for holding a symbol; the parts sum to the amount exactly.

    The venue pays for the net position: a book on the other side of it takes part with the other sign. Without a net
    position the whole amount is `main`'s.
    """
    held = {name: books.holdings[symbol].quantity for name, books in accounts.books.items() if symbol in books.holdings}
    held = {name: quantity for name, quantity in sorted(held.items()) if quantity}
    net = exact_sum(held.values())
    if not net:
        return {MAIN_BOOK: amount}
    parts = {name: (amount * quantity / net).quantize(_PART_QUANTUM) for name, quantity in held.items()}
    last = max(held, key=lambda name: (held[name].copy_abs(), name))
    parts[last] = exact_sum((parts[last], amount, negative(exact_sum(parts.values()))))
    return {name: part for name, part in parts.items() if part}


_PART_QUANTUM = Decimal("1E-8")
"""Grid of a book's part of a payment; the largest holder takes what rounding leaves."""
