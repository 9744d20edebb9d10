"""The trading agents: pausing and stopping act at once, whatever lets one do more becomes a proposal."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from copilot.rest.asking import NO_BODY, NO_QUERY, Reader, Trader, address, answer, run_tool
from copilot.rest.core import RestParts
from copilot.rest.market import Asked
from tools.agent_results import AgentsChanged, AgentStatusResult
from tools.schema import AgentOrAll, Period

Action = Literal["start", "pause", "resume", "stop"]


class AgentsQuery(Asked):
    """Which agents, and of which period their results are."""

    agent: AgentOrAll = "all"
    period: Period = "all"


def agent_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["agents"])

    @routes.get("/agents", response_model=AgentStatusResult)
    async def list_agents(query: Annotated[AgentsQuery, Query()], token: Reader) -> Response:
        """Read how the agents fare."""
        found = await run_tool(parts, token, "agent_status", AgentStatusResult, agent=query.agent, period=query.period)
        return answer(found)

    @routes.post(
        "/agents/{name}/{action}",
        response_model=AgentsChanged,
        dependencies=[NO_QUERY, NO_BODY],
        responses={202: {"model": AgentsChanged, "description": "It lets an agent do more: decide on the proposal."}},
    )
    async def control_agent(request: Request, name: AgentOrAll, action: Action, token: Trader) -> Response:
        """Pause or stop at once; a start or a resume is proposed."""
        done = await run_tool(parts, token, "control_agent", AgentsChanged, agent=name, action=action)
        if done.proposal is None:
            return answer(done)
        where = {"location": address(request, f"/tickets/{done.proposal.ticket_id}")}
        return answer(done, HTTPStatus.ACCEPTED, where)

    return routes
