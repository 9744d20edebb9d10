"""The real fleet as the tools see it: its own objects, the desk and the profiles behind one protocol.

Nothing is decided here; names and figures are brought into the form that people are shown. What an agent's state is
comes from the fleet's own record, so that pausing and stopping never wait for a venue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never
from uuid import uuid4

from agents.execution.desk import Desk
from agents.execution.values import Performance, PositionStatus
from agents.fleet.fleet import Fleet
from agents.fleet.lifecycle import Action, AgentState
from agents.fleet.ports import Period
from agents.fleet.standing import AgentStatus
from agents.fleet.values import Leg
from agents.journal.values import RoundTrip
from agents.profiles import Profile, TopPairs
from engine.domain.errors import ConfigError, InvalidRequest
from engine.domain.protocols import MarketData
from engine.ledger import ACCOUNT_CURRENCY, MAIN_BOOK, Transfer, exact_sum
from tools.agent_fleet import SettingChange
from tools.agent_results import AgentView, ProposedOrder, SettingValue
from tools.results import PositionView

Alive = Callable[[], Awaitable[bool | None]]
_PATHS: Mapping[str, str] = {
    "position_size_pct": "limits.position_size_pct",
    "max_positions": "limits.max_positions",
    "max_drawdown_pct": "limits.max_drawdown_pct",
    "pairs": "pairs",
    "strategies": "strategies",
}
_BY_OWNER = "owner"
"""Code of the reason of what the owner asked for."""
_ZERO, _HUNDRED = Decimal(0), Decimal(100)


async def _unknown() -> bool | None:
    return None


class DeskFleet:
    """Implements `AgentFleet`.

    Args:
        fleet: The agents.
        desk: Their books.
        market: The present, and what can be traded.
        is_alive: Tells whether a process runs the agents; None where nobody knows.
        funds: Returns the names of all funds; a fund is called like its agent.
    """

    def __init__(
        self,
        fleet: Fleet,
        desk: Desk,
        market: MarketData,
        *,
        is_alive: Alive = _unknown,
        funds: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._fleet = fleet
        self._desk = desk
        self._market = market
        self._is_alive = is_alive
        self._funds = funds

    @property
    def venue(self) -> str:
        """Return the venue's name."""
        return self._desk.venue_name

    @property
    def currency(self) -> str:
        """Return the account's currency."""
        return ACCOUNT_CURRENCY

    @property
    def is_simulated(self) -> bool:
        """Return whether prices are invented."""
        return self._market.is_simulated

    def now(self) -> datetime:
        """Return the market's present."""
        return self._market.now()

    def names(self) -> tuple[str, ...]:
        """Return all agents."""
        return self._fleet.names

    def titles(self) -> Mapping[str, str]:
        """Return what people call each agent."""
        return {name: _title(self._fleet.profile(name)) for name in self._fleet.names}

    async def view(self, agent: str, period: str | None) -> AgentView:
        """Return an agent as it stands.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        (status,) = await self._fleet.status(agent)
        profile, positions = self._fleet.profile(agent), await self._desk.positions(agent)
        asked = await self._performance(agent, period or "all")
        since_start, month = await self._performance(agent, "all"), await self._performance(agent, "mtd")
        trips = () if asked is None else self._fleet.journal.round_trips(agent, since=asked.since)
        equity = status.equity or _ZERO
        exposure = exact_sum(each.notional for each in positions)
        return AgentView(
            agent=agent,
            title=_title(profile),
            temperament=status.temperament,
            state=status.state.value,
            since=None if status.state is AgentState.CREATED else status.since,
            by=status.who,
            reason=_reason(status),
            budget=_ZERO if since_start is None else exact_sum((since_start.start_equity, since_start.deposits)),
            equity=equity,
            cash=status.cash or _ZERO,
            pnl=_ZERO if asked is None else asked.pnl,
            pnl_pct=_ZERO if asked is None else asked.pnl_pct,
            realised=_ZERO if asked is None else asked.realised,
            fees=_ZERO if asked is None else asked.fees,
            drawdown_pct=status.drawdown_pct or _ZERO,
            max_drawdown_pct=profile.limits.max_drawdown_pct,
            exposure_pct=exposure / equity * _HUNDRED if equity > 0 else _ZERO,
            position_size_pct=profile.limits.position_size_pct,
            max_positions=profile.limits.max_positions,
            pairs=_pairs(profile, status.symbols),
            strategies=status.strategies,
            positions=tuple(map(_position, positions)),
            trades=len(trips),
            win_rate_pct=_win_rate(trips),
            target_win_rate_pct=profile.targets.win_rate_pct,
            month_pct=None if month is None else month.pnl_pct,
            target_month_pct=profile.targets.monthly_pct,
            mandate=None,
            is_alive=await self._is_alive(),
        )

    async def state(self, agent: str) -> tuple[AgentState, str]:
        """Return an agent's state and the code of its reason; read from the fleet's record alone."""
        steps = self._fleet.history(agent)
        return (steps[-1].to_state, steps[-1].reason) if steps else (AgentState.CREATED, "")

    async def budget(self, agent: str) -> tuple[Decimal, Decimal | None, Decimal]:
        """Return an agent's equity, what it should be given at a start, and the owner's cash.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        equity = (await self._desk.account(agent)).equity
        available = max((await self._desk.account(MAIN_BOOK)).cash, _ZERO)
        if equity > 0:
            return equity, None, available
        return equity, min(await self._fleet.proposed_budget(agent), available), available

    async def spare(self, agent: str) -> Decimal:
        """Return what an agent can give back of its money and stand as it stands.

        Raises:
            DataUnavailable, VenueUnavailable: That cannot be known now.
        """
        return await self._fleet.spare(agent)

    def has_fund(self, agent: str) -> bool:
        """Tell whether an agent's money belongs to investors."""
        return agent in self._funds()

    async def give(self, agent: str, amount: Decimal, *, source: str) -> None:
        """Move cash from the owner's book to an agent's, once for a source.

        Raises:
            InvalidRequest: There is not so much.
        """
        if not await self._fleet.fund(agent, amount, source):
            available = max((await self._desk.account(MAIN_BOOK)).cash, _ZERO)
            raise InvalidRequest("budget_too_large", agent=agent, available=available)

    async def is_given(self, source: str) -> bool:
        """Tell whether money of a source was moved."""
        return any(isinstance(event, Transfer) and event.reference == source for event in self._desk.events())

    async def take_back(self, agent: str, amount: Decimal, *, by: str) -> None:
        """Move cash from an agent's book to the owner's.

        Raises:
            InvalidRequest: It cannot spare so much.
        """
        if not await self._fleet.take_back(agent, amount, f"taken:{uuid4().hex}", by):
            raise InvalidRequest("money_bound", agent=agent, available=await self._fleet.spare(agent))

    async def limits(self, agent: str) -> tuple[Decimal, int, Decimal]:
        """Return position size and largest drawdown in percent, with the number of positions between them."""
        limits = self._fleet.profile(agent).limits
        return limits.position_size_pct, limits.max_positions, limits.max_drawdown_pct

    async def pairs(self, agent: str) -> tuple[str, ...]:
        """Return what an agent trades at present."""
        (status,) = await self._fleet.status(agent)
        return status.symbols

    async def act(
        self, agent: str, action: Action, *, by: str, source: str = "", budget: Decimal | None = None
    ) -> None:
        """Do something to an agent; `budget` moves from the owner's book to its own, once for a source.

        Raises:
            InvalidRequest: It does not apply, or the money is not there.
        """
        if budget is not None:
            await self.give(agent, budget, source=source)
        match action:
            case Action.START:
                await self._fleet.start(agent, by, _BY_OWNER)
            case Action.PAUSE:
                await self._fleet.pause(agent, by, _BY_OWNER)
            case Action.RESUME:
                await self._fleet.resume(agent, by, _BY_OWNER)
            case Action.STOP:
                await self._fleet.stop(agent, by, _BY_OWNER)
            case Action.HALT:
                await self._fleet.halt(agent, by, _BY_OWNER)
            case Action.LIFT:
                await self._fleet.lift(agent, by, _BY_OWNER)
            case _:
                assert_never(action)

    async def judge(self, agent: str, setting: str, value: Decimal | tuple[str, ...]) -> SettingChange:
        """Return what a setting would become.

        Raises:
            InvalidRequest: The value cannot be used.
        """
        changes = self._changes(agent, setting, value)
        try:
            preview = self._fleet.preview(agent, changes)
        except ConfigError as error:
            raise InvalidRequest("bad_argument", argument=setting, value=_text(value)) from error
        return SettingChange(_shown(preview.old, setting), _shown(preview.new, setting), preview.raises_risk)

    async def configure(
        self, agent: str, setting: str, value: Decimal | tuple[str, ...], *, by: str, source: str = ""
    ) -> None:
        """Change a setting.

        Raises:
            InvalidRequest: The value cannot be used.
        """
        try:
            await self._fleet.configure(agent, self._changes(agent, setting, value), by, source or _BY_OWNER)
        except ConfigError as error:
            raise InvalidRequest("bad_argument", argument=setting, value=_text(value)) from error

    async def asked_orders(self) -> tuple[ProposedOrder, ...]:
        """Return the orders of agents that wait for their owner."""
        return tuple(map(self._asked, self._fleet.asked()))

    async def is_asked(self, source: str) -> bool:
        """Return whether an order of an agent still waits for its owner."""
        return any(leg.source == source for leg in self._fleet.asked())

    async def confirm_order(self, source: str, *, by: str) -> None:
        """Let an agent send the order that it asked for.

        Raises:
            InvalidRequest: It does not wait any more.
        """
        self._fleet.answer(source, is_approved=True, by=by)

    async def decline_order(self, source: str, *, by: str) -> None:
        """Let an agent give up an order that it asked for; harmless when it does not wait any more."""
        if await self.is_asked(source):
            try:
                self._fleet.answer(source, is_approved=False, by=by)
            except InvalidRequest:
                return  # it lapsed just now

    async def _performance(self, agent: str, period: str) -> Performance | None:
        """Return what an agent's book made, None for one that never had money."""
        if agent not in self._desk.books():
            return None
        known: Period = period  # type: ignore[assignment]  # the arguments of the tools allow these only
        return await self._desk.performance(known, agent)

    def _changes(self, agent: str, setting: str, value: Decimal | tuple[str, ...]) -> dict[str, Any]:
        """Return a setting as the profile's own figures."""
        is_list = setting in ("pairs", "strategies")
        if setting not in _PATHS or is_list != isinstance(value, tuple):
            raise InvalidRequest("bad_argument", argument=setting, value=_text(value))
        if setting == "strategies":
            assert isinstance(value, tuple), "a list was asked for"
            return {"strategies": _plans(self._fleet.profile(agent), value)}
        if isinstance(value, tuple):
            listed = self._market.instruments()
            for symbol in value:
                if symbol not in listed:
                    raise InvalidRequest("unknown_instrument", symbol=symbol)
            return {"pairs": sorted(set(value))}
        return {_PATHS[setting]: format(value.normalize(), "f")}

    def _asked(self, leg: Leg) -> ProposedOrder:
        record, request = self._fleet.journal.decision(leg.source), leg.request
        notional = _ZERO if record is None else record.notional
        return ProposedOrder(
            agent=leg.agent,
            source=leg.source,
            strategy=leg.strategy,
            symbol=leg.symbol,
            side=request.side.value,
            order_type=request.order_type.value,
            quantity=request.quantity,
            price=request.price,
            expected_price=request.price or round(notional / request.quantity, 8),
            notional=notional,
            stop_loss=request.stop_loss,
            take_profit=request.take_profit,
            reason=record.reasons[0] if record is not None and record.reasons else "no_mandate",
            valid_until=leg.send_by or leg.decided_at,
        )


def _plans(profile: Profile, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the plans of some strategies: known ones as they are, new ones with equal parts of the weight left."""
    known = {plan.name: plan for plan in profile.strategies}
    wanted = list(dict.fromkeys(names))
    kept = [known[name].model_dump(mode="json") for name in wanted if name in known]
    added = [name for name in wanted if name not in known]
    if not added:
        return kept
    left = 1 - sum((known[name].weight for name in wanted if name in known), _ZERO)
    if left <= 0:
        return [{**_plan(known, name), "weight": _share(Decimal(1), len(wanted))} for name in wanted]
    return [*kept, *({"name": name, "weight": _share(left, len(added))} for name in added)]


def _plan(known: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(known[name].model_dump(mode="json")) if name in known else {"name": name}


def _share(whole: Decimal, parts: int) -> str:
    """Return an equal part, rounded down so that all parts never come to more than the whole."""
    return str((whole / parts).quantize(Decimal("0.0001"), rounding="ROUND_DOWN"))


def _shown(profile: Profile, setting: str) -> SettingValue:
    """Return a setting as people are shown it."""
    match setting:
        case "pairs":
            return _pairs(profile, ())
        case "strategies":
            return tuple(plan.name for plan in profile.strategies)
        case _:
            return format(Decimal(getattr(profile.limits, setting)).normalize(), "f")


def _pairs(profile: Profile, resolved: tuple[str, ...]) -> tuple[str, ...]:
    """Return an agent's pairs: `*` for all, `top:<n>` unless they were resolved, names otherwise."""
    if profile.pairs == "all":
        return ("*",)
    if isinstance(profile.pairs, TopPairs):
        return resolved or (f"top:{profile.pairs.top}",)
    return tuple(sorted(profile.pairs))


def _position(status: PositionStatus) -> PositionView:
    position = status.position
    return PositionView(
        symbol=position.symbol,
        quantity=position.quantity,
        average_price=position.average_price,
        mark=status.mark,
        notional=status.notional,
        unrealised=status.unrealised,
        unrealised_pct=status.unrealised_pct,
        stop_loss=status.stop_loss,
        take_profit=status.take_profit,
    )


def _title(profile: Profile) -> str:
    return profile.title.get("en") or profile.name.replace("_", " ").title()


def _reason(status: AgentStatus) -> str:
    return "" if status.reason == _BY_OWNER else status.reason


def _win_rate(trips: tuple[RoundTrip, ...]) -> Decimal | None:
    if not trips:
        return None
    return _HUNDRED * sum(trip.realised > 0 for trip in trips) / len(trips)


def _text(value: Decimal | tuple[str, ...]) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
