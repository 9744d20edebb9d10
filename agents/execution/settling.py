"""Bringing our record up to what the venue tells: orders, fills, funding. Safe to repeat at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from agents.execution.parts import DeskParts
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import FundingPayment, VenueOrder


@runtime_checkable
class PaysFunding(Protocol):
    """A venue that pays or takes money for holding (perpetual futures); others lack the method."""

    async def funding(self, after: int) -> Sequence[tuple[int, FundingPayment]]:
        """Return payments with a sequence number above `after`, in order; one told again has the same id."""
        ...


class Settler:
    """Settles what the venue tells into the record.

    Args:
        parts: What the desk works on.
    """

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts

    async def settle(self, orders: Iterable[VenueOrder] = ()) -> int:
        """Book new fills and note orders, which must have been read before; return how many fills were new.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        journal, venue = self._parts.journal, self._parts.venue
        new_fills = await venue.fills(journal.fill_cursor())
        booked = journal.settle(orders, new_fills, self._parts.now())
        if isinstance(venue, PaysFunding):
            journal.settle_funding(await venue.funding(journal.funding_cursor()))
        return booked

    async def settle_quietly(self, orders: Iterable[VenueOrder] = ()) -> None:
        """Settle, or note only the orders while the venue does not tell its fills; they are booked later."""
        noted = list(orders)
        try:
            await self.settle(noted)
        except VenueUnavailable:
            self._parts.journal.settle(noted, (), self._parts.now())

    async def refresh_orders(self) -> None:
        """Bring every order that was not final up to date, protective children included.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        venue = self._parts.venue
        orders = {order.request.client_order_id: order for order in await venue.open_orders()}
        for order_id in self._parts.journal.unfinished_orders():
            if order_id not in orders:
                order = await venue.fetch_order(order_id)
                if order is not None:
                    orders[order_id] = order
        await self.settle(orders.values())
