"""What the desk takes and gives back; plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from engine.domain.orders import Fill, OrderRequest, Position, VenueOrder
from engine.ledger import MAIN_BOOK


class IntentState(StrEnum):
    """Life of an order intent in our own database."""

    STORED = "stored"
    """Written down, not handed to the venue yet."""
    SENT = "sent"
    """Handed over; the outcome may be unknown."""
    WORKING = "working"
    """Confirmed by the venue, not final."""
    DONE = "done"
    """Filled as far as it will ever be."""
    REJECTED = "rejected"
    """Refused by the venue."""
    DENIED = "denied"
    """Refused by our own risk gate."""
    UNSENT = "unsent"
    """Surely never reached the venue, and never will."""


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """A decision to send one order, by whom and why.

    Attributes:
        owner: Login of the person (or the agent's name) on whose behalf.
        source: What allowed it: `ticket:<id>` or `mandate:<id>`; the client order id is derived from it.
        quoted_price: The price that the person saw, for the slippage report.
        book: Whose money it is: `main` is the owner's, each agent has one of its own name.
    """

    owner: str
    source: str
    request: OrderRequest
    quoted_price: Decimal | None = None
    book: str = MAIN_BOOK


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of an intent.

    Attributes:
        order: As the venue last told it; None when it never got there.
        fills: Settled ones, oldest first.
        reasons: Why it was denied, rejected or not sent; stable codes.
    """

    intent: OrderIntent
    state: IntentState
    order: VenueOrder | None
    fills: tuple[Fill, ...]
    reasons: tuple[str, ...]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One asset of which the venue and our ledger hold different quantities (`USD` is cash, USDT counted 1:1)."""

    asset: str
    venue_quantity: Decimal
    ledger_quantity: Decimal


@dataclass(frozen=True, slots=True)
class PositionStatus:
    """One open position at the present mark, with the protection that stands at the venue.

    Attributes:
        mark: Mid price now.
        notional: Absolute quantity at the mark, in account currency.
        unrealised: Profit of closing at the mark, fees apart; `unrealised_pct` of what the position cost.
        stop_loss, take_profit: Prices of the resting protective orders; the nearest ones when there are several.
    """

    position: Position
    mark: Decimal
    notional: Decimal
    unrealised: Decimal
    unrealised_pct: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None


@dataclass(frozen=True, slots=True)
class SettledFill:
    """A fill in our journal.

    Attributes:
        number: Ours, counted from 1 in settling order; what people call the trade's id.
        realised: Profit that this fill closed, in account currency, fees apart.
        owner: On whose behalf the order was sent; empty for a fill of an order that is not ours.
    """

    number: int
    fill: Fill
    realised: Decimal
    owner: str
    book: str = MAIN_BOOK


@dataclass(frozen=True, slots=True)
class Performance:
    """What the account did within a period; money in account currency.

    Attributes:
        since: Start of the period; the first deposit when the period reaches further back.
        start_equity: Equity at `since`, that first deposit included.
        deposits: Paid in after `since`; of a book, transfers count too.
        realised, fees: Of the fills within the period; `realised` fees apart.
        pnl: `equity − start_equity − deposits`; `pnl_pct` of `start_equity`.
        funding: Received for holding within the period, less paid.
        unrealised: Of what is held now, fees apart.
    """

    period: str
    since: datetime
    start_equity: Decimal
    equity: Decimal
    deposits: Decimal
    realised: Decimal
    fees: Decimal
    pnl: Decimal
    pnl_pct: Decimal
    funding: Decimal = Decimal(0)
    unrealised: Decimal = Decimal(0)
