"""Tables of the HTTP service: bearer tokens (their digests alone), and backtests that were asked for."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from engine.data.database import UtcTime, metadata
from tools.tables import OWNER

rest_tokens = Table(
    "rest_tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("owner", OWNER, nullable=False, index=True),
    Column("scopes", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("used_at", UtcTime),
    mysql_charset="utf8mb4",
)
"""Who may call the service; a token itself is never kept."""

rest_backtests = Table(
    "rest_backtests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("language", String(2), nullable=False),
    Column("request", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("process", String(160), nullable=False),
    Column("result", Text),
    Column("code", String(64)),
    Column("params", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("seen_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index("ix_rest_backtests_owner_created_at", "owner", "created_at"),
    Index("ix_rest_backtests_state", "state"),
    mysql_charset="utf8mb4",
)
"""Backtests as jobs; `process` runs it and says so in `seen_at`, so that one whose process is gone can be told."""
