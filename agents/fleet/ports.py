"""What an agent needs from others, as small protocols: the desk that trades, signals, permission, the supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from agents.execution.values import Execution, OrderIntent, Performance, SettledFill
from agents.risk.states import StateChange
from agents.risk.trailing import TrailingStop
from agents.risk.values import AccountState, RiskLimits
from engine.domain.orders import VenueOrder
from engine.domain.signals import Signal
from engine.ledger import EquityPoint

Period = Literal["today", "7d", "30d", "mtd", "ytd", "all"]


class SignalSource(Protocol):
    """The ML engine's signals. Called in a thread: a first call may take long."""

    def signal(self, symbol: str, timeframe: str) -> Signal:
        """Return the signal of the last closed bar.

        Raises:
            DataUnavailable: There is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry may go; `mandate_id` names what allows it, empty where nothing must (paper)."""

    mandate_id: str = ""


@dataclass(frozen=True, slots=True)
class AskTicket:
    """An entry needs the owner's own confirmation; `reason` is a stable code."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry may not go; `reason` is a stable code."""

    reason: str


Answer = Allowed | AskTicket | Refused


class Permission(Protocol):
    """Whether an agent may open something unattended; asked before every entry, never for an exit."""

    async def may_trade(self, agent: str, notional: Decimal, symbol: str, at: datetime, *, source: str) -> Answer:
        """Return the answer; asking again for one source counts its notional once."""
        ...


class AlwaysAllowed:
    """Permission on a venue where nothing is at stake."""

    async def may_trade(self, agent: str, notional: Decimal, symbol: str, at: datetime, *, source: str) -> Answer:
        """Allow it."""
        return Allowed()


class Pulse(Protocol):
    """What a worker holds of its supervisor."""

    def beat(self) -> None:
        """Give a sign of life."""
        ...

    def require_term(self) -> None:
        """Raise unless this process may still act."""
        ...


class NoPulse:
    """A pulse for an agent that runs without a supervisor."""

    def beat(self) -> None:
        """Do nothing."""

    def require_term(self) -> None:
        """Do nothing: nobody else acts."""


class TradingDesk(Protocol):
    """What an agent asks of the desk; every call names the agent's own book."""

    @property
    def venue_name(self) -> str:
        """Return the venue's name."""
        ...

    async def execute(self, intent: OrderIntent) -> Execution:
        """Send an order at most once and return what became of it."""
        ...

    async def abandon(self, intent: OrderIntent) -> Execution:
        """Make sure that an intent is not sent from now on, and return what became of it."""
        ...

    async def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent as last settled; None for one that was never stored."""
        ...

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order."""
        ...

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled."""
        ...

    async def trail(
        self, client_order_id: str, *, distance: Decimal, activation: Decimal | None = None
    ) -> TrailingStop:
        """Let the stop of what an order filled follow the price."""
        ...

    async def account(self, book: str | None = None) -> AccountState:
        """Return a book now, marked to market."""
        ...

    async def open_orders(self, book: str | None = None) -> tuple[VenueOrder, ...]:
        """Return the orders of a book that are not final."""
        ...

    async def trades(
        self, period: Period = "all", *, symbol: str | None = None, limit: int = 100, book: str | None = None
    ) -> tuple[SettledFill, ...]:
        """Return settled fills, newest first."""
        ...

    async def performance(self, period: Period = "all", book: str | None = None) -> Performance:
        """Return profit and loss of a book within a period."""
        ...

    async def equity_curve(self, times: Sequence[datetime], book: str | None = None) -> list[EquityPoint]:
        """Return equity, deposits and profit at some past times."""
        ...

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        """Move cash between books, once for a source; return whether it stands moved."""
        ...

    async def set_book_limits(self, book: str, limits: RiskLimits) -> None:
        """Say what the gate enforces for a book."""
        ...

    def state(self, book: str | None = None) -> StateChange:
        """Return the trading state of a book, or of the account."""
        ...

    async def halt(self, book: str | None, by: str, reason: str) -> StateChange:
        """Stop a book: nothing more is sent, what rests is cancelled, what is held is closed."""
        ...

    async def lift(self, book: str | None, by: str) -> StateChange:
        """Let a book trade again."""
        ...

    async def watch(self) -> tuple[StateChange, ...]:
        """Go on with halts that are not done, and halt what has fallen to its limit."""
        ...
