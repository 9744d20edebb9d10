"""Orders, fills and positions. Money and quantities are `Decimal`, times aware UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """Direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for buy, -1 for sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """How an order meets the market."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    """A stop-market order: becomes a market order once the price reaches it."""


class OrderStatus(StrEnum):
    """State of an order at the venue."""

    WAITING = "waiting"
    """A protective child whose parent has not filled yet."""
    OPEN = "open"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Return whether nothing more can happen to the order."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order on its way to a venue; exact, already on the venue's grid.

    Attributes:
        client_order_id: Ours, unique for ever, derived from the intent (at most 36 characters of `[A-Za-z0-9_-]`).
        quantity: Base units, above 0.
        price: Limit or stop price in quote currency; None for a market order.
        stop_loss, take_profit: Prices of protection that the venue attaches once the order fills: two reduce-only
            children of which one fill cancels the other, with ids `<client_order_id>-sl` and `-tp`.
        is_reduce_only: Never opens or turns a position.
        takes: For an order that closes: from which entries it takes how much (client order id, base units), in this
            order; their protection shrinks by what fills. What is left of the quantity comes from what has no
            protection. Empty: the venue chooses, what has no protection first, then the oldest entry.
    """

    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    is_reduce_only: bool = False
    takes: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Attributes:
        fill_id: The venue's, unique within the venue.
        fee: Worth of the fee in quote currency, at least 0 (a rebate would be negative).
        is_maker: Whether the order rested before it filled.
        fee_asset: What the venue took the fee in (`BTC` of a spot buy, `BNB`); empty for quote currency.
        fee_quantity: Units of `fee_asset` that left its balance; 0 when the fee was taken in quote currency.
    """

    fill_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    is_maker: bool
    at: datetime
    fee_asset: str = ""
    fee_quantity: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What a venue paid (below 0: took) for holding a symbol over a funding time.

    Attributes:
        payment_id: The venue's, unique within the venue.
        amount: In quote currency, for the whole net position of the account.
    """

    payment_id: str
    symbol: str
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it.

    Attributes:
        venue_order_id: The venue's short id, shown to people.
        parent_id: Client order id of the order that this one protects, or None.
        filled_quantity: Base units filled so far.
        average_price: Mean fill price, None before the first fill.
        reason: Why it was rejected or cancelled, in a stable code; empty otherwise.
    """

    request: OrderRequest
    venue_order_id: str
    status: OrderStatus
    filled_quantity: Decimal
    average_price: Decimal | None
    created_at: datetime
    updated_at: datetime
    parent_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A signed holding in one symbol.

    Attributes:
        quantity: Base units; below 0 when short.
        average_price: Mean entry price of what is held (fees apart).
        realised: Profit of what was closed, in quote currency, fees apart.
        fees: Fees paid in this symbol, in quote currency.
    """

    symbol: str
    quantity: Decimal
    average_price: Decimal
    realised: Decimal
    fees: Decimal
