"""The exchange's time: ours, corrected by what the exchange tells; a change of our own clock does not move it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from engine.domain.market import utc_from_seconds
from engine.domain.protocols import Clock

_LOOKS = 2
_DRIFT = timedelta(milliseconds=5)
"""By how much a measurement is trusted less with each later one."""


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


class ExchangeClock:
    """An exchange's present, as far as it is known.

    Args:
        ours: Our clock.
    """

    def __init__(self, ours: Clock) -> None:
        self._ours = ours
        self._offset, self._error = timedelta(0), timedelta(days=1)

    def now(self) -> datetime:
        """Return the exchange's present, aware UTC."""
        return self._ours.now() + self._offset

    async def read(self, time_ms: Callable[[], Awaitable[int]]) -> None:
        """Measure the difference; of several answers the quickest is the truest.

        Args:
            time_ms: Asks the exchange for its time, in milliseconds since the epoch.

        Raises:
            DataUnavailable: It does not tell.
        """
        for _ in range(_LOOKS):
            begun = self._ours.now()
            told = utc_from_seconds(await time_ms() / 1000)
            half = (self._ours.now() - begun) / 2
            offset = told - (begun + half)
            # Our own clock may have been set, or the exchange's: then the old measurement is no measure.
            is_apart = abs(offset - self._offset) > half + self._error
            if half <= self._error or is_apart:
                self._offset, self._error = offset, half
        self._error += _DRIFT
