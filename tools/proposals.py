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
import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, select, update

from agents.execution.claims import has_ended, process_token
from engine.domain.errors import CopilotError, DataUnavailable, InvalidRequest, VenueUnavailable
from tools.agent_results import (
    FIRST_PROPOSAL,
    ItemOutcome,
    ProposalState,
    ProposalTerms,
    ProposalView,
    ProposedItem,
)
from tools.notices import Notices
from tools.proposal_tables import proposal_decisions, proposals
from tools.registry import ToolContext
from tools.tables import inserted_id

log = logging.getLogger(__name__)

Outcome = Literal["approved", "rejected", "repriced", "already", "refused"]
_PATIENCE = timedelta(seconds=60)
"""A proposal that was decided this long ago and that nobody here carries out was left behind by a crash."""
_FORGET_AFTER = timedelta(minutes=15)
"""A proposal that nobody answered this long after its expiry is closed; until then it can be drawn up again."""
_OUTCOMES = TypeAdapter(tuple[ItemOutcome, ...])


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
        self._database = database
        self._work = work
        self._notices = notices
        self._now = now
        self._ttl = ttl
        self._token = process_token()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._unheard: set[int] = set()

    def propose(self, request: str, terms: ProposalTerms, context: ToolContext) -> ProposalView:
        """Open a proposal; an open one of this owner about the same thing makes room for it.

        Args:
            request: What the terms were drawn up from, to draw them up again.
            terms: What is asked.
            context: Whom, and where.
        """
        now, topic = self._now(), _topic(terms)
        values = {
            **self._version(terms, now),
            "version": 1,
            "owner": context.owner,
            "conversation_id": context.conversation_id,
            "language": context.language,
            "state": "pending",
            "topic": topic,
            "request": request,
            "begun": 0,
            "outcomes": "[]",
            "reasons": "[]",
            "surface": "",
            "claimed_by": "",
            "created_at": now,
        }
        same = (proposals.c.owner == context.owner, proposals.c.topic == topic, proposals.c.state == "pending")
        with self._database.begin() as connection:
            connection.execute(update(proposals).where(*same).values(state="replaced"))
            number = inserted_id(connection.execute(insert(proposals).values(values)))
        return self._load(number)

    def view(self, ticket_id: int, owner: str) -> ProposalView | None:
        """Return the owner's proposal, or None: somebody else's looks like none at all."""
        row = self._row(ticket_id - FIRST_PROPOSAL)
        return None if row is None or row.owner != owner else _read(row)

    def open_for(self, owner: str) -> tuple[ProposalView, ...]:
        """Return the owner's pending proposals, oldest first."""
        query = select(proposals).where(proposals.c.owner == owner, proposals.c.state == "pending")
        with self._database.connect() as connection:
            read = [_read(row) for row in connection.execute(query.order_by(proposals.c.id))]
        return tuple(proposal for proposal in read if proposal is not None)

    async def approve(self, ticket_id: int, nonce: str, owner: str, surface: str) -> ProposalDecided:
        """Approve exactly the terms that the nonce stands for.

        Expired, or no longer what the owner saw: nothing is approved, it is drawn up again under a new nonce and
        asked again. One that cannot be drawn up any more fails with the reason.
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
            self._move(proposal, "failed", reasons=("nothing_left",))
            return ProposalDecided("already", self._load_id(ticket_id))
        if fresh is not None:
            is_renewed = self._renew(proposal, fresh)
            return ProposalDecided("repriced", self._load_id(ticket_id)) if is_renewed else self._lost(ticket_id)
        if self._decide(proposal, "approved", surface):
            return ProposalDecided("approved", self._load_id(ticket_id))
        return self._lost(ticket_id)

    async def reject(self, ticket_id: int, nonce: str, owner: str, surface: str) -> ProposalDecided:
        """Reject a proposal; it can never be approved again."""
        proposal, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None:
            return refusal
        assert proposal is not None, "a proposal that is not refused exists"
        if self._decide(proposal, "rejected", surface):
            return ProposalDecided("rejected", self._load_id(ticket_id))
        return self._lost(ticket_id)

    async def edit(self, ticket_id: int, nonce: str, owner: str, changes: Mapping[str, str]) -> ProposalView:
        """Draw up a new version with other numbers, as text; the old version's buttons are dead.

        Raises:
            InvalidRequest: A number or a name is wrong, or the proposal cannot be edited any more; it stays as it was.
        """
        proposal, refusal = self._check(ticket_id, nonce, owner)
        if refusal is not None or proposal is None:
            raise InvalidRequest((refusal and refusal.code) or "ticket_closed", ticket_id=ticket_id)
        if not self._renew(proposal, self._work.edit(proposal.terms, changes)):
            raise InvalidRequest("ticket_closed", ticket_id=ticket_id)
        return self._load_id(ticket_id)

    async def execute(self, ticket_id: int) -> ProposalView:
        """Carry out an approved proposal at most once; whoever does not win the claim waits, or only looks.

        A caller that is cancelled does not cancel the work; the owner then gets a notice of its end.
        """
        number = ticket_id - FIRST_PROPOSAL
        task = self._running.get(number)
        if task is None and self._claim(number):
            task = self._running[number] = asyncio.create_task(self._carry_out(number))
        if task is not None:
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._unheard.add(number)
                raise
        return self._load(number)

    def carry_on(self, ticket_id: int) -> None:
        """See to it that an approved proposal is carried out although nobody waits for it any more."""
        number = ticket_id - FIRST_PROPOSAL
        if number in self._in_states("approved", where=proposals.c.id == number) and self._claim(number):
            self._unheard.add(number)
            self._running[number] = asyncio.create_task(self._carry_out(number))

    async def recover(self) -> tuple[ProposalView, ...]:
        """End what a crash left between approval and result, and tell the owners; nothing is done again.

        What a living process of this machine is carrying out is left to it.
        """
        unfinished = [number for number in self._in_states("approved", "claimed") if self._is_left(number)]
        for number in unfinished:
            await self._abandon(number)
        return tuple(self._load(number) for number in unfinished)

    async def follow(self) -> None:
        """End proposals that were decided and that nobody carries out any more."""
        decided = select(proposal_decisions.c.proposal_id).where(
            proposal_decisions.c.decided_at < self._now() - _PATIENCE
        )
        for number in self._in_states("approved", "claimed", where=proposals.c.id.in_(decided)):
            if number not in self._running:
                await self._abandon(number)

    def expire_due(self) -> int:
        """Close pending proposals that nobody answered long after their expiry; return how many."""
        late = proposals.c.expires_at < self._now() - _FORGET_AFTER
        due = update(proposals).where(proposals.c.state == "pending", late)
        with self._database.begin() as connection:
            return connection.execute(due.values(state="expired")).rowcount

    async def _carry_out(self, number: int) -> None:
        try:
            proposal = self._load(number)
            if not self._is_as_approved(proposal):
                self._finish(proposal, "failed", (), ("ticket_damaged",))
                return
            surface, outcomes = self._row_of(number).surface, []
            for index, item in enumerate(proposal.terms.items):
                if not self._begin(number, index):
                    return
                outcomes.append(await self._do(index, item, proposal, surface))
                if not outcomes[-1].is_done:
                    break
            self._finish(proposal, "executed" if outcomes[-1].is_done else "failed", tuple(outcomes), ())
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
        row = self._row_of(number)
        proposal = _read(row)
        if proposal is None or not self._is_as_approved(proposal):
            self._end(number, "failed", (), ("ticket_damaged",))
            return
        outcomes = []
        for index, item in enumerate(proposal.terms.items):
            is_done = index < row.begun - 1
            if index == row.begun - 1:
                is_done = await self._work.is_done(item, _source(proposal, index))
            outcomes.append(ItemOutcome(index=index, is_done=is_done, code="" if is_done else "interrupted"))
        state: ProposalState = "executed" if all(each.is_done for each in outcomes) else "unsent"
        self._unheard.add(number)
        self._finish(proposal, state, tuple(outcomes), ())
        self._unheard.discard(number)

    def _begin(self, number: int, index: int) -> bool:
        """Note that an item is begun; False when that was noted before, or the proposal has ended."""
        same = (proposals.c.id == number, proposals.c.state == "claimed", proposals.c.begun == index)
        with self._database.begin() as connection:
            return connection.execute(update(proposals).where(*same).values(begun=index + 1)).rowcount == 1

    def _finish(
        self, proposal: ProposalView, state: ProposalState, outcomes: tuple[ItemOutcome, ...], reasons: tuple[str, ...]
    ) -> None:
        self._end(proposal.ticket_id - FIRST_PROPOSAL, state, outcomes, reasons)

    def _end(
        self, number: int, state: ProposalState, outcomes: tuple[ItemOutcome, ...], reasons: tuple[str, ...]
    ) -> None:
        """Write how a proposal ended, once, and tell an owner who is not waiting for it in the same transaction."""
        values = {"state": state, "outcomes": _OUTCOMES.dump_json(outcomes).decode(), "reasons": json.dumps(reasons)}
        here = (proposals.c.id == number, proposals.c.state.in_(("approved", "claimed")))
        with self._database.begin() as connection:
            if connection.execute(update(proposals).where(*here).values(values)).rowcount != 1:
                return
            if number in self._unheard or number not in self._running:
                row = connection.execute(select(proposals).where(proposals.c.id == number)).one()
                told = {"proposal_id": f"A{number}", "reasons": ",".join(reasons)}
                self._notices.add(connection, row.owner, f"proposal_{state}", told)

    async def _fresh_terms(self, proposal: ProposalView) -> ProposalTerms | Literal["settled"] | None:
        """Return new terms when the old ones may not be approved any more, or None when they may."""
        if self._now() <= proposal.expires_at and await self._work.still_holds(proposal.terms):
            return None
        row = self._row_of(proposal.ticket_id - FIRST_PROPOSAL)
        return await self._work.draw_up(row.request, proposal.owner) or "settled"

    def _check(self, ticket_id: int, nonce: str, owner: str) -> tuple[ProposalView | None, ProposalDecided | None]:
        proposal = self.view(ticket_id, owner)
        if proposal is None:
            return None, ProposalDecided("refused", None, "ticket_not_found")
        if proposal.state != "pending":
            return proposal, ProposalDecided("already", proposal)
        if not secrets.compare_digest(proposal.nonce.encode(), nonce.encode()):
            return proposal, ProposalDecided("refused", proposal, "ticket_changed")
        if hash_proposal(proposal.terms) != proposal.terms_hash:
            return proposal, ProposalDecided("refused", proposal, "ticket_damaged")
        return proposal, None

    def _is_as_approved(self, proposal: ProposalView) -> bool:
        """Return whether the terms are those whose hash stands in the owner's decision."""
        same = (
            proposal_decisions.c.proposal_id == proposal.ticket_id - FIRST_PROPOSAL,
            proposal_decisions.c.version == proposal.version,
            proposal_decisions.c.terms_hash == hash_proposal(proposal.terms),
            proposal_decisions.c.decision == "approved",
            proposal_decisions.c.owner == proposal.owner,
        )
        with self._database.connect() as connection:
            return connection.execute(select(proposal_decisions.c.id).where(*same)).first() is not None

    def _lost(self, ticket_id: int) -> ProposalDecided:
        """Return how somebody else was faster: the proposal is closed, or it has a new version."""
        proposal = self._load_id(ticket_id)
        if proposal.state == "pending":
            return ProposalDecided("refused", proposal, "ticket_changed")
        return ProposalDecided("already", proposal)

    def _decide(self, proposal: ProposalView, state: ProposalState, surface: str) -> bool:
        values = {
            "proposal_id": proposal.ticket_id - FIRST_PROPOSAL,
            "version": proposal.version,
            "terms_hash": proposal.terms_hash,
            "decision": state,
            "owner": proposal.owner,
            "surface": surface,
            "decided_at": self._now(),
        }
        with self._database.begin() as connection:
            if not self._change(connection, proposal, state=state, surface=surface):
                return False
            connection.execute(insert(proposal_decisions).values(values))
        return True

    def _move(self, proposal: ProposalView, state: ProposalState, *, reasons: tuple[str, ...]) -> bool:
        with self._database.begin() as connection:
            return self._change(connection, proposal, state=state, reasons=json.dumps(reasons))

    def _renew(self, proposal: ProposalView, terms: ProposalTerms) -> bool:
        version = {**self._version(terms, self._now()), "version": proposal.version + 1}
        with self._database.begin() as connection:
            return self._change(connection, proposal, **version)

    @staticmethod
    def _change(connection: Connection, proposal: ProposalView, **values: Any) -> bool:
        """Change a pending proposal, if it is still the version that was looked at."""
        same = (
            proposals.c.id == proposal.ticket_id - FIRST_PROPOSAL,
            proposals.c.state == "pending",
            proposals.c.nonce == proposal.nonce,
        )
        return connection.execute(update(proposals).where(*same).values(values)).rowcount == 1

    def _claim(self, number: int) -> bool:
        same = (proposals.c.id == number, proposals.c.state == "approved")
        with self._database.begin() as connection:
            values = {"state": "claimed", "claimed_by": self._token}
            return connection.execute(update(proposals).where(*same).values(values)).rowcount == 1

    def _is_left(self, number: int) -> bool:
        """Return whether nobody carries a decided proposal out any more, as far as can be known at once."""
        claimed_by = self._row_of(number).claimed_by
        return number not in self._running and (not claimed_by or has_ended(claimed_by))

    def _version(self, terms: ProposalTerms, now: datetime) -> dict[str, Any]:
        return {
            "terms": canonical_json(terms),
            "terms_hash": hash_proposal(terms),
            "nonce": secrets.token_urlsafe(16),
            "expires_at": now + self._ttl,
        }

    def _in_states(self, *states: str, where: ColumnElement[bool] | None = None) -> list[int]:
        query = select(proposals.c.id).where(proposals.c.state.in_(states)).order_by(proposals.c.id)
        with self._database.connect() as connection:
            return list(connection.scalars(query if where is None else query.where(where)))

    def _row(self, number: int) -> Row[Any] | None:
        with self._database.connect() as connection:
            return connection.execute(select(proposals).where(proposals.c.id == number)).one_or_none()

    def _row_of(self, number: int) -> Row[Any]:
        row = self._row(number)
        assert row is not None, "a proposal is never deleted"
        return row

    def _load_id(self, ticket_id: int) -> ProposalView:
        return self._load(ticket_id - FIRST_PROPOSAL)

    def _load(self, number: int) -> ProposalView:
        row = self._row(number)
        proposal = None if row is None else _read(row)
        if proposal is None:
            raise InvalidRequest("ticket_not_found", ticket_id=FIRST_PROPOSAL + number)
        return proposal


def canonical_json(terms: ProposalTerms) -> str:
    """Return the one text of some terms: sorted keys, decimals as their digits."""
    return json.dumps(terms.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def hash_proposal(terms: ProposalTerms) -> str:
    """Return the SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(terms).encode()).hexdigest()


def _topic(terms: ProposalTerms) -> str:
    """Return what a proposal is about: a newer one about the same thing takes its place."""
    about = []
    for item in terms.items:
        detail = {"action": "action", "setting": getattr(item, "setting", ""), "order": getattr(item, "source", "")}
        about.append(f"{item.agent}:{item.subject}:{detail.get(item.subject, '')}")
    return hashlib.sha256("|".join(about).encode()).hexdigest()


def _source(proposal: ProposalView, index: int) -> str:
    return f"proposal:{proposal.ticket_id - FIRST_PROPOSAL}/{index}"


def _read(row: Row[Any]) -> ProposalView | None:
    """Return a proposal, or None when what the database holds of it cannot be one."""
    try:
        return ProposalView(
            ticket_id=FIRST_PROPOSAL + row.id,
            version=row.version,
            nonce=row.nonce,
            owner=row.owner,
            conversation_id=row.conversation_id,
            language=row.language,
            state=row.state,
            terms=ProposalTerms.model_validate_json(row.terms),
            terms_hash=row.terms_hash,
            created_at=row.created_at,
            expires_at=row.expires_at,
            outcomes=_OUTCOMES.validate_json(row.outcomes),
            reasons=tuple(json.loads(row.reasons)),
        )
    except ValueError:
        log.error("proposal A%s is damaged in the database", row.id)
        return None
