"""Where prices come from when nobody scripts them: a seeded random walk, or a file of moves."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tests.binance.market import INTERVALS, Candle, open_of
from tests.binance.rules import floor_to

HISTORY = (("1m", 1500), ("1h", 1500), ("1d", 400))
YEAR_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one market.

    Args:
        after_s: Seconds since the start.
        symbol: What moves.
        price: Where to.
        volume: Quantity it brings; None for as much as it takes.
    """

    after_s: float
    symbol: str
    price: Decimal
    volume: Decimal | None = None


def walk(symbol: str, start: Decimal, seed: int, step_s: float, volatility: float = 0.8) -> Iterator[Decimal]:
    """Yield prices of a random walk, the same for the same symbol and seed.

    Args:
        symbol: Makes the walks of two symbols differ.
        start: First price.
        seed: Of the generator.
        step_s: Seconds between two prices.
        volatility: A year's standard deviation of the logarithm.
    """
    generator = random.Random(f"{seed}:{symbol}:{step_s}")
    scale = volatility * math.sqrt(step_s / YEAR_S)
    price = float(start)
    while True:
        price *= math.exp(generator.gauss(-(scale**2) / 2, scale))
        yield Decimal(repr(price))


def random_moves(prices: dict[str, Decimal], seed: int, step_s: float) -> Iterator[Move]:
    """Yield a step of every symbol, again and again."""
    walks = {symbol: walk(symbol, price, seed, step_s) for symbol, price in prices.items()}
    number = 0
    while True:
        number += 1
        for symbol, path in walks.items():
            yield Move(number * step_s, symbol, next(path))


def file_moves(path: Path) -> Iterator[Move]:
    """Yield the moves of a CSV file with the columns seconds, symbol, price and, if wanted, volume."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            volume = Decimal(row["volume"]) if row.get("volume") else None
            yield Move(float(row["seconds"]), row["symbol"], Decimal(row["price"]), volume)


def history(symbol: str, last: Decimal, tick: Decimal, seed: int, now_ms: int) -> dict[str, Iterable[Candle]]:
    """Return bars that end at a price just before a moment, by interval."""
    found: dict[str, Iterable[Candle]] = {}
    for interval, count in HISTORY:
        length = INTERVALS[interval]
        path = walk(symbol, last, seed, length / 1000 / 4)
        opening = open_of(interval, now_ms)
        bars: list[Candle] = []
        close = last
        for number in range(1, count + 1):
            prices = [close, *(max(tick, floor_to(next(path), tick)) for _ in range(4))]
            volume = Decimal(number % 17 + 1)
            bar = Candle(opening - number * length, prices[-1], max(prices), min(prices), close, volume)
            bar.quote_volume, bar.trades = volume * close, number % 90 + 1
            bars.append(bar)
            close = prices[-1]
        found[interval] = bars[::-1]
    return found
