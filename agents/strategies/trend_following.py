"""Trend following: long while the faster mean of closes is above the slower one, decided where they cross.

Source:
    Brock, Lakonishok and LeBaron (1992), Simple technical trading rules and the stochastic properties of stock
    returns: the variable-length moving average rule with a band, here with an initial stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.strategies.tables import EachByItself, actions
from agents.strategies.windows import average_true_range, rolling_mean, shifted
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class TrendFollowingParameters:
    """Settings of trend following.

    Attributes:
        fast, slow: Bars of both means.
        band_ratio: How far apart the means must be for an entry, as a fraction of the slow one.
        stop_ranges: Distance of the stop in mean true ranges.
        range_bars: Bars of the mean true range.
        shorts: Whether it sells short as well.
    """

    fast: int = 50
    slow: int = 200
    band_ratio: float = 0.001
    stop_ranges: float = 6.0
    range_bars: int = 24
    shorts: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow or self.range_bars < 1:
            raise ValueError(f"fast={self.fast}, slow={self.slow}, range_bars={self.range_bars}: bars must be rising")
        if self.band_ratio < 0 or self.stop_ranges <= 0:
            raise ValueError(f"band_ratio={self.band_ratio}, stop_ranges={self.stop_ranges} must be above 0")


@dataclass(frozen=True, slots=True)
class TrendFollowing(EachByItself):
    """Enters where the means come apart by the band, leaves where they meet again."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: TrendFollowingParameters = TrendFollowingParameters()
    name: str = field(default="trend_following", init=False)

    @property
    def warmup(self) -> int:
        """Return the bars of the slow mean and one before, or those of the mean range."""
        return max(self.parameters.slow, self.parameters.range_bars) + 1

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history."""
        settings = self.parameters
        slow = rolling_mean(bars.close, settings.slow)
        gap = rolling_mean(bars.close, settings.fast) / slow - 1
        before = shifted(gap, 1)
        is_up = (gap > settings.band_ratio) & (before <= settings.band_ratio)
        is_down = (gap < -settings.band_ratio) & (before >= -settings.band_ratio)
        meets = np.sign(gap) != np.sign(before)
        action = actions(len(bars), self.warmup, longs=is_up, shorts=is_down if settings.shorts else None, exits=meets)
        distance = settings.stop_ranges * average_true_range(bars, settings.range_bars)
        return Decisions(action, stop=bars.close - np.sign(gap) * distance)
