"""Tables of the books: what belongs to which book, running totals, limits, trading states, trailing stops.

They stand beside the tables of execution instead of widening them: an order or a fill without a row here belongs to
`main`, its fee was taken in quote currency. Totals are caches of the journal and are built from it where they lack.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from engine.data.database import ExactDecimal, UtcTime, metadata

BOOK_NAME_LENGTH = 16
_ID = String(64)
_SYMBOL = String(32)
_BOOK = String(BOOK_NAME_LENGTH)
_CODE = String(64)

order_books = Table(
    "order_books",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    Column("book", _BOOK, nullable=False, index=True),
)

fill_details = Table(
    "fill_details",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("book", _BOOK, nullable=False, index=True),
    Column("fee_asset", _CODE, nullable=False),
    Column("fee_quantity", ExactDecimal, nullable=False),
)
"""Of the fill with that number, where it is not one of `main` with a fee in quote currency."""

asset_deposits = Table(
    "asset_deposits",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("symbol", _SYMBOL, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
)
"""Which holding a deposit brought, where it was not money."""

ledger_books = Table(
    "ledger_books",
    metadata,
    Column("book", _BOOK, primary_key=True),
    Column("cash", ExactDecimal, nullable=False),
    Column("deposits", ExactDecimal, nullable=False),
)

book_holdings = Table(
    "book_holdings",
    metadata,
    Column("book", _BOOK, primary_key=True),
    Column("symbol", _SYMBOL, primary_key=True),
    Column("quantity", ExactDecimal, nullable=False),
    Column("cost", ExactDecimal, nullable=False),
    Column("realised", ExactDecimal, nullable=False),
    Column("fees", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
)

book_marks = Table(
    "book_marks",
    metadata,
    Column("book", _BOOK, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("start_result", ExactDecimal, nullable=False),
    Column("peak_result", ExactDecimal, nullable=False),
)
"""One row a book and UTC day: its result (equity less what was paid in) at the start, and the highest up to the end.

The account itself stands under `*`.
"""

book_limits = Table(
    "book_limits",
    metadata,
    Column("book", _BOOK, primary_key=True),
    Column("limits", Text, nullable=False),
)

trading_states = Table(
    "trading_states",
    metadata,
    Column("book", _BOOK, primary_key=True),
    Column("state", _CODE, nullable=False),
    Column("changed_by", String(128), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("is_settled", Boolean, nullable=False),
    Column("number", Integer, nullable=False),
)
"""`is_settled`: whether a halt has cancelled and flattened everything. `number`: of the change in the history."""

trading_state_changes = Table(
    "trading_state_changes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("book", _BOOK, nullable=False),
    Column("state", _CODE, nullable=False),
    Column("changed_by", String(128), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Index("ix_trading_state_changes_book", "book"),
)

trailing_stops = Table(
    "trailing_stops",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    Column("distance", ExactDecimal, nullable=False),
    Column("activation", ExactDecimal),
    Column("best", ExactDecimal),
    Column("stop", ExactDecimal),
)

funding_cursors = Table(
    "funding_cursors",
    metadata,
    Column("venue", String(32), primary_key=True),
    Column("cursor", BigInteger, nullable=False),
)

paper_takes = Table(
    "paper_takes",
    metadata,
    Column("client_order_id", _ID, primary_key=True),
    Column("entry_id", _ID, primary_key=True),
    Column("quantity", ExactDecimal, nullable=False),
    Column("taken", ExactDecimal, nullable=False),
    Index("ix_paper_takes_entry_id", "entry_id"),
)
"""The paper venue's: how much of which entry's holding an order closes, and has closed."""

BOOK_TABLES = (
    order_books,
    fill_details,
    asset_deposits,
    ledger_books,
    book_holdings,
    book_marks,
    book_limits,
    trading_states,
    trading_state_changes,
    trailing_stops,
    funding_cursors,
    paper_takes,
)
