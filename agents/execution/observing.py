"""The account and its books as they are now: one look at venue, record and prices, from which all figures come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from agents.execution.accounting import Accountant, midnight
from agents.execution.journal import Snapshot
from agents.execution.parts import DeskParts
from agents.execution.settling import Settler
from agents.risk.states import WHOLE_ACCOUNT
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable
from engine.domain.orders import OrderStatus, VenueOrder
from engine.ledger import Books, Holding, exact_sum, negative

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    Attributes:
        orders: Not final ones at the venue; intents whose outcome is not known count as resting.
        snapshot: The record, read after everything the venue told was settled.
    """

    now: datetime
    orders: tuple[VenueOrder, ...]
    snapshot: Snapshot

    def orders_of(self, book: str | None) -> tuple[VenueOrder, ...]:
        """Return the orders of a book, or all for None."""
        if book is None:
            return self.orders
        return tuple(each for each in self.orders if self.book_of(each) == book)

    def book_of(self, order: VenueOrder) -> str:
        """Return the book of one of the orders."""
        return self.snapshot.book_of(order.request.client_order_id)

    def covered(self, book: str, symbol: str) -> dict[str, Decimal]:
        """Return what of a book's holding stands under protection, by entry, oldest first."""
        found: dict[str, Decimal] = {}
        for each in self.orders_of(book):
            if each.parent_id is None or each.request.symbol != symbol or each.status is OrderStatus.WAITING:
                continue
            left = each.request.quantity - each.filled_quantity
            found[each.parent_id] = max(found.get(each.parent_id, ZERO), left)
        return found


class Observer:
    """Looks at the venue and works out the figures of a book or the account.

    Args:
        parts: What the desk works on.
        settler: Settles what a look finds.
        accountant: Knows results at past times.
    """

    def __init__(self, parts: DeskParts, settler: Settler, accountant: Accountant) -> None:
        self._parts = parts
        self._settler = settler
        self._accountant = accountant

    async def look(self) -> Look:
        """Return what stands now, everything that the venue told settled.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        orders = list(await self._parts.venue.open_orders())
        await self._settler.settle(orders)
        now = self._parts.now()
        snapshot = self._parts.journal.snapshot(now, [order.request.client_order_id for order in orders])
        known = {order.request.client_order_id for order in orders}
        waiting = [each for each in snapshot.sent if each.intent.request.client_order_id not in known]
        orders.extend(
            VenueOrder(each.intent.request, "", OrderStatus.OPEN, ZERO, None, each.updated_at, each.updated_at)
            for each in waiting
        )
        snapshot = snapshot.with_books({each.intent.request.client_order_id: each.intent.book for each in waiting})
        return Look(now, tuple(orders), snapshot)

    def account(self, look: Look, book: str | None = None, *, must_be_fresh: bool = False) -> AccountState:
        """Return a book (None: the account) marked to market.

        Raises:
            DataUnavailable: A held symbol has no price, or only a stale one where it must be fresh.
        """
        snapshot, orders = look.snapshot, look.orders_of(book)
        books = snapshot.accounts.of(book)
        held = books.open_holdings()
        positions = {symbol: each.position() for symbol, each in held.items() if self._is_position(each)}
        marks = {symbol: self._mark(symbol, look.now, must_be_fresh=must_be_fresh) for symbol in held}
        resting = {order.request.symbol for order in orders} - set(held)
        marks |= {symbol: quote.mid for symbol in resting if (quote := self._parts.quote(symbol)) is not None}
        equity = books.equity(marks)
        result = exact_sum((equity, negative(books.deposits)))
        start, peak = self._marked(look, book, result)
        return AccountState(
            cash=books.cash,
            positions=positions,
            marks=marks,
            equity=equity,
            day_start_equity=exact_sum((books.deposits, start)),
            peak_equity=exact_sum((books.deposits, peak)),
            open_orders=orders,
            recent_orders=len(snapshot.recent) if book is None else snapshot.recent.count(book),
        )

    def _is_position(self, holding: Holding) -> bool:
        """Return whether a holding is more than the dust below one lot that no order can close."""
        return self._parts.round_held(holding.symbol, holding.quantity) > 0

    def _marked(self, look: Look, book: str | None, result: Decimal) -> tuple[Decimal, Decimal]:
        """Return the results at the start of the day and at their highest."""
        mark = look.snapshot.marks.get(WHOLE_ACCOUNT if book is None else book)
        start = None if mark is None else mark.start_result
        if start is None:
            start = self._accountant.result_at(midnight(look.now), book)
        return start, max(ZERO if mark is None else mark.peak_result, result)

    def _mark(self, symbol: str, now: datetime, *, must_be_fresh: bool) -> Decimal:
        quote = self._parts.market.quote(symbol)
        oldest = timedelta(seconds=self._parts.limits.max_quote_age_s)
        if must_be_fresh and quote.is_open and now - quote.at > oldest:
            raise DataUnavailable(
                f"the price of {symbol} is from {quote.at:%Y-%m-%d %H:%M} UTC",
                code="old_price",
                symbol=symbol,
                at=f"{quote.at:%Y-%m-%d %H:%M} UTC",
            )
        return quote.mid


def free_cash(books: Books, orders: Sequence[VenueOrder], marks: Mapping[str, Decimal]) -> Decimal:
    """Return the cash that neither resting buys nor bought-back shorts may need."""
    reserved = [
        (each.request.quantity - each.filled_quantity) * (each.request.price or marks[each.request.symbol])
        for each in orders
        if each.request.side.sign > 0 and not each.request.is_reduce_only
    ]
    shorts = [-each.quantity * marks[symbol] for symbol, each in books.open_holdings().items() if each.quantity < 0]
    return books.cash - sum(reserved, ZERO) - sum(shorts, ZERO)
