"""Who may do what: a bearer token in the `Authorization` header, and nothing else.

Cookies are never looked at, so that a page of another site that is open in the owner's browser can do nothing: it
cannot set that header without being allowed to by a CORS answer, and none is ever given. Everything is refused that is
not listed in `OPEN_PATHS`, whether or not a route exists.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilot.rest.limits import Buckets
from copilot.rest.metrics import Metrics
from copilot.rest.tokens import Scope as TokenScope
from copilot.rest.tokens import Token, TokenStore
from engine.api.access import local_path
from engine.api.problems import ApiError, problem_response, try_later

log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})
"""What may be read without a token: whether the service is well, and how to talk to it."""
UNLIMITED = frozenset({("POST", "/stop")})
"""What is never refused for its number: stopping everything."""
_TOKEN = "copilot.rest.token"
_MAX_TOKEN = 256
_WORKERS = 2
_SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware that lets nobody past without a good token.

    Args:
        app: What is guarded.
        tokens: The tokens.
        buckets: How much each may ask.
        metrics: Counts refusals.
    """

    def __init__(self, app: ASGIApp, tokens: TokenStore, buckets: Buckets, metrics: Metrics) -> None:
        self._app = app
        self._tokens = tokens
        self._buckets = buckets
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="rest-access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its token, or refuse it."""
        if scope["type"] != "http" or local_path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        told: dict[str, str] = {}
        try:
            token = scope[_TOKEN] = await self._admit(scope)
            if (scope["method"], local_path(scope)) not in UNLIMITED:
                told = self._limit(token)
        except ApiError as error:
            self._metrics.count("refused_requests", error.code)
            await problem_response(error, scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, _telling(send, told))

    async def _admit(self, scope: Scope) -> Token:
        secret = _bearer_token(Headers(scope=scope))
        try:
            token = await asyncio.get_running_loop().run_in_executor(self._pool, self._tokens.find, secret)
        except Exception as error:
            log.exception("a token could not be checked; it was refused")
            raise try_later("access_unknown", "the token could not be checked; try again later") from error
        if token is None:
            raise _unauthorized("the token is not valid", 'Bearer error="invalid_token"')
        return token

    def _limit(self, token: Token) -> dict[str, str]:
        verdict = self._buckets.take(token.id)
        headers = self._buckets.headers(verdict)
        if not verdict.is_allowed:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_requests",
                f"this token asks too much; wait {verdict.wait_s} s",
                headers={"retry-after": str(verdict.wait_s), **headers},
            )
        return headers


class SecurityHeaders:
    """ASGI middleware: no answer is kept, framed, sniffed or read by another site."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its answer gets the headers."""
        await self._app(scope, receive, _telling(send, {"cache-control": "no-store", **_SECURITY_HEADERS}))


class Requires:
    """A route's dependency: the token must hold a scope."""

    def __init__(self, scope: TokenScope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Token:
        """Return the token, or refuse the request."""
        token = token_of(request)
        if self.scope not in token.scopes:
            raise ApiError(
                HTTPStatus.FORBIDDEN,
                "forbidden",
                f"the token does not hold the scope {self.scope.value!r}",
                headers={"www-authenticate": f'Bearer error="insufficient_scope", scope="{self.scope.value}"'},
            )
        return token


def token_of(connection: HTTPConnection) -> Token:
    """Return the token of a request that the guard let in."""
    token = connection.scope.get(_TOKEN)
    assert isinstance(token, Token), "the guard stands in front of every route that asks for a token"
    return token


def _telling(send: Send, headers: dict[str, str]) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer = MutableHeaders(scope=message)
            for name, value in headers.items():
                answer.setdefault(name, value)
        await send(message)

    return told


def _bearer_token(headers: Headers) -> str:
    values = headers.getlist("authorization")
    kind, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    token = token.strip()
    if kind.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        raise _unauthorized("send one header `Authorization: Bearer TOKEN`", "Bearer")
    return token


def _unauthorized(detail: str, challenge: str) -> ApiError:
    return ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, headers={"www-authenticate": challenge})
