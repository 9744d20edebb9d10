"""The features that models learn from: scale-free numbers of closed bars, each with its warm-up and source.

A value at bar t depends on bars up to t and on nothing else; a shared test cuts and perturbs later bars for every
feature. Being ratios, they mean the same on gold and on bitcoin, so one model can learn from all symbols together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import talib

from engine.domain.market import Bars, FloatArray
from engine.features.indicators import adx, average_true_range, bollinger, ema, macd, rsi, stochastic

FeatureFunction = Callable[[Bars], FloatArray]
_TINY = 1e-12
_DAY_S = 86400
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday (Monday is 0)."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: its name, the bars it needs before it speaks, where it comes from, and how it is computed."""

    name: str
    warmup: int
    source: str
    function: FeatureFunction


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMatrix:
    """Features of some bars.

    Attributes:
        names: k names, in the order of the columns.
        values: Shape (n, k), NaN before each feature's own warm-up.
        warmup: Rows before this one are incomplete.
    """

    names: tuple[str, ...]
    values: FloatArray
    warmup: int


def feature_matrix(bars: Bars) -> FeatureMatrix:
    """Return every feature of the given bars."""
    columns = [feature.function(bars) for feature in FEATURES]
    values = np.column_stack(columns) if len(bars) else np.empty((0, len(FEATURES)))
    for column, feature in enumerate(FEATURES):
        values[: feature.warmup, column] = np.nan
    return FeatureMatrix(FEATURE_NAMES, values, WARMUP)


def _log_return(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        out = np.full(len(bars), np.nan)
        out[span:] = np.log(bars.close[span:] / bars.close[:-span])
        return np.asarray(out / (_scale(bars) * np.sqrt(span)))

    return compute


def _scale(bars: Bars) -> FloatArray:
    """Return ATR(14) as a fraction of the close, the unit in which moves are told."""
    return np.asarray(np.maximum(average_true_range(bars) / bars.close, _TINY))


def _rolling_mean(values: FloatArray, span: int) -> FloatArray:
    """Return the mean of the last `span` values; each is summed anew, so nothing later or earlier leaks in."""
    out = np.full(len(values), np.nan)
    if len(values) >= span:
        out[span - 1 :] = np.lib.stride_tricks.sliding_window_view(values, span).mean(axis=1)
    return out


def _rolling_extreme(values: FloatArray, span: int, *, highest: bool) -> FloatArray:
    return np.asarray(talib.MAX(values, span) if highest else talib.MIN(values, span))


def _realised(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        returns = np.zeros(len(bars))
        returns[1:] = np.log(bars.close[1:] / bars.close[:-1])
        return np.asarray(np.log(np.sqrt(_rolling_mean(returns**2, span)) + 1e-8))

    return compute


def _parkinson(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        squares = np.log(bars.high / bars.low) ** 2 / (4 * np.log(2))
        return np.asarray(np.log(np.sqrt(_rolling_mean(squares, span)) + 1e-8))

    return compute


def _garman_klass(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        ranges = 0.5 * np.log(bars.high / bars.low) ** 2
        bodies = (2 * np.log(2) - 1) * np.log(bars.close / bars.open) ** 2
        return np.asarray(np.log(np.sqrt(np.maximum(_rolling_mean(ranges - bodies, span), 0)) + 1e-8))

    return compute


def _volatility_ratio(fast: int, slow: int) -> FeatureFunction:
    quick, calm = _parkinson(fast), _parkinson(slow)
    return lambda bars: np.asarray(quick(bars) - calm(bars))


def _ema_distance(period: int) -> FeatureFunction:
    return lambda bars: np.asarray((bars.close / ema(bars.close, period) - 1) / _scale(bars))


def _ema_slope(period: int, span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        line = ema(bars.close, period)
        out = np.full(len(bars), np.nan)
        out[span:] = line[span:] / line[:-span] - 1
        return np.asarray(out / _scale(bars))

    return compute


def _macd_ratio(bars: Bars) -> FloatArray:
    return np.asarray(macd(bars.close)[2] / bars.close / _scale(bars))


def _bollinger_position(bars: Bars) -> FloatArray:
    upper, middle, lower = bollinger(bars.close)
    return np.asarray((bars.close - middle) / np.maximum(upper - lower, _TINY * bars.close))


def _bollinger_width(bars: Bars) -> FloatArray:
    upper, middle, lower = bollinger(bars.close)
    return np.asarray(np.log(np.maximum((upper - lower) / middle, 1e-8)))


def _directional(bars: Bars) -> FloatArray:
    plus = talib.PLUS_DI(bars.high, bars.low, bars.close, 14)
    minus = talib.MINUS_DI(bars.high, bars.low, bars.close, 14)
    return np.asarray((plus - minus) / 100)


def _range_position(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        high, low = _rolling_extreme(bars.high, span, highest=True), _rolling_extreme(bars.low, span, highest=False)
        return np.asarray((bars.close - low) / np.maximum(high - low, _TINY * bars.close) - 0.5)

    return compute


def _range_width(span: int) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        high, low = _rolling_extreme(bars.high, span, highest=True), _rolling_extreme(bars.low, span, highest=False)
        return np.asarray((high - low) / bars.close / _scale(bars) / np.sqrt(span))

    return compute


def _sweep(span: int, *, is_high: bool) -> FeatureFunction:
    """Return how far a bar went beyond the extreme before it and came back, in ATR; 0 without a sweep."""

    def compute(bars: Bars) -> FloatArray:
        extreme = np.full(len(bars), np.nan)
        edge = _rolling_extreme(bars.high if is_high else bars.low, span, highest=is_high)
        extreme[1:] = edge[:-1]
        beyond = bars.high - extreme if is_high else extreme - bars.low
        is_back = bars.close < extreme if is_high else bars.close > extreme
        swept = np.where((beyond > 0) & is_back, beyond, 0.0)
        swept[np.isnan(extreme)] = np.nan
        return np.asarray(swept / bars.close / _scale(bars))

    return compute


def _body(bars: Bars) -> FloatArray:
    return np.asarray((bars.close - bars.open) / bars.close / _scale(bars))


def _upper_wick(bars: Bars) -> FloatArray:
    return np.asarray((bars.high - np.maximum(bars.open, bars.close)) / bars.close / _scale(bars))


def _lower_wick(bars: Bars) -> FloatArray:
    return np.asarray((np.minimum(bars.open, bars.close) - bars.low) / bars.close / _scale(bars))


def _gap(bars: Bars) -> FloatArray:
    out = np.full(len(bars), np.nan)
    out[1:] = bars.open[1:] / bars.close[:-1] - 1
    return np.asarray(out / _scale(bars))


def _volume_score(span: int) -> FeatureFunction:
    """Return the log of volume over its own mean; 0 where a feed has no volume."""

    def compute(bars: Bars) -> FloatArray:
        mean = _rolling_mean(bars.volume, span)
        out = np.log((bars.volume + _TINY) / (mean + _TINY))
        out = np.where(mean > 0, np.clip(out, -5, 5), 0.0)
        out[np.isnan(mean)] = np.nan
        return np.asarray(out)

    return compute


def _volume_trend(bars: Bars) -> FloatArray:
    """Return signed volume over total volume of the last 24 bars, between -1 and 1; 0 without volume."""
    direction = np.zeros(len(bars))
    direction[1:] = np.sign(bars.close[1:] - bars.close[:-1])
    total = _rolling_mean(bars.volume, 24)
    signed = _rolling_mean(bars.volume * direction, 24)
    return np.asarray(np.where(total > 0, signed / np.maximum(total, _TINY), np.where(np.isnan(total), np.nan, 0.0)))


def _cycle(period_s: int, *, is_sine: bool, offset_s: int = 0) -> FeatureFunction:
    def compute(bars: Bars) -> FloatArray:
        angle = 2 * np.pi * ((bars.time + offset_s) % period_s) / period_s
        return np.asarray(np.sin(angle) if is_sine else np.cos(angle))

    return compute


_WILDER = "Wilder (1978), New Concepts in Technical Trading Systems"
_PARKINSON = "Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of Return"
_GARMAN_KLASS = "Garman and Klass (1980), On the Estimation of Security Price Volatilities from Historical Data"
_OWN = "defined here"
_LONG_EMA = 400
"""Bars after which an EMA(100)'s seed weighs less than 0.04 %."""

FEATURES: tuple[Feature, ...] = (
    *(Feature(f"return_{n}", max(n, 14) + 1, _OWN, _log_return(n)) for n in (1, 2, 4, 8, 24, 72)),
    *(Feature(f"realised_volatility_{n}", n + 1, _OWN, _realised(n)) for n in (12, 24, 120)),
    *(Feature(f"parkinson_{n}", n, _PARKINSON, _parkinson(n)) for n in (12, 24, 120)),
    Feature("garman_klass_24", 24, _GARMAN_KLASS, _garman_klass(24)),
    Feature("volatility_ratio_6_48", 48, _OWN, _volatility_ratio(6, 48)),
    Feature("volatility_ratio_24_240", 240, _OWN, _volatility_ratio(24, 240)),
    Feature("atr_ratio", 150, _WILDER, lambda bars: np.log(_scale(bars))),
    *(Feature(f"ema_distance_{n}", max(4 * n, 150), "TA-Lib EMA", _ema_distance(n)) for n in (10, 20, 50, 100)),
    Feature("ema_slope_20_5", 150, "TA-Lib EMA", _ema_slope(20, 5)),
    Feature("ema_slope_100_24", _LONG_EMA, "TA-Lib EMA", _ema_slope(100, 24)),
    Feature("rsi_6", 150, _WILDER, lambda bars: rsi(bars.close, 6) / 100 - 0.5),
    Feature("rsi_14", 150, _WILDER, lambda bars: rsi(bars.close, 14) / 100 - 0.5),
    Feature("macd_ratio", 150, "TA-Lib MACD", _macd_ratio),
    Feature("bollinger_position", 20, "TA-Lib BBANDS", _bollinger_position),
    Feature("bollinger_width", 20, "TA-Lib BBANDS", _bollinger_width),
    Feature("adx", 200, _WILDER, lambda bars: adx(bars) / 100),
    Feature("directional", 150, _WILDER, _directional),
    Feature("stochastic_k", 20, "TA-Lib STOCH", lambda bars: stochastic(bars)[0] / 100 - 0.5),
    *(Feature(f"range_position_{n}", n, _OWN, _range_position(n)) for n in (24, 72, 240)),
    *(Feature(f"range_width_{n}", max(n, 150), _OWN, _range_width(n)) for n in (24, 120)),
    Feature("sweep_high_24", 150, _OWN, _sweep(24, is_high=True)),
    Feature("sweep_low_24", 150, _OWN, _sweep(24, is_high=False)),
    Feature("body", 150, _OWN, _body),
    Feature("upper_wick", 150, _OWN, _upper_wick),
    Feature("lower_wick", 150, _OWN, _lower_wick),
    Feature("gap", 150, _OWN, _gap),
    Feature("volume_score_24", 24, _OWN, _volume_score(24)),
    Feature("volume_trend_24", 25, _OWN, _volume_trend),
    Feature("hour_sine", 0, _OWN, _cycle(_DAY_S, is_sine=True)),
    Feature("hour_cosine", 0, _OWN, _cycle(_DAY_S, is_sine=False)),
    Feature("week_sine", 0, _OWN, _cycle(7 * _DAY_S, is_sine=True, offset_s=_EPOCH_WEEKDAY * _DAY_S)),
    Feature("week_cosine", 0, _OWN, _cycle(7 * _DAY_S, is_sine=False, offset_s=_EPOCH_WEEKDAY * _DAY_S)),
)
FEATURE_VERSION = 1
"""Raised whenever a feature's numbers change under the same name: models of another version are refused."""
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
WARMUP: int = max(feature.warmup for feature in FEATURES)
