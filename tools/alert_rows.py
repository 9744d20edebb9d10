"""Alerts as rows, and the three ways in which one changes: it is told, it ends, it is adjusted.

Every change takes the next revision under the lock of one row, so that a watcher learns of all changes by asking for
what is newer than the last revision it saw: revisions become visible in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from tools.results import AlertView
from tools.tables import alert_revisions, alerts

_REVISIONS = 1


def next_revision(connection: Connection) -> int:
    """Return the next revision; whoever asks at the same time waits until this transaction has ended."""
    ahead = update(alert_revisions).where(alert_revisions.c.id == _REVISIONS).values(last=alert_revisions.c.last + 1)
    if connection.execute(ahead).rowcount == 0:
        start = connection.execute(select(func.coalesce(func.max(alerts.c.revision), 0))).scalar_one() + 1
        connection.execute(insert(alert_revisions).values(id=_REVISIONS, last=start))
    last = select(alert_revisions.c.last).where(alert_revisions.c.id == _REVISIONS)
    return int(connection.execute(last).scalar_one())


def change(connection: Connection, alert_id: int, values: Mapping[str, Any], *where: Any) -> bool:
    """Change an alert that is active; return whether it still was (and met the conditions)."""
    changed = update(alerts).where(alerts.c.id == alert_id, alerts.c.state == "active", *where)
    return connection.execute(changed.values(**values, revision=next_revision(connection))).rowcount == 1


def view(row: Row[Any]) -> AlertView:
    """Return an alert as people see it."""
    return AlertView(
        alert_id=str(row.id),
        symbol=row.symbol,
        condition=row.condition,
        value=row.value,
        timeframe=row.timeframe,
        created_at=row.created_at,
        repeats=row.repeats,
        rest_s=row.rest_s,
        expires_at=row.expires_at,
        told_at=row.told_at,
    )
