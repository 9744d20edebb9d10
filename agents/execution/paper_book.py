"""The paper exchange's book: what resting orders, their protection and its balances do as prices arrive.

A working copy in memory, without clock or database: `PaperVenue` loads it inside a transaction, lets it act, and
writes back what changed. Prices and fills come from `engine.sim.matching`; decided here is the life of an order:

- Children wait until their parent fills and protect what has filled of it; together they never sell more than that.
  An order that closes takes from entries (`OrderRequest.takes`; without it, what has no protection first, then the
  oldest entry), and the protection of those shrinks by what fills.
- A stop loss that triggers cancels its take profit and what is left of its entry; a take profit that has closed
  everything cancels its stop loss.
- A position that is closed some other way takes its protection and its reduce-only orders with it.
- Protection is replaced in one step: the new children stand when the old ones go.
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

from engine.domain.errors import OrderRejected
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


@dataclass(frozen=True, slots=True)
class Take:
    """How much of an entry's holding a closing order takes, and has taken."""

    quantity: Decimal
    taken: Decimal = ZERO


@dataclass(slots=True)
class PaperBook:
    """Orders that are not final, balances, and what has changed since loading.

    Attributes:
        orders: By client order id, oldest first; every child of a present parent is present too, and the parent of
            every present child.
        balances: Cash as `USD` and holdings by base asset.
        new_fills: With their sequence numbers.
        takes: By closing order and entry, how much of it the order takes, and has taken.
    """

    instruments: Mapping[str, Instrument]
    settings: MatchingSettings
    orders: dict[str, PaperOrder]
    balances: dict[str, Decimal]
    last_number: int
    last_sequence: int
    new_fills: list[tuple[int, Fill]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    takes: dict[tuple[str, str], Take] = field(default_factory=dict)

    def symbols(self) -> set[str]:
        """Return the symbols in which an order works."""
        return {order.request.symbol for order in self.orders.values() if order.is_working}

    def unmatched_since(self, symbol: str) -> datetime:
        """Return the open time of the first bar that some working order of a symbol has not met."""
        return min(order.matched_until for order in self._working(symbol))

    def add(self, request: OrderRequest, now: datetime) -> PaperOrder:
        """Enter a valid order, with its protective children waiting."""
        for entry_id, quantity in request.takes:
            self.takes[request.client_order_id, entry_id] = Take(quantity)
        request = replace(request, takes=())
        order = self._enter(request, OrderStatus.OPEN, now)
        wanted = ((STOP_SUFFIX, request.stop_loss), (TARGET_SUFFIX, request.take_profit))
        for suffix, price in wanted:
            if price is not None:
                self._enter_child(order, suffix, price, request.quantity, OrderStatus.WAITING, now)
        return order

    def protect(
        self, parent_id: str, stop_loss: Decimal | None, take_profit: Decimal | None, now: datetime
    ) -> list[PaperOrder]:
        """Replace the protection of what an entry filled, and return the children that stand now.

        Raises:
            OrderRejected: `nothing_held`: all of it was closed already, or nothing filled.
        """
        parent = self.orders[parent_id]
        held = self._to_protect(parent)
        if held <= 0:
            raise OrderRejected("nothing_held")
        for suffix, price in ((STOP_SUFFIX, stop_loss), (TARGET_SUFFIX, take_profit)):
            self._replace_child(parent, suffix, price, held, now)
        return self.standing_protection(parent_id)

    def standing_protection(self, parent_id: str) -> list[PaperOrder]:
        """Return an entry's children that are not final."""
        return [child for child in self._children(parent_id) if not child.status.is_final]

    def _replace_child(
        self, parent: PaperOrder, suffix: str, price: Decimal | None, held: Decimal, now: datetime
    ) -> None:
        kind = OrderType.STOP if suffix == STOP_SUFFIX else OrderType.LIMIT
        same = [each for each in self._children(parent.request.client_order_id) if each.request.order_type is kind]
        standing = [each for each in same if not each.status.is_final]
        if price is not None and any(each.request.price == price for each in standing):
            return
        for each in standing:
            self._end(each, OrderStatus.CANCELLED, now, "replaced")
        if price is not None:
            number = str(len(same) + 1) if same else ""
            self._enter_child(parent, suffix + number, price, held, OrderStatus.OPEN, now)

    def _enter_child(
        self, parent: PaperOrder, suffix: str, price: Decimal, quantity: Decimal, status: OrderStatus, now: datetime
    ) -> None:
        request = parent.request
        kind = OrderType.STOP if suffix.startswith(STOP_SUFFIX) else OrderType.LIMIT
        child_id = request.client_order_id + suffix
        child = OrderRequest(
            child_id, request.symbol, request.side.opposite, kind, quantity, price, is_reduce_only=True
        )
        self._enter(child, status, now).parent_id = request.client_order_id

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
                kind = OrderType.STOP if answer[0] == "stop" else OrderType.LIMIT
                self._apply(_of_type(children, kind), answer[1], _fill_time(answer[1], bar, step))
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
        kind = OrderType.STOP if stop else OrderType.LIMIT
        self._apply(_of_type(children, kind), match, _fill_time(match, bar, step))

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
        if order.parent_id is None:
            self._take(order, match.fill.quantity, at)
        self._book(order, match.fill, at)
        parent = self.orders[order.parent_id] if order.parent_id else order
        self._settle_children(parent, at, children_from)
        self._release_closed(order.request.symbol, at)

    def _take(self, order: PaperOrder, quantity: Decimal, at: datetime) -> None:
        """Let a fill that closes shrink the protection of the entries that it takes from."""
        request = order.request
        if self.held(request.symbol) * request.side.sign >= 0:
            return
        named = [each for own, each in self.takes if own == request.client_order_id]
        if named:
            free = order.left - sum((self._take_left(request.client_order_id, each) for each in named), ZERO)
        else:
            named = [each.request.client_order_id for each in self._protected_entries(request.symbol, request.side)]
            free = abs(self.held(request.symbol)) - sum((self._protected(each) for each in named), ZERO)
        left = quantity - max(free, ZERO)
        for entry_id in named:
            key = (request.client_order_id, entry_id)
            part = min(left, self._protected(entry_id), self._take_left(*key) if key in self.takes else left)
            if part > 0:
                known = self.takes.get(key, Take(ZERO))
                self.takes[key] = Take(max(known.quantity, known.taken + part), known.taken + part)
                self.touched.add(entry_id)
                self._settle_children(self.orders[entry_id], at)
                left -= part

    def _take_left(self, order_id: str, entry_id: str) -> Decimal:
        take = self.takes[order_id, entry_id]
        return take.quantity - take.taken

    def _protected_entries(self, symbol: str, closing: Side) -> list[PaperOrder]:
        """Return the entries whose filled quantity stands under protection on a side, oldest first."""
        parents = {each.parent_id for each in self._working(symbol) if each.parent_id and each.request.side is closing}
        found = [self.orders[each] for each in parents if each is not None and self._protected(each) > 0]
        return sorted(found, key=lambda each: each.number)

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
        """Return what of an order may fill now; an order with nothing to reduce ends."""
        if order.parent_id:
            quantity = self._protected(order.parent_id)
            return order.resting(quantity) if quantity > 0 else None
        quantity = order.left - self._missed(order)
        if quantity <= 0:
            self.cancel(order.request.client_order_id, at, "position_closed")
            return None
        resting = order.resting(quantity)
        if not order.request.is_reduce_only:
            return resting
        capped = cap_reduce_only(resting, self.held(order.request.symbol))
        if capped is None:
            self.cancel(order.request.client_order_id, at, "position_closed")
        return capped

    def _missed(self, order: PaperOrder) -> Decimal:
        """Return what of an order's takes is not there any more, because protection closed it first."""
        own = order.request.client_order_id
        named = [entry_id for order_id, entry_id in self.takes if order_id == own]
        if not named or self.held(order.request.symbol) * order.request.side.sign >= 0:
            return ZERO
        return sum((max(self._take_left(own, each) - self._protected(each), ZERO) for each in named), ZERO)

    def _protected(self, entry_id: str) -> Decimal:
        """Return what children still have to close: filled of the parent, less what they and others closed."""
        if entry_id not in self.orders:
            return ZERO
        closed = sum((each.filled_quantity for each in self._children(entry_id)), ZERO)
        return self.orders[entry_id].filled_quantity - closed - self._taken_from(entry_id)

    def _taken_from(self, entry_id: str) -> Decimal:
        return sum((take.taken for (_, each), take in self.takes.items() if each == entry_id), ZERO)

    def _to_protect(self, parent: PaperOrder) -> Decimal:
        """Return what of an entry is held: no more than the position bears beside the protection of other entries."""
        request = parent.request
        if parent.parent_id is not None or request.is_reduce_only:
            return ZERO
        others = [
            self._protected(each.request.client_order_id)
            for each in self._protected_entries(request.symbol, request.side.opposite)
            if each is not parent
        ]
        room = self.held(request.symbol) * request.side.sign - sum(others, ZERO)
        return min(self._protected(request.client_order_id), room)

    def _stand_alone(self, stop: PaperOrder, at: datetime) -> None:
        """Let a triggered stop loss work alone: its target and the rest of its entry are cancelled."""
        assert stop.parent_id is not None, "only children protect"
        for each in (self.orders[stop.parent_id], *self._children(stop.parent_id)):
            if each is not stop and not each.status.is_final:
                self._end(each, OrderStatus.CANCELLED, at, "stop_triggered")

    def _settle_children(self, parent: PaperOrder, at: datetime, children_from: datetime | None = None) -> None:
        """Bring a parent's children in line with what has filled of it, of them, and what others took."""
        for child in self._children(parent.request.client_order_id):
            if child.status.is_final:
                continue
            left = self._protected(parent.request.client_order_id)
            if left > 0 and child.status is OrderStatus.WAITING:
                child.status = OrderStatus.OPEN
                child.matched_until = children_from or at
                self._touch(child, at)
            if left > 0 and child.left != left:
                child.request = replace(child.request, quantity=child.filled_quantity + left)
                self._touch(child, at)
            if left <= 0:
                self._rest_or_end(child, parent, at)
            elif child.filled_quantity > 0:
                child.status = OrderStatus.PARTIAL

    def _rest_or_end(self, child: PaperOrder, parent: PaperOrder, at: datetime) -> None:
        """Let a child with nothing to protect wait for more of its entry, or end with it."""
        if parent.status.is_final:
            ends_filled = child.filled_quantity > 0 and child.left <= 0
            status = OrderStatus.FILLED if ends_filled else OrderStatus.CANCELLED
            self._end(child, status, at, "" if ends_filled else self._ending(parent))
        elif parent.filled_quantity > 0 and child.status is not OrderStatus.WAITING:
            child.status = OrderStatus.WAITING
            child.request = replace(child.request, quantity=child.filled_quantity + parent.left)
            self._touch(child, at)

    def _ending(self, parent: PaperOrder) -> str:
        if parent.filled_quantity == 0:
            return "parent_cancelled"
        return "position_closed" if self._taken_from(parent.request.client_order_id) > 0 else "other_filled"

    def _release_closed(self, symbol: str, at: datetime) -> None:
        """Cancel reduce-only orders, protective ones apart, that no longer have a position to reduce."""
        held = self.held(symbol)
        for order in self._working(symbol):
            if order.parent_id is None and order.request.is_reduce_only and held * order.request.side.sign >= 0:
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
        return [order for order in self.orders.values() if order.parent_id == parent_id]

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


def _of_type(children: list[PaperOrder], kind: OrderType) -> PaperOrder:
    return next(child for child in children if child.request.order_type is kind)
