"""Spot: plain orders, and order lists (OCO) for protection.

There is no reduce-only here and every resting sell locks what it would sell, so a stop and a target for the same
quantity can only stand as one list, and protection must be cancelled before the same quantity is sold otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from agents.execution.binance.dialect import (
    TRADES_A_PAGE,
    ZERO,
    half,
    moment,
    number,
    plain,
    rows,
    status,
    text,
)
from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import Rules
from agents.execution.binance.values import Leg, VenueFunding, VenueState, VenueTrade
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderType, Side

_INFO_WEIGHT, _ORDER_WEIGHT, _LIST_WEIGHT = 20, 1, 1
_FETCH_WEIGHT, _OPEN_WEIGHT, _ALL_OPEN_WEIGHT = 4, 6, 80
_TRADES_WEIGHT, _ACCOUNT_WEIGHT, _TICKER_WEIGHT = 5, 20, 2


class SpotDialect:
    """Binance spot, testnet or mainnet."""

    is_futures = False
    time_endpoint = "publicGetTime"
    pairs = True

    def info(self, symbol_id: str = "") -> Call:
        """Return the question for the exchange information, of one symbol or of all."""
        params = {"symbol": symbol_id} if symbol_id else {}
        return Call("publicGetExchangeInfo", params, weight=_INFO_WEIGHT)

    def place(self, leg: Leg, rules: Rules, *, is_reduce_only: bool) -> Call:
        """Return the request for one order; `is_reduce_only` has no meaning here."""
        params = {
            "symbol": rules.symbol_id,
            "side": leg.side.value.upper(),
            "quantity": plain(leg.quantity),
            "newClientOrderId": leg.leg_id,
            "newOrderRespType": "FULL",
        }
        if leg.order_type is OrderType.MARKET or leg.price is None:
            params["type"] = "MARKET"
        elif leg.order_type is OrderType.LIMIT:
            params |= {"type": "LIMIT", "timeInForce": "GTC", "price": plain(leg.price)}
        elif _takes_stops(rules):
            params |= {"type": "STOP_LOSS", "stopPrice": plain(leg.price)}
        else:
            far = plain(rules.exit_price(leg.price, leg.side))
            params |= {"type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "price": far, "stopPrice": plain(leg.price)}
        return Call("privatePostOrder", params, weight=_ORDER_WEIGHT, orders=1)

    def place_pair(self, stop: Leg, target: Leg, rules: Rules) -> Call:
        """Return the request for an OCO of a sell stop below and a sell limit above the market."""
        if stop.price is None or target.price is None or stop.list_id is None or stop.side is not Side.SELL:
            raise ValueError(f"{stop.leg_id} and {target.leg_id} are no sell pair with prices")
        params = {
            "symbol": rules.symbol_id,
            "listClientOrderId": stop.list_id,
            "side": stop.side.value.upper(),
            "quantity": plain(stop.quantity),
            "aboveType": "LIMIT_MAKER",
            "aboveClientOrderId": target.leg_id,
            "abovePrice": plain(target.price),
            "belowClientOrderId": stop.leg_id,
            "belowStopPrice": plain(stop.price),
            "newOrderRespType": "FULL",
        }
        if _takes_stops(rules):
            params["belowType"] = "STOP_LOSS"
        else:
            far = plain(rules.exit_price(stop.price, stop.side))
            params |= {"belowType": "STOP_LOSS_LIMIT", "belowPrice": far, "belowTimeInForce": "GTC"}
        return Call("privatePostOrderListOco", params, weight=_LIST_WEIGHT, orders=2)

    def read_placed(self, answer: Any, legs: Sequence[Leg]) -> list[VenueState]:
        """Return what an answer to a placement tells of its legs."""
        reports = answer.get("orderReports") if isinstance(answer, dict) else None
        found = {state.leg_id: state for state in map(_read_order, rows(reports) if len(legs) > 1 else [answer])}
        if any(leg.leg_id not in found for leg in legs):
            raise Failure(0, 0, "an answer about other orders")
        return [found[leg.leg_id] for leg in legs]

    def cancel(self, leg: Leg, rules: Rules) -> Call:
        """Return the request that cancels a leg, or the whole list that it belongs to."""
        if leg.list_id is not None:
            params = {"symbol": rules.symbol_id, "listClientOrderId": leg.list_id}
            return Call("privateDeleteOrderList", params, weight=_ORDER_WEIGHT)
        return Call("privateDeleteOrder", {"symbol": rules.symbol_id, **_named(leg)}, weight=_ORDER_WEIGHT)

    async def fetch(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> VenueState:
        """Return a leg as it stands."""
        params = {"symbol": rules.symbol_id, **_named(leg)}
        answer = await gateway.read(Call("privateGetOrder", params, weight=_FETCH_WEIGHT), urgency=urgency)
        state = half(lambda: _read_order(answer))
        if state.leg_id != leg.leg_id and state.exchange_id != leg.exchange_id:
            raise VenueUnavailable("the venue told of another order")
        return state

    async def open_states(self, gateway: Gateway, rules: Rules, urgency: Urgency) -> dict[str, VenueState]:
        """Return what rests in a symbol, by client id."""
        call = Call("privateGetOpenOrders", {"symbol": rules.symbol_id}, weight=_OPEN_WEIGHT)
        answer = await gateway.read(call, urgency=urgency)
        return half(lambda: {state.leg_id: state for state in map(_read_order, rows(answer))})

    async def trades(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> list[VenueTrade]:
        """Return every trade of a leg, oldest first."""
        found: dict[str, VenueTrade] = {}
        page: dict[str, str] = {}
        while True:
            params = {"symbol": rules.symbol_id, "orderId": leg.exchange_id, "limit": str(TRADES_A_PAGE), **page}
            answer = await gateway.read(Call("privateGetMyTrades", params, weight=_TRADES_WEIGHT), urgency=urgency)
            fresh = half(partial(_read_trades, answer))
            new = {each.trade_id: each for each in fresh if each.exchange_id == leg.exchange_id}
            if len(fresh) < TRADES_A_PAGE or set(new) <= set(found):
                return list((found | new).values())
            found |= new
            page = {"fromId": str(max(int(each) for each in new) + 1)}

    async def all_open_ids(self, gateway: Gateway) -> list[tuple[str, str]]:
        """Return the exchange's symbol and the client id of everything that rests on the account."""
        answer = await gateway.read(Call("privateGetOpenOrders", weight=_ALL_OPEN_WEIGHT))
        return half(lambda: [(text(row, "symbol"), text(row, "clientOrderId")) for row in rows(answer)])

    async def balances(self, gateway: Gateway) -> dict[str, Decimal]:
        """Return whole holdings by asset: what is free and what orders lock."""
        answer = await gateway.read(Call("privateGetAccount", weight=_ACCOUNT_WEIGHT))
        told = answer.get("balances") if isinstance(answer, dict) else None
        if not told:
            raise VenueUnavailable("the venue told of no balances at all")
        held = half(lambda: {text(row, "asset"): number(row, "free") + number(row, "locked") for row in rows(told)})
        return {asset: quantity for asset, quantity in held.items() if quantity}

    async def funding(self, gateway: Gateway, since: datetime) -> list[VenueFunding]:
        """Return nothing: on spot nobody pays for holding."""
        return []

    async def bid_ask(self, gateway: Gateway, symbol_id: str, urgency: Urgency) -> tuple[Decimal, Decimal]:
        """Return the best prices of a symbol."""
        call = Call("publicGetTickerBookTicker", {"symbol": symbol_id}, weight=_TICKER_WEIGHT)
        answer = await gateway.read(call, urgency=urgency)
        bid, ask = half(lambda: (number(answer, "bidPrice"), number(answer, "askPrice")))
        if bid <= 0 or ask <= 0:
            raise VenueUnavailable(f"{symbol_id} has no prices")
        return bid, ask


def _named(leg: Leg) -> dict[str, str]:
    return {"orderId": leg.exchange_id} if leg.exchange_id else {"origClientOrderId": leg.leg_id}


def _takes_stops(rules: Rules) -> bool:
    return not rules.order_types or "STOP_LOSS" in rules.order_types


def _read_order(row: Any) -> VenueState:
    exchange_id = text(row, "orderId")
    trades = [] if not isinstance(row, dict) else row.get("fills") or []
    at = moment(row, "updateTime", "transactTime", "workingTime", "time")
    price = next((value for value in (_price(row, "price"), _price(row, "stopPrice")) if value), None)
    return VenueState(
        text(row, "clientOrderId"),
        exchange_id,
        status(row),
        number(row, "origQty"),
        number(row, "executedQty"),
        number(row, "cummulativeQuoteQty"),
        price,
        at,
        tuple(_read_fill(each, exchange_id, at) for each in trades if each.get("tradeId") is not None),
    )


def _price(row: Any, name: str) -> Decimal:
    return number(row, name) if row.get(name) not in (None, "") else ZERO


def _read_fill(row: Any, exchange_id: str, at: Any) -> VenueTrade:
    """Return a trade that came with the answer to an order: such an order took, it did not rest."""
    return VenueTrade(
        text(row, "tradeId"),
        exchange_id,
        number(row, "qty"),
        number(row, "price"),
        number(row, "commission"),
        text(row, "commissionAsset"),
        False,
        at,
    )


def _read_trades(answer: Any) -> list[VenueTrade]:
    return [_read_trade(row) for row in rows(answer)]


def _read_trade(row: Any) -> VenueTrade:
    return VenueTrade(
        text(row, "id"),
        text(row, "orderId"),
        number(row, "qty"),
        number(row, "price"),
        number(row, "commission"),
        text(row, "commissionAsset"),
        bool(row.get("isMaker")),
        moment(row, "time"),
    )
