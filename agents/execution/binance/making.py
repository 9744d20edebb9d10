"""Makes rows of orders and legs, and tells them back as the protocol does; nothing here reads or decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from agents.execution.binance.values import Leg, Phase, Role, Tracked
from engine.domain.orders import OrderRequest, OrderStatus, OrderType, VenueOrder

STOP_SUFFIX, TARGET_SUFFIX = "-sl", "-tp"
ZERO = Decimal(0)


def tracked_rows(order: OrderRequest, now: datetime) -> list[Tracked]:
    """Return the rows of an order and of its waiting children."""
    rows = [Tracked(order, 0, OrderStatus.OPEN, "", None, False, now, now)]
    for suffix, kind, price in (
        (STOP_SUFFIX, OrderType.STOP, order.stop_loss),
        (TARGET_SUFFIX, OrderType.LIMIT, order.take_profit),
    ):
        if price is not None:
            rows.append(child_row(order, suffix, kind, price, order.quantity, now))
    return rows


def child_row(
    order: OrderRequest, suffix: str, kind: OrderType, price: Decimal, quantity: Decimal, now: datetime
) -> Tracked:
    """Return the row of one protective child."""
    child = OrderRequest(
        order.client_order_id + suffix, order.symbol, order.side.opposite, kind, quantity, price, is_reduce_only=True
    )
    return Tracked(child, 0, OrderStatus.WAITING, "", order.client_order_id, True, now, now)


def new_leg(
    order: OrderRequest,
    role: Role,
    quantity: Decimal,
    now: datetime,
    *,
    leg_id: str,
    entry_id: str,
    list_id: str | None = None,
) -> Leg:
    """Return a leg that is about to be sent for an order."""
    return Leg(
        leg_id=leg_id,
        number=0,
        client_order_id=order.client_order_id,
        entry_id=entry_id,
        role=role,
        order_type=order.order_type,
        list_id=list_id,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=order.price,
        phase=Phase.HANDED,
        status=OrderStatus.OPEN,
        reason="",
        exchange_id="",
        filled_quantity=ZERO,
        filled_notional=ZERO,
        settled_quantity=ZERO,
        handed_at=now,
        dies_at=now,
        misses=0,
        is_confirmed=False,
        updated_at=now,
    )


def view(order: Tracked, legs: Sequence[Leg]) -> VenueOrder:
    """Return an order, with what its legs have done, as the protocol tells it."""
    filled = sum((leg.filled_quantity for leg in legs), ZERO)
    notional = sum((leg.filled_notional for leg in legs), ZERO)
    exchange_id = next((leg.exchange_id for leg in reversed(legs) if leg.exchange_id), str(order.number))
    return VenueOrder(
        order.request,
        exchange_id,
        order.status,
        filled,
        notional / filled if filled else None,
        order.created_at,
        max([order.updated_at, *(leg.updated_at for leg in legs)]),
        order.parent_id,
        order.reason,
    )
