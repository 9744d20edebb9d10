"""What a trade is worth before it is made, in multiples of the risk (the distance to the stop).

A miss is charged the whole stop, although some trades that reach neither barrier lose less. The mean loss would be
nearer the truth on average and wrong where it matters: when volatility rises, targets are hit more often and misses
cost more, so a constant loss turns a forecast of volatility into an edge that is not there. With the whole stop, no
state of a fair market has a positive value.

Probabilities are estimates, and the best of six estimates errs upwards. A target is therefore acted on only when acting
on it paid in the walk-forward too: that volatility can be ranked, which it can, is no proof that a side can be chosen.
"""

from __future__ import annotations

import numpy as np

from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray

MIN_EDGE = 0.05
"""Expected value, in multiples of the risk, below which an edge is not worth acting on."""
_BLOCKS = 20


def expected_value(probability: FloatArray, reward_risk: float, cost: float) -> FloatArray:
    """Return the least that a trade is worth on average, in multiples of the risk.

    Args:
        probability: That the target comes before the stop within the horizon (0–1).
        reward_risk: Distance to the target over distance to the stop.
        cost: Fees and spread of the round trip, in multiples of the risk.
    """
    return probability * reward_risk - (1 - probability) - cost


def breakeven_probability(reward_risk: float, cost: float) -> float:
    """Return the probability at which that worth is zero; 1 when costs alone exceed the reward."""
    return min((1 + cost) / (1 + reward_risk), 1.0)


def payoff_z(payoff: FloatArray, time: IntArray, is_acted: BoolArray) -> float:
    """Return by how many standard errors the sum of the payoffs acted on exceeds zero.

    Trades of one stretch of time share their luck, so each of the equally filled stretches counts once, with its sum;
    0 when nothing was acted on.
    """
    earned = np.where(is_acted, payoff, 0.0)
    sums = [float(earned[block].sum()) for block in np.array_split(np.argsort(time, kind="stable"), _BLOCKS)]
    error = float(np.std(sums, ddof=1)) * len(sums) ** 0.5
    return sum(sums) / error if error > 0 else 0.0
