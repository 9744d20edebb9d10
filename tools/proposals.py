"""Proposals: tickets for what is no order of the owner's, with the same guarantees.

A proposal holds exact terms, a hash over them, an owner, an expiry and a nonce that changes with every version. Every
transition is one conditional UPDATE that has one winner. What was approved is carried out at most once: before each
item the row says that it was begun, so after a crash an item is only looked up, never done again. Approval lives here
and is called by surfaces alone: no tool, model or text reaches it.

    pending → approved → claimed → executed | failed | unsent
       │ └ (edited, expired, no longer so: new version, new nonce, still pending)
       └ rejected | expired | replaced
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from sqlalchemy import Engine

from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest, VenueUnavailable
from tools.agent_results import FIRST_PROPOSAL, ItemOutcome, ProposalState, ProposalTerms, ProposalView, ProposedItem
from tools.notices import Notices
from tools.proposal_rows import ProposalRows, read_proposal
from tools.registry import ToolContext

log = logging.getLogger(__name__)

Outcome = Literal["approved", "rejected", "repriced", "already", "refused"]
_PATIENCE = timedelta(seconds=60)
"""A proposal that was decided this long ago and that no living process has taken was left behind by a crash."""
_LONG_PATIENCE = timedelta(minutes=10)
"""The same for one that a process elsewhere has taken, of which nothing can be known."""
_FORGET_AFTER = timedelta(minutes=15)
"""A proposal that nobody answered this long after its expiry is closed; until then it can be drawn up again."""


@dataclass(frozen=True, slots=True)
class ProposalDecided:
    """What became of a decision; `code` and `params` say why it was refused, `ticket` is as it stands now."""

    outcome: Outcome
    ticket: ProposalView | None
    code: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)


class ProposalWork(Protocol):
    """What stands behind proposals: draws them up, knows whether they still hold, and does what was approved."""

    async def draw_up(self, request: str, owner: str) -> ProposalTerms | None:
        """Return the terms that a request comes to now; None when nothing is left to be asked.

        Raises:
            InvalidRequest: It cannot be done any more.
        """
        ...

    async def still_holds(self, terms: ProposalTerms) -> bool:
        """Return whether what the owner saw as present is still so."""
        ...

    def edit(self, terms: ProposalTerms, changes: Mapping[str, str]) -> ProposalTerms:
        """Return the terms with other numbers, as text.

        Raises:
            InvalidRequest: A name or a number is wrong.
        """
        ...

    async def carry_out(self, item: ProposedItem, owner: str, surface: str, source: str) -> None:
        """Do one item that its owner approved; called at most once for a source.

        Raises:
            CopilotError: It was not done.
        """
        ...

    async def is_done(self, item: ProposedItem, source: str) -> bool:
        """Return whether an item whose carrying out was cut off was done."""
        ...


class Proposals:
    """The store of proposals.

    Args:
        database: Where they live.
        work: What stands behind them.
        notices: Tells the owner what ended while they were not looking.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
    """

    def __init__(
        self, database: Engine, work: ProposalWork, notices: Notices, now: Callable[[], datetime], *, ttl: timedelta
    ) -> None:
        self._rows = ProposalRows(database, notices, now, ttl)
        self._work = work
        self._now = now
        self._running: dict[int, asyncio.Task[None]] = {}
        self._unheard: set[int] = set()

    def propose(self, request: str, terms: ProposalTerms, context: ToolContext) -> ProposalView:
        """Open a proposal; an open one of this owner about the same thing makes room for it.

        Args:
            request: What the terms were drawn up from, to draw them up again.
            terms: What is asked.
            context: Whom, and where.
        """
        return self._rows.load(self._rows.open(request, terms, context))

    def view(self, ticket_id: int, owner: str) -> ProposalView | None:
        """Return the owner's proposal, or None: somebody else's looks like none at all."""
        return self._rows.view(ticket_id, owner)

    def open_for(self, owner: str) -> tuple[ProposalView, ...]:
        """Return the owner's pending proposals, oldest first."""
        return self._rows.pending_of(owner)

    def state_of(self, terms: ProposalTerms, owner: str) -> str | None:
        """Return the state of the newest proposal about the same thing; None when there was never one."""
        return self._rows.state_of(terms, owner)

    async def approve(self, ticket_id: int, nonce: str, owner: str, surface: str) -> ProposalDecided:
        """Approve exactly the terms that the nonce stands for.

        Expired, or no longer what the owner saw: nothing is approved, it is drawn up again under a new nonce and
        asked again. One of which nothing is left to be done fails with that reason.
        """
        proposal, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert proposal is not None, "a proposal that is not refused exists"
        try:
            fresh = await self._fresh_terms(proposal)
        except (InvalidRequest, DataUnavailable) as error:
            return ProposalDecided("refused", proposal, error.code, error.params)
        except VenueUnavailable as error:
            return ProposalDecided("refused", proposal, "venue_unavailable", {"detail": str(error)})
        if fresh == "settled":
            self._rows.close(proposal, "failed", ["nothing_left"])
            return ProposalDecided("already", self._load(ticket_id))
        if fresh is None:
            return self._decide(proposal, "approved", surface)
        if self._rows.renew(proposal, fresh):
            return ProposalDecided("repriced", self._load(ticket_id))
        return self._lost(ticket_id)

    async def reject(self, ticket_id: int, nonce: str, owner: str, surface: str) -> ProposalDecided:
        """Reject a proposal; it can never be approved again."""
        proposal, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert proposal is not None, "a proposal that is not refused exists"
        return self._decide(proposal, "rejected", surface)

    async def edit(self, ticket_id: int, nonce: str, owner: str, changes: Mapping[str, str]) -> ProposalView:
        """Draw up a new version with other numbers, as text; the old version's buttons are dead.

        Raises:
            InvalidRequest: A number or a name is wrong, or the proposal cannot be edited any more; it stays as it was.
        """
        proposal, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None or proposal is None:
            raise InvalidRequest((refusal and refusal.code) or "ticket_closed", ticket_id=ticket_id)
        if not self._rows.renew(proposal, self._work.edit(proposal.terms, changes)):
            raise InvalidRequest("ticket_closed", ticket_id=ticket_id)
        return self._load(ticket_id)

    async def execute(self, ticket_id: int) -> ProposalView:
        """Carry out an approved proposal at most once; whoever does not win the claim waits, or only looks.

        A caller that is cancelled does not cancel the work; the owner then gets a notice of its end.
        """
        number = ticket_id - FIRST_PROPOSAL
        task = self._running.get(number)
        if task is None and self._rows.take(number):
            task = self._running[number] = asyncio.create_task(self._carry_out(number))
        if task is not None:
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._unheard.add(number)
                raise
        return self._load(ticket_id)

    def carry_on(self, ticket_id: int) -> None:
        """See to it that an approved proposal is carried out although nobody waits for it any more."""
        number = ticket_id - FIRST_PROPOSAL
        if self._rows.is_approved(number) and self._rows.take(number):
            self._unheard.add(number)
            self._running[number] = asyncio.create_task(self._carry_out(number))

    async def recover(self) -> tuple[ProposalView, ...]:
        """End what a crash left between approval and result, and tell the owners; nothing is done again.

        What a living process of this machine is carrying out is left to it.
        """
        left = [each for each in self._rows.decided() if each not in self._running and self._rows.is_left(each)]
        for number in left:
            await self._abandon(number)
        return tuple(self._load(FIRST_PROPOSAL + number) for number in left)

    async def follow(self) -> None:
        """End proposals that were decided and that nobody carries out any more."""
        late = set(self._rows.decided(before=self._now() - _LONG_PATIENCE))
        for number in self._rows.decided(before=self._now() - _PATIENCE):
            if number not in self._running and (number in late or self._rows.is_left(number)):
                await self._abandon(number)

    def expire_due(self) -> int:
        """Close pending proposals that nobody answered long after their expiry; return how many."""
        return self._rows.expire(self._now() - _FORGET_AFTER)

    async def _carry_out(self, number: int) -> None:
        try:
            proposal, outcomes = self._load(FIRST_PROPOSAL + number), list[ItemOutcome]()
            if not self._rows.is_as_approved(proposal):
                self._end(number, "failed", (), "ticket_damaged")
                return
            surface = self._rows.row(number).surface
            for index, item in enumerate(proposal.terms.items):
                if not self._rows.begin(number, index):
                    return
                outcomes.append(await self._do(index, item, proposal, surface))
                if not outcomes[-1].is_done:
                    break
            self._end(number, "executed" if outcomes[-1].is_done else "failed", tuple(outcomes))
        finally:
            self._running.pop(number, None)
            self._unheard.discard(number)

    async def _do(self, index: int, item: ProposedItem, proposal: ProposalView, surface: str) -> ItemOutcome:
        try:
            await self._work.carry_out(item, proposal.owner, surface, _source(proposal, index))
        except (InvalidRequest, DataUnavailable) as error:
            params = {key: str(value) for key, value in error.params.items()}
            return ItemOutcome(index=index, is_done=False, code=error.code, params=params)
        except CopilotError as error:
            log.exception("item %s of proposal %s was not done", index, proposal.number)
            return ItemOutcome(index=index, is_done=False, code="failed", params={"detail": str(error)})
        return ItemOutcome(index=index, is_done=True)

    async def _abandon(self, number: int) -> None:
        """End a proposal whose carrying out was cut off: what was begun is looked up, what was not is left."""
        row = self._rows.row(number)
        proposal = read_proposal(row)
        if proposal is None or not self._rows.is_as_approved(proposal):
            self._rows.end(number, "failed", (), "ticket_damaged", tell=True)
            return
        outcomes = []
        for index, item in enumerate(proposal.terms.items):
            is_done = index < row.begun - 1
            if index == row.begun - 1:
                is_done = await self._work.is_done(item, _source(proposal, index))
            outcomes.append(ItemOutcome(index=index, is_done=is_done, code="" if is_done else "interrupted"))
        state: ProposalState = "executed" if all(each.is_done for each in outcomes) else "unsent"
        self._rows.end(number, state, tuple(outcomes), tell=True)

    def _end(self, number: int, state: ProposalState, outcomes: tuple[ItemOutcome, ...] = (), *reasons: str) -> None:
        """End what is carried out here; an owner who is no longer waiting for it gets a notice."""
        self._rows.end(number, state, outcomes, *reasons, tell=number in self._unheard)

    async def _fresh_terms(self, proposal: ProposalView) -> ProposalTerms | Literal["settled"] | None:
        """Return new terms when the old ones may not be approved any more, or None when they may."""
        if self._now() <= proposal.expires_at and await self._work.still_holds(proposal.terms):
            return None
        row = self._rows.row(proposal.ticket_id - FIRST_PROPOSAL)
        return await self._work.draw_up(row.request, proposal.owner) or "settled"

    def _check(self, ticket_id: int, nonce: str, owner: str) -> tuple[ProposalView | None, ProposalDecided | None]:
        proposal = self.view(ticket_id, owner)
        if proposal is None:
            return None, ProposalDecided("refused", None, "ticket_not_found")
        if proposal.state != "pending":
            return proposal, ProposalDecided("already", proposal)
        code = self._rows.refusal(proposal, nonce)
        return proposal, None if code is None else ProposalDecided("refused", proposal, code)

    def _decide(self, proposal: ProposalView, state: Literal["approved", "rejected"], surface: str) -> ProposalDecided:
        if self._rows.decide(proposal, state, surface):
            return ProposalDecided(state, self._load(proposal.ticket_id))
        return self._lost(proposal.ticket_id)

    def _lost(self, ticket_id: int) -> ProposalDecided:
        """Return how somebody else was faster: the proposal is closed, or it has a new version."""
        proposal = self._load(ticket_id)
        if proposal.state == "pending":
            return ProposalDecided("refused", proposal, "ticket_changed")
        return ProposalDecided("already", proposal)

    def _load(self, ticket_id: int) -> ProposalView:
        return self._rows.load(ticket_id - FIRST_PROPOSAL)


def _source(proposal: ProposalView, index: int) -> str:
    return f"proposal:{proposal.ticket_id - FIRST_PROPOSAL}/{index}"
