"""What the tools of the trading agents answer, and what a proposal to the owner holds; frozen pydantic values.

A proposal is the ticket of everything that is no order of the owner's: an agent's start, a setting that dares more, a
mandate, an order that an agent must ask for. Its number lies far above those of order tickets, so that one number
means one thing on every surface; people see it as `A<n>`.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from tools.results import ChartData, PositionView, Result, TicketView

FIRST_PROPOSAL = 1_000_000_000
"""Numbers above this are proposals; below it stand order tickets."""

AgentStateName = Literal["created", "running", "paused", "stopped", "halted"]
ActionName = Literal["start", "pause", "resume", "stop", "halt", "lift"]
SettingValue = str | tuple[str, ...]
"""A figure as its digits, or a list of names."""


class MandateView(Result):
    """What an agent may do on a real venue without asking; money in account currency.

    Attributes:
        used_today: Notional of the UTC day that counts so far.
    """

    mandate_id: int
    venue: str
    pairs: tuple[str, ...]
    daily_notional: Decimal
    used_today: Decimal
    max_order_notional: Decimal
    drawdown_pct: Decimal
    expires_at: datetime


class AgentView(Result):
    """One agent: what it may do, what it did, and what it is measured against; money in account currency.

    Attributes:
        reason: Code of why it is in its state; empty where nobody gave one.
        budget: Money that was given to it; `equity` what it is worth now.
        pnl, pnl_pct, realised, fees: Within the period asked for.
        drawdown_pct: Present fall from its peak.
        exposure_pct: Sum of absolute notionals in percent of its equity.
        win_rate_pct: Of closed round trips within the period; None without one.
        month_pct: Result of this month; None before there is one.
        target_month_pct: Lowest and highest result of a month that is hoped for.
        is_alive: Whether the process that runs it gives signs of life; None where nobody supervises.
    """

    agent: str
    title: str
    temperament: str
    state: AgentStateName
    since: datetime | None
    by: str
    reason: str
    budget: Decimal
    equity: Decimal
    cash: Decimal
    pnl: Decimal
    pnl_pct: Decimal
    realised: Decimal
    fees: Decimal
    drawdown_pct: Decimal
    max_drawdown_pct: Decimal
    exposure_pct: Decimal
    position_size_pct: Decimal
    max_positions: int
    pairs: tuple[str, ...]
    strategies: tuple[str, ...]
    positions: tuple[PositionView, ...]
    trades: int
    win_rate_pct: Decimal | None
    target_win_rate_pct: Decimal
    month_pct: Decimal | None
    target_month_pct: tuple[Decimal, Decimal | None]
    mandate: MandateView | None
    is_alive: bool | None


class AgentStatusResult(Result):
    """`agent_status`: the agents asked for, each as it stands."""

    kind: Literal["agent_status"] = "agent_status"
    period: str | None
    venue: str
    currency: str
    agents: tuple[AgentView, ...]
    at: datetime
    is_simulated: bool


class AgentChange(Result):
    """Something that was done to an agent at once, because it lowers risk.

    Attributes:
        name: An action or a setting; `before` and `after` are states, values, or what the agent is worth.
        amount: Money that moved, in account currency; None where none did.
    """

    agent: str
    subject: Literal["action", "setting", "money", "mandate"]
    name: str
    before: SettingValue
    after: SettingValue
    amount: Decimal | None = None


class AgentUnchanged(Result):
    """Something that could not be done to an agent, or was so already; `code` says why."""

    agent: str
    code: str
    params: dict[str, str] = Field(default_factory=dict)


class ProposedAction(Result):
    """An agent is to do more: start, go on, be let out of a halt, or get more money.

    Attributes:
        budget: Money that its book is to get from the owner's, beside the equity that it has; None for none.
        available: The owner's free cash, out of which the budget comes.
        position_size_pct, max_positions, max_drawdown_pct: The limits that it will trade within.
        reason: Why it was halted, for a lift.
    """

    subject: Literal["action"] = "action"
    agent: str
    action: Literal["start", "resume", "lift", "fund"]
    state_before: AgentStateName
    state_after: AgentStateName
    equity: Decimal
    budget: Decimal | None
    available: Decimal
    position_size_pct: Decimal
    max_positions: int
    max_drawdown_pct: Decimal
    reason: str = ""


class ProposedSetting(Result):
    """A setting that lets an agent dare more."""

    subject: Literal["setting"] = "setting"
    agent: str
    setting: str
    before: SettingValue
    after: SettingValue


class ProposedMandate(Result):
    """What an agent is to be allowed on a real venue without asking."""

    subject: Literal["mandate"] = "mandate"
    agent: str
    venue: str
    pairs: tuple[str, ...]
    daily_notional: Decimal
    max_order_notional: Decimal
    drawdown_pct: Decimal
    expires_at: datetime


class ProposedOrder(Result):
    """An order that an agent may not send without asking.

    Attributes:
        source: What the order's id is derived from.
        reason: Code of why it must ask.
        strategy: Whose decision it is.
        notional: In account currency, at the price that it was sized at.
        valid_until: When the agent would no longer send it.
    """

    subject: Literal["order"] = "order"
    agent: str
    source: str
    strategy: str
    symbol: str
    side: Literal["buy", "sell"]
    order_type: Literal["market", "limit", "stop"]
    quantity: Decimal
    price: Decimal | None
    expected_price: Decimal
    notional: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    reason: str
    valid_until: datetime


ProposedItem = Annotated[
    ProposedAction | ProposedSetting | ProposedMandate | ProposedOrder, Field(discriminator="subject")
]


class ProposalTerms(Result):
    """Exactly what the owner approves, all of it or nothing; the hash covers every field."""

    items: Annotated[tuple[ProposedItem, ...], Field(min_length=1)]
    venue: str
    currency: str
    is_simulated: bool


ProposalState = Literal[
    "pending", "approved", "claimed", "executed", "failed", "unsent", "rejected", "expired", "replaced"
]


class ItemOutcome(Result):
    """What became of one item, by its place in the terms; `code` says why it was not done."""

    index: int
    is_done: bool
    code: str = ""
    params: dict[str, str] = Field(default_factory=dict)


class ProposalView(Result):
    """A proposal as a surface shows it; its first fields are those of a ticket.

    Attributes:
        ticket_id: Above `FIRST_PROPOSAL`.
        nonce: Travels with the buttons; a decision must bring it back. It changes with every version.
        outcomes: What became of the items, once it was carried out.
        reasons: Why it failed; stable codes.
    """

    kind: Literal["proposal"] = "proposal"
    ticket_id: int
    version: int
    nonce: str
    owner: str
    conversation_id: str
    language: Literal["en", "es"]
    state: ProposalState
    terms: ProposalTerms
    terms_hash: str
    created_at: datetime
    expires_at: datetime
    outcomes: tuple[ItemOutcome, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """Return the number as people see it."""
        return f"A{self.ticket_id - FIRST_PROPOSAL}"


class AgentsChanged(Result):
    """`control_agent` and `configure_agent`: what was done at once, what was not, and what the owner is asked."""

    kind: Literal["agents_changed"] = "agents_changed"
    changes: tuple[AgentChange, ...]
    unchanged: tuple[AgentUnchanged, ...]
    proposal: ProposalView | None = None
    currency: str = "USD"


class StepView(Result):
    """One link of an explanation: a stable code with words and exact figures."""

    code: str
    at: datetime
    codes: dict[str, str]
    figures: dict[str, Decimal]


class RoundTripView(Result):
    """The result of a position that an agent opened and closed; money in account currency.

    Attributes:
        realised: Net of fees; `realised_pct` of what the entry cost.
        r_multiple: As a multiple of what the first stop risked; None without a stop.
    """

    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    fees: Decimal
    realised: Decimal
    realised_pct: Decimal
    r_multiple: Decimal | None
    exit_reason: str
    entered_at: datetime
    exited_at: datetime


class RefusedView(Result):
    """A trade that an agent wished for and that was not made; `reasons` are stable codes."""

    at: datetime
    symbol: str
    side: str
    reasons: tuple[str, ...]


class TradeExplained(Result):
    """`explain_trade`: the chain from signal to result, as the journal recorded it.

    Attributes:
        agent: Whose decision it was; empty for a trade of the owner's own.
        ticket: The ticket behind a trade of the owner's own.
        refused_since: The latest that was not made after all that.
    """

    kind: Literal["trade_explained"] = "trade_explained"
    agent: str
    title: str
    strategy: str
    symbol: str
    timeframe: str
    side: str
    verdict: str
    steps: tuple[StepView, ...]
    result: RoundTripView | None
    is_open: bool
    ticket: TicketView | None
    currency: str
    chart: ChartData | None
    is_simulated: bool
    refused_since: RefusedView | None = None
