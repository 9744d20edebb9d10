"""Failures as `application/problem+json` (RFC 9457), for every refusal of the service and without exception.

`code` is stable and for programs, `detail` is a sentence for people. An error that nobody foresaw is logged with its
traceback and answered with a plain sentence that tells nothing about the inside.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.domain.errors import CopilotError, DataUnavailable, VenueUnavailable

log = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:trading-copilot:problem:"
_RETRY_S = 5
_MAX_QUOTED = 200
"""Characters of a caller's own words that an answer repeats."""


class FieldError(BaseModel):
    """One argument that is wrong: where, and why."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="`query.timeframe`, `path.symbol`")
    why: str


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:trading-copilot:problem:unknown_symbol",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no symbol 'DOGE-EUR'; BTC/USDT is written BTC-USDT in a path",
                    "instance": "/signals/DOGE-EUR",
                    "code": "unknown_symbol",
                    "errors": [],
                }
            ]
        },
    )

    type: str = Field(description="A URN that names the kind of problem; it ends in `code`.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str = Field(description="The path that was asked for, percent-encoded.")
    code: str
    errors: list[FieldError] = Field(default_factory=list, description="For `invalid_request`: each wrong argument.")


class ApiError(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        code: Stable name of the problem.
        detail: One sentence: what is wrong, and what to do.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)
        super().__init__(detail)


def problem_response(error: ApiError, path: str) -> Response:
    """Return the answer that tells a refusal."""
    problem = Problem(
        type=_TYPE + error.code,
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        instance=quote(path),
        code=error.code,
        errors=error.errors,
    )
    headers = {"cache-control": "no-store", **error.headers}
    return Response(problem.model_dump_json(), error.status, headers, PROBLEM_MEDIA_TYPE)


def describe_failure(error: CopilotError) -> ApiError:
    """Return how an error of the engine is told: what does not exist is 404, what may come back is 503."""
    if isinstance(error, DataUnavailable):
        return ApiError(HTTPStatus.NOT_FOUND, error.code, str(error))
    if isinstance(error, VenueUnavailable):
        return try_later("venue_unavailable", str(error))
    return unforeseen()


def try_later(code: str, detail: str, *, after_s: int = _RETRY_S) -> ApiError:
    """Return the refusal of something that is expected to work soon."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers={"retry-after": str(after_s)})


def unforeseen() -> ApiError:
    """Return how an error that nobody foresaw is told: without anything about the inside."""
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong here; the program's log says what"
    )


def quoted(text: str) -> str:
    """Return a caller's own word as an answer may repeat it: cut, and with nothing that does not print."""
    return repr(text[:_MAX_QUOTED])


def install_handlers(app: FastAPI) -> None:
    """Have every refusal of an app told as a problem."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return problem_response(error, request.scope["path"])

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, CopilotError)
        told = describe_failure(error)
        if told.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("the API could not answer %s", request.scope["path"], exc_info=error)
        return problem_response(told, request.scope["path"])

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = [FieldError(where=".".join(map(str, each["loc"])), why=str(each["msg"])) for each in error.errors()]
        detail = "; ".join(f"{each.where}: {each.why}" for each in wrong)
        told = ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=wrong)
        return problem_response(told, request.scope["path"])

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        told = ApiError(status, status.name.lower(), str(error.detail), headers=error.headers)
        return problem_response(told, request.scope["path"])

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(CopilotError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)


class UnforeseenErrors:
    """ASGI middleware, outermost: logs what nobody caught and answers with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; an error that comes back ends here unless the answer has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            log.exception("the API failed at %s", scope["path"])
            if has_begun:
                raise
            await problem_response(unforeseen(), scope["path"])(scope, receive, send)
