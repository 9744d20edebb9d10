"""The user stream over real sockets: a bell whose loss, silence and breaks change nothing in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents.execution.binance import open_binance
from agents.execution.binance.stream import Listener, Pace
from agents.execution.binance.venue import BinanceVenue
from engine.domain.errors import VenueUnavailable
from engine.domain.orders import OrderStatus
from tests.agents.execution.binance.simulation import memory_database, request
from tests.binance.client import ccxt_urls
from tests.binance.faults import DropStream, Duplicate, Hang, Late, Lose, Reorder, Reset, Truncate, When
from tests.binance.server import KEY, SECRET, BinanceServer

SLOW = Pace(urgent_s=30, busy_s=30, idle_s=30)
QUICK = Pace(urgent_s=0.2, busy_s=0.2, idle_s=0.2)
EVENT = When(event="executionReport", execution="TRADE")


@pytest.fixture
async def server() -> AsyncIterator[BinanceServer]:
    async with BinanceServer(balances={"USDT": 100_000}, futures_balance=10_000) as running:
        yield running


async def venue_of(
    server: BinanceServer, pace: Pace, mode: Any = "binance-testnet", database: Any = None
) -> BinanceVenue:
    urls = ccxt_urls(server.rest_url, server.ws_url)
    venue = open_binance(mode, KEY, SECRET, database or memory_database(), urls=urls, pace=pace, seed=1)
    await venue.start()
    return venue


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 6) -> None:
    """Wait until something holds, or fail."""
    for _ in range(int(seconds / 0.05)):
        if await holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came to hold", pytrace=False)


def heard(venue: BinanceVenue) -> Listener:
    assert isinstance(venue.background, Listener)
    return venue.background


async def subscribed(server: BinanceServer) -> None:
    async def some() -> bool:
        return bool(server.hub.of("spot", server.account))

    await until(some)


def resting_stops(server: BinanceServer) -> int:
    return sum(each.is_stop for each in server.spot.open_orders(server.account))


async def test_an_event_brings_protection_long_before_the_next_poll(server: BinanceServer) -> None:
    venue = await venue_of(server, SLOW)
    await subscribed(server)
    await venue.submit(request(kind="limit", price="59000", stop_loss="55000"))
    server.move("BTCUSDT", 58_900)

    async def protected() -> bool:
        return resting_stops(server) == 1

    await until(protected)
    assert heard(venue).events > 0
    await venue.close()


@pytest.mark.parametrize("fault", [Lose(), Duplicate(), Late(0.5), Reorder(), DropStream()])
async def test_whatever_happens_to_events_the_fill_is_settled_once(server: BinanceServer, fault: Any) -> None:
    venue = await venue_of(server, QUICK)
    await subscribed(server)
    await venue.submit(request(kind="limit", price="59000", stop_loss="55000"))
    server.faults.add(fault, EVENT, times=None)
    server.move("BTCUSDT", 58_900)

    async def protected() -> bool:
        return resting_stops(server) == 1

    await until(protected)
    assert len(await venue.fills(0)) == 1
    await venue.close()


async def test_a_dropped_stream_is_opened_again_and_the_gap_is_read(server: BinanceServer) -> None:
    venue = await venue_of(server, SLOW)
    await subscribed(server)
    await venue.submit(request(kind="limit", price="59000", stop_loss="55000"))
    server.drop_streams()
    server.move("BTCUSDT", 58_900)

    async def protected() -> bool:
        return resting_stops(server) == 1

    await until(protected)
    await subscribed(server)
    assert heard(venue).reconnects > 0
    await venue.close()


async def test_a_stream_that_the_exchange_ends_is_opened_again(server: BinanceServer) -> None:
    venue = await venue_of(server, SLOW)
    await subscribed(server)
    server.expire_listen_key("spot")
    await subscribed(server)
    before = heard(venue).events
    await venue.submit(request())

    async def rang() -> bool:
        return heard(venue).events > before

    await until(rang)
    await venue.close()


async def test_a_silent_stream_is_taken_for_deaf_when_a_poll_finds_news(server: BinanceServer) -> None:
    venue = await venue_of(server, QUICK)
    await subscribed(server)
    await venue.submit(request(kind="limit", price="59000", stop_loss="55000"))
    await asyncio.sleep(0.5)
    server.silence_streams()
    deaf = server.hub.of("spot", server.account)
    server.move("BTCUSDT", 58_900)

    async def anew() -> bool:
        return any(each not in deaf for each in server.hub.of("spot", server.account))

    await until(anew)
    await venue.close()


async def test_an_exchange_that_was_away_is_found_again(server: BinanceServer) -> None:
    venue = await venue_of(server, QUICK)
    await subscribed(server)
    await venue.submit(request(kind="limit", price="59000", stop_loss="55000"))
    await server.kill()
    with pytest.raises(VenueUnavailable):
        await venue.balances()
    server.move("BTCUSDT", 58_900)
    await server.start()

    async def protected() -> bool:
        return resting_stops(server) == 1

    await until(protected)
    await venue.close()


@pytest.mark.parametrize(
    "fault",
    [Reset(accepted=True), Truncate(announces_whole=True), Truncate(announces_whole=False), Hang(accepted=True)],
)
async def test_broken_connections_lose_no_accepted_order(server: BinanceServer, fault: Any) -> None:
    venue = await venue_of(server, QUICK)
    server.faults.add(fault, When("POST", "/api/v3/order"))
    answer = await venue.submit(request(stop_loss="55000"))
    assert answer.status is OrderStatus.FILLED
    assert max(server.posts_by_client_id().values()) == 1
    assert resting_stops(server) == 1
    await venue.close()


async def test_futures_events_ring_and_the_listen_key_is_renewed(server: BinanceServer) -> None:
    venue = await venue_of(server, SLOW, "binance-futures-demo")

    async def connected() -> bool:
        return bool(server.hub.of("linear", server.account) or server.hub.of("futures", server.account))

    await until(connected)
    await venue.submit(request("sell", "0.1", stop_loss="63000"))

    async def rang() -> bool:
        return heard(venue).events > 0

    await until(rang)
    await heard(venue).renew_key()
    assert [call.method for call in server.requests if call.path.endswith("/listenKey")][-1] == "PUT"
    await venue.close()


async def test_nothing_is_left_open(server: BinanceServer) -> None:
    venue = await venue_of(server, QUICK)
    await subscribed(server)
    await venue.close()
    await asyncio.sleep(0.1)
    others = [task for task in asyncio.all_tasks() if "binance" in repr(task.get_coro()) and "server" not in repr(task)]
    assert [task for task in others if not task.done() and "agents/execution" in repr(task)] == []
