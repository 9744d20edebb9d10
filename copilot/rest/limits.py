"""Bounds on what one caller may ask: a bucket of requests for each token, and bodies that end.

A body is read whole before anything else sees the request, so that neither its length nor its pace can hold a route
up. The bucket refills steadily; what it holds is told with every answer. It lives in this process: behind several of
them a token has as many buckets.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.problems import ApiError, problem_response

_MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bucket says of a request.

    Attributes:
        left: Whole requests that may follow at once.
        wait_s: Time until the next is allowed; 0 when this one is.
        full_s: Time until the bucket is full again.
    """

    is_allowed: bool
    left: int
    wait_s: int
    full_s: int


class Buckets:
    """Token buckets by name.

    Args:
        size: Requests of a full bucket.
        window_s: Time in which an empty one fills.
        clock: Monotonic seconds.
    """

    def __init__(self, size: int, window_s: float, clock: Callable[[], float]) -> None:
        self.size = size
        self.window_s = window_s
        self._pace = size / window_s
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str) -> Verdict:
        """Take one request out of a bucket."""
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(float(self.size), now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.left = min(bucket.left + (now - bucket.at) * self._pace, float(self.size))
        bucket.at = now
        is_allowed = bucket.left >= 1
        if is_allowed:
            bucket.left -= 1
        wait = 0.0 if is_allowed else (1 - bucket.left) / self._pace
        full = (self.size - bucket.left) / self._pace
        return Verdict(is_allowed, int(bucket.left), math.ceil(wait), math.ceil(full))

    def headers(self, verdict: Verdict) -> dict[str, str]:
        """Return what an answer tells of the bucket."""
        return {
            "ratelimit-limit": str(self.size),
            "ratelimit-remaining": str(verdict.left),
            "ratelimit-reset": str(verdict.full_s),
            "ratelimit-policy": f"{self.size};w={math.ceil(self.window_s)}",
        }


class BodyLimit:
    """ASGI middleware that takes bodies whole, or refuses them.

    Args:
        app: What gets the request.
        most_bytes: Longest body.
        wait_s: How long it may take to arrive.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, wait_s: float) -> None:
        self._app = app
        self._most = most_bytes
        self._wait_s = wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body at hand."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._wait_s):
                body = await self._read(Headers(scope=scope), receive)
        except TimeoutError:
            refusal = ApiError(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time")
            await problem_response(refusal, scope["path"])(scope, receive, send)
        except ApiError as refusal:
            await problem_response(refusal, scope["path"])(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replayed(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """Return the body, or None when the client is gone."""
        told = headers.get("content-length", "0")
        if not told.isdecimal() or int(told[:20]) > self._most:
            raise self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._most:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> ApiError:
        return ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"a body has {self._most} bytes at most",
            headers={"connection": "close"},
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that hands the body over once, and then goes on with the real one."""
    is_told = False

    async def replay() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
