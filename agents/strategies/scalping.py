"""Scalping: a resting order just under a sharp dip inside a short rise, a near target, a near stop, a few bars.

Source:
    Connors and Alvarez (2008), Short Term Trading Strategies That Work: a two-bar RSI below 10 above a rising mean, in
    Cutler's form (plain means); the limit entry and the near exits are what makes it a scalp.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.strategies.tables import EachByItself, actions
from agents.strategies.windows import average_true_range, rolling_mean, shifted
from engine.domain.market import Bars, FloatArray
from engine.domain.strategies import Action, Decisions
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class ScalpingParameters:
    """Settings of scalping.

    Attributes:
        strength_bars: Bars of the relative strength index.
        oversold: Index at or below which it buys; it sells short at or above 100 less this.
        trend_bars: Bars of the mean that tells on which side to trade.
        range_bars: Bars of the mean true range.
        entry_ranges: How far beyond the close the entry waits, in mean true ranges.
        target_ranges, stop_ranges: Distances of the target and the stop from the entry, in mean true ranges.
        valid_bars: Bars that an entry waits.
        max_bars: Bars after which a position is given up.
        shorts: Whether it sells short as well.
    """

    strength_bars: int = 2
    oversold: float = 10.0
    trend_bars: int = 48
    range_bars: int = 24
    entry_ranges: float = 0.25
    target_ranges: float = 1.0
    stop_ranges: float = 1.5
    valid_bars: int = 2
    max_bars: int = 8
    shorts: bool = False

    def __post_init__(self) -> None:
        bars = (self.strength_bars, self.trend_bars, self.range_bars, self.valid_bars, self.max_bars)
        if min(bars) < 1 or not 0 < self.oversold < 50:
            raise ValueError(f"bars must be above 0 and oversold between 0 and 50, got {self}")
        if self.entry_ranges < 0 or self.target_ranges <= 0 or self.stop_ranges <= 0:
            raise ValueError(f"distances must be above 0, got {self}")


@dataclass(frozen=True, slots=True)
class Scalping(EachByItself):
    """Places one limit entry with its bracket at every dip."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: ScalpingParameters = ScalpingParameters()
    name: str = field(default="scalping", init=False)

    @property
    def warmup(self) -> int:
        """Return the longest of its windows, with the close before them."""
        settings = self.parameters
        return max(settings.strength_bars, settings.trend_bars, settings.range_bars) + 1

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history."""
        settings = self.parameters
        strength = plain_strength(bars.close, settings.strength_bars)
        mean = rolling_mean(bars.close, settings.trend_bars)
        dips = (strength <= settings.oversold) & (bars.close > mean)
        peaks = (strength >= 100 - settings.oversold) & (bars.close < mean)
        action = actions(
            len(bars),
            self.warmup,
            longs=dips,
            shorts=peaks if settings.shorts else None,
            entry=Action.ENTER_LIMIT,
        )
        side, reach = np.sign(action), average_true_range(bars, settings.range_bars)
        price = bars.close - side * settings.entry_ranges * reach
        return Decisions(
            action,
            price,
            price - side * settings.stop_ranges * reach,
            price + side * settings.target_ranges * reach,
            valid_bars=settings.valid_bars,
            max_bars=settings.max_bars,
        )


def plain_strength(close: FloatArray, period: int) -> FloatArray:
    """Return Cutler's relative strength index, 0–100, from plain means; 50 where nothing moved, NaN before warm-up."""
    change = close - shifted(close, 1)
    gains, losses = rolling_mean(np.maximum(change, 0.0), period), rolling_mean(np.maximum(-change, 0.0), period)
    both = gains + losses
    share = np.divide(gains, both, out=np.where(np.isnan(both), np.nan, 0.5), where=both > 0)
    return np.asarray(100 * share, np.float64)
