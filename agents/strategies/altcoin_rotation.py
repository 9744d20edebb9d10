"""Altcoin rotation: each week hold the few coins that rose most, as long as they rose at all.

Source:
    Jegadeesh and Titman (1993), Returns to buying winners and selling losers; Liu, Tsyvinski and Wu (2022), Common risk
    factors in cryptocurrency, for weekly momentum among coins; that a winner must also have risen by itself is the
    absolute momentum of Antonacci (2014), Dual Momentum Investing. Long only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from agents.strategies.calendar import bars_in_days, begins_week
from agents.strategies.tables import Table, actions, say_last
from agents.strategies.windows import rolling_deviation, shifted
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.strategies import Decisions, Intent, Standing
from engine.domain.symbols import Timeframe

_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class AltcoinRotationParameters:
    """Settings of altcoin rotation.

    Attributes:
        lookback_days: Days whose return coins are ranked by.
        held: How many coins are held at most.
        stop_deviations: Distance of the stop in standard deviations of a week's return, from those of the lookback.
    """

    lookback_days: int = 21
    held: int = 3
    stop_deviations: float = 2.0

    def __post_init__(self) -> None:
        if self.lookback_days < 1 or self.held < 1 or self.stop_deviations <= 0:
            raise ValueError(f"days, held and stop_deviations must be above 0, got {self}")


@dataclass(frozen=True, slots=True)
class AltcoinRotation:
    """Ranks its symbols with the last bar of each week; those whose bar is missing there keep what they have."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: AltcoinRotationParameters = AltcoinRotationParameters()
    name: str = field(default="altcoin_rotation", init=False)

    @property
    def warmup(self) -> int:
        """Return the bars of the lookback, with one more for the first of its returns and one for the week's end."""
        return self._lookback + 2

    @property
    def most_entries(self) -> int:
        """Return how many coins are held at most."""
        return min(self.parameters.held, len(self.symbols))

    @property
    def _lookback(self) -> int:
        return max(bars_in_days(self.parameters.lookback_days, self.timeframe), 2)

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        """Return the week's choice if the last bar ends one, whatever is held."""
        return tuple(say_last(self.decide_tables(bars)))

    def decide_tables(self, bars: Mapping[str, Bars]) -> Sequence[Table]:
        """Return the decisions over a whole history."""
        names = [symbol for symbol in self.symbols if symbol in bars]
        change = {symbol: self._change(bars[symbol]) for symbol in names}
        chosen = self._choose([bars[symbol].time for symbol in names], [change[symbol] for symbol in names])
        return tuple(
            Table(symbol, "", self._decide_one(bars[symbol], change[symbol], is_chosen))
            for symbol, is_chosen in zip(names, chosen, strict=True)
        )

    def _change(self, bars: Bars) -> FloatArray:
        """Return the return over the lookback where a week ends after the warm-up; NaN elsewhere."""
        change = bars.close / shifted(bars.close, self._lookback) - 1
        change[: self.warmup - 1] = np.nan
        return np.where(begins_week(bars.time, self.timeframe), change, np.nan)

    def _choose(self, times: Sequence[IntArray], changes: Sequence[FloatArray]) -> list[np.ndarray]:
        """Return where each symbol is among the winners of its moment; equal returns go by the order of the symbols."""
        chosen = [np.zeros(len(time), np.bool_) for time in times]
        moments: dict[int, list[tuple[float, int, int]]] = {}
        for number, (time, change) in enumerate(zip(times, changes, strict=True)):
            for row in np.flatnonzero(change > 0).tolist():
                moments.setdefault(int(time[row]), []).append((-float(change[row]), number, row))
        for ranked in moments.values():
            for _, number, row in sorted(ranked)[: self.parameters.held]:
                chosen[number][row] = True
        return chosen

    def _decide_one(self, bars: Bars, change: FloatArray, is_chosen: np.ndarray) -> Decisions:
        action = actions(len(bars), self.warmup, longs=is_chosen, exits=~np.isnan(change))
        spread = rolling_deviation(bars.close / shifted(bars.close, 1) - 1, self._lookback)
        week = sqrt(max(bars_in_days(_WEEK_DAYS, self.timeframe), 1))
        distance = np.minimum(self.parameters.stop_deviations * spread * week, 0.5)
        return Decisions(action, stop=bars.close * (1 - distance))
