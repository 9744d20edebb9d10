"""What the supervisor is told and tells: settings, the worker it runs, states as others see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from engine.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Times in seconds.

    Attributes:
        lease_s: How long a term lasts after its last renewal, by the database's clock.
        renew_s: How often a leader renews; a failed renewal is tried again every `retry_s`.
        margin_s: How long before the end of its lease a leader that could not renew begins to stop its workers.
        skew_s: How long past the end of a lease others wait before they take it.
        poll_s: How often a follower looks whether it may lead.
        beat_s: How often the process writes how it and its workers fare.
        hang_s: A worker that has not beaten for this long counts as hung.
        grace_s: How long a cancelled worker may take to end before it counts as stuck and is cancelled again.
        backoff_s, backoff_max_s: Pause after the first failure, doubled with each one up to the second figure.
        jitter_ratio: Pauses vary by this fraction (0–1) to both sides.
        give_up_after: Failures within `window_s` after which a worker is only tried every `rare_s`.
        stable_s: A worker that ran this long without failing has recovered.
    """

    lease_s: float = 30.0
    renew_s: float = 5.0
    retry_s: float = 1.0
    margin_s: float = 10.0
    skew_s: float = 3.0
    poll_s: float = 2.0
    beat_s: float = 5.0
    hang_s: float = 120.0
    grace_s: float = 5.0
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    jitter_ratio: float = 0.2
    give_up_after: int = 5
    window_s: float = 600.0
    rare_s: float = 600.0
    stable_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse times that would break the promise of one leader."""
        positive = (self.renew_s, self.retry_s, self.poll_s, self.beat_s, self.hang_s, self.backoff_s, self.window_s)
        if min(positive) <= 0 or self.skew_s < 0 or self.give_up_after < 1 or not 0 <= self.jitter_ratio < 1:
            raise ConfigError("the supervisor's times must be above 0, its jitter within 0 and 1")
        if not 0 < self.grace_s < self.margin_s:
            raise ConfigError(
                f"margin_s is {self.margin_s}: it must be longer than grace_s ({self.grace_s}), in which workers end"
            )
        if self.renew_s + self.retry_s >= self.lease_s - self.margin_s:
            raise ConfigError(
                f"lease_s is {self.lease_s}: it must leave time for a renewal every {self.renew_s} s and a repeat"
            )


class WorkerState(StrEnum):
    """How a worker fares in one process."""

    WAITING = "waiting"
    """Another process leads, or the supervisor has not come to it yet."""
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    """It failed and will be tried again soon."""
    FAILING = "failing"
    """It failed too often; it is only tried now and then."""
    STUCK = "stuck"
    """It was cancelled and does not end."""
    FINISHED = "finished"
    """It returned by itself and is not run again in this term."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker of one process.

    Attributes:
        failures: Within the present window.
        restarts: Since the process began.
        error: Code of the last failure: an error's class name, `hung` or `cancelled`; empty without one.
        since: When the state began.
        beat_at: Its last sign of life, None before the first.
        next_try_at: When it is tried again, while it is not running.
    """

    name: str
    state: WorkerState
    failures: int
    restarts: int
    error: str
    since: datetime
    beat_at: datetime | None
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process of the supervisor, as its last heartbeat told.

    Attributes:
        fence: Number of the term that it leads, None while it follows.
        is_alive: Whether its heartbeat is recent.
    """

    token: str
    fence: int | None
    started_at: datetime
    beat_at: datetime
    is_alive: bool
    workers: tuple[WorkerStatus, ...]


class Pulse(Protocol):
    """What a worker holds of its supervisor."""

    @property
    def fence(self) -> int:
        """Return the number of the term under which it works; 0 for a worker that runs in every process."""
        ...

    def beat(self) -> None:
        """Give a sign of life; a worker that gives none for too long is cancelled and started again."""
        ...

    def require_term(self) -> None:
        """Make sure that the term still stands: to be called before anything that must happen under one leader.

        Raises:
            NotLeading: The lease has run out, or will before long.
        """
        ...


class Worker(Protocol):
    """What the supervisor runs. A name is unique within a supervisor; `run` can be started again after it failed."""

    @property
    def name(self) -> str:
        """Return the name: lower-case words, at most 64 characters."""
        ...

    async def run(self, pulse: Pulse) -> None:
        """Work until cancelled, beating all the while; returning means that there is nothing more to do."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A worker made of a function."""

    name: str
    work: Callable[[Pulse], Awaitable[None]]

    async def run(self, pulse: Pulse) -> None:
        """Run the function."""
        await self.work(pulse)
