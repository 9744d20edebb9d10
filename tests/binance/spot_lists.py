"""The endpoints of order lists: OCO, OTO, OTOCO."""

from __future__ import annotations

from typing import Any

from tests.binance import render
from tests.binance.calls import Call
from tests.binance.errors import ApiError, duplicate_order, missing_parameter, rejected
from tests.binance.orders import Order, OrderList
from tests.binance.spot import SpotExchange
from tests.binance.spot_reader import SIDES, OrderReader


def list_report(engine: SpotExchange, orders: OrderList) -> dict[str, Any]:
    """Return an order list with the state of each of its orders."""
    everyone = (*orders.legs, *orders.waiting)
    reports = [render.order_canceled(o) if o.status == "CANCELED" else render.order_result(o) for o in everyone]
    return render.list_state(orders, engine.clock.now_ms()) | {"orderReports": reports}


class SpotListsApi:
    """Answers about order lists."""

    def __init__(self, engine: SpotExchange, reader: OrderReader) -> None:
        self.engine = engine
        self.reader = reader

    def endpoints(self) -> dict[tuple[str, str], tuple[Any, Any, int]]:
        """Return handler, weight and order count by method and path."""
        return {
            ("POST", "order/oco"): (self.old_oco, 1, 2),
            ("POST", "orderList/oco"): (self.oco, 1, 2),
            ("POST", "orderList/oto"): (self.oto, 1, 2),
            ("POST", "orderList/otoco"): (self.otoco, 1, 3),
            ("GET", "orderList"): (self.get_list, 4, 0),
            ("DELETE", "orderList"): (self.cancel_list, 1, 0),
            ("GET", "allOrderList"): (self.all_lists, 20, 0),
            ("GET", "openOrderList"): (self.open_lists, 6, 0),
        }

    def _new_list(self, call: Call, contingency: str, legs: list[Order], waiting: list[Order]) -> dict[str, Any]:
        ids = [order.client_id for order in (*legs, *waiting)]
        client_id = call.client_id("listClientOrderId") or f"list{self.engine.number('client'):018d}"
        opened = {order.client_id for order in self.engine.open_orders(call.owner, legs[0].symbol)}
        if len(set(ids)) < len(ids) or opened & set(ids):
            raise duplicate_order()
        orders = OrderList(0, contingency, client_id, legs[0].symbol, self.engine.clock.now_ms())
        orders.is_pair = contingency == "OCO"
        self.engine.place_list(orders, legs, waiting)
        return list_report(self.engine, orders)

    def _pair(self, call: Call, prefix: str) -> list[Order]:
        """Read the two legs of an OCO and check that they stand on both sides of the price."""
        above_name, below_name = (f"{prefix}Above", f"{prefix}Below") if prefix else ("above", "below")
        above, below = self.reader.read(call, above_name), self.reader.read(call, below_name)
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
        return self._new_list(call, "OTO", [self.reader.read(call, "working")], [self.reader.read(call, "pending")])

    def otoco(self, call: Call) -> dict[str, Any]:
        """Accept an order that, once filled, sends a pair."""
        return self._new_list(call, "OTO", [self.reader.read(call, "working")], self._pair(call, "pending"))

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
        return list_report(self.engine, self.engine.cancel_list(self._find_list(call)))

    def all_lists(self, call: Call) -> list[dict[str, Any]]:
        """Return all lists."""
        now = self.engine.clock.now_ms()
        return [render.list_state(orders, now) for orders in self.engine.lists_of(call.owner)][-call.limit(500, 1000) :]

    def open_lists(self, call: Call) -> list[dict[str, Any]]:
        """Return the lists that are not done."""
        now = self.engine.clock.now_ms()
        found = self.engine.lists_of(call.owner)
        return [render.list_state(orders, now) for orders in found if orders.order_status == "EXECUTING"]
