"""Tables of funds. The journal (`fund_entries`, `fund_postings`) is only ever added to; the rest follows from it.

`fund_balances` are the journal's running totals. The row in `funds` is the lock of all that belongs to a fund.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

_NAME = String(24)
_CODE = String(16)
_SOURCE = String(128)
_LEDGER_ACCOUNT = String(64)

funds = Table(
    "funds",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("terms", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("valued_at", UtcTime, nullable=False),
    Column("last_entry", Integer, nullable=False),
)

fund_accounts = Table(
    "fund_accounts",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("account", _NAME, primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("payouts", _CODE, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
)

fund_orders = Table(
    "fund_orders",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("kind", _CODE, nullable=False),
    Column("account", _NAME, nullable=False),
    Column("amount", ExactDecimal),
    Column("state", _CODE, nullable=False, index=True),
    Column("reason", String(32), nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime),
    Column("dealt_at", UtcTime),
)

fund_entries = Table(
    "fund_entries",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", _CODE, nullable=False),
    Column("source", String(160), nullable=False),
    Column("account", _NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("details", Text, nullable=False),
    Index("uq_fund_entries_fund_source", "fund", "source", unique=True),
    Index("ix_fund_entries_fund_at", "fund", "at"),
)

fund_postings = Table(
    "fund_postings",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("ledger", _CODE, nullable=False),
    Column("account", _LEDGER_ACCOUNT, nullable=False),
    Column("amount", ExactDecimal, nullable=False),
    Index("ix_fund_postings_fund_account", "fund", "account"),
)

fund_balances = Table(
    "fund_balances",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("ledger", _CODE, primary_key=True),
    Column("account", _LEDGER_ACCOUNT, primary_key=True),
    Column("amount", ExactDecimal, nullable=False),
)

fund_payments = Table(
    "fund_payments",
    metadata,
    Column("fund", _NAME, primary_key=True),
    Column("source", _SOURCE, primary_key=True),
    Column("payable", _LEDGER_ACCOUNT, nullable=False),
    Column("amount", ExactDecimal, nullable=False),
    Column("state", _CODE, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("paid_at", UtcTime),
    Index("ix_fund_payments_fund_state", "fund", "state"),
)
