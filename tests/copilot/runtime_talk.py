"""Talking with a whole program in tests."""

from __future__ import annotations

from copilot.bootstrap import Runtime
from copilot.events import TicketOpened, TurnEnded
from tools.results import TicketView

OWNER = "owner"


def quiet(_done: float, _what: str) -> None:
    return


async def say(runtime: Runtime, text: str) -> tuple[str, TicketView | None]:
    """Return the answer to a message, and the ticket that it opened."""
    answer, ticket = "", None
    async for event in runtime.copilot.send(OWNER, "talk", text):
        if isinstance(event, TicketOpened):
            assert isinstance(event.ticket, TicketView)
            ticket = event.ticket
        if isinstance(event, TurnEnded):
            answer = event.answer
    return answer, ticket


async def approve(runtime: Runtime, ticket: TicketView) -> str:
    events = [e async for e in runtime.copilot.decide(OWNER, ticket.ticket_id, ticket.nonce, "approve", "test")]
    assert isinstance(events[-1], TurnEnded)
    return events[-1].answer
