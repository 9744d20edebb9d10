"""Updates that Telegram brings by itself: a small HTTP service behind the owner's TLS proxy.

Telegram's library has such a service only with another web server beside ours. Here it is one route that lets nobody
in without the secret that Telegram was told, and hands what came to the same application that polling feeds; whether
an update is new is decided there. The secret is made anew at each start, so that it is kept nowhere: an update that
still carries the last one is refused, and Telegram brings it again.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

log = logging.getLogger(__name__)

SECRET_HEADER = "x-telegram-bot-api-secret-token"
LONGEST_UPDATE = 1 << 20
"""Bytes; a message has at most 4,096 signs, and what it answers or quotes comes with it."""
_SHUTDOWN_S = 2


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where updates come in.

    Attributes:
        url: What Telegram asks for: the proxy's address, `https`, with a path of its own.
        host: Address that the service listens on; the proxy reaches it there.
        port: Its port; 0 picks a free one.
    """

    url: str
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def path(self) -> str:
        """Return the path that is answered, as the proxy hands it on."""
        return urlsplit(self.url).path or "/"


def make_secret() -> str:
    """Return a secret that Telegram takes: letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(32)


def build_webhook(path: str, secret: str, take: Callable[[object], bool]) -> Starlette:
    """Return the service.

    Args:
        path: The one that is answered.
        secret: What Telegram was told to send along.
        take: Given one update as read from JSON; False for what is none. It returns at once: the answer does not wait
            for what comes of it.
    """

    async def receive(request: Request) -> Response:
        if not _is_secret(request, secret):
            return Response(status_code=HTTPStatus.FORBIDDEN)
        body = await _read(request)
        if body is None:
            return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            update = json.loads(body)
        except (ValueError, RecursionError):
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        return Response(status_code=HTTPStatus.OK if take(update) else HTTPStatus.BAD_REQUEST)

    return Starlette(routes=[Route(path, receive, methods=["POST"])])


@asynccontextmanager
async def listening(options: WebhookOptions, app: Starlette) -> AsyncIterator[int]:
    """Serve an app while the block runs; yield the port.

    Raises:
        OSError: The address is taken, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.create_server((options.host, options.port), family=family)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    server = _Quiet(config)
    with listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)


class _Quiet(uvicorn.Server):
    """A server beside the page's, which alone listens to signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals as they are."""
        yield


def _is_secret(request: Request, secret: str) -> bool:
    offered = request.headers.get(SECRET_HEADER, "")
    return hmac.compare_digest(offered.encode("utf-8", "replace"), secret.encode())


async def _read(request: Request) -> bytes | None:
    """Return the body, or None when it is longer than any update."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_UPDATE:
                return None
    except ClientDisconnect:
        log.debug("Telegram left before an update was whole; it brings it again")
    return bytes(body)
