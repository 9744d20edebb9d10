"""One agent: from a closed bar to orders, in a cycle that a crash may cut anywhere.

A moment runs so: see what happened since (fills), read the bars up to the moment, ask the strategies, gather signals,
quotes and the book, plan (pure), write the plan down in one transaction with the cursor, carry it out. A moment that
was written down is never decided again; what of it was not carried out is taken up by the next start. Between moments
the agent looks after its legs every few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agents.feeds.values import BarsClosed, Feed, Subscription
from agents.fleet.carrier import Carrier
from agents.fleet.lifecycle import Action, AgentState, manages
from agents.fleet.planning import Plan, age_legs, make_plan
from agents.fleet.ports import NoPulse, Pulse, SignalSource, TradingDesk
from agents.fleet.reading import Reader, Roster, make_roster
from agents.fleet.store import AgentRow, FleetStore, Moment
from agents.fleet.values import LegState
from agents.journal.rows import Count
from agents.profiles import Profile, Ranking, limits_of, usual_ranking
from agents.risk.states import TradingState
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.symbols import TIMEFRAME_S, Timeframe

HOUSEKEEPING_S = 5.0
"""How often legs are looked after between bars, in wall seconds; also the longest time without a sign of life."""

NO_PLAN = Plan((), (), (), Counter())
Decided = Callable[[BarsClosed, float], None]
"""Told a moment that was carried out, and the seconds that it took from the event on."""


def _no_checkpoint(name: str) -> None:
    """Do nothing: what a checkpoint does outside the crash tests."""


class Agent:
    """Trades one profile on one desk.

    Args:
        name: Its own, and its book's.
        read_profile: Returns the profile as it is now, its owner's changes included.
        desk: Where orders go.
        market: Bars, quotes, the present.
        feed: Tells when bars have closed.
        store: What it keeps.
        carrier: Carries plans out.
        signals: The ML engine; None where there is none.
        ranking: Orders pairs, for `top`.
        housekeeping_s: How often legs are looked after.
        on_decided: Told of every moment, for measurements.
        checkpoint: Called with the name of each step; crash tests stop the process there.
    """

    def __init__(
        self,
        name: str,
        read_profile: Callable[[], Profile],
        desk: TradingDesk,
        market: MarketData,
        feed: Feed,
        store: FleetStore,
        carrier: Carrier,
        signals: SignalSource | None = None,
        *,
        ranking: Ranking = usual_ranking,
        housekeeping_s: float = HOUSEKEEPING_S,
        on_decided: Decided | None = None,
        checkpoint: Callable[[str], None] = _no_checkpoint,
    ) -> None:
        self.name = name
        self.carrier = carrier
        self._read_profile = read_profile
        self._desk = desk
        self._market = market
        self._feed = feed
        self._store = store
        self._reader = Reader(name, market, desk, feed, signals)
        self._ranking = ranking
        self._housekeeping_s = housekeeping_s
        self._on_decided = on_decided
        self._checkpoint = checkpoint
        self._news = asyncio.Event()
        self._roster: Roster | None = None
        self._roster_key: tuple[int, str] = (-1, "")
        self._decided: dict[Timeframe, datetime] = {}

    def poke(self) -> None:
        """Look again at once: something about the agent was changed."""
        self._news.set()

    async def run(self, pulse: Pulse | None = None) -> None:
        """Trade until cancelled; can be started again after it failed.

        Raises:
            DataUnavailable: What its supervisor answers by starting it again.
            VenueUnavailable: The same.
        """
        pulse = pulse or NoPulse()
        await self.recover(pulse)
        while True:
            await self._listen(await self._refresh(self._row()), pulse)

    async def recover(self, pulse: Pulse | None = None) -> None:
        """Take up what the last run left: read the legs, settle, and finish what was written down and not done."""
        self._row()
        self._decided = dict(self._store.cursors(self.name))
        self.carrier.load()
        (pulse or NoPulse()).require_term()
        await self.look_after()

    async def look_after(self) -> None:
        """Settle fills, follow the trading state, and carry out what is wanted and not done."""
        row = await self._follow_desk(self._row())
        self._apply_state(row)
        await self.carrier.settle(is_thorough=True)
        await self._carry_out(row)
        if row.state is AgentState.HALTED and self.carrier.legs:
            await self._desk.watch()
            await self.carrier.settle()
        if row.must_flatten and not self.carrier.legs:
            self._store.flattened(self.name)

    async def on_bars(self, event: BarsClosed) -> Plan | None:
        """Decide one moment and carry it out; None when the agent does not act, or decided it before."""
        started = time.perf_counter()
        row = await self._follow_desk(self._row())
        roster = await self._refresh(row)
        decided = self._decided.get(event.timeframe)
        if decided is not None and event.closed_at < decided:
            return None
        if not manages(row.state):
            self._commit(event, NO_PLAN)
            return None
        self._apply_state(row)
        await self.carrier.settle()
        plan = await self._decide(roster, event, row, is_partial=event.closed_at == decided)
        self._checkpoint("planned")
        self._commit(event, plan)
        self._checkpoint("committed")
        await self._carry_out(row)
        if self._on_decided is not None:
            self._on_decided(event, time.perf_counter() - started)
        return plan

    async def _listen(self, roster: Roster, pulse: Pulse) -> None:
        """Hear closed bars until the roster changes."""
        listened = roster.symbols_by_timeframe()
        heard = {
            timeframe: self._feed.subscribe(symbols, timeframe, after=self._decided.get(timeframe))
            for timeframe, symbols in listened.items()
        }
        pending: dict[Timeframe, asyncio.Future[BarsClosed]] = {}
        try:
            while self._roster is roster:
                pulse.beat()
                events = await self._await_news(heard, pending)
                pulse.require_term()
                for event in events:
                    await self.on_bars(event)
                    pulse.beat()
                if not events:
                    await self.look_after()
                    await self._refresh(self._row())
        finally:
            for waiting in pending.values():
                waiting.cancel()
            await asyncio.gather(*pending.values(), return_exceptions=True)
            for subscription in heard.values():
                await subscription.close()

    async def _await_news(
        self, heard: Mapping[Timeframe, Subscription], pending: dict[Timeframe, asyncio.Future[BarsClosed]]
    ) -> list[BarsClosed]:
        """Return the moments that have closed, shortest bars first; none when legs are to be looked after."""
        for timeframe, subscription in heard.items():
            if timeframe not in pending:
                pending[timeframe] = asyncio.ensure_future(_next(subscription))
        news = asyncio.ensure_future(self._news.wait())
        waited: set[asyncio.Future[Any]] = {*pending.values(), news}
        try:
            await asyncio.wait(waited, timeout=self._housekeeping_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        self._news.clear()
        done = [timeframe for timeframe, future in pending.items() if future.done()]
        events = [pending.pop(timeframe).result() for timeframe in done]
        return sorted(events, key=lambda event: (event.closed_at, TIMEFRAME_S[event.timeframe]))

    async def _decide(self, roster: Roster, event: BarsClosed, row: AgentRow, *, is_partial: bool) -> Plan:
        legs = self.carrier.legs
        bars = await self._reader.read_bars(roster, event, legs)
        asked = self._reader.ask(roster, event, bars, legs, is_partial=is_partial)
        is_quiet = not asked.wishes and age_legs(legs, bars, event.timeframe, event.closed_at) == list(legs)
        if is_quiet:
            return replace(NO_PLAN, quiet=asked.quiet)
        situation = await self._reader.situation(roster, event, bars, legs, asked.wishes, self._shut(row))
        plan = make_plan(situation, asked.wishes, event.timeframe)
        return replace(plan, quiet=plan.quiet + asked.quiet)

    def _commit(self, event: BarsClosed, plan: Plan) -> None:
        day = f"{event.closed_at:%Y-%m-%d}"
        counts: dict[Count, int] = {(self.name, day, *key): count for key, count in plan.quiet.items()}
        drafts = [(draft.leg, draft.record) for draft in plan.drafts]
        self._store.commit(
            Moment(self.name, event.timeframe, event.closed_at, drafts, plan.changed, plan.records, counts)
        )
        self._decided[event.timeframe] = event.closed_at
        self.carrier.adopt((*plan.changed, *(leg for leg, _ in drafts)))

    async def _carry_out(self, row: AgentRow) -> None:
        self._apply_state(row)
        shut = self._shut(row)
        await self.carrier.carry_out(shut=shut, is_halted=shut == "halted")

    def _apply_state(self, row: AgentRow) -> None:
        """Tell the legs what the agent's state asks of them; before fills are told, so that each gets its reason."""
        shut = self._shut(row)
        if shut in ("halted", "flatten"):
            self._give_up(shut, closing=True)
        elif shut in ("paused", "stopped"):
            self._give_up(shut, closing=False)

    def _give_up(self, reason: str, *, closing: bool) -> None:
        """Take back what waits, and close what is held when asked to."""
        changed = []
        for leg in self.carrier.legs:
            after = leg
            if leg.is_waiting:
                after = replace(after, cancel_reason=reason)
            if closing and leg.state is LegState.OPEN and not leg.exit_reason:
                after = replace(after, exit_reason=reason)
            if after is not leg:
                changed.append(after)
        if changed:
            self.carrier.change(changed)

    async def _follow_desk(self, row: AgentRow) -> AgentRow:
        """Bring the agent's state and its book's in line: a halt of either is one of both."""
        book = self._desk.state(self.name)
        is_halted = book.state is TradingState.HALTED
        if is_halted and book.number > row.followed_halt:
            self._store.follow_halt(self.name, book.number)
            if row.state is not AgentState.HALTED:
                self._store.step(self.name, Action.HALT, book.by, book.reason, self._market.now())
            return self._row()
        if row.state is AgentState.HALTED and not is_halted:
            change = await self._desk.halt(self.name, row.who, row.reason)
            self._store.follow_halt(self.name, change.number)
            return self._row()
        return row

    def _shut(self, row: AgentRow) -> str:
        """Return why nothing may be opened, a stable code; empty when it may."""
        account, book = self._desk.state(None).state, self._desk.state(self.name).state
        if TradingState.HALTED in (account, book) or row.state is AgentState.HALTED:
            return "halted"
        if row.must_flatten:
            return "flatten"
        if row.state is not AgentState.RUNNING:
            return row.state.value
        return "reducing" if TradingState.REDUCING in (account, book) else ""

    async def _refresh(self, row: AgentRow) -> Roster:
        """Return the strategies on the symbols of now, looked up with every change of the profile and every day."""
        key = (row.changes, f"{self._market.now():%Y-%m-%d}")
        if self._roster is not None and key == self._roster_key:
            return self._roster
        profile = self._read_profile()
        await self._desk.set_book_limits(self.name, limits_of(profile))
        made = make_roster(profile, self._market, self._ranking)
        self._roster_key = key
        if self._roster is None or (made.profile, made.symbols) != (self._roster.profile, self._roster.symbols):
            self._roster = made
            self._drop_orphans(made)
        return self._roster

    def _drop_orphans(self, roster: Roster) -> None:
        """Close what no strategy looks after any more: its own was taken away, or its symbol from the agent's pairs."""
        places = {(each.name, symbol) for each in roster.strategies for symbol in each.symbols}
        listed = self._market.instruments()  # a symbol that is not listed now may only be unknown for a moment
        changed = []
        for leg in self.carrier.legs:
            if (leg.strategy, leg.symbol) not in places and leg.symbol in listed:
                cancel = leg.cancel_reason or ("dropped" if leg.is_waiting else "")
                changed.append(replace(leg, cancel_reason=cancel, exit_reason=leg.exit_reason or "dropped"))
        self.carrier.change(changed)

    def _row(self) -> AgentRow:
        return self._store.ensure(self.name, self._market.now())


async def _next(subscription: Subscription) -> BarsClosed:
    async for event in subscription:
        return event
    raise DataUnavailable("the feed of closed bars has ended")
