"""The account: what is held, what rests, what was done, and the switch that stops everything."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from copilot.rest.asking import NO_BODY, NO_QUERY, Admin, Reader, Trader, answer, language_of, refusal, run_tool
from copilot.rest.core import SURFACE, RestParts
from copilot.rest.market import Asked
from copilot.rest.problems import plain, told
from copilot.rest.views import LiftedView, OrdersView, StoppedView, TradesView
from engine.domain.errors import CopilotError
from prompts import load_words
from tools.results import OrdersCancelled, PortfolioResult
from tools.schema import Period

OrderInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="An order's `order_id`.")]
_ALL = "all"
"""What the tool takes for every order; here each is named."""


class PortfolioQuery(Asked):
    """Which view of the account."""

    view: Literal["summary", "positions", "orders", "trades", "pnl", "risk"] = "summary"
    period: Period = "all"


class TradesQuery(Asked):
    """Which trades."""

    period: Period = "all"


def account_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["account"])

    @routes.get("/portfolio", response_model=PortfolioResult)
    async def read_portfolio(query: Annotated[PortfolioQuery, Query()], token: Reader) -> Response:
        """Read the account."""
        found = await run_tool(parts, token, "check_portfolio", PortfolioResult, view=query.view, period=query.period)
        return answer(found)

    @routes.get("/orders", response_model=OrdersView, dependencies=[NO_QUERY])
    async def list_orders(token: Reader) -> Response:
        """List the orders that rest at the venue."""
        found = await run_tool(parts, token, "check_portfolio", PortfolioResult, view="orders")
        return answer(OrdersView(orders=[*found.orders]))

    @routes.delete("/orders/{order_id}", response_model=OrdersCancelled, dependencies=[NO_QUERY, NO_BODY])
    async def cancel_order(order_id: OrderInPath, token: Trader) -> Response:
        """Cancel a resting order; what protects a position stays."""
        if order_id.lower() == _ALL:
            raise refusal(parts, token, "order_not_found", order_id=order_id)
        return answer(await run_tool(parts, token, "cancel_order", OrdersCancelled, order_id=order_id))

    @routes.get("/trades", response_model=TradesView)
    async def list_trades(query: Annotated[TradesQuery, Query()], token: Reader) -> Response:
        """List the last executions."""
        found = await run_tool(parts, token, "check_portfolio", PortfolioResult, view="trades", period=query.period)
        return answer(TradesView(period=query.period, currency=found.currency, trades=[*found.trades]))

    @routes.post("/stop", response_model=StoppedView, dependencies=[NO_QUERY, NO_BODY])
    async def stop(token: Trader) -> Response:
        """Stop all trading at once: the kill switch. It is never refused for the number of requests."""
        return answer(StoppedView(answer=plain(await parts.core.stop_everything(token.owner, SURFACE))))

    @routes.post("/lift", response_model=LiftedView, dependencies=[NO_QUERY, NO_BODY])
    async def lift(token: Admin) -> Response:
        """Let trading go on after a stop; agents that were halted are let go on one by one."""
        language = language_of(parts, token)
        if parts.lift is None:
            raise refusal(parts, token, "lift_not_here")
        try:
            await parts.lift(token.owner)
        except CopilotError as error:
            raise told(error, language) from error
        return answer(LiftedView(answer=load_words(language, "rest")["lifted"]))

    return routes
