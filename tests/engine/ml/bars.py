"""Bars without structure for tests: a random walk whose volatility comes in clusters."""

from __future__ import annotations

import numpy as np

from engine.domain.market import Bars
from engine.domain.symbols import TIMEFRAME_S, Timeframe


def random_walk(n: int, seed: int, *, symbol: str = "BTC/USDT", timeframe: Timeframe = "1h", steps: int = 20) -> Bars:
    """Return n bars, each from `steps` fair steps of one volatility that drifts slowly (stochastic volatility)."""
    rng = np.random.default_rng(seed)
    log_volatility = np.zeros(n)
    for t in range(1, n):
        log_volatility[t] = 0.98 * log_volatility[t - 1] + 0.12 * rng.standard_normal()
    moves = rng.standard_normal((n, steps)) * (0.004 * np.exp(log_volatility) / np.sqrt(steps))[:, None]
    path = np.exp(np.cumsum(moves.ravel())).reshape(n, steps) * 100
    open_ = np.concatenate([[100.0], path[:-1, -1]])
    high = np.maximum(path.max(axis=1), open_)
    low = np.minimum(path.min(axis=1), open_)
    time = 1_600_000_000 // 3600 * 3600 + np.arange(n, dtype=np.int64) * TIMEFRAME_S[timeframe]
    volume = rng.lognormal(3, 0.5, n) * np.exp(log_volatility)
    return Bars(symbol, timeframe, time, open_, high, low, path[:, -1].copy(), volume)
