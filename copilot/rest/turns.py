"""Turns under way: each runs on its own, and clients read along.

A client that goes away, reads slowly or comes back later changes nothing of the turn. What was told stays at hand for
a while after its end, so that a stream that broke can be read on from the last event seen.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus

from pydantic_core import to_json

from copilot.events import (
    AnswerToken,
    AnswerWithdrawn,
    Event,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolProgressed,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from copilot.rest.metrics import Metrics
from copilot.rest.settings import RestSettings
from engine.api.problems import ApiError

log = logging.getLogger(__name__)

EVENT_NAMES: dict[type, str] = {
    ToolStarted: "tool_started",
    ToolProgressed: "tool_progressed",
    ToolFinished: "tool_finished",
    AnswerToken: "answer",
    AnswerWithdrawn: "withdrawn",
    Waiting: "waiting",
    TicketOpened: "ticket_opened",
    TicketClosed: "ticket_closed",
    TurnEnded: "turn_ended",
}
_RETRY_S = 2


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it is sent; numbers begin at 1 within a turn."""

    number: int
    name: str
    data: bytes
    event: Event


class Turn:
    """One turn and what it told so far."""

    def __init__(self, owner: str, conversation: str) -> None:
        self.id = secrets.token_hex(12)
        self.owner = owner
        self.conversation = conversation
        self.told: list[Told] = []
        self.ended_at: float | None = None
        self._more = asyncio.Event()

    def add(self, event: Event) -> None:
        """Tell something."""
        data = to_json(event, inf_nan_mode="null")
        self.told.append(Told(len(self.told) + 1, EVENT_NAMES[type(event)], data, event))
        self._wake()

    def end(self, at: float) -> None:
        """Note that nothing more will be told."""
        self.ended_at = at
        self._wake()

    async def follow(self, after: int, beat_s: float) -> AsyncIterator[Told | None]:
        """Yield what is told after a number, up to the end; None after a silence of `beat_s`."""
        while True:
            while after < len(self.told):
                after += 1
                yield self.told[after - 1]
            if self.ended_at is not None:
                return
            more = self._more
            try:
                async with asyncio.timeout(beat_s):
                    await more.wait()
            except TimeoutError:
                yield None

    async def finish(self) -> list[Event]:
        """Return everything that was told, once it is over."""
        return [each.event async for each in self.follow(0, 3600) if each is not None]

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


class Turns:
    """The turns of one process.

    Args:
        settings: How many, and how long they are kept.
        metrics: Counts them.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: RestSettings, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._turns: dict[str, Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Return how many turns are under way."""
        return len(self._tasks)

    def start(self, owner: str, conversation: str, events: AsyncIterator[Event], kind: str) -> Turn:
        """Begin a turn.

        Raises:
            ApiError: The owner has as many under way as are taken.
        """
        self._forget()
        if sum(turn.owner == owner and turn.ended_at is None for turn in self._turns.values()) >= self._settings.turns:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_turns",
                f"{self._settings.turns} turns are under way; wait for one to end",
                headers={"retry-after": str(_RETRY_S)},
            )
        turn = Turn(owner, conversation)
        self._turns[turn.id] = turn
        self._metrics.count("turns", kind)
        task = asyncio.create_task(self._run(turn, events))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return turn

    def find(self, turn_id: str, owner: str) -> Turn | None:
        """Return the owner's turn, if it is still at hand."""
        self._forget()
        turn = self._turns.get(turn_id)
        return turn if turn is not None and turn.owner == owner else None

    async def _run(self, turn: Turn, events: AsyncIterator[Event]) -> None:
        try:
            async for event in events:
                turn.add(event)
        except Exception:
            log.exception("turn %s broke off", turn.id)
        finally:
            turn.end(self._clock())

    def _forget(self) -> None:
        past = self._clock() - self._settings.turn_kept_s
        for turn in [*self._turns.values()]:
            if turn.ended_at is not None and turn.ended_at < past:
                del self._turns[turn.id]
