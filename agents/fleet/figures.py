"""The figures that each strategy decided by, worked out again from its bars for the journal.

They are told beside a decision and decide nothing; a strategy that is not known here has none. Formulas are those of
the strategies, from the same windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from types import MappingProxyType
from typing import Any

from agents.strategies.calendar import bars_in_days
from agents.strategies.grid import efficiency_ratio
from agents.strategies.windows import average_true_range, rolling_deviation, rolling_mean
from engine.domain.market import Bars, FloatArray

Figures = Mapping[str, float]


def deciding_figures(strategy: str, parameters: Any, bars: Bars) -> Figures:
    """Return a strategy's deciding figures at the last of some bars, by name; NaN where there are too few bars.

    Args:
        strategy: Its name.
        parameters: Its frozen parameters.
        bars: What it decided on.
    """
    make = _MAKERS.get(strategy)
    return {} if make is None or parameters is None or not len(bars) else make(parameters, bars)


def _mean_reversion(parameters: Any, bars: Bars) -> Figures:
    return {
        "mean": _last(rolling_mean(bars.close, parameters.band_bars)),
        "deviation": _last(rolling_deviation(bars.close, parameters.band_bars)),
        "trend_mean": _last(rolling_mean(bars.close, parameters.trend_bars)),
        "mean_range": _last(average_true_range(bars, parameters.range_bars)),
    }


def _grid(parameters: Any, bars: Bars) -> Figures:
    return {"efficiency": _last(efficiency_ratio(bars.close, parameters.efficiency_bars))}


def _trend_following(parameters: Any, bars: Bars) -> Figures:
    return {
        "fast_mean": _last(rolling_mean(bars.close, parameters.fast)),
        "slow_mean": _last(rolling_mean(bars.close, parameters.slow)),
        "mean_range": _last(average_true_range(bars, parameters.range_bars)),
    }


def _breakout(parameters: Any, bars: Bars) -> Figures:
    before = bars[max(len(bars) - 1 - parameters.entry_bars, 0) : len(bars) - 1]
    if not len(before):
        return {}
    return {
        "channel_high": float(before.high.max()),
        "channel_low": float(before.low.min()),
        "mean_range": _last(average_true_range(bars, parameters.range_bars)),
    }


def _momentum(parameters: Any, bars: Bars) -> Figures:
    lookback = max(bars_in_days(parameters.lookback_days, bars.timeframe), 1)
    if len(bars) <= lookback:
        return {"change": nan}
    return {"change": float(bars.close[-1] / bars.close[-1 - lookback] - 1)}


def _scalping(parameters: Any, bars: Bars) -> Figures:
    return {
        "trend_mean": _last(rolling_mean(bars.close, parameters.trend_bars)),
        "mean_range": _last(average_true_range(bars, parameters.range_bars)),
    }


_MAKERS: Mapping[str, Callable[[Any, Bars], Figures]] = MappingProxyType(
    {
        "mean_reversion": _mean_reversion,
        "grid": _grid,
        "trend_following": _trend_following,
        "breakout": _breakout,
        "momentum": _momentum,
        "scalping": _scalping,
        "altcoin_rotation": _momentum,
    }
)


def _last(values: FloatArray) -> float:
    return float(values[-1])
