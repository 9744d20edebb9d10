"""How fast a market's time runs against the wall's, as seen: a replay at a hundredfold speed needs shorter naps.

The median of the last looks, so that one jump of a clock does not pass for speed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

_LOOKS = 7
_SHORTEST_LOOK_S = 0.0005


@dataclass(frozen=True, slots=True)
class Timing:
    """The wall's time, to be replaced in tests.

    Attributes:
        wall: Seconds from any origin, never going back.
        sleep: Waits some seconds of it.
    """

    wall: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class Pace:
    """Market seconds per wall second; never below 1, which only makes naps shorter."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._speeds: deque[float] = deque(maxlen=_LOOKS)

    @property
    def speed(self) -> float:
        """Return the usual speed of the last looks."""
        return max(1.0, median(self._speeds)) if self._speeds else 1.0

    def observe(self, wall_s: float, market_s: float) -> None:
        """Take note of both clocks at one moment."""
        if self._last is not None:
            passed = wall_s - self._last[0]
            if passed < _SHORTEST_LOOK_S:
                return
            self._speeds.append(max(0.0, market_s - self._last[1]) / passed)
        self._last = (wall_s, market_s)
