"""Mandates in the database: proposed, confirmed by their owner, revoked, expired; every change with its history.

Each transition is one conditional UPDATE with one winner. A confirmation must bring the nonce back and come from the
owner, in time; the terms must still be those that were hashed when they were shown. Confirming one revokes the one
that stood for the same agent and venue, in the same transaction.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from agents.execution.rows import changing, reading
from agents.mandates.tables import mandate_events, mandates
from agents.mandates.values import Confirmation, Mandate, MandateEvent, MandateState, MandateTerms

_TTL = timedelta(minutes=10)
_REPLACED = "replaced"


class Mandates:
    """The store of mandates.

    Args:
        database: Where they live.
        now: Wall time, aware UTC.
        ttl: How long a proposal may wait for its confirmation.
    """

    def __init__(self, database: Engine, now: Callable[[], datetime], *, ttl: timedelta = _TTL) -> None:
        self._database = database
        self._now = now
        self._ttl = ttl

    def propose(self, terms: MandateTerms, owner: str) -> Mandate:
        """Write down terms for their owner to confirm; nothing is allowed by it.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        now = self._now()
        values = {
            "owner": owner,
            "agent": terms.agent,
            "venue": terms.venue,
            "state": MandateState.PROPOSED.value,
            "nonce": secrets.token_urlsafe(16),
            "pairs": json.dumps(terms.pairs),
            "daily_notional": terms.daily_notional,
            "max_order_notional": terms.max_order_notional,
            "drawdown_ratio": terms.drawdown_ratio,
            "expires_at": terms.expires_at,
            "terms_hash": terms.hash(),
            "proposed_at": now,
            "confirm_before": now + self._ttl,
        }
        with changing(self._database) as connection:
            key = connection.execute(insert(mandates).values(values)).inserted_primary_key
            assert key is not None, "the statement inserted one row"
            row = _row(connection, key[0])
            _note(connection, row, "proposed", owner, "", now)
            return read_mandate(row)

    def confirm(self, mandate_id: int, nonce: str, owner: str, surface: str) -> Confirmation:
        """Confirm exactly the terms that the nonce stands for; from then on the agent may trade by them.

        Refused with `mandate_not_found` (also somebody else's), `mandate_changed` (another nonce), `mandate_damaged`
        (the terms are not those that were proposed) or `mandate_late` (the proposal or the mandate has expired).

        Raises:
            DatabaseFailed: The database did not answer.
        """
        now = self._now()
        with changing(self._database) as connection:
            row = connection.execute(
                select(mandates).where(mandates.c.id == mandate_id, mandates.c.owner == owner).with_for_update()
            ).one_or_none()
            refusal = _refusal(row, nonce, now)
            if refusal is not None:
                return refusal
            assert row is not None, "a confirmation that is not refused has a row"
            self._end(connection, mandates.c.standing == _standing(row), MandateState.REVOKED, owner, _REPLACED)
            values = {
                "state": MandateState.CONFIRMED.value,
                "standing": _standing(row),
                "confirmed_by": owner,
                "confirmed_on": surface,
                "confirmed_at": now,
            }
            same = (mandates.c.id == row.id, mandates.c.state == MandateState.PROPOSED.value, mandates.c.nonce == nonce)
            if connection.execute(update(mandates).where(*same).values(values)).rowcount != 1:
                return Confirmation("already", read_mandate(_row(connection, row.id)))
            _note(connection, row, "confirmed", owner, surface, now)
            return Confirmation("confirmed", read_mandate(_row(connection, row.id)))

    def revoke(self, mandate_id: int, by: str, reason: str = "") -> bool:
        """Take a mandate back, or a proposal of one; return whether there was something to take back.

        It acts at once: once this has returned, nothing more is allowed by it.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        with changing(self._database) as connection:
            return bool(self._end(connection, mandates.c.id == mandate_id, MandateState.REVOKED, by, reason))

    def revoke_all(self, by: str, *, agent: str | None = None, reason: str = "") -> tuple[int, ...]:
        """Take back every mandate and proposal, of one agent or of all; return their ids.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        which = mandates.c.id > 0 if agent is None else mandates.c.agent == agent
        with changing(self._database) as connection:
            return self._end(connection, which, MandateState.REVOKED, by, reason)

    def expire_due(self) -> tuple[Mandate, ...]:
        """Close what is over, by its own end or because nobody confirmed it in time, and return it.

        Nothing depends on this being called: permissions look at the time themselves.

        Raises:
            DatabaseFailed: The database did not answer.
        """
        now = self._now()
        late = (mandates.c.state == MandateState.PROPOSED.value) & (mandates.c.confirm_before < now)
        with changing(self._database) as connection:
            ended = self._end(connection, (mandates.c.expires_at <= now) | late, MandateState.EXPIRED, "", "")
            return tuple(read_mandate(_row(connection, mandate_id)) for mandate_id in ended)

    def get(self, mandate_id: int, owner: str | None = None) -> Mandate | None:
        """Return a mandate, or None; with an owner, somebody else's looks like none at all."""
        query = select(mandates).where(mandates.c.id == mandate_id)
        with reading(self._database) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None or owner not in (None, row.owner) else read_mandate(row)

    def standing(self, agent: str, venue: str) -> Mandate | None:
        """Return the confirmed mandate of an agent on a venue, also one whose time is over, or None."""
        query = select(mandates).where(mandates.c.standing == f"{agent}|{venue}")
        with reading(self._database) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else read_mandate(row)

    def standing_of(self, agent: str) -> tuple[Mandate, ...]:
        """Return the confirmed mandates of an agent on every venue, also those whose time is over."""
        query = select(mandates).where(mandates.c.agent == agent, mandates.c.state == MandateState.CONFIRMED.value)
        with reading(self._database) as connection:
            return tuple(map(read_mandate, connection.execute(query.order_by(mandates.c.id)).all()))

    def of_owner(self, owner: str) -> tuple[Mandate, ...]:
        """Return all of an owner's mandates, newest first."""
        query = select(mandates).where(mandates.c.owner == owner).order_by(mandates.c.id.desc())
        with reading(self._database) as connection:
            return tuple(map(read_mandate, connection.execute(query).all()))

    def history(self, mandate_id: int) -> tuple[MandateEvent, ...]:
        """Return what happened to a mandate, oldest first."""
        query = select(mandate_events).where(mandate_events.c.mandate_id == mandate_id).order_by(mandate_events.c.id)
        with reading(self._database) as connection:
            rows = connection.execute(query).all()
        return tuple(MandateEvent(row.kind, row.by, row.reason, row.terms_hash, row.at) for row in rows)

    def _end(self, connection: Connection, which: Any, state: MandateState, by: str, reason: str) -> tuple[int, ...]:
        """End what is proposed or confirmed among some mandates; return the ids of those that this ended."""
        now, ended = self._now(), []
        is_open = mandates.c.state.in_((MandateState.PROPOSED.value, MandateState.CONFIRMED.value))
        for row in connection.execute(select(mandates).where(which, is_open).order_by(mandates.c.id).with_for_update()):
            values = {"state": state.value, "standing": None, "ended_at": now}
            change = update(mandates).where(mandates.c.id == row.id, is_open).values(values)
            if connection.execute(change).rowcount == 1:
                _note(connection, row, state.value, by, reason, now)
                ended.append(row.id)
        return tuple(ended)


def _refusal(row: Row[Any] | None, nonce: str, now: datetime) -> Confirmation | None:
    if row is None:
        return Confirmation("refused", None, "mandate_not_found")
    mandate = read_mandate(row)
    if mandate.state is not MandateState.PROPOSED:
        return Confirmation("already", mandate)
    if not secrets.compare_digest(mandate.nonce.encode(), nonce.encode()):
        return Confirmation("refused", mandate, "mandate_changed")
    if mandate.terms.hash() != mandate.terms_hash:
        return Confirmation("refused", mandate, "mandate_damaged")
    if now > mandate.confirm_before or now >= mandate.terms.expires_at:
        return Confirmation("refused", mandate, "mandate_late")
    return None


def _standing(row: Row[Any]) -> str:
    return f"{row.agent}|{row.venue}"


def _row(connection: Connection, mandate_id: int) -> Row[Any]:
    return connection.execute(select(mandates).where(mandates.c.id == mandate_id)).one()


def _note(connection: Connection, row: Row[Any], kind: str, by: str, reason: str, at: datetime) -> None:
    values = {"mandate_id": row.id, "kind": kind, "by": by, "reason": reason, "terms_hash": row.terms_hash, "at": at}
    connection.execute(insert(mandate_events).values(values))


def read_mandate(row: Row[Any]) -> Mandate:
    """Return the mandate of a row of `mandates`."""
    terms = MandateTerms(
        agent=row.agent,
        venue=row.venue,
        pairs=tuple(json.loads(row.pairs)),
        daily_notional=row.daily_notional,
        max_order_notional=row.max_order_notional,
        drawdown_ratio=row.drawdown_ratio,
        expires_at=row.expires_at,
    )
    return Mandate(
        id=row.id,
        owner=row.owner,
        terms=terms,
        terms_hash=row.terms_hash,
        state=MandateState(row.state),
        nonce=row.nonce,
        proposed_at=row.proposed_at,
        confirm_before=row.confirm_before,
        confirmed_by=row.confirmed_by,
        confirmed_on=row.confirmed_on,
        confirmed_at=row.confirmed_at,
        ended_at=row.ended_at,
    )
