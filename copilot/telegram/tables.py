"""Tables of Telegram: who is linked, what was already taken in, which message shows which ticket."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from engine.data.database import UtcTime, metadata
from tools.tables import OWNER

telegram_links = Table(
    "telegram_links",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("chat_id", BigInteger, nullable=False),
    Column("owner", OWNER, nullable=False, index=True),
    Column("linked_at", UtcTime, nullable=False),
)

telegram_codes = Table(
    "telegram_codes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("owner", OWNER, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
"""One-time codes that link an account; only their digests are kept."""

telegram_updates = Table(
    "telegram_updates",
    metadata,
    Column("update_id", BigInteger, primary_key=True, autoincrement=False),
    Column("taken_at", UtcTime, nullable=False, index=True),
)
"""Updates that were taken in: Telegram sends one again when its acknowledgement was lost."""

telegram_cards = Table(
    "telegram_cards",
    metadata,
    Column("ticket_id", Integer, primary_key=True, autoincrement=False),
    Column("chat_id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, nullable=False),
    Column("nonce", String(64), nullable=False),
)
"""Which message shows which version of an open ticket; a row goes when the card has been closed."""

telegram_questions = Table(
    "telegram_questions",
    metadata,
    Column("chat_id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("ticket_id", Integer, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("field", String(16), nullable=False),
)
"""Messages that ask for a new number of a ticket; a reply to one is that number and no conversation."""
