"""Agents by talk over a fleet that a test sets: the real tools, proposals, mandates and notices on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

import agents.mandates.tables  # noqa: F401  # the tables stand on the shared metadata once this is imported
from agents.fleet.lifecycle import Action, AgentState, next_state
from agents.mandates import Mandates, Permission
from engine.domain.errors import InvalidRequest, VenueUnavailable
from tools.agent_fleet import SettingChange
from tools.agent_plans import AgentPlans
from tools.agent_results import AgentsChanged, AgentView, ProposalView, ProposedOrder
from tools.agent_work import AgentWork
from tools.agents import AgentTools
from tools.asked_orders import AskedOrders
from tools.notices import Notices
from tools.proposals import Proposals
from tools.registry import ToolContext
from tools.schema import ConfigureAgent, ControlAgent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OWNER = "ana"
HERE = ToolContext(OWNER, "chat-1", "en")
STRANGER = ToolContext("eve", "chat-9", "en")
TTL = timedelta(seconds=60)
D = Decimal
_RAISES_WHEN_LARGER = ("position_size_pct", "max_positions", "max_drawdown_pct")


@dataclass
class FakeAgent:
    """One agent as the test sets it."""

    state: AgentState = AgentState.CREATED
    reason: str = ""
    equity: Decimal = Decimal(0)
    bound: Decimal = Decimal(0)
    settings: dict[str, str | tuple[str, ...]] = field(default_factory=dict)


class FakeFleet:
    """An `AgentFleet` in memory, by the real life cycle; remembers what was done and can fail."""

    def __init__(self, venue: str = "paper") -> None:
        self.venue = venue
        self.currency = "USD"
        self.is_simulated = True
        self.present = NOON
        self.cash = D(100_000)
        self.agents = {
            name: FakeAgent(
                settings={
                    "position_size_pct": size,
                    "max_positions": positions,
                    "max_drawdown_pct": drawdown,
                    "pairs": ("BTC/USDT", "ETH/USDT"),
                    "strategies": ("grid", "mean_reversion"),
                }
            )
            for name, size, positions, drawdown in (
                ("atlas", "2", "3", "5"),
                ("orion", "3", "5", "10"),
                ("nova", "5", "10", "20"),
            )
        }
        self.deeds: list[tuple[str, str, str, str]] = []
        self.orders: dict[str, ProposedOrder] = {}
        self.trouble: Exception | None = None
        self.deaf: set[str] = set()
        self.funds: set[str] = set()
        self.pause: asyncio.Event | None = None

    def now(self) -> datetime:
        return self.present

    def names(self) -> tuple[str, ...]:
        return tuple(self.agents)

    async def view(self, agent: str, period: str | None) -> AgentView:
        return make_view(agent, state=self.agents[agent].state.value)

    async def state(self, agent: str) -> tuple[AgentState, str]:
        return self.agents[agent].state, self.agents[agent].reason

    async def budget(self, agent: str) -> tuple[Decimal, Decimal | None, Decimal]:
        if self.trouble is not None:
            raise self.trouble
        equity = self.agents[agent].equity
        return equity, None if equity else D(10_000), self.cash

    async def spare(self, agent: str) -> Decimal:
        return self.agents[agent].equity - self.agents[agent].bound

    def has_fund(self, agent: str) -> bool:
        return agent in self.funds

    async def give(self, agent: str, amount: Decimal, *, source: str) -> None:
        if amount > self.cash:
            raise InvalidRequest("budget_too_large", agent=agent, available=self.cash)
        self.agents[agent].equity += amount
        self.cash -= amount
        self.deeds.append((agent, f"give {amount}", "", source))

    async def is_given(self, source: str) -> bool:
        return any(deed[1].startswith("give ") and deed[3] == source for deed in self.deeds)

    async def take_back(self, agent: str, amount: Decimal, *, by: str) -> None:
        if amount > await self.spare(agent):
            raise InvalidRequest("money_bound", agent=agent, available=await self.spare(agent))
        self.agents[agent].equity -= amount
        self.cash += amount
        self.deeds.append((agent, f"take {amount}", by, ""))

    async def limits(self, agent: str) -> tuple[Decimal, int, Decimal]:
        settings = self.agents[agent].settings
        figures = [settings[name] for name in _RAISES_WHEN_LARGER]
        assert all(isinstance(figure, str) for figure in figures)
        return D(str(figures[0])), int(str(figures[1])), D(str(figures[2]))

    async def pairs(self, agent: str) -> tuple[str, ...]:
        pairs = self.agents[agent].settings["pairs"]
        assert isinstance(pairs, tuple)
        return pairs

    async def act(
        self, agent: str, action: Action, *, by: str, source: str = "", budget: Decimal | None = None
    ) -> None:
        if self.pause is not None:
            await self.pause.wait()
        if agent in self.deaf:
            raise VenueUnavailable("no answer")
        one = self.agents[agent]
        one.state = next_state(one.state, action)
        if budget is not None:
            one.equity += budget
            self.cash -= budget
        self.deeds.append((agent, action.value, by, source))

    async def judge(self, agent: str, setting: str, value: Decimal | tuple[str, ...]) -> SettingChange:
        before = self.agents[agent].settings[setting]
        if isinstance(value, tuple):
            if isinstance(before, str):
                raise InvalidRequest("bad_argument", argument=setting, value=", ".join(value))
            return SettingChange(before, tuple(sorted(value)), bool(set(value) - set(before)))
        if isinstance(before, tuple):
            raise InvalidRequest("bad_argument", argument=setting, value=str(value))
        return SettingChange(before, format(value.normalize(), "f"), value > D(before))

    async def configure(
        self, agent: str, setting: str, value: Decimal | tuple[str, ...], *, by: str, source: str = ""
    ) -> None:
        change = await self.judge(agent, setting, value)
        self.agents[agent].settings[setting] = change.after
        self.deeds.append((agent, setting, by, source))

    async def asked_orders(self) -> tuple[ProposedOrder, ...]:
        return tuple(self.orders.values())

    async def is_asked(self, source: str) -> bool:
        return source in self.orders

    async def confirm_order(self, source: str, *, by: str) -> None:
        if self.orders.pop(source, None) is None:
            raise InvalidRequest("order_not_found", order_id=source)
        self.deeds.append(("confirmed", source, by, ""))

    async def decline_order(self, source: str, *, by: str) -> None:
        if self.orders.pop(source, None) is not None:
            self.deeds.append(("declined", source, by, ""))


class World:
    """The real tools around it."""

    def __init__(self, database: Engine, venue: str = "paper", fleet: FakeFleet | None = None) -> None:
        self.database = database
        self.present = NOON
        self.fleet = fleet or FakeFleet(venue)
        self.mandates = Mandates(database, self.now)
        self.permission = Permission(database, venue)
        self.notices = Notices(database, self.now)
        self.plans = AgentPlans(self.fleet, self.mandates, self.now)
        self.work = AgentWork(self.fleet, self.plans, self.mandates, self.now)
        self.proposals = Proposals(database, self.work, self.notices, self.now, ttl=TTL)
        self.tools = AgentTools(self.fleet, self.plans, self.proposals, self.mandates, self.permission, self.now)

        self.asked = AskedOrders(self.fleet, self.plans, self.proposals, self.notices, OWNER, "en")

    def now(self) -> datetime:
        return self.present

    def wait(self, **time: float) -> None:
        self.present += timedelta(**time)
        self.fleet.present = self.present

    def restarted(self) -> World:
        """Return the same database and fleet in a new process."""
        again = World(self.database, self.fleet.venue, self.fleet)
        again.present = self.present
        return again

    async def control(self, agent: str, action: str, context: ToolContext = HERE, **said: Any) -> AgentsChanged:
        asked = ControlAgent.model_validate({"agent": agent, "action": action, **said})
        return await self.tools.control(asked, context)

    async def configure(self, agent: str, setting: str, value: Any, context: ToolContext = HERE) -> AgentsChanged:
        asked = {"agent": agent, "setting": setting, "value": value}
        return await self.tools.configure(ConfigureAgent.model_validate(asked), context)

    async def start(self, agent: str = "nova") -> ProposalView:
        """Return the proposal to start an agent."""
        return proposal(await self.control(agent, "start"))

    async def ask(self, *orders: ProposedOrder) -> tuple[ProposalView, ...]:
        """Let agents ask for orders and return what their owner is asked."""
        for order in orders:
            self.fleet.orders[order.source] = order
        await self.asked.look()
        return self.proposals.open_for(OWNER)

    async def approve(self, asked: ProposalView) -> ProposalView:
        """Approve and carry out."""
        decided = await self.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
        assert decided.outcome == "approved", decided
        return await self.proposals.execute(asked.ticket_id)

    def told(self) -> list[tuple[str, Mapping[str, str]]]:
        return [(notice.kind, notice.params) for notice in self.notices.pending(OWNER, "web")]


def proposal(result: AgentsChanged) -> ProposalView:
    assert result.proposal is not None
    return result.proposal


def make_view(agent: str, **values: Any) -> AgentView:
    """Return an agent that holds nothing."""
    plain: dict[str, Any] = {
        "agent": agent,
        "title": agent.title(),
        "temperament": "aggressive",
        "state": "running",
        "since": NOON,
        "by": OWNER,
        "reason": "",
        "budget": D(10_000),
        "equity": D("10250.50"),
        "cash": D("10250.50"),
        "pnl": D("250.50"),
        "pnl_pct": D("2.505"),
        "realised": D("260.00"),
        "fees": D("9.50"),
        "drawdown_pct": D("1.25"),
        "max_drawdown_pct": D(20),
        "exposure_pct": D(0),
        "position_size_pct": D(5),
        "max_positions": 10,
        "pairs": ("BTC/USDT", "ETH/USDT"),
        "strategies": ("momentum", "scalping"),
        "positions": (),
        "trades": 12,
        "win_rate_pct": D("58.3"),
        "target_win_rate_pct": D(50),
        "month_pct": D("2.5"),
        "target_month_pct": (D(10), None),
        "mandate": None,
        "is_alive": True,
    }
    return AgentView(**(plain | values))


def make_order(source: str = "agent:nova/momentum/ETH/USDT//20260302T120000Z", **values: Any) -> ProposedOrder:
    plain: dict[str, Any] = {
        "agent": "nova",
        "source": source,
        "strategy": "momentum",
        "symbol": "ETH/USDT",
        "side": "buy",
        "order_type": "market",
        "quantity": D("0.2"),
        "price": None,
        "expected_price": D("2500.10"),
        "notional": D("500.02"),
        "stop_loss": D("2400"),
        "take_profit": None,
        "reason": "mandate_daily_notional",
        "valid_until": NOON + timedelta(minutes=30),
    }
    return ProposedOrder(**(plain | values))
