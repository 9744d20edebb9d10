"""Arguments of every tool, as pydantic types: the routing contract between words and actions.

The schema that a chat model sees is generated from these classes. Names and defaults are part of the product's
contract and do not change; what was added to it is optional and says so. Which agents there are is known at run time
only (an owner's own agent is a file): a type says how an agent's name is written, `name_choices` which there are.
Numbers arrive as `Decimal` (from JSON numbers or their text), never through a float.
Amounts and prices are positive, finite and of a length that exact arithmetic holds (`MAX_DIGITS`); anything else is
refused here, before any tool sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.domain.symbols import Timeframe

T = TypeVar("T")


def _exact(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    return Decimal(repr(value)) if isinstance(value, float) else value


MAX_DIGITS = 30
"""Digits of a number, counted with the zeros behind the point: more is a slip or an attack on the arithmetic."""
_TOO_LARGE = Decimal(10) ** 15

PositiveNumber = Annotated[
    Decimal, BeforeValidator(_exact), Field(gt=0, lt=_TOO_LARGE, max_digits=MAX_DIGITS, allow_inf_nan=False)
]
Percent = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100, max_digits=MAX_DIGITS, allow_inf_nan=False)]
Period = Literal["today", "7d", "30d", "mtd", "ytd", "all"]
Indicator = Literal[
    "rsi", "macd", "bollinger", "ema", "sma", "atr", "adx", "stochastic", "volume", "fibonacci", "support_resistance"
]
AGENTS = ("atlas", "orion", "nova")
"""The agents that come with the program; an owner's own ones are known at run time."""
AgentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,15}$")]
AgentOrAll = AgentName
"""The same, or `all`: no agent can be called that."""
StrategyName = Literal[
    "mean_reversion", "grid", "trend_following", "breakout", "momentum", "scalping", "altcoin_rotation"
]


class ToolArguments(BaseModel):
    """Base of all tool arguments: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GetSignal(ToolArguments):
    """Current signal of the ML engine: direction, entry, stop, target, probability, phase."""

    symbol: str
    timeframe: Timeframe = "1h"


class AnalyzeChart(ToolArguments):
    """Chart of an instrument with trend, momentum, volatility and levels."""

    symbol: str
    timeframe: Timeframe = "1h"
    indicators: tuple[Indicator, ...] = ()


class CheckPortfolio(ToolArguments):
    """Positions, orders, cash, profit and risk of the account."""

    view: Literal["summary", "positions", "orders", "trades", "pnl", "risk"] = "summary"
    period: Period | None = None


class ExecuteTrade(ToolArguments):
    """A ticket to buy, sell or close; nothing is sent before the owner approves it."""

    symbol: str
    side: Literal["buy", "sell", "close"]
    amount: PositiveNumber | None = None
    unit: Literal["base", "quote", "percent"] = "base"
    order_type: Literal["market", "limit", "stop"] = "market"
    price: PositiveNumber | None = None
    stop_loss: PositiveNumber | None = None
    take_profit: PositiveNumber | None = None
    stop_loss_pct: Percent | None = None
    take_profit_pct: PositiveNumber | None = None


class CancelOrder(ToolArguments):
    """Cancel one resting order, or all of them (`order_id` "all")."""

    order_id: str
    symbol: str | None = None


class SetAlert(ToolArguments):
    """Tell the owner when a condition becomes true."""

    symbol: str
    condition: Literal[
        "price_above", "price_below", "change_up", "change_down", "rsi_above", "rsi_below", "signal_change"
    ]
    value: PositiveNumber | None = None
    timeframe: Timeframe | None = None


class ListAlerts(ToolArguments):
    """List the owner's alerts."""

    symbol: str | None = None


class CancelAlert(ToolArguments):
    """Cancel one alert, or all of them (`alert_id` "all")."""

    alert_id: str
    symbol: str | None = None


class AgentStatus(ToolArguments):
    """State and results of the trading agents."""

    agent: AgentOrAll = "all"
    period: Period | None = None


class ControlAgent(ToolArguments):
    """Start, pause, resume or stop a trading agent; give it money or take some back; allow it to trade unattended.

    Beyond the contract are `fund` and `withdraw`, `permit` (a mandate for a real venue) and `revoke`, with:

    Attributes:
        amount: Account currency: what it starts with or gets, what is taken (null: all that is free), or its
            mandate's notional a day.
        pairs: Of a mandate; empty for those that it trades.
        days: How long a mandate lasts.
    """

    agent: AgentOrAll
    action: Literal["start", "pause", "resume", "stop", "fund", "withdraw", "permit", "revoke"]
    amount: PositiveNumber | None = None
    pairs: tuple[str, ...] = ()
    days: Annotated[int, Field(gt=0, le=366)] | None = None


class ConfigureAgent(ToolArguments):
    """Change one setting of a trading agent."""

    agent: AgentOrAll
    setting: Literal["position_size_pct", "max_positions", "max_drawdown_pct", "pairs", "strategies"]
    value: PositiveNumber | tuple[str, ...]


class ExplainTrade(ToolArguments):
    """Why a trade was made, or was not.

    Beyond the contract are:

    Attributes:
        side: Of the fill that is meant ("why did it sell?").
        outcome: `refused` for what was wished for and not done ("why didn't it buy?").
    """

    agent: AgentName | None = None
    symbol: str | None = None
    trade_id: str | None = None
    side: Literal["buy", "sell"] | None = None
    outcome: Literal["made", "refused"] | None = None


class RunBacktest(ToolArguments):
    """Backtest an agent, a strategy or the ML signal."""

    target: AgentName
    symbol: str | None = None
    timeframe: Timeframe = "1h"
    days: Annotated[int, Field(gt=0)] = 365


class UpdateProfile(ToolArguments):
    """Change the owner's profile."""

    setting: Literal["language", "risk_per_trade_pct", "base_currency", "favourites", "name"]
    value: PositiveNumber | str | tuple[str, ...]


ARGUMENTS: dict[str, type[ToolArguments]] = {
    "get_signal": GetSignal,
    "analyze_chart": AnalyzeChart,
    "check_portfolio": CheckPortfolio,
    "execute_trade": ExecuteTrade,
    "cancel_order": CancelOrder,
    "set_alert": SetAlert,
    "list_alerts": ListAlerts,
    "cancel_alert": CancelAlert,
    "agent_status": AgentStatus,
    "control_agent": ControlAgent,
    "configure_agent": ConfigureAgent,
    "explain_trade": ExplainTrade,
    "run_backtest": RunBacktest,
    "update_profile": UpdateProfile,
}


_BEYOND_CONTRACT: Mapping[str, frozenset[str]] = {
    "control_agent": frozenset({"amount", "pairs", "days"}),
    "explain_trade": frozenset({"side", "outcome"}),
}


def contract_arguments(tool: str, arguments: Mapping[str, T]) -> dict[str, T]:
    """Return the arguments that the routing contract knows, as `route` and `eval` show them.

    >>> contract_arguments("control_agent", {"agent": "nova", "action": "start", "amount": 500})
    {'agent': 'nova', 'action': 'start'}
    """
    return {name: value for name, value in arguments.items() if name not in _BEYOND_CONTRACT.get(tool, ())}


def name_choices(tool: str, argument: str, agents: Sequence[str]) -> tuple[str, ...]:
    """Return what an argument that names an agent may be; nothing for an argument that names none.

    >>> name_choices("explain_trade", "agent", ("atlas", "vega")), name_choices("explain_trade", "symbol", ("atlas",))
    (('atlas', 'vega'), ())
    """
    if argument == "target":
        return (*agents, *get_args(StrategyName), "signal")
    if argument == "agent":
        return tuple(agents) if tool == "explain_trade" else ("all", *agents)
    return ()
