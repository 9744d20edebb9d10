"""Which instruments a text names, by symbol, by everyday name or by ticker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from copilot.brain.checking.words import fold, load_list

_PAIR = re.compile(r"(?<![\w/])([A-Z0-9]{2,6})[/-]([A-Z]{3,4})(?![\w/])")
_CASHTAG = re.compile(r"\$([A-Za-z]{2,6})(?![\w$])")
_QUOTES = frozenset({"USD", "USDT", "USDC", "EUR", "GBP", "BTC", "ETH", "JPY", "BUSD"})


def find_symbols(text: str) -> Iterator[tuple[int, str]]:
    """Yield where an instrument is named and its symbol, in no order; one that is not listed gets its own name.

    >>> sorted(find_symbols("Gold and TSLA"))
    [(0, 'XAUUSD'), (9, 'tsla')]
    """
    names, tickers, symbols = _index()
    folded = fold(text)
    for match in names.finditer(folded):
        yield match.start(), symbols[match[0]]
    for match in tickers.finditer(text):
        yield match.start(), symbols[match[0]]
    for match in _PAIR.finditer(text):
        base, quote = match.groups()
        if fold(match[0]) not in symbols and quote in _QUOTES:
            yield match.start(), f"{base}/{quote}"
    for match in _CASHTAG.finditer(text):
        name = match[1]
        yield match.start(), symbols.get(name.lower(), symbols.get(name.upper(), name.lower()))
    for match in _currency_pair().finditer(text):
        if fold(match[0]) not in symbols:
            yield match.start(), match[0]


@cache
def _currency_pair() -> re.Pattern[str]:
    codes = "|".join(load_list("instruments")["currencies"])
    return re.compile(rf"(?<!\w)(?:{codes})/?(?:{codes})(?!\w)")


@cache
def _index() -> tuple[re.Pattern[str], re.Pattern[str], dict[str, str]]:
    data = load_list("instruments")
    symbols: dict[str, str] = {}
    names: list[str] = []
    tickers: list[str] = []
    for symbol, spellings in data["listed"].items():
        names += spellings["names"]
        tickers += spellings["tickers"]
        symbols |= dict.fromkeys([*spellings["names"], *spellings["tickers"]], symbol)
    names += data["unlisted"]["names"]
    tickers += data["unlisted"]["tickers"]
    symbols |= {name: name for name in [*data["unlisted"]["names"], *data["unlisted"]["tickers"]]}
    return _any_of(names), _any_of(tickers), symbols


def _any_of(words: list[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<![\w/$])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w]|/[A-Za-z])")
