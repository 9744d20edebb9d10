"""The real ccxt.pro client listens to public and user streams, and plain WebSockets speak to the rest."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable
from typing import Any

import aiohttp
import ccxt  # type: ignore[import-untyped]  # ccxt ships no types
import pytest

from tests.binance.client import ccxt_client
from tests.binance.clock import SimulatedClock
from tests.binance.faults import DropStream, Duplicate, ExpireKey, Late, Lose, Reorder, Silence, When
from tests.binance.server import KEY, SECRET, BinanceServer
from tests.waiting import PATIENCE_S, until

BTC = "BTC/USDT"


async def listening(server: BinanceServer, wait: Awaitable[Any], count: int = 1) -> asyncio.Task[Any]:
    """Start a watch and return once the server knows of its subscription."""
    task = asyncio.ensure_future(wait)
    await until(lambda: _subscriptions(server) >= count)
    return task


def _subscriptions(server: BinanceServer) -> int:
    return sum(len(one.streams) + len(one.users) + len(one.listen_keys) for one in server.hub.connections)


async def test_public_streams_follow_the_market(server: BinanceServer, spot: Any) -> None:
    ticker = await listening(server, spot.watch_ticker(BTC))
    bars = await listening(server, spot.watch_ohlcv(BTC, "1m"), 2)
    trades = await listening(server, spot.watch_trades(BTC), 3)
    book = await listening(server, spot.watch_order_book(BTC), 4)
    best = await listening(server, spot.watch_bids_asks([BTC]), 5)
    await asyncio.sleep(0.05)
    server.move("BTCUSDT", 60_100)
    assert (await ticker)["last"] == 60_100
    assert (await bars)[-1][4] == 60_100
    assert (await trades)[-1]["price"] == 60_100
    assert (await best)[BTC]["ask"] == 60_100.01
    await book
    server.move("BTCUSDT", 60_200)
    assert (await spot.watch_order_book(BTC))["bids"][0][0] == 60_199.99


async def test_the_book_rebuilt_from_differences_equals_the_snapshot(server: BinanceServer, spot: Any) -> None:
    book = await listening(server, spot.watch_order_book(BTC))
    await asyncio.sleep(0.05)
    for step in range(30):
        server.move("BTCUSDT", 60_000 + (step * 7919) % 100)
        await asyncio.sleep(0)
    await book
    await asyncio.sleep(0.05)
    local = spot.orderbooks[BTC]
    snapshot = await spot.fetch_order_book(BTC)
    assert local["nonce"] == snapshot["nonce"]
    assert [list(level[:2]) for level in local["bids"]] == snapshot["bids"]
    assert [list(level[:2]) for level in local["asks"]] == snapshot["asks"]


async def test_orders_trades_and_balances_are_told(server: BinanceServer, spot: Any) -> None:
    orders = await listening(server, spot.watch_orders(BTC))
    trades = asyncio.ensure_future(spot.watch_my_trades(BTC))
    balances = asyncio.ensure_future(spot.watch_balance())
    await asyncio.sleep(0.02)
    placed = await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "mine"})
    assert [(o["id"], o["clientOrderId"], o["status"]) for o in await orders] == [(placed["id"], "mine", "open")]
    assert (await balances)["USDT"]["used"] == 590
    server.move("BTCUSDT", 59_000)
    done = (await spot.watch_orders(BTC))[-1]
    assert (done["status"], done["filled"]) == ("closed", 0.01)
    assert (await trades)[-1]["takerOrMaker"] == "maker"


async def test_a_cancelled_order_keeps_its_own_client_id(server: BinanceServer, spot: Any) -> None:
    orders = await listening(server, spot.watch_orders(BTC))
    placed = await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "mine"})
    await orders
    await spot.cancel_order(placed["id"], BTC)
    last = (await spot.watch_orders(BTC))[-1]
    assert (last["status"], last["clientOrderId"]) == ("canceled", "mine")


async def test_a_deposit_is_told(server: BinanceServer, spot: Any) -> None:
    balance = await listening(server, spot.watch_balance())
    server.spot.deposit(server.account, "BTC", "0.5")
    assert (await balance)["BTC"]["free"] == 0.5


async def test_orders_can_be_sent_over_the_websocket_api(server: BinanceServer, spot: Any) -> None:
    order = await spot.create_order_ws(BTC, "limit", "buy", 0.01, 59_000)
    assert order["status"] == "open"
    assert (await spot.fetch_order_ws(order["id"], BTC))["id"] == order["id"]
    assert (await spot.cancel_order_ws(order["id"], BTC))["status"] == "canceled"
    with pytest.raises(ccxt.BaseError):
        await spot.create_order_ws("BTC/USDT", "limit", "sell", 0.01, 61_000)


def signed(params: dict[str, Any]) -> dict[str, Any]:
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return params | {"signature": hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}


async def test_a_session_signs_once(server: BinanceServer) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.ws_url}/ws-api/v3") as socket,
    ):

        async def ask(method: str, **params: Any) -> dict[str, Any]:
            await socket.send_json({"id": 1, "method": method, "params": params})
            answer: dict[str, Any] = await socket.receive_json(timeout=PATIENCE_S)
            return answer

        now = server.clock.now_ms()
        assert (await ask("ping"))["result"] == {}
        assert (await ask("userDataStream.subscribe"))["status"] == 401
        assert (await ask("session.logon", **signed({"apiKey": KEY, "timestamp": now})))["result"]["apiKey"] == KEY
        assert (await ask("account.status", timestamp=now))["result"]["canTrade"] is True
        assert (await ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "timestamp": now}
        await socket.send_json({"id": 2, "method": "order.place", "params": order})
        seen = [await socket.receive_json(timeout=PATIENCE_S) for _ in range(4)]
        events = [one["event"]["e"] for one in seen if "event" in one]
        assert events == ["executionReport", "executionReport", "outboundAccountPosition"]
        assert seen[-1]["result"]["status"] == "FILLED" or any("result" in one for one in seen)
        bad = signed({"apiKey": KEY, "timestamp": now}) | {"signature": "0" * 64}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.ws_url}/ws-api/v3") as socket,
    ):
        assert (await ask("session.logon", **bad))["error"]["code"] == -1022


async def test_subscriptions_can_be_changed_and_listed(server: BinanceServer) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.ws_url}/stream?streams=btcusdt@trade") as socket,
    ):
        await socket.send_json({"id": 1, "method": "SUBSCRIBE", "params": ["ethusdt@miniTicker"]})
        assert await socket.receive_json(timeout=PATIENCE_S) == {"result": None, "id": 1}
        await socket.send_json({"id": 2, "method": "LIST_SUBSCRIPTIONS"})
        assert (await socket.receive_json(timeout=PATIENCE_S))["result"] == ["btcusdt@trade", "ethusdt@miniTicker"]
        server.move("BTCUSDT", 60_001)
        event = await socket.receive_json(timeout=PATIENCE_S)
        assert (event["stream"], event["data"]["p"]) == ("btcusdt@trade", "60001.00000000")
        await socket.send_json({"id": 3, "method": "UNSUBSCRIBE", "params": ["btcusdt@trade"]})
        await socket.receive_json(timeout=PATIENCE_S)
        server.move("BTCUSDT", 60_002)
        server.move("ETHUSDT", 3_001)
        assert (await socket.receive_json(timeout=PATIENCE_S))["data"]["e"] == "24hrMiniTicker"
        await socket.send_str("no json")
        assert (await socket.receive_json(timeout=PATIENCE_S))["error"]["code"] == 2


async def test_a_listen_key_lives_an_hour_and_longer_when_kept_alive() -> None:
    clock = SimulatedClock()
    async with BinanceServer(clock=clock) as server, aiohttp.ClientSession() as session:
        headers = {"X-MBX-APIKEY": KEY}
        url = f"{server.rest_url}/api/v3/userDataStream"
        async with session.post(url, headers=headers) as answer:
            key = (await answer.json())["listenKey"]
        async with session.ws_connect(f"{server.ws_url}/ws/{key}") as socket:
            await until(lambda: bool(server.hub.connections))
            server.advance(3000)
            async with session.put(url, headers=headers, params={"listenKey": key}) as answer:
                assert answer.status == 200
            server.advance(3000)
            server.spot.deposit(server.account, "BTC", "1")
            assert (await socket.receive_json(timeout=PATIENCE_S))["e"] == "balanceUpdate"
            server.advance(700)
            assert (await socket.receive_json(timeout=PATIENCE_S))["e"] == "listenKeyExpired"
            async with session.put(url, headers=headers, params={"listenKey": key}) as answer:
                assert (await answer.json())["code"] == -1125


async def test_bars_close_on_time_without_a_trade() -> None:
    clock = SimulatedClock()
    async with BinanceServer(clock=clock) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@kline_1m") as socket:
            await until(lambda: bool(server.hub.connections))
            server.advance(121)
            bars = [(await socket.receive_json(timeout=PATIENCE_S))["k"] for _ in range(2)]
        assert [bar["x"] for bar in bars] == [True, True]
        assert bars[1]["t"] - bars[0]["t"] == 60_000
        assert (bars[1]["n"], bars[1]["o"], bars[1]["c"]) == (0, "60000.00000000", "60000.00000000")


async def test_a_connection_ends_after_a_day() -> None:
    async with BinanceServer(clock=SimulatedClock()) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{server.ws_url}/ws/btcusdt@trade") as socket:
            await until(lambda: bool(server.hub.connections))
            server.advance(86_400)
            kinds = {(await socket.receive(timeout=PATIENCE_S)).type for _ in range(1)}
        assert kinds <= {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE}


class Listener:
    """A plain user stream that notes what arrives."""

    def __init__(self, server: BinanceServer) -> None:
        self.server = server
        self.executions: list[str] = []
        self.events: list[str] = []
        self.is_closed = False

    async def run(self, ready: asyncio.Event) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.server.ws_url}/ws-api/v3") as socket,
        ):
            params = signed({"apiKey": KEY, "timestamp": self.server.clock.now_ms()})
            await socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
            await socket.receive_json(timeout=PATIENCE_S)
            ready.set()
            async for message in socket:
                event = json.loads(message.data)["event"]
                self.events.append(event["e"])
                if event["e"] == "executionReport":
                    self.executions.append(event["x"])
        self.is_closed = True


@pytest.mark.parametrize(
    ("what", "executions"),
    [
        (Lose(), ["NEW"]),
        (Duplicate(), ["NEW", "TRADE", "TRADE"]),
        (Late(0.05), ["NEW", "TRADE"]),
        (Late(), ["NEW"]),
        (Reorder(), ["NEW", "TRADE"]),
        (Silence(), ["NEW"]),
        (DropStream(), ["NEW"]),
        (DropStream(sends_event=True), ["NEW", "TRADE"]),
        (ExpireKey(), ["NEW"]),
    ],
)
async def test_user_events_go_wrong_as_planned(
    server: BinanceServer, spot: Any, what: Any, executions: list[str]
) -> None:
    listener, ready = Listener(server), asyncio.Event()
    task = asyncio.create_task(listener.run(ready))
    await ready.wait()
    server.faults.add(what, When(event="executionReport", execution="TRADE"))
    await spot.create_order(BTC, "market", "buy", 0.01)
    await until(lambda: listener.executions == executions and listener.is_closed == isinstance(what, DropStream))
    await asyncio.sleep(0.12)  # and nothing more comes
    assert listener.executions == executions
    if isinstance(what, Reorder):
        assert listener.events == ["executionReport", "outboundAccountPosition", "executionReport"]
    assert listener.is_closed == isinstance(what, DropStream)
    assert ("eventStreamTerminated" in listener.events) == isinstance(what, ExpireKey)
    server.hub.deliver_held()
    if isinstance(what, Late):
        await until(lambda: listener.executions == ["NEW", "TRADE"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_ccxt_hears_again_after_a_drop(server: BinanceServer, spot: Any) -> None:
    orders = await listening(server, spot.watch_orders(BTC))
    server.drop_streams()
    with pytest.raises(ccxt.NetworkError):
        await orders
    again = await listening(server, spot.watch_orders(BTC))
    await spot.create_order(BTC, "market", "buy", 0.01)
    assert (await again)[-1]["symbol"] == BTC


async def test_two_accounts_hear_only_their_own(server: BinanceServer, spot: Any) -> None:
    server.add_account("other", "o" * 40, "p" * 40, {"USDT": 1000})
    other = ccxt_client(server, key="o" * 40, secret="p" * 40)
    other.set_markets(spot.markets)
    try:
        mine = await listening(server, spot.watch_orders())
        theirs = await listening(server, other.watch_orders(), 2)
        await other.create_order(BTC, "market", "buy", 0.01)
        assert (await theirs)[-1]["filled"] in (0, 0.01)
        await asyncio.sleep(0.05)
        assert not mine.done()
        mine.cancel()
        await asyncio.gather(mine, return_exceptions=True)
    finally:
        await other.close()
