"""Opens the market that the settings name: invented prices, stored bars played back, or Binance as it runs.

`auto` is decided once at a start, by whether Binance answers, and noted, so that the other commands mean the same
market. A market that was asked for by name and cannot be opened stops the start; one that was only looked for gives way
to the simulated one. Each market has models and an account of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from copilot.places import network_of, open_bar_store
from copilot.settings import Settings
from engine.data.files import write_atomically
from engine.data.live.assembly import build_live_market
from engine.data.live.choice import choose_market, reachable
from engine.data.live.composite import CompositeMarket, parse_proxies
from engine.data.live.networks import SPOT
from engine.data.replay import ReplayAnchor, ReplayMarket, start_of_replay
from engine.data.simulated_cache import ParquetChunkStore
from engine.data.store import BarStore
from engine.domain.errors import ConfigError, DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.symbols import CRYPTO_SYMBOLS, FX_SYMBOLS
from engine.sim.market import SimulatedMarket

Progress = Callable[[float], None]
_REPLAY_LEAD = timedelta(days=90)


class SystemClock:
    """The real present."""

    def now(self) -> datetime:
        """Return the present, aware UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Settled:
    """Settings in which the market has a name.

    Attributes:
        reason: `set` when the owner chose it, else what a look at the network told (see `engine.data.live.choice`).
    """

    settings: Settings
    reason: str


def settle_market(settings: Settings, *, is_noted: bool = True) -> Settled:
    """Decide what `auto` means now; anything else stays as it is set.

    Args:
        settings: As the owner wrote them.
        is_noted: Whether commands take this market from now on: only what trades on it may say so, for the network may
            be gone for a moment while the copilot goes on.
    """
    if settings.venue != "paper" or settings.market != "auto":
        return Settled(settings.model_copy(update={"market": settings.market_kind}), "set")
    url = SPOT.ping_url(settings.binance_url)
    choice = choose_market("auto", lambda: reachable(url))
    if is_noted:
        write_atomically(settings.market_file, lambda draft: draft.write_text(choice.kind))
    return Settled(settings.model_copy(update={"market": choice.kind}), choice.reason)


@asynccontextmanager
async def running_market(settings: Settings, progress: Progress) -> AsyncIterator[MarketData]:
    """Yield the market of the settings, ready to be read, and close it at the end.

    Raises:
        ConfigError: It cannot be opened.
    """
    if settings.market_kind != "binance":
        yield _open_local(settings, progress)
        return
    market = live_market(settings)
    try:
        await market.open(progress)
    except DataUnavailable as error:
        raise ConfigError(
            f"Binance's prices cannot be read ({error}); see whether this machine reaches it, or set "
            "COPILOT_MARKET=simulated"
        ) from error
    try:
        yield market
    finally:
        await market.close()


@contextmanager
def held_market(settings: Settings, progress: Progress) -> Iterator[MarketData]:
    """Yield the market to code without an event loop; a live one runs in a thread meanwhile.

    Raises:
        ConfigError: It cannot be opened.
    """
    if settings.market_kind != "binance":
        yield _open_local(settings, progress)
        return
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever, name="live-market", daemon=True)
    running.start()
    context = running_market(settings, progress)
    try:
        market = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
        try:
            yield market
        finally:
            asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        running.join()
        loop.close()


def live_market(settings: Settings) -> CompositeMarket:
    """Return Binance's market with what the owner names for currencies and gold, to be opened."""
    network = network_of(settings)
    streams = settings.binance_stream_url or None
    if streams and network.is_futures:
        streams = f"{streams}/futures"
    return build_live_market(
        open_bar_store(settings),
        (*FX_SYMBOLS, *(settings.market_symbols or CRYPTO_SYMBOLS)),
        network=network,
        proxies=parse_proxies(settings.market_proxies),
        stored_source=settings.market_source,
        rest_url=settings.binance_url or None,
        ws_url=streams,
    )


def _open_local(settings: Settings, progress: Progress) -> MarketData:
    if settings.market_kind == "replay":
        return _open_replay(settings, progress)
    chunks = ParquetChunkStore(settings.data_dir / "simulated")
    simulated = SimulatedMarket(settings.market_seed, SystemClock(), chunk_store=chunks)
    simulated.prepare(progress)
    return simulated


def _open_replay(settings: Settings, progress: Callable[[float], None]) -> ReplayMarket:
    store, source = open_bar_store(settings), settings.replay_source
    symbols = settings.replay_symbols or None
    try:
        if not store.contents(source):
            raise ConfigError(
                f"COPILOT_REPLAY_SOURCE is {source!r}, and no bars are stored there; "
                f"add some with: trading-copilot ingest --source {source} FILES"
            )
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
        kept_settings, anchor = _kept_anchor(path, settings.replay_speed)
        if kept_settings == wanted:
            return anchor
    start = _replay_start(settings, store)
    anchor = ReplayAnchor(datetime.now(UTC), start, settings.replay_speed)
    kept = json.dumps({"settings": wanted, "wall_at": anchor.wall_at.isoformat(), "market_at": start.isoformat()})
    write_atomically(path, lambda draft: draft.write_text(kept))
    return anchor


def _kept_anchor(path: Path, speed: float) -> tuple[object, ReplayAnchor]:
    """Return the settings that a kept anchor belongs to, and the anchor."""
    try:
        kept = json.loads(path.read_text())
        wall_at, market_at = (datetime.fromisoformat(kept[name]) for name in ("wall_at", "market_at"))
        if wall_at.tzinfo is None or market_at.tzinfo is None:
            raise ValueError("a time without a zone")
        return kept["settings"], ReplayAnchor(wall_at, market_at, speed)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error}): delete it, and the replay starts over") from error


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
