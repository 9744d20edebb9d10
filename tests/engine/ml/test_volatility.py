"""The description of volatility: causal, free of the hour of the week, and defined on any bars."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from engine.domain.market import Bars
from engine.ml.volatility import describe_volatility, new_york_slots, realised_scale, true_range
from tests.engine.ml.bars import random_walk


def _seasonal(n: int) -> Bars:
    """Return a random walk that moves three times as far in one hour of each day."""
    bars = random_walk(n, seed=8)
    factor = np.where(new_york_slots(bars.time) % 24 == 9, 3.0, 1.0)
    middle = bars.close
    return replace(
        bars, high=middle * (1 + 0.004 * factor), low=middle * (1 - 0.004 * factor), open=middle, close=middle * 1.0
    )


@pytest.mark.parametrize("cut", [1700, 2300, 2999])
def test_later_bars_change_nothing_before_them(cut: int) -> None:
    bars = random_walk(3000, seed=6)
    whole, part = describe_volatility(bars), describe_volatility(bars[:cut])
    for name in ("profile", "linear", "rich"):
        assert getattr(whole, name)[:cut] == pytest.approx(getattr(part, name), abs=1e-9)
    assert whole.profile_ahead(24)[:cut] == pytest.approx(part.profile_ahead(24), abs=1e-9)


def test_profile_finds_the_hour_that_moves_most() -> None:
    bars = _seasonal(24 * 7 * 20)
    described = describe_volatility(bars)
    late = slice(24 * 7 * 15, None)
    hour = described.slot[late] % 24
    by_hour = np.array([described.profile[late][hour == h].mean() for h in range(24)])
    assert by_hour.argmax() == 9
    ahead = described.profile_ahead(1)[late]
    assert ahead[hour == 8].mean() > ahead[hour == 12].mean() + 0.5


def test_hour_of_the_week_follows_new_york_through_summer_time() -> None:
    winter = int(datetime(2024, 1, 8, 14, 30, tzinfo=UTC).timestamp())
    summer = int(datetime(2024, 7, 8, 13, 30, tzinfo=UTC).timestamp())
    assert list(new_york_slots(np.array([winter, summer]))) == [9, 9]


def test_scale_is_that_of_the_bars_ahead_and_unknown_at_the_end() -> None:
    bars = random_walk(500, seed=7)
    moved = true_range(bars)
    scale = realised_scale(moved, 4)
    assert np.exp(scale[100]) == pytest.approx(np.sqrt(np.mean(moved[101:105] ** 2)), rel=1e-6)
    assert np.isnan(scale[-4:]).all()
    assert np.isfinite(scale[:-4]).all()


def test_market_that_stands_still_and_has_no_volume_is_described() -> None:
    n = 2000
    flat = np.full(n, 50.0)
    bars = Bars("X", "1h", np.arange(n, dtype=np.int64) * 3600, flat, flat, flat, flat.copy(), np.zeros(n))
    described = describe_volatility(bars)
    assert np.isfinite(described.rich).all()
    assert np.isfinite(described.linear).all()
