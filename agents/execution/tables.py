"""Tables of execution. `paper_*` belong to the paper venue, which plays the exchange; the rest is our own record.

The two groups never refer to each other: the desk knows the paper venue only through the `Venue` protocol, so that
reconciliation proves something. Sequence numbers are given out under the lock of the group's one state row.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

_ID = String(64)
_SYMBOL = String(32)
_CODE = String(16)


def _request_columns() -> list[Column[object]]:
    return [
        Column("symbol", _SYMBOL, nullable=False),
        Column("side", _CODE, nullable=False),
        Column("order_type", _CODE, nullable=False),
        Column("quantity", ExactDecimal, nullable=False),
        Column("price", ExactDecimal),
        Column("stop_loss", ExactDecimal),
        Column("take_profit", ExactDecimal),
        Column("is_reduce_only", Boolean, nullable=False),
    ]


def _fill_columns() -> list[Column[object]]:
    return [
        Column("fill_id", _ID, nullable=False),
        Column("client_order_id", _ID, nullable=False),
        Column("symbol", _SYMBOL, nullable=False),
        Column("side", _CODE, nullable=False),
        Column("quantity", ExactDecimal, nullable=False),
        Column("price", ExactDecimal, nullable=False),
        Column("fee", ExactDecimal, nullable=False),
        Column("is_maker", Boolean, nullable=False),
        Column("at", UtcTime, nullable=False),
    ]


paper_state = Table(
    "paper_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_number", Integer, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
)
"""One row, id 1: the lock of the paper venue and its counters."""

paper_balances = Table(
    "paper_balances",
    metadata,
    Column("asset", _CODE, primary_key=True),
    Column("quantity", ExactDecimal, nullable=False),
)

paper_orders = Table(
    "paper_orders",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    *_request_columns(),
    Column("status", _CODE, nullable=False, index=True),
    Column("filled_quantity", ExactDecimal, nullable=False),
    Column("filled_notional", ExactDecimal, nullable=False),
    Column("is_triggered", Boolean, nullable=False),
    Column("parent_id", _ID, index=True),
    Column("reason", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("matched_until", UtcTime, nullable=False),
)

paper_fills = Table(
    "paper_fills",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    *_fill_columns(),
)

order_intents = Table(
    "order_intents",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    Column("source", String(160), nullable=False, unique=True),
    Column("owner", String(128), nullable=False),
    *_request_columns(),
    Column("quoted_price", ExactDecimal),
    Column("state", _CODE, nullable=False, index=True),
    Column("reasons", Text, nullable=False),
    Column("claimed_by", String(160), nullable=False),
    Column("claimed_at", UtcTime, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime, index=True),
    Column("updated_at", UtcTime, nullable=False),
)
"""`claimed_*`: which process handles the intent, and since when by the wall clock; other times are the market's."""

venue_orders = Table(
    "venue_orders",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    *_request_columns(),
    Column("venue_order_id", _ID, nullable=False),
    Column("status", _CODE, nullable=False),
    Column("filled_quantity", ExactDecimal, nullable=False),
    Column("average_price", ExactDecimal),
    Column("parent_id", _ID),
    Column("reason", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)
"""Orders as the venue last told them."""

fills = Table(
    "fills",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("venue", String(32), nullable=False),
    *_fill_columns(),
    Column("realised", ExactDecimal, nullable=False),
    Column("settled_at", UtcTime, nullable=False),
    Index("uq_fills_venue_fill_id", "venue", "fill_id", unique=True),
    Index("ix_fills_client_order_id", "client_order_id"),
    Index("ix_fills_at", "at"),
)
"""The journal: every settled fill, once, in settling order."""

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", _CODE, nullable=False),
    Column("reference", String(128), nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("uq_ledger_entries_kind_reference", "kind", "reference", unique=True),
)

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("account", String(64), nullable=False),
    Column("amount", ExactDecimal, nullable=False),
)

ledger_state = Table(
    "ledger_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("cash", ExactDecimal, nullable=False),
    Column("deposits", ExactDecimal, nullable=False),
    Column("last_entry", Integer, nullable=False),
    Column("last_fill", Integer, nullable=False),
    Column("fill_cursor", BigInteger, nullable=False),
    Column("discrepancies", Text, nullable=False),
)
"""One row, id 1: the lock of the account, its cash and counters.

`version` rises with every claim and every settlement: an assessment made at one version may not claim at another.
"""
