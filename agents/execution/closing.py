"""Leaving the market: cancelling a book's orders, closing its positions, replacing protection.

Every closing order passes the gate like any other, under an id derived from its source, so that a repeat after a crash
finds what was sent. Protection stays until its position is closed: it is never taken away first.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agents.execution.journal import intent_id
from agents.execution.observing import Look, Observer
from agents.execution.parts import DeskParts, check_book, closing_side
from agents.execution.sending import Sender, client_order_id
from agents.execution.settling import Settler
from agents.execution.values import Execution, IntentState, OrderIntent
from agents.risk.states import WHOLE_ACCOUNT, TradingState
from engine.domain.errors import OrderRejected
from engine.domain.orders import OrderRequest, OrderType, VenueOrder
from engine.ledger import exact_sum

ZERO = Decimal(0)
_ENDED = (IntentState.DONE, IntentState.REJECTED, IntentState.DENIED, IntentState.UNSENT)


class Closer:
    """Cancels, closes and protects for a book.

    Args:
        parts: What the desk works on.
        observer: Says what stands.
        settler: Settles what the venue answers.
        sender: Sends the closing orders.
    """

    def __init__(self, parts: DeskParts, observer: Observer, settler: Settler, sender: Sender) -> None:
        self._parts = parts
        self._observer = observer
        self._settler = settler
        self._sender = sender

    async def cancel(self, order_id: str) -> VenueOrder:
        """Cancel what is left of an order; harmless when it is final."""
        order = await self._parts.venue.cancel(order_id)
        await self._settler.settle([order])
        return order

    async def cancel_all(self, book: str | None, symbol: str | None = None) -> tuple[VenueOrder, ...]:
        """Cancel what rests of a book (None: of every book); what protects a holding stays."""
        orders = (await self._observer.look()).orders_of(book)
        resting = [each for each in orders if _is_free(each) and symbol in (None, each.request.symbol)]
        known = self._parts.journal.known_ids(each.request.client_order_id for each in resting)
        return tuple([await self.cancel(each.request.client_order_id) for each in resting
                      if each.request.client_order_id in known and each.venue_order_id])  # fmt: skip

    async def close(
        self, book: str, symbol: str, source: str, owner: str, *, is_halt: bool = False
    ) -> Execution | None:
        """Cancel a book's resting orders in a symbol and close what it holds there; None when it holds nothing.

        A source that was used before returns what became of its order; one that surely never reached the venue is
        followed by another attempt.
        """
        check_book(book)
        source = self._attempt(source)
        known = self._parts.journal.execution(client_order_id(source))
        if known is not None:
            return await self._sender.execute(known.intent, is_halt=is_halt)
        await self.cancel_all(book, symbol)
        held = self._held(await self._observer.look(), book).get(symbol, ZERO)
        if not held:
            return None
        side, quantity = closing_side(held), self._parts.round_held(symbol, held)
        order_id = client_order_id(source)
        request = OrderRequest(order_id, symbol, side, OrderType.MARKET, quantity, is_reduce_only=True)
        intent = OrderIntent(owner, source, request, book=book)
        self._parts.checkpoint("closing")
        return await self._sender.execute(intent, is_halt=is_halt)

    async def flatten(
        self, book: str | None, source: str, owner: str, *, is_halt: bool = False
    ) -> tuple[Execution, ...]:
        """Close everything a book holds (None: every book); what an earlier attempt left is tried again.

        What has no price or whose market is closed is left to a later call, its protection standing.
        """
        look = await self._observer.look()
        names = [book] if book is not None else sorted(look.snapshot.accounts.books)
        done = []
        for name in names:
            for symbol in sorted(self._held(look, name)):
                quote = self._parts.quote(symbol)
                if quote is None or not quote.is_open:
                    continue
                step = self._next_source(f"{source}/{name}/{symbol}")
                closed = await self.close(name, symbol, step, owner, is_halt=is_halt)
                if closed is not None:
                    done.append(closed)
                self._parts.checkpoint("flattened one")
        return tuple(done)

    async def is_flat(self, book: str | None) -> bool:
        """Return whether a book (None: every book) holds nothing that an order can close, and nothing of it rests."""
        look = await self._observer.look()
        names = [book] if book is not None else list(look.snapshot.accounts.books)
        if any(self._held(look, name) for name in names):
            return False
        ours = self._parts.journal.known_ids(each.request.client_order_id for each in look.orders_of(book))
        return not ours

    async def protect(
        self, order_id: str, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled.

        Raises:
            OrderRejected: `unknown_order`, `nothing_held` (also when the book closed it otherwise), `halted`, or what
                the venue says.
            OrderUncertain, VenueUnavailable: As the venue's `protect`.
        """
        look = await self._observer.look()
        stored = self._parts.journal.intent(order_id)
        if stored is None or intent_id(order_id) != order_id:
            raise OrderRejected("unknown_order")
        book, request = stored.intent.book, stored.intent.request
        states = look.snapshot.states
        if any(each in states and states[each].state is TradingState.HALTED for each in (book, WHOLE_ACCOUNT)):
            raise OrderRejected("halted")
        self._require_held(look, book, request)
        self._parts.checkpoint("protecting")
        orders = await self._parts.venue.protect(order_id, stop_loss=stop_loss, take_profit=take_profit)
        self._parts.checkpoint("protected")
        await self._settler.refresh_orders()
        return orders

    async def trim(self, look: Look) -> tuple[VenueOrder, ...]:
        """Cancel protection of books that hold nothing in its symbol any more, whatever the venue's net position is."""
        known = self._parts.journal.known_ids(each.request.client_order_id for each in look.orders)
        cancelled = []
        for each in look.orders:
            order_id = each.request.client_order_id
            if each.parent_id is None or each.status.is_final or order_id not in known or _parent_rests(each, look):
                continue
            if each.request.symbol not in self._held(look, look.book_of(each)):
                cancelled.append(await self.cancel(order_id))
        return tuple(cancelled)

    def _require_held(self, look: Look, book: str, request: OrderRequest) -> None:
        """Refuse protection of more than the book still holds: what its other orders closed is not the entry's."""
        held = self._held(look, book).get(request.symbol, ZERO)
        if held * request.side.sign <= 0:
            raise OrderRejected("nothing_held")
        covered = look.covered(book, request.symbol)
        mine = covered.pop(request.client_order_id, None)
        if mine is None:
            filled = self._parts.journal.filled(request.client_order_id)
            if filled > exact_sum((abs(held), *(each.copy_negate() for each in covered.values()))):
                raise OrderRejected("nothing_held")

    def _attempt(self, source: str) -> str:
        """Return the source itself, or that of the first attempt whose predecessors never reached the venue."""
        number, attempt = 1, source
        while True:
            known = self._parts.journal.intent(client_order_id(attempt))
            if known is None or known.state not in (IntentState.UNSENT, IntentState.DENIED):
                return attempt
            number += 1
            attempt = f"{source}/{number}"

    def _next_source(self, stem: str) -> str:
        """Return the first source under a stem whose order was not sent yet, or has not ended."""
        number = 1
        while True:
            source = f"{stem}/{number}"
            known = self._parts.journal.intent(client_order_id(source))
            if known is None or known.state not in _ENDED:
                return source
            number += 1

    def _held(self, look: Look, book: str) -> dict[str, Decimal]:
        """Return what a book holds that an order can close, by symbol."""
        holdings = look.snapshot.accounts.book(book).open_holdings()
        return {s: each.quantity for s, each in holdings.items() if self._parts.round_held(s, each.quantity) > 0}


def _is_free(order: VenueOrder) -> bool:
    """Return whether an order rests on its own; protective ones go with what they protect, closing ones go on."""
    closes = order.request.is_reduce_only and order.request.order_type is OrderType.MARKET
    return order.parent_id is None and not order.status.is_final and not closes


def _parent_rests(order: VenueOrder, look: Look) -> bool:
    return any(each.request.client_order_id == order.parent_id for each in look.orders)
