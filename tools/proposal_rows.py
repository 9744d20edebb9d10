"""Proposals in the database: every change is one conditional statement that has one winner."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, Row, select, update

from agents.execution.claims import has_ended, process_token
from tools.agent_results import FIRST_PROPOSAL, ItemOutcome, ProposalState, ProposalTerms, ProposalView, ProposedItem
from tools.asked_rows import AskedRows
from tools.notices import Notices
from tools.proposal_tables import proposal_decisions, proposals
from tools.registry import ToolContext

log = logging.getLogger(__name__)

_OUTCOMES = TypeAdapter(tuple[ItemOutcome, ...])


class ProposalRows(AskedRows[ProposalView]):
    """The rows of proposals; a number is the one in the table.

    Args:
        database: Where they live.
        notices: Tells owners of ends, in the transaction of the end.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
    """

    def __init__(self, database: Engine, notices: Notices, now: Callable[[], datetime], ttl: timedelta) -> None:
        super().__init__(
            database,
            proposals,
            proposal_decisions,
            "proposal_id",
            read_proposal,
            lambda proposal: proposal.terms,
            now,
            ttl,
            first=FIRST_PROPOSAL,
        )
        self._notices = notices
        self._token = process_token()

    def open(self, request: str, terms: ProposalTerms, context: ToolContext) -> int:
        """Write a new proposal in the place of an open one about the same thing; return its number."""
        topic = _topic(terms)
        values = {"topic": topic, "request": request, "begun": 0, "outcomes": "[]", "surface": "", "claimed_by": ""}
        return self.insert(terms, context, (proposals.c.topic == topic,), **values)

    def state_of(self, terms: ProposalTerms, owner: str) -> str | None:
        """Return the state of the newest proposal about the same thing; None when there was never one."""
        same = (proposals.c.owner == owner, proposals.c.topic == _topic(terms))
        query = select(proposals.c.state).where(*same).order_by(proposals.c.id.desc()).limit(1)
        with self.database.connect() as connection:
            state: str | None = connection.execute(query).scalar_one_or_none()
        return state

    def is_left(self, number: int) -> bool:
        """Return whether no living process of this machine carries a proposal out, as far as can be known at once."""
        claimed_by = self.row(number).claimed_by
        return not claimed_by or has_ended(claimed_by)

    def take(self, number: int) -> bool:
        """Take an approved proposal to carry it out in this process."""
        return self.claim(number, claimed_by=self._token)

    def begin(self, number: int, index: int) -> bool:
        """Note that an item is begun; False when that was noted before, or the proposal has ended."""
        same = (proposals.c.id == number, proposals.c.state == "claimed", proposals.c.begun == index)
        with self.database.begin() as connection:
            return connection.execute(update(proposals).where(*same).values(begun=index + 1)).rowcount == 1

    def end(
        self, number: int, state: ProposalState, outcomes: tuple[ItemOutcome, ...] = (), *reasons: str, tell: bool
    ) -> None:
        """Write how a proposal ended, once; `tell` its owner in the same transaction."""
        values = {"state": state, "outcomes": _OUTCOMES.dump_json(outcomes).decode(), "reasons": json.dumps(reasons)}
        here = (proposals.c.id == number, proposals.c.state.in_(("approved", "claimed")))
        with self.database.begin() as connection:
            if connection.execute(update(proposals).where(*here).values(values)).rowcount != 1 or not tell:
                return
            owner = connection.execute(select(proposals.c.owner).where(proposals.c.id == number)).scalar_one()
            told = {"proposal_id": f"A{number}", "reasons": ",".join(reasons)}
            self._notices.add(connection, owner, f"proposal_{state}", told)


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
