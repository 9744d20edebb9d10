"""Indicators against values worked out independently, in plain Python from their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.features.indicators import (
    adx,
    average_true_range,
    bollinger,
    candlestick_patterns,
    ema,
    fibonacci_levels,
    macd,
    rsi,
    sma,
    stochastic,
    swing_levels,
)
from tests.engine.ml.bars import random_walk

BARS = random_walk(300, seed=11)

# Wilder's worked example as it is reprinted by charting schools: 14-day RSI of these closes.
CLOSES = np.concatenate(
    [
        [44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08],
        [45.89, 46.03, 45.61, 46.28, 46.28, 46.00, 46.03, 46.41, 46.22, 45.64],
    ]
)
PUBLISHED_RSI = [70.46, 66.25, 66.48, 69.35, 66.29, 57.92]


def test_rsi_equals_the_published_table() -> None:
    np.testing.assert_allclose(rsi(CLOSES, 14)[14:], PUBLISHED_RSI, atol=0.1)


def test_atr_is_wilders_smoothing_seeded_with_the_plain_mean() -> None:
    previous = BARS.close[:-1]
    ranges = np.maximum(BARS.high[1:], previous) - np.minimum(BARS.low[1:], previous)
    value = ranges[:14].mean()
    for true_range in ranges[14:]:
        value = (13 * value + true_range) / 14
    assert average_true_range(BARS)[-1] == pytest.approx(value, rel=1e-12)
    assert np.isnan(average_true_range(BARS)[13])
    assert average_true_range(BARS)[14] == pytest.approx(ranges[:14].mean())


def test_averages_and_bands_equal_their_definitions() -> None:
    last = BARS.close[-20:]
    assert sma(BARS.close, 20)[-1] == pytest.approx(last.mean())
    upper, middle, lower = bollinger(BARS.close)
    assert (upper[-1], middle[-1], lower[-1]) == pytest.approx(
        (last.mean() + 2 * last.std(), last.mean(), last.mean() - 2 * last.std())
    )
    value = BARS.close[:10].mean()
    for close in BARS.close[10:]:
        value += (close - value) * 2 / 11
    assert ema(BARS.close, 10)[-1] == pytest.approx(value)


def test_macd_is_the_difference_of_two_averages() -> None:
    line, signal, histogram = macd(BARS.close)
    assert line[-1] == pytest.approx(ema(BARS.close, 12)[-1] - ema(BARS.close, 26)[-1], abs=1e-6)
    assert histogram[-1] == pytest.approx(line[-1] - signal[-1])


def test_bounded_indicators_stay_in_bounds() -> None:
    for values in (rsi(BARS.close), adx(BARS), *stochastic(BARS)):
        seen = values[~np.isnan(values)]
        assert len(seen)
        assert (seen >= -1e-9).all()
        assert (seen <= 100 + 1e-9).all()


def test_levels_lie_around_the_close_and_apart() -> None:
    supports, resistances = swing_levels(BARS)
    close = BARS.close[-1]
    assert all(level < close for level in supports)
    assert all(level > close for level in resistances)
    assert list(supports) == sorted(supports, reverse=True)
    assert list(resistances) == sorted(resistances)


def test_fibonacci_runs_from_the_newer_extreme_back() -> None:
    levels = dict(fibonacci_levels(BARS, 100))
    recent = BARS[-100:]
    assert {levels[0.0], levels[1.0]} == {recent.high.max(), recent.low.min()}
    assert levels[0.5] == pytest.approx((recent.high.max() + recent.low.min()) / 2)


def test_engulfing_bar_is_found_with_its_age() -> None:
    falling = np.linspace(110, 101, 20)
    open_ = np.append(falling + 0.5, [101.0, 99.5, 104.0])
    close = np.append(falling - 0.5, [100.0, 104.0, 104.2])
    high, low = np.maximum(open_, close) + 0.1, np.minimum(open_, close) - 0.1
    bars = Bars("X", "1h", np.arange(23, dtype=np.int64) * 3600, open_, high, low, close, np.ones(23))
    assert ("bullish_engulfing", 1) in [(p.code, p.bars_ago) for p in candlestick_patterns(bars)]


def test_bad_period_is_refused() -> None:
    with pytest.raises(ValueError, match="period must be at least 1"):
        sma(BARS.close, 0)
