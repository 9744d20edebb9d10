"""What differs between the exchange's markets: endpoints, fields, and what protection is made of.

A dialect turns legs into calls and answers into `VenueState`; it decides nothing. An answer that lacks what a full one
has is a `Failure` of unknown meaning, never an order without an id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, TypeVar

from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.rules import Rules
from agents.execution.binance.values import Leg, VenueFunding, VenueState, VenueTrade
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderStatus

STATUSES = {
    "NEW": OrderStatus.OPEN,
    "PENDING_NEW": OrderStatus.OPEN,
    "PENDING_CANCEL": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}
TRADES_A_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = Decimal(0)
Answer = TypeVar("Answer")


class Dialect(Protocol):
    """One of the exchange's markets."""

    is_futures: bool
    time_endpoint: str
    pairs: bool
    """Whether stop and target are placed as one list of which a fill cancels the other."""

    def info(self, symbol_id: str = "") -> Call:
        """Return the question for the exchange information, of one symbol where the exchange can tell it alone."""
        ...

    def place(self, leg: Leg, rules: Rules, *, is_reduce_only: bool) -> Call:
        """Return the request for one order."""
        ...

    def place_pair(self, stop: Leg, target: Leg, rules: Rules) -> Call:
        """Return the request for a stop and a target of which one fill cancels the other."""
        ...

    def read_placed(self, answer: Any, legs: Sequence[Leg]) -> list[VenueState]:
        """Return what an answer to a placement tells of its legs.

        Raises:
            Failure: It is no full answer.
        """
        ...

    def cancel(self, leg: Leg, rules: Rules) -> Call:
        """Return the request that cancels a leg, and its partner if they are a list."""
        ...

    async def fetch(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> VenueState:
        """Return a leg as it stands.

        Raises:
            Failure: The exchange does not have it (`NOT_FOUND`), or refuses the question.
            VenueUnavailable: No answer.
        """
        ...

    async def open_states(self, gateway: Gateway, rules: Rules, urgency: Urgency) -> dict[str, VenueState]:
        """Return what rests in a symbol, by client id."""
        ...

    async def trades(self, gateway: Gateway, leg: Leg, rules: Rules, urgency: Urgency) -> list[VenueTrade]:
        """Return every trade of a leg, oldest first."""
        ...

    async def all_open_ids(self, gateway: Gateway) -> list[tuple[str, str]]:
        """Return the exchange's symbol and the client id of everything that rests on the account."""
        ...

    async def balances(self, gateway: Gateway) -> dict[str, Decimal]:
        """Return whole holdings by asset, without those that are nothing; cash of futures as if paid for in full.

        Raises:
            VenueUnavailable: No answer, or one without balances.
        """
        ...

    async def funding(self, gateway: Gateway, since: datetime) -> list[VenueFunding]:
        """Return what was paid for holding at a time or after it, oldest first.

        Raises:
            VenueUnavailable: No answer.
        """
        ...

    async def bid_ask(self, gateway: Gateway, symbol_id: str, urgency: Urgency) -> tuple[Decimal, Decimal]:
        """Return the best prices of a symbol.

        Raises:
            VenueUnavailable: No answer.
        """
        ...


def number(row: Any, *names: str) -> Decimal:
    """Return the first of some fields as a decimal.

    Raises:
        Failure: None is there, or it is no number.
    """
    for name in names:
        if isinstance(row, dict) and row.get(name) not in (None, ""):
            try:
                value = Decimal(str(row[name]))
            except InvalidOperation as error:
                raise Failure(0, 0, f"{name} is no number") from error
            if value.is_finite():
                return value
    raise Failure(0, 0, f"an answer without {names[0]}")


def text(row: Any, name: str) -> str:
    """Return a field as text.

    Raises:
        Failure: It is not there.
    """
    if not isinstance(row, dict) or row.get(name) in (None, ""):
        raise Failure(0, 0, f"an answer without {name}")
    return str(row[name])


def moment(row: Mapping[str, Any], *names: str) -> datetime:
    """Return the first of some fields in milliseconds as a time."""
    return _EPOCH + timedelta(milliseconds=int(number(row, *names)))


def status(row: Mapping[str, Any], name: str = "status") -> OrderStatus:
    """Return an order's status.

    Raises:
        Failure: It is not there, or none that we know.
    """
    told = text(row, name)
    if told not in STATUSES:
        raise Failure(0, 0, f"unknown status {told[:32]}")
    return STATUSES[told]


def rows(answer: Any) -> list[Any]:
    """Return an answer that must be a list.

    Raises:
        Failure: It is none.
    """
    if not isinstance(answer, list):
        raise Failure(0, 0, "an answer that is no list")
    return answer


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and without needless zeros."""
    return format(value.normalize(), "f") if value else "0"


def half(read: Callable[[], Answer]) -> Answer:
    """Read the answer to a question; a half one is no answer.

    Raises:
        VenueUnavailable: It lacks what a full answer has.
    """
    try:
        return read()
    except Failure as failure:
        raise VenueUnavailable(failure.detail) from failure
