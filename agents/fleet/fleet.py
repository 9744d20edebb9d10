"""The fleet: all agents of the owner, their lives and changes, what they hold and what they made.

It loads profiles, lays the owner's changes over them, and gives each agent what it needs. Every step of a life is one
row with who, when and why. What raises risk is told apart by pure functions (`lifecycle`, `changes`), so that whoever
calls can ask the owner first; the fleet itself does what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from agents.feeds.values import Feed
from agents.fleet.agent import HOUSEKEEPING_S, Agent, Decided
from agents.fleet.carrier import Carrier
from agents.fleet.changes import raises_risk
from agents.fleet.lifecycle import Action, AgentState
from agents.fleet.money import is_empty, spare_cash
from agents.fleet.ports import AlwaysAllowed, Period, Permission, SignalSource, TradingDesk
from agents.fleet.report import AgentReport, curve_times, make_report
from agents.fleet.standing import AgentStatus, AgentWorker, ChangePreview
from agents.fleet.store import FleetStore, ProfileChange, Transition
from agents.fleet.values import ZERO, Leg, LegState
from agents.journal import DecisionJournal
from agents.journal.values import Decision, Fact, FactKind
from agents.profiles import Profile, Ranking, apply_changes, limits_of, missing_pairs, resolve_pairs, usual_ranking
from agents.risk.states import StateChange, TradingState
from agents.risk.values import AccountState
from engine.domain.errors import DataUnavailable, InvalidRequest, VenueUnavailable
from engine.domain.protocols import MarketData
from engine.ledger import MAIN_BOOK

_HUNDRED = Decimal(100)


class Fleet:
    """All agents on one desk.

    Args:
        database: Where their lives, legs and decisions are kept.
        profiles: By name, as their files say (`load_profiles`).
        desk: Where orders go.
        market: Bars, quotes, the present.
        feed: Tells when bars have closed.
        signals: The ML engine; None where there is none.
        permission: Whether an entry may go unattended; everything may on paper.
        ranking: Orders pairs, for `top`.
        on_ask: Told of an entry that needs the owner's confirmation.
        housekeeping_s: How often agents look after their legs.
        on_decided: Told of every moment of every agent, for measurements.
        checkpoint: Called with the name of each step; crash tests stop the process there.
    """

    def __init__(
        self,
        database: Engine,
        profiles: Mapping[str, Profile],
        desk: TradingDesk,
        market: MarketData,
        feed: Feed,
        *,
        signals: SignalSource | None = None,
        permission: Permission | None = None,
        ranking: Ranking = usual_ranking,
        on_ask: Callable[[Leg, Decision], None] | None = None,
        housekeeping_s: float = HOUSEKEEPING_S,
        on_decided: Decided | None = None,
        checkpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.journal = DecisionJournal(database)
        self._store = FleetStore(database)
        self._profiles = dict(profiles)
        self._desk = desk
        self._market = market
        self._ranking = ranking
        allowed = permission or AlwaysAllowed()
        self._agents = {
            name: Agent(
                name,
                lambda name=name: self.profile(name),  # type: ignore[misc]  # mypy cannot type a bound default
                desk,
                market,
                feed,
                self._store,
                Carrier(name, desk, market, self._store, allowed, on_ask=on_ask, checkpoint=checkpoint),
                signals,
                ranking=ranking,
                housekeeping_s=housekeeping_s,
                on_decided=on_decided,
                checkpoint=checkpoint,
            )
            for name in self._profiles
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all agents."""
        return tuple(self._agents)

    def agent(self, name: str) -> Agent:
        """Return an agent.

        Raises:
            InvalidRequest: `agent_unknown`.
        """
        if name not in self._agents:
            raise InvalidRequest("agent_unknown", agent=name, known=", ".join(self._agents))
        return self._agents[name]

    def workers(self) -> tuple[AgentWorker, ...]:
        """Return the agents as workers of a supervisor."""
        return tuple(AgentWorker(agent) for agent in self._agents.values())

    # Lives.

    async def start(self, name: str, by: str, reason: str = "") -> Transition | None:
        """Let an agent trade that was created or stopped.

        Raises:
            InvalidRequest: `agent_unfunded` (its book holds no money), or as `FleetStore.step`.
        """
        self.agent(name)
        if (await self._desk.account(name)).equity <= 0:
            raise InvalidRequest("agent_unfunded", agent=name)
        return self._step(name, Action.START, by, reason)

    async def pause(self, name: str, by: str, reason: str = "") -> Transition | None:
        """Let an agent open nothing more; it looks after what it holds."""
        return self._step(name, Action.PAUSE, by, reason)

    async def resume(self, name: str, by: str, reason: str = "") -> Transition | None:
        """Let a paused agent open again."""
        return self._step(name, Action.RESUME, by, reason)

    async def stop(self, name: str, by: str, reason: str = "", *, flatten: bool = False) -> Transition | None:
        """Let an agent do nothing more; with `flatten` it first closes what it holds."""
        return self._step(name, Action.STOP, by, reason, flatten=flatten)

    async def halt(self, name: str, by: str, reason: str = "") -> StateChange:
        """Stop an agent at once: what rests is cancelled, what it holds is closed, until a person lifts it."""
        self._step(name, Action.HALT, by, reason)
        change = await self._desk.halt(name, by, reason)
        self._store.follow_halt(name, change.number)
        return change

    async def lift(self, name: str, by: str, reason: str = "") -> Transition | None:
        """End a halt: the agent is paused, its drawdown counts from now on."""
        step = self._step(name, Action.LIFT, by, reason)
        if self._desk.state(name).state is TradingState.HALTED:
            await self._desk.lift(name, by)
        return step

    def history(self, name: str) -> list[Transition]:
        """Return the steps of an agent's life, oldest first."""
        self.agent(name)
        return self._store.history(name)

    # Profiles.

    def profile(self, name: str) -> Profile:
        """Return an agent's profile with the owner's changes laid over its file.

        Raises:
            ConfigError: A stored change does not fit the file any more.
        """
        self.agent(name)
        profile = self._profiles[name]
        for change in self._store.changes(name):
            profile = apply_changes(profile, change.changes)
        return profile

    def preview(self, name: str, changes: Mapping[str, Any]) -> ChangePreview:
        """Return what a change would make of a profile, without changing anything.

        Args:
            name: Whose.
            changes: New values by path, such as `limits.max_positions`.

        Raises:
            ConfigError: There is no such figure, or the result is no profile.
            InvalidRequest: `agent_unknown`, or `agent_name` (a name cannot be changed).
        """
        if "name" in changes:
            raise InvalidRequest("agent_name", agent=name)
        old = self.profile(name)
        new = apply_changes(old, changes)
        return ChangePreview(name, old, new, dict(changes), raises_risk(old, new))

    async def configure(self, name: str, changes: Mapping[str, Any], by: str, reason: str = "") -> ChangePreview:
        """Change an agent's profile for good, with history; in force with its next moment, its limits at once.

        Raises:
            ConfigError, InvalidRequest: As `preview`; `agent_busy` when another change came first.
        """
        row = self._store.ensure(name, self._market.now())
        preview = self.preview(name, changes)
        self._store.change(name, row.changes, changes, by, reason, self._market.now(), raises=preview.raises_risk)
        await self._desk.set_book_limits(name, limits_of(preview.new))
        self.agent(name).poke()
        return preview

    def changes(self, name: str) -> list[ProfileChange]:
        """Return the changes of an agent's profile, oldest first."""
        self.agent(name)
        return self._store.changes(name)

    # Money.

    async def proposed_budget(self, name: str) -> Decimal:
        """Return the share of the account's equity that the profile proposes, in whole units."""
        account = await self._desk.account(None)
        share = self.profile(name).budget_share_pct / _HUNDRED
        return max(account.equity * share, ZERO).quantize(Decimal(1))

    async def fund(self, name: str, amount: Decimal, source: str) -> bool:
        """Move cash from the owner's book to an agent's (below 0: back), once for a source; False without enough of it.

        Raises:
            InvalidRequest: `agent_unknown`, `transfer_amount`, `transfer_conflict`.
        """
        self.agent(name)
        await self._desk.set_book_limits(name, limits_of(self.profile(name)))
        if amount < 0:
            return await self._desk.transfer(-amount, name, MAIN_BOOK, source)
        return await self._desk.transfer(amount, MAIN_BOOK, name, source)

    async def spare(self, name: str) -> Decimal:
        """Return what an agent can give back and stand as it stands (`spare_cash`).

        Raises:
            DataUnavailable, VenueUnavailable: The book cannot be known now.
        """
        ratio, book = self.profile(name).limits.max_drawdown_pct / _HUNDRED, await self._desk.account(name)
        return spare_cash(book, ratio, is_at_rest=self._is_at_rest(name, book))

    async def take_back(self, name: str, amount: Decimal, source: str, by: str) -> bool:
        """Move cash from an agent's book to the owner's, once for a source; False where that is more than is to spare.

        The drawdown of an agent at rest counts anew from then on, so that its money is never locked up with a loss.

        Raises:
            InvalidRequest: `agent_unknown`, `transfer_amount`, `transfer_conflict`.
            DataUnavailable, VenueUnavailable: The book cannot be known now, and nothing was moved.
        """
        if amount > await self.spare(name):
            return False
        is_at_rest = self._is_at_rest(name, await self._desk.account(name))
        moved = await self.fund(name, -amount, source)
        if moved and is_at_rest:
            await self._desk.lift(name, by)
        return moved

    def _is_at_rest(self, name: str, book: AccountState) -> bool:
        rests = self._store.ensure(name, self._market.now()).state in (AgentState.CREATED, AgentState.STOPPED)
        return rests and self._desk.state(name).state is not TradingState.HALTED and is_empty(book)

    # Entries that need the owner.

    def asked(self) -> tuple[Leg, ...]:
        """Return the entries that wait for the owner's confirmation."""
        legs = (leg for name in self._agents for leg in self._store.legs(name))
        return tuple(leg for leg in legs if leg.state is LegState.ASKED)

    def answer(self, source: str, *, is_approved: bool, by: str) -> Leg:
        """Let an entry that waits go, or not; it goes with the agent's next look, if it is still in time.

        Raises:
            InvalidRequest: `agent_entry_gone`: it does not wait any more.
        """
        leg = self._store.leg(source)
        now = self._market.now()
        if leg is None or leg.state is not LegState.ASKED or (leg.send_by is not None and now > leg.send_by):
            raise InvalidRequest("agent_entry_gone", source=source)
        after = replace(leg, state=LegState.WANTED) if is_approved else replace(leg, cancel_reason="rejected")
        codes = {"answer": "approved" if is_approved else "rejected", "by": by}
        fact = Fact(leg.source, FactKind.APPROVAL, "", leg.agent, leg.symbol, now, leg.order_id, codes=codes)
        if not self._store.answer(after, fact):
            raise InvalidRequest("agent_entry_gone", source=source)
        self.agent(leg.agent).poke()
        return after

    # How they stand.

    async def status(self, name: str | None = None) -> tuple[AgentStatus, ...]:
        """Return how one agent stands, or all."""
        names: Sequence[str] = self.names if name is None else (self.agent(name).name,)
        return tuple([await self._status(each) for each in names])

    async def report(self, name: str, period: Period = "30d") -> AgentReport:
        """Return what an agent made in a period beside its targets.

        Raises:
            DataUnavailable: A position has no price.
            VenueUnavailable: The venue did not answer.
        """
        profile, now = self.profile(name), self._market.now()
        performance = await self._desk.performance(period, book=name)
        curve = await self._desk.equity_curve(curve_times(performance.since, now), book=name)
        trips = self.journal.round_trips(name, since=performance.since)
        return make_report(name, profile, performance, curve, trips, now)

    def _step(self, name: str, action: Action, by: str, reason: str, *, flatten: bool = False) -> Transition | None:
        agent = self.agent(name)
        step = self._store.step(name, action, by, reason, self._market.now(), flatten=flatten)
        agent.poke()
        return step

    async def _status(self, name: str) -> AgentStatus:
        row, profile = self._store.ensure(name, self._market.now()), self.profile(name)
        legs = self._store.legs(name)
        instruments = self._market.instruments()
        equity, cash, drawdown, positions = await self._book(name)
        return AgentStatus(
            name,
            profile.title,
            profile.temperament.value,
            row.state,
            row.who,
            row.reason,
            row.at,
            self._trading_state(name),
            row.must_flatten,
            self._desk.venue_name,
            tuple(plan.name for plan in profile.strategies),
            resolve_pairs(profile, instruments, self._ranking),
            missing_pairs(profile, instruments),
            equity,
            cash,
            drawdown,
            tuple(sorted(positions)),
            sum(leg.is_waiting and leg.state is not LegState.ASKED for leg in legs),
            sum(leg.state is LegState.ASKED for leg in legs),
            unexplained(positions, legs),
            self._store.cursors(name),
            limits_of(profile),
            row.changes,
        )

    async def _book(self, name: str) -> tuple[Decimal | None, Decimal | None, Decimal | None, dict[str, Decimal]]:
        try:
            account = await self._desk.account(name)
        except (DataUnavailable, VenueUnavailable):
            return None, None, None, {}
        peak = max(account.peak_equity, account.equity)
        drawdown = (peak - account.equity) / peak * _HUNDRED if peak > 0 else ZERO
        return account.equity, account.cash, drawdown, {s: p.quantity for s, p in account.positions.items()}

    def _trading_state(self, name: str) -> TradingState:
        order = list(TradingState)
        return max(self._desk.state(None).state, self._desk.state(name).state, key=order.index)


def unexplained(positions: Mapping[str, Decimal], legs: Sequence[Leg]) -> dict[str, Decimal]:
    """Return what a book holds beyond the sum of its legs, by symbol; nothing when the books add up."""
    told: dict[str, Decimal] = {}
    for leg in legs:
        told[leg.symbol] = told.get(leg.symbol, ZERO) + leg.held * leg.side.sign
    symbols = {*positions, *told}
    rest = {symbol: positions.get(symbol, ZERO) - told.get(symbol, ZERO) for symbol in symbols}
    return {symbol: quantity for symbol, quantity in sorted(rest.items()) if quantity}
