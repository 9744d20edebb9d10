"""Server-sent events: how they are written, and an answer that neither a slow nor a silent client can hold for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.api.problems import ApiError

EVENT_STREAM = "text/event-stream"
JSON = "application/json"
PNG = "image/png"
HEARTBEAT = b": heartbeat\n\n"


def write_event(event_id: str, name: str, data: bytes) -> bytes:
    r"""Return one event; `data` is JSON and so a single line.

    >>> write_event("1", "waiting", b'{"ahead":0}')
    b'id: 1\nevent: waiting\ndata: {"ahead":0}\n\n'
    """
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event_id.encode(), name.encode(), data)


def last_event_number(request: Request) -> int:
    """Return the number of the last event that a client saw, from the end of its id; 0 without one."""
    _, _, number = request.headers.get("last-event-id", "").rpartition("-")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0


class EventStream(Response):
    """An answer that goes on.

    Args:
        chunks: Written events; closed when the client is gone.
        stall_s: How long one of them may wait for the client to read.
        headers: Further headers.
    """

    media_type = EVENT_STREAM

    def __init__(self, chunks: AsyncIterator[bytes], stall_s: float, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"x-accel-buffering": "no", **(headers or {})}, media_type=EVENT_STREAM)
        del self.headers["content-length"]
        self._chunks = chunks
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends or the client is gone."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._chunks) as chunks:  # type: ignore[type-var]  # every stream of ours is a generator
            async for chunk in chunks:
                try:
                    async with asyncio.timeout(self._stall_s):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def choose(request: Request, *offered: str) -> str:
    """Return the kind of answer that a client likes best of those offered; the first where it does not care.

    Raises:
        ApiError: It takes none of them.
    """
    header = ", ".join(request.headers.getlist("accept")) or "*/*"
    wishes = [_wish(part) for part in header.split(",")]
    scored = [(_quality(kind, wishes), -place, kind) for place, kind in enumerate(offered)]
    quality, _, kind = max(scored)
    if quality <= 0:
        detail = f"this is answered as {' or '.join(offered)}"
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, "not_acceptable", detail)
    return kind


def _wish(part: str) -> tuple[str, float]:
    kind, *parameters = (each.strip().lower() for each in part.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return kind, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return kind, 0.0


def _quality(kind: str, wishes: list[tuple[str, float]]) -> float:
    """Return how much a kind is wanted; the most exact wish counts."""
    for wanted in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        told = [quality for each, quality in wishes if each == wanted]
        if told:
            return max(told)
    return 0.0


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
