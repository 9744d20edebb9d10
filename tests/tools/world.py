"""The real desk, paper venue, tickets and alerts on SQLite, over a market and signals that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.risk.values import RiskLimits
from copilot.agent_side import AgentSide, open_agent_side
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, START, WIDE, D, FakeMarket
from tools.alerts import Alerts
from tools.decisions import Decisions
from tools.notices import Notices
from tools.profile import Profiles, ProfileTool
from tools.registry import Toolbox, ToolContext
from tools.results import TicketRefused, TicketView
from tools.schema import ExecuteTrade
from tools.tickets import Tickets
from tools.toolbox import build_toolbox
from tools.trading import TradeDrafts

OWNER = "ana"
HERE = ToolContext(OWNER, "chat-1", "en")
ELSEWHERE = ToolContext(OWNER, "chat-2", "en")
STRANGER = ToolContext("eve", "chat-3", "en")
TTL = timedelta(seconds=60)
DRIFT_BPS = 30
EXACT = MatchingSettings(slippage_bps=D(0))


class Clock:
    """Wall time that moves only when told."""

    def __init__(self) -> None:
        self.present = START

    def now(self) -> datetime:
        return self.present

    def wait(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)


class FakeSignals:
    """Signals as a test sets them; a symbol without one has no model."""

    def __init__(self) -> None:
        self.directions: dict[str, Direction] = {}
        self.range = 2.0

    def signal(self, symbol: str, timeframe: str) -> Signal:
        if symbol not in self.directions:
            raise DataUnavailable(f"no model of {symbol}")
        return make_signal(symbol, timeframe, self.directions[symbol])

    def average_true_range(self, symbol: str, timeframe: str) -> float:
        if not self.range:
            raise DataUnavailable(f"too few bars of {symbol}")
        return self.range


def make_signal(symbol: str, timeframe: str, direction: Direction) -> Signal:
    """Return a signal with its stop 4 away from the entry at 100."""
    sign = -1 if direction is Direction.SHORT else 1
    return Signal(
        symbol=symbol,
        timeframe=timeframe,
        direction=direction,
        close=100.0,
        entry=100.0,
        stop=100.0 - 4 * sign,
        target=100.0 + 6 * sign,
        reward_risk=1.5,
        probability=0.5,
        breakeven_probability=0.4,
        expected_value_ratio=0.1,
        reason="edge",
        phase=PhaseEvidence(Phase.NEUTRAL, 0.5, None, None, None, None),
        expected_range=ExpectedRange((101.0, 102.0, 103.0), (99.0, 98.0, 97.0)),
        horizon_bars=24,
        drivers=(),
        model_version="m1",
        bar_at=START,
        price_at=START,
        valid_until=START + timedelta(hours=1),
        is_simulated=True,
    )


@dataclass(slots=True)
class World:
    """Everything of one program on one database."""

    database: Engine
    market: FakeMarket = field(default_factory=FakeMarket)
    clock: Clock = field(default_factory=Clock)
    signals: FakeSignals = field(default_factory=FakeSignals)
    limits: RiskLimits = WIDE
    halted: list[tuple[str, str]] = field(default_factory=list)
    venue: PaperVenue = field(init=False)
    desk: Desk = field(init=False)
    notices: Notices = field(init=False)
    profiles: Profiles = field(init=False)
    tickets: Tickets = field(init=False)
    alerts: Alerts = field(init=False)
    agents: AgentSide = field(init=False)
    decisions: Decisions = field(init=False)
    toolbox: Toolbox = field(init=False)

    def __post_init__(self) -> None:
        database, market = self.database, self.market
        self.venue = PaperVenue(database, market, starting_cash=CASH, settings=EXACT)
        self.desk = Desk(database, self.venue, market, self.limits, starting_cash=CASH)
        self.notices = Notices(database, self.clock.now)
        self.profiles = Profiles(database)
        drafts = TradeDrafts(self.desk, market, self.profiles, self.signals, self.limits, DRIFT_BPS)
        self.tickets = Tickets(database, drafts, self.desk, self.notices, self.clock.now, ttl=TTL)
        self.alerts = Alerts(database, market, self.signals, self.notices)
        profile = ProfileTool(self.profiles, market.instruments(), "en")
        self.agents = open_agent_side(
            database, self.desk, market, self.signals, self.tickets, self.notices, self.clock.now,
            owner=OWNER, language="en", ttl=TTL, own_profiles=Path("none"),
        )  # fmt: skip
        self.decisions = self.agents.decisions
        self.toolbox = build_toolbox(
            market, self.signals, self.desk, self.tickets, self.alerts, profile, self.agents.tools, self.agents.explain
        )

    async def halt(self, owner: str, surface: str) -> None:
        """Note that somebody stopped everything."""
        self.halted.append((owner, surface))

    def again(self) -> World:
        """Return a second program on the same database and market."""
        return World(self.database, self.market, self.clock, self.signals, self.limits)

    async def propose(self, context: ToolContext = HERE, **asked: Any) -> TicketView:
        """Open a ticket (one BTC bought at the market, unless told otherwise)."""
        told = await self.tickets.propose(trade(**asked), context)
        assert isinstance(told, TicketView), told
        return told

    async def refuse(self, **asked: Any) -> TicketRefused:
        """Ask for a trade of which no ticket can be made."""
        told = await self.tickets.propose(trade(**asked), HERE)
        assert isinstance(told, TicketRefused), told
        return told

    async def trade(self, **asked: Any) -> TicketView:
        """Propose, approve and carry out a trade."""
        ticket = await self.propose(**asked)
        decided = await self.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
        assert decided.outcome == "approved", decided
        return await self.tickets.execute(ticket.ticket_id)

    async def orders(self) -> int:
        """Return how many orders the venue has ever accepted (protection apart) that filled or rest."""
        open_orders = [order for order in await self.venue.open_orders() if order.parent_id is None]
        filled = {fill.client_order_id for _, fill in await self.venue.fills(0)}
        return len(filled | {order.request.client_order_id for order in open_orders})


def trade(**asked: Any) -> ExecuteTrade:
    """Return a request for a trade."""
    size = {} if "amount" in asked or asked.get("side") == "close" else {"amount": "1"}
    return ExecuteTrade.model_validate({"symbol": "BTC/USDT", "side": "buy", **size, **asked})


def open_fast(path: Path) -> Engine:
    """Open a database that need not survive a power cut."""
    database = connect_database(f"sqlite:///{path}")
    event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    metadata.create_all(database)
    return database


def number(text: str | Decimal) -> Decimal:
    """Return a decimal."""
    return Decimal(text)
