"""Tables of proposals, on the shared metadata; shaped like those of tickets.

`begun` counts the items whose carrying out was begun: it is raised, and committed, before each one, so that after a
crash nothing is ever done a second time. `claimed_by` is the process that carries it out.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from engine.data.database import UtcTime, metadata
from tools.tables import CONVERSATION, OWNER

proposals = Table(
    "proposals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("version", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("conversation_id", CONVERSATION, nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("begun", Integer, nullable=False),
    Column("outcomes", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("surface", String(32), nullable=False),
    Column("claimed_by", String(160), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index("ix_proposals_owner_state", "owner", "state"),
    Index("ix_proposals_state", "state"),
    Index("ix_proposals_topic", "topic"),
    mysql_charset="utf8mb4",
    sqlite_autoincrement=True,
)

proposal_decisions = Table(
    "proposal_decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("proposal_id", Integer, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("surface", String(32), nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)
