"""The edges: what a market, a venue and a notifier must offer. Nothing to inherit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from engine.domain.market import Bars, Instrument, Quote
from engine.domain.orders import Fill, OrderRequest, VenueOrder
from engine.domain.symbols import Timeframe


class Clock(Protocol):
    """A source of the present."""

    def now(self) -> datetime:
        """Return the present, aware UTC."""
        ...


class MarketData(Protocol):
    """Prices of a market, live, replayed or simulated; point in time.

    Nothing it returns depends on anything after its clock. Empty means "there is none"; a failure raises
    `DataUnavailable`. Reads are fast and synchronous (local data); a networked market keeps a local copy.
    """

    name: str
    """`simulated`, `replay` or the exchange's name."""
    is_simulated: bool
    """Whether prices are invented."""

    def now(self) -> datetime:
        """Return the market's present, aware UTC (a replay has its own)."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """Return what can be traded, by symbol."""
        ...

    def quote(self, symbol: str) -> Quote:
        """Return the present best prices.

        Raises:
            DataUnavailable: The symbol is unknown or has no price.
        """
        ...

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        """Return the last `limit` closed bars (fewer when history is shorter), oldest first.

        Raises:
            DataUnavailable: The symbol is unknown, or the timeframe is finer than the data.
        """
        ...

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        """Return the finest closed bars with `start <= open time < end` (what a paper venue matches on)."""
        ...


class Venue(Protocol):
    """Where orders go. Every id is ours; submitting one id twice never makes two orders."""

    name: str
    """`paper`, `binance-testnet` or `binance`."""

    async def submit(self, order: OrderRequest) -> VenueOrder:
        """Hand over an order and return its state, possibly already filled.

        An id that the venue already knows returns that order unchanged.

        Raises:
            OrderRejected: The venue refused it; it does not stand.
            OrderUncertain: No answer; it may stand.
            VenueUnavailable: It surely was not handed over.
        """
        ...

    async def cancel(self, client_order_id: str) -> VenueOrder:
        """Cancel what is left of an order (and its waiting children); harmless when it is final.

        Raises:
            OrderRejected: No such order.
            VenueUnavailable: No answer.
        """
        ...

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        """Replace the protection of what an order filled; None takes that part away.

        The new orders are reduce-only children of that order, with the ids `<client_order_id>-sl` and `-tp`, from the
        second replacement on `-sl2`, `-tp2` and so on. Whatever fails half way, what is held never stands without the
        old or the new stop. Prices that stand already change nothing.

        Returns:
            The children that stand now, as the venue confirmed them.

        Raises:
            OrderRejected: No such order, nothing of it is held, or a price on the wrong side of the market; what stood
                before still stands.
            OrderUncertain: No answer; look the children up.
            VenueUnavailable: Nothing was handed over.
        """
        ...

    async def fetch_order(self, client_order_id: str) -> VenueOrder | None:
        """Return an order, or None when the venue surely does not have it.

        Raises:
            VenueUnavailable: No answer.
        """
        ...

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return the orders that are not final, waiting children included, oldest first."""
        ...

    async def fills(self, after: int) -> Sequence[tuple[int, Fill]]:
        """Return fills with a sequence number above `after`, in order; sequence numbers never repeat."""
        ...

    async def balances(self) -> Mapping[str, Decimal]:
        """Return free cash and holdings by asset (`USD`, `BTC`, `XAU`)."""
        ...


class Notifier(Protocol):
    """How lower rooms reach people; surfaces implement it."""

    def notify(self, owner: str, kind: str, params: Mapping[str, str]) -> None:
        """Store a message for the owner; it is shown on every surface where they are, once."""
        ...
