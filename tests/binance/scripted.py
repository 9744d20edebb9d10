"""The market's own side: quotes around a scripted price, and the moves that take what rests in their way.

The market is an account, the house. When the price moves, it first takes every resting order on its way, up to the
volume it brings, then it quotes anew. So a thin level fills in part, and a jump fills stops at the price behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.binance.accounts import Ledger
from tests.binance.clock import Clock
from tests.binance.engine import Engine
from tests.binance.market import Print
from tests.binance.orders import Order
from tests.binance.rules import SymbolRules, floor_to


@dataclass(frozen=True, slots=True)
class Liquidity:
    """How the house quotes around the scripted price.

    Args:
        levels: Price levels a side; 0 for a market without makers.
        spread_ticks: Steps between the scripted price and the first quote of each side.
        step_ticks: Steps between two levels.
        notional: Worth of each level in quote units.
    """

    levels: int = 20
    spread_ticks: int = 1
    step_ticks: int = 1
    notional: Decimal = Decimal(50_000)


class ScriptedMarket(Engine):
    """An engine whose prices somebody sets."""

    def __init__(
        self, clock: Clock, ledger: Ledger, rules: Iterable[SymbolRules], liquidity: Liquidity | None = None
    ) -> None:
        super().__init__(clock, ledger, rules)
        self.liquidity = {symbol: liquidity or Liquidity() for symbol in self.rules}
        self._quotes: dict[str, list[Order]] = {symbol: [] for symbol in self.rules}

    def move(self, symbol: str, price: Decimal | str | float, volume: Decimal | str | None = None) -> None:
        """Take the market to a price: fill what rests in its way, set off stops, quote anew.

        Args:
            symbol: What moves.
            price: The new last price, rounded down to the symbol's steps.
            volume: Quantity the move brings; None for as much as it takes.
        """
        rule = self.rule(symbol)
        target = floor_to(Decimal(str(price)), rule.tick)
        brought = None if volume is None else Decimal(str(volume))
        with self.settling(symbol):
            self.clear_quotes(symbol)
            for side in ("BUY", "SELL"):
                self._sweep(symbol, side, target, brought)
            target = self._reached(symbol, target)
            traded = rule.min_quantity if brought is None else max(floor_to(brought, rule.step), rule.step)
            before = self.last(symbol)
            now = self.clock.now_ms()
            self._print(symbol, Print(self.number("trade"), target, traded, now, target < before))
            self.quote(symbol)

    def _reached(self, symbol: str, target: Decimal) -> Decimal:
        """Return how far the price came: what still rests in its way holds it."""
        book, before = self.books[symbol], self.last(symbol)
        side = book.asks.best if target >= before else book.bids.best
        return target if side is None else min(target, side.price) if target >= before else max(target, side.price)

    def _sweep(self, symbol: str, side: str, limit: Decimal, volume: Decimal | None) -> None:
        """Let the house take the resting orders up to a price."""
        taker = Order(self.ledger.house, symbol, side, "LIMIT", price=limit, tif="IOC")
        available = self.books[symbol].opposite_of(taker).available(limit)
        step = self.rules[symbol].step
        taker.quantity = available if volume is None else min(available, floor_to(volume, step))
        if taker.quantity > 0:
            self._take(taker)

    def trade(self, symbol: str, price: Decimal | str, quantity: Decimal | str, side: str) -> None:
        """Let somebody else buy or sell a quantity at a limit price, taking only what rests there."""
        with self.settling(symbol):
            self._sweep(symbol, side, Decimal(str(price)), Decimal(str(quantity)))

    def fill(self, order: Order, share: Decimal | str = "1") -> None:
        """Let somebody take a resting order, whole or in part, whoever stands before it."""
        step = self.rules[order.symbol].step
        quantity = max(step, floor_to(order.remaining * Decimal(share), step))
        side = self.books[order.symbol].side_of(order)
        with self.settling(order.symbol):
            side.remove(order)
            other = Order(self.ledger.house, order.symbol, "SELL" if order.is_buy else "BUY", "LIMIT", quantity)
            self._trade(other, order, min(quantity, order.remaining))
            if order.is_open:
                side.add(order)

    def clear_quotes(self, symbol: str) -> None:
        """Take the house's quotes away."""
        book = self.books[symbol]
        for order in self._quotes[symbol]:
            book.side_of(order).remove(order)
        self._quotes[symbol] = []

    def quote(self, symbol: str) -> None:
        """Lay the house's quotes around the last price, never crossing what rests."""
        rule, book, plan = self.rules[symbol], self.books[symbol], self.liquidity[symbol]
        mid = self.last(symbol)
        for level in range(plan.levels):
            distance = rule.tick * (plan.spread_ticks + level * plan.step_ticks)
            for side, price in (("BUY", mid - distance), ("SELL", mid + distance)):
                if price <= 0:
                    continue
                quantity = max(rule.min_quantity, floor_to(plan.notional / price, rule.step))
                order = Order(self.ledger.house, symbol, side, "LIMIT", quantity, price=price)
                if not book.crosses(order):
                    book.side_of(order).add(order)
                    self._quotes[symbol].append(order)

    def set_quotes(self, symbol: str, bids: Iterable[tuple[Any, Any]], asks: Iterable[tuple[Any, Any]]) -> None:
        """Replace the house's quotes by given (price, quantity) levels, until the next move."""
        with self.settling(symbol):
            self.clear_quotes(symbol)
            for side, levels in (("BUY", bids), ("SELL", asks)):
                for price, quantity in levels:
                    order = Order(
                        self.ledger.house, symbol, side, "LIMIT", Decimal(str(quantity)), price=Decimal(str(price))
                    )
                    self._take(order)
                    if order.remaining > 0:
                        self.books[symbol].side_of(order).add(order)
                        self._quotes[symbol].append(order)
