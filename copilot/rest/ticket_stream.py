"""Tickets as they open and close, told to a program that follows them: whoever decided, and on whatever surface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic_core import to_json

from copilot.rest.core import AnyTicket, RestParts
from copilot.rest.streams import HEARTBEAT, write_event
from copilot.rest.tokens import Scope, Token

_UNDER_WAY = frozenset({"approved", "claimed"})
"""States between a decision and its end; the end is what is told."""


def shown(ticket: AnyTicket, token: Token) -> AnyTicket:
    """Return a ticket as a token may see it."""
    return ticket if Scope.TRADE in token.scopes else ticket.model_copy(update={"nonce": ""})


async def follow_tickets(parts: RestParts, token: Token) -> AsyncIterator[bytes]:
    """Yield what waits, then each change, and a heartbeat in silence; ends when the token is not good any more."""
    loop, settings = asyncio.get_running_loop(), parts.settings
    known: dict[int, str] = {}
    quiet_since = loop.time()
    while parts.tokens.is_good(token.id):
        events = _changes(parts, token, known)
        for event in events:
            yield event
        if events:
            quiet_since = loop.time()
        elif loop.time() - quiet_since >= settings.heartbeat_s:
            quiet_since = loop.time()
            yield HEARTBEAT
        await asyncio.sleep(settings.notice_poll_s)


def _changes(parts: RestParts, token: Token, known: dict[int, str]) -> list[bytes]:
    """Return what has changed since `known`, a nonce by ticket, and bring that up to date."""
    waiting = {ticket.ticket_id: ticket for ticket in parts.core.open_tickets(token.owner)}
    events = []
    for ticket_id in [each for each in known if each not in waiting]:
        ended = parts.core.ticket(token.owner, ticket_id)
        if ended is not None and ended.state in _UNDER_WAY:
            continue
        del known[ticket_id]
        if ended is not None:
            events.append(_event("ticket_closed", ended, token))
    for ticket_id, ticket in waiting.items():
        if known.get(ticket_id) != ticket.nonce:
            known[ticket_id] = ticket.nonce
            events.append(_event("ticket_opened", ticket, token))
    return events


def _event(name: str, ticket: AnyTicket, token: Token) -> bytes:
    return write_event(f"ticket-{ticket.ticket_id}-{ticket.version}", name, to_json({"ticket": shown(ticket, token)}))
