"""The whole path of an approved ticket on a real MariaDB: drafts, approval, order, books, in exact figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.risk.values import RiskLimits
from copilot.database import open_database
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from tests.agents.execution.fakes import FakeMarket
from tools.notices import Notices
from tools.profile import Profiles
from tools.registry import ToolContext
from tools.results import TicketView
from tools.schema import ExecuteTrade
from tools.tickets import Tickets
from tools.trading import TradeDrafts

pytestmark = pytest.mark.mariadb
CASH = Decimal(100_000)
HERE = ToolContext("owner", "conversation", "es")


class NoSignals:
    """A source that knows nothing."""

    def signal(self, symbol: str, timeframe: str) -> Signal:
        raise DataUnavailable("no model")

    def average_true_range(self, symbol: str, timeframe: str) -> float:
        return 10.0


def _build(database: Engine, market: MarketData) -> tuple[Desk, Tickets]:
    limits = RiskLimits()
    desk = Desk(database, PaperVenue(database, market, starting_cash=CASH), market, limits, starting_cash=CASH)
    drafts = TradeDrafts(desk, market, Profiles(database), NoSignals(), limits, max_drift_bps=30)
    notices = Notices(database, lambda: datetime.now(UTC))
    return desk, Tickets(database, drafts, desk, notices, lambda: datetime.now(UTC), ttl=timedelta(seconds=60))


async def _propose(tickets: Tickets, **asked: object) -> TicketView:
    ticket = await tickets.propose(ExecuteTrade.model_validate({"symbol": "BTC/USDT", "side": "buy", **asked}), HERE)
    assert isinstance(ticket, TicketView)
    return ticket


async def test_approved_ticket_is_filled_and_booked_to_the_digit(mariadb_url: str) -> None:
    database = open_database(mariadb_url)
    desk, tickets = _build(database, FakeMarket())
    await desk.start()
    ticket = await _propose(tickets, amount="1.23", stop_loss="90")
    decided = await tickets.approve(ticket.ticket_id, ticket.nonce, "owner", "test")
    assert decided.outcome == "approved"
    done = await tickets.execute(ticket.ticket_id)
    assert done.state == "executed"
    assert done.fill is not None
    assert done.fill.average_price is not None
    account = await desk.account()
    assert account.cash == CASH - done.fill.filled_quantity * done.fill.average_price - done.fill.fee
    assert account.positions["BTC/USDT"].quantity == Decimal("1.23")
    database.dispose()


async def test_second_program_on_the_same_database_sees_one_order(mariadb_url: str) -> None:
    first, second = open_database(mariadb_url), open_database(mariadb_url)
    market = FakeMarket()
    (desk, tickets), (other_desk, other_tickets) = _build(first, market), _build(second, market)
    await desk.start()
    ticket = await _propose(tickets, amount="1")
    outcomes = [
        (await each.approve(ticket.ticket_id, ticket.nonce, "owner", "test")).outcome
        for each in (tickets, other_tickets)
    ]
    assert outcomes == ["approved", "already"]
    views = [await each.execute(ticket.ticket_id) for each in (other_tickets, tickets)]
    assert {view.state for view in views} == {"executed"}
    assert len(await other_desk.trades()) == 1
    first.dispose()
    second.dispose()
