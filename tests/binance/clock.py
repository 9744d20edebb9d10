"""The exchange's clock: the machine's own, or one that moves only when a test moves it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the exchange asks of time."""

    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds since 1970."""


class SystemClock:
    """The machine's time, `skew_ms` ahead of it."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def now_ms(self) -> int:
        """Return the machine's time plus the skew."""
        return time.time_ns() // 1_000_000 + self.skew_ms


class SimulatedClock:
    """A time that stands still until it is moved."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Return the simulated time."""
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Move time forward; it never goes back."""
        if seconds < 0:
            raise ValueError(f"time goes forward only, not by {seconds} s")
        self._now_ms += round(seconds * 1000)
