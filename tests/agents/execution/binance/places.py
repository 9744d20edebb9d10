"""Two venues behind one face: the paper venue and Binance, on a market of the same rules, prices and fees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, Protocol

import pytest

from agents.execution.paper import PaperVenue
from engine.domain.orders import Fill, OrderRequest, OrderStatus, VenueOrder
from engine.domain.protocols import Venue
from engine.sim.matching import MatchingSettings
from tests.agents.execution.binance.simulation import Bench, memory_database, run
from tests.agents.execution.fakes import FakeMarket
from tests.binance.rules import SymbolRules
from tests.binance.scripted import Liquidity

D = Decimal
CASH = D(100_000)
BTC = SymbolRules("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.01"), D("0.01"), min_notional=D(10))
ETH = SymbolRules("ETHUSDT", "ETH", "USDT", D("0.1"), D("0.01"), D("0.01"), min_notional=D(10))
BNB = SymbolRules("BNBUSDT", "BNB", "USDT", D("0.1"), D("0.01"), D("0.01"), min_notional=D(10))
DEEP = Liquidity(levels=3, spread_ticks=1, step_ticks=1, notional=D(10**7))


class Place(Protocol):
    """A venue with a market that a test moves."""

    @property
    def venue(self) -> Venue:
        """Return the venue as it is now."""
        ...

    async def goes(self, *prices: str) -> None:
        """Take the market through prices, one after the other, and let the venue look."""
        ...

    async def trades(self, price: str, quantity: str) -> None:
        """Let a quantity of what rests at a price be filled."""
        ...

    async def restart(self) -> None:
        """Kill the venue and open it again on what it stored."""
        ...

    async def advance(self) -> int:
        """Let the venue look."""
        ...


class PaperPlace:
    """The paper venue on a scripted market."""

    def __init__(self) -> None:
        self.market = FakeMarket()
        self.database = memory_database(everything=True)
        self.venue: Venue = self._open()

    def _open(self) -> PaperVenue:
        settings = MatchingSettings(slippage_bps=D(0), participation_ratio=D("0.5"))
        return PaperVenue(self.database, self.market, starting_cash=CASH, settings=settings)

    async def goes(self, *prices: str) -> None:
        for price in prices:
            before = str(self.market.mids["BTC/USDT"])
            low, high = sorted((before, price), key=float)
            self.market.minute(before, high, low, price)
            await self.advance()

    async def trades(self, price: str, quantity: str) -> None:
        reached = str(D(price) - D("0.1"))  # a bar's prices are mids, a buy meets the ask
        self.market.minute(price, price, reached, price, volume=str(D(quantity) * 2))
        await self.advance()
        self.market.minute(price, price, price, price)

    async def restart(self) -> None:
        self.market.present += timedelta(seconds=1)
        self.venue = self._open()

    async def advance(self) -> int:
        assert isinstance(self.venue, PaperVenue)
        return await self.venue.advance()


class BinancePlace:
    """Binance's adapter on a local exchange, in simulated time."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("prices", {"BTCUSDT": 100, "ETHUSDT": 50, "BNBUSDT": 600})
        options.setdefault("balances", {"USDT": CASH})
        self.bench = Bench(symbols=(BTC, ETH, BNB), liquidity=DEEP, **options)
        self.bench.server.account.fee_asset = "quote"
        self.bench.server.account.maker_fee = D("0.0005")

    @property
    def venue(self) -> Any:
        return self.bench.venue

    async def goes(self, *prices: str) -> None:
        for price in prices:
            self.bench.move(price)
            await asyncio.sleep(1)
            await self.advance()

    async def trades(self, price: str, quantity: str) -> None:
        self.bench.move(price, volume=quantity)
        await asyncio.sleep(1)
        await self.advance()

    async def restart(self) -> None:
        await self.bench.restart()

    async def advance(self) -> int:
        return await self.bench.venue.advance()


async def fills(place: Place, after: int = 0) -> Sequence[Fill]:
    return [fill for _, fill in await place.venue.fills(after)]


async def order(place: Place, request: OrderRequest, suffix: str = "") -> VenueOrder:
    found = await place.venue.fetch_order(request.client_order_id + suffix)
    assert found is not None
    return found


async def statuses(place: Place) -> dict[str, OrderStatus]:
    """Return the status of every open order by the end of its id (empty for an entry)."""
    return {each.request.client_order_id[29:]: each.status for each in await place.venue.open_orders()}


def on_both(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a case on either venue, in simulated time."""

    def work(venue: str, **others: Any) -> None:
        async def on_binance() -> None:
            binance = BinancePlace()
            async with binance.bench:
                await test(place=binance, **others)

        async def on_paper() -> None:
            await test(place=PaperPlace(), **others)

        run(on_paper() if venue == "paper" else on_binance())

    dressed = _dressed(work, test, "venue")
    marked: Callable[..., None] = pytest.mark.parametrize("venue", ["paper", "binance"])(dressed)
    return marked


def on_binance(**options: Any) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Run a case on Binance alone, in simulated time; options go to the local exchange."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        def work(**others: Any) -> None:
            async def there() -> None:
                place = BinancePlace(**options)
                async with place.bench:
                    await test(place=place, **others)

            run(there())

        return _dressed(work, test)

    return decorate


def _dressed(
    work: Callable[..., None], test: Callable[..., Coroutine[Any, Any, None]], *also: str
) -> Callable[..., None]:
    """Give a function the name, the marks and the arguments of a test, without its `place`."""
    wraps(test)(work)
    kept = [each for each in signature(test).parameters.values() if each.name != "place"]
    extra = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in also]
    work.__signature__ = Signature([*extra, *kept])  # type: ignore[attr-defined]  # pytest reads it
    del work.__wrapped__  # type: ignore[attr-defined]  # else pytest sees a coroutine
    return work
