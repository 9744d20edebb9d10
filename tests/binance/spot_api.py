"""The signed spot endpoints: orders, lists of orders, account, and the wallet calls that clients make on load."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance import render
from tests.binance.calls import Call, Endpoint
from tests.binance.errors import ApiError, duplicate_order, missing_parameter, no_such_order, rejected, unknown_order
from tests.binance.orders import Order, OrderList
from tests.binance.public_data import PublicData
from tests.binance.rules import SPOT_TYPES, plain
from tests.binance.spot import SpotExchange

ZERO = Decimal(0)
SIDES = ("BUY", "SELL")
TIFS = ("GTC", "IOC", "FOK")
NEEDS_PRICE = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
NEEDS_TIF = ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
STOPS = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
ANSWERS = {"ACK": render.order_ack, "RESULT": render.order_result, "FULL": render.order_full}
STP_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
ROOT = "/api/v3"


class SpotApi:
    """Answers of the spot exchange."""

    def __init__(self, engine: SpotExchange, limits: list[dict[str, Any]]) -> None:
        self.engine = engine
        self.limits = limits
        self.public = PublicData(engine)

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Return the table of paths."""
        signed: dict[tuple[str, str], tuple[Any, Any, int]] = {
            ("POST", "order"): (self.new_order, 1, 1),
            ("POST", "order/test"): (self.test_order, 1, 0),
            ("GET", "order"): (self.get_order, 4, 0),
            ("DELETE", "order"): (self.cancel_order, 1, 0),
            ("POST", "order/cancelReplace"): (self.cancel_replace, 1, 1),
            ("GET", "openOrders"): (self.open_orders, lambda call: 6 if call.text("symbol") else 80, 0),
            ("DELETE", "openOrders"): (self.cancel_all, 1, 0),
            ("GET", "allOrders"): (self.all_orders, 20, 0),
            ("GET", "myTrades"): (self.my_trades, 20, 0),
            ("POST", "order/oco"): (self.old_oco, 1, 2),
            ("POST", "orderList/oco"): (self.oco, 1, 2),
            ("POST", "orderList/oto"): (self.oto, 1, 2),
            ("POST", "orderList/otoco"): (self.otoco, 1, 3),
            ("GET", "orderList"): (self.get_list, 4, 0),
            ("DELETE", "orderList"): (self.cancel_list, 1, 0),
            ("GET", "allOrderList"): (self.all_lists, 20, 0),
            ("GET", "openOrderList"): (self.open_lists, 6, 0),
            ("GET", "account"): (self.account, 20, 0),
            ("GET", "account/commission"): (self.commission, 20, 0),
        }
        table = {
            (method, f"{ROOT}/{name}"): Endpoint(
                handler, weight, "signed", orders, needs_trading=method != "GET" and name != "order/test"
            )
            for (method, name), (handler, weight, orders) in signed.items()
        }
        table[("GET", f"{ROOT}/exchangeInfo")] = Endpoint(self.exchange_info, 20)
        return table | self.public.endpoints(ROOT)

    def exchange_info(self, call: Call) -> dict[str, Any]:
        """Return the symbols with their filters."""
        return {
            "timezone": "UTC",
            "serverTime": self.engine.clock.now_ms(),
            "rateLimits": self.limits,
            "exchangeFilters": [],
            "symbols": [self.engine.rules[name].spot_info() for name in self.public.symbols(call)],
        }

    # One order.

    def _order(self, call: Call, prefix: str = "", shared: dict[str, str] | None = None) -> Order:
        """Read one order from parameters that may share a prefix, such as `above` in an OCO."""
        name = _Names(prefix)
        params = Call(call.method, call.path, {**call.params, **(shared or {})})
        rule = self.engine.rule(call.need("symbol"))
        kind = params.choice(name("type"), SPOT_TYPES) if prefix else params.choice("type", SPOT_TYPES)
        side = params.choice(name.shared("side"), SIDES)
        order = Order(
            call.owner,
            rule.symbol,
            side,
            kind,
            quantity=params.decimal(name.shared("quantity")) or ZERO,
            client_id=params.client_id(name.client_id) or f"auto{self.engine.number('client'):018d}",
            price=params.decimal(name("price")) or ZERO,
            tif=params.choice(name("timeInForce"), TIFS, "GTC"),
            quote_quantity=params.decimal("quoteOrderQty") or ZERO,
            stop_price=params.decimal(name("stopPrice")) or ZERO,
            trailing_delta=params.integer(name("trailingDelta")) or 0,
            stp=params.choice("selfTradePreventionMode", STP_MODES, "EXPIRE_MAKER"),
        )
        self._check(order, params, name)
        return order

    def _check(self, order: Order, params: Call, name: _Names) -> None:
        if order.type in NEEDS_TIF and not params.text(name("timeInForce")):
            raise missing_parameter(name("timeInForce"))
        if order.type in NEEDS_PRICE and not order.price:
            raise missing_parameter(name("price"))
        if order.type in STOPS and not order.stop_price and not order.trailing_delta:
            raise ApiError(-1102, "A mandatory parameter was not sent: 'stopPrice' or 'trailingDelta'.")
        if order.type not in NEEDS_PRICE and order.price:
            raise ApiError(-1106, f"Parameter '{name('price')}' sent when not required.")
        if order.type == "MARKET" and order.quote_quantity:
            if order.quantity:
                raise ApiError(-1128, "Combination of optional parameters invalid.")
        elif not order.quantity:
            raise missing_parameter(name.shared("quantity"))
        self._check_filters(order)

    def _check_filters(self, order: Order) -> None:
        rule, last = self.engine.rules[order.symbol], self.engine.last(order.symbol)
        if order.price:
            rule.check_price(order.price, last, order.side)
        if order.stop_price:
            rule.check_stop(order.stop_price)
        if order.quote_quantity:
            rule.check_notional(order.quote_quantity)
            return
        rule.check_quantity(order.quantity, order.type == "MARKET")
        worth = order.quantity * (order.price or order.stop_price or last)
        rule.check_notional(worth)

    def new_order(self, call: Call) -> dict[str, Any]:
        """Accept an order."""
        default = "FULL" if call.text("type") in ("LIMIT", "MARKET") else "ACK"
        answer = call.choice("newOrderRespType", tuple(ANSWERS), default)
        return ANSWERS[answer](self.engine.place(self._order(call)))

    def test_order(self, call: Call) -> dict[str, Any]:
        """Check an order without sending it."""
        self._order(call)
        return {}

    def _find(self, call: Call, missing: ApiError) -> Order:
        symbol = self.engine.rule(call.need("symbol")).symbol
        order_id, client_id = call.integer("orderId"), call.text("origClientOrderId")
        if order_id is None and not client_id:
            raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        order = self.engine.find(call.owner, symbol, order_id, client_id or None)
        if order is None or (client_id and order.client_id != client_id):
            raise missing
        return order

    def get_order(self, call: Call) -> dict[str, Any]:
        """Return one order."""
        return render.order_state(self._find(call, no_such_order()))

    def cancel_order(self, call: Call) -> dict[str, Any]:
        """Cancel one order; a leg of a list takes the list with it."""
        order = self._find(call, unknown_order())
        restriction = call.text("cancelRestrictions")
        if restriction and order.is_open and order.status != restriction.removeprefix("ONLY_"):
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        self.engine.cancel(order, call.client_id("newClientOrderId"))
        return self._list_report(order.orders) if order.orders else render.order_canceled(order)

    def cancel_all(self, call: Call) -> list[dict[str, Any]]:
        """Cancel all open orders of a symbol."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        opened = self.engine.open_orders(call.owner, symbol)
        if not opened:
            raise unknown_order()
        answers = []
        for order in opened:
            if order.is_open:
                self.engine.cancel(order)
                answers.append(self._list_report(order.orders) if order.orders else render.order_canceled(order))
        return answers

    def cancel_replace(self, call: Call) -> dict[str, Any]:
        """Cancel one order and send another; what failed is said in each part."""
        mode = call.choice("cancelReplaceMode", ("STOP_ON_FAILURE", "ALLOW_FAILURE"))
        new = self._order(call)
        old_call = Call(call.method, call.path, dict(call.params), account=call.account)
        for source, target in (("cancelOrderId", "orderId"), ("cancelOrigClientOrderId", "origClientOrderId")):
            old_call.params[target] = call.text(source)
        answer: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED"}
        answer |= {"cancelResponse": None, "newOrderResponse": None}
        try:
            old = self._find(old_call, unknown_order())
            self.engine.cancel(old, call.client_id("cancelNewClientOrderId"))
            answer["cancelResponse"] = render.order_canceled(old)
        except ApiError as error:
            answer |= {"cancelResult": "FAILURE", "cancelResponse": error.body()}
            if mode == "STOP_ON_FAILURE":
                raise ApiError(-2022, "Order cancel-replace failed.", 400, answer) from error
        try:
            self.engine.place(new)
            answer |= {"newOrderResult": "SUCCESS", "newOrderResponse": render.order_full(new)}
        except ApiError as error:
            answer |= {"newOrderResult": "FAILURE", "newOrderResponse": error.body()}
        failed = (answer["cancelResult"] == "FAILURE") + (answer["newOrderResult"] == "FAILURE")
        if failed == 1:
            raise ApiError(-2021, "Order cancel-replace partially failed.", 409, answer)
        if failed:
            raise ApiError(-2022, "Order cancel-replace failed.", 400, answer)
        return answer

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        """Return the open orders."""
        symbol = self.engine.rule(call.text("symbol")).symbol if call.text("symbol") else None
        return [render.order_state(order) for order in self.engine.open_orders(call.owner, symbol)]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        """Return orders of a symbol, whatever became of them."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        first, start, end = call.integer("orderId"), call.integer("startTime"), call.integer("endTime")
        rows = [
            order
            for order in self.engine.orders_of(call.owner, symbol)
            if (first is None or order.order_id >= first)
            and (start is None or order.created_ms >= start)
            and (end is None or order.created_ms <= end)
        ]
        limit = call.limit(500, 1000)
        chosen = rows[-limit:] if first is None and start is None else rows[:limit]
        return [render.order_state(order) for order in chosen]

    def my_trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the account's trades of a symbol."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        only, first = call.integer("orderId"), call.integer("fromId")
        start, end = call.integer("startTime"), call.integer("endTime")
        if start is not None and end is not None and end - start > 86_400_000:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
        rows = [
            (order, trade)
            for order in self.engine.orders_of(call.owner, symbol)
            if only is None or order.order_id == only
            for trade in order.trades
            if (first is None or trade.trade_id >= first)
            and (start is None or trade.time_ms >= start)
            and (end is None or trade.time_ms <= end)
        ]
        rows.sort(key=lambda row: row[1].trade_id)
        limit = call.limit(500, 1000)
        chosen = rows[-limit:] if first is None and start is None else rows[:limit]
        return [render.account_trade(order, trade) for order, trade in chosen]

    # Lists of orders.

    def _new_list(self, call: Call, contingency: str, legs: list[Order], waiting: list[Order]) -> dict[str, Any]:
        ids = [order.client_id for order in (*legs, *waiting)]
        client_id = call.client_id("listClientOrderId") or f"list{self.engine.number('client'):018d}"
        opened = {order.client_id for order in self.engine.open_orders(call.owner, legs[0].symbol)}
        if len(set(ids)) < len(ids) or opened & set(ids):
            raise duplicate_order()
        orders = OrderList(0, contingency, client_id, legs[0].symbol, self.engine.clock.now_ms())
        orders.is_pair = contingency == "OCO"
        self.engine.place_list(orders, legs, waiting)
        return self._list_report(orders)

    def _list_report(self, orders: OrderList) -> dict[str, Any]:
        everyone = (*orders.legs, *orders.waiting)
        reports = [render.order_canceled(o) if o.status == "CANCELED" else render.order_result(o) for o in everyone]
        return render.list_state(orders, self.engine.clock.now_ms()) | {"orderReports": reports}

    def _pair(self, call: Call, prefix: str) -> list[Order]:
        """Read the two legs of an OCO and check that they stand on both sides of the price."""
        above_name, below_name = (f"{prefix}Above", f"{prefix}Below") if prefix else ("above", "below")
        above, below = self._order(call, above_name), self._order(call, below_name)
        high, low = (order.price if order.type == "LIMIT_MAKER" else order.stop_price for order in (above, below))
        last = self.engine.last(above.symbol)
        if high and low and not low < high:
            raise rejected("The relationship of the prices for the orders is not correct.")
        if not prefix and ((high and high <= last) or (low and low >= last)):
            raise rejected("The relationship of the prices for the orders is not correct.")
        if above.is_stop == below.is_stop and above.type.split("_")[0] == below.type.split("_")[0]:
            raise ApiError(-1158, f"Order type not supported in OCO: {above.type} and {below.type}.")
        return [below, above]

    def oco(self, call: Call) -> dict[str, Any]:
        """Accept a pair of which one cancels the other."""
        return self._new_list(call, "OCO", self._pair(call, ""), [])

    def old_oco(self, call: Call) -> dict[str, Any]:
        """Accept a pair in the form before 2024: a limit order and a stop."""
        sells = call.choice("side", SIDES) == "SELL"
        limit, stop = ("above", "below") if sells else ("below", "above")
        params = {
            f"{limit}Type": "LIMIT_MAKER",
            f"{limit}Price": call.need("price"),
            f"{limit}ClientOrderId": call.text("limitClientOrderId"),
            f"{stop}Type": "STOP_LOSS_LIMIT" if call.text("stopLimitPrice") else "STOP_LOSS",
            f"{stop}StopPrice": call.need("stopPrice"),
            f"{stop}Price": call.text("stopLimitPrice"),
            f"{stop}TimeInForce": call.text("stopLimitTimeInForce"),
            f"{stop}ClientOrderId": call.text("stopClientOrderId"),
        }
        call.params = call.params | params
        return self.oco(call)

    def oto(self, call: Call) -> dict[str, Any]:
        """Accept an order that, once filled, sends another."""
        return self._new_list(call, "OTO", [self._order(call, "working")], [self._order(call, "pending")])

    def otoco(self, call: Call) -> dict[str, Any]:
        """Accept an order that, once filled, sends a pair."""
        return self._new_list(call, "OTO", [self._order(call, "working")], self._pair(call, "pending"))

    def _find_list(self, call: Call) -> OrderList:
        number, client_id = call.integer("orderListId"), call.text("origClientOrderId")
        client_id = client_id or call.text("listClientOrderId")
        if number is None and not client_id:
            raise missing_parameter("orderListId")
        for orders in reversed(self.engine.lists_of(call.owner)):
            if orders.list_id == number or (number is None and orders.client_id == client_id):
                return orders
        raise ApiError(-2018 if call.method == "GET" else -2011, "Order list does not exist.")

    def get_list(self, call: Call) -> dict[str, Any]:
        """Return one list."""
        return render.list_state(self._find_list(call), self.engine.clock.now_ms())

    def cancel_list(self, call: Call) -> dict[str, Any]:
        """Cancel what is open of a list."""
        return self._list_report(self.engine.cancel_list(self._find_list(call)))

    def all_lists(self, call: Call) -> list[dict[str, Any]]:
        """Return all lists."""
        now = self.engine.clock.now_ms()
        return [render.list_state(orders, now) for orders in self.engine.lists_of(call.owner)][-call.limit(500, 1000) :]

    def open_lists(self, call: Call) -> list[dict[str, Any]]:
        """Return the lists that are not done."""
        now = self.engine.clock.now_ms()
        found = self.engine.lists_of(call.owner)
        return [render.list_state(orders, now) for orders in found if orders.order_status == "EXECUTING"]

    # The account.

    def account(self, call: Call) -> dict[str, Any]:
        """Return rights, rates and balances."""
        owner, wallet = call.owner, call.owner.wallet
        rates = {"maker": plain(owner.maker_fee), "taker": plain(owner.taker_fee)}
        hide_zero = call.flag("omitZeroBalances")
        return {
            "makerCommission": int(owner.maker_fee * 10_000),
            "takerCommission": int(owner.taker_fee * 10_000),
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": rates | {"buyer": plain(ZERO), "seller": plain(ZERO)},
            "canTrade": owner.can_trade,
            "canWithdraw": owner.can_withdraw,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.engine.clock.now_ms(),
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": plain(wallet.free[asset]), "locked": plain(wallet.locked[asset])}
                for asset in self.assets(owner.wallet.assets())
                if not hide_zero or wallet.total(asset)
            ],
            "permissions": ["SPOT"],
            "uid": owner.uid,
        }

    def assets(self, also: list[str] | None = None) -> list[str]:
        """Return the assets of all symbols and any others held."""
        listed = {asset for rule in self.engine.rules.values() for asset in (rule.base, rule.quote)}
        return sorted(listed | set(also or ()))

    def commission(self, call: Call) -> dict[str, Any]:
        """Return the fee rates of a symbol."""
        symbol = self.engine.rule(call.need("symbol")).symbol
        owner = call.owner
        zero = {"maker": plain(ZERO), "taker": plain(ZERO), "buyer": plain(ZERO), "seller": plain(ZERO)}
        return {
            "symbol": symbol,
            "standardCommission": zero | {"maker": plain(owner.maker_fee), "taker": plain(owner.taker_fee)},
            "specialCommission": zero,
            "taxCommission": zero,
            "discount": {
                "enabledForAccount": owner.pays_in_bnb,
                "enabledForSymbol": True,
                "discountAsset": "BNB",
                "discount": "0.75000000",
            },
        }


class _Names:
    """The names of one order's parameters, plain or with a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, name: str) -> str:
        """Return the name with the prefix in front."""
        return f"{self.prefix}{name[0].upper()}{name[1:]}" if self.prefix else name

    def shared(self, name: str) -> str:
        """Return the name of what both legs of a pair share: `side`, or `pendingSide` in an OTOCO."""
        for head in ("working", "pending"):
            if self.prefix.startswith(head):
                return f"{head}{name[0].upper()}{name[1:]}"
        return name

    @property
    def client_id(self) -> str:
        """Return the name of the client's order id."""
        return f"{self.prefix}ClientOrderId" if self.prefix else "newClientOrderId"
