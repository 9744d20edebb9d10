"""Rows of what an owner is asked, tickets and proposals alike: every change is one statement that has one winner.

A row holds exact terms, a hash over them and a nonce that changes with every version; a decision is a row of its own,
with the hash of what it was about. What stands in the terms, and what follows an approval, is not this file's business.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, insert, select, update

from engine.domain.errors import InvalidRequest
from tools.registry import ToolContext
from tools.tables import inserted_id


class AskedView(Protocol):
    """A version of something that is asked; frozen."""

    @property
    def ticket_id(self) -> int:
        """Return the number that surfaces know it by."""
        ...

    @property
    def version(self) -> int:
        """Return which version it is, from 1."""
        ...

    @property
    def nonce(self) -> str:
        """Return what a decision must bring back."""
        ...

    @property
    def owner(self) -> str:
        """Return who decides."""
        ...

    @property
    def state(self) -> str:
        """Return where it stands in its life."""
        ...

    @property
    def terms_hash(self) -> str:
        """Return the hash over the terms as it was stored."""
        ...


V = TypeVar("V", bound=AskedView)


class AskedRows(Generic[V]):
    """Rows of one table, with the decisions on them.

    Args:
        database: Where they live.
        table: The rows.
        decisions: One row a decision.
        key: The column of `decisions` that holds the number of a row.
        read: Returns a row's view, or None when what it holds cannot be one.
        terms_of: Returns the terms of a view.
        now: Wall time, aware UTC.
        ttl: How long a version may wait.
        first: What is added to a row's number for surfaces.
    """

    def __init__(
        self,
        database: Engine,
        table: Table,
        decisions: Table,
        key: str,
        read: Callable[[Row[Any]], V | None],
        terms_of: Callable[[V], BaseModel],
        now: Callable[[], datetime],
        ttl: timedelta,
        *,
        first: int = 0,
    ) -> None:
        self.database = database
        self.now = now
        self._table = table
        self._decisions = decisions
        self._key = key
        self._read = read
        self._terms_of = terms_of
        self._ttl = ttl
        self._first = first

    def insert(
        self, terms: BaseModel, context: ToolContext, replaced: Sequence[ColumnElement[bool]], **values: Any
    ) -> int:
        """Write the first version of something new in the place of what it replaces; return its number.

        Args:
            terms: What is asked.
            context: Whom, and where.
            replaced: Which rows of this owner that are still pending make room.
            values: What else the table holds.
        """
        here = self._table.c
        row = {
            **self.version(terms),
            "version": 1,
            "owner": context.owner,
            "conversation_id": context.conversation_id,
            "language": context.language,
            "state": "pending",
            "reasons": "[]",
            "created_at": self.now(),
            **values,
        }
        old = update(self._table).where(here.owner == context.owner, here.state == "pending", *replaced)
        with self.database.begin() as connection:
            connection.execute(old.values(state="replaced"))
            return inserted_id(connection.execute(insert(self._table).values(row)))

    def find(self, number: int) -> Row[Any] | None:
        """Return a row, or None."""
        with self.database.connect() as connection:
            return connection.execute(select(self._table).where(self._table.c.id == number)).one_or_none()

    def row(self, number: int) -> Row[Any]:
        """Return a row that must be there: none is ever deleted."""
        row = self.find(number)
        assert row is not None, "what was asked is never deleted"
        return row

    def load(self, number: int) -> V:
        """Return a view.

        Raises:
            InvalidRequest: There is none, or it is damaged.
        """
        row = self.find(number)
        view = None if row is None else self._read(row)
        if view is None:
            raise InvalidRequest("ticket_not_found", ticket_id=self._first + number)
        return view

    def view(self, ticket_id: int, owner: str) -> V | None:
        """Return what an owner is asked, or None: somebody else's looks like none at all."""
        row = self.find(ticket_id - self._first)
        return None if row is None or row.owner != owner else self._read(row)

    def pending_of(self, owner: str) -> tuple[V, ...]:
        """Return what waits for an owner, oldest first."""
        here = self._table.c
        query = select(self._table).where(here.owner == owner, here.state == "pending").order_by(here.id)
        with self.database.connect() as connection:
            read = [self._read(row) for row in connection.execute(query)]
        return tuple(view for view in read if view is not None)

    def in_states(self, *states: str, where: ColumnElement[bool] | None = None) -> list[int]:
        """Return the numbers of rows in some states, oldest first."""
        here = self._table.c
        query = select(here.id).where(here.state.in_(states)).order_by(here.id)
        with self.database.connect() as connection:
            return list(connection.scalars(query if where is None else query.where(where)))

    def decided(self, *, before: datetime | None = None) -> list[int]:
        """Return the numbers of what was approved and has not ended, all or those decided before a moment."""
        if before is None:
            return self.in_states("approved", "claimed")
        late = select(self._decisions.c[self._key]).where(self._decisions.c.decided_at < before)
        return self.in_states("approved", "claimed", where=self._table.c.id.in_(late))

    def is_approved(self, number: int) -> bool:
        """Return whether a row was approved and nobody has claimed it."""
        return bool(self.in_states("approved", where=self._table.c.id == number))

    def is_as_approved(self, view: V) -> bool:
        """Return whether the terms are those whose hash stands in the owner's decision."""
        here = self._decisions.c
        same = (
            here[self._key] == view.ticket_id - self._first,
            here.version == view.version,
            here.terms_hash == hash_terms(self._terms_of(view)),
            here.decision == "approved",
            here.owner == view.owner,
        )
        with self.database.connect() as connection:
            return connection.execute(select(here.id).where(*same)).first() is not None

    def refusal(self, view: V, nonce: str) -> str | None:
        """Return why a decision on a pending version cannot stand, or None."""
        if not secrets.compare_digest(view.nonce.encode(), nonce.encode()):
            return "ticket_changed"
        return None if hash_terms(self._terms_of(view)) == view.terms_hash else "ticket_damaged"

    def decide(self, view: V, state: str, surface: str) -> bool:
        """Write the owner's decision with what it was about, if the version still stands."""
        decision = {
            self._key: view.ticket_id - self._first,
            "version": view.version,
            "terms_hash": view.terms_hash,
            "decision": state,
            "owner": view.owner,
            "surface": surface,
            "decided_at": self.now(),
        }
        with self.database.begin() as connection:
            noted = {"surface": surface} if "surface" in self._table.c else {}
            if not self._change(connection, view, state=state, **noted):
                return False
            connection.execute(insert(self._decisions).values(decision))
        return True

    def renew(self, view: V, terms: BaseModel, **values: Any) -> bool:
        """Write a new version, if the present one is still the one that was looked at."""
        version = {**self.version(terms), "version": view.version + 1, **values}
        with self.database.begin() as connection:
            return self._change(connection, view, **version)

    def close(self, view: V, state: str, reasons: Sequence[str]) -> bool:
        """End a pending version without a decision."""
        with self.database.begin() as connection:
            return self._change(connection, view, state=state, reasons=json.dumps(list(reasons)))

    def claim(self, number: int, **values: Any) -> bool:
        """Take what was approved to carry it out."""
        here = self._table.c
        claim = update(self._table).where(here.id == number, here.state == "approved")
        with self.database.begin() as connection:
            return connection.execute(claim.values(state="claimed", **values)).rowcount == 1

    def expire(self, before: datetime) -> int:
        """Close what is pending and expired before a moment; return how many."""
        here = self._table.c
        due = update(self._table).where(here.state == "pending", here.expires_at < before)
        with self.database.begin() as connection:
            return connection.execute(due.values(state="expired")).rowcount

    def version(self, terms: BaseModel) -> dict[str, Any]:
        """Return the columns of a new version: its terms, their hash, a new nonce, its expiry."""
        return {
            "terms": canonical_json(terms),
            "terms_hash": hash_terms(terms),
            "nonce": secrets.token_urlsafe(16),
            "expires_at": self.now() + self._ttl,
        }

    def _change(self, connection: Connection, view: V, **values: Any) -> bool:
        """Change a pending row, if it is still the version that was looked at."""
        here = self._table.c
        same = (here.id == view.ticket_id - self._first, here.state == "pending", here.nonce == view.nonce)
        return connection.execute(update(self._table).where(*same).values(values)).rowcount == 1


def canonical_json(terms: BaseModel) -> str:
    """Return the one text of some terms: sorted keys, decimals as their digits."""
    return json.dumps(terms.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def hash_terms(terms: BaseModel) -> str:
    """Return the SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(terms).encode()).hexdigest()
