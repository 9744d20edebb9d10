"""The signed spot endpoints of orders, trades and the account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance import render
from tests.binance.calls import Call, Endpoint
from tests.binance.errors import ApiError, no_such_order, unknown_order
from tests.binance.orders import Order
from tests.binance.public_data import PublicData
from tests.binance.rules import plain
from tests.binance.spot import SpotExchange
from tests.binance.spot_lists import SpotListsApi, list_report
from tests.binance.spot_reader import OrderReader

ZERO = Decimal(0)
ANSWERS = {"ACK": render.order_ack, "RESULT": render.order_result, "FULL": render.order_full}
ROOT = "/api/v3"


class SpotApi:
    """Answers of the spot exchange."""

    def __init__(self, engine: SpotExchange, limits: list[dict[str, Any]]) -> None:
        self.engine = engine
        self.limits = limits
        self.public = PublicData(engine)
        self.reader = OrderReader(engine)
        self.lists = SpotListsApi(engine, self.reader)

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
            ("GET", "account"): (self.account, 20, 0),
            ("GET", "account/commission"): (self.commission, 20, 0),
        }
        signed |= self.lists.endpoints()
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

    def new_order(self, call: Call) -> dict[str, Any]:
        """Accept an order."""
        default = "FULL" if call.text("type") in ("LIMIT", "MARKET") else "ACK"
        answer = call.choice("newOrderRespType", tuple(ANSWERS), default)
        return ANSWERS[answer](self.engine.place(self.reader.read(call)))

    def test_order(self, call: Call) -> dict[str, Any]:
        """Check an order without sending it."""
        self.reader.read(call)
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
        return list_report(self.engine, order.orders) if order.orders else render.order_canceled(order)

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
                answers.append(list_report(self.engine, order.orders) if order.orders else render.order_canceled(order))
        return answers

    def cancel_replace(self, call: Call) -> dict[str, Any]:
        """Cancel one order and send another; what failed is said in each part."""
        mode = call.choice("cancelReplaceMode", ("STOP_ON_FAILURE", "ALLOW_FAILURE"))
        new = self.reader.read(call)
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
        first = call.integer("orderId")
        start, end = call.span()
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
        start, end = call.span()
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
