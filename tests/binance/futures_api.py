"""The USD-M endpoints under `/fapi`: market, orders and conditional orders."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.binance.calls import Call, Endpoint
from tests.binance.errors import ApiError, missing_parameter, no_such_order, unknown_order
from tests.binance.futures import FuturesExchange
from tests.binance.futures_account import FuturesAccountApi
from tests.binance.futures_render import algo_state, contract_info, order_state, user_trade
from tests.binance.futures_values import ASSET, Algo
from tests.binance.orders import Order
from tests.binance.public_data import PublicData
from tests.binance.rules import FUTURES_TYPES, decimals, plain, short

ZERO = Decimal(0)
SIDES = ("BUY", "SELL")
TIFS = ("GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC")
ALGO_TYPES = FUTURES_TYPES[2:]
FUNDING_MS = 8 * 3600 * 1000
SWITCH = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."


class FuturesApi:
    """Answers of the futures exchange."""

    def __init__(self, engine: FuturesExchange, limits: list[dict[str, Any]]) -> None:
        self.engine = engine
        self.limits = limits
        self.public = PublicData(engine)

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Return the table of paths."""
        one, all_of = lambda call: 1 if call.text("symbol") else 40, self.account_orders
        signed: dict[tuple[str, str], tuple[Any, Any, int]] = {
            ("POST", "v1/order"): (self.new_order, 0, 1),
            ("POST", "v1/order/test"): (self.test_order, 0, 0),
            ("POST", "v1/batchOrders"): (self.batch, 5, 5),
            ("GET", "v1/order"): (self.get_order, 1, 0),
            ("GET", "v1/openOrder"): (self.get_order, 1, 0),
            ("PUT", "v1/order"): (self.modify_order, 1, 1),
            ("DELETE", "v1/order"): (self.cancel_order, 1, 0),
            ("DELETE", "v1/allOpenOrders"): (self.cancel_all, 1, 0),
            ("GET", "v1/openOrders"): (self.open_orders, one, 0),
            ("GET", "v1/allOrders"): (all_of, 5, 0),
            ("GET", "v1/userTrades"): (self.user_trades, 5, 0),
            ("POST", "v1/algoOrder"): (self.new_algo, 0, 1),
            ("GET", "v1/algoOrder"): (self.get_algo, 1, 0),
            ("DELETE", "v1/algoOrder"): (self.cancel_algo, 1, 0),
            ("GET", "v1/openAlgoOrders"): (self.open_algos, one, 0),
            ("GET", "v1/allAlgoOrders"): (self.all_algos, 5, 0),
            ("DELETE", "v1/algoOpenOrders"): (self.cancel_algos, 1, 0),
        }
        signed |= FuturesAccountApi(self.engine).endpoints()
        table = {
            (method, f"/fapi/{path}"): Endpoint(handler, weight, "signed", orders, needs_trading=method != "GET")
            for (method, path), (handler, weight, orders) in signed.items()
        }
        table |= self.public.endpoints("/fapi/v1")
        table |= {
            ("GET", "/fapi/v1/exchangeInfo"): Endpoint(self.exchange_info),
            ("GET", "/fapi/v1/premiumIndex"): Endpoint(self.premium_index),
            ("GET", "/fapi/v1/fundingRate"): Endpoint(self.funding_rates),
            ("GET", "/fapi/v2/ticker/price"): Endpoint(self.public.prices, 1),
        }
        return table

    # Market.

    def exchange_info(self, call: Call) -> dict[str, Any]:
        """Return the contracts with their filters."""
        return {
            "timezone": "UTC",
            "serverTime": self.engine.clock.now_ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": self.limits,
            "exchangeFilters": [],
            "assets": [{"asset": ASSET, "marginAvailable": True, "autoAssetExchange": "0"}],
            "symbols": [contract_info(rule) for rule in self.engine.rules.values()],
        }

    def premium_index(self, call: Call) -> Any:
        """Return mark prices and the coming funding."""
        now = self.engine.clock.now_ms()
        rows = [
            {
                "symbol": symbol,
                "markPrice": plain(self.engine.mark(symbol)),
                "indexPrice": plain(self.engine.last(symbol)),
                "estimatedSettlePrice": plain(self.engine.last(symbol)),
                "lastFundingRate": plain(self.engine.rates[symbol]),
                "interestRate": "0.00010000",
                "nextFundingTime": (now // FUNDING_MS + 1) * FUNDING_MS,
                "time": now,
            }
            for symbol in self.public.symbols(call)
        ]
        return rows[0] if call.text("symbol") else rows

    def funding_rates(self, call: Call) -> list[dict[str, Any]]:
        """Return past funding, oldest first."""
        symbols = self.public.symbols(call)
        rows = [row for row in self.engine.funding if row[0] in symbols]
        return [
            {"symbol": symbol, "fundingRate": plain(rate), "fundingTime": at, "markPrice": plain(mark)}
            for symbol, rate, at, mark in rows[-call.limit(100, 1000) :]
        ]

    # Orders.

    def _order(self, call: Call, types: tuple[str, ...], kind_name: str = "type") -> Order:
        rule = self.engine.rule(call.need("symbol"))
        kind = call.choice(kind_name, FUTURES_TYPES)
        if kind not in types:
            raise ApiError(-4120, SWITCH)
        side = call.choice("side", SIDES)
        order = Order(
            call.owner,
            rule.symbol,
            side,
            kind,
            quantity=call.decimal("quantity") or ZERO,
            client_id=call.client_id("newClientOrderId") or f"auto{self.engine.number('client'):018d}",
            price=call.decimal("price") or ZERO,
            tif=call.choice("timeInForce", TIFS, "GTC"),
            position_side=call.choice("positionSide", ("BOTH", "LONG", "SHORT"), "BOTH"),
            reduce_only=call.flag("reduceOnly"),
            close_position=call.flag("closePosition"),
            working_type=call.choice("workingType", ("MARK_PRICE", "CONTRACT_PRICE"), "CONTRACT_PRICE"),
            good_till_ms=call.integer("goodTillDate") or 0,
        )
        self._check(order, call)
        return order

    def _check(self, order: Order, call: Call) -> None:
        is_dual = self.engine.settings[order.account.name].is_dual
        if is_dual == (order.position_side == "BOTH"):
            raise ApiError(-4061, "Order's position side does not match user's setting.")
        if is_dual and (order.side == "BUY") != (order.position_side == "LONG"):
            order.reduce_only = True
        if order.type in ("LIMIT", "STOP", "TAKE_PROFIT") and not order.price:
            raise missing_parameter("price")
        if order.type == "LIMIT" and not call.text("timeInForce"):
            raise missing_parameter("timeInForce")
        if order.close_position:
            if order.quantity or order.reduce_only:
                raise ApiError(-4136, "Target strategy invalid for orderType, closePosition.")
        else:
            if not order.quantity:
                raise missing_parameter("quantity")
            self._check_quantity(order)
        if order.price:
            self._check_price(order, order.price)

    def _check_quantity(self, order: Order) -> None:
        rule = self.engine.rules[order.symbol]
        if order.quantity % rule.step:
            raise ApiError(-1111, "Precision is over the maximum defined for this asset.")
        if order.quantity < rule.min_quantity:
            raise ApiError(-4003, "Quantity less than or equal to zero.")
        most = rule.max_market_quantity if not order.price else rule.max_quantity
        if order.quantity > most:
            raise ApiError(-4005, "Quantity greater than max quantity.")
        worth = order.quantity * (order.price or self.engine.last(order.symbol))
        if worth < rule.min_notional and not order.reduce_only:
            least = short(rule.min_notional)
            raise ApiError(-4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only).")

    def _check_price(self, order: Order, price: Decimal) -> None:
        rule, last = self.engine.rules[order.symbol], self.engine.mark(order.symbol)
        if decimals(price) > decimals(rule.tick):
            raise ApiError(-1111, "Precision is over the maximum defined for this asset.")
        if price % rule.tick:
            raise ApiError(-4014, "Price not increased by tick size.")
        if order.type != "LIMIT":
            return
        high, low = last * rule.multiplier_up, last * rule.multiplier_down
        if order.is_buy and price > high:
            raise ApiError(-4016, f"Limit price can't be higher than {short(high)}.")
        if not order.is_buy and price < low:
            raise ApiError(-4024, f"Limit price can't be lower than {short(low)}.")

    def new_order(self, call: Call) -> dict[str, Any]:
        """Accept an order; conditional ones have an endpoint of their own."""
        return order_state(self.engine.place(self._order(call, ("LIMIT", "MARKET"))))

    def test_order(self, call: Call) -> dict[str, Any]:
        """Check an order without sending it."""
        return order_state(self._order(call, ("LIMIT", "MARKET")))

    def batch(self, call: Call) -> list[dict[str, Any]]:
        """Accept up to five orders, each on its own."""
        try:
            rows = json.loads(call.need("batchOrders"))
        except ValueError as error:
            raise ApiError(-1130, "Data sent for parameter 'batchOrders' is not valid.") from error
        answers = []
        for row in rows[:5]:
            single = Call("POST", "/fapi/v1/order", {k: str(v) for k, v in row.items()}, account=call.account)
            try:
                answers.append(self.new_order(single))
            except ApiError as error:
                answers.append(error.body())
        return answers

    def _find(self, call: Call, missing: ApiError) -> Order:
        symbol = self.engine.rule(call.need("symbol")).symbol
        order_id, client_id = call.integer("orderId"), call.text("origClientOrderId")
        if order_id is None and not client_id:
            raise missing_parameter("orderId")
        order = self.engine.find(call.owner, symbol, order_id, client_id or None)
        if order is None:
            raise missing
        return order

    def get_order(self, call: Call) -> dict[str, Any]:
        """Return one order."""
        return order_state(self._find(call, no_such_order()))

    def modify_order(self, call: Call) -> dict[str, Any]:
        """Change price and quantity of a resting limit order."""
        order = self._find(call, no_such_order())
        price, quantity = call.need_decimal("price"), call.need_decimal("quantity")
        if not order.is_open:
            raise no_such_order()
        if (price, quantity) == (order.price, order.quantity):
            raise ApiError(-5027, "No need to modify the order.")
        if quantity <= order.executed:
            return order_state(self.engine.cancel(order))
        wanted = Order(order.account, order.symbol, order.side, "LIMIT", quantity, price=price)
        self._check_quantity(wanted)
        self._check_price(wanted, price)
        return order_state(self.engine.amend(order, price, quantity))

    def cancel_order(self, call: Call) -> dict[str, Any]:
        """Cancel one order."""
        return order_state(self.engine.cancel(self._find(call, unknown_order())))

    def cancel_all(self, call: Call) -> dict[str, Any]:
        """Cancel all open orders of a symbol."""
        for order in self.engine.open_orders(call.owner, self.engine.rule(call.need("symbol")).symbol):
            if order.is_open:
                self.engine.cancel(order)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        """Return the open orders, conditional ones apart."""
        symbol = self.engine.rule(call.text("symbol")).symbol if call.text("symbol") else None
        return [order_state(order) for order in self.engine.open_orders(call.owner, symbol)]

    def account_orders(self, call: Call) -> list[dict[str, Any]]:
        """Return orders of a symbol, whatever became of them."""
        first, start, end = call.integer("orderId"), call.integer("startTime"), call.integer("endTime")
        rows = [
            order
            for order in self.engine.orders_of(call.owner, self.engine.rule(call.need("symbol")).symbol)
            if (first is None or order.order_id >= first)
            and (start is None or order.created_ms >= start)
            and (end is None or order.created_ms <= end)
        ]
        return [order_state(order) for order in rows[-call.limit(500, 1000) :]]

    def user_trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the account's trades of a symbol."""
        only, first, start = call.integer("orderId"), call.integer("fromId"), call.integer("startTime")
        rows = [
            user_trade(order, trade_number)
            for order in self.engine.orders_of(call.owner, self.engine.rule(call.need("symbol")).symbol)
            if only is None or order.order_id == only
            for trade_number, trade in enumerate(order.trades)
            if (first is None or trade.trade_id >= first) and (start is None or trade.time_ms >= start)
        ]
        return sorted(rows, key=lambda row: int(row["id"]))[-call.limit(500, 1000) :]

    # Conditional orders.

    def new_algo(self, call: Call) -> dict[str, Any]:
        """Accept a conditional order."""
        call.choice("algoType", ("CONDITIONAL",))
        order = self._order(call, ALGO_TYPES)
        if order.type == "TRAILING_STOP_MARKET":
            rate = call.need_decimal("callbackRate")
            if not Decimal("0.1") <= rate <= 10:
                raise ApiError(-2007, "Invalid callBack rate.")
            order.trailing_delta = int(rate * 100)
            order.stop_price = call.decimal("activatePrice") or ZERO
        else:
            order.stop_price = call.need_decimal("triggerPrice")
            self._check_price(order, order.stop_price)
        client_id = call.client_id("clientAlgoId") or f"algo{self.engine.number('client'):018d}"
        return algo_state(self.engine.place_algo(client_id, order))

    def _find_algo(self, call: Call, missing: ApiError) -> Algo:
        number, client_id = call.integer("algoId"), call.text("clientAlgoId")
        if number is None and not client_id:
            raise missing_parameter("algoId")
        for algo in reversed(self.engine.algos.values()):
            mine = algo.order.account is call.owner
            if mine and (algo.algo_id == number if number is not None else algo.client_id == client_id):
                return algo
        raise missing

    def get_algo(self, call: Call) -> dict[str, Any]:
        """Return one conditional order."""
        return algo_state(self._find_algo(call, no_such_order()))

    def cancel_algo(self, call: Call) -> dict[str, Any]:
        """Cancel one conditional order."""
        algo = self.engine.cancel_algo(self._find_algo(call, unknown_order()))
        return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}

    def cancel_algos(self, call: Call) -> dict[str, Any]:
        """Cancel all conditional orders of a symbol."""
        for algo in self.engine.open_algos(call.owner, self.engine.rule(call.need("symbol")).symbol):
            self.engine.cancel_algo(algo)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def open_algos(self, call: Call) -> list[dict[str, Any]]:
        """Return the waiting conditional orders."""
        return [algo_state(algo) for algo in self.engine.open_algos(call.owner, call.text("symbol") or None)]

    def all_algos(self, call: Call) -> list[dict[str, Any]]:
        """Return conditional orders of a symbol, whatever became of them."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        rows = [a for a in self.engine.algos.values() if a.order.account is call.owner and a.order.symbol == symbol]
        return [algo_state(algo) for algo in rows[-call.limit(500, 1000) :]]
