"""The OpenAPI document, completed by what the framework does not know: problems, scopes, streams and headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import JsonValue
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from copilot.rest import views
from copilot.rest.access import OPEN_PATHS, Requires
from copilot.rest.metrics import CONTENT_TYPE
from copilot.rest.streams import EVENT_STREAM, PNG
from engine.api.problems import PROBLEM_MEDIA_TYPE, Problem

Document = dict[str, JsonValue]

TITLE = "Trading Copilot"
VERSION = "1.0.0"
"""Of the contract: the first number changes when a client must."""
_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Talk to the copilot, decide on its tickets, and read prices, the account, agents, alerts and backtests.

- Every request carries `Authorization: Bearer TOKEN`; cookies are not looked at. A token holds some of the scopes
  `read` (look), `trade` (talk, decide, cancel, set alerts, steer agents, stop) and `admin` (tokens, and letting trading
  go on after a stop); none of them holds another.
- Nothing is sent to a venue without a ticket that a caller approved by its nonce. An approval is carried out once,
  however often and wherever it is asked.
- Times are ISO 8601 in UTC; money and quantities are text of plain digits. In a path a symbol's slash is a dash.
- Every failure is `application/problem+json` (RFC 9457) with a stable `code`. 404: there is no such thing. 409: it is
  well formed, but cannot be done as things stand. 422: it is badly formed.
- Every answer tells how much the token may still ask: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`.
"""
_STREAM = """\
Server-sent events. `id` is `<turn_id>-<number>`; a comment comes after a silence. Events, each with JSON data:

- `tool_started` {call_id, tool, arguments}; `tool_progressed` {call_id, tool, done} (0–1, of long ones alone);
  `tool_finished` {call_id, tool, result}
- `answer` {text}: the next piece of the answer; `withdrawn` {kept}: only so many characters of it stand
- `waiting` {ahead}: the chat model is busy with others
- `ticket_opened` {ticket}: it waits for a decision, with the nonce that this needs; `ticket_closed` {ticket}
- `turn_ended` {answer, language, brain, trouble}: always the last

A client that leaves does not end the turn: `GET /chat/{turn_id}` with `Last-Event-ID` reads on.
"""
_NOTICES = (
    "Server-sent events named `notice`, each with a `NoticeView`; `id` is `notice-<id>`. It goes on until closed."
)
_TICKETS = (
    "Server-sent events `ticket_opened` {ticket} and `ticket_closed` {ticket}, wherever it was opened or "
    "decided; first what waits now. A new version of a ticket is opened again. It goes on until closed."
)
_FAILURES: Mapping[str, str] = {
    "400": "The body is no JSON.",
    "401": "The token is missing or not valid.",
    "403": "The token does not hold the scope.",
    "404": "There is no such thing; `code` tells what.",
    "406": "It is not answered in a form that is accepted.",
    "408": "The body did not arrive in time.",
    "409": "It cannot be done as things stand; `code` tells why.",
    "413": "The body is too long.",
    "415": "The body is not sent as JSON.",
    "422": "The request is badly formed; `errors` tells where.",
    "429": "The token asks too much; `Retry-After` tells how long to wait.",
    "500": "Something went wrong here.",
    "503": "Not now; `Retry-After` tells when to ask again.",
}
_CONFLICTS = frozenset(
    {
        ("delete", "/orders/{order_id}"),
        ("post", "/agents/{name}/{action}"),
        ("post", "/alerts"),
        ("patch", "/alerts/{alert_id}"),
        ("post", "/tokens"),
        ("post", "/lift"),
    }
)
_TICKET_CONFLICTS = frozenset(
    {
        ("post", "/tickets/{ticket_id}/approve"),
        ("post", "/tickets/{ticket_id}/reject"),
        ("patch", "/tickets/{ticket_id}"),
    }
)
_STREAMED: Mapping[tuple[str, str], str] = {
    ("post", "/chat"): _STREAM,
    ("get", "/chat/{turn_id}"): _STREAM,
    ("post", "/tickets/{ticket_id}/approve"): _STREAM,
    ("post", "/tickets/{ticket_id}/reject"): _STREAM,
    ("get", "/notices"): _NOTICES,
    ("get", "/tickets"): _TICKETS,
}
_CHARTS = ("get", "/charts/{symbol}")
_LOCATED = frozenset(
    {("post", "/chat", "200"), ("post", "/backtests", "202"), ("post", "/agents/{name}/{action}", "202")}
)
_LINKS: Mapping[tuple[str, str, str], tuple[tuple[str, Mapping[str, str], Mapping[str, str]], ...]] = {
    ("post", "/chat", "200"): (
        *((name, {"ticket_id": "/opened/0/ticket_id"}, {"nonce": "/opened/0/nonce"}) for name in ("approve", "reject")),
        ("follow", {"turn_id": "/turn_id"}, {}),
    ),
    ("get", "/tickets", "200"): tuple(
        (name, {"ticket_id": "/tickets/0/ticket_id"}, {"nonce": "/tickets/0/nonce"}) for name in ("approve", "reject")
    ),
    ("get", "/orders", "200"): (("cancel_order", {"order_id": "/orders/0/order_id"}, {}),),
    ("post", "/alerts", "201"): tuple(
        (name, {"alert_id": "/alert/alert_id"}, {}) for name in ("adjust_alert", "cancel_alert")
    ),
    ("post", "/backtests", "202"): tuple(
        (name, {"job_id": "/job_id"}, {}) for name in ("read_backtest", "drop_backtest")
    ),
    ("post", "/agents/{name}/{action}", "202"): (
        ("approve", {"ticket_id": "/proposal/ticket_id"}, {"nonce": "/proposal/nonce"}),
    ),
    ("post", "/tokens", "201"): (("revoke_token", {"token_id": "/id"}, {}),),
}
"""What an answer leads to: an operation by name, with its parameters and its body out of the answer."""
_NEEDS_DATA = frozenset({"/signals/{symbol}", "/charts/{symbol}", "/portfolio", "/orders", "/trades", "/agents"})


def write_document(routes: Iterable[BaseRoute]) -> Document:
    """Return the document of an app's routes, without its servers."""
    shown = [route for route in routes if isinstance(route, APIRoute) and route.include_in_schema]
    document: Document = get_openapi(title=TITLE, version=VERSION, description=_DESCRIPTION, routes=shown)
    components = _inner(document, "components")
    schemas = _inner(components, "schemas")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_extra_schemas())
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `trading-copilot token create`."}
    }
    for route in shown:
        for method in route.methods or ():
            item = _inner(_inner(document, "paths"), route.path)
            _complete(_inner(item, method.lower()), (method.lower(), route.path), route)
    return document


def _complete(operation: Document, key: tuple[str, str], route: APIRoute) -> None:
    """Add how an operation fails, what it needs, and its other forms."""
    responses = _inner(operation, "responses")
    operation["operationId"] = route.name
    is_open = key[1] in OPEN_PATHS
    statuses = {"422", "500", "413", "408"} | (set() if is_open else {"401", "403", "429", "503"})
    if "requestBody" in operation:
        statuses |= {"400", "415"}
    if "{" in key[1] or key[1] in _NEEDS_DATA or key == ("post", "/alerts"):
        statuses.add("404")
    if key in _STREAMED or key == _CHARTS:
        statuses.add("406")
    if key in _CONFLICTS | _TICKET_CONFLICTS:
        statuses.add("409")
    if not is_open:
        scopes: list[JsonValue] = [scope for scope in _scopes(route)]
        operation["security"] = [{"bearer": scopes}]
    for status in sorted(statuses):
        told = responses.get(status)
        if status == "422" or not isinstance(told, dict):
            responses[status] = _failure(
                status, "TicketProblem" if status == "409" and key in _TICKET_CONFLICTS else "Problem"
            )
    _add_forms(operation, responses, key)


def _add_forms(operation: Document, responses: Document, key: tuple[str, str]) -> None:
    """Add the forms of an answer beside JSON, and headers that lead on."""
    for status, told in responses.items():
        assert isinstance(told, dict)
        if (*key, status) in _LOCATED:
            told["headers"] = {"Location": {"description": "Where it goes on.", "schema": {"type": "string"}}}
        links = _LINKS.get((*key, status))
        if links:
            told["links"] = {name: _link(name, parameters, body) for name, parameters, body in links}
        if status == "429":
            told["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
            }
    if key in _STREAMED:
        text: Document = {"schema": {"type": "string", "description": _STREAMED[key]}}
        _inner(_inner(responses, "200"), "content")[EVENT_STREAM] = text
    if key == _CHARTS:
        picture: Document = {"schema": {"type": "string", "contentMediaType": PNG}}
        _inner(_inner(responses, "200"), "content")[PNG] = picture
    if key == ("get", "/metrics"):
        _inner(responses, "200")["content"] = {CONTENT_TYPE.partition(";")[0]: {"schema": {"type": "string"}}}
    if key == ("get", "/chat/{turn_id}"):
        parameters = operation["parameters"]
        assert isinstance(parameters, list)
        parameters.append(_last_event_id())
    elif key == ("get", "/notices"):
        operation["parameters"] = [_last_event_id()]


def _link(name: str, parameters: Mapping[str, str], body: Mapping[str, str]) -> Document:
    link: Document = {"operationId": name, "parameters": _from_body(parameters)}
    if body:
        link["requestBody"] = _from_body(body)
    return link


def _from_body(places: Mapping[str, str]) -> Document:
    return {name: f"$response.body#{place}" for name, place in places.items()}


def _last_event_id() -> Document:
    about = "Of a stream: the `id` of the last event seen; what came after it follows."
    return {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": about,
        "schema": {"type": "string"},
    }


def _scopes(route: APIRoute) -> list[str]:
    dependencies = [route.dependant]
    found: list[str] = []
    while dependencies:
        each = dependencies.pop()
        dependencies += each.dependencies
        if isinstance(each.call, Requires):
            found.append(each.call.scope.value)
    return found


def _failure(status: str, model: str) -> Document:
    schema: Document = {"$ref": _REF.format(model=model)}
    return {"description": _FAILURES[status], "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}


def _extra_schemas() -> Document:
    """Return schemas that no route names, and anew those whose examples hold a null, which the framework drops."""
    known = [
        each
        for each in vars(views).values()
        if isinstance(each, type) and issubclass(each, views.Answer | Problem) and each is not views.Answer
    ]
    _, made = models_json_schema([(each, "serialization") for each in (Problem, *known)], ref_template=_REF)
    return _inner(made, "$defs")


def _inner(document: Document, name: str) -> Document:
    """Return an object inside a document."""
    found = document[name]
    assert isinstance(found, dict), name
    return found
