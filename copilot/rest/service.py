"""The service about itself: health, figures, and its tokens."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Path
from starlette.responses import Response

from copilot.rest.asking import NO_BODY, NO_QUERY, Admin, Reader, answer, language_of, refusal
from copilot.rest.core import RestParts
from copilot.rest.health import examine, overall
from copilot.rest.metrics import CONTENT_TYPE, Metrics
from copilot.rest.problems import told
from copilot.rest.tokens import Scope, Token
from copilot.rest.turns import Turns
from copilot.rest.views import FreshToken, HealthView, NewToken, PartView, TokensView, TokenView
from engine.domain.errors import InvalidRequest

TokenInPath = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="A token's `id`.")]


def service_routes(parts: RestParts, metrics: Metrics, turns: Turns) -> APIRouter:
    """Return health and figures."""
    routes = APIRouter(tags=["service"], dependencies=[NO_QUERY])

    @routes.get("/health", response_model=HealthView, responses={503: {"model": HealthView}})
    async def read_health() -> Response:
        """Tell whether every part is well; needs no token. 503 when a vital part is not."""
        found = await examine(parts.probes)
        status = overall(found)
        views = [PartView(name=each.name, trouble=each.trouble, is_vital=each.is_vital) for each in found]
        code = HTTPStatus.SERVICE_UNAVAILABLE if status == "down" else HTTPStatus.OK
        return answer(HealthView(status=status, parts=views), code)

    @routes.get("/metrics", response_class=Response)
    async def read_metrics(token: Reader) -> Response:
        """Read the figures in Prometheus' text format."""
        own = {"turns_running": lambda: float(turns.running), "backtests_open": lambda: float(parts.jobs.count_open())}
        return Response(metrics.write({**own, **parts.gauges}), media_type=CONTENT_TYPE)

    return routes


def token_routes(parts: RestParts) -> APIRouter:
    """Return the routes of tokens; they never reach another owner's."""
    routes = APIRouter(tags=["tokens"], dependencies=[NO_QUERY])

    @routes.post("/tokens", response_model=FreshToken, status_code=201)
    async def create_token(asked: Annotated[NewToken, Body()], token: Admin) -> Response:
        """Make a token; it is shown this once."""
        days = asked.expires_in_days
        ends_at = None if days is None else parts.now() + timedelta(days=days)
        try:
            secret, made = parts.tokens.create(asked.name, map(Scope, asked.scopes), token.owner, ends_at)
        except InvalidRequest as error:
            raise told(error, language_of(parts, token)) from error
        return answer(FreshToken(**tell_token(made).model_dump(), token=secret), HTTPStatus.CREATED)

    @routes.get("/tokens", response_model=TokensView)
    async def list_tokens(token: Admin) -> Response:
        """List the tokens, without their secrets."""
        return answer(TokensView(tokens=[tell_token(each) for each in parts.tokens.list(token.owner)]))

    @routes.delete("/tokens/{token_id}", status_code=204, dependencies=[NO_BODY])
    async def revoke_token(token_id: TokenInPath, token: Admin) -> Response:
        """Revoke a token; it is worthless from now on."""
        if not parts.tokens.revoke(token_id, token.owner):
            raise refusal(parts, token, "token_not_found")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return routes


def tell_token(token: Token) -> TokenView:
    """Return a token as it is answered."""
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        used_at=token.used_at,
    )
