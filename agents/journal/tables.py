"""Tables of the journal of decisions. Decisions and facts are only inserted; the counters of quiet moments grow."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from engine.data.database import UtcTime, metadata

_SOURCE = String(160)
_NAME = String(32)
_CODE = String(16)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", _SOURCE, nullable=False, unique=True),
    Column("entry_source", _SOURCE, nullable=False, index=True),
    Column("agent", _NAME, nullable=False),
    Column("strategy", _NAME, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("kind", _CODE, nullable=False),
    Column("side", _CODE, nullable=False),
    Column("verdict", _CODE, nullable=False),
    Column("order_id", String(64), nullable=False, index=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Index("ix_decisions_agent_at", "agent", "at"),
    Index("ix_decisions_symbol_at", "symbol", "at"),
)
"""One row a decision, taken or not; `body` is the whole record as JSON, the other columns are for searching."""

decision_facts = Table(
    "decision_facts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", _SOURCE, nullable=False),
    Column("kind", _CODE, nullable=False),
    Column("fact_key", String(80), nullable=False),
    Column("agent", _NAME, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("order_id", String(64), nullable=False, index=True),
    Column("trade", Integer, nullable=False, index=True),
    Column("side", _CODE, nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Index("uq_decision_facts_source_kind_key", "source", "kind", "fact_key", unique=True),
    Index("ix_decision_facts_agent_kind_at", "agent", "kind", "at"),
)

decision_counts = Table(
    "decision_counts",
    metadata,
    Column("agent", _NAME, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("strategy", _NAME, primary_key=True),
    Column("code", _NAME, primary_key=True),
    Column("count", Integer, nullable=False),
)
"""Moments with nothing to record, by UTC day of the bar and by what kind of nothing."""
