"""What every route shares: whom it speaks for, running a tool, and how an answer is written."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import Response

from copilot.events import Language
from copilot.rest.access import Requires
from copilot.rest.core import RestParts
from copilot.rest.problems import told, unavailable
from copilot.rest.tokens import Scope, Token
from engine.api.problems import ApiError
from engine.domain.errors import CopilotError, InvalidRequest
from tools.registry import ToolContext
from tools.results import Result, Unavailable

CONVERSATION = "rest"
"""Where tools run that no conversation asked for."""

R = TypeVar("R", bound=Result)


async def refuse_query(request: Request) -> None:
    """Refuse a query where none is known, so that a misspelt name is noticed."""
    if request.query_params:
        name = next(iter(request.query_params))
        raise RequestValidationError([{"loc": ("query", name), "msg": "Extra inputs are not permitted"}])


async def no_body(request: Request) -> None:
    """Refuse a body where none is known."""
    if await request.body():
        raise RequestValidationError([{"loc": ("body",), "msg": "No body is taken here"}])


NO_QUERY = Depends(refuse_query)
NO_BODY = Depends(no_body)
Reader = Annotated[Token, Depends(Requires(Scope.READ))]
Trader = Annotated[Token, Depends(Requires(Scope.TRADE))]
Admin = Annotated[Token, Depends(Requires(Scope.ADMIN))]


def language_of(parts: RestParts, token: Token) -> Language:
    """Return the language of a token's owner."""
    return parts.core.language(token.owner, parts.fallback)


def refusal(parts: RestParts, token: Token, code: str, **params: object) -> ApiError:
    """Return the refusal that a code stands for, in the owner's language."""
    return told(InvalidRequest(code, **params), language_of(parts, token))


async def run_tool(parts: RestParts, token: Token, name: str, kind: type[R], **arguments: Any) -> R:
    """Run a tool for a token's owner and return its result.

    Raises:
        ApiError: It cannot be done.
    """
    language = language_of(parts, token)
    given = {key: value for key, value in arguments.items() if value is not None}
    try:
        result = await parts.tools.run(name, given, ToolContext(token.owner, CONVERSATION, language))
    except CopilotError as error:
        raise told(error, language) from error
    if isinstance(result, Unavailable):
        raise unavailable(result, language)
    if not isinstance(result, kind):
        raise TypeError(f"{name} answered {type(result).__name__}")
    return result


def answer(value: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON; a number that does not exist is null."""
    return Response(value.model_dump_json(), status, headers, "application/json")


def address(request: Request, path: str) -> str:
    """Return a path of the service as a client asks for it, wherever the service is mounted."""
    return f"{request.scope.get('root_path', '')}{path}"
