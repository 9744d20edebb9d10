"""Mean reversion: buy far below the mean of a market that rises on the whole, leave where the mean is met again.

Source:
    Bollinger (2001), Bollinger on Bollinger Bands: two deviations around a mean of 20 bars; the filter by a mean of 200
    bars after Connors and Alvarez (2008), Short Term Trading Strategies That Work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.strategies.tables import EachByItself, actions
from agents.strategies.windows import average_true_range, rolling_deviation, rolling_mean, shifted
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class MeanReversionParameters:
    """Settings of mean reversion.

    Attributes:
        band_bars: Bars of the mean and of the deviation around it.
        deviations: How many deviations away from the mean an entry lies.
        trend_bars: Bars of the mean that tells on which side to trade.
        stop_ranges: Distance of the stop in mean true ranges.
        range_bars: Bars of the mean true range.
        max_bars: Bars after which a position is given up.
        shorts: Whether it sells short as well.
    """

    band_bars: int = 20
    deviations: float = 2.0
    trend_bars: int = 200
    stop_ranges: float = 3.0
    range_bars: int = 24
    max_bars: int = 48
    shorts: bool = False

    def __post_init__(self) -> None:
        if min(self.band_bars - 1, self.trend_bars, self.range_bars, self.max_bars) < 1:
            raise ValueError(f"bars must be above 0, band_bars above 1, got {self}")
        if self.deviations <= 0 or self.stop_ranges <= 0:
            raise ValueError(f"deviations={self.deviations}, stop_ranges={self.stop_ranges} must be above 0")


@dataclass(frozen=True, slots=True)
class MeanReversion(EachByItself):
    """Enters where the close crosses the outer band against the trend of the moment, leaves at the mean."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: MeanReversionParameters = MeanReversionParameters()
    name: str = field(default="mean_reversion", init=False)

    @property
    def warmup(self) -> int:
        """Return the longest of its windows, with the bar before where it looks for a crossing."""
        settings = self.parameters
        return max(settings.band_bars, settings.trend_bars, settings.range_bars) + 1

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history."""
        settings = self.parameters
        away = bars.close - rolling_mean(bars.close, settings.band_bars)
        outer = settings.deviations * rolling_deviation(bars.close, settings.band_bars)
        rises = bars.close > rolling_mean(bars.close, settings.trend_bars)
        before, outer_before = shifted(away, 1), shifted(outer, 1)
        drops = (away < -outer) & (before >= -outer_before) & rises
        jumps = (away > outer) & (before <= outer_before) & ~rises
        meets = np.sign(away) != np.sign(before)
        action = actions(len(bars), self.warmup, longs=drops, shorts=jumps if settings.shorts else None, exits=meets)
        distance = settings.stop_ranges * average_true_range(bars, settings.range_bars)
        return Decisions(action, stop=bars.close + np.sign(away) * distance, max_bars=settings.max_bars)
