"""Tables of past conversations: what one browser page showed, so that it can be shown again.

They hold what was seen, never what may be done: the nonce of a ticket is not among it, and what the copilot itself
remembers of a conversation lies elsewhere.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT

from engine.data.database import UtcTime, metadata
from tools.tables import OWNER

ID = String(64)
_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
"""The parameters of a chart pass the 64 KiB of MySQL's plain text."""

web_threads = Table(
    "web_threads",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("name", String(200), nullable=False),
    Column("sought", String(400), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Index("ix_web_threads_owner_changed_at", "owner", "changed_at"),
    mysql_charset="utf8mb4",
)
"""One conversation a row; an empty name means that nobody has written in it yet."""

web_steps = Table(
    "web_steps",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True),
    Column("thread_id", ID, nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("tool", String(32), nullable=False),
    Column("sought", _LONG_TEXT, nullable=False),
    Column("body", _LONG_TEXT, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_web_steps_thread_id", "thread_id"),
    Index("ix_web_steps_owner_tool", "owner", "tool"),
    mysql_charset="utf8mb4",
)
"""Messages and tools' work; `sought` is a message's text without case and accents, `tool` empty for messages."""

web_elements = Table(
    "web_elements",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True),
    Column("thread_id", ID, nullable=False),
    Column("owner", OWNER, nullable=False),
    Column("step_id", ID, nullable=False),
    Column("body", _LONG_TEXT, nullable=False),
    Index("ix_web_elements_thread_id", "thread_id"),
    mysql_charset="utf8mb4",
)
"""Cards and charts, as the parameters that they are drawn from."""
