"""Decisions: tickets and proposals behind one door, as surfaces and the turn see them.

The number tells which of the two is meant. Everything that a surface does with a ticket it does with a proposal too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.execution.values import Execution
from tools.agent_results import FIRST_PROPOSAL, ProposalView
from tools.proposals import ProposalDecided, Proposals
from tools.results import TicketRefused, TicketView
from tools.tickets import Decided, Tickets

Asked = TicketView | ProposalView


@dataclass(frozen=True, slots=True)
class Decisions:
    """Both stores."""

    tickets: Tickets
    proposals: Proposals

    def view(self, ticket_id: int, owner: str) -> Asked | None:
        """Return what the owner was asked under a number, or None."""
        return self._store(ticket_id).view(ticket_id, owner)

    def open_for(self, owner: str) -> tuple[Asked, ...]:
        """Return what waits for the owner, oldest first."""
        both: tuple[Asked, ...] = (*self.tickets.open_for(owner), *self.proposals.open_for(owner))
        return tuple(sorted(both, key=lambda asked: asked.created_at))

    async def approve(self, ticket_id: int, nonce: str, owner: str, surface: str) -> Decided | ProposalDecided:
        """Approve exactly the terms that the nonce stands for."""
        return await self._store(ticket_id).approve(ticket_id, nonce, owner, surface)

    async def reject(self, ticket_id: int, nonce: str, owner: str, surface: str) -> Decided | ProposalDecided:
        """Reject for good."""
        return await self._store(ticket_id).reject(ticket_id, nonce, owner, surface)

    async def edit(self, ticket_id: int, nonce: str, owner: str, changes: Mapping[str, str]) -> Asked | TicketRefused:
        """Ask for a new version with other numbers.

        Raises:
            InvalidRequest: A number or a name is wrong, or it cannot be edited any more.
        """
        return await self._store(ticket_id).edit(ticket_id, nonce, owner, changes)

    async def execute(self, ticket_id: int) -> Asked:
        """Carry out what was approved, at most once."""
        return await self._store(ticket_id).execute(ticket_id)

    def carry_on(self, ticket_id: int) -> None:
        """See to it that what was approved is carried out although nobody waits for it any more."""
        self._store(ticket_id).carry_on(ticket_id)

    def settle(self, execution: Execution, *, tell: bool) -> None:
        """Write what became of an order into the ticket that allowed it."""
        self.tickets.settle(execution, tell=tell)

    async def recover(self) -> tuple[Asked, ...]:
        """End what a crash left between approval and result."""
        return (*await self.tickets.recover(), *await self.proposals.recover())

    async def follow(self) -> None:
        """Bring up to date what ended elsewhere."""
        await self.tickets.follow()
        await self.proposals.follow()

    def expire_due(self) -> int:
        """Close what nobody answered; return how many."""
        return self.tickets.expire_due() + self.proposals.expire_due()

    def _store(self, ticket_id: int) -> Tickets | Proposals:
        return self.proposals if ticket_id > FIRST_PROPOSAL else self.tickets
