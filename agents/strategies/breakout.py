"""Breakout: buy a close above the highest high of many bars, leave below the lowest low of fewer.

Source:
    Donchian (1960), High finance in copper: the four-week rule; Faith (2007), Way of the Turtle: channels of 20 and
    10 bars with a stop of two mean ranges. Decided on closes, not inside the bar. With shorts it is Donchian's own
    form: the other channel's break closes and reverses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agents.strategies.tables import EachByItself, actions
from agents.strategies.windows import average_true_range, rolling_max, rolling_min, shifted
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class BreakoutParameters:
    """Settings of the breakout.

    Attributes:
        entry_bars: Bars of the channel that must break.
        exit_bars: Bars of the channel that ends a long; not used with shorts.
        stop_ranges: Distance of the stop in mean true ranges.
        range_bars: Bars of the mean true range.
        shorts: Whether it sells short as well.
    """

    entry_bars: int = 120
    exit_bars: int = 60
    stop_ranges: float = 4.0
    range_bars: int = 24
    shorts: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.exit_bars <= self.entry_bars or self.range_bars < 1:
            raise ValueError(f"entry_bars={self.entry_bars} must be at least exit_bars={self.exit_bars}, all above 0")
        if self.stop_ranges <= 0:
            raise ValueError(f"stop_ranges must be above 0, got {self.stop_ranges}")


@dataclass(frozen=True, slots=True)
class Breakout(EachByItself):
    """Enters where a close leaves the channel of the bars before it."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: BreakoutParameters = BreakoutParameters()
    name: str = field(default="breakout", init=False)

    @property
    def warmup(self) -> int:
        """Return the bars of the channel, which ends one bar before the last, and of the mean range."""
        return max(self.parameters.entry_bars, self.parameters.range_bars) + 2

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history; only the first close outside is an entry."""
        settings = self.parameters
        is_above = bars.close > shifted(rolling_max(bars.high, settings.entry_bars), 1)
        is_below = bars.close < shifted(rolling_min(bars.low, settings.entry_bars), 1)
        breaks_up, breaks_down = _first(is_above), _first(is_below)
        leaves = None if settings.shorts else bars.close < shifted(rolling_min(bars.low, settings.exit_bars), 1)
        action = actions(
            len(bars),
            self.warmup,
            longs=breaks_up,
            shorts=breaks_down if settings.shorts else None,
            exits=leaves,
        )
        distance = settings.stop_ranges * average_true_range(bars, settings.range_bars)
        return Decisions(action, stop=bars.close - np.sign(action) * distance)


def _first(is_outside: np.ndarray) -> np.ndarray:
    """Return where a run of closes outside begins."""
    begins = is_outside.copy()
    begins[1:] &= ~is_outside[:-1]
    return begins
