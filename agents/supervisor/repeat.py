"""Workers that do one thing again and again: settling, alerts, expiries, reconciliation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agents.supervisor.pacing import Pace, RealPace
from agents.supervisor.values import Pulse


@dataclass(frozen=True, slots=True)
class Repeat:
    """A worker that repeats a piece of work with a pause in between.

    A failure ends it, and the supervisor starts it again after a while; a pass that never ends counts as hung.

    Attributes:
        every_s: Pause after each pass.
        work: One pass.
        pace: Elapsed time and pauses.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    pace: Pace = field(default_factory=RealPace)

    async def run(self, pulse: Pulse) -> None:
        """Work until cancelled, while the term stands."""
        while True:
            pulse.require_term()
            pulse.beat()
            await self.work()
            await self.pace.pause(self.every_s)
