"""The service as one ASGI app, ready to be served by itself or mounted under a path.

It needs no life span: what runs beside it is the broadcaster's task, which whoever serves the app starts and cancels.
"""

from __future__ import annotations

from functools import cached_property

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from engine.api.access import AccessGuard, Authenticate, Doorkeeper
from engine.api.broadcaster import Broadcaster
from engine.api.document import TITLE, VERSION, Document, write_document
from engine.api.page import write_page
from engine.api.problems import UnforeseenErrors, install_handlers
from engine.api.routes import ModelShelf, add_routes

SIGNAL_TIMEOUT_S = 20.0
"""How long a request waits for a signal; longer only while a model is being trained."""


class _Api(FastAPI):
    """FastAPI with a document of our own."""

    has_tokens = False

    @cached_property
    def document(self) -> Document:
        """The document, written once."""
        return write_document(self.routes, has_tokens=self.has_tokens)

    def openapi(self) -> Document:
        """Return the document."""
        return self.document


def create_api(
    broadcaster: Broadcaster,
    models: ModelShelf,
    *,
    authenticate: Authenticate | None = None,
    signal_timeout_s: float = SIGNAL_TIMEOUT_S,
) -> FastAPI:
    """Return the service.

    Args:
        broadcaster: Reads the market; its `run` must be running for the stream and for `/health` to be well.
        models: Where trained models are.
        authenticate: Returns the scopes of a bearer token (`bars`, `signals`, `models`), or None for one that is not
            valid. Without it nobody is asked for a token: then serve to this machine alone.
        signal_timeout_s: How long a request waits for a signal.
    """
    doorkeeper = Doorkeeper(authenticate)
    app = _Api(title=TITLE, version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.has_tokens = not doorkeeper.is_open
    install_handlers(app)
    add_routes(app, broadcaster, models, doorkeeper, signal_timeout_s=signal_timeout_s)

    @app.get("/docs", include_in_schema=False)
    async def read_docs() -> Response:
        return HTMLResponse(write_page(app.document))

    app.add_middleware(AccessGuard, doorkeeper=doorkeeper)
    app.add_middleware(UnforeseenErrors)
    return app
