"""Notices: what happened while the owner was not looking, kept until each surface has shown it once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, insert, select
from sqlalchemy.exc import IntegrityError

from tools.tables import notice_deliveries, notices


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to the owner, as a code and values; the surface words it."""

    id: int
    kind: str
    params: Mapping[str, str]
    created_at: datetime


class Notices:
    """A durable outbox; implements the `Notifier` protocol.

    Args:
        database: Where they are kept.
        now: The present, aware UTC.
    """

    def __init__(self, database: Engine, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def notify(self, owner: str, kind: str, params: Mapping[str, str]) -> None:
        """Keep a message for every surface where the owner is."""
        with self._database.begin() as connection:
            self.add(connection, owner, kind, params)

    def add(self, connection: Connection, owner: str, kind: str, params: Mapping[str, str]) -> None:
        """Keep a message in the transaction of the change that it tells of: both stand, or neither."""
        values = {"owner": owner, "kind": kind, "params": json.dumps(dict(params)), "created_at": self._now()}
        connection.execute(insert(notices).values(values))

    def pending(self, owner: str, surface: str) -> tuple[Notice, ...]:
        """Return what this surface has not shown yet, oldest first."""
        shown = and_(notice_deliveries.c.notice_id == notices.c.id, notice_deliveries.c.surface == surface)
        query = (
            select(notices)
            .outerjoin(notice_deliveries, shown)
            .where(notices.c.owner == owner, notice_deliveries.c.notice_id.is_(None))
            .order_by(notices.c.id)
        )
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        return tuple(Notice(row.id, row.kind, json.loads(row.params), row.created_at) for row in rows)

    def take(self, owner: str, surface: str) -> tuple[Notice, ...]:
        """Return what this surface has not shown yet and note that it has; of two that take at once, one gets each."""
        waiting = self.pending(owner, surface)
        won = set(self.mark_delivered([notice.id for notice in waiting], surface))
        return tuple(notice for notice in waiting if notice.id in won)

    def mark_delivered(self, ids: Iterable[int], surface: str) -> tuple[int, ...]:
        """Note that a surface has shown these, and return those that were not noted before."""
        noted = []
        for notice_id in ids:
            values = {"notice_id": notice_id, "surface": surface, "delivered_at": self._now()}
            try:
                with self._database.begin() as connection:
                    connection.execute(insert(notice_deliveries).values(values))
            except IntegrityError:
                continue
            noted.append(notice_id)
        return tuple(noted)
