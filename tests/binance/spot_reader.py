"""A spot order as its parameters describe it, checked against what its type needs and against the filters."""

from __future__ import annotations

from decimal import Decimal

from tests.binance.calls import Call
from tests.binance.errors import ApiError, missing_parameter
from tests.binance.orders import Order
from tests.binance.rules import SPOT_TYPES
from tests.binance.spot import SpotExchange

ZERO = Decimal(0)
SIDES = ("BUY", "SELL")
TIFS = ("GTC", "IOC", "FOK")
NEEDS_PRICE = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
NEEDS_TIF = ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
STOPS = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
STP_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")


class Names:
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


class OrderReader:
    """Reads orders for one exchange."""

    def __init__(self, engine: SpotExchange) -> None:
        self.engine = engine

    def read(self, call: Call, prefix: str = "") -> Order:
        """Read one order from parameters that may share a prefix, such as `above` in an OCO."""
        name = Names(prefix)
        rule = self.engine.rule(call.need("symbol"))
        kind = call.choice(name("type"), SPOT_TYPES)
        side = call.choice(name.shared("side"), SIDES)
        order = Order(
            call.owner,
            rule.symbol,
            side,
            kind,
            quantity=call.decimal(name.shared("quantity")) or ZERO,
            client_id=call.client_id(name.client_id) or f"auto{self.engine.number('client'):018d}",
            price=call.decimal(name("price")) or ZERO,
            tif=call.choice(name("timeInForce"), TIFS, "GTC"),
            quote_quantity=call.decimal("quoteOrderQty") or ZERO,
            stop_price=call.decimal(name("stopPrice")) or ZERO,
            trailing_delta=call.integer(name("trailingDelta")) or 0,
            stp=call.choice("selfTradePreventionMode", STP_MODES, "EXPIRE_MAKER"),
        )
        self._check(order, call, name)
        return order

    def _check(self, order: Order, call: Call, name: Names) -> None:
        if order.type in NEEDS_TIF and not call.text(name("timeInForce")):
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
