"""Grid: resting buys on fixed lines below the price of a market that goes sideways, each sold one line higher.

The lines are powers of one ratio, the same for all time, so that they need no anchor and no memory. The line of number
k belongs to slot `k mod levels`, and each slot is one tag: it waits at one line, or holds what it bought there until
the line above, or until the stop below all lines.

Source:
    The geometric grid that exchanges offer as a ready-made bot; whether the market goes sideways is told by the
    efficiency ratio of Kaufman (1995), Smarter Trading. Nothing shows that a grid has an edge in itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log, log1p

import numpy as np

from agents.strategies.tables import Table, actions, say_last
from agents.strategies.windows import rolling_mean, shifted
from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.strategies import Action, Decisions, Intent, Standing
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class GridParameters:
    """Settings of the grid.

    Attributes:
        step_ratio: Distance between two lines as a fraction of the lower one.
        levels: Lines that work at once.
        efficiency_bars: Bars over which the market must have gone sideways.
        most_efficiency: Efficiency ratio (0–1) at and below which it counts as sideways.
        stop_steps: Lines between an entry and its stop, more than `levels`.
    """

    step_ratio: float = 0.01
    levels: int = 5
    efficiency_bars: int = 48
    most_efficiency: float = 0.2
    stop_steps: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.step_ratio < 1 or not 0 < self.most_efficiency <= 1 or self.efficiency_bars < 1:
            raise ValueError(f"ratios must be between 0 and 1, bars above 0, got {self}")
        if not 1 <= self.levels < self.stop_steps:
            raise ValueError(f"levels={self.levels} must be at least 1 and fewer than stop_steps={self.stop_steps}")


@dataclass(frozen=True, slots=True)
class Grid:
    """Renews its resting entries at every close while the market goes sideways; they lapse when it does not."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    parameters: GridParameters = GridParameters()
    name: str = field(default="grid", init=False)

    @property
    def warmup(self) -> int:
        """Return the bars of the efficiency ratio and the close before them."""
        return self.parameters.efficiency_bars + 1

    @property
    def most_entries(self) -> int:
        """Return one position per line and symbol."""
        return self.parameters.levels * len(self.symbols)

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        """Return the entries that wait from now on; an entry whose slot is full changes nothing."""
        return tuple(say_last(self.decide_tables(bars)))

    def decide_tables(self, bars: Mapping[str, Bars]) -> Sequence[Table]:
        """Return the decisions over a whole history, one table per slot."""
        return tuple(table for symbol, own in bars.items() for table in self._slots(symbol, own))

    def _slots(self, symbol: str, bars: Bars) -> Sequence[Table]:
        settings = self.parameters
        is_sideways = efficiency_ratio(bars.close, settings.efficiency_bars) <= settings.most_efficiency
        top = lines_below(bars.close, settings.step_ratio)
        return [
            Table(symbol, str(slot), self._decide_slot(top - (top - slot) % settings.levels, is_sideways))
            for slot in range(settings.levels)
        ]

    def _decide_slot(self, line: IntArray, is_sideways: np.ndarray) -> Decisions:
        settings = self.parameters
        action = actions(len(line), self.warmup, longs=is_sideways, entry=Action.ENTER_LIMIT)
        return Decisions(
            action,
            line_prices(line, settings.step_ratio),
            line_prices(line - settings.stop_steps, settings.step_ratio),
            line_prices(line + 1, settings.step_ratio),
            valid_bars=1,
        )


def efficiency_ratio(close: FloatArray, period: int) -> FloatArray:
    """Return how straight the way of the last `period` closes was, from 0 (or nothing moved) to 1 (a line)."""
    way = rolling_mean(np.abs(close - shifted(close, 1)), period) * period
    net = np.abs(close - shifted(close, period))
    return np.divide(net, way, out=np.where(np.isnan(way), np.nan, 0.0), where=way > 0)


def lines_below(close: FloatArray, step_ratio: float) -> IntArray:
    """Return the number of the highest line below each price."""
    unique, place = np.unique(close, return_inverse=True)
    return np.array([_line_below(price, step_ratio) for price in unique.tolist()], np.int64)[place]


def line_prices(lines: IntArray, step_ratio: float) -> FloatArray:
    """Return the price of each line."""
    unique, place = np.unique(lines, return_inverse=True)
    return np.array([_line_price(line, step_ratio) for line in unique.tolist()])[place]


def _line_below(price: float, step_ratio: float) -> int:
    line = floor(log(price) / log1p(step_ratio))
    return line if _line_price(line, step_ratio) < price else line - 1


def _line_price(line: int, step_ratio: float) -> float:
    # One number at a time: a vectorised power may round otherwise, depending on where a value stands.
    return float((1 + step_ratio) ** line)
