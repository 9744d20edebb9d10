"""Tables of mandates: the terms as confirmed, their history, and what was reserved under them.

`mandates.standing` holds `agent|venue` while a mandate is confirmed and nothing otherwise; being unique, it lets one
mandate of an agent on a venue stand at a time. `mandate_days` is the running total of the reservations of a day, by
agent and venue, so that a new mandate does not begin the day's count again.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

_WORD = String(32)
_OWNER = String(64)
_SOURCE = String(160)

mandates = Table(
    "mandates",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", _OWNER, nullable=False, index=True),
    Column("agent", _WORD, nullable=False),
    Column("venue", _WORD, nullable=False),
    Column("state", String(16), nullable=False),
    Column("standing", String(72), unique=True),
    Column("nonce", String(64), nullable=False),
    Column("pairs", Text, nullable=False),
    Column("daily_notional", ExactDecimal, nullable=False),
    Column("max_order_notional", ExactDecimal, nullable=False),
    Column("drawdown_ratio", ExactDecimal, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("proposed_at", UtcTime, nullable=False),
    Column("confirm_before", UtcTime, nullable=False),
    Column("confirmed_by", _OWNER),
    Column("confirmed_on", String(32)),
    Column("confirmed_at", UtcTime),
    Column("ended_at", UtcTime),
    Index("ix_mandates_state", "state"),
    mysql_charset="utf8mb4",
    sqlite_autoincrement=True,
)

mandate_events = Table(
    "mandate_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("mandate_id", Integer, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("by", _OWNER, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)

mandate_days = Table(
    "mandate_days",
    metadata,
    Column("agent", _WORD, primary_key=True),
    Column("venue", _WORD, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("reserved", ExactDecimal, nullable=False),
    mysql_charset="utf8mb4",
)

mandate_reservations = Table(
    "mandate_reservations",
    metadata,
    Column("source", _SOURCE, primary_key=True),
    Column("mandate_id", Integer, nullable=False, index=True),
    Column("agent", _WORD, nullable=False),
    Column("venue", _WORD, nullable=False),
    Column("day", String(10), nullable=False),
    Column("symbol", _WORD, nullable=False),
    Column("notional", ExactDecimal, nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
    mysql_charset="utf8mb4",
)
