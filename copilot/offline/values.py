"""What the offline parser returns: calls, or a question, or plain talk.

The codes are words for code, not for people: `copilot.wording` turns them into sentences. Values are frozen so that a
decision can be logged and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Language = Literal["en", "es"]
ArgumentValue = str | int | Decimal | tuple[str, ...]

QUESTIONS = frozenset(
    {
        "which_symbol",
        "how_much",
        "buy_or_sell",
        "amount_ambiguous",
        "unknown_instrument",
        "bad_number",
        "contradiction",
        "two_prices",
        "which_price",
        "which_order",
        "which_alert",
        "alert_condition",
        "alert_value",
        "which_agent",
        "which_setting",
        "which_value",
        "which_strategy",
        "which_target",
        "unclear",
    }
)
CONCEPTS = frozenset(
    {
        "stop_loss",
        "limit_order",
        "stop_order",
        "market_order",
        "funding_rate",
        "spread",
        "slippage",
        "candlesticks",
        "rsi",
        "macd",
        "bollinger",
        "atr",
        "adx",
        "stochastic",
        "moving_average",
        "fibonacci",
        "support_resistance",
        "leverage",
        "margin",
        "short_selling",
        "drawdown",
        "sharpe",
        "backtest",
        "overfitting",
        "walk_forward",
        "amd",
        "probability",
        "position_sizing",
        "risk_per_trade",
        "reward_risk",
        "volatility",
        "liquidity",
        "maker_taker",
        "paper_trading",
        "pip",
        "lot",
        "sessions",
        "oco",
        "trailing_stop",
        "taxes",
        "unfilled_order",
        "diversification",
        "hedging",
        "dca",
    }
)
TALK = frozenset(
    {
        "greeting",
        "thanks",
        "goodbye",
        "help",
        "confirmation",
        "quoted",
        "smalltalk",
        "question",
        "cannot",
        "negated",
        "past",
        *(f"concept:{key}" for key in CONCEPTS),
    }
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; `args` holds only what differs from the tool's defaults."""

    tool: str
    args: Mapping[str, ArgumentValue]


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask the person; `params` fill the worded question."""

    code: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one message: exactly one of calls, question and talk is given.

    Attributes:
        calls: What to call, in spoken order.
        question: What to ask first.
        talk: The kind of plain answer.
        language: The language of the words.
        is_certain: Whether every word was understood, so that nobody else need be asked what the message means.
    """

    calls: tuple[Call, ...]
    question: Question | None
    talk: str | None
    language: Language
    is_certain: bool = False
