"""What the models learn: which barrier comes first, and how far price goes. Labels look ahead; features never do.

A position is entered at the close of bar t. Its stop is one ATR(14) away and its target `reward_risk` times that. From
bar t+1 on, the first touch decides; a bar that touches both counts as the stop, because the order inside a bar is not
known. Neither within the horizon counts as no.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from engine.domain.market import Bars, FloatArray, IntArray
from engine.features.indicators import average_true_range

HORIZON = 24
REWARD_RISKS = (1.0, 2.0, 3.0)
UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class BarrierLabels:
    """Outcomes for one side and one reward:risk.

    Attributes:
        hit: Shape (n,), int64: 1 target first, 0 stop first or neither, `UNKNOWN` where the horizon is not over.
        end: Shape (n,), int64: row at which the outcome was known (the label's span is t..end).
        payoff: Shape (n,): result in multiples of the risk, costs apart: `reward_risk`; -1, or less when a bar opens
            beyond the stop; or the close at the horizon's end. NaN where unknown.
    """

    hit: IntArray
    end: IntArray
    payoff: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RangeLabels:
    """Excursions over the horizon as fractions of the close, never below 0; NaN where the horizon is not over."""

    up: FloatArray
    down: FloatArray


def stop_fraction(bars: Bars) -> FloatArray:
    """Return the stop's distance, one ATR(14), as a fraction of the close; shape (n,)."""
    return np.asarray(average_true_range(bars) / bars.close)


def label_barriers(bars: Bars, *, side: int, reward_risk: float, horizon: int = HORIZON) -> BarrierLabels:
    """Return which barrier comes first for a position of one side (1 long, -1 short)."""
    if side not in (1, -1):
        raise ValueError(f"side must be 1 or -1, got {side}")
    distance = stop_fraction(bars) * bars.close
    hit, end, payoff = _first_touch(bars.open, bars.high, bars.low, bars.close, distance, side, reward_risk, horizon)
    return BarrierLabels(hit, end, payoff)


def label_ranges(bars: Bars, *, horizon: int = HORIZON) -> RangeLabels:
    """Return how far price goes above and below each close within the next `horizon` bars."""
    n = len(bars)
    up, down = np.full(n, np.nan), np.full(n, np.nan)
    if n > horizon:
        highs = np.lib.stride_tricks.sliding_window_view(bars.high, horizon)[1:].max(axis=1)
        lows = np.lib.stride_tricks.sliding_window_view(bars.low, horizon)[1:].min(axis=1)
        known = slice(0, n - horizon)
        up[known] = np.maximum(highs / bars.close[known] - 1, 0)
        down[known] = np.maximum(1 - lows / bars.close[known], 0)
    return RangeLabels(up, down)


@numba.njit(cache=True)
def _first_touch(
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    distance: FloatArray,
    side: int,
    reward_risk: float,
    horizon: int,
) -> tuple[IntArray, IntArray, FloatArray]:
    n = len(close)
    payoff = np.full(n, np.nan)
    hit = np.full(n, -1, np.int64)
    end = np.full(n, n, np.int64)
    for t in range(n):
        if not distance[t] > 0:
            continue
        stop = close[t] - side * distance[t]
        target = close[t] + side * distance[t] * reward_risk
        for later in range(t + 1, min(t + horizon + 1, n)):
            is_stopped = low[later] <= stop if side > 0 else high[later] >= stop
            is_reached = high[later] >= target if side > 0 else low[later] <= target
            if is_stopped or is_reached:
                hit[t] = 1 if is_reached and not is_stopped else 0
                if is_stopped:
                    filled = min(open_[later], stop) if side > 0 else max(open_[later], stop)
                    payoff[t] = side * (filled - close[t]) / distance[t]
                else:
                    payoff[t] = reward_risk
                end[t] = later
                break
        else:
            if t + horizon < n:
                hit[t] = 0
                payoff[t] = side * (close[t + horizon] - close[t]) / distance[t]
                end[t] = t + horizon
    return hit, end, payoff
