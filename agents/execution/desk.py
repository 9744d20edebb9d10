"""The desk: the only code that hands an order to a venue.

An order is sent at most once, whatever crashes: the intent is stored under an id derived from what allowed it,
claimed by one atomic update, and only then submitted. After a doubt the id is looked up at the venue; nothing is
ever sent again. Fills are settled into the ledger exactly once, by the venue's fill id.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Literal

from sqlalchemy import Engine

from agents.execution.values import (
    Discrepancy,
    Execution,
    OrderIntent,
    Performance,
    PositionStatus,
    SettledFill,
)
from agents.risk.values import AccountState, LimitCheck, RiskLimits, RiskReport
from engine.domain.orders import OrderRequest, VenueOrder
from engine.domain.protocols import MarketData, Venue

ACCOUNT_CURRENCY = "USD"
Period = Literal["today", "7d", "30d", "mtd", "ytd", "all"]


def client_order_id(source: str) -> str:
    """Return the one client order id of a source (`ticket:17`, `mandate:3/5`): 29 characters, the same for ever."""
    digest = hashlib.sha256(source.encode()).digest()
    return "tc-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()


class Desk:
    """Sends orders, settles fills, knows the account.

    Reads settle new fills first, so that they are never behind the venue. One desk serves all conversations of a
    process; several processes may share the database.

    Args:
        database: Where intents, journal and ledger live.
        venue: Where orders go.
        market: Prices and the present.
        limits: What the risk gate enforces.
        starting_cash: Deposited into an empty ledger, once in the life of the database.
    """

    def __init__(
        self, database: Engine, venue: Venue, market: MarketData, limits: RiskLimits, *, starting_cash: Decimal
    ) -> None:
        self._database = database
        self._venue = venue
        self._market = market
        self._limits = limits
        self._starting_cash = starting_cash

    @property
    def venue_name(self) -> str:
        """Return the venue's name (`paper`, `binance-testnet`, `binance`)."""
        raise NotImplementedError

    @property
    def market(self) -> MarketData:
        """Return the market whose prices the desk uses."""
        raise NotImplementedError

    async def start(self) -> tuple[Execution, ...]:
        """Deposit the starting cash if the ledger is empty, then `reconcile`. Call once before anything else."""
        raise NotImplementedError

    async def execute(self, intent: OrderIntent) -> Execution:
        """Send an intent's order at most once and return what became of it.

        Safe to repeat and to call at once from anywhere: the same source never sends a second order; a repeat
        returns the present outcome. Does not raise for a refusal or a doubt, it tells by state:
        DENIED (risk gate; `reasons`), REJECTED (venue; `reasons`), UNSENT (surely never reached the venue),
        SENT with reason `uncertain` (not known yet; `reconcile` settles it), WORKING, DONE.
        A cancelled caller does not cancel the sending.

        Raises:
            InvalidRequest: `client_order_id` (the request's id is not the one of its source) or
                `intent_conflict` (the source was used before with other terms).
        """
        raise NotImplementedError

    async def reconcile(self) -> tuple[Execution, ...]:
        """Settle everything that is not final and return it; a second run changes nothing.

        Looks up intents of unknown outcome, settles new fills (of resting orders and protective children too),
        updates order states, marks equity, compares the venue's balances with the ledger. A venue that does not
        answer leaves everything as it was.
        """
        raise NotImplementedError

    async def execution(self, client_order_id: str) -> Execution | None:
        """Return what became of an intent as last settled, without asking the venue; None for an unknown id."""
        raise NotImplementedError

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order (`VenueOrder.request.client_order_id`); harmless when it is final.

        Raises:
            OrderRejected: No such order.
            VenueUnavailable: No answer; it may stand.
        """
        raise NotImplementedError

    async def assess(self, order: OrderRequest) -> RiskReport:
        """Return what the venue's rules and the risk gate say of an order now, without sending it.

        `reasons` may hold codes of the venue's rules (`lot`, `min_notional`, `price_side`, …), of the gate, and
        `unreconciled`. A venue that does not answer gives `no_account`.
        """
        raise NotImplementedError

    async def account(self) -> AccountState:
        """Return the account now, marked to market.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        raise NotImplementedError

    async def limits(self) -> tuple[LimitCheck, ...]:
        """Return every account-wide limit as it stands without a new order (`before` equals `after`)."""
        raise NotImplementedError

    async def positions(self) -> tuple[PositionStatus, ...]:
        """Return open positions with marks and protective prices, by symbol.

        Raises:
            DataUnavailable: A held symbol has no price.
            VenueUnavailable: The venue did not answer.
        """
        raise NotImplementedError

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return orders that are not final, oldest first; protective children (also waiting) carry `parent_id`.

        Raises:
            VenueUnavailable: The venue did not answer.
        """
        raise NotImplementedError

    async def find_order(self, order_id: str) -> VenueOrder | None:
        """Return the open order that a person means: by the venue's short id or by client order id."""
        raise NotImplementedError

    async def trades(
        self, period: Period = "all", *, symbol: str | None = None, limit: int = 100
    ) -> tuple[SettledFill, ...]:
        """Return settled fills within a period, newest first."""
        raise NotImplementedError

    async def performance(self, period: Period = "all") -> Performance:
        """Return profit and loss within a period.

        Raises:
            DataUnavailable: A position held now or at the period's start has no price.
            VenueUnavailable: The venue did not answer.
        """
        raise NotImplementedError

    async def equity_at(self, at: datetime) -> Decimal:
        """Return equity at a past time: the journal up to then at the last closed prices before it.

        Raises:
            DataUnavailable: A position held then has no price.
        """
        raise NotImplementedError

    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """Return the differences between venue and ledger that the last `reconcile` found."""
        raise NotImplementedError
