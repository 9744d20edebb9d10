"""Bars made for the tests: random walks with drift, waves and holes, on any timeframe."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from engine.backtest import Listing
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars
from engine.domain.symbols import TIMEFRAME_S, Timeframe

START = 1_600_000_000 // 86_400 * 86_400
PRICES = {"XAUUSD": 1_900.0, "EURUSD": 1.1, "BTC/USDT": 30_000.0, "ETH/USDT": 2_000.0}


def make_bars(symbol: str, timeframe: Timeframe, n: int, *, seed: int, scale: float = 0.01) -> Bars:
    """Return bars that walk at random, trend for a while and swing back, with one bar in a hundred missing."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.standard_normal(n // 50 + 1), 50)[:n] * scale * 0.3
    wave = np.diff(np.sin(np.arange(n + 1) / 9.0)) * scale
    close = PRICES.get(symbol, 10.0) * np.exp(np.cumsum(drift + wave + rng.standard_normal(n) * scale * 0.6))
    opens = np.concatenate([close[:1], close[:-1]])
    reach = np.abs(rng.standard_normal((2, n))) * scale * 0.5
    high, low = np.maximum(opens, close) * np.exp(reach[0]), np.minimum(opens, close) * np.exp(-reach[1])
    time = START + TIMEFRAME_S[timeframe] * np.arange(n, dtype=np.int64)
    kept = np.flatnonzero(rng.random(n) > 0.01)
    columns = (column[kept] for column in (opens, high, low, close, np.full(n, 1e9)))
    return Bars(symbol, timeframe, time[kept], *columns)


def make_listing(symbol: str, timeframe: Timeframe, n: int, *, seed: int, scale: float = 0.01) -> Listing:
    """Return such bars with the symbol's rules and a spread."""
    return Listing(make_bars(symbol, timeframe, n, seed=seed, scale=scale), build_instrument(symbol), Decimal(2))
