"""Tables of the fleet: the present state of each agent, its history, its legs, and how far it has read."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

_NAME = String(32)
_CODE = String(16)
_SOURCE = String(160)

fleet_agents = Table(
    "fleet_agents",
    metadata,
    Column("agent", _NAME, primary_key=True),
    Column("state", _CODE, nullable=False),
    Column("must_flatten", Boolean, nullable=False),
    Column("who", String(128), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("last_fill", Integer, nullable=False),
    Column("followed_halt", Integer, nullable=False),
)
"""`steps` counts transitions and `changes` those of the profile: a step is taken only from the one that was seen.

`last_fill` is the number of the last settled fill that has been told to the legs, `followed_halt` that of the last halt
of its book that the agent has followed: a halt that was lifted is not followed twice.
"""

fleet_transitions = Table(
    "fleet_transitions",
    metadata,
    Column("agent", _NAME, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("action", _CODE, nullable=False),
    Column("from_state", _CODE, nullable=False),
    Column("to_state", _CODE, nullable=False),
    Column("who", String(128), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("at", UtcTime, nullable=False),
)

fleet_changes = Table(
    "fleet_changes",
    metadata,
    Column("agent", _NAME, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("changes", Text, nullable=False),
    Column("raises_risk", Boolean, nullable=False),
    Column("who", String(128), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("at", UtcTime, nullable=False),
)
"""Every change of a profile, as JSON of paths and values; together, in order, they are laid over the agent's file."""

fleet_cursors = Table(
    "fleet_cursors",
    metadata,
    Column("agent", _NAME, primary_key=True),
    Column("timeframe", _CODE, primary_key=True),
    Column("closed_at", UtcTime, nullable=False),
)
"""The last moment that an agent decided on; moved together with what was decided."""

fleet_legs = Table(
    "fleet_legs",
    metadata,
    Column("source", _SOURCE, primary_key=True),
    Column("agent", _NAME, nullable=False),
    Column("strategy", _NAME, nullable=False),
    Column("symbol", _NAME, nullable=False),
    Column("tag", _NAME, nullable=False),
    Column("timeframe", _CODE, nullable=False),
    Column("client_order_id", String(64), nullable=False, unique=True),
    Column("side", _CODE, nullable=False),
    Column("order_type", _CODE, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("price", ExactDecimal),
    Column("stop_loss", ExactDecimal),
    Column("take_profit", ExactDecimal),
    Column("decided_at", UtcTime, nullable=False),
    Column("valid_until", UtcTime),
    Column("max_bars", Integer, nullable=False),
    Column("send_by", UtcTime),
    Column("attempt", Integer, nullable=False),
    Column("trail", ExactDecimal),
    Column("is_trailing", Boolean, nullable=False),
    Column("state", _CODE, nullable=False),
    Column("stop", ExactDecimal),
    Column("target", ExactDecimal),
    Column("applied_stop", ExactDecimal),
    Column("applied_target", ExactDecimal),
    Column("cancel_reason", _CODE, nullable=False),
    Column("exit_reason", _CODE, nullable=False),
    Column("exits", Integer, nullable=False),
    Column("exit_quantity", ExactDecimal, nullable=False),
    Column("is_entry_final", Boolean, nullable=False),
    Column("filled", ExactDecimal, nullable=False),
    Column("entered_quantity", ExactDecimal, nullable=False),
    Column("entered_notional", ExactDecimal, nullable=False),
    Column("exited_quantity", ExactDecimal, nullable=False),
    Column("exited_notional", ExactDecimal, nullable=False),
    Column("fees", ExactDecimal, nullable=False),
    Column("entered_at", UtcTime),
    Column("exited_at", UtcTime),
    Column("last_exit", _CODE, nullable=False),
    Column("draft", Text, nullable=False),
    Index("ix_fleet_legs_agent_state", "agent", "state"),
)
"""`draft` is the record of the entry while nobody has said yet whether it may go; empty afterwards."""
