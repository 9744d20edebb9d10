"""The paper exchange's book: what resting orders, their protection and its balances do as prices arrive.

A working copy in memory, without clock or database: `PaperVenue` loads it inside a transaction, lets it act, and
writes back what changed. Prices and fills come from `engine.sim.matching`; decided here is the life of an order:

- Children wait until their parent fills and protect what has filled of it; together they never sell more than that.
- A stop loss that triggers cancels its take profit and what is left of its entry; a take profit that has closed
  everything cancels its stop loss.
- A position that is closed some other way takes its reduce-only orders with it.
- Spot sells never exceed what is there and spot buys never exceed the cash: the rest of such an order is cancelled.
  Instruments that may be shorted are traded on margin, which the risk gate bounds.
- An order is matched on bars that opened after it came (or after the quote that last touched it), and on quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.domain.market import Bars, Instrument, Quote, decimal_price, utc_from_seconds
from engine.domain.orders import Fill, OrderRequest, OrderStatus, OrderType, Side, VenueOrder
from engine.domain.symbols import TIMEFRAME_S
from engine.ledger import account_asset, exact_product, exact_sum
from engine.sim.matching import (
    MarketFill,
    Match,
    MatchingSettings,
    PriceBar,
    RestingOrder,
    bar_liquidity,
    cap_reduce_only,
    match_bar,
    match_pair,
    match_quote,
)

ZERO = Decimal(0)
STOP_SUFFIX, TARGET_SUFFIX = "-sl", "-tp"


@dataclass(slots=True)
class PaperOrder:
    """The working copy of one order.

    Attributes:
        number: Its short id.
        matched_until: Bars that open before this have been matched, or do not concern it.
    """

    request: OrderRequest
    number: int
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    matched_until: datetime
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    is_triggered: bool = False
    parent_id: str | None = None
    reason: str = ""

    @property
    def is_working(self) -> bool:
        """Return whether the order can fill now."""
        return self.status in (OrderStatus.OPEN, OrderStatus.PARTIAL)

    @property
    def left(self) -> Decimal:
        """Return the base units still to fill."""
        return self.request.quantity - self.filled_quantity

    def resting(self, quantity: Decimal) -> RestingOrder:
        """Return what matching needs to know, for some quantity of it."""
        request = self.request
        return RestingOrder(request.side, request.order_type, quantity, request.price, self.is_triggered)

    def view(self) -> VenueOrder:
        """Return the order as the venue tells it."""
        average = self.filled_notional / self.filled_quantity if self.filled_quantity else None
        return VenueOrder(
            self.request,
            str(self.number),
            self.status,
            self.filled_quantity,
            average,
            self.created_at,
            self.updated_at,
            self.parent_id,
            self.reason,
        )


@dataclass(slots=True)
class PaperBook:
    """Orders that are not final, balances, and what has changed since loading.

    Attributes:
        orders: By client order id, oldest first; every child of a present parent is present too, and the parent of
            every present child.
        balances: Cash as `USD` and holdings by base asset.
        new_fills: With their sequence numbers.
    """

    instruments: Mapping[str, Instrument]
    settings: MatchingSettings
    orders: dict[str, PaperOrder]
    balances: dict[str, Decimal]
    last_number: int
    last_sequence: int
    new_fills: list[tuple[int, Fill]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    def symbols(self) -> set[str]:
        """Return the symbols in which an order works."""
        return {order.request.symbol for order in self.orders.values() if order.is_working}

    def unmatched_since(self, symbol: str) -> datetime:
        """Return the open time of the first bar that some working order of a symbol has not met."""
        return min(order.matched_until for order in self._working(symbol))

    def add(self, request: OrderRequest, now: datetime) -> PaperOrder:
        """Enter a valid order, with its protective children waiting."""
        order = self._enter(request, OrderStatus.OPEN, now)
        for suffix, price, order_type in (
            (STOP_SUFFIX, request.stop_loss, OrderType.STOP),
            (TARGET_SUFFIX, request.take_profit, OrderType.LIMIT),
        ):
            if price is not None:
                child = OrderRequest(
                    request.client_order_id + suffix,
                    request.symbol,
                    request.side.opposite,
                    order_type,
                    request.quantity,
                    price,
                    is_reduce_only=True,
                )
                self._enter(child, OrderStatus.WAITING, now).parent_id = request.client_order_id
        return order

    def cancel(self, client_order_id: str, now: datetime, reason: str = "cancelled") -> None:
        """Cancel what is left of an order, and its children as far as they protect nothing; harmless when final."""
        order = self.orders[client_order_id]
        if order.status.is_final:
            return
        self._end(order, OrderStatus.CANCELLED, now, reason)
        self._settle_children(order, now)

    def meet_quote(self, quote: Quote, now: datetime, available: Decimal | None, fresh: PaperOrder | None) -> None:
        """Match every working order of a symbol on the present quote; `fresh` is the one that came with it.

        An order that filled in part took what the quote bears: it goes on with the next bar, however often one looks.
        """
        for order in self._working(quote.symbol):
            if order.status is not OrderStatus.OPEN:
                continue
            resting = self._capped(order, now)
            if resting is None:
                continue
            instrument = self.instruments[quote.symbol]
            match = match_quote(
                resting, quote, instrument, self.settings, available=available, is_resting=order is not fresh
            )
            if match.fill or match.is_triggered != order.is_triggered:
                order.matched_until = max(order.matched_until, now)
            self._apply(order, match, now)
            if match.fill and available is not None:
                available -= match.fill.quantity

    def meet_bars(self, bars: Bars, spread: Decimal) -> None:
        """Match every working order of a symbol on closed bars, oldest first.

        Bars that no order can feel are skipped by a scan in float64 with a margin of a thousandth.
        """
        step = timedelta(seconds=TIMEFRAME_S[bars.timeframe])
        row = 0
        while (row := self._next_row(bars, row, float(spread))) < len(bars):
            self._meet_bar(_price_bar(bars, row, self.instruments[bars.symbol]), bars.symbol, spread, step)
            row += 1
        if len(bars):
            end = utc_from_seconds(int(bars.time[-1])) + step
            for order in self._working(bars.symbol):
                if order.matched_until < end:
                    order.matched_until = end
                    self.touched.add(order.request.client_order_id)

    def _meet_bar(self, bar: PriceBar, symbol: str, spread: Decimal, step: timedelta) -> None:
        left = bar_liquidity(bar, self.settings)
        inside: set[str] = set()
        working = [order for order in self._working(symbol) if order.matched_until <= bar.at]
        for order in working:
            if order.parent_id is None and order.is_working:
                left = self._meet_alone(order, bar, spread, step, left, inside)
        for parent_id in dict.fromkeys(order.parent_id for order in self._working(symbol) if order.parent_id):
            self._meet_pair(parent_id, bar, spread, step, left, parent_id in inside)

    def _meet_alone(
        self,
        order: PaperOrder,
        bar: PriceBar,
        spread: Decimal,
        step: timedelta,
        left: Decimal | None,
        inside: set[str],
    ) -> Decimal | None:
        resting = self._capped(order, bar.at)
        if resting is None:
            return left
        instrument = self.instruments[order.request.symbol]
        match = match_bar(resting, bar, instrument, self.settings, spread=spread, available=left)
        at = _fill_time(match, bar, step)
        self._apply(order, match, at, children_from=bar.at)
        if match.fill is None:
            return left
        if not match.fill.is_at_open:
            inside.add(order.request.client_order_id)
        return None if left is None else left - match.fill.quantity

    def _meet_pair(
        self, parent_id: str, bar: PriceBar, spread: Decimal, step: timedelta, left: Decimal | None, is_inside: bool
    ) -> None:
        children = [child for child in self._children(parent_id) if child.is_working and child.matched_until <= bar.at]
        resting = {child.request.order_type: self._capped(child, bar.at) for child in children}
        stop, target = resting.get(OrderType.STOP), resting.get(OrderType.LIMIT)
        instrument = self.instruments[self.orders[parent_id].request.symbol]
        if stop and target:
            answer = match_pair(
                stop,
                target,
                bar,
                instrument,
                self.settings,
                spread=spread,
                available=left,
                has_entered_inside=is_inside,
            )
            if answer:
                suffix = STOP_SUFFIX if answer[0] == "stop" else TARGET_SUFFIX
                self._apply(self.orders[parent_id + suffix], answer[1], _fill_time(answer[1], bar, step))
            return
        alone = stop or target
        if alone is None or (alone is target and is_inside):
            return
        match = match_bar(
            alone,
            bar,
            instrument,
            self.settings,
            spread=spread,
            available=left,
            has_entered_inside=is_inside,
        )
        self._apply(
            self.orders[parent_id + (STOP_SUFFIX if stop else TARGET_SUFFIX)], match, _fill_time(match, bar, step)
        )

    def _apply(self, order: PaperOrder, match: Match, at: datetime, *, children_from: datetime | None = None) -> None:
        """Book what a match did: the trigger, the fill, and what follows for related orders."""
        if match.is_triggered and not order.is_triggered:
            order.is_triggered = True
            self._touch(order, at)
            if order.parent_id is not None:
                self._stand_alone(order, at)
        if match.fill is None:
            return
        if not self._can_pay(order, match.fill):
            self.cancel(order.request.client_order_id, at, "insufficient_balance")
            return
        self._book(order, match.fill, at)
        parent = self.orders[order.parent_id] if order.parent_id else order
        self._settle_children(parent, at, children_from)
        self._release_closed(order.request.symbol, at)

    def _book(self, order: PaperOrder, fill: MarketFill, at: datetime) -> None:
        request = order.request
        order.filled_quantity += fill.quantity
        order.filled_notional = exact_sum((order.filled_notional, exact_product(fill.quantity, fill.price)))
        self._touch(order, at)
        order.status = OrderStatus.FILLED if order.left <= 0 else OrderStatus.PARTIAL
        self.last_sequence += 1
        self.new_fills.append(
            (
                self.last_sequence,
                Fill(
                    f"F{self.last_sequence}",
                    request.client_order_id,
                    request.symbol,
                    request.side,
                    fill.quantity,
                    fill.price,
                    fill.fee,
                    fill.is_maker,
                    at,
                ),
            )
        )
        instrument = self.instruments[request.symbol]
        sign = Decimal(request.side.sign)
        paid = exact_product(fill.quantity, fill.price, sign)
        self._add(instrument.quote, exact_sum((paid, fill.fee)).copy_negate())
        self._add(instrument.base, exact_product(fill.quantity, sign))

    def _can_pay(self, order: PaperOrder, fill: MarketFill) -> bool:
        instrument = self.instruments[order.request.symbol]
        if instrument.is_shortable:
            return True
        if order.request.side is Side.SELL:
            return fill.quantity <= self.held(order.request.symbol)
        need = exact_sum((exact_product(fill.quantity, fill.price), fill.fee))
        return need <= self.balances.get(account_asset(instrument.quote), ZERO)

    def held(self, symbol: str) -> Decimal:
        """Return the signed position in a symbol."""
        return self.balances.get(account_asset(self.instruments[symbol].base), ZERO)

    def _add(self, asset: str, change: Decimal) -> None:
        name = account_asset(asset)
        self.balances[name] = exact_sum((self.balances.get(name, ZERO), change))

    def _capped(self, order: PaperOrder, at: datetime) -> RestingOrder | None:
        """Return what of an order may fill now; a reduce-only order with nothing to reduce ends."""
        quantity = self._protected(order) if order.parent_id else order.left
        if quantity <= 0:
            return None
        resting = order.resting(quantity)
        if not order.request.is_reduce_only:
            return resting
        capped = cap_reduce_only(resting, self.held(order.request.symbol))
        if capped is None:
            self.cancel(order.request.client_order_id, at, "position_closed")
        return capped

    def _protected(self, child: PaperOrder) -> Decimal:
        """Return what a child still has to close: filled of the parent, less what both children closed."""
        assert child.parent_id is not None, "only children protect"
        closed = sum((each.filled_quantity for each in self._children(child.parent_id)), ZERO)
        return self.orders[child.parent_id].filled_quantity - closed

    def _stand_alone(self, stop: PaperOrder, at: datetime) -> None:
        """Let a triggered stop loss work alone: its target and the rest of its entry are cancelled."""
        assert stop.parent_id is not None, "only children protect"
        for each in (self.orders[stop.parent_id], *self._children(stop.parent_id)):
            if each is not stop and not each.status.is_final:
                self._end(each, OrderStatus.CANCELLED, at, "stop_triggered")

    def _settle_children(self, parent: PaperOrder, at: datetime, children_from: datetime | None = None) -> None:
        """Bring a parent's children in line with what has filled of it and of them."""
        for child in self._children(parent.request.client_order_id):
            if child.status.is_final:
                continue
            if parent.filled_quantity > 0 and child.status is OrderStatus.WAITING:
                child.status = OrderStatus.OPEN
                child.matched_until = children_from or at
                self._touch(child, at)
            if parent.filled_quantity > 0 and child.request.quantity != parent.filled_quantity:
                child.request = replace(child.request, quantity=parent.filled_quantity)
                self._touch(child, at)
            if parent.status.is_final and self._protected(child) <= 0:
                ends_filled = child.filled_quantity > 0 and child.left <= 0
                status = OrderStatus.FILLED if ends_filled else OrderStatus.CANCELLED
                self._end(child, status, at, "" if ends_filled else _ending(parent))
            elif child.filled_quantity > 0:
                child.status = OrderStatus.PARTIAL

    def _release_closed(self, symbol: str, at: datetime) -> None:
        """Cancel reduce-only orders that no longer have a position to reduce."""
        held = self.held(symbol)
        for order in self._working(symbol):
            if order.request.is_reduce_only and order.is_working and held * order.request.side.sign >= 0:
                self._end(order, OrderStatus.CANCELLED, at, "position_closed")

    def _enter(self, request: OrderRequest, status: OrderStatus, now: datetime) -> PaperOrder:
        self.last_number += 1
        order = PaperOrder(request, self.last_number, status, now, now, now)
        self.orders[request.client_order_id] = order
        self.touched.add(request.client_order_id)
        return order

    def _end(self, order: PaperOrder, status: OrderStatus, at: datetime, reason: str) -> None:
        order.status, order.reason = status, reason
        self._touch(order, at)

    def _touch(self, order: PaperOrder, at: datetime) -> None:
        order.updated_at = max(order.updated_at, at)
        self.touched.add(order.request.client_order_id)

    def _children(self, parent_id: str) -> list[PaperOrder]:
        ids = (parent_id + STOP_SUFFIX, parent_id + TARGET_SUFFIX)
        return [self.orders[each] for each in ids if each in self.orders]

    def _working(self, symbol: str) -> list[PaperOrder]:
        return [order for order in self.orders.values() if order.request.symbol == symbol and order.is_working]

    def _next_row(self, bars: Bars, start: int, spread: float) -> int:
        """Return the next row that some order may feel, or the number of rows."""
        rows = bars[start:]
        felt = np.zeros(len(rows), dtype=bool)
        for order in self._working(bars.symbol):
            felt |= (rows.time >= order.matched_until.timestamp()) & _touches(order, rows, spread)
        hits = np.flatnonzero(felt)
        return start + int(hits[0]) if len(hits) else len(bars)


def _touches(order: PaperOrder, rows: Bars, spread: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return in which rows an order may act: a superset, by a margin above the spread and any tick."""
    request = order.request
    if request.price is None or order.is_triggered:
        return np.ones(len(rows), dtype=bool)
    price = float(request.price)
    margin = spread + price / 1000
    is_below = (request.order_type is OrderType.LIMIT) == (request.side is Side.BUY)
    return rows.low <= price + margin if is_below else rows.high >= price - margin


def _price_bar(bars: Bars, row: int, instrument: Instrument) -> PriceBar:
    prices = (decimal_price(float(column[row]), instrument) for column in (bars.open, bars.high, bars.low, bars.close))
    open_, high, low, close = prices
    volume = Decimal(repr(float(bars.volume[row])))
    return PriceBar(utc_from_seconds(int(bars.time[row])), open_, high, low, close, volume)


def _fill_time(match: Match, bar: PriceBar, step: timedelta) -> datetime:
    """Return when a fill counts as done: the bar's open if it came with it, otherwise the bar's end."""
    return bar.at if match.fill and match.fill.is_at_open else bar.at + step


def _ending(parent: PaperOrder) -> str:
    return "parent_cancelled" if parent.filled_quantity == 0 else "other_filled"
