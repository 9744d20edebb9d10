"""The features that the shipped models read, and the check that finds a look into the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.domain.market import Bars, FloatArray
from engine.features.definitions import FEATURE_NAMES, FEATURE_VERSION, FEATURES, WARMUP, feature_matrix
from tests.engine.features.bars import perturbed
from tests.engine.ml.bars import random_walk

BARS = random_walk(1200, seed=5)
CUTS = tuple(int(cut) for cut in np.random.default_rng(8).integers(WARMUP + 1, len(BARS), 12))
GOLDEN_SUM = -554.4577


def assert_sees_no_future(function: Callable[[Bars], FloatArray], warmup: int) -> None:
    """Cut and change later bars; what came before must stay the same to 1e-9."""
    whole = function(BARS)
    for cut in CUTS:
        kept = slice(warmup, cut)
        np.testing.assert_allclose(function(BARS[:cut])[kept], whole[kept], rtol=0, atol=1e-9)
        np.testing.assert_allclose(function(perturbed(BARS, cut))[kept], whole[kept], rtol=0, atol=1e-9)


def test_shipped_features_see_no_future() -> None:
    assert_sees_no_future(lambda bars: feature_matrix(bars).values, WARMUP)


def test_a_planted_leak_is_caught() -> None:
    with pytest.raises(AssertionError):
        assert_sees_no_future(lambda bars: np.append(bars.close[1:] / bars.close[:-1] - 1, 0.0), 1)


def test_a_whole_history_statistic_is_caught() -> None:
    with pytest.raises(AssertionError):
        assert_sees_no_future(lambda bars: (bars.close - bars.close.mean()) / bars.close.std(), 1)


def test_matrix_has_every_feature_once_and_is_empty_before_warmup() -> None:
    matrix = feature_matrix(BARS)
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) >= 40
    assert matrix.values.shape == (len(BARS), len(FEATURE_NAMES))
    for column, feature in zip(matrix.values.T, FEATURES, strict=True):
        assert np.isnan(column[: feature.warmup]).all(), feature.name
        assert np.isfinite(column[feature.warmup :]).all(), feature.name
    assert max(feature.warmup for feature in FEATURES) == matrix.warmup == WARMUP


def test_few_bars_or_none_give_empty_rows() -> None:
    assert feature_matrix(BARS[:0]).values.shape == (0, len(FEATURE_NAMES))
    with_clock_only = feature_matrix(BARS[:30]).values
    assert np.isnan(with_clock_only).any(axis=1).all()


def test_market_that_stands_still_gives_finite_numbers() -> None:
    flat = np.full(len(BARS), 100.0)
    still = replace(BARS, open=flat, high=flat, low=flat, close=flat)
    assert np.isfinite(feature_matrix(still).values[WARMUP:]).all()


def test_numbers_are_those_of_the_version() -> None:
    """When this fails because a definition was meant to change, raise `FEATURE_VERSION` with the sum below."""
    values = feature_matrix(_waves()).values[WARMUP:]
    weights = np.arange(1, values.shape[1] + 1)
    assert (FEATURE_VERSION, round(float(values.mean(axis=0) @ weights), 4)) == (2, GOLDEN_SUM)


def _waves() -> Bars:
    """Return bars made of sines alone, the same on every machine and for every version of a random generator."""
    t = np.arange(700, dtype=np.float64)
    close = 100 * np.exp(0.02 * np.sin(t / 9) + 0.05 * np.sin(t / 61) + 0.004 * np.sin(t * t / 17))
    open_ = np.append(close[0], close[:-1]) * (1 + 0.0005 * np.sin(t))
    high = np.maximum(open_, close) * (1.001 + 0.0008 * np.sin(t / 5))
    low = np.minimum(open_, close) * (0.999 - 0.0008 * np.cos(t / 7))
    time = 1_600_000_000 // 3600 * 3600 + np.arange(700, dtype=np.int64) * 3600
    return Bars("X", "1h", time, open_, high, low, close, 10 + 5 * np.sin(t / 11))


def test_features_do_not_depend_on_the_price_scale() -> None:
    scaled = replace(BARS, **{name: getattr(BARS, name) * 1000 for name in ("open", "high", "low", "close")})
    np.testing.assert_allclose(feature_matrix(scaled).values[WARMUP:], feature_matrix(BARS).values[WARMUP:], atol=1e-6)


def test_feed_without_volume_gives_zeros_not_holes() -> None:
    silent = replace(BARS, volume=np.zeros(len(BARS)))
    assert np.isfinite(feature_matrix(silent).values[WARMUP:]).all()
