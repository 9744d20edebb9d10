"""How agents stand and what a change would make of them: values that the fleet answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.fleet.agent import Agent
from agents.fleet.lifecycle import AgentState
from agents.fleet.ports import Pulse
from agents.profiles import Profile
from agents.risk.states import TradingState
from agents.risk.values import RiskLimits
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """How an agent stands; money in account currency, None while the book cannot be read.

    Attributes:
        who, reason, since: Of the last step of its life.
        trading_state: Of its book or the account, the stricter one.
        missing: Pairs that its profile names and the market does not list.
        positions: Symbols held; `waiting` entries and `asked` ones that need the owner.
        unexplained: Quantities that the book holds and no leg accounts for, by symbol.
        changes: How often its profile was changed.
    """

    name: str
    title: Mapping[str, str]
    temperament: str
    state: AgentState
    who: str
    reason: str
    since: datetime
    trading_state: TradingState
    is_flattening: bool
    venue: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    missing: tuple[str, ...]
    equity: Decimal | None
    cash: Decimal | None
    drawdown_pct: Decimal | None
    positions: tuple[str, ...]
    waiting: int
    asked: int
    unexplained: Mapping[str, Decimal]
    decided_at: Mapping[Timeframe, datetime]
    limits: RiskLimits
    changes: int


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change of a profile would make of it."""

    agent: str
    old: Profile
    new: Profile
    changes: Mapping[str, Any]
    raises_risk: bool


@dataclass(frozen=True, slots=True)
class AgentWorker:
    """An agent as something that a supervisor runs."""

    agent: Agent

    @property
    def name(self) -> str:
        """Return its name among the workers."""
        return f"agent_{self.agent.name}"

    async def run(self, pulse: Pulse) -> None:
        """Trade until cancelled."""
        await self.agent.run(pulse)
