"""How far luck reaches: Sharpe ratios held against the best of many tries, and what choosing the best was worth.

The best of many worthless strategies looks good. Pure formulas, one copy for models and for backtests; what counts as
too little to say anything is decided by whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from math import e, nan, sqrt
from statistics import NormalDist

import numpy as np

from engine.domain.market import FloatArray

_EULER = 0.5772156649015329
_NORMAL = NormalDist()
_NOISE = 1e-12
"""Deviation that rounding alone leaves of returns which are all the same."""
_COMBINATIONS_AT_ONCE = 1024
"""Bounds the memory of the cross-validation."""


def sharpe(returns: FloatArray) -> float:
    """Return mean over standard deviation per period, not scaled to a year; 0 when nothing varies."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / deviation if deviation > _NOISE else 0.0


def expected_best_sharpe(variance: float, trials: int) -> float:
    """Return the Sharpe ratio that the best of some skill-less trials is expected to show.

    Args:
        variance: Of the Sharpe ratios over the trials.
        trials: How many independent ones there were.

    Source:
        Bailey and López de Prado (2014), The Deflated Sharpe Ratio, equation 6.
    """
    if trials < 2:
        return 0.0
    high, higher = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return sqrt(variance) * ((1 - _EULER) * high + _EULER * higher)


def probabilistic_sharpe(returns: FloatArray, benchmark: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds a benchmark, both per return; NaN without variation.

    Args:
        returns: In their order or any other.
        benchmark: Sharpe ratio per return.
    """
    deviation = float(np.std(returns)) if len(returns) > 1 else 0.0
    if deviation == 0:
        return nan
    scaled = (returns - returns.mean()) / deviation
    skew, kurtosis = float(np.mean(scaled**3)), float(np.mean(scaled**4))
    return sharpe_probability(sharpe(returns), benchmark, len(returns), skew, kurtosis)


def sharpe_probability(sharpe: float, benchmark: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability that a true Sharpe ratio exceeds a benchmark, from the moments of n returns.

    Args:
        sharpe: Observed, per return.
        benchmark: Per return.
        n: Returns.
        skew: Third standardised moment.
        kurtosis: Fourth standardised moment, 3 for a normal distribution.

    Source:
        Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, equation 4.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return _NORMAL.cdf((sharpe - benchmark) * sqrt(n - 1) / sqrt(spread)) if spread > 0 else nan


def overfitting(returns: FloatArray, blocks: int) -> float:
    """Return how often the best trial of one half of the time is in the worse half of trials in the other half.

    Combinatorially symmetric cross-validation: every choice of half of the blocks is in-sample once. 0.5 is what
    choosing among worthless trials gives.

    Args:
        returns: Shape (periods, trials), at least two periods a block and two trials.
        blocks: Even number of stretches of time, equal but for what does not divide.

    Raises:
        ValueError: The number of blocks is odd.

    Source:
        Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting.
    """
    if blocks % 2:
        raise ValueError(f"the number of blocks must be even, got {blocks}")
    parts = np.array_split(returns, blocks)
    sums, squares = (np.array([(part**power).sum(axis=0) for part in parts]) for power in (1, 2))
    lengths = np.array([len(part) for part in parts], np.float64)
    worse = total = 0
    for chosen in _halves(blocks):
        inside = _sharpes(chosen @ sums, chosen @ squares, chosen @ lengths)
        rest = 1 - chosen
        outside = _sharpes(rest @ sums, rest @ squares, rest @ lengths)
        best = np.argmax(inside, axis=1)
        value = outside[np.arange(len(best)), best][:, None]
        rank = (outside < value).sum(axis=1) + ((outside == value).sum(axis=1) + 1) / 2
        worse += int((rank / (returns.shape[1] + 1) <= 0.5).sum())
        total += len(best)
    return worse / total


def _halves(blocks: int) -> Iterator[FloatArray]:
    choices = combinations(range(blocks), blocks // 2)
    while rows := list(islice(choices, _COMBINATIONS_AT_ONCE)):
        chosen = np.zeros((len(rows), blocks))
        np.put_along_axis(chosen, np.array(rows), 1.0, axis=1)
        yield chosen


def _sharpes(sums: FloatArray, squares: FloatArray, lengths: FloatArray) -> FloatArray:
    mean = sums / lengths[:, None]
    deviation = np.sqrt(np.maximum(squares / lengths[:, None] - mean**2, 0))
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0)
