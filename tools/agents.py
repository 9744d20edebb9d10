"""The trading agents by talk: `agent_status`, `control_agent`, `configure_agent`.

What lowers risk acts at once. What raises it becomes a proposal, drawn up from the state of this moment; approved, it
comes back here to be carried out. Of one request both can come: a smaller size for one agent acts, the same figure is
a larger one for another and asks. Agents are named as the profiles name them, `all` is every one of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from agents.fleet.lifecycle import Action
from agents.mandates import Mandate, Mandates, Permission
from engine.domain.errors import CopilotError, InvalidRequest
from tools.agent_fleet import AgentFleet
from tools.agent_mandates import mandate_terms
from tools.agent_plans import AgentPlans
from tools.agent_results import (
    AgentChange,
    AgentsChanged,
    AgentStatusResult,
    AgentUnchanged,
    AgentView,
    MandateView,
    ProposedMandate,
)
from tools.agent_work import write_request
from tools.plans import Plan
from tools.proposals import Proposals
from tools.registry import ToolContext
from tools.schema import AgentStatus, ConfigureAgent, ControlAgent

_HUNDRED = Decimal(100)


class AgentTools:
    """The three tools; `status`, `control` and `configure` stand in the toolbox.

    Args:
        fleet: The agents.
        plans: What requests come to.
        proposals: Where owners are asked.
        mandates: What owners confirmed for real venues.
        permission: What was used of it.
        now: Wall time, aware UTC.
    """

    def __init__(
        self,
        fleet: AgentFleet,
        plans: AgentPlans,
        proposals: Proposals,
        mandates: Mandates,
        permission: Permission,
        now: Callable[[], datetime],
    ) -> None:
        self._fleet = fleet
        self._plans = plans
        self._proposals = proposals
        self._mandates = mandates
        self._permission = permission
        self._now = now

    @property
    def names(self) -> tuple[str, ...]:
        """Return the agents that there are."""
        return self._fleet.names()

    async def status(self, asked: AgentStatus, context: ToolContext) -> AgentStatusResult:
        """Return the agents asked for.

        Raises:
            InvalidRequest: There is no such agent.
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        views = [await self._view(agent, asked.period) for agent in self._plans.named(asked.agent)]
        return AgentStatusResult(
            period=asked.period,
            venue=self._fleet.venue,
            currency=self._fleet.currency,
            agents=tuple(views),
            at=self._fleet.now(),
            is_simulated=self._fleet.is_simulated,
        )

    async def control(self, asked: ControlAgent, context: ToolContext) -> AgentsChanged:
        """Pause, stop, take money or a mandate back at once; propose a start, that it goes on, money, or a mandate.

        Raises:
            InvalidRequest: There is no such agent, or something was said that the action has no use for.
            VenueUnavailable: The venue did not answer, and nothing was changed.
        """
        plan = await self._plans.control(asked)

        async def act(change: AgentChange) -> None:
            match change.subject:
                case "money":
                    await self._fleet.take_back(change.agent, change.amount or Decimal(0), by=context.owner)
                case "mandate":
                    self._mandates.revoke_all(context.owner, agent=change.agent, reason="owner")
                case _:
                    await self._fleet.act(change.agent, Action(change.name), by=context.owner)

        plan = await _do_now(plan, act)
        return self._answer(plan, write_request("control_agent", asked.model_dump_json()), context)

    async def configure(self, asked: ConfigureAgent, context: ToolContext) -> AgentsChanged:
        """Change a setting at once where that lowers risk; propose it where it raises it.

        Raises:
            InvalidRequest: There is no such agent.
        """
        plan = await self._plans.configure(asked)

        async def act(change: AgentChange) -> None:
            await self._fleet.configure(change.agent, asked.setting, asked.value, by=context.owner)

        plan = await _do_now(plan, act)
        return self._answer(plan, write_request("configure_agent", asked.model_dump_json()), context)

    def propose_mandate(self, mandate: ProposedMandate, context: ToolContext) -> AgentsChanged:
        """Ask the owner for a mandate, as a surface's form filled it.

        Raises:
            InvalidRequest: Its terms mean nothing.
        """
        mandate_terms(mandate)
        return self._answer(Plan(asked=(mandate,)), write_request("mandate", mandate.model_dump_json()), context)

    def _answer(self, plan: Plan, request: str, context: ToolContext) -> AgentsChanged:
        terms = self._plans.terms(plan.asked) if plan.asked else None
        proposal = None if terms is None else self._proposals.propose(request, terms, context)
        return AgentsChanged(
            changes=plan.now, unchanged=plan.unchanged, proposal=proposal, currency=self._fleet.currency
        )

    async def _view(self, agent: str, period: str | None) -> AgentView:
        view = await self._fleet.view(agent, period)
        mandate = self._mandates.standing(agent, self._fleet.venue)
        if mandate is None or mandate.terms.expires_at <= self._now():
            return view
        return view.model_copy(update={"mandate": self._mandate_view(mandate)})

    def _mandate_view(self, mandate: Mandate) -> MandateView:
        terms = mandate.terms
        return MandateView(
            mandate_id=mandate.id,
            venue=terms.venue,
            pairs=terms.pairs,
            daily_notional=terms.daily_notional,
            used_today=self._permission.reserved(terms.agent, self._now()),
            max_order_notional=terms.max_order_notional,
            drawdown_pct=terms.drawdown_ratio * _HUNDRED,
            expires_at=terms.expires_at,
        )


async def _do_now(plan: Plan, act: Callable[[AgentChange], Awaitable[None]]) -> Plan:
    """Do what lowers risk, for every agent whatever happens with another; what failed is told as unchanged."""
    done, unchanged = [], list(plan.unchanged)
    for change in plan.now:
        try:
            await act(change)
        except InvalidRequest as error:
            params = {key: str(value) for key, value in error.params.items()}
            unchanged.append(AgentUnchanged(agent=change.agent, code=error.code, params=params))
        except CopilotError as error:
            unchanged.append(AgentUnchanged(agent=change.agent, code="failed", params={"detail": str(error)}))
        else:
            done.append(change)
    return Plan(tuple(done), plan.asked, tuple(unchanged))
