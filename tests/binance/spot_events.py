"""The events of a spot user data stream that concern orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.orders import Order, OrderList, Trade
from tests.binance.rules import plain

ZERO = Decimal(0)


def list_status(orders: OrderList, now_ms: int) -> dict[str, Any]:
    """Return the state of an order list."""
    return {
        "e": "listStatus",
        "E": now_ms,
        "s": orders.symbol,
        "g": orders.list_id,
        "c": orders.contingency,
        "l": orders.status,
        "L": orders.order_status,
        "r": "NONE",
        "C": orders.client_id,
        "T": now_ms,
        "O": [
            {"s": order.symbol, "i": order.order_id, "c": order.client_id} for order in (*orders.legs, *orders.waiting)
        ],
    }


def execution_report(order: Order, execution: str, trade: Trade | None, number: int, now_ms: int) -> dict[str, Any]:
    """Return an execution report."""
    ended = execution in ("CANCELED", "REPLACED")
    event: dict[str, Any] = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": order.cancel_id if ended and order.cancel_id else order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "P": plain(order.stop_price),
        "F": plain(ZERO),
        "g": order.list_id,
        "C": order.client_id if ended else "",
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": plain(trade.quantity if trade else ZERO),
        "z": plain(order.executed),
        "L": plain(trade.price if trade else ZERO),
        "n": plain(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": trade.time_ms if trade else order.updated_ms,
        "t": trade.trade_id if trade else -1,
        "I": number,
        "w": order.is_open and not order.is_stop,
        "m": trade.is_maker if trade else False,
        "M": False,
        "O": order.created_ms,
        "Z": plain(order.executed_quote),
        "Y": plain(trade.notional if trade else ZERO),
        "Q": plain(order.quote_quantity),
        "W": order.working_ms,
        "V": order.stp,
    }
    if order.trailing_delta:
        event["d"] = order.trailing_delta
    return event
