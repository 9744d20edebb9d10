"""What a request about agents comes to at this moment: what is done at once, and what its owner must be asked.

The line between the two is the fleet's: pausing, stopping and smaller limits lower risk; starting, going on, being let
out of a halt and larger limits raise it. On a real venue a start is asked together with the mandate that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from agents.fleet.lifecycle import Action, AgentState, action_raises_risk, next_state
from agents.mandates import ALL_PAIRS, Mandates, MandateTerms
from engine.domain.errors import InvalidRequest
from tools.agent_fleet import AgentFleet
from tools.agent_results import (
    AgentChange,
    AgentUnchanged,
    ProposalTerms,
    ProposedAction,
    ProposedItem,
    ProposedMandate,
    ProposedSetting,
)
from tools.schema import ConfigureAgent, ControlAgent

PAPER = "paper"
MANDATE_DAYS = 30
"""How long a mandate that is proposed with a start lasts, unless its owner changes it."""
_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
_RAISING: Mapping[Action, Literal["start", "resume", "lift"]] = {
    Action.START: "start",
    Action.RESUME: "resume",
    Action.LIFT: "lift",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to, agent by agent."""

    now: tuple[AgentChange, ...]
    asked: tuple[ProposedItem, ...]
    unchanged: tuple[AgentUnchanged, ...]


class AgentPlans:
    """Draws plans up; changes nothing.

    Args:
        fleet: The agents.
        mandates: What owners confirmed for real venues.
        now: Wall time, aware UTC.
    """

    def __init__(self, fleet: AgentFleet, mandates: Mandates, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._mandates = mandates
        self._now = now

    async def control(self, asked: ControlAgent) -> Plan:
        """Return what an action on one agent or all of them comes to.

        Raises:
            InvalidRequest: There is no such agent.
            VenueUnavailable: The venue did not answer.
        """
        now, items, unchanged = [], list[ProposedItem](), []
        for agent in self.named(asked.agent):
            state, reason = await self._fleet.state(agent)
            action = _meant(state, asked.action)
            try:
                after = next_state(state, action)
            except InvalidRequest as error:
                unchanged.append(AgentUnchanged(agent=agent, code=error.code, params=_texts(error.params)))
                continue
            if after is state:
                unchanged.append(AgentUnchanged(agent=agent, code="already", params={"state": state.value}))
            elif action_raises_risk(action):
                proposed = await self._propose_action(agent, action, state, after, reason)
                items += proposed
                if not proposed:
                    unchanged.append(AgentUnchanged(agent=agent, code="no_cash"))
            else:
                change = {"name": action.value, "before": state.value, "after": after.value}
                now.append(AgentChange(agent=agent, subject="action", **change))
        return Plan(tuple(now), tuple(items), tuple(unchanged))

    async def configure(self, asked: ConfigureAgent) -> Plan:
        """Return what a setting of one agent or all of them comes to.

        Raises:
            InvalidRequest: There is no such agent.
        """
        now, items, unchanged = [], list[ProposedItem](), []
        for agent in self.named(asked.agent):
            try:
                change = await self._fleet.judge(agent, asked.setting, asked.value)
            except InvalidRequest as error:
                unchanged.append(AgentUnchanged(agent=agent, code=error.code, params=_texts(error.params)))
                continue
            if change.before == change.after:
                unchanged.append(AgentUnchanged(agent=agent, code="same", params={"setting": asked.setting}))
            elif change.raises_risk:
                values = {"setting": asked.setting, "before": change.before, "after": change.after}
                items.append(ProposedSetting.model_validate({"agent": agent, **values}))
            else:
                values = {"name": asked.setting, "before": change.before, "after": change.after}
                now.append(AgentChange.model_validate({"agent": agent, "subject": "setting", **values}))
        return Plan(tuple(now), tuple(items), tuple(unchanged))

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

    async def _propose_action(
        self, agent: str, action: Action, state: AgentState, after: AgentState, reason: str
    ) -> list[ProposedItem]:
        """Return the items that let an agent do more, none where there is no money for it.

        On a real venue a mandate comes first, unless one stands.
        """
        equity, budget, available = await self._fleet.budget(agent)
        size_pct, positions, drawdown_pct = await self._fleet.limits(agent)
        if action is Action.LIFT:
            budget = None
        elif equity <= 0 and not budget:
            return []
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
        if self._fleet.venue == PAPER or action is Action.LIFT or self._stands(agent):
            return [item]
        money = equity + (budget or Decimal(0))
        return [await self._propose_mandate(agent, money, size_pct, drawdown_pct), item]

    async def _propose_mandate(
        self, agent: str, money: Decimal, size_pct: Decimal, drawdown_pct: Decimal
    ) -> ProposedMandate:
        """Return a mandate as small as the agent's own limits make sense of: its money once a day."""
        pairs = await self._fleet.pairs(agent)
        daily = max(money.quantize(_CENT), _CENT)
        return ProposedMandate(
            agent=agent,
            venue=self._fleet.venue,
            pairs=tuple(sorted(set(pairs))) or (ALL_PAIRS,),
            daily_notional=daily,
            max_order_notional=min(max((money * size_pct / _HUNDRED).quantize(_CENT), _CENT), daily),
            drawdown_pct=drawdown_pct,
            expires_at=self._now() + timedelta(days=MANDATE_DAYS),
        )

    def _stands(self, agent: str) -> bool:
        mandate = self._mandates.standing(agent, self._fleet.venue)
        return mandate is not None and mandate.terms.expires_at > self._now()


def mandate_terms(item: ProposedMandate) -> MandateTerms:
    """Return the terms that a proposed mandate stands for.

    Raises:
        InvalidRequest: They mean nothing.
    """
    return MandateTerms(
        agent=item.agent,
        venue=item.venue,
        pairs=item.pairs,
        daily_notional=item.daily_notional,
        max_order_notional=item.max_order_notional,
        drawdown_ratio=item.drawdown_pct / _HUNDRED,
        expires_at=item.expires_at,
    )


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


def _texts(params: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}
