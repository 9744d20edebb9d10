"""What the journal of decisions holds: one immutable record per decision, and the facts that followed.

A record explains itself: everything that the decision rested on stands in it as numbers and stable codes. What
happened later (the order, fills, the result) is a fact of its own that names the record; nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Verdict(StrEnum):
    """What became of a wish when it was decided."""

    TAKEN = "taken"
    REFUSED = "refused"
    ASKED = "asked"
    """It waits for the owner's confirmation."""


class WishKind(StrEnum):
    """What was wished for."""

    ENTER = "enter"
    EXIT = "exit"
    PROTECT = "protect"


class FactKind(StrEnum):
    """What followed a decision."""

    ORDER = "order"
    """The entry's order changed its state."""
    EXIT_ORDER = "exit_order"
    FILL = "fill"
    PROTECTION = "protection"
    APPROVAL = "approval"
    """The owner answered."""
    VOID = "void"
    """Nothing filled, and nothing will."""
    RESULT = "result"
    """The round trip is over."""


@dataclass(frozen=True, slots=True)
class SignalNote:
    """What the ML engine said, and what it did to the entry.

    Attributes:
        effect: Stable code: `off`, `missing`, `passed`, `weighted`, or why it refused.
        factor: Share of the size that it left, 0–1.
    """

    effect: str
    factor: Decimal = Decimal(1)
    model_version: str = ""
    direction: str = ""
    probability: float | None = None
    breakeven_probability: float | None = None
    expected_value_ratio: float | None = None
    phase: str = ""
    bar_at: str = ""


@dataclass(frozen=True, slots=True)
class LimitNote:
    """One limit with its figures: `limit`, `before` and `after` the order, in `unit`."""

    name: str
    unit: str
    limit: Decimal
    before: Decimal
    after: Decimal
    is_ok: bool


@dataclass(frozen=True, slots=True)
class WishNote:
    """What the strategy asked for, in its own figures."""

    kind: WishKind
    side: str = ""
    order_type: str = ""
    price: float | None = None
    stop: float | None = None
    target: float | None = None
    size_bps: int = 0
    valid_bars: int = 0
    max_bars: int = 0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was seen when it was decided.

    Attributes:
        bars, first_bar_at, last_bar_at: How many bars, and the open times of the first and last.
        close: Of the last one.
        bars_hash: Of their prices, so that a later reading can be held against it.
        figures: The strategy's own deciding figures, by name.
        held_side, held_quantity, entry_price, bars_held: What stood in the slot.
        equity, cash: Of the agent's book at the closes.
    """

    bars: int = 0
    first_bar_at: datetime | None = None
    last_bar_at: datetime | None = None
    close: float | None = None
    bars_hash: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    held_side: int = 0
    held_quantity: Decimal = Decimal(0)
    entry_price: float | None = None
    bars_held: int = 0
    equity: Decimal | None = None
    cash: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, taken or not.

    Attributes:
        source: Unique; for an entry also the source of its order.
        entry_source: Of the entry that it is about; its own source for an entry.
        at: When it was decided; `closed_at` is the close of the bar that it was decided on.
        strategy_version: Hash of the program of the strategy; `parameters_hash` of its parameters.
        reasons: Why it was refused, or why it was done; stable codes.
        quantity, notional: Of the order; 0 without one.
        share: Of the book's equity that the size was made of.
        permission: `allowed`, `asked` or `refused`, with `mandate_id` where one allowed it.
        order_id: Client order id of what was to be sent; empty for none.
        prices: Rounded prices of the order: `price`, `stop`, `target`.
    """

    source: str
    entry_source: str
    agent: str
    strategy: str
    strategy_version: str
    parameters_hash: str
    symbol: str
    tag: str
    timeframe: str
    closed_at: datetime
    at: datetime
    verdict: Verdict
    reasons: tuple[str, ...]
    wish: WishNote
    inputs: Inputs = field(default_factory=Inputs)
    signal: SignalNote | None = None
    limits: tuple[LimitNote, ...] = ()
    share: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    permission: str = ""
    mandate_id: str = ""
    order_id: str = ""
    venue: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that followed a decision.

    Attributes:
        source: Of the entry's decision.
        key: What makes it one fact among those of its kind; writing it twice keeps the first.
        order_id: Client order id that it is about, empty for none.
        trade: Number of the settled fill, 0 for none.
        side: Of the fill, `buy` or `sell`; empty elsewhere.
        codes: Stable words: a state, a role, reasons.
        figures: Exact numbers by name.
    """

    source: str
    kind: FactKind
    key: str
    agent: str
    symbol: str
    at: datetime
    order_id: str = ""
    trade: int = 0
    side: str = ""
    codes: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The result of a leg whose last part was closed; money in quote currency.

    Attributes:
        realised: Profit net of fees; `realised_pct` of what the entry cost.
        r_multiple: Profit as a multiple of what the first stop risked; None without a stop.
        exit_reason: Stable code.
    """

    source: str
    agent: str
    strategy: str
    symbol: str
    tag: str
    side: str
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


@dataclass(frozen=True, slots=True)
class DecisionQuery:
    """Which decisions are meant; what is None or empty does not matter.

    Attributes:
        order_id: Client order id of an entry, its protection or a closing order.
        trade: Number of a settled fill.
        verdict: Taken, refused or asked.
        side: Of what was wished for; with `explain`, of the fill that is meant.
    """

    agent: str = ""
    symbol: str = ""
    strategy: str = ""
    since: datetime | None = None
    until: datetime | None = None
    order_id: str = ""
    trade: int = 0
    verdict: Verdict | None = None
    kind: WishKind | None = None
    side: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One link of an explanation: a stable code with words and figures."""

    code: str
    at: datetime
    codes: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Decimal | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something was done, or not: the chain from wish to result, oldest first.

    Attributes:
        is_open: Whether the round trip is still going on.
        chart_from, chart_to: The span that a picture should show.
    """

    source: str
    agent: str
    strategy: str
    symbol: str
    timeframe: str
    side: str
    verdict: Verdict
    steps: tuple[Step, ...]
    result: RoundTrip | None
    is_open: bool
    chart_from: datetime
    chart_to: datetime


@dataclass(frozen=True, slots=True)
class QuietCount:
    """How often on a day a strategy looked and there was nothing to record; `code` says which nothing."""

    agent: str
    day: str
    strategy: str
    code: str
    count: int
