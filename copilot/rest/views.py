"""What the service takes and answers; the values of tools are answered as they are.

Requests are strict: no unknown key, no number where a text is meant. Money and quantities are text of plain digits in
both directions, so that no client rounds them on the way.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from copilot.rest import examples
from copilot.rest.jobs import JobState
from copilot.rest.tokens import Scope
from engine.api.problems import Problem
from engine.domain.symbols import Timeframe
from tools.agent_results import AgentsChanged, AgentStatusResult, ProposalView, TradeExplained
from tools.results import (
    AlertList,
    AlertsCancelled,
    AlertSet,
    AlertView,
    BacktestResult,
    ChartResult,
    FillView,
    OrdersCancelled,
    OrderView,
    PortfolioResult,
    ProfileResult,
    SignalResult,
    TicketRefused,
    TicketView,
    Unavailable,
)
from tools.schema import AgentName, StrategyName

AMOUNT = r"^(0\.[0-9]{0,11}[1-9][0-9]{0,2}|[1-9][0-9]{0,14}(\.[0-9]{1,12})?)$"
BELOW_HUNDRED = r"^(0\.[0-9]{0,11}[1-9][0-9]{0,2}|[1-9][0-9]?(\.[0-9]{1,12})?)$"
SYMBOL = r"^[A-Za-z0-9]{2,16}([/-][A-Za-z0-9]{2,16})?$"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,10}")


def _example(value: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


def plain_symbol(text: str) -> str:
    """Return a symbol as the market writes it.

    >>> plain_symbol("btc-usdt"), plain_symbol("XAUUSD")
    ('BTC/USDT', 'XAUUSD')
    """
    return text.upper().replace("-", "/")


def plain_digits(value: object) -> object:
    """Take plain digits alone in a path: neither a sign, a space nor a point."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("write plain digits")
    return value


def whole_number(value: object) -> object:
    """Take 5.0 for 5, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(text: str) -> str:
    if not _MOMENT.fullmatch(text):
        raise ValueError("write a time like 2026-03-02T14:00:00Z")
    datetime.fromisoformat(text.upper())
    return text


Symbol = Annotated[str, Field(pattern=SYMBOL, examples=["BTC/USDT"])]
Amount = Annotated[str, Field(pattern=AMOUNT, examples=["0.25"], description="A number above 0 in plain digits.")]
Percent = Annotated[str, Field(pattern=BELOW_HUNDRED, examples=["30"], description="Above 0 and below 100.")]
Moment = Annotated[
    str, AfterValidator(_moment), Field(json_schema_extra={"format": "date-time"}, examples=["2030-01-01T00:00:00Z"])
]
Whole = BeforeValidator(whole_number)
Rest = Annotated[int, Field(ge=60, le=7 * 86400, description="Seconds of silence after it was told."), Whole]
Days = Annotated[int, Field(ge=1, le=36500), Whole]
Lifetime = Annotated[int, Field(ge=1, le=3650), Whole]
Number = Annotated[int, Field(ge=1, le=2**31 - 1), Whole]
AnyTicket = Annotated[TicketView | ProposalView, Field(discriminator="kind")]
AnyResult = Annotated[
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
    | Unavailable,
    Field(discriminator="kind"),
]
"""What tools answer within a turn."""


class Asked(BaseModel):
    """Base of what is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Say(Asked):
    """A message to the copilot."""

    model_config = _example(examples.SAY)

    message: str = Field(min_length=1, max_length=4000)
    conversation: str = Field(
        default="main", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Of the caller's choice; it has a memory."
    )


class Decide(Asked):
    """A decision on the version of a ticket that the nonce stands for."""

    model_config = _example(examples.DECIDE)

    nonce: str = Field(min_length=1, max_length=64)


class Edit(Asked):
    """Other numbers for a ticket.

    A trade has `quantity`, `price`, `stop_loss` and `take_profit`; a proposal has the numbers of its items, such as
    `budget_atlas`.
    """

    model_config = _example(examples.EDIT)

    nonce: str = Field(min_length=1, max_length=64)
    changes: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")], Amount],
        Field(min_length=1, max_length=8, json_schema_extra={"additionalProperties": False}),
    ]


class _NewAlert(Asked):
    symbol: Symbol


class PriceAlert(_NewAlert):
    """Tell when the price passes a value."""

    model_config = _example(examples.PRICE_ALERT)

    condition: Literal["price_above", "price_below"]
    value: Amount


class RiseAlert(_NewAlert):
    """Tell when the price rose by some percent, since now or within a window."""

    condition: Literal["change_up"]
    value: Amount
    timeframe: Timeframe | None = None


class FallAlert(_NewAlert):
    """Tell when the price fell by some percent, since now or within a window."""

    condition: Literal["change_down"]
    value: Percent
    timeframe: Timeframe | None = None


class RsiAlert(_NewAlert):
    """Tell when the RSI of closed bars passes a value."""

    condition: Literal["rsi_above", "rsi_below"]
    value: Percent
    timeframe: Timeframe | None = None


class SignalAlert(_NewAlert):
    """Tell when the signal's direction changes."""

    condition: Literal["signal_change"]
    timeframe: Timeframe | None = None


NewAlert = Annotated[PriceAlert | RiseAlert | FallAlert | RsiAlert | SignalAlert, Field(discriminator="condition")]


class AlertChanges(Asked):
    """How an alert repeats, rests and ends; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.ALERT_CHANGES], "minProperties": 1})

    repeats: bool = False
    rest_s: Rest = 900
    expires_at: Moment | None = None


class NewBacktest(Asked):
    """A backtest of an agent or a strategy over the last `days`."""

    model_config = _example(examples.NEW_BACKTEST)

    target: AgentName | StrategyName
    symbol: Symbol | None = None
    timeframe: Timeframe = "1h"
    days: Days = 365


class NewToken(Asked):
    """A token of the same owner."""

    model_config = _example(examples.NEW_TOKEN)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    scopes: Annotated[list[Literal["read", "trade", "admin"]], Field(min_length=1, max_length=3)]
    expires_in_days: Lifetime | None = None


class Seen(Asked):
    """Notices that were shown."""

    model_config = _example(examples.SEEN)

    ids: Annotated[list[Number], Field(min_length=1, max_length=500)]


class ToolCall(Answer):
    """A tool that ran within a turn."""

    call_id: str
    tool: str
    result: AnyResult


class TurnView(Answer):
    """A turn that is over.

    `opened` holds what waits for a decision now, with the nonce that it needs; `closed` what came to an end.
    """

    model_config = _example(examples.TURN)

    turn_id: str = Field(description="It can be read again for a while under /chat/{turn_id}.")
    conversation: str
    answer: str = Field(description="Markdown.")
    language: Literal["en", "es"]
    brain: str = Field(description="Name of the chat model that spoke.")
    trouble: str | None = Field(description="Code of what kept the chosen chat model from answering.")
    tools: list[ToolCall]
    opened: list[AnyTicket]
    closed: list[AnyTicket]


class TicketsView(Answer):
    """What waits for a decision, oldest first; without the scope `trade` each nonce is empty."""

    model_config = _example({"tickets": [examples.TICKET]})

    tickets: list[AnyTicket]


class DecisionView(Answer):
    """A decision that stands; `ticket` is as it is now, `opened` what else waits for one."""

    model_config = _example(examples.DECISION)

    ticket: AnyTicket
    answer: str
    opened: list[AnyTicket]


class TicketProblem(Problem):
    """Why nothing was decided; with the ticket as it stands now, where there is one."""

    ticket: AnyTicket | None = None


class OrdersView(Answer):
    """Orders that rest at the venue."""

    model_config = _example({"orders": [examples.ORDER]})

    orders: list[OrderView]


class TradesView(Answer):
    """Executions, newest first."""

    model_config = _example({"period": "30d", "currency": "USD", "trades": [examples.FILL]})

    period: str
    currency: str
    trades: list[FillView]


class AlertsView(Answer):
    """Active alerts, oldest first."""

    model_config = _example({"alerts": [examples.ALERT]})

    alerts: list[AlertView]


class StoppedView(Answer):
    """All trading is stopped."""

    model_config = _example(examples.STOPPED)

    answer: str


class LiftedView(Answer):
    """Trading may go on."""

    model_config = _example(examples.LIFTED)

    answer: str


class NoticeView(Answer):
    """Something that happened: a code with values, and the sentence in the owner's language."""

    id: int
    kind: str
    params: dict[str, str]
    text: str
    created_at: datetime


class NoticesView(Answer):
    """What this token has not marked as seen since it was made, oldest first."""

    model_config = _example({"notices": [examples.NOTICE]})

    notices: list[NoticeView]


class SeenView(Answer):
    """Those that were not marked before."""

    model_config = _example({"ids": [41]})

    ids: list[int]


class JobView(Answer):
    """A backtest as a job.

    `state` ends as `done`, `failed` (then `code`, `params` and `detail` tell why) or `interrupted`: the program that
    ran it has ended, and it does not go on. `done_ratio` (0–1) is the share of the work that is done.
    """

    model_config = _example(examples.JOB)

    job_id: str
    state: JobState
    target: str
    symbol: str | None
    timeframe: Timeframe
    days: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ahead: int = Field(ge=0, description="Jobs that come before it.")
    done_ratio: float = Field(ge=0, le=1)
    code: str | None
    params: dict[str, str]
    detail: str | None
    result: BacktestResult | None


class JobsView(Answer):
    """The newest backtests, newest first."""

    model_config = _example({"backtests": [examples.JOB]})

    backtests: list[JobView]


class TokenView(Answer):
    """A token without its secret."""

    model_config = _example(examples.TOKEN)

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


class FreshToken(TokenView):
    """A new token; `token` is shown this once."""

    model_config = _example({**examples.TOKEN, "token": examples.SECRET})

    token: str


class TokensView(Answer):
    """Tokens of the same owner, oldest first; revoked and expired ones too."""

    model_config = _example({"tokens": [examples.TOKEN]})

    tokens: list[TokenView]


class PartView(Answer):
    """One part; `trouble` is empty when it is well."""

    name: str
    trouble: str
    is_vital: bool


class HealthView(Answer):
    """Whether the program is well: degraded when a part is not, down when a vital one is not."""

    model_config = _example(examples.HEALTH)

    status: Literal["ok", "degraded", "down"]
    parts: list[PartView]
