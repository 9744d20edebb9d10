"""What the desk takes and gives back; plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from engine.domain.orders import Fill, OrderRequest, VenueOrder


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
    """

    owner: str
    source: str
    request: OrderRequest
    quoted_price: Decimal | None = None


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
