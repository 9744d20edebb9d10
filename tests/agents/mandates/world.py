"""Mandates and permissions over one database, with a clock set by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import Engine, func, select

import agents.mandates.tables
from agents.mandates import Answer, Mandate, Mandates, MandateTerms, Permission
from agents.mandates.tables import mandate_days, mandate_reservations
from engine.data.database import metadata

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OWNER = "ana"
D = Decimal
TABLES = [table for name, table in metadata.tables.items() if name.startswith("mandate")]
assert agents.mandates.tables.mandates in TABLES

TERMS = MandateTerms(
    agent="atlas",
    venue="binance",
    pairs=("BTC/USDT", "ETH/USDT"),
    daily_notional=D("1000"),
    max_order_notional=D("400"),
    drawdown_ratio=D("0.05"),
    expires_at=NOON + timedelta(days=30),
)


class World:
    """What a test needs of them."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self.present = NOON
        self.mandates = Mandates(database, lambda: self.present)
        self.permission = Permission(database, "binance")
        self._numbers = count(1)

    def wait(self, **time: float) -> None:
        self.present += timedelta(**time)

    def confirmed(self, **terms: Any) -> Mandate:
        proposed = self.mandates.propose(replace(TERMS, **terms), OWNER)
        done = self.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web")
        assert done.outcome == "confirmed"
        assert done.mandate is not None
        return done.mandate

    def ask(self, notional: str = "100", **asked: Any) -> Answer:
        """Ask for an order of Atlas, by default one that the mandate allows."""
        source = asked.pop("source", None) or f"mandate:{next(self._numbers)}"
        values = {"agent": "atlas", "symbol": "BTC/USDT", "at": self.present, "drawdown_ratio": D("0.01")} | asked
        return self.permission.may_trade(notional=D(notional), source=source, **values)

    def reserved(self) -> Decimal:
        return self.permission.reserved("atlas", self.present)


def assert_books_agree(database: Engine) -> dict[tuple[str, str, str], Decimal]:
    """Return the totals of all days, each of which is the sum of what is held."""
    held: dict[tuple[str, str, str], Decimal] = {}
    query = select(mandate_reservations).where(mandate_reservations.c.state == "held")
    with database.connect() as connection:
        for row in connection.execute(query):
            key = (row.agent, row.venue, row.day)
            held[key] = held.get(key, D(0)) + row.notional
        totals = {(row.agent, row.venue, row.day): row.reserved for row in connection.execute(select(mandate_days))}
        assert connection.execute(select(func.count()).select_from(mandate_reservations)).scalar_one() >= len(held)
    assert {key: total for key, total in totals.items() if total} == held
    return totals
