"""Matching: orders, books, trades and stops, shared by spot and futures.

Nothing here waits or reads a clock other than the one it was given: the same calls give the same books, trades and
reports. What an operation sets off is settled at the end of the outermost one: first stops, then balances, then books.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Protocol

from tests.binance.accounts import Account, Ledger
from tests.binance.clock import Clock
from tests.binance.errors import (
    ApiError,
    duplicate_order,
    filter_failure,
    rejected,
    unknown_order,
    unknown_symbol,
)
from tests.binance.market import Candle, Print, Tape
from tests.binance.orders import Book, Order, Trade
from tests.binance.rules import SymbolRules, floor_to

ZERO = Decimal(0)
BASIS = Decimal(10_000)


class Watcher(Protocol):
    """Who hears what happens; the streams of the server."""

    def on_print(self, engine: Engine, symbol: str, print_: Print) -> None:
        """Hear a public trade."""

    def on_candle(self, engine: Engine, symbol: str, interval: str, candle: Candle, is_closed: bool) -> None:
        """Hear a bar that changed."""

    def on_book(self, engine: Engine, symbol: str, changes: dict[str, list[tuple[Decimal, Decimal]]]) -> None:
        """Hear changed levels."""

    def on_user(self, engine: Engine, account: Account, event: dict[str, Any]) -> None:
        """Hear what one account is told."""


class Engine(ABC):
    """Books, orders and trades of one kind of market."""

    kind: str

    def __init__(self, clock: Clock, ledger: Ledger, rules: Iterable[SymbolRules]) -> None:
        self.clock = clock
        self.ledger = ledger
        self.rules = {rule.symbol: rule for rule in rules}
        self.books = {symbol: Book() for symbol in self.rules}
        self.tapes = {symbol: Tape() for symbol in self.rules}
        self.orders: dict[int, Order] = {}
        self.stops: dict[str, list[Order]] = {symbol: [] for symbol in self.rules}
        self.watchers: list[Watcher] = []
        self._open: dict[tuple[str, str, str], Order] = {}
        self._ready: list[Order] = []
        self._changed: dict[tuple[str, str], Account] = {}
        self._next = {"order": 1, "trade": 1}
        self._depth = 0

    # What spot and futures do differently.

    @abstractmethod
    def reserve(self, order: Order) -> None:
        """Set aside what the order needs, or refuse it."""

    @abstractmethod
    def release(self, order: Order) -> None:
        """Give back what is still set aside for an order that ended."""

    @abstractmethod
    def settle(self, order: Order, trade: Trade, other: Order) -> None:
        """Move what one side of a trade gives to the other side."""

    @abstractmethod
    def charge(self, order: Order, trade: Trade) -> None:
        """Take the fee of one side and note it on its trade."""

    @abstractmethod
    def report(self, order: Order, execution: str, trade: Trade | None = None) -> None:
        """Tell the owner what happened to an order."""

    def touch(self, account: Account, symbol: str) -> None:
        """Note that an account's balances may have changed, to be told when the operation is over."""
        if not account.is_house:
            self._changed[(account.name, symbol)] = account

    @abstractmethod
    def report_account(self, account: Account, symbol: str) -> None:
        """Tell the owner the balances that changed."""

    def capped(self, order: Order, quantity: Decimal) -> Decimal:
        """Return how much of a quantity an order may still trade."""
        return quantity

    def affordable(self, order: Order, price: Decimal, wanted: Decimal) -> Decimal:
        """Return how much of a market order its owner can pay at a price, at most what is wanted."""
        return wanted

    def trigger_price(self, order: Order) -> Decimal:
        """Return the price that a stop order watches."""
        return self.tapes[order.symbol].last

    def after(self, order: Order) -> None:
        """Do what follows when an order ended or traded: lists of orders, positions."""
        return None

    # What everybody asks.

    def number(self, name: str) -> int:
        """Return the next number of a series."""
        value = self._next.setdefault(name, 1)
        self._next[name] = value + 1
        return value

    def rule(self, symbol: str) -> SymbolRules:
        """Return a symbol's filters, or refuse the symbol."""
        if symbol not in self.rules:
            raise unknown_symbol()
        return self.rules[symbol]

    def last(self, symbol: str) -> Decimal:
        """Return the last traded price, 0 before the first trade."""
        return self.tapes[symbol].last

    def tell(self, account: Account, event: dict[str, Any]) -> None:
        """Give an account an event."""
        if not account.is_house:
            for watcher in self.watchers:
                watcher.on_user(self, account, event)

    def open_orders(self, account: Account, symbol: str | None = None) -> list[Order]:
        """Return an account's open orders, oldest first."""
        found = [order for order in self._open.values() if order.account is account]
        return sorted((order for order in found if symbol in (None, order.symbol)), key=lambda order: order.order_id)

    def orders_of(self, account: Account, symbol: str | None = None) -> list[Order]:
        """Return all orders an account ever had accepted, oldest first."""
        return [o for o in self.orders.values() if o.account is account and symbol in (None, o.symbol)]

    def find(self, account: Account, symbol: str, order_id: int | None, client_id: str | None) -> Order | None:
        """Return an order by its number or by its client's id: the open one, else the latest."""
        if order_id is not None:
            order = self.orders.get(order_id)
            return order if order and order.account is account and order.symbol == symbol else None
        opened = self._open.get((account.name, symbol, client_id or ""))
        if opened:
            return opened
        found = [order for order in self.orders_of(account, symbol) if order.client_id == client_id]
        return found[-1] if found else None

    # Orders.

    def settling(self, symbol: str) -> AbstractContextManager[None]:
        """Return a context at whose end, when it is the outermost, triggered stops start and changes are told."""
        return _Settled(self, symbol)

    def place(self, order: Order) -> Order:
        """Accept an order, match it, and let what is left rest or wait; or refuse it and change nothing."""
        with self.settling(order.symbol):
            self.admit(order)
            self.enter(order)
        return order

    def admit(self, order: Order) -> None:
        """Check an order, set aside what it needs and number it; its owner is told in `enter`."""
        self._check_new(order)
        self.reserve(order)
        order.order_id = self.number("order")
        order.created_ms = order.updated_ms = self.clock.now_ms()
        self.orders[order.order_id] = order
        self._open[(order.account.name, order.symbol, order.client_id)] = order

    def enter(self, order: Order) -> None:
        """Tell of an accepted order and put it to work, or among the waiting stops."""
        order.original_type = order.original_type or order.type
        if order.is_stop:
            order.status = "NEW"
            order.extreme = ZERO if order.stop_price and order.trailing_delta else self.trigger_price(order)
            self.stops[order.symbol].append(order)
            self.report(order, "NEW")
            if self._would_trigger(order, self.trigger_price(order)):
                self._ready.append(order)
        else:
            order.status = "NEW"
            order.working_ms = self.clock.now_ms()
            self.report(order, "NEW")
            self._match(order)
        self.touch(order.account, order.symbol)

    def _check_new(self, order: Order) -> None:
        rule = self.rule(order.symbol)
        if rule.status != "TRADING":
            raise ApiError(-1013, "Market is closed.")
        if (order.account.name, order.symbol, order.client_id) in self._open:
            raise duplicate_order()
        if order.account.is_house:
            return
        opened = self.open_orders(order.account, order.symbol)
        if len(opened) >= rule.max_orders:
            raise filter_failure("MAX_NUM_ORDERS")
        if order.is_stop:
            if sum(one.is_stop for one in opened) >= rule.max_algo_orders:
                raise filter_failure("MAX_NUM_ALGO_ORDERS")
            if self._would_trigger(order, self.trigger_price(order)):
                raise rejected("Stop price would trigger immediately.")
        elif order.type == "LIMIT_MAKER" and self.books[order.symbol].crosses(order):
            raise rejected("Order would immediately match and take.")

    def cancel(self, order: Order, cancel_id: str = "") -> Order:
        """Cancel an open order, or refuse when there is nothing left to cancel."""
        if not order.is_open:
            raise unknown_order()
        with self.settling(order.symbol):
            order.cancel_id = cancel_id or f"web_{self.number('cancel'):020d}"
            self.end(order, "CANCELED")
            self.after(order)
            self.touch(order.account, order.symbol)
        return order

    def amend(self, order: Order, price: Decimal, quantity: Decimal) -> Order:
        """Give a resting order another price and quantity; it loses its place in the queue."""
        with self.settling(order.symbol):
            self.books[order.symbol].side_of(order).remove(order)
            before = order.price, order.quantity
            order.price, order.quantity = price, quantity
            self.release(order)
            try:
                self.reserve(order)
            except ApiError:
                order.price, order.quantity = before
                self.reserve(order)
                self.books[order.symbol].side_of(order).add(order)
                raise
            order.updated_ms = self.clock.now_ms()
            self.report(order, "AMENDMENT")
            self._match(order)
            self.touch(order.account, order.symbol)
        return order

    def end(self, order: Order, status: str) -> None:
        """Take an order out of the market with its final state and tell its owner."""
        self._take_out(order)
        order.status = status
        order.updated_ms = self.clock.now_ms()
        self.release(order)
        self.report(order, "EXPIRED" if status == "EXPIRED" else "TRADE_PREVENTION" if "MATCH" in status else status)

    def _take_out(self, order: Order) -> None:
        self.books[order.symbol].side_of(order).remove(order)
        if order in self.stops[order.symbol]:
            self.stops[order.symbol].remove(order)
        if order in self._ready:
            self._ready.remove(order)
        key = (order.account.name, order.symbol, order.client_id)
        if self._open.get(key) is order:
            del self._open[key]

    # Matching.

    def _match(self, order: Order) -> None:
        book = self.books[order.symbol]
        if order.tif == "FOK" and book.opposite_of(order).available(order.price) < order.remaining:
            self.end(order, "EXPIRED")
            self.after(order)
            return
        if order.tif == "GTX" and book.crosses(order):
            self.end(order, "EXPIRED")
            self.after(order)
            return
        self._take(order)
        if not order.is_open:
            return
        if order.takes_any_price or order.tif in ("IOC", "FOK"):
            self.end(order, "EXPIRED")
            self.after(order)
        else:
            book.side_of(order).add(order)

    def _take(self, order: Order) -> None:
        """Trade with the best opposite orders until the order is done or nothing matches."""
        side = self.books[order.symbol].opposite_of(order)
        while order.is_open and (level := side.best) and side.reaches(level.price, order.price):
            maker = level.orders[0]
            if maker.account is order.account and not order.account.is_house and order.stp != "NONE":
                self._prevent(order, maker)
                continue
            wanted, offered = self._wanted(order, level.price), maker.remaining
            quantity = min(self.capped(order, wanted), self.capped(maker, offered))
            if quantity <= 0:
                break
            self._trade(order, maker, quantity)

    def _wanted(self, order: Order, price: Decimal) -> Decimal:
        if not order.takes_any_price or order.account.is_house:
            return order.remaining
        step = self.rules[order.symbol].step
        wanted = order.remaining
        if order.quote_quantity:
            wanted = (order.quote_quantity - order.executed_quote) / price
        return floor_to(min(wanted, self.affordable(order, price, wanted)), step)

    def _prevent(self, taker: Order, maker: Order) -> None:
        """Keep an account from trading with itself, in the way its order asks for."""
        if taker.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            self.end(maker, "EXPIRED_IN_MATCH")
            self.after(maker)
        if taker.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            self.end(taker, "EXPIRED_IN_MATCH")
            self.after(taker)

    def _trade(self, taker: Order, maker: Order, quantity: Decimal) -> None:
        number, now = self.number("trade"), self.clock.now_ms()
        self._print(taker.symbol, Print(number, maker.price, quantity, now, not taker.is_buy))
        sides = ((taker, maker), (maker, taker))
        trades = [Trade(number, maker.price, quantity, ZERO, "", order is maker, now) for order, _ in sides]
        for (order, other), trade in zip(sides, trades, strict=True):
            self.settle(order, trade, other)
        for (order, _), trade in zip(sides, trades, strict=True):
            order.executed += quantity
            order.executed_quote += trade.notional
            order.updated_ms = now
            if not order.account.is_house:
                self.charge(order, trade)
                order.trades.append(trade)
        for (order, _), trade in zip(sides, trades, strict=True):
            self._advance(order, trade)

    def _advance(self, order: Order, trade: Trade) -> None:
        """Give an order that traded its new state, and tell its owner."""
        step = self.rules[order.symbol].step
        if order.quote_quantity:
            done = order.quote_quantity - order.executed_quote < step * trade.price
        else:
            done = order.remaining <= 0
        order.status = "FILLED" if done else "PARTIALLY_FILLED"
        if done:
            self._take_out(order)
            if order.quote_quantity:
                order.quantity = order.executed
            self.release(order)
        if order.account.is_house:
            return
        self.report(order, "TRADE", trade)
        self.after(order)
        self.touch(order.account, order.symbol)

    def _print(self, symbol: str, print_: Print) -> None:
        tape = self.tapes[symbol]
        closed = tape.add(print_)
        for watcher in self.watchers:
            for interval, candle in closed:
                watcher.on_candle(self, symbol, interval, candle, is_closed=True)
            watcher.on_print(self, symbol, print_)
            for interval, bars in tape.bars.items():
                watcher.on_candle(self, symbol, interval, bars[-1], is_closed=False)
        self.watch_stops(symbol, print_.price, "CONTRACT_PRICE")

    # Stops.

    def watch_stops(self, symbol: str, price: Decimal, working_type: str) -> None:
        """Mark the waiting orders that a price sets off; they start when the present trade is settled."""
        for order in tuple(self.stops[symbol]):
            if order.working_type == working_type and order not in self._ready and self._sets_off(order, price):
                self._ready.append(order)

    def _sets_off(self, order: Order, price: Decimal) -> bool:
        if not order.trailing_delta:
            return self._would_trigger(order, price)
        falls = order.is_buy == order.type.startswith("TAKE_PROFIT")
        if not order.extreme:
            if price >= order.stop_price if falls else price <= order.stop_price:
                order.extreme = price
            return False
        share = Decimal(order.trailing_delta) / BASIS
        if falls:
            order.extreme = max(order.extreme, price)
            return price <= order.extreme * (1 - share)
        order.extreme = min(order.extreme, price)
        return price >= order.extreme * (1 + share)

    def _would_trigger(self, order: Order, price: Decimal) -> bool:
        if order.trailing_delta or not price or not order.stop_price:
            return False
        rises = order.is_buy != order.type.startswith("TAKE_PROFIT")
        return price >= order.stop_price if rises else price <= order.stop_price

    def start(self, order: Order) -> None:
        """Put a stop order to work."""
        self.stops[order.symbol].remove(order)
        order.is_triggered = True
        order.working_ms = order.updated_ms = self.clock.now_ms()
        self._match(order)
        self.touch(order.account, order.symbol)

    def tick(self) -> None:
        """Close the bars whose time is over."""
        now = self.clock.now_ms()
        for symbol, tape in self.tapes.items():
            for interval, candle in tape.roll(now):
                for watcher in self.watchers:
                    watcher.on_candle(self, symbol, interval, candle, is_closed=True)

    def settled(self, symbol: str) -> None:
        """Start the stops that were set off, each of which may set off more; then tell balances and books."""
        while self._ready:
            order = self._ready.pop(0)
            if order.is_open:
                self.start(order)
        changed, self._changed = self._changed, {}
        for (_, of_symbol), account in changed.items():
            self.report_account(account, of_symbol)
        for touched in dict.fromkeys((symbol, *(of_symbol for _, of_symbol in changed))):
            self._tell_book(touched)

    def _tell_book(self, symbol: str) -> None:
        book = self.books[symbol]
        changes = book.changes()
        if changes["b"] or changes["a"]:
            for watcher in self.watchers:
                watcher.on_book(self, symbol, changes)
        book.sent_id = book.update_id


class _Settled(AbstractContextManager[None]):
    """The outermost of nested operations on a symbol settles what they set off."""

    def __init__(self, engine: Engine, symbol: str) -> None:
        self.engine = engine
        self.symbol = symbol

    def __enter__(self) -> None:
        self.engine._depth += 1

    def __exit__(self, *error: object) -> None:
        try:
            if self.engine._depth == 1 and self.symbol in self.engine.books:
                self.engine.settled(self.symbol)
        finally:
            self.engine._depth -= 1
