"""The service as one ASGI app, ready to be served by itself or mounted under a path.

It needs no life span. What it is made of is handed in; it keeps turns under way, buckets and counters, and nothing
that must survive it. From the outside in: security headers, errors that nobody foresaw, figures, tokens and their
buckets, bodies, routes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from copilot.events import Language
from copilot.rest.access import Guard, SecurityHeaders
from copilot.rest.account import account_routes
from copilot.rest.agents import agent_routes
from copilot.rest.alerts import alert_routes
from copilot.rest.backtests import backtest_routes
from copilot.rest.chat import chat_routes, ticket_routes
from copilot.rest.core import AlertBook, Clock, Lift, NoticeBook, RestCore, RestParts, Tools
from copilot.rest.document import TITLE, VERSION, Document, write_document
from copilot.rest.health import Probe
from copilot.rest.jobs import BacktestJobs
from copilot.rest.limits import BodyLimit, Buckets
from copilot.rest.market import market_routes
from copilot.rest.metrics import Gauge, Measuring, Metrics
from copilot.rest.notices import notice_routes
from copilot.rest.problems import install_handlers
from copilot.rest.service import service_routes, token_routes
from copilot.rest.settings import RestSettings
from copilot.rest.tokens import TokenStore
from copilot.rest.turns import Turns
from engine.api.page import write_page
from engine.api.problems import ApiError, UnforeseenErrors, problem_response

_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NO_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class _Rest(FastAPI):
    """FastAPI with a document of our own."""

    @cached_property
    def document(self) -> Document:
        """The document, written once."""
        return write_document(self.routes)

    def openapi(self) -> Document:
        """Return the document."""
        return self.document


class _JsonOnly:
    """ASGI middleware: a body is JSON, whatever a form of another site sends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse its kind of body."""
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if scope["method"] in _NO_BODY or kind == "application/json" or not (has_body or kind):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "send the body as application/json"
        )
        await problem_response(error, scope["path"])(scope, receive, send)


def build_rest(
    core: RestCore,
    tokens: TokenStore,
    *,
    tools: Tools,
    alerts: AlertBook,
    notices: NoticeBook,
    jobs: BacktestJobs,
    now: Clock,
    probes: tuple[Probe, ...] = (),
    gauges: Mapping[str, Gauge] | None = None,
    fallback: Language = "en",
    settings: RestSettings | None = None,
    lift: Lift | None = None,
) -> FastAPI:
    """Return the service.

    Args:
        core: The copilot: turns, tickets and proposals.
        tokens: Who may call.
        tools: The toolbox: everything that is read, and what acts at once.
        alerts: Where alerts are adjusted.
        notices: What happened while nobody looked.
        jobs: Backtests; its `close` ends them.
        now: Wall time, aware UTC.
        probes: What `/health` looks at.
        gauges: Further figures of `/metrics`.
        fallback: Language of owners who chose none.
        settings: Bounds.
        lift: Lets trading go on after a stop; None where only the owner's terminal may.
    """
    bounds = settings or RestSettings()
    parts = RestParts(
        core, tokens, tools, alerts, notices, jobs, now, probes, dict(gauges or {}), fallback, bounds, lift
    )
    metrics = Metrics()
    turns = Turns(bounds, metrics, time.monotonic)
    app = _Rest(title=TITLE, version=VERSION, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    install_handlers(app)
    for routes in (
        chat_routes(parts, turns),
        ticket_routes(parts, turns),
        market_routes(parts),
        account_routes(parts),
        agent_routes(parts),
        alert_routes(parts),
        backtest_routes(parts),
        notice_routes(parts),
        service_routes(parts, metrics, turns),
        token_routes(parts),
    ):
        # Not included as a router: the routes themselves are read for the document, the figures and `Allow`.
        app.router.routes.extend(routes.routes)

    @app.get("/openapi.json", include_in_schema=False)
    async def read_document(request: Request) -> Response:
        return JSONResponse({**app.document, "servers": [{"url": request.scope.get("root_path", "") or "/"}]})

    @app.get("/docs", include_in_schema=False)
    async def read_page() -> Response:
        return HTMLResponse(write_page(app.document), headers={"content-security-policy": _PAGE_POLICY})

    # The last that is added is the outermost.
    app.add_middleware(_JsonOnly)
    app.add_middleware(BodyLimit, most_bytes=bounds.body_bytes, wait_s=bounds.body_wait_s)
    buckets = Buckets(bounds.requests, bounds.requests_window_s, time.monotonic)
    app.add_middleware(Guard, tokens=tokens, buckets=buckets, metrics=metrics)
    app.add_middleware(Measuring, metrics=metrics, routes=app.routes)
    app.add_middleware(UnforeseenErrors)
    app.add_middleware(SecurityHeaders)
    return app
