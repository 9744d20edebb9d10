"""Hand-written stand-ins: a market whose prices a test sets, and a venue that fails as real ones do."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, event

from agents.execution.desk import client_order_id
from agents.execution.values import OrderIntent
from agents.risk.values import RiskLimits
from engine.data.database import connect_database, metadata
from engine.domain.errors import DataUnavailable, OrderUncertain, VenueUnavailable
from engine.domain.market import Bars, Instrument, Quote
from engine.domain.orders import Fill, OrderRequest, OrderType, Side, VenueOrder
from engine.domain.protocols import Venue
from engine.domain.symbols import Timeframe

D = Decimal
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
CASH = D(100000)
WIDE = RiskLimits(position_ratio=D(2), gross_exposure_ratio=D(5), order_notional=D(10**7), orders_per_minute=10**6)


def instrument(symbol: str, base: str, quote: str, *, shortable: bool) -> Instrument:
    fees = (D("0.001"), D("0.0005"))
    return Instrument(symbol, base, quote, D("0.1"), D("0.01"), D("0.01"), D(10), *fees, is_shortable=shortable)


INSTRUMENTS = {
    "BTC/USDT": instrument("BTC/USDT", "BTC", "USDT", shortable=False),
    "XAUUSD": instrument("XAUUSD", "XAU", "USD", shortable=True),
}


class FakeMarket:
    """Quotes and minute bars as a test sets them; the clock moves only when told."""

    name = "fake"
    is_simulated = True

    def __init__(self, now: datetime = START) -> None:
        self.present = now
        self.mids = {"BTC/USDT": D(100), "XAUUSD": D(50)}
        self.closed: set[str] = set()
        self.silent: set[str] = set()
        self.rows: dict[str, list[tuple[float, ...]]] = {symbol: [] for symbol in INSTRUMENTS}

    def now(self) -> datetime:
        return self.present

    def instruments(self) -> Mapping[str, Instrument]:
        return INSTRUMENTS

    def quote(self, symbol: str) -> Quote:
        if symbol in self.silent or symbol not in self.mids:
            raise DataUnavailable(symbol)
        mid = self.mids[symbol]
        return Quote(symbol, mid - D("0.1"), mid + D("0.1"), self.present, symbol not in self.closed)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        return self.bars_between(symbol, datetime(1970, 1, 1, tzinfo=UTC), self.present)[-limit:]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        if symbol in self.silent:
            raise DataUnavailable(symbol)
        last = min(end.timestamp(), self.present.timestamp() - 59)
        rows = [row for row in self.rows[symbol] if start.timestamp() <= row[0] < last]
        columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
        return Bars(symbol, "1m", columns[0].astype(np.int64), *columns[1:])

    def minute(self, open_: str, high: str, low: str, close: str, volume: str = "0", symbol: str = "BTC/USDT") -> None:
        """Close one more minute with these prices; the quote follows its close."""
        opened = self.present.replace(second=0, microsecond=0)
        if self.present != opened:
            opened += timedelta(minutes=1)
        prices = (float(each) for each in (open_, high, low, close, volume))
        self.rows[symbol].append((opened.timestamp(), *prices))
        self.present = opened + timedelta(minutes=1)
        self.mids[symbol] = D(close)


class FaultyVenue:
    """Hands calls on to a venue, and fails before or after them by the numbers of a seeded generator."""

    def __init__(self, venue: Venue, seed: int, fault_ratio: float = 0.4) -> None:
        self._venue = venue
        self._random = random.Random(seed)
        self._ratio = fault_ratio
        self.name = "paper"
        self.submits: list[str] = []
        self.is_healthy = False

    def _fails(self) -> bool:
        return not self.is_healthy and self._random.random() < self._ratio

    async def submit(self, order: OrderRequest) -> VenueOrder:
        self.submits.append(order.client_order_id)
        await asyncio.sleep(0)
        if self._fails():
            raise self._random.choice([OrderUncertain, VenueUnavailable, TimeoutError])("before")
        answer = await self._venue.submit(order)
        await asyncio.sleep(0)
        if self._fails():
            raise self._random.choice([OrderUncertain, TimeoutError])("after")
        return answer

    async def cancel(self, client_order_id: str) -> VenueOrder:
        if self._fails():
            raise VenueUnavailable("cancel")
        return await self._venue.cancel(client_order_id)

    async def protect(
        self, client_order_id: str, *, stop_loss: Decimal | None, take_profit: Decimal | None
    ) -> Sequence[VenueOrder]:
        await asyncio.sleep(0)
        if self._fails():
            raise self._random.choice([OrderUncertain, VenueUnavailable])("before")
        answer = await self._venue.protect(client_order_id, stop_loss=stop_loss, take_profit=take_profit)
        if self._fails():
            raise OrderUncertain("after")
        return answer

    async def fetch_order(self, client_order_id: str) -> VenueOrder | None:
        await asyncio.sleep(0)
        if self._fails():
            raise VenueUnavailable("fetch_order")
        return await self._venue.fetch_order(client_order_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        if self._fails():
            raise VenueUnavailable("open_orders")
        return await self._venue.open_orders()

    async def fills(self, after: int) -> Sequence[tuple[int, Fill]]:
        await asyncio.sleep(0)
        if self._fails():
            raise VenueUnavailable("fills")
        rows = await self._venue.fills(max(after - 2, 0) if self._random.random() < 0.5 else after)
        return [*rows, *rows[-1:]]

    async def balances(self) -> Mapping[str, Decimal]:
        if self._fails():
            raise VenueUnavailable("balances")
        return await self._venue.balances()


def open_database(path: Path) -> Engine:
    """Open a file that survives the death of its process, though not of the machine: fast, and enough for tests."""
    database = connect_database(f"sqlite:///{path}")
    event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    metadata.create_all(database)
    return database


def request(
    side: str = "buy",
    quantity: str = "1",
    *,
    symbol: str = "BTC/USDT",
    kind: str = "market",
    price: str | None = None,
    stop_loss: str | None = None,
    take_profit: str | None = None,
    reduce: bool = False,
    source: str = "ticket:1",
) -> OrderRequest:
    limit, stop, target = (None if each is None else D(each) for each in (price, stop_loss, take_profit))
    order = OrderRequest(client_order_id(source), symbol, Side(side), OrderType(kind), D(quantity), limit, stop, target)
    return replace(order, is_reduce_only=reduce)


def intent(order: OrderRequest, source: str = "ticket:1") -> OrderIntent:
    return OrderIntent("ana", source, order)
