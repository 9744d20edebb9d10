"""The exchange's time: ours, corrected by what the exchange tells; a change of our own clock does not move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from engine.domain.market import utc_from_seconds


def elapsed_s() -> float:
    """Return seconds that never go back and count while the machine sleeps, where the system has such a count."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SteadyClock:
    """The wall clock as it was at the start, plus what has passed since: nobody can set it."""

    def __init__(self) -> None:
        self._origin = datetime.now(UTC).timestamp() - elapsed_s()

    def now(self) -> datetime:
        """Return the present, aware UTC."""
        return utc_from_seconds(self._origin + elapsed_s())


def offset_of(told_ms: int, begun: datetime, ended: datetime) -> tuple[timedelta, timedelta]:
    """Return how far an exchange's clock is ahead of ours, and by how much that may be wrong.

    Args:
        told_ms: What it told, in milliseconds since the epoch.
        begun: Our time when it was asked.
        ended: Our time when it had answered.
    """
    half = (ended - begun) / 2
    return utc_from_seconds(told_ms / 1000) - (begun + half), half
