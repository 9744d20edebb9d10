"""Tables of supervision: who leads, which processes live, how each worker fares.

The lease is one row a name. Its `fence` only ever rises: it numbers the terms, so that whoever holds an older number
is known to have been replaced.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from engine.data.database import UtcTime, metadata

_NAME = String(64)
_TOKEN = String(160)
_CODE = String(64)

supervisor_leases = Table(
    "supervisor_leases",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", _TOKEN, nullable=False),
    Column("acquired_at", UtcTime, nullable=False),
    Column("renewed_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    mysql_charset="utf8mb4",
)

supervisor_processes = Table(
    "supervisor_processes",
    metadata,
    Column("token", _TOKEN, primary_key=True),
    Column("fence", BigInteger),
    Column("started_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False, index=True),
    mysql_charset="utf8mb4",
)
"""`fence` is that of the term which the process leads, None while it follows."""

supervisor_workers = Table(
    "supervisor_workers",
    metadata,
    Column("process", _TOKEN, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("error", _CODE, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("beat_at", UtcTime),
    Column("next_try_at", UtcTime),
    mysql_charset="utf8mb4",
)
