"""Whatever is traded, nothing appears and nothing disappears."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.binance.accounts import Account, Ledger
from tests.binance.clock import SimulatedClock
from tests.binance.errors import ApiError
from tests.binance.futures import FuturesExchange
from tests.binance.futures_values import DEFAULT_FUTURES
from tests.binance.orders import Order, OrderList
from tests.binance.rules import DEFAULT_SPOT
from tests.binance.scripted import Liquidity
from tests.binance.spot import SpotExchange

ZERO = Decimal(0)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ETHBTC")
ROUNDING = Decimal("0.00000001")
START = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000), "ETHBTC": Decimal("0.05"), "BNBUSDT": Decimal(600)}
THIN = Liquidity(levels=3, notional=Decimal(300))

step = st.fixed_dictionaries(
    {
        "act": st.sampled_from(("order", "order", "order", "stop", "oco", "otoco", "cancel", "move", "move", "trade")),
        "who": st.integers(0, 1),
        "symbol": st.sampled_from(SYMBOLS),
        "side": st.sampled_from(("BUY", "SELL")),
        "type": st.sampled_from(("LIMIT", "LIMIT", "MARKET", "QUOTE", "LIMIT_MAKER")),
        "tif": st.sampled_from(("GTC", "GTC", "IOC", "FOK")),
        "percent": st.integers(-300, 300),
        "worth": st.integers(6, 900),
        "pick": st.integers(0, 50),
        "stp": st.sampled_from(("EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "NONE")),
    }
)


class World:
    """A spot exchange with two traders on thin books."""

    def __init__(self, in_bnb: bool) -> None:
        self.ledger = Ledger()
        self.engine = SpotExchange(SimulatedClock(), self.ledger, DEFAULT_SPOT, THIN)
        for symbol, price in START.items():
            self.engine.move(symbol, price)
        self.traders = [self.ledger.add(Account(name, pays_in_bnb=in_bnb)) for name in ("ada", "bob")]
        for trader in self.traders:
            for asset, amount in (("USDT", 5000), ("BTC", 1), ("ETH", 5), ("BNB", 1)):
                self.ledger.deposit(trader, asset, Decimal(amount))
        self.numbers = 0

    def price(self, one: dict[str, Any], percent: int) -> Decimal:
        last, tick = self.engine.last(one["symbol"]), self.engine.rules[one["symbol"]].tick
        return max(tick, last * (10_000 + percent) / 10_000 // tick * tick)

    def order(self, one: dict[str, Any], side: str, kind: str, **fields: Any) -> Order:
        self.numbers += 1
        rule = self.engine.rules[one["symbol"]]
        last = self.engine.last(rule.symbol)
        worth = Decimal(one["worth"]) / (START["BTCUSDT"] if rule.quote == "BTC" else 1)
        quantity = max(rule.step, worth / last // rule.step * rule.step)
        values = {"quantity": quantity, "client_id": f"c{self.numbers}", "stp": one["stp"]} | fields
        return Order(self.traders[one["who"]], rule.symbol, side, kind, **values)

    def do(self, one: dict[str, Any]) -> None:
        before = self.state()
        try:
            getattr(self, f"do_{one['act']}")(one)
        except ApiError:
            assert self.state() == before, "a refusal changes nothing"

    def state(self) -> list[Any]:
        orders = [(order.order_id, order.status, order.executed) for order in self.engine.orders.values()]
        return [
            *orders,
            *(sorted(trader.wallet.total(asset) for asset in ("BTC", "ETH", "USDT")) for trader in self.traders),
        ]

    def do_order(self, one: dict[str, Any]) -> None:
        kind, fields = one["type"], dict[str, Any]()
        if kind == "QUOTE":
            kind, fields = "MARKET", {"quantity": ZERO, "quote_quantity": Decimal(one["worth"])}
        if kind.startswith("LIMIT"):
            fields |= {"price": self.price(one, one["percent"]), "tif": one["tif"] if kind == "LIMIT" else "GTC"}
        self.engine.place(self.order(one, one["side"], kind, **fields))

    def do_stop(self, one: dict[str, Any]) -> None:
        kind = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")[one["pick"] % 4]
        fields: dict[str, Any] = {"stop_price": self.price(one, one["percent"])}
        if kind.endswith("LIMIT"):
            fields["price"] = self.price(one, one["percent"] + one["pick"] - 25)
        self.engine.place(self.order(one, one["side"], kind, **fields))

    def pair(self, one: dict[str, Any], side: str) -> list[Order]:
        distance = abs(one["percent"]) + 1
        stop_at, limit_at = (distance, -distance) if side == "BUY" else (-distance, distance)
        stop = self.order(one, side, "STOP_LOSS", stop_price=self.price(one, stop_at))
        return [stop, self.order(one, side, "LIMIT_MAKER", price=self.price(one, limit_at))]

    def do_oco(self, one: dict[str, Any]) -> None:
        self.numbers += 1
        orders = OrderList(0, "OCO", f"l{self.numbers}", one["symbol"], 0, is_pair=True)
        self.engine.place_list(orders, self.pair(one, one["side"]), [])

    def do_otoco(self, one: dict[str, Any]) -> None:
        self.numbers += 1
        orders = OrderList(0, "OTO", f"l{self.numbers}", one["symbol"], 0)
        working = self.order(one, one["side"], "LIMIT", price=self.price(one, one["percent"]))
        other = "SELL" if one["side"] == "BUY" else "BUY"
        self.engine.place_list(orders, [working], self.pair(one, other))

    def do_cancel(self, one: dict[str, Any]) -> None:
        opened = self.engine.open_orders(self.traders[one["who"]])
        if opened:
            self.engine.cancel(opened[one["pick"] % len(opened)])

    def do_move(self, one: dict[str, Any]) -> None:
        volume = None if one["pick"] % 2 else Decimal(one["worth"]) / self.engine.last(one["symbol"])
        self.engine.move(one["symbol"], self.price(one, one["percent"]), volume)

    def do_trade(self, one: dict[str, Any]) -> None:
        quantity = self.order(one, "BUY", "MARKET").quantity
        self.engine.trade(one["symbol"], self.price(one, one["percent"]), quantity, one["side"])

    def check(self) -> None:
        for asset in self.ledger.assets():
            assert self.ledger.total(asset) == 0
        for trader in self.traders:
            opened = self.engine.open_orders(trader)
            locked: dict[str, Decimal] = {}
            for order in opened:
                assert order.lock >= 0
                locked[order.lock_asset] = locked.get(order.lock_asset, ZERO) + order.lock
            for asset in trader.wallet.assets():
                assert trader.wallet.free[asset] >= 0
                assert trader.wallet.locked[asset] == locked.get(asset, ZERO)
        self.check_orders()
        self.check_books()

    def check_orders(self) -> None:
        for order in self.engine.orders.values():
            assert order.executed == sum((trade.quantity for trade in order.trades), ZERO)
            assert order.executed_quote == sum((trade.notional for trade in order.trades), ZERO)
            assert order.is_open or order.lock == 0
            assert not order.is_open or order.status == "PENDING_NEW" or order.is_stop or order.price
            assert not order.is_open or order.tif == "GTC"
            assert order.status != "FILLED" or order.remaining == 0
            assert not order.price or all(
                trade.price <= order.price if order.is_buy else trade.price >= order.price for trade in order.trades
            )

    def check_books(self) -> None:
        for symbol in SYMBOLS:
            book = self.engine.books[symbol]
            if book.bids.best and book.asks.best:
                assert book.bids.best.price < book.asks.best.price
            for side in (book.bids, book.asks):
                for level in side.levels():
                    assert level.orders
                    assert all(order.remaining > 0 for order in level.orders)


def play(steps: list[dict[str, Any]], in_bnb: bool) -> None:
    world = World(in_bnb)
    for one in steps:
        world.do(one)
        world.check()
    for trader in world.traders:
        for order in world.engine.open_orders(trader):
            if order.is_open:
                world.engine.cancel(order)
        assert not any(trader.wallet.locked.values())
    world.check()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=5, max_size=25), st.booleans())
def test_spot_makes_and_loses_nothing(steps: list[dict[str, Any]], in_bnb: bool) -> None:
    play(steps, in_bnb)


@pytest.mark.prove
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=5, max_size=60), st.booleans())
def test_spot_makes_and_loses_nothing_in_many_worlds(steps: list[dict[str, Any]], in_bnb: bool) -> None:
    play(steps, in_bnb)


turn = st.fixed_dictionaries(
    {
        "act": st.sampled_from(("order", "order", "order", "algo", "move", "move", "fund", "cancel")),
        "who": st.integers(0, 1),
        "side": st.sampled_from(("BUY", "SELL")),
        "type": st.sampled_from(("LIMIT", "MARKET")),
        "percent": st.integers(-200, 200),
        "lots": st.integers(1, 400),
        "reduce": st.booleans(),
    }
)


def trade_futures(turns: list[dict[str, Any]]) -> None:
    ledger = Ledger()
    engine = FuturesExchange(SimulatedClock(), ledger, DEFAULT_FUTURES, Liquidity(levels=4, notional=Decimal(3000)))
    engine.move("BTCUSDT", 60_000)
    traders = [ledger.add(Account(name)) for name in ("ada", "bob")]
    for trader in traders:
        engine.deposit(trader, 5000)
    for number, one in enumerate(turns):
        act_futures(engine, traders[one["who"]], one, number)
        check_futures(engine)


def act_futures(engine: FuturesExchange, trader: Account, one: dict[str, Any], number: int) -> None:
    price = engine.last("BTCUSDT") * (10_000 + one["percent"]) / 10_000 // Decimal("0.1") * Decimal("0.1")
    order = Order(trader, "BTCUSDT", one["side"], one["type"], Decimal(one["lots"]) / 1000, f"c{number}")
    order.reduce_only = one["reduce"]
    before = [(known.order_id, known.status) for known in engine.orders.values()]
    try:
        if one["act"] == "move":
            engine.move("BTCUSDT", price, Decimal(one["lots"]) / 1000 if one["reduce"] else None)
        elif one["act"] == "fund":
            engine.fund("BTCUSDT", Decimal(one["percent"]) / 100_000)
        elif one["act"] == "cancel":
            for opened in engine.open_orders(trader)[:1]:
                engine.cancel(opened)
        elif one["act"] == "algo":
            order.type, order.stop_price = "STOP_MARKET", price
            engine.place_algo(f"a{number}", order)
        else:
            order.price = price if one["type"] == "LIMIT" else ZERO
            engine.place(order)
    except ApiError:
        assert [(known.order_id, known.status) for known in engine.orders.values()] == before


def check_futures(engine: FuturesExchange) -> None:
    assert sum(engine.wallets.values()) == 0
    held = list(engine.positions.values())
    assert sum(position.quantity for position in held) == 0
    unrealized = sum((position.unrealized(engine.last("BTCUSDT")) for position in held), ZERO)
    rounded = Decimal("0.00000001") * sum(2 + 2 * len(order.trades) for order in engine.orders.values()) + ROUNDING
    assert abs(engine.wallets["clearing"] - unrealized) < rounded
    assert engine.wallets["clearing_funding"] == 0
    for order in engine.orders.values():
        assert order.executed == sum((trade.quantity for trade in order.trades), ZERO)
        assert order.is_open or order.lock == 0


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turn, min_size=5, max_size=25))
def test_futures_make_and_lose_nothing(turns: list[dict[str, Any]]) -> None:
    trade_futures(turns)


@pytest.mark.prove
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turn, min_size=5, max_size=60))
def test_futures_make_and_lose_nothing_in_many_worlds(turns: list[dict[str, Any]]) -> None:
    trade_futures(turns)
