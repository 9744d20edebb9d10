"""The OpenAPI document, completed by what FastAPI does not know: problems, tokens, and the stream's messages."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import JsonValue
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from engine.api import frames, views
from engine.api.access import OPEN_PATHS, Permission, Requires
from engine.api.problems import PROBLEM_MEDIA_TYPE, Problem

Document = dict[str, JsonValue]

TITLE = "Trading Copilot"
VERSION = "1.0.0"
"""Of the contract: the first number changes when a client must."""
_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Signals, bars, models and their reports over HTTP, and a stream of bars and signals over a WebSocket.

- Everything is read-only. Times are ISO 8601 in UTC; a number that does not exist is `null`.
- In a path, a symbol's slash is written as a dash: `/bars/BTC-USDT`. In a query and on the stream both forms are taken.
- Every failure is `application/problem+json` (RFC 9457) with a stable `code`.
"""
_STREAM = """\
Connect with a WebSocket. The server sends `Welcome`; the client sends `Subscribe`, `Unsubscribe` and `Ping`. The server
answers with `Subscribed`, `Pong` or `ErrorFrame`, and sends the events `BarEvent`, `BarsMissed`, `SignalEvent` and
`NoSignalEvent`, and `Heartbeat` after a silence of `heartbeat_s`.

Events carry a `sequence` that only grows. It counts all events, so a client that subscribed to some of them sees
numbers left out. To resume, name the `stream` of the earlier `Welcome` and the last `sequence` seen (a `Heartbeat`'s
counts) in the first `Subscribe`: what is still kept follows, and what is lost is told by `Gap`.

```json
{"op": "subscribe", "kinds": ["signals"], "symbols": ["BTC/USDT"], "timeframes": ["1h"],
 "resume": {"stream": "5f0c2b9e8a41d377", "after": 1204}}
```

The server closes with a reason: 4008 `slow_client`, 4400 `too_many_bad_messages`, 4401 `access_changed` (the token was
withdrawn or grants something else), 1001 `shutting_down`, 1011 `internal_error`.
"""
_FAILURES = {
    "401": "The token is missing or not valid.",
    "403": "The token does not grant this.",
    "404": "There is no such thing; `code` tells what.",
    "422": "An argument is wrong; `errors` tells which.",
    "426": "The stream is a WebSocket.",
    "500": "Something went wrong here.",
    "503": "Not now; `Retry-After` tells when to ask again.",
}


def write_document(routes: Iterable[BaseRoute], *, has_tokens: bool) -> Document:
    """Return the document.

    Args:
        routes: Of the app.
        has_tokens: Whether a token is asked for.
    """
    shown = [route for route in routes if isinstance(route, APIRoute) and route.include_in_schema]
    document: Document = get_openapi(title=TITLE, version=VERSION, description=_DESCRIPTION, routes=shown)
    schemas = _inner(_inner(document, "components"), "schemas")
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas.update(_extra_schemas())
    if has_tokens:
        _inner(document, "components")["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for route in shown:
        operation = _inner(_inner(_inner(document, "paths"), route.path), "get")
        _complete(operation, route, has_tokens=has_tokens)
    return document


def _complete(operation: Document, route: APIRoute, *, has_tokens: bool) -> None:
    """Add how an operation fails, what it needs, and for the stream what it is."""
    statuses = ["500"]
    is_open = route.path in OPEN_PATHS
    if has_tokens and not is_open:
        statuses += ["401", "403", "503"]
        scopes: list[JsonValue] = [each.value for each in _permissions(route)]
        operation["security"] = [{"bearer": scopes}]
    if operation.get("parameters"):
        statuses += ["404", "422"]
    if route.path in ("/health", "/signals/{symbol}"):
        statuses.append("503")
    responses = _inner(operation, "responses")
    if route.path == "/stream":
        statuses.append("426")
        responses.pop("200", None)
        responses["101"] = {"description": "The stream begins."}
        operation["description"] = _STREAM
    responses.update({status: _failure(status) for status in sorted(statuses)})


def _permissions(route: APIRoute) -> list[Permission]:
    return [each.call.permission for each in route.dependant.dependencies if isinstance(each.call, Requires)]


def _failure(status: str) -> Document:
    schema: Document = {"$ref": _REF.format(model="Problem")}
    return {"description": _FAILURES[status], "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}


def _extra_schemas() -> Document:
    """Return the schemas that FastAPI does not know, and anew those of answers: it drops every null from an example."""
    told = (
        Problem,
        views.BarsView,
        views.SignalView,
        views.SignalsView,
        views.ModelView,
        views.ModelsView,
        views.ReportView,
        views.HealthView,
        frames.Subscribe,
        frames.Unsubscribe,
        frames.Ping,
        frames.Welcome,
        frames.Subscribed,
        frames.Gap,
        frames.BarEvent,
        frames.BarsMissed,
        frames.SignalEvent,
        frames.NoSignalEvent,
        frames.Heartbeat,
        frames.Pong,
        frames.ErrorFrame,
    )
    _, made = models_json_schema([(each, "serialization") for each in told], ref_template=_REF)
    return _inner(made, "$defs")


def _inner(document: Document, name: str) -> Document:
    """Return an object inside a document."""
    found = document[name]
    assert isinstance(found, dict), name
    return found
