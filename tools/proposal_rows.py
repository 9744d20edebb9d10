"""Proposals in the database: every change is one conditional statement that has one winner."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, Engine, Row, insert, select, update

from agents.execution.claims import has_ended, process_token
from engine.domain.errors import InvalidRequest
from tools.agent_results import FIRST_PROPOSAL, ItemOutcome, ProposalState, ProposalTerms, ProposalView, ProposedItem
from tools.notices import Notices
from tools.proposal_tables import proposal_decisions, proposals
from tools.registry import ToolContext
from tools.tables import inserted_id

log = logging.getLogger(__name__)

_OUTCOMES = TypeAdapter(tuple[ItemOutcome, ...])


class ProposalRows:
    """The rows of proposals; `number` is the one in the table.

    Args:
        database: Where they live.
        notices: Tells owners of ends, in the transaction of the end.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
    """

    def __init__(self, database: Engine, notices: Notices, now: Callable[[], datetime], ttl: timedelta) -> None:
        self._database = database
        self._notices = notices
        self._now = now
        self._ttl = ttl
        self._token = process_token()

    def open(self, request: str, terms: ProposalTerms, context: ToolContext) -> int:
        """Write a new proposal in the place of an open one about the same thing; return its number."""
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
            return inserted_id(connection.execute(insert(proposals).values(values)))

    def find(self, number: int) -> Row[Any] | None:
        """Return a row, or None."""
        with self._database.connect() as connection:
            return connection.execute(select(proposals).where(proposals.c.id == number)).one_or_none()

    def row(self, number: int) -> Row[Any]:
        """Return a row that must be there."""
        row = self.find(number)
        assert row is not None, "a proposal is never deleted"
        return row

    def load(self, number: int) -> ProposalView:
        """Return a proposal.

        Raises:
            InvalidRequest: There is none, or it is damaged.
        """
        row = self.find(number)
        proposal = None if row is None else read_proposal(row)
        if proposal is None:
            raise InvalidRequest("ticket_not_found", ticket_id=FIRST_PROPOSAL + number)
        return proposal

    def pending_of(self, owner: str) -> tuple[ProposalView, ...]:
        """Return an owner's pending proposals, oldest first."""
        query = select(proposals).where(proposals.c.owner == owner, proposals.c.state == "pending")
        with self._database.connect() as connection:
            read = [read_proposal(row) for row in connection.execute(query.order_by(proposals.c.id))]
        return tuple(proposal for proposal in read if proposal is not None)

    def state_of(self, terms: ProposalTerms, owner: str) -> str | None:
        """Return the state of the newest proposal about the same thing; None when there was never one."""
        same = (proposals.c.owner == owner, proposals.c.topic == _topic(terms))
        query = select(proposals.c.state).where(*same).order_by(proposals.c.id.desc()).limit(1)
        with self._database.connect() as connection:
            state: str | None = connection.execute(query).scalar_one_or_none()
        return state

    def decided(self, *, before: datetime | None = None) -> list[int]:
        """Return the numbers of what was approved and has not ended, all or those decided before a moment."""
        if before is None:
            return self._in_states("approved", "claimed")
        late = select(proposal_decisions.c.proposal_id).where(proposal_decisions.c.decided_at < before)
        return self._in_states("approved", "claimed", where=proposals.c.id.in_(late))

    def is_approved(self, number: int) -> bool:
        """Return whether a proposal was approved and nobody has claimed it."""
        return bool(self._in_states("approved", where=proposals.c.id == number))

    def is_left(self, number: int) -> bool:
        """Return whether no living process of this machine carries a proposal out, as far as can be known at once."""
        claimed_by = self.row(number).claimed_by
        return not claimed_by or has_ended(claimed_by)

    def is_as_approved(self, proposal: ProposalView) -> bool:
        """Return whether the terms are those whose hash stands in the owner's decision."""
        same = (
            proposal_decisions.c.proposal_id == _number(proposal),
            proposal_decisions.c.version == proposal.version,
            proposal_decisions.c.terms_hash == hash_proposal(proposal.terms),
            proposal_decisions.c.decision == "approved",
            proposal_decisions.c.owner == proposal.owner,
        )
        with self._database.connect() as connection:
            return connection.execute(select(proposal_decisions.c.id).where(*same)).first() is not None

    def renew(self, proposal: ProposalView, terms: ProposalTerms) -> bool:
        """Write a new version, if the present one is still the one that was looked at."""
        version = {**self._version(terms, self._now()), "version": proposal.version + 1}
        with self._database.begin() as connection:
            return _change(connection, proposal, **version)

    def decide(self, proposal: ProposalView, state: ProposalState, surface: str) -> bool:
        """Write the owner's decision with what it was about, if the version still stands."""
        values = {
            "proposal_id": _number(proposal),
            "version": proposal.version,
            "terms_hash": proposal.terms_hash,
            "decision": state,
            "owner": proposal.owner,
            "surface": surface,
            "decided_at": self._now(),
        }
        with self._database.begin() as connection:
            if not _change(connection, proposal, state=state, surface=surface):
                return False
            connection.execute(insert(proposal_decisions).values(values))
        return True

    def close(self, proposal: ProposalView, state: ProposalState, reason: str) -> bool:
        """End a pending proposal without a decision."""
        with self._database.begin() as connection:
            return _change(connection, proposal, state=state, reasons=json.dumps([reason]))

    def expire(self, before: datetime) -> int:
        """Close pending proposals that expired before a moment; return how many."""
        due = update(proposals).where(proposals.c.state == "pending", proposals.c.expires_at < before)
        with self._database.begin() as connection:
            return connection.execute(due.values(state="expired")).rowcount

    def claim(self, number: int) -> bool:
        """Take an approved proposal to carry it out."""
        same = (proposals.c.id == number, proposals.c.state == "approved")
        with self._database.begin() as connection:
            values = {"state": "claimed", "claimed_by": self._token}
            return connection.execute(update(proposals).where(*same).values(values)).rowcount == 1

    def begin(self, number: int, index: int) -> bool:
        """Note that an item is begun; False when that was noted before, or the proposal has ended."""
        same = (proposals.c.id == number, proposals.c.state == "claimed", proposals.c.begun == index)
        with self._database.begin() as connection:
            return connection.execute(update(proposals).where(*same).values(begun=index + 1)).rowcount == 1

    def end(
        self, number: int, state: ProposalState, outcomes: tuple[ItemOutcome, ...] = (), *reasons: str, tell: bool
    ) -> None:
        """Write how a proposal ended, once; `tell` its owner in the same transaction."""
        values = {"state": state, "outcomes": _OUTCOMES.dump_json(outcomes).decode(), "reasons": json.dumps(reasons)}
        here = (proposals.c.id == number, proposals.c.state.in_(("approved", "claimed")))
        with self._database.begin() as connection:
            if connection.execute(update(proposals).where(*here).values(values)).rowcount != 1 or not tell:
                return
            owner = connection.execute(select(proposals.c.owner).where(proposals.c.id == number)).scalar_one()
            told = {"proposal_id": f"A{number}", "reasons": ",".join(reasons)}
            self._notices.add(connection, owner, f"proposal_{state}", told)

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


def canonical_json(terms: ProposalTerms) -> str:
    """Return the one text of some terms: sorted keys, decimals as their digits."""
    return json.dumps(terms.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def hash_proposal(terms: ProposalTerms) -> str:
    """Return the SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(terms).encode()).hexdigest()


def read_proposal(row: Row[Any]) -> ProposalView | None:
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


def _change(connection: Connection, proposal: ProposalView, **values: Any) -> bool:
    """Change a pending proposal, if it is still the version that was looked at."""
    same = (
        proposals.c.id == _number(proposal),
        proposals.c.state == "pending",
        proposals.c.nonce == proposal.nonce,
    )
    return connection.execute(update(proposals).where(*same).values(values)).rowcount == 1


def _number(proposal: ProposalView) -> int:
    return proposal.ticket_id - FIRST_PROPOSAL


def _topic(terms: ProposalTerms) -> str:
    """Return what a proposal is about: a newer one about the same thing takes its place."""
    return hashlib.sha256("|".join(map(_about, terms.items)).encode()).hexdigest()


def _about(item: ProposedItem) -> str:
    match item.subject:
        case "setting":
            return f"{item.agent}:setting:{item.setting}"
        case "order":
            return f"{item.agent}:order:{item.source}"
        case "action" if item.action == "fund":
            return f"{item.agent}:money"
        case _:
            return f"{item.agent}:{item.subject}"
