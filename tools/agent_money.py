"""Money by talk: an agent gets some of its owner's, or gives some back, also while it runs.

Giving raises risk and is asked. Taking lowers it and acts at once, as far as it breaks nothing: what orders and
positions need stays, and so does what keeps a loss below the drawdown at which the agent is halted. The money of an
agent with a fund belongs to its investors and moves by the fund's own orders only.
"""

from __future__ import annotations

from decimal import Decimal

from agents.fleet.lifecycle import AgentState
from tools.agent_fleet import AgentFleet
from tools.agent_results import AgentChange, ProposedAction
from tools.plans import Plan, leave
from tools.schema import ControlAgent


class MoneyPlans:
    """Draws up what requests about money come to; moves nothing.

    Args:
        fleet: The agents.
    """

    def __init__(self, fleet: AgentFleet) -> None:
        self._fleet = fleet

    async def give(self, agent: str, asked: ControlAgent) -> Plan:
        """Return that an agent is to get money.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        if asked.amount is None:
            return leave(agent, "amount_needed")
        refused = await self.refusal(agent, asked.amount)
        if refused is not None:
            return refused
        state, _ = await self._fleet.state(agent)
        equity, _, available = await self._fleet.budget(agent)
        size_pct, positions, drawdown_pct = await self._fleet.limits(agent)
        item = ProposedAction(
            agent=agent,
            action="fund",
            state_before=state.value,
            state_after=state.value,
            equity=equity,
            budget=asked.amount,
            available=available,
            position_size_pct=size_pct,
            max_positions=positions,
            max_drawdown_pct=drawdown_pct,
        )
        return Plan(asked=(item,))

    async def take(self, agent: str, asked: ControlAgent) -> Plan:
        """Return that money of an agent goes back to its owner's book; all that is to spare where no amount is said.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        if self._fleet.has_fund(agent):
            return leave(agent, "money_of_fund")
        equity, spare = (await self._fleet.budget(agent))[0], await self._fleet.spare(agent)
        amount = spare if asked.amount is None else asked.amount
        if not amount or amount > spare:
            return leave(agent, "money_bound", available=spare)
        before, after = (format(value, "f") for value in (equity, equity - amount))
        return Plan(
            now=(AgentChange(agent=agent, subject="money", name="withdraw", before=before, after=after, amount=amount),)
        )

    async def refusal(self, agent: str, amount: Decimal) -> Plan | None:
        """Return why an agent cannot get an amount, or None."""
        if self._fleet.has_fund(agent):
            return leave(agent, "money_of_fund")
        available = (await self._fleet.budget(agent))[2]
        return leave(agent, "budget_too_large", available=available) if amount > available else None


def is_topping_up(state: AgentState, asked: ControlAgent) -> bool:
    """Tell whether a start "with 1000" is meant for an agent that trades already."""
    return state is AgentState.RUNNING and asked.amount is not None and asked.action in ("start", "resume")
