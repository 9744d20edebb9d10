"""The one place that builds adapters and wires them; importing it opens nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from sqlalchemy import Engine

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.risk.values import RiskLimits
from copilot.background import Background
from copilot.chat_models import OfflineChatModel
from copilot.database import open_database
from copilot.graph import Nodes, build_graph
from copilot.service import Copilot
from copilot.settings import Settings
from engine.data.replay import ReplayAnchor, ReplayMarket, start_of_replay
from engine.data.simulated_cache import ParquetChunkStore
from engine.data.store import BarStore
from engine.domain.errors import ConfigError, DataUnavailable
from engine.domain.protocols import MarketData
from engine.ml.live import LiveSignals
from engine.ml.registry import ModelRegistry
from engine.sim.market import SimulatedMarket
from tools.alerts import Alerts
from tools.notices import Notices
from tools.profile import Profiles, ProfileTool
from tools.tickets import Tickets
from tools.toolbox import build_toolbox
from tools.trading import TradeDrafts

log = logging.getLogger(__name__)

Report = Callable[[float, str], None]
"""Told how far a preparation is (0–1) and what is being done."""

BRAIN = "offline"
_MARKET_SHARE = 0.3
_REPLAY_LEAD = timedelta(days=90)


class SystemClock:
    """The real present."""

    def now(self) -> datetime:
        """Return the present, aware UTC."""
        return datetime.now(UTC)


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
    background: Background
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        """Start the background work."""
        self.background.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and close what was opened."""
        await self.background.stop()
        await self.closing.aclose()
        self.database.dispose()


async def open_runtime(settings: Settings, report: Report) -> Runtime:
    """Prepare the market and a first model, open the database and memory, settle what a crash left, wire it all.

    Raises:
        ConfigError: A setting cannot be used.
    """
    database = open_database(settings.database)
    clock = SystemClock()
    market = open_market(settings, lambda done: report(done * _MARKET_SHARE, "market"))
    signals = await asyncio.to_thread(_prepare_signals, settings, market, report)
    limits = RiskLimits()
    venue = PaperVenue(database, market, starting_cash=settings.starting_balance)
    desk = Desk(database, venue, market, limits, starting_cash=settings.starting_balance)
    profiles, notices = Profiles(database), Notices(database, clock.now)
    drafts = TradeDrafts(desk, market, profiles, signals, limits, settings.ticket_max_drift_bps)
    ttl = timedelta(seconds=settings.ticket_ttl_s)
    tickets = Tickets(database, drafts, desk, notices, clock.now, ttl=ttl)
    alerts = Alerts(database, market, signals, notices, clock.now)
    profile_tool = ProfileTool(profiles, market.instruments(), settings.language)
    toolbox = build_toolbox(market, signals, desk, tickets, alerts, profile_tool)
    closing = AsyncExitStack()
    memory = await closing.enter_async_context(open_memory(settings.data_dir / "memory.db"))
    graph = build_graph(Nodes(OfflineChatModel(), toolbox, tickets), memory)
    copilot = Copilot(
        graph, tickets, profiles, notices, market, brain=BRAIN, fallback_language=settings.language
    )  # fmt: skip
    background = Background(venue, desk, tickets, alerts)
    await background.recover()
    report(1.0, "")
    return Runtime(settings, database, market, desk, tickets, alerts, copilot, background, closing)


@asynccontextmanager
async def open_memory(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Yield conversation memory in SQLite; only plain types are ever revived from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    serializer = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        yield AsyncSqliteSaver(connection, serde=serializer)


def open_market(settings: Settings, progress: Callable[[float], None]) -> MarketData:
    """Return the market that the settings name, ready to be read.

    Raises:
        ConfigError: A replay has no bars to play.
    """
    if settings.market == "simulated":
        chunks = ParquetChunkStore(settings.data_dir / "simulated")
        simulated = SimulatedMarket(settings.market_seed, SystemClock(), chunk_store=chunks)
        simulated.prepare(progress)
        return simulated
    return _open_replay(settings, progress)


def _open_replay(settings: Settings, progress: Callable[[float], None]) -> ReplayMarket:
    store, source = open_bar_store(settings), settings.replay_source
    symbols = settings.replay_symbols or None
    if not store.contents(source):
        raise ConfigError(
            f"COPILOT_REPLAY_SOURCE is {source!r}, and no bars are stored there; "
            f"add some with: trading-copilot ingest --source {source} FILES"
        )
    try:
        anchor = _replay_anchor(settings, store)
        replay = ReplayMarket(store, source, SystemClock(), anchor, symbols=symbols)
        replay.prepare(progress)
    except DataUnavailable as error:
        raise ConfigError(f"the replay cannot start: {error}") from error
    return replay


def _replay_anchor(settings: Settings, store: BarStore) -> ReplayAnchor:
    """Return where market time stands; kept in a file, so that a restart goes on instead of starting over."""
    path = settings.data_dir / "replay.json"
    wanted = [settings.replay_source, settings.replay_start, settings.replay_speed]
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["settings"] == wanted:
            return ReplayAnchor(
                datetime.fromisoformat(kept["wall_at"]),
                datetime.fromisoformat(kept["market_at"]),
                settings.replay_speed,
            )
    start = _replay_start(settings, store)
    anchor = ReplayAnchor(datetime.now(UTC), start, settings.replay_speed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"settings": wanted, "wall_at": anchor.wall_at.isoformat(), "market_at": start.isoformat()})
    )
    return anchor


def _replay_start(settings: Settings, store: BarStore) -> datetime:
    if not settings.replay_start:
        return start_of_replay(store, settings.replay_source, before_end=_REPLAY_LEAD)
    try:
        start = datetime.fromisoformat(settings.replay_start)
    except ValueError as error:
        raise ConfigError(
            f"COPILOT_REPLAY_START is {settings.replay_start!r}: write a time like 2025-03-01T00:00:00Z"
        ) from error
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def open_bar_store(settings: Settings) -> BarStore:
    """Return the columnar store of bars."""
    return BarStore(settings.data_dir / "bars")


def open_registry(settings: Settings) -> ModelRegistry:
    """Return the store of trained models; each market has its own, so that invented prices never teach real trades."""
    name = settings.market if settings.market == "simulated" else f"replay-{settings.replay_source}"
    return ModelRegistry(settings.data_dir / "models" / name)


def _prepare_signals(settings: Settings, market: MarketData, report: Report) -> LiveSignals:
    signals = LiveSignals(market, open_registry(settings))
    signals.prepare(lambda done, what: report(_MARKET_SHARE + done * (1 - _MARKET_SHARE), what))
    return signals


async def serve_web(runtime: Runtime, say: Callable[[str], None]) -> None:
    """Serve the web page until interrupted."""
    from copilot.passwords import PasswordFile
    from copilot.web.server import serve

    settings = runtime.settings
    password = PasswordFile(settings.data_dir)
    await serve(
        runtime.copilot,
        host=settings.host,
        port=settings.port,
        owner=settings.owner,
        data_dir=settings.data_dir,
        fallback_language=settings.language,
        check_password=password.verify if password.is_set else None,
        say=say,
    )
