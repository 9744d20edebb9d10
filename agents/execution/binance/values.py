"""What the parts of the adapter hand to each other; plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from engine.domain.orders import OrderRequest, OrderStatus, OrderType, Side


class Phase(StrEnum):
    """What is known of a request for an order."""

    HANDED = "handed"
    """Sent, or about to be; it may stand or not."""
    KNOWN = "known"
    """The venue has told of it."""
    REFUSED = "refused"
    """The venue refused it."""
    UNSENT = "unsent"
    """It surely did not reach the venue."""
    ABSENT = "absent"
    """The venue does not have it and no longer takes it."""


class Role(StrEnum):
    """What a leg is for."""

    ENTRY = "entry"
    """The order itself."""
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"
    """A market order that closes what could not be protected."""


class Incident(StrEnum):
    """Stable codes of what people must hear of."""

    CLOSED_UNPROTECTED = "closed_unprotected"
    """Protection could not be confirmed in time; what had filled was closed at the market."""
    STOP_PASSED = "stop_passed"
    """The market had passed the stop before it could be placed; closed at the market."""
    TARGET_PASSED = "target_passed"
    """The market had passed the target before it could be placed; closed at the market."""
    PROTECTION_LATE = "protection_late"
    """Protection was confirmed, but later than the limit after the fill."""
    PROTECTION_MISSING = "protection_missing"
    """Protection that should stand did not; it was placed again."""
    BALANCE_SHORT = "balance_short"
    """Less is there than our fills say should be; only what is there is protected."""
    UNKNOWN_ORDER = "unknown_order"
    """An open order on the account that is not ours."""
    KEY_REFUSED = "key_refused"
    """The venue refuses the key or the address it is used from."""
    BANNED = "banned"
    """The venue told us to stay away for a while."""
    ORDER_GONE = "order_gone"
    """An order that the venue had told of is no longer known there."""


@dataclass(frozen=True, slots=True)
class Told:
    """One incident.

    Attributes:
        number: Rises within the adapter's database.
        detail: Figures, as text.
    """

    number: int
    code: Incident
    client_order_id: str
    symbol: str
    at: datetime
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leg:
    """What stands for an order at the venue.

    Attributes:
        leg_id: The client id that the venue knows.
        client_order_id: Our order.
        entry_id: The order whose fills it protects; its own order's id for an entry.
        filled_quantity, filled_notional: As the venue told.
        settled_quantity: Of which the trades are stored.
        dies_at: After it the venue refuses a request that has not arrived.
        misses: How often in a row a known leg was not found.
        is_confirmed: Whether it was read back from the venue after it was placed.
    """

    leg_id: str
    number: int
    client_order_id: str
    entry_id: str
    role: Role
    order_type: OrderType
    list_id: str | None
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    phase: Phase
    status: OrderStatus
    reason: str
    exchange_id: str
    filled_quantity: Decimal
    filled_notional: Decimal
    settled_quantity: Decimal
    handed_at: datetime
    dies_at: datetime
    misses: int
    is_confirmed: bool
    updated_at: datetime

    @property
    def is_live(self) -> bool:
        """Return whether it stands at the venue as far as we know."""
        return self.phase is Phase.KNOWN and not self.status.is_final

    @property
    def is_doubtful(self) -> bool:
        """Return whether it may stand or not."""
        return self.phase is Phase.HANDED

    @property
    def is_open(self) -> bool:
        """Return whether something is still to be learnt of it."""
        return self.is_doubtful or self.is_live or self.settled_quantity < self.filled_quantity

    @property
    def left(self) -> Decimal:
        """Return what can still fill."""
        return self.quantity - self.filled_quantity if self.is_live else Decimal(0)


@dataclass(frozen=True, slots=True)
class Tracked:
    """An order of ours as last known.

    Attributes:
        is_current: For a child: its price is the one wanted now.
    """

    request: OrderRequest
    number: int
    status: OrderStatus
    reason: str
    parent_id: str | None
    is_current: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """One trade as the venue tells it; the fee in whatever asset it was taken."""

    trade_id: str
    exchange_id: str
    quantity: Decimal
    price: Decimal
    fee_amount: Decimal
    fee_asset: str
    is_maker: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class VenueState:
    """An order as the venue tells it.

    Attributes:
        leg_id: Client id.
        trades: Those that came with the answer; not always all.
    """

    leg_id: str
    exchange_id: str
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    filled_notional: Decimal
    price: Decimal | None
    at: datetime
    trades: tuple[VenueTrade, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueFunding:
    """What the venue paid (below 0: took) for holding, in the symbol's quote asset.

    Attributes:
        symbol_id: The venue's name of the symbol.
    """

    payment_id: str
    symbol_id: str
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class FeeDetail:
    """What a fill really cost, as the venue took it.

    Attributes:
        fee_amount: In `fee_asset`; it left the balance of that asset.
        fee_price: Quote units for one unit of the asset, by which `Fill.fee` was counted; 1 for the quote asset.
    """

    fill_id: str
    fee_asset: str
    fee_amount: Decimal
    fee_price: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Position:
    """What the trades of one entry brought, and what became of it.

    Attributes:
        received: Base units, less fees that were taken in the base asset.
        closed: What protection and closing orders have given away of it.
        fills: When how much of it came, oldest first.
    """

    received: Decimal
    closed: Decimal
    fills: tuple[tuple[datetime, Decimal], ...]

    @property
    def held(self) -> Decimal:
        """Return what is left."""
        return max(self.received - self.closed, Decimal(0))

    def uncovered_since(self, covered: Decimal) -> datetime | None:
        """Return when the first fill happened that is neither covered nor closed; None when there is none."""
        reach = covered + self.closed
        for at, quantity in self.fills:
            reach -= quantity
            if reach < 0:
                return at
        return None
