"""Does a change of a profile raise risk? Pure, and in doubt it does.

Lower limits, smaller weights, fewer pairs and a stricter filter lower risk and may act at once; everything else that
touches trading raises it. Titles, temperament and targets are words about an agent and touch nothing.
"""

from __future__ import annotations

from agents.profiles import Limits, Profile, SignalFilter, SignalMode, StrategyPlan, TopPairs, limits_of

_LOWER_IS_SAFER = (
    "max_drawdown_pct",
    "position_size_pct",
    "max_positions",
    "daily_loss_pct",
    "order_notional",
    "price_band_pct",
    "orders_per_minute",
    "max_quote_age_s",
)


def raises_risk(old: Profile, new: Profile) -> bool:
    """Tell whether an agent may lose more, or trade otherwise, by its new profile than by the old one."""
    return (
        new.quote != old.quote
        or (new.shorts and not old.shorts)
        or new.budget_share_pct > old.budget_share_pct
        or _limits_rise(old, new)
        or _pairs_widen(old, new)
        or _strategies_grow(old, new)
        or _filter_loosens(old.signal, new.signal)
    )


def _limits_rise(old: Profile, new: Profile) -> bool:
    is_wider = limits_of(new).gross_exposure_ratio > limits_of(old).gross_exposure_ratio
    return is_wider or any(_limit(new.limits, name) > _limit(old.limits, name) for name in _LOWER_IS_SAFER)


def _limit(limits: Limits, name: str) -> float:
    return float(getattr(limits, name))


def _pairs_widen(old: Profile, new: Profile) -> bool:
    if new.pairs == old.pairs or old.pairs == "all":
        return False
    if isinstance(old.pairs, TopPairs):
        return not (isinstance(new.pairs, TopPairs) and new.pairs.top <= old.pairs.top)
    return not isinstance(new.pairs, tuple) or not set(new.pairs) <= set(old.pairs)


def _strategies_grow(old: Profile, new: Profile) -> bool:
    known = {plan.name: plan for plan in old.strategies}
    return any(plan.name not in known or _plan_grows(known[plan.name], plan) for plan in new.strategies)


def _plan_grows(old: StrategyPlan, new: StrategyPlan) -> bool:
    if (new.timeframe, new.parameters) != (old.timeframe, old.parameters) or new.weight > old.weight:
        return True
    if not set(old.exclude) <= set(new.exclude):
        return True
    if old.pairs and not (new.pairs and set(new.pairs) <= set(old.pairs)):
        return True
    if old.trailing_pct is None:
        return False
    return new.trailing_pct is None or new.trailing_pct > old.trailing_pct


def _filter_loosens(old: SignalFilter, new: SignalFilter) -> bool:
    if old == new or old.mode is SignalMode.OFF:
        return False
    if new.mode is not old.mode or new.timeframe != old.timeframe:
        return True
    if old.when_missing == "refuse" and new.when_missing == "pass":
        return True
    if not set(new.phases) <= set(old.phases):
        return True
    if new.least_weight > old.least_weight or new.full_probability < old.full_probability:
        return True
    bounds = (
        (old.min_probability, new.min_probability),
        (old.min_expected_value, new.min_expected_value),
    )
    return any(before is not None and (after is None or after < before) for before, after in bounds)
