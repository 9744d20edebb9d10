"""Orders that agents may not send without asking: each becomes one proposal, and its answer goes back to the agent.

Runs in the background of the leader. What an agent still waits for and was never proposed is proposed; what its owner
rejected, or did not answer in time, the agent gives up. An approved one reaches the agent by the proposal itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.agent_fleet import AgentFleet
from tools.agent_plans import AgentPlans
from tools.agent_results import ProposedOrder
from tools.agent_work import write_request
from tools.notices import Notices
from tools.proposals import Proposals
from tools.registry import ToolContext

_ENDED = ("rejected", "expired", "failed", "unsent", "replaced")
CONVERSATION = "agents:{owner}"
"""Conversation of proposals that nobody asked for in a chat; each owner has their own."""


@dataclass(frozen=True, slots=True)
class AskedOrders:
    """Carries questions to the owner and answers to the agents.

    Attributes:
        owner: Who is asked.
        language: In which language.
    """

    fleet: AgentFleet
    plans: AgentPlans
    proposals: Proposals
    notices: Notices
    owner: str
    language: Literal["en", "es"]

    async def look(self) -> None:
        """Ask what was not asked yet, and pass on what was declined."""
        for order in await self.fleet.asked_orders():
            state = self.proposals.state_of(self.plans.terms((order,)), self.owner)
            if state is None:
                self._ask(order)
            elif state in _ENDED:
                await self.fleet.decline_order(order.source, by=self.owner)

    def _ask(self, order: ProposedOrder) -> None:
        context = ToolContext(self.owner, CONVERSATION.format(owner=self.owner), self.language)
        request = write_request("order", order.model_dump_json())
        asked = self.proposals.propose(request, self.plans.terms((order,)), context)
        told = {"proposal_id": asked.number, "agent": order.agent.title(), "side": order.side, "symbol": order.symbol}
        self.notices.notify(self.owner, "order_asked", told)
