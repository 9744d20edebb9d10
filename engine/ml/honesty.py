"""How much of a result is luck: the Sharpe ratio deflated by the trials, and whether choosing the best helped.

The best of many worthless strategies looks good. Whoever reports a best must say of how many, and what the best of so
many worthless ones would have shown.
"""

from __future__ import annotations

import numpy as np

from engine.domain import luck
from engine.domain.market import FloatArray

_PARTS = 10
_FEWEST = 30
"""Periods below which a Sharpe ratio says nothing."""


def expected_best_sharpe(sharpes: FloatArray, trials: int) -> float:
    """Return the Sharpe ratio that the best of so many strategies shows when none is worth anything.

    Args:
        sharpes: Per period, of the strategies tried; their spread tells how far luck reaches.
        trials: How many were tried, at least as many as there are ratios.
    """
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0
    return luck.expected_best_sharpe(variance, trials)


def deflated_sharpe(returns: FloatArray, benchmark: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark, given length, skew and fat tails.

    Args:
        returns: Per period, of the strategy judged.
        benchmark: Sharpe ratio per period to exceed, such as `expected_best_sharpe`.

    Returns:
        0 to 1; 0 with fewer than 30 periods or nothing that varies.

    Source:
        Bailey and López de Prado (2014), The Deflated Sharpe Ratio, equation 2.
    """
    if len(returns) < _FEWEST or luck.sharpe(returns) == 0.0:
        return 0.0
    return luck.probabilistic_sharpe(returns, benchmark)


def backtest_overfitting(returns: FloatArray, parts: int = _PARTS) -> float:
    """Return how often the strategy that was best in one half of the time was below the median in the other.

    Args:
        returns: Shape (periods, strategies).
        parts: Even number of equal stretches; every half of them is once the past.

    Returns:
        0 to 1: about 0.5 where choosing says nothing; NaN with fewer than 2 strategies or 2 periods a part.

    Source:
        Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting (CSCV).
    """
    if returns.shape[1] < 2 or len(returns) < 2 * parts:
        return float("nan")
    return luck.overfitting(returns, parts)


def random_entries(payoffs: FloatArray, count: int, *, seed: int, draws: int = 1000) -> tuple[float, float, float]:
    """Return the 5, 50 and 95 percent points of the mean payoff of so many entries at random times."""
    if not count or not len(payoffs):
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    means = [float(payoffs[rng.integers(0, len(payoffs), count)].mean()) for _ in range(draws)]
    low, middle, high = np.quantile(means, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)
