"""USD-M futures: short positions, real reduce-only orders, and stops at the conditional (algo) endpoint.

A stop is another kind of thing here: it has its own ids and is asked for and cancelled at its own endpoint; once it
triggers, an ordinary order is made whose id the conditional one tells. Reduce-only orders lock nothing, so protection
can be replaced by placing the new before cancelling the old. One-way position mode only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from agents.execution.binance.dialect import TRADES_A_PAGE, ZERO, half, moment, number, plain, rows, status, text
from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import Rules
from agents.execution.binance.values import Leg, VenueFunding, VenueState, VenueTrade
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderStatus, OrderType

_ALGO_STATUSES = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "FINISHED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}
_INCOME_WEIGHT, _INCOMES_A_PAGE = 30, 1000
_TRADES_WEIGHT, _ACCOUNT_WEIGHT, _TICKER_WEIGHT, _ALL_OPEN_WEIGHT = 5, 5, 2, 40


class FuturesDialect:
    """Binance USD-M futures."""

    is_futures = True
    time_endpoint = "fapiPublicGetTime"
    pairs = False

    def info(self, symbol_id: str = "") -> Call:
        """Return the question for the exchange information; futures tell all symbols at once."""
        return Call("fapiPublicGetExchangeInfo")

    def place(self, leg: Leg, rules: Rules, *, is_reduce_only: bool) -> Call:
        """Return the request for one order; stops go to the conditional endpoint."""
        params = {"symbol": rules.symbol_id, "side": leg.side.value.upper(), "quantity": plain(leg.quantity)}
        if is_reduce_only:
            params["reduceOnly"] = "true"
        if leg.order_type is OrderType.STOP and leg.price is not None:
            params |= {
                "algoType": "CONDITIONAL",
                "type": "STOP_MARKET",
                "triggerPrice": plain(leg.price),
                "workingType": "CONTRACT_PRICE",
                "clientAlgoId": leg.leg_id,
            }
            return Call("fapiPrivatePostAlgoOrder", params, orders=1)
        params |= {"newClientOrderId": leg.leg_id, "newOrderRespType": "RESULT", "type": "MARKET"}
        if leg.order_type is OrderType.LIMIT and leg.price is not None:
            params |= {"type": "LIMIT", "timeInForce": "GTC", "price": plain(leg.price)}
        return Call("fapiPrivatePostOrder", params, orders=1)

    def place_pair(self, stop: Leg, target: Leg, rules: Rules) -> Call:
        """Refuse: there are no lists here."""
        raise ValueError("futures have no order lists")

    def read_placed(self, answer: Any, legs: Sequence[Leg]) -> list[VenueState]:
        """Return what an answer to a placement tells of its leg."""
        [leg] = legs
        state = _read_algo(answer) if leg.order_type is OrderType.STOP else _read_order(answer)
        if state.leg_id != leg.leg_id:
            raise Failure(0, 0, "an answer about another order")
        return [state]

    def cancel(self, leg: Leg, rules: Rules) -> Call:
        """Return the request that cancels a leg; a triggered stop is an ordinary order."""
        if leg.order_type is OrderType.STOP and not leg.exchange_id:
            return Call("fapiPrivateDeleteAlgoOrder", {"clientAlgoId": leg.leg_id})
        named = {"orderId": leg.exchange_id} if leg.exchange_id else {"origClientOrderId": leg.leg_id}
        return Call("fapiPrivateDeleteOrder", {"symbol": rules.symbol_id, **named})

    async def fetch(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> VenueState:
        """Return a leg as it stands; of a triggered stop, the order that it made."""
        if leg.order_type is not OrderType.STOP:
            named = {"orderId": leg.exchange_id} if leg.exchange_id else {"origClientOrderId": leg.leg_id}
            call = Call("fapiPrivateGetOrder", {"symbol": rules.symbol_id, **named})
            answer = await gateway.read(call, urgency=urgency)
            return half(lambda: _read_order(answer))
        told = await gateway.read(Call("fapiPrivateGetAlgoOrder", {"clientAlgoId": leg.leg_id}), urgency=urgency)
        state: VenueState = half(lambda: _read_algo(told))
        if not state.exchange_id:
            return state
        call = Call("fapiPrivateGetOrder", {"symbol": rules.symbol_id, "orderId": state.exchange_id})
        made = await gateway.read(call, urgency=urgency)
        actual: VenueState = half(lambda: _read_order(made))
        return replace(actual, leg_id=leg.leg_id, price=state.price)

    async def open_states(self, gateway: Gateway, rules: Rules, urgency: Urgency) -> dict[str, VenueState]:
        """Return what rests in a symbol, by client id; conditional orders that have triggered are asked for singly."""
        symbol = {"symbol": rules.symbol_id}
        plain_orders = await gateway.read(Call("fapiPrivateGetOpenOrders", symbol), urgency=urgency)
        conditional = await gateway.read(Call("fapiPrivateGetOpenAlgoOrders", symbol), urgency=urgency)
        states = half(lambda: [*map(_read_order, rows(plain_orders)), *map(_read_algo, rows(_algo_rows(conditional)))])
        return {state.leg_id: state for state in states}

    async def trades(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> list[VenueTrade]:
        """Return the trades of a leg, oldest first."""
        params = {"symbol": rules.symbol_id, "orderId": leg.exchange_id, "limit": str(TRADES_A_PAGE)}
        answer = await gateway.read(Call("fapiPrivateGetUserTrades", params, weight=_TRADES_WEIGHT), urgency=urgency)
        found: list[VenueTrade] = half(lambda: [_read_trade(row) for row in rows(answer)])
        return [each for each in found if each.exchange_id == leg.exchange_id]

    async def all_open_ids(self, gateway: Gateway) -> list[tuple[str, str]]:
        """Return the exchange's symbol and the client id of everything that rests on the account."""
        orders = await gateway.read(Call("fapiPrivateGetOpenOrders", weight=_ALL_OPEN_WEIGHT))
        conditional = await gateway.read(Call("fapiPrivateGetOpenAlgoOrders", weight=_ALL_OPEN_WEIGHT))
        return half(
            lambda: [
                *((text(row, "symbol"), text(row, "clientOrderId")) for row in rows(orders)),
                *((text(row, "symbol"), text(row, "clientAlgoId")) for row in rows(_algo_rows(conditional))),
            ]
        )

    async def balances(self, gateway: Gateway) -> dict[str, Decimal]:
        """Return positions by base asset, and cash as if they had been paid for in full (or been paid out, when short).

        A wallet does not pay for a position; a ledger that books fills does. So what a position cost, at its entry
        price, is taken from the cash of its quote asset.
        """
        wallet = await gateway.read(Call("fapiPrivateV3GetBalance", weight=_ACCOUNT_WEIGHT))
        positions = await gateway.read(Call("fapiPrivateV3GetPositionRisk", weight=_ACCOUNT_WEIGHT))
        if not wallet:
            raise VenueUnavailable("the venue told of no balances at all")
        held: dict[str, Decimal] = half(lambda: {text(row, "asset"): number(row, "balance") for row in rows(wallet)})
        for row in rows(positions):
            base, quote, quantity, entry = half(partial(_read_position, row))
            held[base] = held.get(base, ZERO) + quantity
            held[quote] = held.get(quote, ZERO) - quantity * entry
        return {asset: quantity for asset, quantity in held.items() if quantity}

    async def funding(self, gateway: Gateway, since: datetime) -> list[VenueFunding]:
        """Return what was paid for holding at a time or after it, oldest first."""
        found: dict[str, VenueFunding] = {}
        begin_ms = int(since.timestamp() * 1000)
        while True:
            params = {"incomeType": "FUNDING_FEE", "startTime": str(begin_ms), "limit": str(_INCOMES_A_PAGE)}
            try:
                answer = await gateway.read(Call("fapiPrivateGetIncome", params, weight=_INCOME_WEIGHT))
            except Failure as failure:
                raise VenueUnavailable(f"funding: {failure}") from failure
            page = half(partial(_read_fundings, answer))
            fresh = {each.payment_id: each for each in page if each.payment_id not in found}
            found |= fresh
            if len(page) < _INCOMES_A_PAGE or not fresh:
                return sorted(found.values(), key=lambda each: each.at)
            begin_ms = int(max(each.at for each in page).timestamp() * 1000)

    async def bid_ask(self, gateway: Gateway, symbol_id: str, urgency: Urgency) -> tuple[Decimal, Decimal]:
        """Return the best prices of a symbol."""
        call = Call("fapiPublicGetTickerBookTicker", {"symbol": symbol_id}, weight=_TICKER_WEIGHT)
        answer = await gateway.read(call, urgency=urgency)
        bid, ask = half(lambda: (number(answer, "bidPrice"), number(answer, "askPrice")))
        if bid <= 0 or ask <= 0:
            raise VenueUnavailable(f"{symbol_id} has no prices")
        return bid, ask


def _algo_rows(answer: Any) -> Any:
    """Return the list of conditional orders, which some versions wrap."""
    return answer.get("orders") if isinstance(answer, dict) else answer


def _read_order(row: Any) -> VenueState:
    filled = number(row, "executedQty")
    notional = row.get("cumQuote")
    cost = number(row, "cumQuote") if notional not in (None, "") else filled * number(row, "avgPrice")
    return VenueState(
        text(row, "clientOrderId"),
        text(row, "orderId"),
        status(row),
        number(row, "origQty"),
        filled,
        cost,
        number(row, "price") or None,
        moment(row, "updateTime", "time"),
    )


def _read_algo(row: Any) -> VenueState:
    told = text(row, "algoStatus")
    if told not in _ALGO_STATUSES:
        raise Failure(0, 0, f"unknown status {told[:32]}")
    text(row, "algoId")
    actual = str(row.get("actualOrderId") or "")
    return VenueState(
        text(row, "clientAlgoId"),
        "" if actual == "0" else actual,
        _ALGO_STATUSES[told],
        number(row, "quantity"),
        ZERO,
        ZERO,
        number(row, "triggerPrice"),
        moment(row, "updateTime", "createTime"),
    )


def _read_position(row: Any) -> tuple[str, str, Decimal, Decimal]:
    quote = text(row, "marginAsset") if isinstance(row, dict) and row.get("marginAsset") else "USDT"
    base = text(row, "symbol").removesuffix(quote)
    return base, quote, number(row, "positionAmt"), number(row, "entryPrice")


def _read_fundings(answer: Any) -> list[VenueFunding]:
    return [
        VenueFunding(
            f"{text(row, 'symbol')}:{text(row, 'tranId')}",
            text(row, "symbol"),
            number(row, "income"),
            moment(row, "time"),
        )
        for row in rows(answer)
    ]


def _read_trade(row: Any) -> VenueTrade:
    return VenueTrade(
        text(row, "id"),
        text(row, "orderId"),
        number(row, "qty"),
        number(row, "price"),
        number(row, "commission"),
        text(row, "commissionAsset"),
        bool(row.get("maker")),
        moment(row, "time"),
    )
