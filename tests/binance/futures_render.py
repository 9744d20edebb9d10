"""The JSON of contracts, orders, conditional orders and trades in USD-M answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.futures_values import EIGHT, MAX_ALGO, Algo
from tests.binance.orders import Order
from tests.binance.rules import FUTURES_TYPES, SymbolRules, decimals, short

ZERO = Decimal(0)
PERPETUAL_UNTIL_MS = 4_133_404_800_000


def contract_info(rule: SymbolRules) -> dict[str, Any]:
    """Return a contract's entry in the exchange information."""
    return {
        "symbol": rule.symbol,
        "pair": rule.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_UNTIL_MS,
        "onboardDate": 1_569_398_400_000,
        "status": rule.status,
        "baseAsset": rule.base,
        "quoteAsset": rule.quote,
        "marginAsset": rule.quote,
        "pricePrecision": decimals(rule.tick),
        "quantityPrecision": decimals(rule.step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "orderTypes": list(FUTURES_TYPES),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": short(rule.tick),
                "maxPrice": "1000000",
                "tickSize": short(rule.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": short(rule.min_quantity),
                "maxQty": short(rule.max_quantity),
                "stepSize": short(rule.step),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": short(rule.min_quantity),
                "maxQty": short(rule.max_market_quantity),
                "stepSize": short(rule.step),
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": rule.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": MAX_ALGO},
            {"filterType": "MIN_NOTIONAL", "notional": short(rule.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": short(rule.multiplier_up),
                "multiplierDown": short(rule.multiplier_down),
                "multiplierDecimal": "4",
            },
        ],
    }


def order_state(order: Order) -> dict[str, Any]:
    """Return an order as every answer shows it."""
    average = order.executed_quote / order.executed if order.executed else ZERO
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": short(order.price),
        "avgPrice": short(average.quantize(EIGHT)),
        "origQty": short(order.quantity),
        "executedQty": short(order.executed),
        "cumQty": short(order.executed),
        "cumQuote": short(order.executed_quote),
        "timeInForce": order.tif,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": short(order.stop_price),
        "workingType": order.working_type,
        "priceProtect": False,
        "origType": order.original_type or order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.stp,
        "goodTillDate": order.good_till_ms,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_state(algo: Algo) -> dict[str, Any]:
    """Return a conditional order as every answer shows it."""
    order, actual = algo.order, algo.actual
    average = actual.executed_quote / actual.executed if actual and actual.executed else ZERO
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": order.original_type or order.type,
        "symbol": order.symbol,
        "side": order.side,
        "positionSide": order.position_side,
        "timeInForce": order.tif,
        "quantity": short(order.quantity),
        "algoStatus": algo.status,
        "actualOrderId": str(actual.order_id) if actual else "",
        "actualPrice": short(average.quantize(EIGHT)),
        "actualQty": short(actual.executed if actual else ZERO),
        "triggerPrice": short(order.stop_price),
        "price": short(order.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": order.stp,
        "workingType": order.working_type,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": False,
        "reduceOnly": order.reduce_only,
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": order.good_till_ms,
        "callbackRate": short(Decimal(order.trailing_delta) / 100) if order.trailing_delta else None,
        "activatePrice": short(order.stop_price) if order.trailing_delta else None,
    }


def user_trade(order: Order, number: int) -> dict[str, Any]:
    """Return one trade of an account."""
    trade = order.trades[number]
    return {
        "symbol": order.symbol,
        "id": trade.trade_id,
        "orderId": order.order_id,
        "side": order.side,
        "price": short(trade.price),
        "qty": short(trade.quantity),
        "realizedPnl": short(trade.realized),
        "quoteQty": short(trade.notional),
        "commission": short(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ms,
        "positionSide": order.position_side,
        "buyer": order.is_buy,
        "maker": trade.is_maker,
    }
