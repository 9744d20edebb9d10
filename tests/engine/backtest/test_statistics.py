"""Figures against published examples and against sums done by hand."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest

from engine.backtest.statistics import (
    DailyCurve,
    daily_curve,
    deflated_sharpe,
    longest_below_peak,
    overfitting_probability,
)
from engine.domain.luck import expected_best_sharpe, probabilistic_sharpe, sharpe, sharpe_probability

DAY = 86_400


def test_the_deflated_sharpe_ratio_of_the_papers_example() -> None:
    # Bailey and López de Prado (2014), section "A numerical example": 5 years of daily returns, 100 trials.
    benchmark = expected_best_sharpe(0.5 / 250, 100)
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    assert sharpe_probability(2.5 / sqrt(250), benchmark, 1250, -3, 10) == pytest.approx(0.9004, abs=5e-5)


def test_a_probabilistic_sharpe_ratio_follows_the_sample_moments() -> None:
    rng = np.random.default_rng(1)
    returns = rng.standard_normal(2000) * 0.01 + 0.0005
    assert probabilistic_sharpe(returns, 0.0) > 0.9
    assert probabilistic_sharpe(returns, sharpe(returns)) == pytest.approx(0.5)
    assert isnan(probabilistic_sharpe(np.zeros(10), 0.0))


def test_the_best_of_many_worthless_trials_is_deflated() -> None:
    rng = np.random.default_rng(2)
    returns = rng.standard_normal((1000, 200)) * 0.01
    sharpes = np.array([sharpe(column) for column in returns.T])
    best = returns[:, sharpes.argmax()]
    assert probabilistic_sharpe(best, 0.0) > 0.95
    assert deflated_sharpe(best, sharpes) < 0.95


def test_overfitting_is_a_coin_toss_without_skill_and_rare_with_it() -> None:
    rng = np.random.default_rng(3)
    worthless = [overfitting_probability(rng.standard_normal((480, 30)), blocks=8) for _ in range(20)]
    assert 0.35 < np.mean(worthless) < 0.65
    skilled = rng.standard_normal((480, 30))
    skilled[:, 4] += 0.3
    assert overfitting_probability(skilled, blocks=8) < 0.05


def test_overfitting_of_a_trial_that_wins_in_one_half_only_is_certain() -> None:
    # Each trial shines in one half: whichever half is looked at, its best is the worst of the other.
    half = np.concatenate([np.full(100, 0.02), np.full(100, -0.02)])
    noise = np.tile([0.001, -0.001], 100)
    assert overfitting_probability(np.column_stack([half + noise, -half + noise]), blocks=2) == 1.0


def test_overfitting_of_too_little_is_not_known() -> None:
    assert isnan(overfitting_probability(np.zeros((1000, 1))))
    assert isnan(overfitting_probability(np.zeros((20, 5))))
    with pytest.raises(ValueError, match="even"):
        overfitting_probability(np.zeros((100, 5)), blocks=5)


def test_days_end_with_their_last_bar_and_days_without_bars_are_none() -> None:
    time = np.array([0, 3600, DAY - 60, DAY, 4 * DAY, 4 * DAY + 60], np.int64)
    curve = daily_curve(time, np.array([101.0, 102.0, 103.0, 104.0, 90.0, 99.0]), 100.0)
    assert curve.day.tolist() == [0, 1, 4]
    assert curve.equity.tolist() == [103, 104, 99]
    np.testing.assert_allclose(curve.returns, [0.03, 104 / 103 - 1, 99 / 104 - 1])


@pytest.mark.parametrize(
    ("equity", "days"),
    [
        ([101, 102, 103], 0),
        ([101, 99, 98, 101, 102], 3),  # from the first day's peak until it is reached again
        ([99, 98, 97], 3),  # below the start, which was the day before
        ([105, 104, 106, 100, 101, 102], 3),
        ([], 0),
    ],
)
def test_the_longest_time_below_a_peak(equity: list[float], days: float) -> None:
    curve = DailyCurve(np.arange(len(equity), dtype=np.int64), np.array(equity, float), 100.0)
    assert longest_below_peak(curve) == days


def test_no_trials_and_no_returns_are_no_error() -> None:
    assert expected_best_sharpe(0.1, 1) == 0.0
    assert sharpe(np.empty(0)) == 0.0
    assert isnan(deflated_sharpe(np.array([nan]), np.array([0.0])))
