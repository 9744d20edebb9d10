"""How an order meets the market: fills, fees and refusals, the same for paper trading and backtests.

Bars and quotes go in, exact fills come out; nothing here reads a clock or keeps state. What is decided:

- A bar's prices are mids. A buy meets the ask (mid + half the spread), a sell the bid, at every price of the bar.
- A market order fills at the open, or at the quote; a stop is a market order once the price reaches it; both pay
  slippage and the taker fee. A stop that the market gapped over fills at the open, not at its price.
- A limit fills at its price once reached, at the better open when gapped through, and pays the maker fee; a limit
  that a quote can fill at once takes that quote and pays the taker fee.
- Inside a bar nobody knows which price came first, so the answer is the worse one: when stop loss and take profit
  are both touched, the stop counts; in the bar in which the entry itself filled at a touch, the target does not
  count and the stop does.
- At most `participation_ratio` of a bar's volume fills an order; the rest waits for the next bar. A feed without volume
  (0) sets no bound.

Left out on purpose: queue position, market impact beyond the constant slippage, funding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Literal

from engine.domain.market import Instrument, Quote
from engine.domain.orders import OrderRequest, OrderType, Side

FEE_QUANTUM = Decimal("1E-8")
"""Grid of a fee, in quote currency: what exchanges book."""

ZERO = Decimal(0)
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class MatchingSettings:
    """What the simulated market charges and bears.

    Attributes:
        slippage_bps: Paid by market and stop orders beyond the best price.
        participation_ratio: Largest share of a bar's volume that one symbol's orders may take.
    """

    slippage_bps: Decimal = Decimal("1")
    participation_ratio: Decimal = Decimal("0.25")

    def __post_init__(self) -> None:
        if not 0 <= self.slippage_bps < _BPS:
            raise ValueError(f"slippage_bps must be in [0, 10000), got {self.slippage_bps}")
        if not 0 < self.participation_ratio <= 1:
            raise ValueError(f"participation_ratio must be in (0, 1], got {self.participation_ratio}")


@dataclass(frozen=True, slots=True)
class PriceBar:
    """One bar in exact prices (mids, in quote currency); `volume` in base units, 0 where the feed has none."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """What matching needs to know of an order.

    Attributes:
        quantity: Base units still to fill, above 0.
        price: Limit or stop price; None for a market order.
        is_triggered: A stop that was reached and now works as a market order.
    """

    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    is_triggered: bool = False

    @property
    def is_marketable(self) -> bool:
        """Return whether the order takes any price."""
        return self.order_type is OrderType.MARKET or self.is_triggered


@dataclass(frozen=True, slots=True)
class MarketFill:
    """One fill that the market gives.

    Attributes:
        is_at_open: Whether it happened at the bar's first price (so that the whole bar lies after it).
    """

    quantity: Decimal
    price: Decimal
    fee: Decimal
    is_maker: bool
    is_at_open: bool


@dataclass(frozen=True, slots=True)
class Match:
    """What a bar or a quote did to an order.

    Attributes:
        fill: None when nothing filled (a stop may be triggered and still find no volume).
        is_triggered: Whether the order works as a market order from now on.
    """

    fill: MarketFill | None = None
    is_triggered: bool = False


def match_quote(
    order: RestingOrder,
    quote: Quote,
    instrument: Instrument,
    settings: MatchingSettings,
    *,
    available: Decimal | None = None,
    is_resting: bool = False,
) -> Match:
    """Match an order against the present best prices.

    `available` is what the market bears now, in base units (None for no bound). An order that stood before this
    quote `is_resting`: its limit is then the maker, at its own price.
    """
    if not quote.is_open:
        return Match(is_triggered=order.is_triggered)
    touch = quote.ask if order.side is Side.BUY else quote.bid
    if order.order_type is OrderType.LIMIT and order.price is not None:
        if _is_beyond(order.price, touch, order.side):
            return Match()
        price = order.price if is_resting else touch
        return Match(_execute(order, price, instrument, available, is_maker=is_resting, is_at_open=True))
    triggered = order.order_type is OrderType.STOP and (order.is_triggered or _is_reached(order, touch))
    if order.order_type is OrderType.STOP and not triggered:
        return Match()
    price = _slipped(touch, order.side, instrument, settings)
    return Match(_execute(order, price, instrument, available, is_maker=False, is_at_open=True), triggered)


def match_bar(
    order: RestingOrder,
    bar: PriceBar,
    instrument: Instrument,
    settings: MatchingSettings,
    *,
    spread: Decimal,
    available: Decimal | None = None,
    has_entered_inside: bool = False,
) -> Match:
    """Match an order that stood before the bar against its prices.

    `spread` is ask minus bid within the bar; `available` what the bar still bears (`bar_liquidity`, less what
    others took; None for no bound). `has_entered_inside` is for a stop loss whose entry filled inside this bar:
    the open came before it, so the stop fills at its own price.
    """
    half = spread / 2 * order.side.sign
    first = bar.open + half
    if order.is_marketable:
        price = _slipped(first, order.side, instrument, settings)
        return Match(_execute(order, price, instrument, available, is_maker=False, is_at_open=True), order.is_triggered)
    assert order.price is not None, "limit and stop orders have a price"
    if order.order_type is OrderType.LIMIT:
        best = (bar.low if order.side is Side.BUY else bar.high) + half
        if _is_beyond(order.price, best, order.side):
            return Match()
        is_gap = not _is_beyond(order.price, first, order.side)
        price = _inward(first, order, instrument) if is_gap else order.price
        return Match(_execute(order, price, instrument, available, is_maker=True, is_at_open=is_gap))
    worst = (bar.high if order.side is Side.BUY else bar.low) + half
    if not _is_reached(order, worst):
        return Match()
    is_gap = _is_reached(order, first) and not has_entered_inside
    price = _slipped(first if is_gap else order.price, order.side, instrument, settings)
    return Match(_execute(order, price, instrument, available, is_maker=False, is_at_open=is_gap), True)


def match_pair(
    stop: RestingOrder,
    target: RestingOrder,
    bar: PriceBar,
    instrument: Instrument,
    settings: MatchingSettings,
    *,
    spread: Decimal,
    available: Decimal | None = None,
    has_entered_inside: bool = False,
) -> tuple[Literal["stop", "target"], Match] | None:
    """Match a protective pair against one bar: at most one of the two acts, the stop when both could.

    A target gapped through at the open came first for certain and counts, unless the stop works already. When the
    entry filled inside this bar (`has_entered_inside`) the target does not count: its price may have come before.
    """
    by_stop = match_bar(
        stop, bar, instrument, settings, spread=spread, available=available, has_entered_inside=has_entered_inside
    )
    by_target = (
        Match()
        if has_entered_inside
        else match_bar(target, bar, instrument, settings, spread=spread, available=available)
    )
    reached_first = by_target.fill is not None and by_target.fill.is_at_open and not stop.is_triggered
    if reached_first:
        return "target", by_target
    if by_stop.is_triggered:
        return "stop", by_stop
    return ("target", by_target) if by_target.fill else None


def bar_liquidity(bar: PriceBar, settings: MatchingSettings) -> Decimal | None:
    """Return the base units that a bar bears, or None when its feed has no volume."""
    return bar.volume * settings.participation_ratio if bar.volume > 0 else None


def validate_order(order: OrderRequest, instrument: Instrument, quote: Quote | None) -> tuple[str, ...]:
    """Return the codes of the venue's rules that an order breaks; empty when it is well formed.

    `quantity` (not above 0), `lot`, `min_quantity`, `price_missing`, `price_unexpected` (a market order with one),
    `tick`, `min_notional`, `price_side` (a stop that the market has passed already), `protection_side` (stop loss
    or take profit on the wrong side of the entry), `no_quote` (nothing to judge a side by). The two minima do
    not bind reduce-only orders, so that a remainder can always be closed.
    """
    broken = [*_quantity_violations(order, instrument), *_price_violations(order, instrument)]
    if quote is None:
        return (*broken, "no_quote")
    entry = order.price or (quote.ask if order.side is Side.BUY else quote.bid)
    if not order.is_reduce_only and ZERO < order.quantity * entry < instrument.min_notional:
        broken.append("min_notional")
    touch = quote.ask if order.side is Side.BUY else quote.bid
    if order.order_type is OrderType.STOP and order.price and (touch - order.price) * order.side.sign >= 0:
        broken.append("price_side")
    if _is_misplaced(order, entry):
        broken.append("protection_side")
    return tuple(dict.fromkeys(broken))


def cap_reduce_only(order: RestingOrder, position: Decimal) -> RestingOrder | None:
    """Return the part of a reduce-only order that the signed position can bear, or None when there is none."""
    closable = -position * order.side.sign
    return replace(order, quantity=min(order.quantity, closable)) if closable > 0 else None


def _quantity_violations(order: OrderRequest, instrument: Instrument) -> list[str]:
    if order.quantity <= 0:
        return ["quantity"]
    broken = []
    if order.quantity % instrument.lot_size:
        broken.append("lot")
    if order.quantity < instrument.min_quantity and not order.is_reduce_only:
        broken.append("min_quantity")
    return broken


def _price_violations(order: OrderRequest, instrument: Instrument) -> list[str]:
    broken = []
    if order.order_type is OrderType.MARKET:
        if order.price is not None:
            broken.append("price_unexpected")
    elif order.price is None:
        broken.append("price_missing")
    prices = [price for price in (order.price, order.stop_loss, order.take_profit) if price is not None]
    if any(price <= 0 or price % instrument.tick_size for price in prices):
        broken.append("tick")
    return broken


def _is_misplaced(order: OrderRequest, entry: Decimal) -> bool:
    loses = order.stop_loss is not None and (entry - order.stop_loss) * order.side.sign <= 0
    gains = order.take_profit is not None and (order.take_profit - entry) * order.side.sign <= 0
    return loses or gains


def _is_beyond(limit: Decimal, price: Decimal, side: Side) -> bool:
    """Return whether a price is worse than a limit."""
    return price > limit if side is Side.BUY else price < limit


def _is_reached(stop: RestingOrder, price: Decimal) -> bool:
    assert stop.price is not None, "a stop order has a price"
    return price >= stop.price if stop.side is Side.BUY else price <= stop.price


def _slipped(price: Decimal, side: Side, instrument: Instrument, settings: MatchingSettings) -> Decimal:
    """Return the price after slippage, on the next tick against the order, and at least one tick above 0."""
    raw = price * (1 + side.sign * settings.slippage_bps / _BPS)
    return max(_on_tick(raw, instrument, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR), instrument.tick_size)


def _inward(price: Decimal, order: RestingOrder, instrument: Instrument) -> Decimal:
    """Return a gapped limit's price on the next tick against the order, never beyond its limit."""
    assert order.price is not None, "a limit order has a price"
    if order.side is Side.BUY:
        return min(_on_tick(price, instrument, ROUND_CEILING), order.price)
    return max(_on_tick(price, instrument, ROUND_FLOOR), order.price)


def _on_tick(price: Decimal, instrument: Instrument, rounding: str) -> Decimal:
    return (price / instrument.tick_size).to_integral_value(rounding) * instrument.tick_size


def _execute(
    order: RestingOrder,
    price: Decimal,
    instrument: Instrument,
    available: Decimal | None,
    *,
    is_maker: bool,
    is_at_open: bool,
) -> MarketFill | None:
    borne = order.quantity if available is None else min(order.quantity, instrument.round_quantity(available))
    if borne <= 0:
        return None
    ratio = instrument.maker_fee_ratio if is_maker else instrument.taker_fee_ratio
    fee = (borne * price * ratio).quantize(FEE_QUANTUM, ROUND_HALF_UP)
    return MarketFill(borne, price, fee, is_maker, is_at_open)
