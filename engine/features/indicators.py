"""Indicators as people know them from any chart, through TA-Lib; pure, no look-ahead.

Arrays go in oldest first and come out with the same length, NaN before the indicator's warm-up. The definitions are
TA-Lib's: Wilder's smoothing for RSI, ATR and ADX, seeded with the plain mean; EMA seeded with the plain mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import talib

from engine.domain.market import Bars, FloatArray

FIBONACCI_RATIOS = (0.0, 0.236, 0.382, 0.5, 0.618, 0.786, 1.0)
_PATTERNS = {
    "CDLENGULFING": ("bullish_engulfing", "bearish_engulfing"),
    "CDLHAMMER": ("hammer", "hammer"),
    "CDLSHOOTINGSTAR": ("shooting_star", "shooting_star"),
    "CDLHANGINGMAN": ("hanging_man", "hanging_man"),
    "CDLINVERTEDHAMMER": ("inverted_hammer", "inverted_hammer"),
    "CDLDOJI": ("doji", "doji"),
    "CDLMORNINGSTAR": ("morning_star", "morning_star"),
    "CDLEVENINGSTAR": ("evening_star", "evening_star"),
    "CDL3WHITESOLDIERS": ("three_white_soldiers", "three_white_soldiers"),
    "CDL3BLACKCROWS": ("three_black_crows", "three_black_crows"),
    "CDLHARAMI": ("bullish_harami", "bearish_harami"),
    "CDLPIERCING": ("piercing_line", "piercing_line"),
    "CDLDARKCLOUDCOVER": ("dark_cloud_cover", "dark_cloud_cover"),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A candlestick pattern: its stable code and how many bars ago it closed (0 is the last closed bar)."""

    code: str
    bars_ago: int


def sma(close: FloatArray, period: int) -> FloatArray:
    """Return the simple moving average, in price units."""
    return _array(talib.SMA(_check(close, period), period))


def ema(close: FloatArray, period: int) -> FloatArray:
    """Return the exponential moving average, in price units."""
    return _array(talib.EMA(_check(close, period), period))


def rsi(close: FloatArray, period: int = 14) -> FloatArray:
    """Return Wilder's relative strength index, 0–100."""
    return _array(talib.RSI(_check(close, period), period))


def macd(
    close: FloatArray, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return MACD, its signal line and their difference, in price units."""
    line, smooth, histogram = talib.MACD(_check(close, fast), fast, slow, signal)
    return _array(line), _array(smooth), _array(histogram)


def bollinger(close: FloatArray, period: int = 20, width: float = 2.0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Bollinger's upper, middle and lower band, in price units (population deviation)."""
    upper, middle, lower = talib.BBANDS(_check(close, period), period, width, width)
    return _array(upper), _array(middle), _array(lower)


def average_true_range(bars: Bars, period: int = 14) -> FloatArray:
    """Return Wilder's average true range, in price units.

    Source:
        Wilder (1978), New Concepts in Technical Trading Systems.
    """
    _check(bars.close, period)
    return _array(talib.ATR(bars.high, bars.low, bars.close, period))


def adx(bars: Bars, period: int = 14) -> FloatArray:
    """Return Wilder's average directional index, 0–100."""
    _check(bars.close, period)
    return _array(talib.ADX(bars.high, bars.low, bars.close, period))


def stochastic(bars: Bars, k: int = 14, smooth: int = 3, d: int = 3) -> tuple[FloatArray, FloatArray]:
    """Return the slow stochastic's %K and %D, 0–100."""
    _check(bars.close, k)
    slow_k, slow_d = talib.STOCH(bars.high, bars.low, bars.close, fastk_period=k, slowk_period=smooth, slowd_period=d)
    return _array(slow_k), _array(slow_d)


def swing_levels(bars: Bars, span: int = 5, limit: int = 3) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the nearest supports (descending) and resistances (ascending) around the last close.

    A swing is a bar whose high (low) is the highest (lowest) of `span` bars on both sides, so the newest ones are
    known `span` bars late. Swings closer together than half an ATR count as one level.
    """
    if len(bars) < 2 * span + 1:
        return (), ()
    highs = _pivots(bars.high, span)
    lows = -_pivots(-bars.low, span)
    close = float(bars.close[-1])
    gap = 0.5 * float(np.nanmean((bars.high - bars.low)[-50:]))
    levels = np.concatenate([highs, lows])
    supports = _apart(sorted((float(x) for x in levels if x < close), reverse=True), gap, limit)
    resistances = _apart(sorted(float(x) for x in levels if x > close), gap, limit)
    return supports, resistances


def fibonacci_levels(bars: Bars, span: int = 100) -> tuple[tuple[float, float], ...]:
    """Return (ratio, price) retracements of the last `span` bars' range, from its newer extreme back."""
    recent = bars[-span:]
    if not len(recent):
        return ()
    high, low = float(recent.high.max()), float(recent.low.min())
    is_up = int(recent.high.argmax()) >= int(recent.low.argmin())
    start, width = (high, low - high) if is_up else (low, high - low)
    return tuple((ratio, start + ratio * width) for ratio in FIBONACCI_RATIOS)


def candlestick_patterns(bars: Bars, last: int = 3) -> tuple[Pattern, ...]:
    """Return the patterns that closed within the last bars, newest first."""
    found = []
    for name, (bullish, bearish) in _PATTERNS.items():
        marks = getattr(talib, name)(bars.open, bars.high, bars.low, bars.close)
        for bars_ago, mark in enumerate(reversed(marks[-last:].tolist())):
            if mark:
                found.append(Pattern(bullish if mark > 0 else bearish, bars_ago))
    return tuple(sorted(found, key=lambda pattern: (pattern.bars_ago, pattern.code)))


def _pivots(values: FloatArray, span: int) -> FloatArray:
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * span + 1)
    middle = windows[:, span]
    pivots: FloatArray = middle[middle == windows.max(axis=1)]
    return pivots


def _apart(levels: list[float], gap: float, limit: int) -> tuple[float, ...]:
    kept: list[float] = []
    for level in levels:
        if len(kept) < limit and (not kept or abs(level - kept[-1]) >= gap):
            kept.append(level)
    return tuple(kept)


def _check(close: FloatArray, period: int) -> FloatArray:
    if period < 1:
        raise ValueError(f"period must be at least 1, got {period}")
    return np.ascontiguousarray(close, dtype=np.float64)


def _array(values: object) -> FloatArray:
    return np.asarray(values, dtype=np.float64)
