"""Read the symbol and the timeframe out of a file's name, and symbols as other programs write them."""

from __future__ import annotations

import re
from itertools import pairwise

from engine.domain.symbols import CRYPTO_COINS, FX_SYMBOLS, Timeframe

_TIMEFRAME_WORDS: dict[str, Timeframe] = {
    **dict.fromkeys(("1m", "m1", "1min", "1minute"), "1m"),
    **dict.fromkeys(("5m", "m5", "5min"), "5m"),
    **dict.fromkeys(("15m", "m15", "15min"), "15m"),
    **dict.fromkeys(("30m", "m30", "30min"), "30m"),
    **dict.fromkeys(("1h", "h1", "60m", "60min", "1hour", "hourly"), "1h"),
    **dict.fromkeys(("4h", "h4", "240m", "240min"), "4h"),
    **dict.fromkeys(("1d", "d1", "1440m", "1day", "daily"), "1d"),
    **dict.fromkeys(("1w", "w1", "1week", "weekly"), "1w"),
}
# Longest first, so that BTCUSDT is not read as BTCUS and DT, and FDUSD not as FD and USD.
_CRYPTO_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD")
_CURRENCIES = frozenset(
    (
        "XAU",
        "XAG",
        "USD",
        "EUR",
        "GBP",
        "JPY",
        "CHF",
        "AUD",
        "NZD",
        "CAD",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "HUF",
        "CZK",
        "MXN",
    )
)
_SPLIT = re.compile(r"[^A-Za-z0-9]+")
_GLUED = re.compile(r"([A-Za-z]{6,}?)([mMhHdDwW]\d{1,2}|\d{1,4}(?:min|[mhdw]))")


def parse_symbol(text: str) -> str | None:
    """Return the symbol in our writing, or None when the text names none.

    >>> parse_symbol("btcusdt"), parse_symbol("BTC-USDT"), parse_symbol("xau_usd"), parse_symbol("candles")
    ('BTC/USDT', 'BTC/USDT', 'XAUUSD', None)
    """
    parts = [part for part in _SPLIT.split(text.upper()) if part]
    if len(parts) == 2:
        return _pair(parts[0], parts[1])
    if len(parts) != 1:
        return None
    word = parts[0]
    if word in FX_SYMBOLS or (len(word) == 6 and _pair(word[:3], word[3:]) == word):
        return word
    for quote in _CRYPTO_QUOTES:
        if word.endswith(quote) and len(word) > len(quote) + 1:
            return _pair(word[: -len(quote)], quote)
    return None


def parse_timeframe(text: str) -> Timeframe | None:
    """Return the timeframe that a word names, or None.

    A capital M after the number is a month elsewhere, so `1M` is none; `M1` is MetaTrader's minute.
    """
    if re.fullmatch(r"\d+M", text):
        return None
    return _TIMEFRAME_WORDS.get(text.lower())


def parse_file_name(stem: str) -> tuple[str | None, Timeframe | None]:
    """Return the symbol and the timeframe that a file's name (without its ending) holds, None where it holds none.

    >>> parse_file_name("BTCUSDT_1h"), parse_file_name("XAUUSD_M15"), parse_file_name("ETH_USDT-5m-futures")
    (('BTC/USDT', '1h'), ('XAUUSD', '15m'), ('ETH/USDT', '5m'))
    """
    words = [word for part in _SPLIT.split(stem) if part for word in _unglue(part)]
    timeframe = next((known for word in words if (known := parse_timeframe(word))), None)
    names = [word for word in words if parse_timeframe(word) is None]
    candidates = [*names, *(f"{first}/{second}" for first, second in pairwise(names))]
    symbol = next((found for candidate in candidates if (found := parse_symbol(candidate))), None)
    return symbol, timeframe


def _pair(base: str, quote: str) -> str | None:
    if base in _CURRENCIES and quote in _CURRENCIES:
        return base + quote
    if quote not in _CRYPTO_QUOTES:
        return None
    return f"{base}/{'USDT' if quote == 'USD' and base in CRYPTO_COINS else quote}"


def _unglue(part: str) -> tuple[str, ...]:
    glued = _GLUED.fullmatch(part)
    return glued.groups() if glued else (part,)
