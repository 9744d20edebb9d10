"""When a worker that failed is tried again: pure arithmetic on times and chance that are handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from agents.supervisor.values import SupervisorSettings


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a failure.

    Attributes:
        pause_s: How long to wait before the next try.
        failures: Within the window, this one included.
        is_given_up: Whether it failed too often, so that it is only tried rarely.
        is_news: Whether this failure is the one that made it so.
    """

    pause_s: float
    failures: int
    is_given_up: bool
    is_news: bool


class Restarts:
    """The failures of one worker.

    Args:
        settings: Pauses, window and patience.
        chance: Where jitter comes from.
    """

    def __init__(self, settings: SupervisorSettings, chance: Random) -> None:
        self._settings = settings
        self._chance = chance
        self._failed_at: deque[float] = deque()
        self._is_given_up = False

    @property
    def failures(self) -> int:
        """Return how many failures count at present."""
        return len(self._failed_at)

    def fail(self, at: float, ran_s: float) -> Verdict:
        """Note a failure.

        Args:
            at: Elapsed time now.
            ran_s: How long it had run; a run of `stable_s` wipes out what was before it.
        """
        if ran_s >= self._settings.stable_s:
            self.recover()
        self._failed_at.append(at)
        while self._failed_at[0] < at - self._settings.window_s and not self._is_given_up:
            self._failed_at.popleft()
        was_given_up = self._is_given_up
        self._is_given_up = was_given_up or len(self._failed_at) >= self._settings.give_up_after
        while len(self._failed_at) > self._settings.give_up_after:
            self._failed_at.popleft()
        return Verdict(self._pause(), self.failures, self._is_given_up, self._is_given_up and not was_given_up)

    def recover(self) -> bool:
        """Forget all failures, and return whether it had been given up."""
        was_given_up, self._is_given_up = self._is_given_up, False
        self._failed_at.clear()
        return was_given_up

    def _pause(self) -> float:
        settings = self._settings
        doubled = settings.backoff_s * 2.0 ** min(self.failures - 1, 60)
        pause = settings.rare_s if self._is_given_up else min(doubled, settings.backoff_max_s)
        return pause * self._chance.uniform(1 - settings.jitter_ratio, 1 + settings.jitter_ratio)
