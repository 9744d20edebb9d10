"""What a trade is worth before it is made, in multiples of the risk (the distance to the stop).

A miss is charged the whole stop, although some trades that reach neither barrier lose less. The mean loss would be
nearer the truth on average and wrong where it matters: when volatility rises, targets are hit more often and misses
cost more, so a constant loss turns a forecast of volatility into an edge that is not there. With the whole stop, no
state of a fair market has a positive value.
"""

from __future__ import annotations

from engine.domain.market import FloatArray


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
