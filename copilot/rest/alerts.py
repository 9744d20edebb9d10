"""Alerts: set, listed, adjusted, cancelled."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field
from starlette.responses import Response

from copilot.rest.asking import NO_BODY, NO_QUERY, Reader, Trader, answer, language_of, refusal, run_tool
from copilot.rest.core import RestParts
from copilot.rest.market import Asked
from copilot.rest.problems import told
from copilot.rest.views import SYMBOL, AlertChanges, AlertsView, NewAlert, plain_symbol
from engine.domain.errors import InvalidRequest
from tools.alerts import AdjustAlert
from tools.results import AlertList, AlertsCancelled, AlertSet, AlertView

AlertInPath = Annotated[str, Path(pattern=r"^[0-9]{1,10}$", description="An alert's `alert_id`.")]
_LONGEST = timedelta(days=3660)
"""How far off an alert may end: farther is a slip, and years beyond 9999 cannot be kept."""


class AlertsQuery(Asked):
    """Which alerts; all unless a symbol is named."""

    symbol: Annotated[str, Field(pattern=SYMBOL)] | None = None


def alert_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["alerts"])

    @routes.get("/alerts", response_model=AlertsView)
    async def list_alerts(query: Annotated[AlertsQuery, Query()], token: Reader) -> Response:
        """List the active alerts."""
        symbol = None if query.symbol is None else plain_symbol(query.symbol)
        found = await run_tool(parts, token, "list_alerts", AlertList, symbol=symbol)
        return answer(AlertsView(alerts=[*found.alerts]))

    @routes.post("/alerts", response_model=AlertSet, status_code=201, dependencies=[NO_QUERY])
    async def set_alert(asked: Annotated[NewAlert, Body()], token: Trader) -> Response:
        """Set an alert."""
        arguments = {**asked.model_dump(), "symbol": plain_symbol(asked.symbol)}
        return answer(await run_tool(parts, token, "set_alert", AlertSet, **arguments), HTTPStatus.CREATED)

    @routes.patch("/alerts/{alert_id}", response_model=AlertView, dependencies=[NO_QUERY])
    async def adjust_alert(alert_id: AlertInPath, asked: Annotated[AlertChanges, Body()], token: Trader) -> Response:
        """Make an alert repeat or not, rest longer, or end by itself."""
        if not asked.model_fields_set:
            raise refusal(parts, token, "nothing_to_change")
        changes: dict[str, Any] = asked.model_dump(exclude_unset=True)
        if asked.expires_at is not None:
            changes["expires_at"] = end = datetime.fromisoformat(asked.expires_at.upper())
            if end - parts.now() > _LONGEST:
                raise refusal(parts, token, "alert_too_far", days=_LONGEST.days)
        try:
            return answer(parts.alerts.adjust(AdjustAlert(alert_id=alert_id, **changes), token.owner))
        except InvalidRequest as error:
            raise told(error, language_of(parts, token)) from error

    @routes.delete("/alerts/{alert_id}", response_model=AlertsCancelled, dependencies=[NO_QUERY, NO_BODY])
    async def cancel_alert(alert_id: AlertInPath, token: Trader) -> Response:
        """Cancel an alert."""
        return answer(await run_tool(parts, token, "cancel_alert", AlertsCancelled, alert_id=alert_id))

    return routes
