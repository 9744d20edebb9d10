"""Tables of tickets, alerts, profiles and notices, on the shared metadata."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, CursorResult, Index, Integer, String, Table, Text, false

from engine.data.database import ExactDecimal, UtcTime, metadata

OWNER = String(64)
CONVERSATION = String(128)

tickets = Table(
    "tickets",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("version", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("conversation_id", CONVERSATION, nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("request", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("repriced_from", ExactDecimal),
    Column("fill", Text),
    Column("reasons", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index("ix_tickets_owner_state", "owner", "state"),
    Index("ix_tickets_state", "state"),
    mysql_charset="utf8mb4",
    sqlite_autoincrement=True,
)

ticket_decisions = Table(
    "ticket_decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("ticket_id", Integer, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("surface", String(32), nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", OWNER, nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("condition", String(16), nullable=False),
    Column("value", ExactDecimal),
    Column("timeframe", String(4)),
    Column("baseline", String(80)),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("repeats", Boolean, nullable=False, server_default=false()),
    Column("rest_s", Integer, nullable=False, server_default="0"),
    Column("expires_at", UtcTime),
    Column("told_at", UtcTime),
    Column("is_reached", Boolean, nullable=False, server_default=false()),
    Column("revision", Integer, nullable=False, server_default="0"),
    Index("ix_alerts_state", "state"),
    Index("ix_alerts_owner_state", "owner", "state"),
    Index("ix_alerts_revision", "revision"),
    mysql_charset="utf8mb4",
    sqlite_autoincrement=True,
)

alert_revisions = Table(
    "alert_revisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)
"""One row, id 1: the lock under which alerts change, and the number of the last change."""

alert_looks = Table(
    "alert_looks",
    metadata,
    Column("series", String(64), primary_key=True),
    Column("looked_at", UtcTime, nullable=False),
)
"""How far each series was watched for alerts."""

profiles = Table(
    "profiles",
    metadata,
    Column("owner", OWNER, primary_key=True),
    Column("language", String(2)),
    Column("risk_per_trade_pct", ExactDecimal, nullable=False),
    Column("base_currency", String(8), nullable=False),
    Column("favourites", Text, nullable=False),
    Column("name", String(64)),
    mysql_charset="utf8mb4",
)

notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", OWNER, nullable=False, index=True),
    Column("kind", String(48), nullable=False),
    Column("params", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)

notice_deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("notice_id", Integer, primary_key=True, autoincrement=False),
    Column("surface", String(32), primary_key=True),
    Column("delivered_at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)


def inserted_id(result: CursorResult[Any]) -> int:
    """Return the number that the database gave a new row."""
    key = result.inserted_primary_key
    assert key is not None, "the statement inserted one row"
    return int(key[0])
