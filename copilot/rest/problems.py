"""How errors of the product are told: which status, which stable code, in the owner's language.

404 is for what does not exist, 422 for what is badly formed, 409 for what is well formed but cannot be done as things
stand now, 503 for what may work soon. Errors that nobody foresaw tell nothing about the inside.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from copilot.events import Language
from copilot.wording import render_error
from engine.api.problems import ApiError, FieldError, problem_response, try_later, unforeseen
from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest, VenueUnavailable
from prompts import load_words
from tools.results import Unavailable

log = logging.getLogger(__name__)

_ILL_FORMED = frozenset({"bad_argument", "bad_number", "unknown_tool"})
_UNKNOWN = frozenset({"agent_unknown", "unknown_instrument"})
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#|!~&])")
"""A sign that is made harmless for Markdown, which a problem's detail is not."""
_MAX_ERRORS = 10
_MAX_TEXT = 300


def plain(text: str) -> str:
    """Return a sentence of the product without Markdown's escapes."""
    return _ESCAPED.sub(r"\1", text)


def sentence(error: CopilotError, language: Language) -> str:
    """Return what was wrong and what to do, in words."""
    own: Mapping[str, str] = load_words(language, "rest")["errors"]
    if isinstance(error, InvalidRequest) and error.code in own:
        return own[error.code].format(**error.params)
    return plain(render_error(error, language))


def told(error: CopilotError, language: Language) -> ApiError:
    """Return how an error is answered."""
    match error:
        case InvalidRequest():
            return ApiError(_status(error.code), error.code, sentence(error, language))
        case DataUnavailable():
            return ApiError(HTTPStatus.NOT_FOUND, error.code, plain(render_error(error, language)))
        case VenueUnavailable():
            return try_later("venue_unavailable", plain(render_error(error, language)))
        case _:
            return unforeseen()


def unavailable(result: Unavailable, language: Language) -> ApiError:
    """Return how a tool that cannot answer is told."""
    if result.code == "venue_unavailable":
        return told(VenueUnavailable(result.params.get("detail", "")), language)
    params = {key: value for key, value in result.params.items() if key != "detail"}
    return told(DataUnavailable(result.params.get("detail", result.code), code=result.code, **params), language)


def install_handlers(app: FastAPI) -> None:
    """Have every refusal of the app told as a problem."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return problem_response(error, request.scope["path"])

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, CopilotError)
        answer = told(error, "en")
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("the service could not answer %s", request.scope["path"], exc_info=error)
        return problem_response(answer, request.scope["path"])

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = _field_errors(error.errors())
        detail = "; ".join(f"{each.where}: {each.why}" for each in wrong)
        answer = ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=wrong)
        return problem_response(answer, request.scope["path"])

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = _allowed(app, request)
        answer = ApiError(status, status.name.lower(), str(error.detail), headers=headers)
        return problem_response(answer, request.scope["path"])

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(CopilotError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)


def _status(code: str) -> HTTPStatus:
    if code in _ILL_FORMED:
        return HTTPStatus.UNPROCESSABLE_ENTITY
    is_unknown = code in _UNKNOWN or code.endswith("_not_found")
    return HTTPStatus.NOT_FOUND if is_unknown else HTTPStatus.CONFLICT


def _field_errors(errors: Sequence[dict[str, object]]) -> list[FieldError]:
    """Return what is wrong, cut, and without half characters that JSON cannot hold."""
    return [
        FieldError(where=_clean(".".join(map(str, _items(each["loc"])))), why=_clean(str(each["msg"])))
        for each in errors[:_MAX_ERRORS]
    ]


def _items(place: object) -> Sequence[object]:
    return place if isinstance(place, list | tuple) else (place,)


def _clean(text: str) -> str:
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode()


def _allowed(app: FastAPI, request: Request) -> str:
    """Return every method of a path; the framework names those of the first route alone."""
    methods: set[str] = set()
    for route in app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(methods))
