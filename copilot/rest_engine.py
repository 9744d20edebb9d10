"""Serve the ML engine over HTTP: its own process and port, beside the page or without it.

The service only reads. On this machine alone it needs no token, but it answers to this machine's names alone, so that
no web page can reach it by a name of its own; beyond this machine it wants the token of the settings.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Collection

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware

from copilot.bootstrap import Report, prepare_signals
from copilot.markets import running_market, settle_market
from copilot.places import open_registry, prepare_data_dir
from copilot.settings import LOOPBACK, Settings
from copilot.web.server import listen
from engine.api import Authenticate, Broadcaster, create_api
from engine.domain.errors import ConfigError

SCOPES = ("bars", "signals", "models")
_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")


async def serve_engine(settings: Settings, report: Report, say: Callable[[str], None]) -> None:
    """Prepare market and models and serve them until interrupted.

    Raises:
        ConfigError: A setting cannot be used, or other machines could reach the service without a token.
    """
    token = settings.api_token.get_secret_value()
    if settings.host not in LOOPBACK and not token:
        raise ConfigError(
            f"COPILOT_HOST is {settings.host!r}: other machines could reach the service, and no token is set; "
            "set COPILOT_API_TOKEN, or keep COPILOT_HOST at 127.0.0.1"
        )
    prepare_data_dir(settings)
    settings = settle_market(settings, is_noted=False).settings
    async with running_market(settings, lambda done: report(done, "market")) as market:
        signals = await prepare_signals(settings, market, report)
        broadcaster = Broadcaster(market, signals)
        app = create_api(broadcaster, open_registry(settings), authenticate=_check(token))
        if settings.host in LOOPBACK:
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(_NAMES))
        listener = listen(settings.host, settings.api_port, has_password=True, setting="COPILOT_API_PORT")
        report(1.0, "")
        say(f"http://{settings.host}:{listener.getsockname()[1]}/docs")
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        with listener:
            stream = asyncio.create_task(broadcaster.run())
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                await asyncio.shield(serving)
            finally:
                stream.cancel()
                server.should_exit = True
                await asyncio.gather(serving, stream, return_exceptions=True)


def _check(token: str) -> Authenticate | None:
    if not token:
        return None

    def scopes(offered: str) -> Collection[str] | None:
        return SCOPES if hmac.compare_digest(offered.encode(), token.encode()) else None

    return scopes
