"""What a request about agents comes to at this moment: what is done at once, and what its owner must be asked.

The line between the two is the fleet's: pausing, stopping, smaller limits, less money and the end of a mandate lower
risk; starting, going on, being let out of a halt, larger limits, more money and a mandate raise it. On a real venue a
start is asked together with the mandate that it needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Literal

from agents.fleet.lifecycle import Action, AgentState, action_raises_risk, next_state
from agents.mandates import Mandates
from engine.domain.errors import InvalidRequest
from tools.agent_fleet import AgentFleet
from tools.agent_mandates import MandatePlans
from tools.agent_money import MoneyPlans, is_topping_up
from tools.agent_results import (
    AgentChange,
    ProposalTerms,
    ProposedAction,
    ProposedItem,
    ProposedSetting,
)
from tools.plans import Plan, join_plans, leave, leave_for
from tools.schema import ConfigureAgent, ControlAgent

_RAISING: Mapping[Action, Literal["start", "resume", "lift"]] = {
    Action.START: "start",
    Action.RESUME: "resume",
    Action.LIFT: "lift",
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "start": ("amount",),
    "resume": ("amount",),
    "fund": ("amount",),
    "withdraw": ("amount",),
    "permit": ("amount", "pairs", "days"),
}
"""What may be said beside an action."""


class AgentPlans:
    """Draws plans up; changes nothing.

    Args:
        fleet: The agents.
        mandates: What owners confirmed for real venues.
        now: Wall time, aware UTC.
    """

    def __init__(self, fleet: AgentFleet, mandates: Mandates, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._money = MoneyPlans(fleet)
        self._mandates = MandatePlans(fleet, mandates, now)

    async def control(self, asked: ControlAgent) -> Plan:
        """Return what an action on one agent or all of them comes to.

        Raises:
            InvalidRequest: There is no such agent, or something was said that its action has no use for.
            VenueUnavailable: The venue did not answer.
        """
        for name in ("amount", "pairs", "days"):
            if getattr(asked, name) and name not in _TAKES.get(asked.action, ()):
                raise InvalidRequest("bad_argument", argument=name, value=str(getattr(asked, name)))
        draw_up = {
            "fund": self._money.give,
            "withdraw": self._money.take,
            "permit": self._mandates.permit,
            "revoke": self._mandates.revoke,
        }.get(asked.action, self._step)
        return join_plans([await self._drawn(agent, draw_up(agent, asked)) for agent in self.named(asked.agent)])

    async def configure(self, asked: ConfigureAgent) -> Plan:
        """Return what a setting of one agent or all of them comes to.

        Raises:
            InvalidRequest: There is no such agent.
        """
        return join_plans([await self._drawn(agent, self._set(agent, asked)) for agent in self.named(asked.agent)])

    def terms(self, items: tuple[ProposedItem, ...]) -> ProposalTerms:
        """Return items as the terms of a proposal."""
        fleet = self._fleet
        return ProposalTerms(items=items, venue=fleet.venue, currency=fleet.currency, is_simulated=fleet.is_simulated)

    def named(self, agent: str) -> tuple[str, ...]:
        """Return the agents that a name means.

        Raises:
            InvalidRequest: There is no such agent.
        """
        names = self._fleet.names()
        if agent == "all":
            return names
        if agent not in names:
            raise InvalidRequest("agent_unknown", agent=agent, known=", ".join(names))
        return (agent,)

    async def _drawn(self, agent: str, drawing: Awaitable[Plan]) -> Plan:
        try:
            return await drawing
        except InvalidRequest as error:
            return leave_for(agent, error)

    async def _step(self, agent: str, asked: ControlAgent) -> Plan:
        state, reason = await self._fleet.state(agent)
        if is_topping_up(state, asked):
            return await self._money.give(agent, asked)
        action = _meant(state, asked.action)
        after = next_state(state, action)
        if after is state:
            return leave(agent, "already", state=state.value)
        if action_raises_risk(action):
            return await self._raise(agent, asked, action, state, after, reason)
        change = AgentChange(agent=agent, subject="action", name=action.value, before=state.value, after=after.value)
        return Plan(now=(change,))

    async def _raise(
        self, agent: str, asked: ControlAgent, action: Action, state: AgentState, after: AgentState, reason: str
    ) -> Plan:
        """Return what lets an agent do more; on a real venue a mandate comes first, unless one stands."""
        equity, budget, available = await self._fleet.budget(agent)
        if action is Action.LIFT:
            budget = None
        elif asked.amount is not None:
            refused = await self._money.refusal(agent, asked.amount)
            if refused is not None:
                return refused
            budget = asked.amount
        elif equity <= 0 and not budget:
            return leave(agent, "no_cash")
        size_pct, positions, drawdown_pct = await self._fleet.limits(agent)
        item = ProposedAction(
            agent=agent,
            action=_RAISING[action],
            state_before=state.value,
            state_after=after.value,
            equity=equity,
            budget=budget,
            available=available,
            position_size_pct=size_pct,
            max_positions=positions,
            max_drawdown_pct=drawdown_pct,
            reason=reason if action is Action.LIFT else "",
        )
        if action is Action.LIFT or not self._mandates.is_needed(agent):
            return Plan(asked=(item,))
        daily = equity + (budget or 0)
        return Plan(asked=(await self._mandates.propose(agent, daily), item))

    async def _set(self, agent: str, asked: ConfigureAgent) -> Plan:
        change = await self._fleet.judge(agent, asked.setting, asked.value)
        if change.before == change.after:
            return leave(agent, "same", setting=asked.setting)
        if change.raises_risk:
            item = ProposedSetting(agent=agent, setting=asked.setting, before=change.before, after=change.after)
            return Plan(asked=(item,))
        done = AgentChange(agent=agent, subject="setting", name=asked.setting, before=change.before, after=change.after)
        return Plan(now=(done,))


def _meant(state: AgentState, action: str) -> Action:
    """Return what people mean by an action: a halted agent is let out first, one that rests goes on."""
    asked = Action(action)
    if asked not in (Action.START, Action.RESUME):
        return asked
    if state is AgentState.HALTED:
        return Action.LIFT
    if state is AgentState.PAUSED:
        return Action.RESUME
    return Action.START
