"""Who may ask the model now: a circuit breaker for a model that fails, and a bounded line for people who wait.

A model that is down costs nobody time: after a failure that will not pass by itself the copilot answers offline for a
while, then lets one turn try again. A local model answers one at a time, so turns stand in line, told how many come
first; a line that is full turns the rest away at once instead of keeping them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.domain.errors import ModelUnavailable

LASTING = frozenset(
    {
        "unreachable",
        "model_missing",
        "no_first_token",
        "stalled",
        "out_of_memory",
        "busy",
        "server_error",
        "prompt_cut",
        "cut",
        "stream_error",
    }
)
"""Failures after which the next call would most likely fail, too."""
_PATIENCE = 3
"""Failures of another kind in a row that open the breaker."""


class Breaker:
    """Closed: ask the model. Open: don't, until the pause is over; then one turn tries, and its outcome decides."""

    def __init__(
        self, clock: Callable[[], float], *, first_pause_s: float = 3.0, longest_pause_s: float = 60.0
    ) -> None:
        self._clock = clock
        self._first_s = first_pause_s
        self._longest_s = longest_pause_s
        self._pause_s = 0.0
        self._opened_at = 0.0
        self._in_a_row = 0
        self._last = ""

    @property
    def trouble(self) -> str | None:
        """Return the code of what opened the breaker while it is open, else None."""
        is_open = self._pause_s > 0 and self._clock() - self._opened_at < self._pause_s
        return self._last if is_open else None

    def succeeded(self) -> None:
        """Close."""
        self._pause_s, self._in_a_row, self._last = 0.0, 0, ""

    def failed(self, code: str) -> None:
        """Count a failure; a lasting one opens at once, and for longer each time."""
        self._in_a_row += 1
        self._last = code
        if code in LASTING or self._in_a_row >= _PATIENCE:
            self._pause_s = min(max(self._pause_s * 2, self._first_s), self._longest_s)
            self._opened_at = self._clock()


class Line:
    """A bounded first-come-first-served line in front of a model that takes `at_once` calls together."""

    def __init__(self, *, at_once: int = 1, longest: int = 8) -> None:
        self._free = at_once
        self._longest = longest
        self._waiting: deque[tuple[asyncio.Future[None], Callable[[int], None]]] = deque()

    @asynccontextmanager
    async def place(self, tell: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold the model; whoever has to wait is told how many come first, again when that changes.

        Raises:
            ModelUnavailable: The line is full.
        """
        if self._free > 0 and not self._waiting:
            self._free -= 1
        else:
            await self._wait(tell)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, tell: Callable[[int], None]) -> None:
        if len(self._waiting) >= self._longest:
            raise ModelUnavailable("line_full", f"{self._longest} are waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, tell)
        self._waiting.append(entry)
        tell(len(self._waiting) - 1)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                self._next()
            raise

    def _next(self) -> None:
        """Pass the freed place on to whoever waits longest."""
        while self._waiting:
            turn, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                for ahead, (_, tell) in enumerate(self._waiting):
                    tell(ahead)
                return
        self._free += 1
