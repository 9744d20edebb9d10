"""Who may ask what: a bearer token is checked by a function that is handed in, and gives scopes.

With such a function everything is refused that is not listed in `OPEN_PATHS`, whether or not a route exists; without
one everything is allowed, which is meant for a server that only its owner reaches. A page of another site that is open
in the owner's browser can read none of it: answers carry no CORS headers, and a WebSocket must come from the own host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.api.problems import ApiError, problem_response, try_later

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})
"""What may be read without a token: whether the service is well, and how to talk to it."""
_GRANTED = "engine.api.granted"
_TOKEN = "engine.api.token"
_MAX_TOKEN = 4096
_WORKERS = 2

Authenticate = Callable[[str], Collection[str] | None]
"""Returns the scopes of a bearer token, or None for a token that is not valid. Called on a thread; it may take its
time, and must compare in constant time."""


class Permission(StrEnum):
    """What a token may be good for."""

    BARS = "bars"
    SIGNALS = "signals"
    MODELS = "models"


EVERYTHING = frozenset(Permission)


class Doorkeeper:
    """Checks tokens beside the event loop.

    Args:
        authenticate: The check, or None to let everybody in.
    """

    def __init__(self, authenticate: Authenticate | None) -> None:
        self._authenticate = authenticate
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="api-access")

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._authenticate is None

    async def granted(self, token: str) -> frozenset[Permission] | None:
        """Return what a token is good for now, or None when it is not valid. Scopes that nobody knows are dropped."""
        if self._authenticate is None:
            return EVERYTHING
        scopes = await asyncio.get_running_loop().run_in_executor(self._pool, self._authenticate, token)
        return None if scopes is None else frozenset(each for each in Permission if each.value in scopes)


class AccessGuard:
    """ASGI middleware that lets nobody past without a valid token, if tokens are asked for at all.

    Args:
        app: What is guarded.
        doorkeeper: Checks tokens.
    """

    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper) -> None:
        self._app = app
        self._doorkeeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with what its token grants, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            scope[_GRANTED], scope[_TOKEN] = await self._admit(scope)
        except ApiError as error:
            await refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> tuple[frozenset[Permission], str]:
        if self._doorkeeper.is_open:
            return EVERYTHING, ""
        if scope["type"] == "http" and local_path(scope) in OPEN_PATHS:
            return frozenset(), ""
        token = _bearer_token(Headers(scope=scope))
        try:
            granted = await self._doorkeeper.granted(token)
        except Exception as error:
            log.exception("a token could not be checked; it was refused")
            raise try_later("access_unknown", "the token could not be checked; try again later") from error
        if granted is None:
            raise _unauthorized("the token is not valid", 'Bearer error="invalid_token"')
        return granted, token


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a WebSocket's handshake, with a problem."""
    response = problem_response(error, scope["path"])
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def local_path(scope: Scope) -> str:
    """Return the path below the point where the app is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def granted_to(connection: HTTPConnection) -> frozenset[Permission]:
    """Return what the token of a request grants; nothing when no guard has looked at it."""
    granted: frozenset[Permission] = connection.scope.get(_GRANTED, frozenset())
    return granted


def token_of(connection: HTTPConnection) -> str:
    """Return the token of a request that a guard let in."""
    token: str = connection.scope.get(_TOKEN, "")
    return token


class Requires:
    """A route's dependency: the token must grant a permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        """Refuse a request whose token does not grant it."""
        if self.permission not in granted_to(request):
            raise forbidden(self.permission)


def forbidden(permission: Permission) -> ApiError:
    """Return the refusal of a valid token that is not good for something."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "forbidden",
        f"the token does not grant {permission.value!r}",
        headers={"www-authenticate": f'Bearer error="insufficient_scope", scope="{permission.value}"'},
    )


def is_same_origin(websocket: WebSocket) -> bool:
    """Tell whether a handshake comes from a program, or from a page of the own host."""
    origin = websocket.headers.get("origin")
    host = websocket.headers.get("host", "").lower()
    return origin is None or origin.lower() in (f"http://{host}", f"https://{host}")


def _bearer_token(headers: Headers) -> str:
    values = headers.getlist("authorization")
    kind, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if kind.lower() != "bearer" or not token.strip() or len(token) > _MAX_TOKEN:
        raise _unauthorized("send one header `Authorization: Bearer TOKEN`", "Bearer")
    return token.strip()


def _unauthorized(detail: str, challenge: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, headers={"www-authenticate": challenge})
