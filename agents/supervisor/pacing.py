"""Time as the supervisor uses it: how long something took, pauses, and work that must not hold up the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Pace(Protocol):
    """Elapsed time and pauses; tests move it by hand."""

    def elapsed(self) -> float:
        """Return seconds since some moment; never jumps back, and goes on while the machine is suspended."""
        ...

    async def pause(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...

    async def offload(self, work: Callable[[], _T]) -> _T:
        """Run blocking work beside the loop and return its result."""
        ...


class RealPace:
    """The machine's own time."""

    def elapsed(self) -> float:
        """Return seconds since the machine started, those asleep included where the system counts them.

        A laptop that was suspended must find its lease run out when it wakes; the usual monotonic clock stands still
        meanwhile on Linux.
        """
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if clock is None else time.clock_gettime(clock)

    async def pause(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)

    async def offload(self, work: Callable[[], _T]) -> _T:
        """Run it in a thread."""
        return await asyncio.to_thread(work)
