"""The agents' half of the wiring: fleet, mandates, proposals and the tools that supervise them.

One function, for the program and for tests alike. What it returns are workers for the supervisor, tools for the
toolbox, and the store that surfaces decide in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from agents.execution.desk import Desk
from agents.feeds.feed import MarketFeed
from agents.feeds.values import Feed
from agents.fleet.fleet import Fleet
from agents.fleet.ports import SignalSource
from agents.fund.store import FundStore
from agents.mandates import Mandates
from agents.mandates import Permission as MandatePermission
from agents.mandates.unattended import Unattended
from agents.profiles import PACKAGED, load_profiles
from agents.supervisor import Repeat, Worker
from copilot.events import Language
from engine.domain.protocols import MarketData
from tools.agent_plans import AgentPlans
from tools.agent_work import AgentWork
from tools.agents import AgentTools
from tools.asked_orders import AskedOrders
from tools.decisions import Decisions
from tools.explain import ExplainTool
from tools.fleet import DeskFleet
from tools.notices import Notices
from tools.proposals import Proposals
from tools.tickets import Tickets

TEND_EVERY_S = 5.0
PRUNE_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class AgentSide:
    """What the rest of the program needs of the agents."""

    fleet: Fleet
    tools: AgentTools
    explain: ExplainTool
    decisions: Decisions
    mandates: Mandates
    asked: AskedOrders
    unattended: Unattended
    desk: Desk
    journal_keep: timedelta | None = None

    def workers(self) -> tuple[Worker, ...]:
        """Return what the leader runs: every agent, what carries questions to their owner, what clears the journal."""
        tending = Repeat("agents", TEND_EVERY_S, self.tend)
        clearing = () if self.journal_keep is None else (Repeat("journal", PRUNE_EVERY_S, self.prune),)
        return (*self.fleet.workers(), tending, *clearing)

    async def prune(self) -> int:
        """Delete decisions that are older than they are kept; return how many."""
        if self.journal_keep is None:
            return 0
        return await asyncio.to_thread(self.fleet.journal.prune, self.desk.market.now() - self.journal_keep)

    async def tend(self) -> None:
        """Ask what agents wait to be asked, give back unused room of mandates, and let old ones end."""
        await self.asked.look()
        await self.unattended.settle(self.desk.execution, self.desk.market.now())
        await asyncio.to_thread(self.mandates.expire_due)


def open_agent_side(
    database: Engine,
    desk: Desk,
    market: MarketData,
    signals: SignalSource,
    tickets: Tickets,
    notices: Notices,
    now: Callable[[], datetime],
    *,
    owner: str,
    language: Language,
    ttl: timedelta,
    own_profiles: Path,
    feed: Feed | None = None,
    is_alive: Callable[[], Awaitable[bool | None]] | None = None,
    journal_keep: timedelta | None = None,
) -> AgentSide:
    """Wire it.

    Args:
        database: Where everything is kept.
        desk: Where orders go.
        market: Prices and the present.
        signals: The ML engine.
        tickets: The owner's own orders.
        notices: How the owner hears of what agents ask.
        now: Wall time, aware UTC.
        owner: Whom agents ask.
        language: In which language, before the owner has chosen one.
        ttl: How long a proposal may wait.
        own_profiles: Folder of the owner's own agents; one that does not exist is empty.
        feed: Closed bars; the market's own when None.
        is_alive: Tells whether a process runs the agents; None where nobody knows.
        journal_keep: How long decisions are kept; None for good.

    Raises:
        ConfigError: A profile says what none can.
    """
    mandates, permission = Mandates(database, now), MandatePermission(database, desk.venue_name)
    unattended = Unattended(permission, desk.account)
    profiles = load_profiles(PACKAGED, own_profiles)
    fleet = Fleet(database, profiles, desk, market, feed or MarketFeed(market), signals=signals, permission=unattended)
    funds = FundStore(database)
    alive = {} if is_alive is None else {"is_alive": is_alive}
    seen = DeskFleet(fleet, desk, market, funds=lambda: {fund.name for fund in funds.funds()}, **alive)
    plans = AgentPlans(seen, mandates, now)
    proposals = Proposals(database, AgentWork(seen, plans, mandates, now), notices, now, ttl=ttl)
    tools = AgentTools(seen, plans, proposals, mandates, permission, now)
    explain = ExplainTool(fleet.journal, desk, tickets.view, market, seen.titles)
    asked = AskedOrders(seen, plans, proposals, notices, owner, language)
    return AgentSide(
        fleet, tools, explain, Decisions(tickets, proposals), mandates, asked, unattended, desk, journal_keep
    )
