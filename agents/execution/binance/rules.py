"""What the exchange demands of orders, from its own exchange information.

An `Instrument` holds what the rest of the program needs; what only an adapter needs stands beside it. Symbols that do
not trade, or whose filters cannot be read, are left out: an order in them is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from engine.domain.instruments import FUTURES_FEES
from engine.domain.market import Instrument
from engine.domain.orders import OrderRequest, OrderType, Side

SPOT_FEES = (Decimal("0.001"), Decimal("0.001"))
"""Taker and maker, of an account without discounts, until the account tells its own."""
_TRADING = "TRADING"
_PERPETUAL = "PERPETUAL"
_ZERO = Decimal(0)
_NO_ALGO_LIMIT = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """One symbol at the exchange.

    Attributes:
        symbol_id: The exchange's name of it (`BTCUSDT`).
        max_quantity: Largest quantity of a limit order; `max_market_quantity` of a market order. 0 for no bound.
        max_algo_orders: Stops that may rest at once in it.
        order_types: Those that the exchange takes.
    """

    instrument: Instrument
    symbol_id: str
    max_quantity: Decimal
    max_market_quantity: Decimal
    max_algo_orders: int
    order_types: frozenset[str]

    def exit_price(self, price: Decimal, side: Side) -> Decimal:
        """Return a limit far beyond a stop, for a symbol that takes no stop-market orders."""
        far = price * (Decimal(1) + Decimal(side.sign) * Decimal("0.03"))
        rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
        tick = self.instrument.tick_size
        return max((far / tick).to_integral_value(rounding) * tick, tick)


def read_rules(
    info: Mapping[str, Any], *, is_futures: bool, fees: tuple[Decimal, Decimal] | None = None
) -> dict[str, Rules]:
    """Return the rules of every symbol that trades, by our symbol (`BTC/USDT`)."""
    taker, maker = fees or (FUTURES_FEES if is_futures else SPOT_FEES)
    found = {}
    for row in info.get("symbols") or ():
        rules = _read_symbol(row, taker, maker, is_futures=is_futures)
        if rules is not None:
            found[rules.instrument.symbol] = rules
    return found


def judge(order: OrderRequest, rules: Rules | None) -> tuple[str, ...]:
    """Return the codes of the exchange's rules that an order breaks as far as that is known before asking it."""
    if rules is None:
        return ("symbol",)
    instrument = rules.instrument
    codes = [*_judge_quantity(order, rules), *_judge_prices(order, instrument)]
    if order.price is not None and not order.is_reduce_only and order.quantity * order.price < instrument.min_notional:
        codes.append("min_notional")
    if order.side is Side.SELL and not instrument.is_shortable and (order.stop_loss or order.take_profit):
        codes.append("protection_side")
    if order.price is not None and is_misplaced(order, order.price):
        codes.append("protection_side")
    return tuple(dict.fromkeys(codes))


def is_misplaced(order: OrderRequest, entry: Decimal) -> bool:
    """Return whether stop loss or take profit lies on the wrong side of an entry price."""
    loses = order.stop_loss is not None and (entry - order.stop_loss) * order.side.sign <= 0
    gains = order.take_profit is not None and (order.take_profit - entry) * order.side.sign <= 0
    return loses or gains


def _judge_quantity(order: OrderRequest, rules: Rules) -> Sequence[str]:
    if order.quantity <= 0:
        return ["quantity"]
    codes = []
    if order.quantity % rules.instrument.lot_size:
        codes.append("lot")
    if order.quantity < rules.instrument.min_quantity and not order.is_reduce_only:
        codes.append("min_quantity")
    most = rules.max_market_quantity if order.order_type is OrderType.MARKET else rules.max_quantity
    if most and order.quantity > most:
        codes.append("max_quantity")
    return codes


def _judge_prices(order: OrderRequest, instrument: Instrument) -> Sequence[str]:
    codes = []
    if (order.order_type is OrderType.MARKET) != (order.price is None):
        codes.append("price_missing" if order.price is None else "price_unexpected")
    prices = [price for price in (order.price, order.stop_loss, order.take_profit) if price is not None]
    if any(price <= 0 or price % instrument.tick_size for price in prices):
        codes.append("tick")
    return codes


def _read_symbol(row: Mapping[str, Any], taker: Decimal, maker: Decimal, *, is_futures: bool) -> Rules | None:
    filters = {each.get("filterType"): each for each in row.get("filters") or ()}
    try:
        if row["status"] != _TRADING or (is_futures and row.get("contractType", _PERPETUAL) != _PERPETUAL):
            return None
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
        instrument = Instrument(
            f"{row['baseAsset']}/{row['quoteAsset']}",
            row["baseAsset"],
            row["quoteAsset"],
            _plain(price["tickSize"]),
            _plain(lot["stepSize"]),
            _plain(lot["minQty"]),
            _min_notional(filters),
            taker,
            maker,
            is_shortable=is_futures,
        )
        if instrument.tick_size <= 0 or instrument.lot_size <= 0:
            return None
        market_lot = filters.get("MARKET_LOT_SIZE", {})
        return Rules(
            instrument,
            row["symbol"],
            _plain(lot.get("maxQty", "0")),
            _plain(market_lot.get("maxQty", "0")),
            int(filters.get("MAX_NUM_ALGO_ORDERS", {}).get("maxNumAlgoOrders") or _NO_ALGO_LIMIT),
            frozenset(row.get("orderTypes") or ()),
        )
    except (KeyError, TypeError, InvalidOperation, ValueError):
        return None


def _min_notional(filters: Mapping[str, Mapping[str, Any]]) -> Decimal:
    row = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return _plain(row.get("minNotional") or row.get("notional") or "0")


def _plain(text: Any) -> Decimal:
    """Return a decimal without trailing zeros, so that `0.01000000` and `0.01` are written alike."""
    value = Decimal(str(text))
    return Decimal(format(value.normalize(), "f")) if value else _ZERO
