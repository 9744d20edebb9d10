"""Between legs and rows."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from agents.fleet.values import Leg, LegState
from engine.domain.orders import OrderRequest, OrderType, Side

_APART = frozenset({"request", "state"})
_SAME = tuple(each.name for each in fields(Leg) if each.name not in _APART)


def leg_values(leg: Leg) -> dict[str, Any]:
    """Return a leg as column values, its draft apart."""
    request = leg.request
    return {
        **{name: getattr(leg, name) for name in _SAME},
        "state": leg.state.value,
        "client_order_id": request.client_order_id,
        "symbol": request.symbol,
        "side": request.side.value,
        "order_type": request.order_type.value,
        "quantity": request.quantity,
        "price": request.price,
        "stop_loss": request.stop_loss,
        "take_profit": request.take_profit,
    }


def read_leg(row: RowMapping) -> Leg:
    """Return the leg that a row holds."""
    request = OrderRequest(
        row["client_order_id"],
        row["symbol"],
        Side(row["side"]),
        OrderType(row["order_type"]),
        row["quantity"],
        row["price"],
        row["stop_loss"],
        row["take_profit"],
    )
    values = {name: row[name] for name in _SAME}
    values |= {name: bool(row[name]) for name in ("is_entry_final", "is_trailing")}
    return Leg(request=request, state=LegState(row["state"]), **values)
