"""The JSON of orders, lists, trades and bars in REST answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.market import Candle, next_open
from tests.binance.orders import Order, OrderList, Trade
from tests.binance.rules import plain

ZERO = Decimal(0)


def order_state(order: Order) -> dict[str, Any]:
    """Return an order as queries show it."""
    body: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "price": plain(order.price),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed),
        "cummulativeQuoteQty": plain(order.executed_quote),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
        "stopPrice": plain(order.stop_price),
        "icebergQty": plain(ZERO),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working_ms >= 0,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": plain(order.quote_quantity),
        "selfTradePreventionMode": order.stp,
    }
    if order.trailing_delta:
        body["trailingDelta"] = order.trailing_delta
    return body | dict(order.strategy)


def order_ack(order: Order) -> dict[str, Any]:
    """Return the shortest answer to a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
    }


def order_result(order: Order) -> dict[str, Any]:
    """Return the answer to a new order without its trades."""
    state = order_state(order)
    for name in ("time", "updateTime", "isWorking", "icebergQty"):
        del state[name]
    if not order.stop_price:
        del state["stopPrice"]
    return order_ack(order) | state


def order_full(order: Order) -> dict[str, Any]:
    """Return the answer to a new order with its trades."""
    fills = [
        {
            "price": plain(trade.price),
            "qty": plain(trade.quantity),
            "commission": plain(trade.fee),
            "commissionAsset": trade.fee_asset,
            "tradeId": trade.trade_id,
        }
        for trade in order.trades
    ]
    return order_result(order) | {"fills": fills}


def order_canceled(order: Order) -> dict[str, Any]:
    """Return the answer to a cancellation: the order under its new id, with the old one beside it."""
    return order_result(order) | {"origClientOrderId": order.client_id, "clientOrderId": order.cancel_id}


def list_state(orders: OrderList, now_ms: int) -> dict[str, Any]:
    """Return an order list as queries show it."""
    return {
        "orderListId": orders.list_id,
        "contingencyType": orders.contingency,
        "listStatusType": orders.status,
        "listOrderStatus": orders.order_status,
        "listClientOrderId": orders.client_id,
        "transactionTime": now_ms,
        "symbol": orders.symbol,
        "orders": [
            {"symbol": order.symbol, "orderId": order.order_id, "clientOrderId": order.client_id}
            for order in (*orders.legs, *orders.waiting)
        ],
    }


def account_trade(order: Order, trade: Trade) -> dict[str, Any]:
    """Return one trade of an account."""
    return {
        "symbol": order.symbol,
        "id": trade.trade_id,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "quoteQty": plain(trade.notional),
        "commission": plain(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ms,
        "isBuyer": order.is_buy,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def kline(interval: str, bar: Candle) -> list[Any]:
    """Return one bar as a row."""
    return [
        bar.open_ms,
        plain(bar.open),
        plain(bar.high),
        plain(bar.low),
        plain(bar.close),
        plain(bar.volume),
        next_open(interval, bar.open_ms) - 1,
        plain(bar.quote_volume),
        bar.trades,
        plain(bar.taker_volume),
        plain(bar.taker_quote),
        "0",
    ]


def levels(rows: list[tuple[Decimal, Decimal]]) -> list[list[str]]:
    """Return book levels as pairs of text."""
    return [[plain(price), plain(quantity)] for price, quantity in rows]
