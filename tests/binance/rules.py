"""What may be traded and in which steps: one symbol's filters, as the exchange publishes and enforces them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from tests.binance.errors import ApiError, filter_failure, too_precise

ASSET_DECIMALS = 8
SPOT_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
FUTURES_TYPES = ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def plain(value: Decimal) -> str:
    """Return a number as the exchange writes it, with eight decimals."""
    return f"{value:.8f}"


def short(value: Decimal) -> str:
    """Return a number without needless zeros and never in scientific notation."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def decimals(step: Decimal) -> int:
    """Return how many decimals a multiple of `step` can have."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """One symbol with its filters.

    Args:
        symbol: As in requests, such as `BTCUSDT`.
        base: Asset that is bought and sold.
        quote: Asset it is paid with.
        tick: Price step.
        step: Quantity step.
        min_quantity: Least quantity of an order.
        max_quantity: Largest quantity of an order.
        max_market_quantity: Largest quantity of a market order.
        min_notional: Least price × quantity.
        max_notional: Largest price × quantity.
        multiplier_up: Highest limit price, as a multiple of the last price.
        multiplier_down: Lowest limit price, as a multiple of the last price.
        max_orders: Open orders per account.
        max_algo_orders: Open stop orders per account.
        is_contract: A USD-M perpetual, not a spot pair.
        status: TRADING, HALT or BREAK.
    """

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal = Decimal(9000)
    max_market_quantity: Decimal = Decimal(1000)
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)
    multiplier_up: Decimal = Decimal(5)
    multiplier_down: Decimal = Decimal("0.2")
    max_orders: int = 200
    max_algo_orders: int = 5
    is_contract: bool = False
    status: str = "TRADING"

    def check_price(self, price: Decimal, last: Decimal, side: str) -> None:
        """Refuse a limit price that is too fine, off the steps, or far from the last price."""
        if price.normalize().as_tuple().exponent < -ASSET_DECIMALS:  # type: ignore[operator]  # finite: parsed so
            raise too_precise("price")
        if price < self.tick or price % self.tick:
            raise filter_failure("PRICE_FILTER")
        if last and not last * self.multiplier_down <= price <= last * self.multiplier_up:
            raise filter_failure("PERCENT_PRICE_BY_SIDE")

    def check_stop(self, price: Decimal) -> None:
        """Refuse a stop price that is too fine or off the steps."""
        self.check_price(price, Decimal(0), "")

    def check_quantity(self, quantity: Decimal, is_market: bool) -> None:
        """Refuse a quantity that is too fine, too small, too large or off the steps."""
        if quantity.normalize().as_tuple().exponent < -ASSET_DECIMALS:  # type: ignore[operator]  # finite: parsed so
            raise too_precise("quantity")
        if quantity <= 0:
            raise ApiError(-1013, "Invalid quantity.")
        if not self.min_quantity <= quantity <= self.max_quantity or (quantity - self.min_quantity) % self.step:
            raise filter_failure("LOT_SIZE")
        if is_market and quantity > self.max_market_quantity:
            raise filter_failure("MARKET_LOT_SIZE")

    def check_notional(self, notional: Decimal) -> None:
        """Refuse an order whose worth is outside the limits."""
        if not self.min_notional <= notional <= self.max_notional:
            raise filter_failure("NOTIONAL")

    def spot_info(self) -> dict[str, Any]:
        """Return the symbol's entry in the spot exchange information."""
        return {
            "symbol": self.symbol,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": ASSET_DECIMALS,
            "quoteAsset": self.quote,
            "quotePrecision": ASSET_DECIMALS,
            "quoteAssetPrecision": ASSET_DECIMALS,
            "baseCommissionPrecision": ASSET_DECIMALS,
            "quoteCommissionPrecision": ASSET_DECIMALS,
            "orderTypes": list(SPOT_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": True,
            "otoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._spot_filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }

    def _spot_filters(self) -> list[dict[str, Any]]:
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": plain(self.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": plain(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": plain(self.min_quantity),
                "maxQty": plain(self.max_quantity),
                "stepSize": plain(self.step),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": plain(self.max_market_quantity),
                "stepSize": "0.00000000",
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": short(self.multiplier_up),
                "bidMultiplierDown": short(self.multiplier_down),
                "askMultiplierUp": short(self.multiplier_up),
                "askMultiplierDown": short(self.multiplier_down),
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": plain(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": plain(self.max_notional),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.max_algo_orders},
        ]


def spot_symbol(symbol: str, base: str, quote: str, tick: str, step: str, **limits: Any) -> SymbolRules:
    """Return a spot pair whose least quantity is one step."""
    return SymbolRules(symbol, base, quote, Decimal(tick), Decimal(step), Decimal(step), **limits)


DEFAULT_SPOT = (
    spot_symbol("BTCUSDT", "BTC", "USDT", "0.01", "0.00001"),
    spot_symbol("ETHUSDT", "ETH", "USDT", "0.01", "0.0001"),
    spot_symbol("BNBUSDT", "BNB", "USDT", "0.01", "0.001"),
    spot_symbol("SOLUSDT", "SOL", "USDT", "0.01", "0.001", max_quantity=Decimal(90_000)),
    spot_symbol("XRPUSDT", "XRP", "USDT", "0.0001", "0.1", max_quantity=Decimal(9_000_000)),
    spot_symbol("ADAUSDT", "ADA", "USDT", "0.0001", "0.1", max_quantity=Decimal(9_000_000)),
    spot_symbol("PAXGUSDT", "PAXG", "USDT", "0.01", "0.0001"),
    spot_symbol("EURUSDT", "EUR", "USDT", "0.0001", "0.1", max_quantity=Decimal(900_000)),
    spot_symbol("ETHBTC", "ETH", "BTC", "0.00001", "0.0001", min_notional=Decimal("0.0001")),
)
DEFAULT_PRICES = {
    "BTCUSDT": Decimal(60_000),
    "ETHUSDT": Decimal(3_000),
    "BNBUSDT": Decimal(600),
    "SOLUSDT": Decimal(150),
    "XRPUSDT": Decimal("0.6"),
    "ADAUSDT": Decimal("0.5"),
    "PAXGUSDT": Decimal(2_400),
    "EURUSDT": Decimal("1.08"),
    "ETHBTC": Decimal("0.05"),
}
