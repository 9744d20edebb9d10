"""What tools answer: frozen pydantic values, complete enough for any surface to render without asking again.

Money and quantities are `Decimal`; percentages of people (`_pct`) run 0–100; floats appear where a model or an
indicator speaks. No sentence is formed here: codes are worded by the surface in the person's language.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.risk.values import LimitCheck
from engine.domain.signals import Signal


class Result(BaseModel):
    """Base of all results: frozen, unknown keys refused, JSON round trip exact."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class QuoteView(Result):
    """Present prices of one symbol."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime
    is_open: bool


class ChartLine(Result):
    """One drawn series; `values` aligns with the bars (None before its warm-up).

    `pane` is `price` for overlays, otherwise the indicator's own pane (`rsi`, `macd`, …).
    """

    name: str
    pane: str
    values: tuple[float | None, ...]


class ChartLevel(Result):
    """A horizontal price level: `support`, `resistance`, `entry`, `stop`, `target` or `fibonacci`."""

    kind: str
    price: float
    label: str = ""


DrawnPhase = Literal["accumulation", "manipulation", "distribution"]


class ChartPhase(Result):
    """A fill on the account; `time` is the open time of the bar in which it fell, which may still form."""

    phase: DrawnPhase
    start: int
    end: int


class ChartFill(Result):
    """A fill on the account; `time` is the open time of the bar in which it fell, the one that still forms included."""

    time: int
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal
    book: str


class ChartData(Result):
    """Everything a picture of bars needs; `time` is open time in seconds since the epoch.

    Attributes:
        phases: Oldest first, as each bar saw it then; a phase never changes afterwards.
        fills: Of every book, oldest first, from the first drawn bar on.
    """

    symbol: str
    timeframe: str
    time: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    volume: tuple[float, ...]
    lines: tuple[ChartLine, ...]
    levels: tuple[ChartLevel, ...]
    phases: tuple[ChartPhase, ...] = ()
    fills: tuple[ChartFill, ...] = ()


class SignalResult(Result):
    """`get_signal`: the engine's signal beside the present price, and the bars it was read from, as a picture."""

    kind: Literal["signal"] = "signal"
    signal: Signal
    quote: QuoteView
    age_s: float
    market: str
    is_simulated: bool
    chart: ChartData | None = None


class ChartResult(Result):
    """`analyze_chart`: what the bars say, in codes and numbers, and the picture's data.

    Attributes:
        trend: `up`, `down` or `sideways`; `trend_strength` is ADX (0–100).
        momentum: `rising`, `falling` or `flat`; `rsi` 0–100.
        volatility: `low`, `normal` or `high` against its own past; `atr_pct` of the close.
        patterns: Stable codes of candlestick and structure patterns in the last bars, newest first.
        readings: Value of each asked indicator at the last closed bar, by line name.
    """

    kind: Literal["chart"] = "chart"
    symbol: str
    timeframe: str
    close: float
    change_pct: float
    trend: Literal["up", "down", "sideways"]
    trend_strength: float
    momentum: Literal["rising", "falling", "flat"]
    rsi: float
    volatility: Literal["low", "normal", "high"]
    atr_pct: float
    supports: tuple[float, ...]
    resistances: tuple[float, ...]
    patterns: tuple[str, ...]
    readings: dict[str, float]
    chart: ChartData
    bar_at: datetime
    price_at: datetime
    market: str
    is_simulated: bool


class PositionView(Result):
    """One open position at the present mark."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark: Decimal
    notional: Decimal
    unrealised: Decimal
    unrealised_pct: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None


class OrderView(Result):
    """One order resting at the venue; `order_id` is the short one that people say."""

    order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    order_type: Literal["market", "limit", "stop"]
    role: Literal["entry", "stop_loss", "take_profit"]
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None
    status: str
    created_at: datetime


class FillView(Result):
    """One execution; `realised` is the profit it closed, before fees."""

    trade_id: str
    symbol: str
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal
    at: datetime


class PortfolioResult(Result):
    """`check_portfolio`: the account as one view asks for it; money in `currency`.

    Attributes:
        realised, fees: Within the period asked for (all time when None).
        pnl: Change of equity within the period, deposits apart.
        pnl_pct: The same against the equity at its start.
        trades: Newest first, only for the views that show them.
    """

    kind: Literal["portfolio"] = "portfolio"
    view: Literal["summary", "positions", "orders", "trades", "pnl", "risk"]
    period: str | None
    venue: str
    market: str
    currency: str
    cash: Decimal
    equity: Decimal
    exposure: Decimal
    unrealised: Decimal
    realised: Decimal
    fees: Decimal
    pnl: Decimal
    pnl_pct: Decimal
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    trades: tuple[FillView, ...]
    limits: tuple[LimitCheck, ...]
    at: datetime
    is_simulated: bool


class SizingView(Result):
    """How a proposed size came about: `equity × risk_pct / 100 / stop_distance`, then bounded and rounded."""

    equity: Decimal
    risk_pct: Decimal
    risk_money: Decimal
    stop_distance: Decimal
    raw_quantity: Decimal
    quantity: Decimal
    bounded_by: str | None
    stop_from: Literal["person", "signal", "atr"]


TicketState = Literal[
    "pending", "approved", "claimed", "executed", "working", "failed", "unsent", "rejected", "expired", "replaced"
]


class TicketTerms(Result):
    """The exact terms that the owner approves; the hash covers every field of this class.

    Attributes:
        price: Limit or stop price; None for market.
        expected_price: What the quantity was priced at (ask for a buy, bid for a sell, or `price`).
        fee: Estimated, taker for market and stop, maker for limit.
        cash_before, cash_after, exposure_before, exposure_after: In account currency, at the expected price.
        position_before, position_after: Signed base units.
        max_drift_bps: How far the price may move from `expected_price` before approval asks again.
    """

    symbol: str
    side: Literal["buy", "sell"]
    is_close: bool
    order_type: Literal["market", "limit", "stop"]
    quantity: Decimal
    price: Decimal | None
    expected_price: Decimal
    notional: Decimal
    fee: Decimal
    currency: str
    stop_loss: Decimal | None
    take_profit: Decimal | None
    cash_before: Decimal
    cash_after: Decimal
    exposure_before: Decimal
    exposure_after: Decimal
    position_before: Decimal
    position_after: Decimal
    limits: tuple[LimitCheck, ...]
    sizing: SizingView | None
    venue: str
    is_simulated: bool
    quote_at: datetime
    max_drift_bps: int


class TicketFill(Result):
    """What an executed ticket brought."""

    order_id: str
    status: str
    filled_quantity: Decimal
    average_price: Decimal | None
    fee: Decimal


class TicketView(Result):
    """A ticket as a surface shows it.

    Attributes:
        nonce: Travels with the buttons; a decision must bring it back. It changes with every re-pricing or edit.
        repriced_from: Expected price before the last re-pricing, when this version is one.
        reasons: Why it failed or was refused; stable codes.
    """

    kind: Literal["ticket"] = "ticket"
    ticket_id: int
    version: int
    nonce: str
    owner: str
    conversation_id: str
    language: Literal["en", "es"]
    state: TicketState
    terms: TicketTerms
    terms_hash: str
    created_at: datetime
    expires_at: datetime
    repriced_from: Decimal | None = None
    fill: TicketFill | None = None
    reasons: tuple[str, ...] = ()


class TicketRefused(Result):
    """No ticket could be made: the risk gate or the venue's rules refuse the order, with every limit."""

    kind: Literal["ticket_refused"] = "ticket_refused"
    symbol: str
    side: str
    reasons: tuple[str, ...]
    limits: tuple[LimitCheck, ...]
    params: dict[str, str] = {}


class OrdersCancelled(Result):
    """`cancel_order`: what was cancelled, possibly nothing."""

    kind: Literal["orders_cancelled"] = "orders_cancelled"
    orders: tuple[OrderView, ...]


class AlertView(Result):
    """One alert.

    Attributes:
        timeframe: Of the bars of an RSI or a signal; of a percent move the window, None for "since it was set".
        repeats: Whether it goes on after it was told; `rest_s` seconds must pass before it is told again.
        told_at: When it was last told.
    """

    alert_id: str
    symbol: str
    condition: str
    value: Decimal | None
    timeframe: str | None
    created_at: datetime
    repeats: bool = False
    rest_s: int = 0
    expires_at: datetime | None = None
    told_at: datetime | None = None


class AlertSet(Result):
    """`set_alert`: the alert as stored, beside the present price."""

    kind: Literal["alert_set"] = "alert_set"
    alert: AlertView
    price: Decimal


class AlertList(Result):
    """`list_alerts`."""

    kind: Literal["alert_list"] = "alert_list"
    symbol: str | None
    alerts: tuple[AlertView, ...]


class AlertsCancelled(Result):
    """`cancel_alert`: what was removed, possibly nothing."""

    kind: Literal["alerts_cancelled"] = "alerts_cancelled"
    alerts: tuple[AlertView, ...]


class ProfileResult(Result):
    """`update_profile`: the owner's profile after the change."""

    kind: Literal["profile"] = "profile"
    changed: str
    language: Literal["en", "es"]
    risk_per_trade_pct: Decimal
    base_currency: str
    favourites: tuple[str, ...]
    name: str | None


class EquityCurve(Result):
    """Two accounts day by day, in percent of what they began with; `time` in seconds since the epoch, thinned."""

    time: tuple[int, ...]
    strategy_pct: tuple[float, ...]
    held_pct: tuple[float, ...]


class BacktestResult(Result):
    """`run_backtest`: what a rule would have made of past bars, and what it is held against.

    Attributes:
        target: The agent or strategy asked for.
        strategies: What was run; several have an equal part of the money each.
        left_out: Strategies of the agent that could not be run on these symbols.
        start, end: Opening of the first bar and close of the last one that counted; `days` what lies between.
        shortened_by: Why `days` is less than `days_asked`: the history ends there, or the number of bars is bounded.
        is_long_only: Whether it only bought.
        return_pct: After fees, spread and slippage, like every return here.
        held_pct: Of buying equal parts of all symbols and holding them.
        random_pct: Of the middle one of some runs with as many trades of the same lengths at random times.
        random_as_good: Share of them that did at least as well (0–1).
        sharpe: A year, from daily returns; None when they did not vary.
        deflated_sharpe: Probability (0–1) that it is real, given the `trials` backtests asked for so far.
        costs_doubled_pct: Return at twice the costs.
        verdict: What it says of an edge.
        learned_bars: Bars before the period that the ML signal first learned from; None for rules, which learn nothing.
    """

    kind: Literal["backtest"] = "backtest"
    target: str
    strategies: tuple[str, ...]
    left_out: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str
    start: datetime
    end: datetime
    bars: int
    days: int
    days_asked: int
    shortened_by: Literal["history", "limit"] | None
    is_long_only: bool
    return_pct: float
    held_pct: float
    random_pct: float | None
    random_as_good: float
    sharpe: float | None
    deflated_sharpe: float | None
    trials: int
    max_drawdown_pct: float
    held_drawdown_pct: float
    trades: int
    win_rate_pct: float | None
    costs_doubled_pct: float
    verdict: Literal["no_trades", "no_edge", "too_small_to_tell", "beats_both"]
    curve: EquityCurve
    market: str
    is_simulated: bool
    learned_bars: int | None = None


class Unavailable(Result):
    """A tool that understood but cannot act; `code` says why (`no_data`, `stale`, …)."""

    kind: Literal["unavailable"] = "unavailable"
    tool: str
    code: str
    params: dict[str, str] = {}


# Below: results that are built on the values above, in files of their own.
from tools.agent_results import AgentsChanged, AgentStatusResult, ProposalView, TradeExplained  # noqa: E402

ToolResult = Annotated[
    SignalResult
    | ChartResult
    | PortfolioResult
    | TicketView
    | TicketRefused
    | OrdersCancelled
    | AlertSet
    | AlertList
    | AlertsCancelled
    | ProfileResult
    | BacktestResult
    | AgentStatusResult
    | AgentsChanged
    | TradeExplained
    | ProposalView
    | Unavailable,
    Field(discriminator="kind"),
]
