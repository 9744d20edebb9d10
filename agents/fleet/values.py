"""What an agent's cycle works on: legs, wishes, what a book holds; plain frozen values.

A leg is one entry of one strategy in one symbol under one tag, with all that becomes of it. Several legs may stand in
one symbol; the book of the agent holds their sum. A leg is told apart from others by its source, from which the desk
derives the order's id, so that nothing about it has to be guessed after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from engine.domain.market import Bars
from engine.domain.orders import OrderRequest, Side
from engine.domain.strategies import Intent, Standing
from engine.domain.symbols import Timeframe

ZERO = Decimal(0)


class LegState(StrEnum):
    """Where a leg stands."""

    ASKED = "asked"
    """The owner must confirm it first."""
    WANTED = "wanted"
    """Decided and written down, not known to have been sent."""
    OPEN = "open"
    """Sent: it waits, or something of it is held."""
    CLOSED = "closed"
    """Something filled, and all of it has been closed."""
    VOID = "void"
    """Nothing ever filled, nothing will."""

    @property
    def is_final(self) -> bool:
        """Return whether nothing more can happen to the leg."""
        return self in (LegState.CLOSED, LegState.VOID)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where at most one entry works at a time."""

    strategy: str
    symbol: str
    tag: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry and what became of it; quantities in base units, money in quote currency.

    Attributes:
        source: `agent:<agent>/<strategy>/<symbol>/<tag>/<moment>`; the order's id is derived from it.
        request: The entry order; its protection is that of the first moment.
        decided_at: Close of the bar that it was decided on.
        valid_until: When a waiting entry lapses; None for never.
        max_bars: Bars that the position may last; 0 for no end.
        send_by: After this the entry is not sent any more.
        attempt: Which order for it this is: an order that surely never left may be followed by another.
        trail: Share of the best price at which its stop follows; None for a stop that stands.
        is_trailing: Whether the desk was told so.
        stop, target: Protection wanted now; `applied_stop` and `applied_target` what was last put in place.
        cancel_reason: Why a waiting entry is to be taken back; empty while it may wait.
        exit_reason: Why what is held is to be closed; empty while it may stand.
        exits: Closing orders written down so far; the last one is for `exit_quantity`.
        is_entry_final: Whether the entry can fill no further.
        entered_at: Of the first fill.
        filled: Of the entry's order; what was kept of it is `entered_quantity`, when the fee was taken in kind.
        fees: Of all fills.
        last_exit: What closed the last part: `stop`, `target`, `exit` (by order), `outside`; empty before.
    """

    source: str
    agent: str
    strategy: str
    tag: str
    timeframe: Timeframe
    request: OrderRequest
    decided_at: datetime
    valid_until: datetime | None = None
    max_bars: int = 0
    send_by: datetime | None = None
    attempt: int = 1
    trail: Decimal | None = None
    is_trailing: bool = False
    state: LegState = LegState.WANTED
    stop: Decimal | None = None
    target: Decimal | None = None
    applied_stop: Decimal | None = None
    applied_target: Decimal | None = None
    cancel_reason: str = ""
    exit_reason: str = ""
    exits: int = 0
    exit_quantity: Decimal = ZERO
    is_entry_final: bool = False
    filled: Decimal = ZERO
    entered_quantity: Decimal = ZERO
    entered_notional: Decimal = ZERO
    exited_quantity: Decimal = ZERO
    exited_notional: Decimal = ZERO
    fees: Decimal = ZERO
    entered_at: datetime | None = None
    exited_at: datetime | None = None
    last_exit: str = ""

    @property
    def slot(self) -> Slot:
        """Return where it works."""
        return Slot(self.strategy, self.symbol, self.tag)

    @property
    def symbol(self) -> str:
        """Return what it trades."""
        return self.request.symbol

    @property
    def side(self) -> Side:
        """Return the side of its entry."""
        return self.request.side

    @property
    def order_id(self) -> str:
        """Return the client order id of its entry."""
        return self.request.client_order_id

    @property
    def held(self) -> Decimal:
        """Return what is held of it, at least 0."""
        return self.entered_quantity - self.exited_quantity

    @property
    def entry_price(self) -> Decimal | None:
        """Return the mean price of what filled, None before."""
        return self.entered_notional / self.entered_quantity if self.entered_quantity else None

    @property
    def is_waiting(self) -> bool:
        """Return whether its entry may still fill."""
        return not self.state.is_final and not self.is_entry_final and not self.cancel_reason

    @property
    def entry_source(self) -> str:
        """Return the source of its entry order."""
        return self.source if self.attempt == 1 else f"{self.source}~{self.attempt}"

    @property
    def exit_source(self) -> str:
        """Return the source of its last closing order."""
        return f"{self.source}/exit/{self.exits}"


def leg_source(agent: str, slot: Slot, closed_at: datetime) -> str:
    """Return the one source of what an agent decides for a slot at a moment.

    >>> leg_source("atlas", Slot("grid", "BTC/USDT", "2"), datetime(2026, 1, 5, 12, tzinfo=UTC))
    'agent:atlas/grid/BTC/USDT/2/20260105T120000Z'
    """
    return f"agent:{agent}/{slot.strategy}/{slot.symbol}/{slot.tag}/{closed_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What one strategy wants of one slot at a moment, with what it saw.

    Attributes:
        bars: The closed bars that it decided on.
        standing: What stood in the slot, None when nothing did.
    """

    strategy: str
    timeframe: Timeframe
    intent: Intent
    bars: Bars
    standing: Standing | None

    @property
    def slot(self) -> Slot:
        """Return which slot it is about."""
        return Slot(self.strategy, self.intent.symbol, self.intent.tag)


@dataclass(frozen=True, slots=True)
class BookView:
    """An agent's book at the closes of a moment, as the sizing sees it.

    Attributes:
        positions: Signed quantities by symbol.
        closes: Last closes of the symbols held and wished for.
    """

    cash: Decimal
    positions: Mapping[str, Decimal]
    closes: Mapping[str, Decimal]

    @property
    def equity(self) -> Decimal:
        """Return cash and positions at the closes."""
        return self.cash + sum((held * self.closes[symbol] for symbol, held in self.positions.items()), ZERO)
