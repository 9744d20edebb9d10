"""Luck has a size: deflated Sharpe ratio and probability of overfitting on noise and on a real edge."""

from __future__ import annotations

import numpy as np
import pytest

from engine.domain.luck import sharpe
from engine.ml.honesty import backtest_overfitting, deflated_sharpe, expected_best_sharpe, random_entries


def _noise(seed: int, strategies: int = 50, days: int = 1000) -> np.ndarray:  # type: ignore[type-arg]  # plain floats
    return np.random.default_rng(seed).normal(0, 0.01, (days, strategies))


def test_expected_best_is_that_of_the_published_example() -> None:
    """Bailey and López de Prado (2014): 100 trials, variance 1/2 a year, 250 days: 0.1132 a day."""
    ratios = np.array([-1.0, 1.0]) * np.sqrt(0.5 / 250) / np.sqrt(2)
    assert expected_best_sharpe(ratios, 100) == pytest.approx(0.1132, abs=2e-4)


def test_losses_with_a_long_tail_make_a_ratio_less_certain() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(0, 1, 1250)
    tailed = np.where(rng.random(1250) < 0.02, normal - 8, normal)
    same = [(x - x.mean()) / x.std(ddof=1) + 0.05 for x in (normal, tailed)]
    assert sharpe(same[0]) == pytest.approx(sharpe(same[1]))
    assert 0.5 < deflated_sharpe(same[1], 0.0) < deflated_sharpe(same[0], 0.0) < 1.0


def test_best_of_many_worthless_strategies_is_not_believed() -> None:
    judged = []
    for seed in range(20):
        daily = _noise(seed)
        ratios = np.array([sharpe(column) for column in daily.T])
        judged.append(deflated_sharpe(daily[:, ratios.argmax()], expected_best_sharpe(ratios, 50)))
    assert np.mean(np.array(judged) >= 0.95) <= 0.05


def test_real_edge_is_believed() -> None:
    daily = _noise(1)
    daily[:, 7] += 0.0025
    ratios = np.array([sharpe(column) for column in daily.T])
    assert ratios.argmax() == 7
    assert deflated_sharpe(daily[:, 7], expected_best_sharpe(ratios, 50)) > 0.95


def test_choosing_among_noise_is_overfitting_and_choosing_an_edge_is_not() -> None:
    noise = _noise(3)
    edge = noise.copy()
    edge[:, 4] += 0.003
    assert 0.3 < np.mean([backtest_overfitting(_noise(seed, 20)) for seed in range(10)]) < 0.7
    assert backtest_overfitting(edge) < 0.1


def test_too_little_to_judge_is_said() -> None:
    assert np.isnan(backtest_overfitting(_noise(1, strategies=1)))
    assert np.isnan(backtest_overfitting(_noise(1, days=10)))
    assert deflated_sharpe(np.zeros(100), 0.0) == 0.0
    assert all(np.isnan(random_entries(np.array([]), 3, seed=1)))


def test_random_entries_surround_the_mean() -> None:
    payoffs = np.random.default_rng(2).normal(0.1, 1, 5000)
    low, middle, high = random_entries(payoffs, 200, seed=3)
    assert low < payoffs.mean() < high
    assert middle == pytest.approx(payoffs.mean(), abs=0.02)
