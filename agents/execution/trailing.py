"""Trailing stops at the desk: kept in the database, moved through the venue's protection as quotes come.

Where a stop should stand is decided by `agents.risk.trailing`. It is written down before the venue is asked, so that a
restart goes on from the best price ever seen; moving it again to where it stands changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from agents.execution.closing import Closer
from agents.execution.control_store import drop_trail, read_trails, write_trail
from agents.execution.observing import Look, Observer
from agents.execution.parts import DeskParts
from agents.risk.trailing import TrailingStop, follow
from engine.domain.errors import OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderType, Side, VenueOrder


class Trailer:
    """Moves stops behind the price.

    Args:
        parts: What the desk works on.
        observer: Says what stands.
        closer: Replaces protection.
    """

    def __init__(self, parts: DeskParts, observer: Observer, closer: Closer) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._observer = observer
        self._closer = closer

    async def trail(self, order_id: str, trail: TrailingStop) -> TrailingStop:
        """Let the stop of what an order filled follow the price from now on; a stop that stands never moves back.

        Raises:
            OrderRejected: `unknown_order`.
            VenueUnavailable: The venue did not answer.
        """
        if self._journal.intent(order_id) is None:
            raise OrderRejected("unknown_order")
        look = await self._observer.look()
        standing = _child(look, order_id, OrderType.STOP)
        first = trail if standing is None else TrailingStop(trail.distance, trail.activation, None, standing)
        with self._journal.writing() as (connection, _):
            write_trail(connection, order_id, first)
        await self.move(look)
        return self.trails().get(order_id, first)

    def untrail(self, order_id: str) -> None:
        """Leave the stop of an order where it stands; harmless when it does not trail."""
        with self._journal.writing() as (connection, _):
            drop_trail(connection, order_id)

    def trails(self) -> dict[str, TrailingStop]:
        """Return the trailing stops by the order whose fills they protect."""
        with self._journal.reading() as connection:
            return read_trails(connection)

    async def move(self, look: Look) -> tuple[VenueOrder, ...]:
        """Move every stop that has to move, and forget those whose position is gone; return the new protection.

        What the venue does not answer is left to the next call.
        """
        trails = self.trails()
        moved: list[VenueOrder] = []
        for order_id, trail in trails.items():
            moved.extend(await self._move(order_id, trail, look))
        return tuple(moved)

    async def _move(self, order_id: str, trail: TrailingStop, look: Look) -> list[VenueOrder]:
        stored = self._journal.intent(order_id)
        if stored is None or self._is_gone(order_id, look):
            self.untrail(order_id)
            return []
        request = stored.intent.request
        quote, instrument = self._parts.quote(request.symbol), self._parts.market.instruments().get(request.symbol)
        if quote is None or instrument is None or not quote.is_open or not self._journal.filled(order_id):
            return []
        price = quote.bid if request.side is Side.BUY else quote.ask
        after = follow(trail, request.side, price, instrument)
        if after != trail:
            with self._journal.writing() as (connection, _):
                write_trail(connection, order_id, after)
            self._parts.checkpoint("trailed")
        if after.stop is None or after.stop == _child(look, order_id, OrderType.STOP):
            return []
        return await self._place(order_id, after.stop, _child(look, order_id, OrderType.LIMIT))

    async def _place(self, order_id: str, stop: Decimal, target: Decimal | None) -> list[VenueOrder]:
        try:
            return list(await self._closer.protect(order_id, stop, target))
        except (OrderRejected, OrderUncertain, VenueUnavailable):
            return []  # the old stop still stands; the next call tries again

    def _is_gone(self, order_id: str, look: Look) -> bool:
        """Return whether nothing of an order is held any more, nor can be."""
        if any(order_id in (each.request.client_order_id, each.parent_id) for each in look.orders):
            return False
        stored = self._journal.intent(order_id)
        if stored is None:
            return True
        holding = look.snapshot.accounts.book(stored.intent.book).holdings.get(stored.intent.request.symbol)
        return holding is None or holding.quantity * stored.intent.request.side.sign <= 0


def _child(look: Look, parent_id: str, kind: OrderType) -> Decimal | None:
    """Return the price of an entry's protective order of a kind."""
    for each in look.orders:
        if each.parent_id == parent_id and each.request.order_type is kind:
            return each.request.price
    return None
