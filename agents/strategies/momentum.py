"""Momentum: hold what has risen over the past weeks, looked at once a week.

Source:
    Moskowitz, Ooi and Pedersen (2012), Time series momentum; Liu and Tsyvinski (2021), Risks and returns of
    cryptocurrency, for the weeks that matter there. The stop is ours: without one nothing bounds a week's loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from agents.strategies.calendar import bars_in_days, begins_week
from agents.strategies.tables import EachByItself, actions
from agents.strategies.windows import rolling_deviation, shifted
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe

_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class MomentumParameters:
    """Settings of momentum.

    Attributes:
        lookback_days: Days whose return is looked at.
        least_return: Return above which it buys, and below whose negative it sells, as a fraction.
        stop_deviations: Distance of the stop in standard deviations of a week's return, from those of the lookback.
        shorts: Whether it sells short as well.
    """

    lookback_days: int = 28
    least_return: float = 0.0
    stop_deviations: float = 2.0
    shorts: bool = False

    def __post_init__(self) -> None:
        if self.lookback_days < 1 or self.least_return < 0 or self.stop_deviations <= 0:
            raise ValueError(f"days and deviations must be above 0, least_return at least 0, got {self}")


@dataclass(frozen=True, slots=True)
class Momentum(EachByItself):
    """Decides with the last bar of each week: long, short, or out."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: MomentumParameters = MomentumParameters()
    name: str = field(default="momentum", init=False)

    @property
    def warmup(self) -> int:
        """Return the bars of the lookback, with one more for the first of its returns and one for the week's end."""
        return self._lookback + 2

    @property
    def _lookback(self) -> int:
        return max(bars_in_days(self.parameters.lookback_days, self.timeframe), 2)

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history."""
        settings, lookback = self.parameters, self._lookback
        ends_week = begins_week(bars.time, self.timeframe)
        change = bars.close / shifted(bars.close, lookback) - 1
        longs, shorts = ends_week & (change > settings.least_return), ends_week & (change < -settings.least_return)
        action = actions(
            len(bars), self.warmup, longs=longs, shorts=shorts if settings.shorts else None, exits=ends_week & ~longs
        )
        spread = rolling_deviation(bars.close / shifted(bars.close, 1) - 1, lookback)
        week = sqrt(max(bars_in_days(_WEEK_DAYS, self.timeframe), 1))
        distance = np.minimum(settings.stop_deviations * spread * week, 0.5)
        return Decisions(action, stop=bars.close * (1 - np.sign(action) * distance))
