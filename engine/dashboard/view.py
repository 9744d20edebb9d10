"""What the dashboard shows, as the values it needs; whoever has agents, a desk and feeds hands them in.

The dashboard knows nobody's name: agents, books and models are rows like any other. Everything here is a plain frozen
value, money and quantities exact, times aware UTC, and what a person reads as a word is a stable code that the page
words in their language. `None` means "not known" or "does not apply", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from engine.domain.orders import OrderStatus, OrderType, Side
from engine.domain.signals import Direction


@dataclass(frozen=True, slots=True)
class Trading:
    """Whether orders may go out, for the whole account.

    Attributes:
        state: `active`, `reducing` or `halted`.
        by: Who set it; empty while nobody did.
        reason: Stable code or a person's own words.
        is_settled: Whether what a halt cancels and closes is cancelled and closed.
        venue: Where orders go, such as `paper`.
        is_simulated: Whether prices are invented.
    """

    state: str
    by: str
    reason: str
    at: datetime | None
    is_settled: bool
    venue: str
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class Account:
    """The whole account at present prices, in `currency`.

    Attributes:
        day_pnl: Since midnight UTC.
        drawdown_pct: Present fall from the peak, 0 and above; `drawdown_limit_pct` halts it.
    """

    currency: str
    equity: Decimal
    cash: Decimal
    exposure: Decimal
    day_pnl: Decimal | None
    drawdown_pct: Decimal
    drawdown_limit_pct: Decimal | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """An agent's equity and its fall from the peak at one moment."""

    at: datetime
    equity: Decimal
    drawdown_pct: Decimal


@dataclass(frozen=True, slots=True)
class Agent:
    """One trading agent.

    Attributes:
        name: What it is called in programs; also its book.
        title: What people call it.
        temperament: Stable code: `conservative`, `moderate`, `aggressive`.
        state: Stable code: `created`, `running`, `paused`, `stopped`, `halted`.
        reason: Why it is in that state, a stable code; empty when there is nothing to say.
        return_pct, round_trips, win_rate_pct, monthly_pct: Results of the period; None where nothing can be measured.
        target_monthly_pct: Lowest and highest hoped for; None for no upper end.
        curve: Its equity of the period, oldest first; a few hundred points at most.
        held, max_positions: Positions open, and allowed.
    """

    name: str
    title: str
    temperament: str
    state: str
    reason: str
    equity: Decimal
    pnl: Decimal
    return_pct: Decimal | None
    monthly_pct: Decimal | None
    target_monthly_pct: tuple[Decimal, Decimal | None]
    round_trips: int
    win_rate_pct: Decimal | None
    target_win_rate_pct: Decimal | None
    drawdown_pct: Decimal
    drawdown_limit_pct: Decimal
    held: int
    max_positions: int
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """One open position of one book at the present mark.

    Attributes:
        quantity: Base units, below 0 when short.
        unrealised_pct: Of what was paid.
    """

    book: str
    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    notional: Decimal
    unrealised: Decimal
    unrealised_pct: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None


@dataclass(frozen=True, slots=True)
class Order:
    """One order that is not final.

    Attributes:
        order_id: Unique while it stands.
        role: `entry`, `stop_loss` or `take_profit`.
        price: None for a market order.
    """

    order_id: str
    book: str
    symbol: str
    side: Side
    order_type: OrderType
    role: str
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; the fee in quote currency."""

    fill_id: str
    book: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class SignalMark:
    """One signal of the past or the present; prices float64, as the model speaks.

    Attributes:
        timeframe: Of the bars it was read from.
        bar_at: Open time of its bar; `valid_until`: after this it says nothing.
    """

    symbol: str
    timeframe: str
    direction: Direction
    entry: float
    stop: float
    target: float
    probability: float
    reason: str
    bar_at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that waits or was told.

    Attributes:
        condition: Stable code of what it waits for, such as `price_above`.
        value: Level, percent or index that `condition` speaks of.
        told_at: When it was last told; None while it waits.
    """

    alert_id: str
    symbol: str
    condition: str
    value: Decimal | None
    timeframe: str | None
    created_at: datetime
    told_at: datetime | None
    repeats: bool


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """One model that speaks, and how well.

    Attributes:
        state: `good`, `watch` (drifting or old) or `bad` (must not be followed).
        reason: Stable code behind the state; empty when it is good.
        skill_pct: Improvement of its Brier score over the base rate, measured on signals that came true or not.
        measured: How many of them.
    """

    model: str
    symbol: str
    timeframe: str
    state: str
    reason: str
    trained_at: datetime | None
    skill_pct: float | None
    measured: int


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """How fresh one symbol's prices are.

    Attributes:
        reason: Why it is stale, a stable code; empty otherwise.
    """

    symbol: str
    last_quote_at: datetime | None
    last_bar_at: datetime | None
    is_stale: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything but prices, as of one moment.

    Attributes:
        account: None while it cannot be told.
        executions, signals: The newest, as many as charts should show (some hundreds), in any order.
    """

    trading: Trading
    account: Account | None = None
    agents: tuple[Agent, ...] = ()
    positions: tuple[Holding, ...] = ()
    orders: tuple[Order, ...] = ()
    executions: tuple[Execution, ...] = ()
    signals: tuple[SignalMark, ...] = ()
    alerts: tuple[Alert, ...] = ()
    models: tuple[ModelHealth, ...] = ()
    feeds: tuple[FeedHealth, ...] = ()


class DashboardView(Protocol):
    """What the dashboard asks of the program behind it. Both are called on the event loop and must not block it."""

    async def facts(self) -> Facts:
        """Return the present facts; asked about once a second while somebody looks.

        Raises:
            CopilotError: They cannot be told now; the page keeps the old ones and says so.
        """
        ...

    async def halt(self, by: str) -> Trading:
        """Stop all trading: nothing more is sent, what rests is cancelled, what is held is closed.

        Harmless when repeated. It is in force before anything is cancelled, and a caller that gives up waiting does
        not take it back.

        Args:
            by: The login of the person who pressed the switch.
        """
        ...
