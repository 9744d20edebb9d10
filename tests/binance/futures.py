"""USD-M perpetuals: positions, margin, funding, liquidation, and conditional orders in a service of their own.

There is one margin asset, USDT. Realised profit is paid out of `clearing`, and for every position there is one of
the other sign: so the balance of `clearing` is, at every price, what all open positions have not realised yet.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_DOWN, Decimal
from typing import Any

from tests.binance.accounts import Account
from tests.binance.errors import ApiError, unknown_order
from tests.binance.futures_events import account_event, algo_event, order_event, position_row
from tests.binance.futures_values import (
    ASSET,
    EIGHT,
    MAINTENANCE,
    MAX_ALGO,
    Algo,
    Income,
    Position,
    Settings,
)
from tests.binance.orders import Order, Trade
from tests.binance.scripted import ScriptedMarket

ZERO = Decimal(0)


class FuturesExchange(ScriptedMarket):
    """USD-M perpetuals of one exchange."""

    kind = "futures"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wallets: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.positions: dict[tuple[str, str, str], Position] = {}
        self.settings: defaultdict[str, Settings] = defaultdict(Settings)
        self.incomes: list[Income] = []
        self.algos: dict[int, Algo] = {}
        self.marks: dict[str, Decimal] = {}
        self.funding: list[tuple[str, Decimal, int, Decimal]] = []
        self.rates: defaultdict[str, Decimal] = defaultdict(lambda: Decimal("0.0001"))
        self._waiting: dict[int, Algo] = {}
        self._set_off: list[Algo] = []
        self._actual: dict[int, Algo] = {}

    # Money.

    def pay(self, source: str, target: str, amount: Decimal) -> None:
        """Move an amount between wallets; the sum of all wallets is always zero."""
        self.wallets[source] -= amount
        self.wallets[target] += amount

    def deposit(self, account: Account, amount: Decimal | str | int) -> None:
        """Bring margin in from outside, or take it out with a negative amount."""
        value = Decimal(str(amount))
        self.pay("outside", account.name, value)
        self._income(account, "", "TRANSFER", value)
        self.report_balance(account, "DEPOSIT" if value > 0 else "WITHDRAW")

    def _income(self, account: Account, symbol: str, kind: str, amount: Decimal, trade_id: int = 0) -> None:
        if not account.is_house:
            number, now = self.number("income"), self.clock.now_ms()
            self.incomes.append(Income(account.name, symbol, kind, amount, now, number, trade_id))

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price: the one set, else the last one."""
        return self.marks.get(symbol) or self.last(symbol)

    def set_mark(self, symbol: str, price: Decimal | str) -> None:
        """Set the mark price apart from the last price, and do what it sets off."""
        with self.settling(symbol):
            self.marks[symbol] = Decimal(str(price))
            self.watch_stops(symbol, self.marks[symbol], "MARK_PRICE")

    def position(self, account: Account, symbol: str, side: str = "BOTH") -> Position:
        """Return a position, empty when there is none."""
        return self.positions.setdefault((account.name, symbol, side), Position(symbol, side))

    def positions_of(self, account: Account, symbol: str | None = None) -> list[Position]:
        """Return an account's open positions."""
        return [
            position
            for (name, of_symbol, _), position in self.positions.items()
            if name == account.name and position.quantity and symbol in (None, of_symbol)
        ]

    def unrealized(self, account: Account) -> Decimal:
        """Return the profit of an account's open positions at the mark prices."""
        return sum((p.unrealized(self.mark(p.symbol)) for p in self.positions_of(account)), ZERO)

    def position_margin(self, account: Account) -> Decimal:
        """Return the initial margin of an account's positions."""
        leverage = self.settings[account.name].leverage
        held = self.positions_of(account)
        return sum((abs(p.quantity) * self.mark(p.symbol) / leverage[p.symbol] for p in held), ZERO)

    def order_margin(self, account: Account) -> Decimal:
        """Return the initial margin of an account's open orders."""
        return sum((order.lock for order in self.open_orders(account)), ZERO)

    def maintenance_margin(self, account: Account) -> Decimal:
        """Return what an account must have so that it is not liquidated."""
        held = self.positions_of(account)
        return sum((abs(p.quantity) * self.mark(p.symbol) * MAINTENANCE for p in held), ZERO)

    def available(self, account: Account) -> Decimal:
        """Return the margin that new orders may use."""
        equity = self.wallets[account.name] + self.unrealized(account)
        return max(ZERO, equity - self.position_margin(account) - self.order_margin(account))

    # What the engine asks.

    def closable(self, order: Order) -> Decimal:
        """Return how much of an order would only reduce a position."""
        held = self.position(order.account, order.symbol, order.position_side).quantity
        against = held < 0 if order.is_buy else held > 0
        return abs(held) if against else ZERO

    def reserve(self, order: Order) -> None:
        """Set the initial margin aside for the part that opens."""
        if order.account.is_house or order.client_id.startswith("autoclose-"):
            return
        closable = self.closable(order)
        if order.reduce_only or order.close_position:
            if not closable:
                raise ApiError(-2022, "ReduceOnly Order is rejected.")
            return
        opening = max(ZERO, order.quantity - closable)
        price = order.price or self.last(order.symbol)
        need = opening * price / self.settings[order.account.name].leverage[order.symbol]
        if need > self.available(order.account):
            raise ApiError(-2019, "Margin is insufficient.")
        order.lock = need

    def release(self, order: Order) -> None:
        """Give the margin back."""
        order.lock = ZERO

    def capped(self, order: Order, quantity: Decimal) -> Decimal:
        """Return what a reduce-only order may still trade."""
        return min(quantity, self.closable(order)) if order.reduce_only or order.close_position else quantity

    def settle(self, order: Order, trade: Trade, other: Order) -> None:
        """Change the position and pay what it realised."""
        position = self.position(order.account, order.symbol, order.position_side)
        trade.realized = position.take(trade.quantity if order.is_buy else -trade.quantity, trade.price)
        position.updated_ms = trade.time_ms
        self.pay("clearing", order.account.name, trade.realized)
        super().touch(order.account, order.symbol)
        if trade.realized:
            self._income(order.account, order.symbol, "REALIZED_PNL", trade.realized, trade.trade_id)
        if order.remaining > 0:
            order.lock -= order.lock * trade.quantity / order.remaining

    def charge(self, order: Order, trade: Trade) -> None:
        """Take the fee in the margin asset."""
        account = order.account
        rate = account.futures_maker_fee if trade.is_maker else account.futures_taker_fee
        trade.fee_asset, trade.fee = ASSET, (rate * trade.notional).quantize(EIGHT, ROUND_DOWN)
        self.pay(account.name, "fees", trade.fee)
        self._income(account, order.symbol, "COMMISSION", -trade.fee, trade.trade_id)

    def _check_new(self, order: Order) -> None:
        self.rule(order.symbol)
        if (order.account.name, order.symbol, order.client_id) in self._open:
            raise ApiError(-4116, "ClientOrderId is duplicated.")
        if len(self.open_orders(order.account, order.symbol)) >= self.rules[order.symbol].max_orders:
            raise ApiError(-2025, "Reach max open order limit.")
        if order.tif == "GTX" and self.books[order.symbol].crosses(order):
            message = "Due to the order could not be executed as maker, the Post Only order will be rejected."
            raise ApiError(-5022, message)

    def after(self, order: Order) -> None:
        """Finish the conditional order behind an ended order, and drop reduce-only orders without a position."""
        algo = self._actual.get(order.order_id)
        if algo is not None and not order.is_open:
            del self._actual[order.order_id]
            self.advance_algo(algo, "FINISHED")
        if not order.trades:
            return
        for other in self.open_orders(order.account, order.symbol):
            if other is not order and other.reduce_only and not self.closable(other):
                self.end(other, "EXPIRED")
        if not self.position(order.account, order.symbol, order.position_side).quantity:
            for waiting in self.open_algos(order.account, order.symbol):
                if waiting.order.tif == "GTE_GTC":
                    self.advance_algo(waiting, "EXPIRED")

    # Conditional orders.

    def place_algo(self, client_id: str, order: Order) -> Algo:
        """Accept a conditional order; margin is looked at only when it is set off."""
        account = order.account
        waiting = self.open_algos(account, order.symbol)
        if any(one.client_id == client_id for one in self.open_algos(account)):
            raise ApiError(-4116, "ClientOrderId is duplicated.")
        if len(waiting) >= MAX_ALGO:
            raise ApiError(-4045, "Reach max stop order limit.")
        price = self.watched_price(order)
        if self._would_trigger(order, price):
            raise ApiError(-2021, "Order would immediately trigger.")
        order.extreme = ZERO if order.stop_price else price
        now = self.clock.now_ms()
        algo = Algo(self.number("algo") + 1_000_000, client_id, order, now, now)
        self.algos[algo.algo_id] = self._waiting[algo.algo_id] = algo
        self.report_algo(algo)
        return algo

    def watched_price(self, order: Order) -> Decimal:
        """Return the price a conditional order watches."""
        return self.mark(order.symbol) if order.working_type == "MARK_PRICE" else self.last(order.symbol)

    def open_algos(self, account: Account, symbol: str | None = None) -> list[Algo]:
        """Return an account's waiting conditional orders, oldest first."""
        return [
            algo
            for algo in self._waiting.values()
            if algo.order.account is account and symbol in (None, algo.order.symbol)
        ]

    def cancel_algo(self, algo: Algo) -> Algo:
        """Cancel a waiting conditional order."""
        if algo.status != "NEW":
            raise unknown_order()
        self.advance_algo(algo, "CANCELED")
        return algo

    def advance_algo(self, algo: Algo, status: str) -> None:
        """Give a conditional order its new state and tell its owner."""
        algo.status, algo.updated_ms = status, self.clock.now_ms()
        self._waiting.pop(algo.algo_id, None)
        self.report_algo(algo)

    def watch_stops(self, symbol: str, price: Decimal, working_type: str) -> None:
        """Set off the conditional orders whose price has come."""
        if working_type == "CONTRACT_PRICE" and symbol not in self.marks:
            self._watch(symbol, price, "MARK_PRICE")
        self._watch(symbol, price, working_type)

    def _watch(self, symbol: str, price: Decimal, working_type: str) -> None:
        for algo in tuple(self._waiting.values()):
            order = algo.order
            if order.symbol != symbol or order.working_type != working_type or not self._sets_off(order, price):
                continue
            algo.trigger_ms = self.clock.now_ms()
            self.advance_algo(algo, "TRIGGERING")
            self._set_off.append(algo)

    def settled(self, symbol: str) -> None:
        """Send what was set off, then liquidate who cannot pay, then tell the book."""
        while self._set_off:
            self._send(self._set_off.pop(0))
        self._liquidate()
        super().settled(symbol)

    def _send(self, algo: Algo) -> None:
        order = algo.order
        order.original_type = order.type
        order.type = "LIMIT" if order.price else "MARKET"
        order.is_triggered = True
        order.client_id = algo.client_id
        if order.tif == "GTE_GTC":
            order.tif = "GTC"
        if order.close_position:
            order.quantity = self.closable(order)
        try:
            self.admit(order)
        except ApiError as error:
            algo.reason = error.message
            self.advance_algo(algo, "EXPIRED" if error.code == -2022 else "REJECTED")
            return
        algo.actual = order
        self._actual[order.order_id] = algo
        self.advance_algo(algo, "TRIGGERED")
        self.enter(order)

    def _liquidate(self) -> None:
        for account in tuple(self.ledger.accounts.values()):
            if account.is_house or not self.positions_of(account):
                continue
            if self.wallets[account.name] + self.unrealized(account) > self.maintenance_margin(account):
                continue
            for order in self.open_orders(account):
                self.end(order, "CANCELED")
            for position in self.positions_of(account):
                side = "SELL" if position.quantity > 0 else "BUY"
                order = Order(account, position.symbol, side, "MARKET", abs(position.quantity), tif="IOC")
                order.client_id, order.position_side = f"autoclose-{self.number('liquidation')}", position.side
                self.admit(order)
                self.enter(order)

    # Funding.

    def fund(self, symbol: str, rate: Decimal | str | None = None) -> None:
        """Let longs pay shorts, or the other way round, as happens every eight hours."""
        share = self.rates[symbol] if rate is None else Decimal(str(rate))
        mark, now = self.mark(symbol), self.clock.now_ms()
        self.funding.append((symbol, share, now, mark))
        for (name, of_symbol, _), position in tuple(self.positions.items()):
            if of_symbol != symbol or not position.quantity:
                continue
            amount = -position.quantity * mark * share
            self.pay("clearing_funding", name, amount)
            account = self.ledger.accounts[name]
            if not account.is_house:
                self._income(account, symbol, "FUNDING_FEE", amount)
                self.report_balance(account, "FUNDING_FEE", [position])

    def tick(self) -> None:
        """Close bars, and end orders whose date is over."""
        super().tick()
        now = self.clock.now_ms()
        for order in [order for order in self._open.values() if 0 < order.good_till_ms <= now]:
            with self.settling(order.symbol):
                self.end(order, "EXPIRED")
                self.after(order)

    # Reports.

    def report(self, order: Order, execution: str, trade: Trade | None = None) -> None:
        """Send an order's update."""
        if not order.account.is_house:
            self.tell(order.account, order_event(order, execution, trade, self.clock.now_ms()))

    def report_algo(self, algo: Algo) -> None:
        """Send a conditional order's update."""
        self.tell(algo.order.account, algo_event(algo, self.clock.now_ms()))

    def touch(self, account: Account, symbol: str) -> None:
        """Do nothing: a resting order changes neither wallet nor position, only `settle` does."""

    def report_account(self, account: Account, symbol: str) -> None:
        """Send balance and positions after trades."""
        held = [p for (name, of, _), p in self.positions.items() if name == account.name and of == symbol]
        self.report_balance(account, "ORDER", held)

    def report_balance(self, account: Account, reason: str, positions: list[Position] | None = None) -> None:
        """Send an account update."""
        wallet, now = self.wallets[account.name], self.clock.now_ms()
        rows = [self._position_row(account, position) for position in positions or ()]
        self.tell(account, account_event(reason, wallet, rows, now))

    def _position_row(self, account: Account, position: Position) -> dict[str, str]:
        margin_type = self.settings[account.name].margin_type[position.symbol]
        return position_row(position, self.mark(position.symbol), margin_type)
