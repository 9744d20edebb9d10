"""What happened while nobody looked: alerts, tickets, agents. Each token is a surface of its own.

Reading marks nothing: a program that was shown a notice says so, and gets what it did not mark again. As a stream the
notices come as they happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic_core import to_json
from starlette.responses import Response

from copilot.rest.asking import NO_QUERY, Reader, answer, language_of
from copilot.rest.core import SURFACE, RestParts
from copilot.rest.problems import plain
from copilot.rest.streams import EVENT_STREAM, HEARTBEAT, JSON, EventStream, choose, last_event_number, write_event
from copilot.rest.tokens import Token
from copilot.rest.views import NoticesView, NoticeView, Seen, SeenView
from copilot.wording import render_notice
from tools.notices import Notice


def notice_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["notices"], dependencies=[NO_QUERY])

    @routes.get("/notices", response_model=NoticesView)
    async def list_notices(request: Request, token: Reader) -> Response:
        """Read what this token has not marked as seen, or follow it as a stream."""
        if choose(request, JSON, EVENT_STREAM) == EVENT_STREAM:
            after = last_event_number(request)
            return EventStream(_follow(parts, token, after), parts.settings.stall_s)
        return answer(NoticesView(notices=[_tell(parts, token, each) for each in pending(parts, token)]))

    @routes.post("/notices/seen", response_model=SeenView)
    async def mark_seen(asked: Annotated[Seen, Body()], token: Reader) -> Response:
        """Mark notices as seen; what this token does not wait for is left out."""
        waiting = {notice.id for notice in pending(parts, token)}
        marked = parts.notices.mark_delivered(sorted(waiting & set(asked.ids)), surface_of(token))
        return answer(SeenView(ids=[*marked]), HTTPStatus.OK)

    return routes


def surface_of(token: Token) -> str:
    """Return the name under which a token is shown notices."""
    return f"{SURFACE}-{token.id}"


def pending(parts: RestParts, token: Token) -> tuple[Notice, ...]:
    """Return what a token has not marked, of what happened since it was made; oldest first."""
    waiting = parts.notices.pending(token.owner, surface_of(token))
    return tuple(notice for notice in waiting if notice.created_at >= token.created_at)


def _tell(parts: RestParts, token: Token, notice: Notice) -> NoticeView:
    text = plain(render_notice(notice.kind, notice.params, language_of(parts, token)))
    return NoticeView(
        id=notice.id, kind=notice.kind, params=dict(notice.params), text=text, created_at=notice.created_at
    )


async def _follow(parts: RestParts, token: Token, after: int) -> AsyncIterator[bytes]:
    """Yield notices as they come, and a heartbeat in silence; ends when the token is not good any more."""
    loop, settings = asyncio.get_running_loop(), parts.settings
    quiet_since = loop.time()
    while parts.tokens.is_good(token.id):
        for notice in pending(parts, token):
            if notice.id > after:
                after = notice.id
                quiet_since = loop.time()
                yield write_event(f"notice-{notice.id}", "notice", to_json(_tell(parts, token, notice)))
        if loop.time() - quiet_since >= settings.heartbeat_s:
            quiet_since = loop.time()
            yield HEARTBEAT
        await asyncio.sleep(settings.notice_poll_s)
