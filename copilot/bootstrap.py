"""The one place that builds adapters and wires them; importing it opens nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from starlette.types import ASGIApp

from agents.execution.desk import Desk
from agents.execution.kill_file import KillFile
from agents.feeds.feed import MarketFeed
from agents.profiles import load_profiles
from agents.risk.values import RiskLimits
from agents.supervisor import Job, Repeat, Supervisor, Worker, term_fence
from copilot.agent_side import AgentSide, open_agent_side
from copilot.background import Background
from copilot.brain.choosing import ChosenBrain
from copilot.brain.opening import open_brain
from copilot.brain.situation import OpenSymbols, Situation
from copilot.brain.values import Brain
from copilot.database import open_database
from copilot.graph import Nodes, build_graph
from copilot.markets import SystemClock, running_market, settle_market
from copilot.memory import open_memory
from copilot.places import KILL_FILE, open_registry, prepare_data_dir
from copilot.remembering import Remembering
from copilot.retraining import Retraining
from copilot.service import Copilot
from copilot.settings import Settings
from copilot.telegram.store import TelegramStore
from copilot.venues import incident_teller, running_venue, starting_cash
from copilot.web.threads import Threads
from copilot.worlds import claim_world
from engine.domain.protocols import MarketData
from engine.domain.symbols import CRYPTO_SYMBOLS
from engine.ml.device import choose_device
from engine.ml.live import LiveSignals
from prompts import LANGUAGES, load_words
from tools.alerts import Alerts
from tools.notices import Notices
from tools.profile import Profiles, ProfileTool
from tools.registry import Toolbox
from tools.schema import AGENTS
from tools.tickets import Tickets
from tools.toolbox import build_toolbox
from tools.trading import TradeDrafts

log = logging.getLogger(__name__)

Report = Callable[[float, str], None]
"""Told how far a preparation is (0–1) and what is being done."""

FUNDS_EVERY_S = 60.0
_GROUP_EXPOSURE = Decimal("1.2")
"""Largest exposure to all coins together, as a multiple of equity: they fall together."""
_MARKET_SHARE = 0.3
_REPLAY_LEAD = timedelta(days=90)


@dataclass(slots=True)
class Runtime:
    """Everything that runs, as an async context: background work starts on entry and ends on exit."""

    settings: Settings
    database: Engine
    market: MarketData
    desk: Desk
    tickets: Tickets
    alerts: Alerts
    copilot: Copilot
    agents: AgentSide
    feed: MarketFeed
    signals: LiveSignals
    toolbox: Toolbox
    notices: Notices
    supervisor: Supervisor
    brain: Brain
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        """Start the background work, and have the chat model loaded meanwhile."""
        supervising = asyncio.create_task(self.supervisor.run())
        self.closing.push_async_callback(_end, supervising)
        warming = asyncio.create_task(self.brain.warm_up())
        self.closing.callback(warming.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and close what was opened."""
        await self.closing.aclose()


async def open_runtime(settings: Settings, report: Report) -> Runtime:
    """Prepare the market and a first model, open the database and memory, settle what a crash left, wire it all.

    Raises:
        ConfigError: A setting cannot be used.
    """
    async with AsyncExitStack() as closing:
        runtime = await _wire(settings, report, closing)
        runtime.closing = closing.pop_all()
    return runtime


async def _wire(settings: Settings, report: Report, closing: AsyncExitStack) -> Runtime:
    """Open everything, and leave with `closing` what must be closed, also when something fails half way."""
    prepare_data_dir(settings)
    settled = await asyncio.to_thread(settle_market, settings)
    settings = settled.settings
    database = open_database(settings.database)
    closing.callback(database.dispose)
    claim_world(database, settings.world)
    clock = SystemClock()
    market = await closing.enter_async_context(
        running_market(settings, lambda done: report(done * _MARKET_SHARE, "market"))
    )
    signals = await prepare_signals(settings, market, report)
    limits = RiskLimits(group_exposure_ratio=_GROUP_EXPOSURE)
    notices = Notices(database, clock.now)
    venue = await closing.enter_async_context(
        running_venue(settings, database, market, incident_teller(notices, settings.owner))
    )
    kill_file = KillFile(settings.data_dir / KILL_FILE)
    supervisors = list[Supervisor]()
    desk = Desk(
        database,
        venue,
        market,
        limits,
        starting_cash=starting_cash(settings),
        groups=dict.fromkeys(CRYPTO_SYMBOLS, "crypto"),
        kill_file=kill_file,
        fence=term_fence(supervisors),
    )
    profiles = Profiles(database)
    drafts = TradeDrafts(desk, market, profiles, signals, limits, settings.ticket_max_drift_bps)
    ttl = timedelta(seconds=settings.ticket_ttl_s)
    tickets = Tickets(database, drafts, desk, notices, clock.now, ttl=ttl)
    alerts = Alerts(database, market, signals, notices)
    profile_tool = ProfileTool(profiles, market.instruments(), settings.language)
    feed = MarketFeed(market)
    closing.push_async_callback(feed.close)
    agents = open_agent_side(
        database,
        desk,
        market,
        signals,
        tickets,
        notices,
        clock.now,
        owner=settings.owner,
        language=settings.language,
        ttl=ttl,
        own_profiles=settings.data_dir / "agents",
        feed=feed,
        is_alive=_is_led(supervisors),
        journal_keep=timedelta(days=settings.journal_keep_days) if settings.journal_keep_days else None,
    )
    toolbox = build_toolbox(
        market, signals, desk, tickets, alerts, profile_tool, agents.tools, agents.explain,
        profiles=load_profiles(settings.data_dir / "agents"),
    )  # fmt: skip
    telegram = TelegramStore(database, clock.now)
    background = Background(venue, desk, agents.decisions, alerts)
    await background.recover()
    memory = await closing.enter_async_context(
        open_memory(settings.memory, ttl_s=settings.memory_ttl_s or None, confirmation_s=settings.ticket_ttl_s)
    )
    situation = Situation(
        market, profiles, agents.decisions.open_for, _held_by(desk), memory.facts.list, memory.context, clock.now
    )
    own_agents = [name for name in agents.fleet.names if name not in AGENTS]
    brain = await ChosenBrain.open(
        lambda chat_model: open_brain(settings, situation, chat_model, agents=own_agents), settings
    )
    closing.push_async_callback(brain.close)
    graph = build_graph(Nodes(brain, toolbox, agents.decisions), memory)
    copilot = Copilot(
        graph,
        agents.decisions,
        profiles,
        notices,
        market,
        fallback_language=settings.language,
        venue=settings.venue,
        is_real_money=settings.is_real_money,
        market_reason=settled.reason,
        remembering=Remembering(memory, profiles, clock.now, erase=Threads(database, clock.now).forget),
        speaker=lambda: brain.speaker,
        chosen_brain=brain,
        halt=_halting(desk),
        link_code=telegram.new_code if settings.telegram_users else None,
        alerts=alerts,
        forget=memory.adelete_thread,
    )
    workers = [
        *background.workers(),
        *agents.workers(),
        fund_worker(database, desk),
        *retraining_workers(settings, market, notices),
        *telegram_workers(settings, copilot, telegram),
    ]
    supervisor = Supervisor(database, workers, notifier=notices, owner=settings.owner)
    supervisors.append(supervisor)
    report(1.0, "")
    return Runtime(
        settings,
        database,
        market,
        desk,
        tickets,
        alerts,
        copilot,
        agents,
        feed,
        signals,
        toolbox,
        notices,
        supervisor,
        brain,
    )


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def fund_worker(database: Engine, desk: Desk) -> Worker:
    """Return what deals, charges and pays out for funds when their calendar says so."""
    from agents.fund import Funds
    from copilot.funds import DeskBooks

    funds = Funds(database, DeskBooks(desk))

    async def look() -> None:
        for fund in await asyncio.to_thread(funds.list_funds):
            await funds.settle(fund.record.name)
            await funds.run_due(fund.record.name)

    return Repeat("funds", FUNDS_EVERY_S, look)


def retraining_workers(settings: Settings, market: MarketData, notices: Notices) -> list[Worker]:
    """Return the worker that trains old models again; none where the owner wants none."""
    if not settings.retrain_days:
        return []
    every = timedelta(days=settings.retrain_days)
    device, registry = choose_device(settings.device), open_registry(settings)
    retraining = Retraining(market, registry, notices, settings.owner, every, SystemClock().now, device=device)
    return [Job("retraining", retraining.run)]


def telegram_workers(settings: Settings, copilot: Copilot, store: TelegramStore) -> list[Worker]:
    """Return the worker that talks on Telegram; none where the owner has no bot."""
    token = settings.telegram_token.get_secret_value()
    if not token:
        return []
    from copilot.telegram.bot import TelegramBot, TelegramOptions
    from copilot.telegram.webhook import WebhookOptions

    url, place = settings.telegram_webhook_url, (settings.telegram_webhook_host, settings.telegram_webhook_port)
    webhook = WebhookOptions(url, *place) if url else None
    options = TelegramOptions(token, frozenset(settings.telegram_users), settings.telegram_api_url, webhook)
    return [Job("telegram", TelegramBot(copilot, store, options, settings.language).run)]


def _is_led(supervisors: Sequence[Supervisor]) -> Callable[[], Awaitable[bool | None]]:
    """Return whether some process runs the agents; the supervisor is made after those who ask."""

    async def is_led() -> bool | None:
        if not supervisors:
            return None
        if supervisors[0].fence is not None:
            return True
        processes = await supervisors[0].processes()
        return any(process.is_alive and process.fence is not None for process in processes)

    return is_led


def _halting(desk: Desk) -> Callable[[str, str], Awaitable[None]]:
    async def halt(owner: str, surface: str) -> None:
        await desk.kill(owner, f"asked:{surface}")

    return halt


def _held_by(desk: Desk) -> OpenSymbols:
    async def held(owner: str) -> tuple[str, ...]:
        return tuple(sorted(status.position.symbol for status in await desk.positions()))

    return held


class _Interrupted(Exception):
    """Ends a training that nobody waits for any more."""


async def prepare_signals(settings: Settings, market: MarketData, report: Report) -> LiveSignals:
    """Train a first model where there is none, beside the event loop; an interruption ends it at its next step."""
    device = await asyncio.to_thread(choose_device, settings.device)
    signals, is_interrupted = LiveSignals(market, open_registry(settings), device=device), threading.Event()

    def tell(done: float, what: str) -> None:
        if is_interrupted.is_set():
            raise _Interrupted
        report(_MARKET_SHARE + done * (1 - _MARKET_SHARE), what)

    try:
        await asyncio.to_thread(signals.prepare, tell)
    except asyncio.CancelledError:
        is_interrupted.set()
        raise
    return signals


def open_dashboard(runtime: Runtime) -> ASGIApp:
    """Return the live page of a program."""
    from copilot.dashboard import LiveView
    from copilot.web.languages import browser_language
    from engine.dashboard.app import build_dashboard

    settings = runtime.settings
    view = LiveView(
        settings.owner,
        runtime.desk,
        runtime.agents.fleet,
        runtime.market,
        runtime.feed,
        runtime.signals,
        open_registry(settings),
        runtime.alerts,
        drawdown_limit=RiskLimits().drawdown_ratio,
    )
    words = {language: load_words(language, "dashboard") for language in LANGUAGES}

    def prefer(accepted: str) -> str:
        return runtime.copilot.language(settings.owner, browser_language(accepted, settings.language))

    return build_dashboard(view, runtime.market, words, owner=settings.owner, prefer=prefer)


def open_rest(runtime: Runtime) -> ASGIApp:
    """Return the HTTP service of a program; it ends with the program's other work."""
    from copilot.rest.app import build_rest
    from copilot.rest.health import database_probe, market_probe, supervisor_probe
    from copilot.rest.jobs import BacktestJobs
    from copilot.rest.tokens import TokenStore

    clock = SystemClock()
    jobs = BacktestJobs(runtime.database, runtime.toolbox, clock.now)
    runtime.closing.push_async_callback(jobs.close)
    return build_rest(
        runtime.copilot,
        TokenStore(runtime.database, clock.now),
        tools=runtime.toolbox,
        alerts=runtime.alerts,
        notices=runtime.notices,
        jobs=jobs,
        now=clock.now,
        probes=(
            database_probe(runtime.database),
            market_probe(runtime.market),
            supervisor_probe(runtime.supervisor),
        ),
        fallback=runtime.settings.language,
        lift=lambda owner: runtime.desk.lift(None, owner),
    )


async def serve_web(runtime: Runtime, say: Callable[[str], None]) -> None:
    """Serve the web page until interrupted."""
    from copilot.passwords import PasswordFile
    from copilot.web.server import serve

    settings = runtime.settings
    password = PasswordFile(settings.data_dir)
    await serve(
        runtime.copilot,
        Threads(runtime.database, SystemClock().now),
        host=settings.host,
        port=settings.port,
        owner=settings.owner,
        data_dir=settings.data_dir,
        fallback_language=settings.language,
        check_password=password.verify if password.is_set else None,
        dashboard=open_dashboard(runtime),
        rest=open_rest(runtime),
        say=say,
    )
