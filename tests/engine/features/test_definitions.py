"""The shared check that every feature passes: nothing before a bar depends on anything after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.features.definitions import FEATURE_NAMES, FEATURES, WARMUP, Feature, feature_matrix
from tests.engine.ml.bars import random_walk

BARS = random_walk(1200, seed=5)
CUTS = (500, 777, 1001)
ids = [feature.name for feature in FEATURES]


def _perturbed(bars: Bars, after: int) -> Bars:
    factor = np.ones(len(bars))
    factor[after:] = np.linspace(1.5, 3.0, len(bars) - after)
    prices = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    return replace(bars, **prices, volume=bars.volume * factor**2)


def assert_sees_no_future(feature: Feature, bars: Bars) -> None:
    """Cut and change later bars; what came before must stay the same to 1e-9."""
    whole = feature.function(bars)
    for cut in CUTS:
        kept = slice(feature.warmup, cut)
        np.testing.assert_allclose(feature.function(bars[:cut])[kept], whole[kept], rtol=0, atol=1e-9)
        np.testing.assert_allclose(feature.function(_perturbed(bars, cut))[kept], whole[kept], rtol=0, atol=1e-9)


@pytest.mark.parametrize("feature", FEATURES, ids=ids)
def test_feature_sees_no_future(feature: Feature) -> None:
    assert_sees_no_future(feature, BARS)


@pytest.mark.parametrize("feature", FEATURES, ids=ids)
def test_feature_speaks_after_its_warmup(feature: Feature) -> None:
    values = feature.function(BARS)
    assert values.shape == (len(BARS),)
    assert np.isfinite(values[feature.warmup :]).all()


@pytest.mark.parametrize("feature", FEATURES, ids=ids)
def test_feature_forgets_what_lies_far_back(feature: Feature) -> None:
    """A live signal reads fewer bars than training did; both must see the same number."""
    whole = feature.function(BARS)[-1]
    recent = feature.function(BARS[-600:])[-1]
    assert abs(whole - recent) < 2e-3 * max(1.0, abs(whole))


def test_a_planted_leak_is_caught() -> None:
    def peek(bars: Bars) -> np.ndarray:
        return np.append(bars.close[1:] / bars.close[:-1] - 1, 0.0)

    leak = Feature("leak", 1, "planted", peek)
    with pytest.raises(AssertionError):
        assert_sees_no_future(leak, BARS)


def test_a_whole_history_statistic_is_caught() -> None:
    leak = Feature("standardised", 1, "planted", lambda bars: (bars.close - bars.close.mean()) / bars.close.std())
    with pytest.raises(AssertionError):
        assert_sees_no_future(leak, BARS)


def test_matrix_has_every_feature_once_and_is_empty_before_warmup() -> None:
    matrix = feature_matrix(BARS)
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) >= 40
    assert matrix.values.shape == (len(BARS), len(FEATURE_NAMES))
    assert np.isnan(matrix.values[WARMUP - 1]).any()
    assert np.isfinite(matrix.values[WARMUP:]).all()


def test_features_do_not_depend_on_the_price_scale() -> None:
    scaled = replace(BARS, **{name: getattr(BARS, name) * 1000 for name in ("open", "high", "low", "close")})
    np.testing.assert_allclose(feature_matrix(scaled).values[WARMUP:], feature_matrix(BARS).values[WARMUP:], atol=1e-6)


def test_feed_without_volume_gives_zeros_not_holes() -> None:
    silent = replace(BARS, volume=np.zeros(len(BARS)))
    assert np.isfinite(feature_matrix(silent).values[WARMUP:]).all()
