"""From what a person asked to exact terms: pure arithmetic, no clock, no store, no venue.

Quantities are rounded down to the lot and prices to the tick. A size that was not given comes from the risk profile
and the distance to the stop: `equity × risk / distance`, then bounded by cash and limits; the arithmetic is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agents.risk.values import AccountState, RiskLimits
from engine.domain.errors import InvalidRequest
from engine.domain.market import Instrument, Quote
from engine.domain.orders import OrderRequest, OrderType, Side
from engine.ledger import exact_product
from tools.results import SizingView
from tools.schema import ExecuteTrade

ZERO = Decimal(0)
_HUNDRED = Decimal(100)
MAX_THROUGH_MARKET = Decimal("0.02")
"""A limit this far on the wrong side of the market is a slip of the tongue, not a wish."""
_BOUND_MARGIN = Decimal("0.99")
"""Proposed sizes stay this far inside a limit: the gate counts fees and half the spread too."""


@dataclass(frozen=True, slots=True)
class StopHint:
    """Where a stop would make sense when the person named none: a distance in quote currency, and who says so."""

    distance: Decimal
    source: Literal["signal", "atr"]


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that a draft depends on, at one moment."""

    instrument: Instrument
    quote: Quote
    account: AccountState
    limits: RiskLimits
    risk_per_trade_pct: Decimal
    stop_hint: StopHint | None

    @property
    def held(self) -> Decimal:
        """Return the signed position in the symbol."""
        return held(self.account, self.instrument.symbol)

    @property
    def free_cash(self) -> Decimal:
        """Return the cash that neither resting buys nor buying back what was sold short will need."""
        account, fee = self.account, 1 + self.instrument.taker_fee_ratio
        owed = sum((max(-p.quantity, ZERO) * account.marks[s] for s, p in account.positions.items()), ZERO)
        reserved = sum(
            (
                (order.request.quantity - order.filled_quantity)
                * max(order.request.price or ZERO, account.marks.get(order.request.symbol, ZERO))
                * fee
                for order in account.open_orders
                if order.request.side is Side.BUY and not order.request.is_reduce_only
            ),
            ZERO,
        )
        return max(account.cash - owed - reserved, ZERO)


@dataclass(frozen=True, slots=True)
class Draft:
    """An order with exact terms and how its size came about."""

    order: OrderRequest
    expected_price: Decimal
    fee: Decimal
    is_close: bool
    sizing: SizingView | None

    @property
    def notional(self) -> Decimal:
        """Return quantity times expected price."""
        return exact_product(self.order.quantity, self.expected_price)


class NothingToClose(InvalidRequest):
    """There is no position to close or to take a percentage of."""


class NoRoom(InvalidRequest):
    """A limit leaves no room for a proposed size; the code is the limit's name."""


def held(account: AccountState, symbol: str) -> Decimal:
    """Return the signed position in a symbol."""
    position = account.positions.get(symbol)
    return ZERO if position is None else position.quantity


def draft_order(asked: ExecuteTrade, situation: Situation, client_order_id: str) -> Draft:
    """Return the exact order for what was asked.

    Raises:
        InvalidRequest: The request contradicts itself or the market; the code says how.
        NothingToClose: It speaks of a position that is not there.
        NoRoom: A size was to be proposed and a limit leaves none.
    """
    side = _side(asked, situation)
    entry = _entry(asked, side, situation)
    stop_loss, take_profit = _protection(asked, side, entry, situation.instrument)
    quantity, sizing, proposed_stop = _quantity(asked, side, entry, stop_loss, situation)
    if quantity <= 0:
        raise InvalidRequest("below_minimum", symbol=asked.symbol, smallest=_smallest(situation.instrument))
    is_close = asked.side == "close"
    order = OrderRequest(
        client_order_id=client_order_id,
        symbol=asked.symbol,
        side=side,
        order_type=OrderType(asked.order_type),
        quantity=quantity,
        price=None if asked.order_type == "market" else entry,
        stop_loss=None if is_close else stop_loss or proposed_stop,
        take_profit=None if is_close else take_profit,
        is_reduce_only=is_close,
    )
    fee = exact_product(quantity, entry, _fee_ratio(order, situation))
    return Draft(order, entry, fee, is_close, sizing)


def check_price(order_type: OrderType, side: Side, price: Decimal, quote: Quote) -> None:
    """Refuse a limit or stop price that the market has made senseless.

    Raises:
        InvalidRequest: `limit_through_market` or `stop_already_passed`.
    """
    touch = _touch(side, quote)
    beyond = (price - touch) * side.sign
    if order_type is OrderType.LIMIT and beyond > touch * MAX_THROUGH_MARKET:
        raise InvalidRequest("limit_through_market", price=price, market=touch)
    if order_type is OrderType.STOP and beyond <= 0:
        raise InvalidRequest("stop_already_passed", price=price, market=touch)


def _smallest(instrument: Instrument) -> Decimal:
    return max(instrument.min_quantity, instrument.lot_size)


def _fee_ratio(order: OrderRequest, situation: Situation) -> Decimal:
    """Return the maker's fee for a limit that will rest; one that meets the market at once takes."""
    is_taking = order.price is None or (order.price - _touch(order.side, situation.quote)) * order.side.sign >= 0
    if order.order_type is OrderType.LIMIT and not is_taking:
        return situation.instrument.maker_fee_ratio
    return situation.instrument.taker_fee_ratio


def _side(asked: ExecuteTrade, situation: Situation) -> Side:
    if asked.side != "close":
        return Side(asked.side)
    if situation.held == 0:
        raise NothingToClose("nothing_to_close", symbol=asked.symbol)
    return Side.SELL if situation.held > 0 else Side.BUY


def _touch(side: Side, quote: Quote) -> Decimal:
    return quote.ask if side is Side.BUY else quote.bid


def _entry(asked: ExecuteTrade, side: Side, situation: Situation) -> Decimal:
    if asked.order_type == "market":
        if asked.price is not None:
            raise InvalidRequest("price_with_market", symbol=asked.symbol)
        return _touch(side, situation.quote)
    if asked.price is None:
        raise InvalidRequest("price_missing", order_type=asked.order_type)
    price = situation.instrument.round_price(asked.price)
    if price <= 0:
        raise InvalidRequest("bad_number", value=asked.price)
    check_price(OrderType(asked.order_type), side, price, situation.quote)
    return price


def _protection(
    asked: ExecuteTrade, side: Side, entry: Decimal, instrument: Instrument
) -> tuple[Decimal | None, Decimal | None]:
    if asked.stop_loss is not None and asked.stop_loss_pct is not None:
        raise InvalidRequest("stop_given_twice")
    if asked.take_profit is not None and asked.take_profit_pct is not None:
        raise InvalidRequest("target_given_twice")
    stop = _from_distance(asked.stop_loss, asked.stop_loss_pct, entry, -side.sign)
    target = _from_distance(asked.take_profit, asked.take_profit_pct, entry, side.sign)
    stop = None if stop is None else instrument.round_price(stop)
    target = None if target is None else instrument.round_price(target)
    if stop is not None and (stop <= 0 or (entry - stop) * side.sign <= 0):
        raise InvalidRequest("stop_wrong_side", stop=stop, entry=entry, side=side.value)
    if target is not None and (target <= 0 or (target - entry) * side.sign <= 0):
        raise InvalidRequest("target_wrong_side", target=target, entry=entry, side=side.value)
    return stop, target


def _from_distance(price: Decimal | None, pct: Decimal | None, entry: Decimal, sign: int) -> Decimal | None:
    return price if pct is None else entry * (1 + sign * pct / _HUNDRED)


def _quantity(
    asked: ExecuteTrade, side: Side, entry: Decimal, stop: Decimal | None, situation: Situation
) -> tuple[Decimal, SizingView | None, Decimal | None]:
    """Return the rounded quantity, its arithmetic when it was proposed, and the stop proposed with it."""
    holding = situation.held
    is_exit = asked.side == "close" or holding * side.sign < 0
    if asked.amount is None:
        if is_exit:
            return situation.instrument.round_quantity(abs(holding)), None, None
        return _propose_size(side, entry, stop, situation)
    if asked.unit == "percent":
        raw = _percent(asked, side, entry, situation)
    elif asked.unit == "quote":
        raw = asked.amount / entry
    else:
        raw = asked.amount
    if asked.side == "close" and raw > abs(holding):
        raise InvalidRequest("more_than_held", held=abs(holding), symbol=asked.symbol)
    return situation.instrument.round_quantity(raw), None, None


def _percent(asked: ExecuteTrade, side: Side, entry: Decimal, situation: Situation) -> Decimal:
    assert asked.amount is not None, "the caller has checked"
    if asked.amount > _HUNDRED:
        raise InvalidRequest("over_hundred_percent", value=asked.amount)
    share = asked.amount / _HUNDRED
    if asked.side == "buy" and situation.held >= 0:
        return situation.free_cash * share / (entry * (1 + situation.instrument.taker_fee_ratio))
    if situation.held * side.sign >= 0:
        raise NothingToClose("nothing_to_close", symbol=asked.symbol)
    return abs(situation.held) * share


def _propose_size(
    side: Side, entry: Decimal, stop: Decimal | None, situation: Situation
) -> tuple[Decimal, SizingView, Decimal | None]:
    instrument, account = situation.instrument, situation.account
    source: Literal["person", "signal", "atr"] = "person"
    proposed_stop = None
    if stop is None:
        if situation.stop_hint is None:
            raise InvalidRequest("size_needs_stop", symbol=instrument.symbol)
        source = situation.stop_hint.source
        proposed_stop = stop = instrument.round_price(entry - side.sign * situation.stop_hint.distance)
    distance = abs(entry - stop)
    if distance == 0 or stop <= 0:
        raise InvalidRequest("size_needs_stop", symbol=instrument.symbol)
    risk_money = account.equity * situation.risk_per_trade_pct / _HUNDRED
    raw = risk_money / distance
    bounds = _bounds(side, entry, situation)
    name, bound = min(bounds.items(), key=lambda item: item[1])
    quantity = instrument.round_quantity(min(raw, max(bound, ZERO)))
    if quantity < _smallest(instrument) <= raw:
        raise NoRoom(name, symbol=instrument.symbol)
    sizing = SizingView(
        equity=account.equity,
        risk_pct=situation.risk_per_trade_pct,
        risk_money=risk_money,
        stop_distance=distance,
        raw_quantity=raw,
        quantity=quantity,
        bounded_by=name if bound < raw else None,
        stop_from=source,
    )
    return quantity, sizing, proposed_stop


def _bounds(side: Side, entry: Decimal, situation: Situation) -> dict[str, Decimal]:
    account, limits = situation.account, situation.limits
    held_notional = abs(situation.held) * situation.quote.mid
    bounds = {
        "position": (account.equity * limits.position_ratio - held_notional) / entry,
        "exposure": (account.equity * limits.gross_exposure_ratio - account.exposure) / entry,
        "order_notional": limits.order_notional / entry,
    }
    if side is Side.BUY:
        bounds["cash"] = situation.free_cash / (entry * (1 + situation.instrument.taker_fee_ratio))
    return {name: bound * _BOUND_MARGIN for name, bound in bounds.items()}
