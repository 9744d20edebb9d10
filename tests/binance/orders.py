"""Orders, lists of orders and trades, and the book in which limit orders rest by price and then time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from tests.binance.accounts import Account

ZERO = Decimal(0)
OPEN = ("NEW", "PARTIALLY_FILLED", "PENDING_NEW")
STOP_TYPES = (
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)


@dataclass(slots=True, eq=False)
class Trade:
    """One execution, as one of its two sides sees it."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    time_ms: int
    realized: Decimal = ZERO

    @property
    def notional(self) -> Decimal:
        """Return price × quantity."""
        return self.price * self.quantity


@dataclass(slots=True, eq=False)
class Order:
    """One order from its acceptance to its end."""

    account: Account
    symbol: str
    side: str
    type: str
    quantity: Decimal = ZERO
    client_id: str = ""
    price: Decimal = ZERO
    tif: str = "GTC"
    quote_quantity: Decimal = ZERO
    stop_price: Decimal = ZERO
    trailing_delta: int = 0
    stp: str = "EXPIRE_MAKER"
    strategy: dict[str, int] = field(default_factory=dict)
    order_id: int = 0
    status: str = "NEW"
    executed: Decimal = ZERO
    executed_quote: Decimal = ZERO
    created_ms: int = 0
    updated_ms: int = 0
    working_ms: int = -1
    orders: OrderList | None = None
    lock: Decimal = ZERO
    lock_asset: str = ""
    is_triggered: bool = False
    extreme: Decimal = ZERO
    trades: list[Trade] = field(default_factory=list)
    cancel_id: str = ""
    position_side: str = "BOTH"
    reduce_only: bool = False
    close_position: bool = False
    working_type: str = "CONTRACT_PRICE"
    original_type: str = ""
    good_till_ms: int = 0

    @property
    def remaining(self) -> Decimal:
        """Return what is still to be executed."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Tell whether the order can still change."""
        return self.status in OPEN

    @property
    def is_buy(self) -> bool:
        """Tell the side."""
        return self.side == "BUY"

    @property
    def is_stop(self) -> bool:
        """Tell whether the order waits for a price before it works."""
        return self.type in STOP_TYPES and not self.is_triggered

    @property
    def takes_any_price(self) -> bool:
        """Tell whether the order has no limit price."""
        return self.price == ZERO

    @property
    def list_id(self) -> int:
        """Return the list the order belongs to, -1 for none."""
        return self.orders.list_id if self.orders else -1


@dataclass(slots=True, eq=False)
class OrderList:
    """Orders that live and die together: OCO (one cancels the other), OTO and OTOCO (one triggers others).

    While `is_pair` holds, the open legs share one lock, and what ends one of them ends the other.
    """

    list_id: int
    contingency: str
    client_id: str
    symbol: str
    created_ms: int
    legs: list[Order] = field(default_factory=list)
    waiting: list[Order] = field(default_factory=list)
    status: str = "EXEC_STARTED"
    order_status: str = "EXECUTING"
    is_pair: bool = False


class Level:
    """The orders at one price, oldest first."""

    __slots__ = ("orders", "price")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.orders: deque[Order] = deque()

    @property
    def quantity(self) -> Decimal:
        """Return what rests at this price."""
        return sum((order.remaining for order in self.orders), ZERO)


class BookSide:
    """The resting orders of one side, best price first."""

    def __init__(self, is_bid: bool) -> None:
        self.is_bid = is_bid
        self._levels: dict[Decimal, Level] = {}
        self._keys: list[Decimal] = []

    def _key(self, price: Decimal) -> Decimal:
        return -price if self.is_bid else price

    def add(self, order: Order) -> None:
        """Put an order last in the queue at its price."""
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = Level(order.price)
            insort(self._keys, self._key(order.price))
        level.orders.append(order)

    def remove(self, order: Order) -> None:
        """Take an order out; harmless when it is not there."""
        level = self._levels.get(order.price)
        if level is None or order not in level.orders:
            return
        level.orders.remove(order)
        if not level.orders:
            del self._levels[order.price]
            del self._keys[bisect_left(self._keys, self._key(order.price))]

    @property
    def best(self) -> Level | None:
        """Return the best level, or None when the side is empty."""
        return self._levels[abs(self._keys[0])] if self._keys else None

    def levels(self) -> Iterator[Level]:
        """Return the levels, best first; the side may change meanwhile."""
        for key in tuple(self._keys):
            level = self._levels.get(abs(key))
            if level is not None:
                yield level

    def reaches(self, level_price: Decimal, limit: Decimal) -> bool:
        """Tell whether a taker with this limit price (0: any) may trade at a level of this side."""
        if limit == ZERO:
            return True
        return level_price >= limit if self.is_bid else level_price <= limit

    def available(self, limit: Decimal) -> Decimal:
        """Return what a taker with this limit price could trade."""
        return sum((level.quantity for level in self.levels() if self.reaches(level.price, limit)), ZERO)


class Book:
    """Both sides of one symbol, with the number of the last change."""

    def __init__(self) -> None:
        self.bids = BookSide(is_bid=True)
        self.asks = BookSide(is_bid=False)
        self.update_id = 1000
        self.sent_id = 1000
        self._sent: dict[str, dict[Decimal, Decimal]] = {"b": {}, "a": {}}

    def side_of(self, order: Order) -> BookSide:
        """Return the side where an order rests."""
        return self.bids if order.is_buy else self.asks

    def opposite_of(self, order: Order) -> BookSide:
        """Return the side an order takes from."""
        return self.asks if order.is_buy else self.bids

    def crosses(self, order: Order) -> bool:
        """Tell whether an order would trade at once."""
        opposite = self.opposite_of(order)
        best = opposite.best
        return best is not None and opposite.reaches(best.price, order.price)

    def snapshot(self, limit: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Return the best bids and asks as (price, quantity)."""
        sides = []
        for side in (self.bids, self.asks):
            sides.append([(level.price, level.quantity) for level, _ in zip(side.levels(), range(limit), strict=False)])
        return sides[0], sides[1]

    def changes(self) -> dict[str, list[tuple[Decimal, Decimal]]]:
        """Return the levels changed since the last call, 0 for a level that is gone, and number the change."""
        changed: dict[str, list[tuple[Decimal, Decimal]]] = {}
        for name, side in (("b", self.bids), ("a", self.asks)):
            now = {level.price: level.quantity for level in side.levels()}
            before = self._sent[name]
            changed[name] = [
                (price, now.get(price, ZERO)) for price in now | before if now.get(price) != before.get(price)
            ]
            self._sent[name] = now
        if changed["b"] or changed["a"]:
            self.update_id += len(changed["b"]) + len(changed["a"])
        return changed
