"""Trading rules and typical spreads of instruments: one table for every market that has no venue to ask.

The simulated market and a replay of stored bars both take their rules from here, so that a ticket looks alike on
either. Steps and minimums follow what large spot venues publish; a venue that publishes its own rules is asked
instead, and this table is not read. Instruments outside the table get rules from the size of their price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.errors import DataUnavailable
from engine.domain.market import Instrument
from engine.domain.symbols import is_fx

CRYPTO_TAKER_FEE = Decimal("0.001")
CRYPTO_MAKER_FEE = Decimal("0.0008")
FUTURES_FEES = (Decimal("0.0005"), Decimal("0.0002"))
"""Taker and maker of perpetual contracts, of an account without discounts."""
FX_FEE = Decimal("0.00003")
CRYPTO_MIN_NOTIONAL = Decimal(5)
FX_MIN_NOTIONAL = Decimal(1)
UNLISTED_SPREAD_BPS = 4.0
UNLISTED_PRICE_DIGITS = 5
"""Significant digits of the price of an instrument that the table does not list."""

_CURRENCY_LENGTH = 3


@dataclass(frozen=True, slots=True)
class _Steps:
    tick: str
    lot: str
    spread_bps: float


_STEPS = {
    "XAUUSD": _Steps("0.01", "0.01", 1.2),
    "EURUSD": _Steps("0.00001", "1", 0.8),
    "GBPUSD": _Steps("0.00001", "1", 1.0),
    "BTC/USDT": _Steps("0.01", "0.00001", 1.0),
    "ETH/USDT": _Steps("0.01", "0.0001", 1.0),
    "SOL/USDT": _Steps("0.01", "0.001", 2.0),
    "BNB/USDT": _Steps("0.01", "0.001", 2.0),
    "XRP/USDT": _Steps("0.0001", "0.1", 2.5),
    "ADA/USDT": _Steps("0.0001", "0.1", 3.0),
    "DOGE/USDT": _Steps("0.00001", "1", 3.0),
    "AVAX/USDT": _Steps("0.01", "0.01", 3.0),
    "LTC/USDT": _Steps("0.01", "0.001", 3.0),
    "LINK/USDT": _Steps("0.01", "0.01", 3.0),
}


def build_instrument(symbol: str, price: float | None = None) -> Instrument:
    """Return the trading rules of a symbol.

    Args:
        symbol: `XAUUSD` for metals and currencies, `BTC/USDT` for crypto.
        price: A typical price in quote currency; needed only for symbols that the table does not list.

    Raises:
        DataUnavailable: The symbol is not listed and no price was given, or it is not written like a pair.
    """
    base, quote = split_symbol(symbol)
    steps = _STEPS.get(symbol) or _guess_steps(symbol, price)
    lot = Decimal(steps.lot)
    fx = is_fx(symbol)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(steps.tick),
        lot_size=lot,
        min_quantity=lot,
        min_notional=FX_MIN_NOTIONAL if fx else CRYPTO_MIN_NOTIONAL,
        taker_fee_ratio=FX_FEE if fx else CRYPTO_TAKER_FEE,
        maker_fee_ratio=FX_FEE if fx else CRYPTO_MAKER_FEE,
        is_shortable=fx,
    )


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return the base and quote assets of a symbol.

    >>> split_symbol("BTC/USDT"), split_symbol("XAUUSD")
    (('BTC', 'USDT'), ('XAU', 'USD'))

    Raises:
        DataUnavailable: The symbol is not written like a pair.
    """
    base, slash, quote = symbol.partition("/")
    if not slash and len(symbol) == 2 * _CURRENCY_LENGTH:
        return symbol[:_CURRENCY_LENGTH], symbol[_CURRENCY_LENGTH:]
    if not base or not quote:
        raise DataUnavailable(f"{symbol!r} is not a symbol; write it like BTC/USDT or XAUUSD")
    return base, quote


def typical_spread_bps(symbol: str) -> float:
    """Return the usual distance between bid and ask, in basis points of the price."""
    steps = _STEPS.get(symbol)
    return steps.spread_bps if steps else UNLISTED_SPREAD_BPS


def _guess_steps(symbol: str, price: float | None) -> _Steps:
    if price is None or not price > 0:
        raise DataUnavailable(f"the trading rules of {symbol} are not known and there is no price to derive them from")
    exponent = Decimal(repr(float(price))).adjusted()
    tick = Decimal(1).scaleb(exponent - UNLISTED_PRICE_DIGITS + 1)
    # A step of quantity is worth about a cent to a dime, whatever the price.
    lot = Decimal(1) if is_fx(symbol) else Decimal(1).scaleb(min(0, -exponent - 1))
    return _Steps(format(tick, "f"), format(lot, "f"), UNLISTED_SPREAD_BPS)
