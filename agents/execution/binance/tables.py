"""What the adapter keeps of its own: orders, what stands for them at the venue, trades with their fees, incidents.

The venue knows nothing of books, children or sequence numbers, so these tables do. An order of ours is one row of
`binance_orders`; what stands for it at the venue are its *legs*, one row each: an entry has one, a protective child
as many as partial fills and replacements made. Each row is written before its request leaves, and carries the moment
after which the venue refuses that request, so that "not found" can be judged. One state row is the lock of the group.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

_VENUE = String(32)
_ID = String(64)
_SYMBOL = String(32)
_CODE = String(16)

binance_state = Table(
    "binance_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("last_number", BigInteger, nullable=False),
)
"""One row, id 1: the lock of the adapter's tables and its counters (fills; orders, legs and incidents)."""

binance_orders = Table(
    "binance_orders",
    metadata,
    Column("venue", _VENUE, primary_key=True),
    Column("client_order_id", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("symbol", _SYMBOL, nullable=False),
    Column("side", _CODE, nullable=False),
    Column("order_type", _CODE, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("price", ExactDecimal),
    Column("stop_loss", ExactDecimal),
    Column("take_profit", ExactDecimal),
    Column("is_reduce_only", Boolean, nullable=False),
    Column("takes", Text, nullable=False),
    Column("status", _CODE, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("parent_id", _ID),
    Column("is_current", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_binance_orders_parent", "venue", "parent_id"),
    Index("ix_binance_orders_status", "venue", "status"),
)
"""`status` is the order's as last told; `is_current` marks the children whose prices are wanted now."""

binance_legs = Table(
    "binance_legs",
    metadata,
    Column("venue", _VENUE, primary_key=True),
    Column("leg_id", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("client_order_id", _ID, nullable=False),
    Column("entry_id", _ID, nullable=False),
    Column("role", _CODE, nullable=False),
    Column("order_type", _CODE, nullable=False),
    Column("list_id", _ID),
    Column("symbol", _SYMBOL, nullable=False),
    Column("side", _CODE, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("price", ExactDecimal),
    Column("phase", _CODE, nullable=False),
    Column("status", _CODE, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("exchange_id", _ID, nullable=False),
    Column("filled_quantity", ExactDecimal, nullable=False),
    Column("filled_notional", ExactDecimal, nullable=False),
    Column("settled_quantity", ExactDecimal, nullable=False),
    Column("handed_at", UtcTime, nullable=False),
    Column("dies_at", UtcTime, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("is_confirmed", Boolean, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_binance_legs_open", "venue", "is_open"),
    Index("ix_binance_legs_entry", "venue", "entry_id"),
    Index("ix_binance_legs_order", "venue", "client_order_id"),
)
"""`phase`: handed (the outcome is not known), known, refused, unsent, absent; `dies_at`: after it a request that has
not arrived is refused by the venue; `is_open`: something is still to be learnt (not final, or trades are missing)."""

binance_trades = Table(
    "binance_trades",
    metadata,
    Column("venue", _VENUE, primary_key=True),
    Column("symbol", _SYMBOL, primary_key=True),
    Column("trade_id", _ID, primary_key=True),
    Column("sequence", BigInteger),
    Column("leg_id", _ID, nullable=False),
    Column("client_order_id", _ID, nullable=False),
    Column("entry_id", _ID, nullable=False),
    Column("side", _CODE, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("price", ExactDecimal, nullable=False),
    Column("fee", ExactDecimal),
    Column("fee_asset", _CODE, nullable=False),
    Column("fee_amount", ExactDecimal, nullable=False),
    Column("fee_price", ExactDecimal),
    Column("is_maker", Boolean, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("uq_binance_trades_sequence", "venue", "sequence", unique=True),
    Index("ix_binance_trades_leg", "venue", "leg_id"),
    Index("ix_binance_trades_entry", "venue", "entry_id"),
)
"""Every trade once, by the venue's id; `sequence` and `fee` (in quote currency) come when the fee's price is known."""

binance_releases = Table(
    "binance_releases",
    metadata,
    Column("venue", _VENUE, primary_key=True),
    Column("client_order_id", _ID, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("entry_id", _ID, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Index("ix_binance_releases_entry", "venue", "entry_id"),
)
"""What a closing order takes, in this order: from which entry how much; an empty entry is what had no protection."""

binance_incidents = Table(
    "binance_incidents",
    metadata,
    Column("venue", _VENUE, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("code", String(32), nullable=False),
    Column("client_order_id", _ID, nullable=False),
    Column("symbol", _SYMBOL, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
"""What people must hear of, in stable codes."""
