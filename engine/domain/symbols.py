"""The instruments this project knows by name, and the timeframes of a bar.

Symbols are written `XAUUSD` for metals and currencies and `BTC/USDT` for crypto. The list is what the
simulated market offers; a venue may list more.
"""

from __future__ import annotations

from typing import Literal, get_args

Timeframe = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]
TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)
TIMEFRAME_S: dict[Timeframe, int] = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "4h": 14400,
    "1d": 86400,
    "1w": 604800,
}

FX_SYMBOLS = ("XAUUSD", "EURUSD", "GBPUSD")
CRYPTO_COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "AVAX", "LTC", "LINK")
CRYPTO_SYMBOLS = tuple(f"{coin}/USDT" for coin in CRYPTO_COINS)
SYMBOLS = FX_SYMBOLS + CRYPTO_SYMBOLS


def find_timeframe(text: str) -> Timeframe | None:
    """Return the timeframe that a text names, or None."""
    return next((timeframe for timeframe in TIMEFRAMES if timeframe == text), None)


def is_fx(symbol: str) -> bool:
    """Tell whether a symbol trades in the currency week (Sunday evening to Friday evening, UTC)."""
    return "/" not in symbol
