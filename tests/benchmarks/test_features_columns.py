"""Thirty columns that TA-Lib has too, in both languages, and bars to compute them on."""

from __future__ import annotations

import numpy as np
import talib

from engine.domain.market import Bars, FloatArray
from engine.features.catalogue.feature import TRUE_RANGE
from engine.features.catalogue.momentum import rsi
from engine.features.catalogue.trend import directional_index, directional_indicators
from engine.features.expressions import (
    CLOSE,
    HIGH,
    LOW,
    VOLUME,
    Expression,
    accumulate,
    change,
    deviation,
    ema,
    highest,
    lag,
    lowest,
    mean,
    ratio,
    sign,
    wilder,
)


def minute_bars(n: int) -> Bars:
    """Return one-minute bars of a random walk, prices in cents."""
    rng = np.random.default_rng(1)
    close = 1000 * np.exp(np.cumsum(rng.standard_normal(n) * 2e-4))
    open_ = np.append(1000.0, close[:-1])
    spread = np.abs(rng.standard_normal((2, n))) * 1e-4
    high, low = np.maximum(open_, close) * (1 + spread[0]), np.minimum(open_, close) * (1 - spread[1])
    time = 1_400_000_000 // 60 * 60 + np.arange(n, dtype=np.int64) * 60
    return Bars("X", "1m", time, open_, high, low, close, rng.lognormal(3, 1, n))


def ours() -> dict[str, Expression]:
    """Return the columns in this project's language."""
    line = ema(CLOSE, 12) - ema(CLOSE, 26)
    signal = ema(line, 9)
    middle, spread = mean(CLOSE, 20), deviation(CLOSE, 20)
    plus, minus = directional_indicators(14)
    low, high = lowest(LOW, 14), highest(HIGH, 14)
    slow = mean(ratio(CLOSE - low, high - low), 3) * 100.0
    step = CLOSE / lag(CLOSE, 1) - 1.0
    return {
        **{f"sma_{n}": mean(CLOSE, n) for n in (10, 20, 50, 200)},
        **{f"ema_{n}": ema(CLOSE, n) for n in (10, 20, 50, 200)},
        **{f"rsi_{n}": rsi(CLOSE, n) * 100.0 for n in (7, 14, 21)},
        "macd": line,
        "macd_signal": signal,
        "macd_histogram": line - signal,
        "atr_7": wilder(TRUE_RANGE, 7),
        "atr_14": wilder(TRUE_RANGE, 14),
        "band_high": middle + spread * 2.0,
        "band_middle": middle * 1.0,
        "band_low": middle - spread * 2.0,
        **{f"return_{n}": CLOSE / lag(CLOSE, n) - 1.0 for n in (1, 5, 20)},
        **{f"volatility_{n}": deviation(step, n) for n in (20, 60)},
        "adx": directional_index(14)[1] * 100.0,
        "plus": plus * 100.0,
        "minus": minus * 100.0,
        "stochastic_k": slow,
        "stochastic_d": mean(slow, 3),
        "on_balance": accumulate(sign(change(CLOSE)) * VOLUME),
    }


def theirs(bars: Bars) -> dict[str, FloatArray]:
    """Return the same columns from TA-Lib."""
    high, low, close, volume = bars.high, bars.low, bars.close, bars.volume
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    slow_k, slow_d = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    step = talib.ROCP(close, 1)
    return {
        **{f"sma_{n}": talib.SMA(close, n) for n in (10, 20, 50, 200)},
        **{f"ema_{n}": talib.EMA(close, n) for n in (10, 20, 50, 200)},
        **{f"rsi_{n}": talib.RSI(close, n) for n in (7, 14, 21)},
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "atr_7": talib.ATR(high, low, close, 7),
        "atr_14": talib.ATR(high, low, close, 14),
        "band_high": upper,
        "band_middle": middle,
        "band_low": lower,
        **{f"return_{n}": talib.ROCP(close, n) for n in (1, 5, 20)},
        **{f"volatility_{n}": talib.STDDEV(step, n) for n in (20, 60)},
        "adx": talib.ADX(high, low, close, 14),
        "plus": talib.PLUS_DI(high, low, close, 14),
        "minus": talib.MINUS_DI(high, low, close, 14),
        "stochastic_k": slow_k,
        "stochastic_d": slow_d,
        "on_balance": talib.OBV(close, volume),
    }
