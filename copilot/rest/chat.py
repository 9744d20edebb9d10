"""Talking, and deciding on tickets: both are turns, answered at their end or as they go.

A conversation is named by the caller and belongs to the token's owner: two owners who use one name never meet.
Without the scope `trade` a ticket is shown with an empty nonce, because with it a decision can be made.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from copilot.events import Event, TicketClosed, TicketOpened, ToolFinished, TurnEnded
from copilot.rest.asking import NO_QUERY, Reader, Trader, address, answer, refusal
from copilot.rest.core import SURFACE, AnyTicket, RestParts
from copilot.rest.problems import plain
from copilot.rest.streams import EVENT_STREAM, HEARTBEAT, JSON, EventStream, choose, last_event_number, write_event
from copilot.rest.ticket_stream import follow_tickets, shown
from copilot.rest.tokens import Token
from copilot.rest.turns import Turn, Turns
from copilot.rest.views import (
    Decide,
    DecisionView,
    Edit,
    Say,
    TicketProblem,
    TicketsView,
    ToolCall,
    TurnView,
    plain_digits,
)
from engine.api.problems import PROBLEM_MEDIA_TYPE, ApiError, Problem, problem_response

Decision = Literal["approve", "reject"]
TurnInPath = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]
TicketInPath = Annotated[
    int,
    Field(ge=1, le=2**31 - 1),
    BeforeValidator(plain_digits),
    Path(description="Above 1,000,000,000 it is a proposal about agents."),
]
_APPROVED = frozenset({"approved", "claimed", "executed", "working", "failed", "unsent"})


def chat_routes(parts: RestParts, turns: Turns) -> APIRouter:
    """Return the routes of the chat."""
    routes = APIRouter(tags=["chat"], dependencies=[NO_QUERY])

    @routes.post("/chat", response_model=TurnView)
    async def say(request: Request, asked: Annotated[Say, Body()], token: Trader) -> Response:
        """Say something; the turn goes on even if the caller leaves."""
        kind = choose(request, JSON, EVENT_STREAM)
        events = parts.core.send(token.owner, conversation_id(token.owner, asked.conversation), asked.message)
        turn = turns.start(token.owner, asked.conversation, events, "chat")
        where = {"location": address(request, f"/chat/{turn.id}")}
        if kind == EVENT_STREAM:
            return _stream(parts, turn, token, 0, where)
        return answer(tell_turn(turn, await turn.finish()), headers=where)

    @routes.get("/chat/{turn_id}", response_model=TurnView)
    async def follow(request: Request, turn_id: TurnInPath, token: Trader) -> Response:
        """Read a turn again, or read its stream on after `Last-Event-ID`."""
        kind = choose(request, JSON, EVENT_STREAM)
        turn = turns.find(turn_id, token.owner)
        if turn is None:
            raise refusal(parts, token, "turn_not_found")
        if kind == EVENT_STREAM:
            return _stream(parts, turn, token, last_event_number(request), {})
        return answer(tell_turn(turn, await turn.finish()))

    return routes


def ticket_routes(parts: RestParts, turns: Turns) -> APIRouter:
    """Return the routes of tickets and proposals."""
    routes = APIRouter(tags=["tickets"], dependencies=[NO_QUERY])

    @routes.get("/tickets", response_model=TicketsView)
    async def list_tickets(request: Request, token: Reader) -> Response:
        """List what waits for a decision, or follow as a stream what opens and closes on every surface."""
        if choose(request, JSON, EVENT_STREAM) == EVENT_STREAM:
            return EventStream(follow_tickets(parts, token), parts.settings.stall_s)
        return answer(TicketsView(tickets=[shown(each, token) for each in parts.core.open_tickets(token.owner)]))

    @routes.get("/tickets/{ticket_id}", response_model=AnyTicket)
    async def read_ticket(ticket_id: TicketInPath, token: Reader) -> Response:
        """Read a ticket, open or closed."""
        return answer(shown(_find(parts, token, ticket_id), token))

    @routes.post("/tickets/{ticket_id}/approve", response_model=DecisionView)
    async def approve(
        request: Request, ticket_id: TicketInPath, asked: Annotated[Decide, Body()], token: Trader
    ) -> Response:
        """Approve exactly what the nonce stands for; it is carried out once, however often this is asked."""
        return await _decide(parts, turns, request, token, ticket_id, asked.nonce, "approve")

    @routes.post("/tickets/{ticket_id}/reject", response_model=DecisionView)
    async def reject(
        request: Request, ticket_id: TicketInPath, asked: Annotated[Decide, Body()], token: Trader
    ) -> Response:
        """Reject a ticket; it can never be approved again."""
        return await _decide(parts, turns, request, token, ticket_id, asked.nonce, "reject")

    @routes.patch("/tickets/{ticket_id}", response_model=AnyTicket)
    async def edit(
        ticket_id: TicketInPath, asked: Annotated[Edit, Body()], token: Trader, request: Request
    ) -> Response:
        """Change numbers: a new version with a new nonce, asked again."""
        before = _find(parts, token, ticket_id)
        edits = parts.core.edit(token.owner, ticket_id, asked.nonce, asked.changes, SURFACE)
        told = await turns.start(token.owner, "", edits, "edit").finish()
        after = _find(parts, token, ticket_id)
        if after.version == before.version or after.ticket_id not in _opened(told):
            return _undecided(request, _code(before, after, asked.nonce, "ticket_not_edited"), after, told)
        return answer(after)

    return routes


def conversation_id(owner: str, name: str) -> str:
    """Return the conversation that an owner means by a name; no other owner can mean it."""
    digest = hashlib.sha256("\0".join((owner, name)).encode("utf-8", "replace")).hexdigest()
    return f"{SURFACE}-{digest[:40]}"


def tell_turn(turn: Turn, events: Sequence[Event]) -> TurnView:
    """Return a turn that is over.

    Raises:
        ApiError: It broke off without an end.
    """
    end = _end(events)
    if end is None:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "turn_broken_off", "the program ended while it answered")
    return TurnView.model_construct(
        turn_id=turn.id,
        conversation=turn.conversation,
        answer=end.answer,
        language=end.language,
        brain=end.brain,
        trouble=end.trouble,
        tools=[
            ToolCall.model_construct(call_id=event.call_id, tool=event.tool, result=event.result)
            for event in events
            if isinstance(event, ToolFinished)
        ],
        opened=[*_opened(events).values()],
        closed=[event.ticket for event in events if isinstance(event, TicketClosed)],
    )


async def _decide(
    parts: RestParts, turns: Turns, request: Request, token: Token, ticket_id: int, nonce: str, decision: Decision
) -> Response:
    kind = choose(request, JSON, EVENT_STREAM)
    before = _find(parts, token, ticket_id)
    events = parts.core.decide(token.owner, ticket_id, nonce, decision, SURFACE)
    turn = turns.start(token.owner, "", events, decision)
    if kind == EVENT_STREAM:
        return _stream(parts, turn, token, 0, {"location": address(request, f"/chat/{turn.id}")})
    told = await turn.finish()
    after = _find(parts, token, ticket_id)
    wanted = _APPROVED if decision == "approve" else {"rejected"}
    if after.state not in wanted:
        return _undecided(request, _code(before, after, nonce, "ticket_not_decided"), after, told)
    end = _end(told)
    others = [ticket for number, ticket in _opened(told).items() if number != ticket_id]
    return answer(DecisionView.model_construct(ticket=after, answer="" if end is None else end.answer, opened=others))


def _find(parts: RestParts, token: Token, ticket_id: int) -> AnyTicket:
    ticket = parts.core.ticket(token.owner, ticket_id)
    if ticket is None:
        raise refusal(parts, token, "ticket_not_found", ticket_id=ticket_id)
    return ticket


def _code(before: AnyTicket, after: AnyTicket, nonce: str, otherwise: str) -> str:
    """Return why a decision or an edit did not come about: what a client does next depends on it."""
    if after.state != "pending":
        return "ticket_closed"
    if after.nonce != before.nonce:
        return "ticket_asked_again"
    return "ticket_changed" if nonce != after.nonce else otherwise


def _undecided(request: Request, code: str, ticket: AnyTicket, events: Sequence[Event]) -> Response:
    end = _end(events)
    error = ApiError(HTTPStatus.CONFLICT, code, plain(end.answer) if end is not None else code)
    problem = Problem.model_validate_json(bytes(problem_response(error, request.scope["path"]).body))
    told = TicketProblem(**problem.model_dump(), ticket=ticket)
    return Response(told.model_dump_json(), HTTPStatus.CONFLICT, media_type=PROBLEM_MEDIA_TYPE)


def _end(events: Sequence[Event]) -> TurnEnded | None:
    return next((event for event in reversed(events) if isinstance(event, TurnEnded)), None)


def _opened(events: Sequence[Event]) -> dict[int, AnyTicket]:
    """Return what waits for a decision after some events, in its newest version."""
    opened: dict[int, AnyTicket] = {}
    for event in events:
        if isinstance(event, TicketOpened):
            opened[event.ticket.ticket_id] = event.ticket
        elif isinstance(event, TicketClosed):
            opened.pop(event.ticket.ticket_id, None)
    return opened


def _stream(parts: RestParts, turn: Turn, token: Token, after: int, headers: dict[str, str]) -> EventStream:
    settings = parts.settings

    async def chunks() -> AsyncIterator[bytes]:
        async for told in turn.follow(after, settings.heartbeat_s):
            if told is None:
                if not parts.tokens.is_good(token.id):
                    return
                yield HEARTBEAT
            else:
                yield write_event(f"{turn.id}-{told.number}", told.name, told.data)

    return EventStream(chunks(), settings.stall_s, headers)
