"""A stage for agents: a tape of bars as a market, the real desk on the paper venue, and a feed that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.feeds.values import BarsClosed, FeedHealth
from agents.fleet.fleet import Fleet
from agents.profiles import Profile, parse_profile
from agents.risk.values import RiskLimits
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, Instrument, Quote, decimal_price, utc_from_seconds
from engine.domain.resampling import resample
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.sim.matching import MatchingSettings

D = Decimal
START = datetime(2026, 1, 5, tzinfo=UTC)
CASH = D(100_000)
WIDE = RiskLimits(
    position_ratio=D(2), gross_exposure_ratio=D(5), max_positions=500, order_notional=D(10**7), orders_per_minute=10**6
)
SPREAD_BPS = D(2)
MATCHING = MatchingSettings(slippage_bps=D(1))


def make_instrument(symbol: str, *, shortable: bool = False) -> Instrument:
    base, quote = symbol.split("/")
    fees = (D("0.001"), D("0.0008"))
    return Instrument(symbol, base, quote, D("0.01"), D("0.0001"), D("0.0001"), D(5), *fees, is_shortable=shortable)


def walk(symbol: str, count: int, seed: int, timeframe: Timeframe = "1h", start: datetime = START) -> Bars:
    """Return bars of a random walk that swings, so that every strategy finds something to do."""
    random = np.random.default_rng(seed)
    step = TIMEFRAME_S[timeframe]
    swing = 0.004 * np.sin(np.arange(count) / 17) + random.normal(0, 0.006, count)
    close = np.round(100 * np.exp(np.cumsum(swing - swing.mean())), 2)
    opened = np.concatenate([[100.0], close[:-1]])
    top = np.round(np.maximum(opened, close) * (1 + np.abs(random.normal(0, 0.003, count))), 2)
    low = np.round(np.minimum(opened, close) * (1 - np.abs(random.normal(0, 0.003, count))), 2)
    time = int(start.timestamp()) + step * np.arange(count, dtype=np.int64)
    return Bars(symbol, timeframe, time, opened, top, low, close, np.zeros(count))


class Tape:
    """A market that plays bars; its clock is moved by hand. The quote is the opening of the bar that is going on."""

    name = "tape"
    is_simulated = True

    def __init__(self, bars: Sequence[Bars], *, shortable: bool = False) -> None:
        self._bars = {each.symbol: each for each in bars}
        self._instruments = {symbol: make_instrument(symbol, shortable=shortable) for symbol in self._bars}
        self.present = START
        self.silent: set[str] = set()
        self.reads = 0

    def now(self) -> datetime:
        return self.present

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def quote(self, symbol: str) -> Quote:
        bars, instrument = self._found(symbol), self._instruments[symbol]
        now_s = self.present.timestamp()
        row = int(np.searchsorted(bars.time, now_s, side="right")) - 1
        ended = row >= 0 and now_s >= bars.time[row] + TIMEFRAME_S[bars.timeframe]
        mid = decimal_price(float(bars.close[row] if ended else bars.open[max(row, 0)]), instrument)
        half = (mid * SPREAD_BPS / 20_000 / instrument.tick_size).to_integral_value(ROUND_CEILING)
        half *= instrument.tick_size
        return Quote(symbol, mid - half, mid + half, self.present)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        self.reads += 1
        bars, now_s = self._found(symbol), int(self.present.timestamp())
        closed = bars[: int(np.searchsorted(bars.time, now_s - TIMEFRAME_S[bars.timeframe], side="right"))]
        made = closed if timeframe == bars.timeframe else resample(closed, timeframe, now_s=now_s)
        return made[max(len(made) - limit, 0) :]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        bars = self._found(symbol)
        last = min(end.timestamp(), self.present.timestamp() - TIMEFRAME_S[bars.timeframe] + 1)
        rows = np.searchsorted(bars.time, (start.timestamp(), last))
        return bars[int(rows[0]) : max(int(rows[1]), int(rows[0]))]

    def _found(self, symbol: str) -> Bars:
        if symbol not in self._bars or symbol in self.silent:
            raise DataUnavailable(f"no {symbol}")
        return self._bars[symbol]


class HandFeed:
    """A feed that tells what a test tells it."""

    def __init__(self, market: Tape) -> None:
        self._market = market
        self.stale: dict[str, str] = {}
        self.subscribed: list[tuple[tuple[str, ...], Timeframe, datetime | None]] = []
        self._queues: dict[Timeframe, asyncio.Queue[BarsClosed]] = {}

    def subscribe(self, symbols: Collection[str], timeframe: Timeframe, *, after: datetime | None) -> HandSubscription:
        self.subscribed.append((tuple(sorted(symbols)), timeframe, after))
        self._queues[timeframe] = asyncio.Queue()
        return HandSubscription(self._queues[timeframe])

    def tell(self, event: BarsClosed) -> None:
        self._queues[event.timeframe].put_nowait(event)

    def health(self, symbol: str) -> FeedHealth:
        reason = self.stale.get(symbol, "")
        return FeedHealth(symbol, self._market.present, self._market.present, bool(reason), reason)


@dataclass
class HandSubscription:
    queue: asyncio.Queue[BarsClosed]

    def __aiter__(self) -> AsyncIterator[BarsClosed]:
        return self._events()

    async def _events(self) -> AsyncIterator[BarsClosed]:
        while True:
            yield await self.queue.get()

    async def close(self) -> None:
        return


@dataclass
class Stage:
    """Everything that an agent needs, over one database file; `restart` makes all of it anew."""

    path: Path
    market: Tape
    profile: Profile
    cash: Decimal = CASH
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = open_database(self.path)
        self.build()

    def build(self) -> None:
        self.venue = PaperVenue(self.database, self.market, starting_cash=self.cash, settings=MATCHING)
        wall = lambda: self.market.present  # noqa: E731
        self.desk = Desk(
            self.database,
            self.venue,
            self.market,
            WIDE,
            starting_cash=self.cash,
            wall_clock=wall,
        )
        self.feed = HandFeed(self.market)
        name = self.profile.name
        self.fleet = Fleet(self.database, {name: self.profile}, self.desk, self.market, self.feed, **self.options)
        self.agent = self.fleet.agent(name)

    async def open(self, budget: Decimal = CASH / 2) -> None:
        await self.desk.start()
        assert await self.fleet.fund(self.profile.name, budget, "fund:1")
        await self.fleet.start(self.profile.name, "ana")
        await self.agent.recover()

    async def restart(self) -> None:
        self.database.dispose()
        self.database = open_database(self.path)
        self.build()
        await self.desk.start()
        await self.agent.recover()

    async def play(self, symbols: Sequence[str], count: int, timeframe: Timeframe = "1h") -> None:
        """Close some bars, one after the other, and let the agent decide each."""
        for _ in range(count):
            await self.close_bar(symbols, timeframe)

    async def close_bar(self, symbols: Sequence[str], timeframe: Timeframe = "1h", *, is_late: bool = False) -> None:
        self.market.present += timedelta(seconds=TIMEFRAME_S[timeframe])
        await self.agent.on_bars(self.event(symbols, timeframe, is_late=is_late))

    def event(self, symbols: Sequence[str], timeframe: Timeframe = "1h", *, is_late: bool = False) -> BarsClosed:
        return BarsClosed(timeframe, self.market.present, tuple(sorted(symbols)), is_late)


def open_database(path: Path) -> Engine:
    database = connect_database(f"sqlite:///{path}")
    event.listen(database, "connect", _hurry)
    metadata.create_all(database)
    return database


def _hurry(connection: Any, _record: Any) -> None:
    """No test here cuts the power: what a process has written survives its kill without waiting for the disk."""
    connection.execute("PRAGMA synchronous=OFF")


def make_profile(strategies: str, *, pairs: str = "all", extra: str = "", position: str = "20") -> Profile:
    """Return a profile of an agent called `vega` with wide limits."""
    return parse_profile(
        f"""
name: vega
temperament: moderate
pairs: {pairs}
budget_share_pct: 50
strategies: {strategies}
limits: {{max_drawdown_pct: 90, position_size_pct: {position}, max_positions: 100, daily_loss_pct: 90,
  gross_exposure_pct: 1000, order_notional: 1000000, price_band_pct: 90, orders_per_minute: 10000}}
targets: {{monthly_pct: [1, 2], win_rate_pct: 50}}
{extra}
""",
        "the stage",
    )


def at(row: int, bars: Bars) -> datetime:
    return utc_from_seconds(int(bars.time[row]))
