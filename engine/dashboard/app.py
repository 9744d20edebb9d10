"""The dashboard as one ASGI app, to be mounted under a path behind a sign-in.

It needs no life span: the task that reads the market and the facts runs while a page is open. Its answers carry a
policy under which a browser runs no script but these files and asks no host but this one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.dashboard.board import Board
from engine.dashboard.feeder import Feeder
from engine.dashboard.frames import Ending
from engine.dashboard.session import Session
from engine.dashboard.settings import DashboardSettings
from engine.dashboard.switch import Switch, Tokens, is_own_page
from engine.dashboard.telling import tell_facts
from engine.dashboard.view import DashboardView, Facts, Trading
from engine.domain.errors import ConfigError
from engine.domain.protocols import MarketData

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_POLICY_VIOLATION, _TRY_LATER = 1008, 1013
Words = Mapping[str, Mapping[str, Any]]


def build_dashboard(
    view: DashboardView,
    market: MarketData,
    words: Words,
    *,
    owner: str,
    prefer: Callable[[str], str],
    settings: DashboardSettings | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the dashboard.

    Args:
        view: Tells everything but prices, and halts.
        market: Tells prices.
        words: What the page says, by language; every language with the same keys.
        owner: Login of who is signed in: whose name a halt carries.
        prefer: Returns the language to begin in (a key of `words`) from an Accept-Language header.
        settings: Limits.
        clock: Seconds that never run backwards, for the life of a confirmation.

    Raises:
        ConfigError: There are no words.
    """
    if not words:
        raise ConfigError("the dashboard has no words: hand in at least one language")
    dashboard = _Dashboard(view, market, words, owner, prefer, settings or DashboardSettings(), clock)
    folder = Path(str(files(__name__.rpartition(".")[0]))) / "assets"
    routes: list[BaseRoute] = [
        Route("/", dashboard.page(folder)),
        Route("/words", dashboard.read_words),
        Route("/halt/token", dashboard.issue_token, methods=["POST"]),
        Route("/halt", dashboard.halt, methods=["POST"]),
        WebSocketRoute("/stream", dashboard.stream),
        Mount("/assets", StaticFiles(directory=folder)),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(_Guarded)
    return app


def dashboard_routes(app: ASGIApp, path: str = "/dashboard") -> list[BaseRoute]:
    """Return the routes that mount the dashboard, with and without a slash at the end of its path."""

    async def to_slash(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{path}/", 307)

    return [Route(path, to_slash), Mount(path, app)]


class _Dashboard:
    """What stands behind the routes."""

    def __init__(
        self,
        view: DashboardView,
        market: MarketData,
        words: Words,
        owner: str,
        prefer: Callable[[str], str],
        settings: DashboardSettings,
        clock: Callable[[], float],
    ) -> None:
        self._market = market
        self._words = words
        self._owner = owner
        self._prefer = prefer
        self._settings = settings
        self._board = Board(settings.max_forgotten)
        self._feeder = Feeder(self._board, view, market, settings)
        self._tokens = Tokens(settings.token_life_s, clock)
        self._switch = Switch(view, settings.halt_patience_s)
        self._clients = 0

    def page(self, folder: Path) -> Callable[[Request], Any]:
        """Return what answers with the page."""

        async def read_page(request: Request) -> Response:
            del request
            return FileResponse(folder / "index.html", headers={"cache-control": "no-cache"})

        return read_page

    async def read_words(self, request: Request) -> Response:
        """Return the words of the language asked for, else of the one preferred."""
        asked = request.query_params.get("language", "")
        language = asked if asked in self._words else self._prefer(request.headers.get("accept-language", ""))
        if language not in self._words:
            language = next(iter(self._words))
        answer = {"language": language, "languages": list(self._words), "words": self._words[language]}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def issue_token(self, request: Request) -> Response:
        """Return a token that confirms one halt."""
        if not is_own_page(request):
            return _refuse(403, "foreign_page")
        answer = {"token": self._tokens.issue(), "seconds": self._settings.token_life_s}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def halt(self, request: Request) -> Response:
        """Halt everything, when the request carries a good token in `X-Halt-Token`."""
        if not is_own_page(request):
            return _refuse(403, "foreign_page")
        if not self._tokens.spend(request.headers.get("x-halt-token", "")):
            return _refuse(403, "bad_token")
        try:
            trading = await self._switch.press(self._owner)
        except Exception:
            # Whatever it was is in the log; the person must know at once that nothing is certain.
            return _refuse(503, "not_confirmed")
        if trading is None:
            return JSONResponse({"code": "under_way"}, 202)
        self._feeder.tell_trading(trading)
        return JSONResponse({"code": "halted", "trading": _trading_row(trading)})

    async def stream(self, websocket: WebSocket) -> None:
        """Serve one client of the stream."""
        if not is_own_page(websocket):
            await websocket.close(_POLICY_VIOLATION)
            return
        if self._clients >= self._settings.max_clients:
            await websocket.close(_TRY_LATER)
            return
        self._clients += 1
        self._feeder.start()
        try:
            ending = await Session(websocket, self._board, self._feeder, self._settings, self._market.now).run()
            if ending is Ending.SLOW_CLIENT:
                log.info("a page that did not keep up was let go")
        finally:
            self._clients -= 1
            if not self._clients:
                await self._feeder.stop()


class _Guarded:
    """Middleware that puts the policy on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        await self._app(scope, receive, wrapped)


def _trading_row(trading: Trading) -> JsonValue:
    return tell_facts(Facts(trading))["trading"]


def _refuse(status: int, code: str) -> Response:
    return JSONResponse({"code": code}, status, headers={"cache-control": "no-store"})
