"""Quantiles stay covered when the market changes, and nothing is used before it was known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.market import FloatArray
from engine.ml.conformal import LEVELS, track_quantiles


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
