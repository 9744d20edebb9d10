"""Make longer bars out of shorter ones: from bars that exist, and only when the longer bar is over.

Nothing is invented: a bucket without bars gives no bar, so sessions and gaps stay visible. Days start at 00:00
UTC, weeks on Monday 00:00 UTC.
"""

from __future__ import annotations

import numpy as np

from engine.domain.market import Bars, IntArray
from engine.domain.sessions import MONDAY_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe


def bucket_start(seconds: IntArray, timeframe: Timeframe) -> IntArray:
    """Return the open time of the bar that each time falls in, in seconds since the epoch."""
    return seconds - (seconds - _offset(timeframe)) % TIMEFRAME_S[timeframe]


def bucket_start_of(second: int, timeframe: Timeframe) -> int:
    """Return the open time of the bar that one time falls in."""
    return second - (second - _offset(timeframe)) % TIMEFRAME_S[timeframe]


def resample(bars: Bars, timeframe: Timeframe, *, now_s: int | None = None) -> Bars:
    """Return bars of a longer (or equal) timeframe, closed ones only.

    Args:
        bars: Oldest first. The first bucket holds what these bars hold of it: cut windows at a bucket's start.
        timeframe: A multiple of the bars' own.
        now_s: The market's present in seconds since the epoch: a bucket that ends after it is dropped. None means
            the close of the last bar.

    Raises:
        ValueError: The timeframe is not a multiple of the bars'.
    """
    step, own_step = TIMEFRAME_S[timeframe], TIMEFRAME_S[bars.timeframe]
    if step % own_step:
        raise ValueError(f"bars of {bars.timeframe} cannot make bars of {timeframe}")
    if len(bars) == 0:
        return Bars(bars.symbol, timeframe, bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    end = int(bars.time[-1]) + own_step if now_s is None else now_s
    buckets = bucket_start(bars.time, timeframe)
    first = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    made = Bars(
        bars.symbol,
        timeframe,
        buckets[first],
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )
    return made[: int(np.searchsorted(made.time, end - step, side="right"))]


def _offset(timeframe: Timeframe) -> int:
    return MONDAY_S if timeframe == "1w" else 0
