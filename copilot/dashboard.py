"""What the live page shows, gathered from the running program: the dashboard's own protocol, implemented.

Reads of the desk and the fleet are those of everybody else; what is slow (signals, results, models) is looked up beside
the event loop and kept for a minute. Nothing here is computed that a tool or a report does not say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from agents.execution.desk import Desk
from agents.execution.values import PositionStatus, SettledFill
from agents.feeds.values import Feed
from agents.fleet.fleet import Fleet
from agents.fleet.report import AgentReport
from agents.fleet.standing import AgentStatus
from agents.risk.states import StateChange
from agents.risk.values import AccountState
from engine.dashboard.view import (
    Account,
    Agent,
    Alert,
    CurvePoint,
    Execution,
    Facts,
    FeedHealth,
    Holding,
    ModelHealth,
    Order,
    SignalMark,
    Trading,
)
from engine.domain.errors import CopilotError
from engine.domain.orders import VenueOrder
from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from engine.ledger import ACCOUNT_CURRENCY, EquityPoint
from engine.ml.registry import Manifest, ModelRegistry
from tools.alerts import Alerts
from tools.registry import ToolContext
from tools.results import AlertView
from tools.schema import ListAlerts
from tools.trading import SignalSource

SLOW_S = 60.0
_TIMEFRAME = "1h"
_FILLS = 300
_CURVE_POINTS = 120
_CURVE = timedelta(days=30)
_ALERTS = 200
_OLD = timedelta(days=35)
_ZERO, _HUNDRED = Decimal(0), Decimal(100)


@dataclass(slots=True)
class _Slow:
    """What is looked up once a minute."""

    reports: dict[str, AgentReport] = field(default_factory=dict)
    curves: dict[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    signals: tuple[SignalMark, ...] = ()
    models: tuple[ModelHealth, ...] = ()


class LiveView:
    """Implements the dashboard's view.

    Args:
        owner: Whose alerts are shown.
        desk: Account, positions, orders, fills, and the kill switch.
        fleet: Agents.
        market: Prices and the present.
        feed: How fresh prices are.
        signals: The ML engine.
        registry: Models at hand.
        alerts: The owner's alerts.
        drawdown_limit: At which the account is halted, as a fraction of its peak.
    """

    def __init__(
        self,
        owner: str,
        desk: Desk,
        fleet: Fleet,
        market: MarketData,
        feed: Feed,
        signals: SignalSource,
        registry: ModelRegistry,
        alerts: Alerts,
        *,
        drawdown_limit: Decimal,
    ) -> None:
        self._owner = owner
        self._desk = desk
        self._fleet = fleet
        self._market = market
        self._feed = feed
        self._signals = signals
        self._registry = registry
        self._alerts = alerts
        self._drawdown_limit = drawdown_limit
        self._slow = _Slow()
        self._looked_at = -SLOW_S
        self._looking: asyncio.Task[None] | None = None

    async def facts(self) -> Facts:
        """Return everything but prices, as of now."""
        self._look_slowly()
        account = await self._desk.account()
        statuses = await self._fleet.status()
        positions, orders = list[Holding](), list[Order]()
        for book in self._desk.books():
            positions += [_holding(book, each) for each in await self._desk.positions(book)]
            orders += [_order(book, each) for each in await self._desk.open_orders(book)]
        fills = await self._desk.trades(limit=_FILLS)
        return Facts(
            trading=self._trading(self._desk.state()),
            account=self._account(account),
            agents=tuple(self._agent(status) for status in statuses),
            positions=tuple(positions),
            orders=tuple(orders),
            executions=tuple(map(_execution, fills)),
            signals=self._slow.signals,
            alerts=await self._waiting(),
            models=self._slow.models,
            feeds=tuple(self._freshness(symbol) for symbol in self._market.instruments()),
        )

    async def halt(self, by: str) -> Trading:
        """Stop all trading."""
        return self._trading(await self._desk.kill(by, "asked:dashboard"))

    def _look_slowly(self) -> None:
        """Begin a slow look when the last one is old; the page shows the old one meanwhile."""
        is_looking = self._looking is not None and not self._looking.done()
        if not is_looking and time.monotonic() - self._looked_at >= SLOW_S:
            self._looked_at = time.monotonic()
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        self._slow.signals = await asyncio.to_thread(self._read_signals)
        self._slow.models = await asyncio.to_thread(self._read_models)
        now = self._market.now()
        times = [now - _CURVE * (_CURVE_POINTS - 1 - n) / (_CURVE_POINTS - 1) for n in range(_CURVE_POINTS)]
        for name in self._fleet.names:
            try:
                self._slow.reports[name] = await self._fleet.report(name)
                self._slow.curves[name] = _curve(times, await self._desk.equity_curve(times, name))
            except CopilotError:
                continue  # the page goes on with the last ones

    def _read_signals(self) -> tuple[SignalMark, ...]:
        marks = []
        for symbol in self._market.instruments():
            try:
                marks.append(_mark(self._signals.signal(symbol, _TIMEFRAME)))
            except CopilotError:
                continue
        return tuple(marks)

    def _read_models(self) -> tuple[ModelHealth, ...]:
        """Return the newest model of each timeframe and set of symbols."""
        newest = {(each.timeframe, each.symbols): each for each in self._registry.manifests()}
        now = self._market.now()
        return tuple(_model(each, now, is_held=self._registry.is_held(each.id)) for each in newest.values())

    async def _waiting(self) -> tuple[Alert, ...]:
        listed = await self._alerts.list_alerts(ListAlerts(), ToolContext(self._owner, "", "en"))
        return tuple(map(_alert, listed.alerts[-_ALERTS:]))

    def _trading(self, state: StateChange) -> Trading:
        return Trading(
            state.state.value,
            state.by,
            state.reason,
            state.at if state.by else None,
            state.is_settled,
            self._desk.venue_name,
            self._market.is_simulated,
        )

    def _account(self, account: AccountState) -> Account:
        peak = max(account.peak_equity, account.equity)
        fall = (peak - account.equity) / peak * _HUNDRED if peak > 0 else _ZERO
        return Account(
            ACCOUNT_CURRENCY,
            account.equity,
            account.cash,
            account.exposure,
            account.equity - account.day_start_equity,
            fall,
            self._drawdown_limit * _HUNDRED,
        )

    def _agent(self, status: AgentStatus) -> Agent:
        report, limits = self._slow.reports.get(status.name), status.limits
        targets = self._fleet.profile(status.name).targets
        return Agent(
            name=status.name,
            title=status.title.get("en", status.name),
            temperament=status.temperament,
            state=status.state.value,
            reason=status.reason,
            equity=status.equity or _ZERO,
            pnl=_ZERO if report is None else report.pnl,
            return_pct=None if report is None else report.return_pct,
            monthly_pct=None if report is None else report.monthly_pct,
            target_monthly_pct=(targets.monthly_pct[0], targets.monthly_pct[1]),
            round_trips=0 if report is None else report.round_trips,
            win_rate_pct=None if report is None else report.win_rate_pct,
            target_win_rate_pct=targets.win_rate_pct,
            drawdown_pct=status.drawdown_pct or _ZERO,
            drawdown_limit_pct=limits.drawdown_ratio * _HUNDRED,
            held=len(status.positions),
            max_positions=limits.max_positions,
            curve=self._slow.curves.get(status.name, ()),
        )

    def _freshness(self, symbol: str) -> FeedHealth:
        health = self._feed.health(symbol)
        return FeedHealth(symbol, health.last_quote_at, health.last_bar_at, health.is_stale, health.reason)


def _curve(times: Sequence[datetime], points: Sequence[EquityPoint]) -> tuple[CurvePoint, ...]:
    """Return a book's equity and how far its result lay below its best, payments in and out apart."""
    curve, best = list[CurvePoint](), None
    for at, point in zip(times, points, strict=True):
        result = point.equity - point.deposits
        best = result if best is None else max(best, result)
        peak = point.equity + (best - result)
        curve.append(CurvePoint(at, point.equity, (best - result) / peak * _HUNDRED if peak > 0 else _ZERO))
    return tuple(curve)


def _holding(book: str, status: PositionStatus) -> Holding:
    position = status.position
    return Holding(
        book,
        position.symbol,
        position.quantity,
        position.average_price,
        status.mark,
        status.notional,
        status.unrealised,
        status.unrealised_pct,
        status.stop_loss,
        status.take_profit,
    )


def _order(book: str, order: VenueOrder) -> Order:
    request = order.request
    role = "entry"
    if order.parent_id is not None:
        role = "take_profit" if request.order_type.value == "limit" else "stop_loss"
    return Order(
        request.client_order_id,
        book,
        request.symbol,
        request.side,
        request.order_type,
        role,
        order.status,
        request.quantity,
        order.filled_quantity,
        request.price,
        order.created_at,
    )


def _execution(settled: SettledFill) -> Execution:
    fill = settled.fill
    return Execution(
        str(settled.number), settled.book, fill.symbol, fill.side, fill.quantity, fill.price, fill.fee, fill.at
    )


def _mark(signal: Signal) -> SignalMark:
    return SignalMark(
        signal.symbol,
        signal.timeframe,
        signal.direction,
        signal.entry,
        signal.stop,
        signal.target,
        signal.probability,
        signal.reason,
        signal.bar_at,
        signal.valid_until,
    )


def _alert(alert: AlertView) -> Alert:
    return Alert(
        alert.alert_id,
        alert.symbol,
        alert.condition,
        alert.value,
        alert.timeframe,
        alert.created_at,
        alert.told_at,
        alert.repeats,
    )


def _model(manifest: Manifest, now: datetime, *, is_held: bool) -> ModelHealth:
    """Return how well a model did out of sample, and whether it may be followed."""
    skills = [value for name, value in manifest.metrics.items() if name.startswith("brier_skill")]
    is_old = now - manifest.created_at > _OLD
    state, reason = ("bad", "held") if is_held else ("watch", "old") if is_old else ("good", "")
    return ModelHealth(
        model=manifest.id,
        symbol=", ".join(manifest.symbols),
        timeframe=manifest.timeframe,
        state=state,
        reason=reason,
        trained_at=manifest.created_at,
        skill_pct=100 * sum(skills) / len(skills) if skills else None,
        measured=manifest.rows,
    )
