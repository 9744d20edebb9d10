"""The spot exchange: locks, fees, order lists, and the reports of the user data stream."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

from tests.binance.accounts import Account
from tests.binance.errors import ApiError, duplicate_order, insufficient_balance, unknown_order
from tests.binance.orders import Order, OrderList, Trade
from tests.binance.rules import plain
from tests.binance.scripted import ScriptedMarket
from tests.binance.spot_events import execution_report, list_status

ZERO = Decimal(0)
EIGHT = Decimal("0.00000001")
BNB_SHARE = Decimal("0.75")


class SpotExchange(ScriptedMarket):
    """Spot pairs of one exchange."""

    kind = "spot"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lists: dict[int, OrderList] = {}

    # Locks.

    def reserve(self, order: Order) -> None:
        """Lock what the order may spend; a market order locks nothing but must be affordable."""
        if order.account.is_house:
            return
        rule = self.rules[order.symbol]
        if order.type == "MARKET":
            self._check_market(order)
            return
        order.lock_asset = rule.quote if order.is_buy else rule.base
        need = self._need(order)
        if order.orders and order.orders.is_pair:
            other = sum((leg.lock for leg in order.orders.legs if leg is not order), ZERO)
            need = max(ZERO, need - other)
        self.ledger.lock(order.account, order.lock_asset, need)
        order.lock = need

    def _need(self, order: Order) -> Decimal:
        return (
            order.remaining * (order.price or order.stop_price or self.last(order.symbol))
            if order.is_buy
            else (order.remaining)
        )

    def _check_market(self, order: Order) -> None:
        """Refuse a market order that costs more than its owner has, at the prices of the book."""
        rule, free = self.rules[order.symbol], order.account.wallet.free
        given, counted = ZERO, ZERO
        target = order.quote_quantity or order.quantity
        for level in self.books[order.symbol].opposite_of(order).levels():
            worth = level.quantity * level.price
            part = min(target - counted, worth if order.quote_quantity else level.quantity)
            counted += part
            is_same = order.is_buy == bool(order.quote_quantity)
            given += part if is_same else part * level.price if order.is_buy else part / level.price
            if counted >= target:
                break
        if given > free[rule.quote if order.is_buy else rule.base] or (not order.is_buy and free[rule.base] <= 0):
            raise insufficient_balance()
        if not order.quote_quantity and not order.is_buy and order.quantity > free[rule.base]:
            raise insufficient_balance()

    def release(self, order: Order) -> None:
        """Unlock the rest; the leg of an order list that goes on keeps what it needs."""
        if not order.lock:
            return
        heir = None
        if order.orders and order.orders.is_pair:
            heir = next((leg for leg in order.orders.legs if leg is not order and leg.is_open), None)
        self.ledger.unlock(order.account, order.lock_asset, order.lock)
        order.lock = ZERO
        if heir is not None:
            keep = min(max(ZERO, self._need(heir) - heir.lock), heir.account.wallet.free[order.lock_asset])
            self.ledger.lock(heir.account, order.lock_asset, keep)
            heir.lock += keep

    def start(self, order: Order) -> None:
        """Put a stop to work: its companion ends first, and a market stop spends its lock."""
        if order.orders:
            self._end_companions(order)
        if order.takes_any_price and order.lock:
            self.ledger.unlock(order.account, order.lock_asset, order.lock)
            order.lock = ZERO
        super().start(order)

    def affordable(self, order: Order, price: Decimal, wanted: Decimal) -> Decimal:
        """Return how much of a market order its owner can pay at a price, at most what is wanted."""
        rule, free = self.rules[order.symbol], order.account.wallet.free
        return min(wanted, free[rule.quote] / price if order.is_buy else free[rule.base])

    # Settlement.

    def settle(self, order: Order, trade: Trade, other: Order) -> None:
        """Pay the other side and take the fee; the counterpart's call moves the other asset."""
        rule = self.rules[order.symbol]
        gives, amount = (rule.quote, trade.notional) if order.is_buy else (rule.base, trade.quantity)
        self._take_over(order)
        if order.lock:
            part = min(order.lock, trade.quantity * order.price if order.is_buy else trade.quantity)
            self.ledger.unlock(order.account, order.lock_asset, part)
            order.lock -= part
        self.ledger.move(gives, amount, order.account, other.account)

    def _take_over(self, order: Order) -> None:
        """Let the leg that trades have the lock its companion holds, and no more than it needs."""
        if order.orders is None or not order.orders.is_pair:
            return
        for leg in order.orders.legs:
            if leg is not order:
                order.lock, leg.lock = order.lock + leg.lock, ZERO
        excess = order.lock - self._need(order)
        if excess > 0:
            self.ledger.unlock(order.account, order.lock_asset, excess)
            order.lock -= excess

    def charge(self, order: Order, trade: Trade) -> None:
        """Take the fee from what was received, or in BNB at a discount when the account holds some."""
        rule, account = self.rules[order.symbol], order.account
        rate = account.maker_fee if trade.is_maker else account.taker_fee
        received = rule.base if order.is_buy else rule.quote
        trade.fee_asset = received
        trade.fee = (rate * (trade.quantity if order.is_buy else trade.notional)).quantize(EIGHT, ROUND_DOWN)
        if account.fee_asset == "quote":
            trade.fee_asset, trade.fee = rule.quote, (rate * trade.notional).quantize(EIGHT, ROUND_DOWN)
        in_bnb = self._fee_in_bnb(account, rule.quote, rate * trade.notional)
        if account.pays_in_bnb and in_bnb is not None and account.wallet.free["BNB"] >= in_bnb:
            trade.fee_asset, trade.fee = "BNB", in_bnb
        trade.fee = min(trade.fee, max(ZERO, account.wallet.free[trade.fee_asset]))
        self.ledger.move(trade.fee_asset, trade.fee, account, self.ledger.accounts["fees"])

    def _fee_in_bnb(self, account: Account, quote: str, worth: Decimal) -> Decimal | None:
        price = self.last(f"BNB{quote}") if f"BNB{quote}" in self.tapes else ZERO
        return (worth * BNB_SHARE / price).quantize(EIGHT, ROUND_DOWN) if price else None

    # Order lists.

    def place_list(self, orders: OrderList, legs: list[Order], waiting: list[Order]) -> OrderList:
        """Accept a list of orders as a whole, or refuse it as a whole.

        Args:
            orders: The empty list.
            legs: What works at once: both legs of an OCO, or the working order of an OTO or OTOCO.
            waiting: What follows when the working order is filled.
        """
        symbol, account = orders.symbol, legs[0].account
        with self.settling(symbol):
            if any(o.client_id == orders.client_id and o.order_status == "EXECUTING" for o in self.lists_of(account)):
                raise duplicate_order()
            orders.list_id = self.number("list")
            orders.legs = legs
            admitted: list[Order] = []
            for leg in legs:
                leg.orders = orders
            try:
                for leg in sorted(legs, key=lambda leg: not leg.is_stop):
                    self.admit(leg)
                    admitted.append(leg)
            except ApiError:
                for leg in admitted:
                    self._forget(leg)
                raise
            self.lists[orders.list_id] = orders
            self._queue(orders, waiting)
            self._report_list(account, orders)
            for leg in sorted(legs, key=lambda leg: not leg.is_stop):
                if leg.is_open:
                    self.enter(leg)
        return orders

    def _queue(self, orders: OrderList, waiting: list[Order]) -> None:
        for order in waiting:
            order.orders = orders
            order.order_id = self.number("order")
            order.created_ms = order.updated_ms = self.clock.now_ms()
            order.status = "PENDING_NEW"
            self.orders[order.order_id] = order
            self._open[(order.account.name, order.symbol, order.client_id)] = order
        orders.waiting = waiting

    def _forget(self, order: Order) -> None:
        """Undo the admission of a leg whose companion was refused; nobody was told of it."""
        if order.lock:
            self.ledger.unlock(order.account, order.lock_asset, order.lock)
            order.lock = ZERO
        del self.orders[order.order_id]
        del self._open[(order.account.name, order.symbol, order.client_id)]

    def lists_of(self, account: Account) -> list[OrderList]:
        """Return an account's order lists, oldest first."""
        return [orders for orders in self.lists.values() if orders.legs[0].account is account]

    def cancel_list(self, orders: OrderList) -> OrderList:
        """Cancel all that is open in a list."""
        opened = [order for order in (*orders.legs, *orders.waiting) if order.is_open]
        if not opened:
            raise unknown_order()
        self.cancel(opened[0])
        return orders

    def after(self, order: Order) -> None:
        """Let the companions of an order end with it, or start after it."""
        orders = order.orders
        if orders is None or orders.order_status == "ALL_DONE":
            return
        if order.status == "PARTIALLY_FILLED":
            if orders.is_pair:
                self._end_companions(order)
            return
        if order.status == "FILLED" and orders.waiting:
            self._release_waiting(orders)
            return
        self._end_companions(order)
        self._finish(orders)

    def _release_waiting(self, orders: OrderList) -> None:
        waiting, orders.waiting = orders.waiting, []
        orders.legs = [*orders.legs, *waiting]
        orders.is_pair = len(waiting) > 1
        for leg in sorted(waiting, key=lambda leg: not leg.is_stop):
            try:
                self.reserve(leg)
            except ApiError:  # the proceeds do not cover it: the whole rest of the list ends
                self.end(leg, "EXPIRED")
                continue
            self.enter(leg)
        self._finish(orders)

    def _end_companions(self, order: Order) -> None:
        assert order.orders is not None
        status = "CANCELED" if order.status == "CANCELED" else "EXPIRED"
        for other in (*order.orders.legs, *order.orders.waiting):
            if other is not order and other.is_open:
                if status == "CANCELED":
                    other.cancel_id = order.cancel_id
                self.end(other, status)

    def _finish(self, orders: OrderList) -> None:
        if orders.order_status == "ALL_DONE" or any(order.is_open for order in (*orders.legs, *orders.waiting)):
            return
        orders.status = orders.order_status = "ALL_DONE"
        self._report_list(orders.legs[0].account, orders)

    # Reports.

    def _report_list(self, account: Account, orders: OrderList) -> None:
        self.tell(account, list_status(orders, self.clock.now_ms()))

    def report(self, order: Order, execution: str, trade: Trade | None = None) -> None:
        """Send an execution report."""
        if not order.account.is_house:
            number, now = self.number("execution"), self.clock.now_ms()
            self.tell(order.account, execution_report(order, execution, trade, number, now))

    def report_account(self, account: Account, symbol: str) -> None:
        """Send the balances that a symbol's orders can change."""
        rule, now = self.rules[symbol], self.clock.now_ms()
        assets = dict.fromkeys((rule.base, rule.quote, *(("BNB",) if account.pays_in_bnb else ())))
        self.tell(
            account,
            {
                "e": "outboundAccountPosition",
                "E": now,
                "u": now,
                "B": [
                    {"a": asset, "f": plain(account.wallet.free[asset]), "l": plain(account.wallet.locked[asset])}
                    for asset in assets
                ],
            },
        )

    def deposit(self, account: Account, asset: str, amount: Decimal | str) -> None:
        """Bring money in, or with a negative amount take it out, and tell the owner."""
        value, now = Decimal(amount), self.clock.now_ms()
        if value < 0:
            self.ledger.withdraw(account, asset, -value)
        else:
            self.ledger.deposit(account, asset, value)
        self.tell(account, {"e": "balanceUpdate", "E": now, "a": asset, "d": plain(value), "T": now})
