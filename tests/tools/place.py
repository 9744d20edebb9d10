"""A database with a market, a desk and every tool on it; prices, signals and the clock are the test's to set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, select

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.execution.tables import paper_orders
from agents.risk.values import RiskLimits
from copilot.agent_side import open_agent_side
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import Venue
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, START, WIDE, D, FakeMarket
from tools.alerts import Alerts
from tools.notices import Notices
from tools.profile import Profiles, ProfileTool
from tools.registry import Toolbox, ToolContext
from tools.results import TicketRefused, TicketView
from tools.schema import ExecuteTrade
from tools.tickets import Tickets
from tools.toolbox import build_toolbox
from tools.trading import TradeDrafts

OWNER = "ana"
CONTEXT = ToolContext(OWNER, "talk", "en")
TTL = timedelta(seconds=120)
DRIFT_BPS = 30
EXACT = MatchingSettings(slippage_bps=D(0), participation_ratio=D(1))


class Crash(Exception):
    """The program ended at this step of a sending."""


class FakeSignals:
    """Says what the test set; without a signal there is no data."""

    def __init__(self) -> None:
        self.present: Signal | None = None
        self.atr: float | None = 2.0

    def signal(self, symbol: str, timeframe: str) -> Signal:
        if self.present is None:
            raise DataUnavailable(f"no model for {symbol} {timeframe}")
        return self.present

    def average_true_range(self, symbol: str, timeframe: str) -> float:
        if self.atr is None:
            raise DataUnavailable(f"too few bars of {symbol} {timeframe}")
        return self.atr


class Place:
    """Everything on one database file; several places may share it, as processes do."""

    def __init__(
        self,
        path: Path,
        market: FakeMarket | None = None,
        *,
        limits: RiskLimits = WIDE,
        venue: Venue | None = None,
    ) -> None:
        self.path = path
        self.crash_at = ""
        self.market = market or FakeMarket()
        self.wall = START
        self.database: Engine = connect_database(f"sqlite:///{path}")
        event.listen(self.database, "connect", _hurry)
        metadata.create_all(self.database)
        self.venue = PaperVenue(self.database, self.market, starting_cash=CASH, settings=EXACT)
        self.desk = Desk(
            self.database,
            venue or self.venue,
            self.market,
            limits,
            starting_cash=CASH,
            wall_clock=self.now,
            checkpoint=self._crash,
        )
        self.signals = FakeSignals()
        self.profiles = Profiles(self.database)
        self.notices = Notices(self.database, self.now)
        self.drafts = TradeDrafts(self.desk, self.market, self.profiles, self.signals, limits, DRIFT_BPS)
        self.tickets = Tickets(self.database, self.drafts, self.desk, self.notices, self.now, ttl=TTL)
        self.alerts = Alerts(self.database, self.market, self.signals, self.notices)
        agents = open_agent_side(
            self.database, self.desk, self.market, self.signals, self.tickets, self.notices, self.now,
            owner=OWNER, language="en", ttl=TTL, own_profiles=Path("none"),
        )  # fmt: skip
        self.toolbox: Toolbox = build_toolbox(
            self.market,
            self.signals,
            self.desk,
            self.tickets,
            self.alerts,
            ProfileTool(self.profiles, self.market.instruments(), "en"),
            agents.tools,
            agents.explain,
        )

    def now(self) -> datetime:
        return self.wall

    def _crash(self, step: str) -> None:
        if step == self.crash_at:
            raise Crash(step)

    def pass_time(self, **span: float) -> None:
        """Move the wall clock and the market's together."""
        self.wall += timedelta(**span)
        self.market.present += timedelta(**span)

    async def ask(self, **arguments: Any) -> TicketView | TicketRefused:
        fields = {"symbol": "BTC/USDT", "side": "buy", **arguments}
        return await self.tickets.propose(ExecuteTrade.model_validate(fields), CONTEXT)

    async def open(self, **arguments: Any) -> TicketView:
        ticket = await self.ask(**{"amount": "1", **arguments})
        assert isinstance(ticket, TicketView), ticket
        return ticket

    async def hold(self, quantity: str, symbol: str = "BTC/USDT") -> None:
        """Buy (or sell short, below 0) through an approved ticket."""
        number = Decimal(quantity)
        side = "buy" if number > 0 else "sell"
        ticket = await self.open(symbol=symbol, side=side, amount=abs(number))
        await self.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
        assert (await self.tickets.execute(ticket.ticket_id)).state == "executed"

    def orders_sent(self) -> int:
        """Return how many orders without a parent the venue has ever taken."""
        query = select(func.count()).select_from(paper_orders).where(paper_orders.c.parent_id.is_(None))
        with self.database.connect() as connection:
            return int(connection.execute(query).scalar_one())


def _hurry(connection: Any, _record: Any) -> None:
    """Skip what only a power cut would need."""
    connection.execute("PRAGMA synchronous=OFF")


def make_signal(direction: Direction = Direction.LONG, *, entry: float = 100.1, stop: float = 97.1) -> Signal:
    return Signal(
        symbol="BTC/USDT",
        timeframe="1h",
        direction=direction,
        close=100.0,
        entry=entry,
        stop=stop,
        target=2 * entry - stop,
        reward_risk=1.0,
        probability=0.6,
        breakeven_probability=0.51,
        expected_value_ratio=0.1,
        reason="edge",
        phase=PhaseEvidence(Phase.NEUTRAL, 0.0, None, None, None, None),
        expected_range=ExpectedRange((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)),
        horizon_bars=24,
        drivers=(),
        model_version="test",
        bar_at=datetime(2026, 1, 5, 10, tzinfo=UTC),
        price_at=datetime(2026, 1, 5, 11, tzinfo=UTC),
        valid_until=datetime(2026, 1, 5, 13, tzinfo=UTC),
        is_simulated=True,
    )
