"""`cancel_order`: takes resting orders back. It only lowers what may happen, so it acts at once.

Protective orders of an open position are the exception. Without them the position would be naked, so "cancel all"
leaves them standing, and naming one is refused with what to do instead: close the position, which takes them along.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.execution.desk import Desk
from engine.domain.errors import InvalidRequest
from engine.domain.orders import OrderStatus, VenueOrder
from tools.portfolio import order_view
from tools.registry import ToolContext
from tools.results import OrdersCancelled
from tools.schema import CancelOrder


@dataclass(frozen=True, slots=True)
class CancelTool:
    """Cancels through the desk."""

    desk: Desk

    async def __call__(self, arguments: CancelOrder, context: ToolContext) -> OrdersCancelled:
        """Cancel one order by its id, or all resting entries.

        Raises:
            InvalidRequest: `order_not_found`, or `order_protects` a position.
        """
        cancelled = [await self.desk.cancel(order.request.client_order_id) for order in await self._chosen(arguments)]
        return OrdersCancelled(orders=tuple(order_view(order) for order in cancelled))

    async def _chosen(self, arguments: CancelOrder) -> list[VenueOrder]:
        if arguments.order_id != "all":
            order = await self.desk.find_order(arguments.order_id.removeprefix("#"))
            if order is None or arguments.symbol not in (None, order.request.symbol):
                raise InvalidRequest("order_not_found", order_id=arguments.order_id)
            if order.parent_id is not None and order.status is not OrderStatus.WAITING:
                raise InvalidRequest("order_protects", order_id=arguments.order_id, symbol=order.request.symbol)
            return [order]
        return [
            order
            for order in await self.desk.open_orders()
            if order.parent_id is None
            and order.status is not OrderStatus.WAITING
            and arguments.symbol in (None, order.request.symbol)
        ]
