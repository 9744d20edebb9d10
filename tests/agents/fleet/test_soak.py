"""The three packaged agents on the simulated market in simulated time: nothing is lost, doubled or piled up."""

import resource
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.feeds.values import BarsClosed, FeedHealth, Subscription
from agents.fleet.fleet import Fleet
from agents.fleet.lifecycle import AgentState
from agents.journal import DecisionQuery, Verdict
from agents.profiles import PACKAGED, load_profiles
from agents.risk.values import RiskLimits
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.ledger import exact_sum
from engine.sim.market import SimulatedMarket
from tests.agents.fleet.stage import open_database

CASH = Decimal(1_000_000)
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
LIMITS = RiskLimits(max_positions=100, orders_per_minute=10_000, gross_exposure_ratio=Decimal(2))


@dataclass
class HandClock:
    present: datetime = BEGIN

    def now(self) -> datetime:
        return self.present


class FreshFeed:
    """A feed that is never stale; the test tells the bars."""

    def subscribe(self, symbols: Collection[str], timeframe: Timeframe, *, after: datetime | None) -> Subscription:
        raise AssertionError("the soak hands moments over by itself")

    def health(self, symbol: str) -> FeedHealth:
        return FeedHealth(symbol, None, None, is_stale=False, reason="")


class Soak:
    """The whole fleet on one desk, moved by hand."""

    def __init__(self, path: Path, seed: int = 7) -> None:
        self.clock = HandClock()
        self.market = SimulatedMarket(seed, self.clock, history_days=120)
        self.database = open_database(path)
        self.seconds: list[float] = []
        venue = PaperVenue(self.database, self.market, starting_cash=CASH)
        self.desk = Desk(
            self.database, venue, self.market, LIMITS, starting_cash=CASH, wall_clock=lambda: self.clock.present
        )
        self.fleet = Fleet(
            self.database,
            load_profiles(PACKAGED),
            self.desk,
            self.market,
            FreshFeed(),
            on_decided=lambda _event, seconds: self.seconds.append(seconds),
        )

    async def open(self) -> None:
        await self.desk.start()
        for name in self.fleet.names:
            assert await self.fleet.fund(name, await self.fleet.proposed_budget(name), f"fund:{name}")
            await self.fleet.start(name, "ana")
            await self.fleet.agent(name).recover()

    async def play(self, moments: int) -> None:
        """Close five-minute bars, and what is longer where it ends; every so often the desk reconciles."""
        for number in range(moments):
            self.clock.present += timedelta(minutes=5)
            for name in self.fleet.names:
                await self._tell(name)
            if number % 48 == 0:
                await self.desk.reconcile()

    async def _tell(self, name: str) -> None:
        agent, now = self.fleet.agent(name), self.clock.present
        roster = await agent._refresh(agent._row())
        for timeframe, symbols in roster.symbols_by_timeframe().items():
            if int(now.timestamp()) % TIMEFRAME_S[timeframe] == 0:
                await agent.on_bars(BarsClosed(timeframe, now, tuple(sorted(symbols)), is_late=False))

    async def check(self) -> int:
        """Hold books, legs, journal and venue against each other; return the fills."""
        await self.desk.reconcile()
        assert self.desk.discrepancies() == ()
        fills = 0
        for name in self.fleet.names:
            agent = self.fleet.agent(name)
            await agent.look_after()
            (status,) = await self.fleet.status(name)
            assert (status.state, status.unexplained) == (AgentState.RUNNING, {})
            trades = await self.desk.trades("all", limit=100_000, book=name)
            fills += len(trades)
            told = [f for leg in self._sources(name) for f in self.fleet.journal.facts(leg) if f.kind.value == "fill"]
            assert sorted({fact.trade for fact in told}) == sorted(each.number for each in trades)
            await self._check_money(name)
        await self._check_sum()
        return fills

    def _sources(self, name: str) -> list[str]:
        query = DecisionQuery(agent=name, verdict=Verdict.TAKEN)
        return [each.source for each in self.fleet.journal.decisions(query, limit=10**6)]

    async def _check_money(self, name: str) -> None:
        """What round trips made, and what open legs are worth, is what the book gained."""
        performance = await self.desk.performance("all", name)
        made = exact_sum(trip.realised for trip in self.fleet.journal.round_trips(name))
        marks = (await self.desk.account(name)).marks
        legs = self.fleet.agent(name).carrier.legs
        open_ones = exact_sum(
            leg.held * marks[leg.symbol] + leg.exited_notional - leg.entered_notional - leg.fees
            for leg in legs
            if leg.entered_quantity
        )
        assert abs(made + open_ones - performance.pnl) < Decimal("0.000001")

    async def _check_sum(self) -> None:
        books = [await self.desk.account(name) for name in (*self.fleet.names, "main")]
        assert exact_sum(each.equity for each in books) == (await self.desk.account()).equity


async def test_two_hours_of_the_three_agents_adds_up(tmp_path: Path) -> None:
    soak = Soak(tmp_path / "s.db")
    await soak.open()
    await soak.play(24)
    assert await soak.check() >= 1


@pytest.mark.prove
async def test_ten_days_of_the_three_agents_add_up_and_memory_stays(tmp_path: Path) -> None:
    soak = Soak(tmp_path / "s.db")
    await soak.open()
    await soak.play(288)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    await soak.play(288 * 9)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    fills = await soak.check()
    seconds = sorted(soak.seconds)
    print(  # noqa: T201
        f"\n10 days: {fills} fills, {len(seconds)} moments, {time.perf_counter() - started:.0f} s, "
        f"+{grown_mb:.0f} MB, moment p50 {seconds[len(seconds) // 2] * 1000:.1f} ms "
        f"p99 {seconds[len(seconds) * 99 // 100] * 1000:.1f} ms"
    )
    assert fills > 100
    assert grown_mb < 200
