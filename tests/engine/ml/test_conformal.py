"""Quantiles stay covered when the market changes, and nothing is used before it was known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.market import FloatArray, IntArray
from engine.ml.conformal import LEVELS, track_drift, track_quantiles


def _market(n: int, seed: int) -> FloatArray:
    """Return excursions whose size grows by half in the middle."""
    rng = np.random.default_rng(seed)
    return np.abs(rng.standard_normal(n)) * np.where(np.arange(n) < n // 2, 1.0, 1.5)


@pytest.mark.parametrize("horizon", [1, 12])
def test_band_covers_eight_in_ten_through_a_change(horizon: int) -> None:
    actual = _market(40_000, seed=1)
    raw = np.tile(np.quantile(actual[:20_000], LEVELS), (len(actual), 1))
    tracked = track_quantiles(raw, actual, horizon)
    covered = np.mean((actual >= tracked[:, 0]) & (actual <= tracked[:, 2]))
    assert covered == pytest.approx(0.8, abs=0.012)


def test_quantiles_never_cross_nor_fall_below_zero() -> None:
    rng = np.random.default_rng(2)
    raw = rng.normal(0.2, 1.0, (5000, 3))
    tracked = track_quantiles(raw, _market(5000, seed=3), 4)
    assert (np.diff(tracked, axis=1) >= 0).all()
    assert tracked.min() >= 0


@pytest.mark.parametrize("horizon", [1, 4, 24])
def test_outcomes_not_known_yet_change_nothing(horizon: int) -> None:
    actual = _market(3000, seed=4)
    raw = np.tile(np.quantile(actual, LEVELS), (3000, 1))
    changed = actual.copy()
    changed[2000 - horizon + 1 :] *= 10
    whole, other = track_quantiles(raw, actual, horizon), track_quantiles(raw, changed, horizon)
    assert (whole[:2001] == other[:2001]).all()
    assert (whole[2001 + horizon :] != other[2001 + horizon :]).any()


def test_open_outcomes_are_passed_over() -> None:
    actual = _market(1000, seed=5)
    actual[-24:] = np.nan
    assert np.isfinite(track_quantiles(np.ones((1000, 3)), actual, 24)).all()


def _odds_and_hits(lean: float, seed: int) -> tuple[FloatArray, IntArray]:
    """Return even log-odds, and hits of long and short that come `lean` (log-odds) more and less often than said."""
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-np.array([[lean], [-lean]])))
    return np.zeros((2, 20_000)), (rng.random((2, 20_000)) < chance).astype(np.int64)


def test_drift_that_lasts_is_followed_and_luck_is_not() -> None:
    followed = track_drift(*_odds_and_hits(0.4, seed=1), 24)
    assert followed[0, -5000:].mean() > 0.55
    assert followed[1, -5000:].mean() < 0.45
    even = track_drift(*_odds_and_hits(0.0, seed=2), 24)
    assert np.abs(even - 0.5).max() < 0.01


def test_hits_not_known_yet_lean_nothing() -> None:
    odds, hit = _odds_and_hits(0.4, seed=3)
    changed = hit.copy()
    changed[:, 15_000 - 23 :] = 1 - changed[:, 15_000 - 23 :]
    whole, other = track_drift(odds, hit, 24), track_drift(odds, changed, 24)
    assert (whole[:, :15_001] == other[:, :15_001]).all()
    assert (whole != other).any()
