"""When a week turns, told from bars alone, so that a strategy needs no clock and no memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.domain.market import IntArray
from engine.domain.sessions import DAY_S, MONDAY_S
from engine.domain.symbols import TIMEFRAME_S, Timeframe

_WEEK_S = 7 * DAY_S


def begins_week(time: IntArray, timeframe: Timeframe) -> npt.NDArray[np.bool_]:
    """Return at which bars' closes a new week (Monday 00:00 UTC) has begun since the close before.

    Args:
        time: Open times in seconds since the epoch, increasing.
        timeframe: Length of the bars.

    Returns:
        Shape (n,); False at the first bar, whose close before is not known.
    """
    week = (time + TIMEFRAME_S[timeframe] - MONDAY_S) // _WEEK_S
    begins = np.zeros(len(time), np.bool_)
    begins[1:] = week[1:] != week[:-1]
    return begins


def bars_in_days(days: int, timeframe: Timeframe) -> int:
    """Return how many bars a market that never closes has in some days, at least 1."""
    return max(days * DAY_S // TIMEFRAME_S[timeframe], 1)
