"""Counting bars: how long a leg has been held or has waited, told from times, never from a counter that a crash loses.

The bar in which an entry filled is the one that was open then. A leg waits from the close that it was decided on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from agents.fleet.values import Leg
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, Timeframe


def bars_held(leg: Leg, bars: Bars | None, closed_at: datetime) -> int:
    """Return the closed bars since the entry, that of the entry included.

    Args:
        leg: Whose.
        bars: Closed bars of its symbol up to the moment; sessions that were closed have none. None: by the clock.
        closed_at: The moment.
    """
    if leg.entered_at is None:
        return 0
    first = bucket_start_of(int(leg.entered_at.timestamp()), leg.timeframe)
    by_clock = max((int(closed_at.timestamp()) - first) // TIMEFRAME_S[leg.timeframe], 0)
    if bars is None or not len(bars) or int(bars.time[0]) > first:
        return by_clock
    return len(bars) - int(np.searchsorted(bars.time, first))


def expires_at(closed_at: datetime, timeframe: Timeframe, valid_bars: int) -> datetime | None:
    """Return when an entry that may wait some bars lapses; None for never."""
    return closed_at + timedelta(seconds=TIMEFRAME_S[timeframe] * valid_bars) if valid_bars else None


def closed_bars(bars: Bars, closed_at: datetime, count: int) -> Bars:
    """Return the last bars that had closed by a moment."""
    end = int(closed_at.timestamp()) - TIMEFRAME_S[bars.timeframe]
    rows = int(np.searchsorted(bars.time, end, side="right"))
    return bars[max(rows - count, 0) : rows]


def last_close_at(bars: Bars) -> datetime | None:
    """Return when the last bar closed."""
    return utc_from_seconds(int(bars.time[-1]) + TIMEFRAME_S[bars.timeframe]) if len(bars) else None
