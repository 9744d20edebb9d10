"""What the real client sees of each fault, and what the exchange did meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt  # type: ignore[import-untyped]  # ccxt ships no types
import pytest

from tests.binance.client import ccxt_client
from tests.binance.errors import ApiError, insufficient_balance, outside_window
from tests.binance.faults import (
    Do,
    Empty,
    Fault,
    FaultPlan,
    FillFirst,
    Hang,
    Html,
    Maintenance,
    Refuse,
    Reset,
    Slow,
    Truncate,
    When,
    usual_troubles,
)
from tests.binance.server import BinanceServer
from tests.waiting import until

BTC = "BTC/USDT"
ORDERS = When("POST", "/order")
BUSY = ApiError(-1006, "An unexpected response was received from the message bus. Execution status unknown.")


async def buy(client: Any) -> str:
    """Send an order and return what the client makes of it."""
    try:
        order = await client.create_order(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "mine"})
    except ccxt.BaseError as error:
        return type(error).__name__
    return f"order {order['id']}"


@pytest.mark.parametrize(
    ("what", "seen", "accepted"),
    [
        (Hang(accepted=False), "RequestTimeout", 0),
        (Hang(accepted=True), "RequestTimeout", 1),
        (Reset(accepted=False), "ExchangeNotAvailable", 0),
        (Reset(accepted=True), "ExchangeNotAvailable", 1),
        (Refuse(ApiError(-1003, "Too many requests", 429)), "DDoSProtection", 0),
        (Refuse(ApiError(-1003, "IP banned", 418)), "DDoSProtection", 0),
        (Refuse(outside_window()), "InvalidNonce", 0),
        (Refuse(insufficient_balance()), "InsufficientFunds", 0),
        (Refuse(ApiError(-1000, "An unknown error occurred.")), "OperationFailed", 0),
        (Refuse(ApiError(-1001, "Internal error."), accepted=True), "OperationFailed", 1),
        (Refuse(BUSY, accepted=True), "OperationFailed", 1),
        (Refuse(ApiError(-1007, "Timeout waiting for response.", 408), accepted=True), "RequestTimeout", 1),
        (Html(502, accepted=True), "ExchangeNotAvailable", 1),
        (Html(503, accepted=False), "ExchangeNotAvailable", 0),
        (Truncate(announces_whole=True), "ExchangeError", 1),
        (Truncate(announces_whole=False), "order None", 1),
        (Empty(), "order None", 1),
        (Slow(before_s=0.05), "order 1", 1),
        (Slow(after_s=0.05), "order 1", 1),
        (Maintenance(0.05), "ExchangeNotAvailable", 0),
    ],
)
async def test_the_client_sees_one_thing_and_the_exchange_did_another(
    server: BinanceServer, spot: Any, what: Any, seen: str, accepted: int
) -> None:
    spot.timeout = 200
    server.faults.add(what, ORDERS)
    assert await buy(spot) == seen
    assert server.orders_by_client_id()["mine"] == accepted
    assert [call.fault for call in server.requests_for("mine")] == [type(what).__name__]
    await asyncio.sleep(0.06)
    spot.timeout = 20_000
    assert (await buy(spot)).startswith("order") is not bool(accepted)


async def test_an_order_may_arrive_after_its_client_gave_up(server: BinanceServer, spot: Any) -> None:
    spot.timeout = 100
    server.faults.add(Slow(before_s=0.25), ORDERS)
    assert await buy(spot) == "RequestTimeout"
    with pytest.raises(ccxt.OrderNotFound):
        await spot.fetch_order(None, BTC, {"origClientOrderId": "mine"})
    spot.timeout = 20_000
    await until(lambda: server.orders_by_client_id()["mine"] == 1)
    assert (await spot.fetch_order(None, BTC, {"origClientOrderId": "mine"}))["status"] == "open"


async def test_an_order_that_waits_longer_than_its_window_is_dropped(server: BinanceServer, spot: Any) -> None:
    spot.timeout, spot.options["recvWindow"] = 100, 150
    server.faults.add(Slow(before_s=0.25), ORDERS)
    assert await buy(spot) == "RequestTimeout"
    await until(lambda: bool(server.requests_for("mine")[0].answer))
    assert server.orders_by_client_id()["mine"] == 0
    assert server.requests_for("mine")[0].answer["code"] == -1021


@pytest.mark.parametrize(("share", "status", "filled"), [("1", "FILLED", "0.01"), ("0.5", "CANCELED", "0.005")])
async def test_a_fill_may_come_before_a_cancellation(
    server: BinanceServer, spot: Any, share: str, status: str, filled: str
) -> None:
    await buy(spot)
    server.faults.add(FillFirst(Decimal(share)), When("DELETE", "/order"))
    if status == "FILLED":
        with pytest.raises(ccxt.OrderNotFound):
            await spot.cancel_order("1", BTC)
    else:
        assert (await spot.cancel_order("1", BTC))["filled"] == float(filled)
    order = server.spot.orders[1]
    assert (order.status, order.executed) == (status, Decimal(filled))


async def test_maintenance_lasts_and_then_ends(server: BinanceServer, spot: Any) -> None:
    server.faults.add(Maintenance(0.1), When("GET", "/time"))
    for _ in range(2):
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await spot.fetch_time()
    await asyncio.sleep(0.12)
    assert await spot.fetch_time() > 0


async def test_the_exchange_comes_back_after_a_kill_with_all_it_knew(server: BinanceServer, spot: Any) -> None:
    await buy(spot)
    url = server.rest_url
    await server.kill()
    with pytest.raises(ccxt.NetworkError):
        await spot.fetch_open_orders(BTC)
    await server.start()
    assert server.rest_url == url
    assert [order["clientOrderId"] for order in await spot.fetch_open_orders(BTC)] == ["mine"]
    assert (await spot.fetch_balance())["USDT"]["used"] == 590


async def test_a_kill_does_not_wait_for_hanging_requests(server: BinanceServer, spot: Any) -> None:
    server.faults.add(Hang(), ORDERS)
    task = asyncio.create_task(buy(spot))
    await until(lambda: bool(server.requests_for("mine")))
    await asyncio.wait_for(server.kill(), 10)  # the request would hang for ever
    assert await task in ("ExchangeNotAvailable", "NetworkError", "RequestTimeout")


async def test_the_nth_match_and_the_number_of_times_count(server: BinanceServer, spot: Any) -> None:
    fault = server.faults.add(Html(502), When("GET", "/time", nth=2), times=2)
    results = []
    for _ in range(5):
        try:
            await spot.fetch_time()
            results.append("ok")
        except ccxt.ExchangeNotAvailable:
            results.append("bad")
    assert results == ["ok", "bad", "bad", "ok", "ok"]
    assert [hit[0] for hit in server.faults.hits] == [fault, fault]


async def test_a_fault_can_name_a_client_id_or_do_anything(server: BinanceServer, spot: Any) -> None:
    moves: list[str] = []
    server.faults.add(Do(lambda call: moves.append(call.path)), When(client_id="mine"))
    await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "other"})
    await buy(spot)
    assert moves == ["/api/v3/order"]


async def test_the_websocket_api_has_faults_too(server: BinanceServer, spot: Any) -> None:
    server.faults.add(Refuse(BUSY, accepted=True), ORDERS)
    server.faults.add(Reset(accepted=True), When("POST", "/order", client_id="two"))
    with pytest.raises(ccxt.BaseError):
        await spot.create_order_ws(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "one"})
    with pytest.raises(ccxt.BaseError):
        await spot.create_order_ws(BTC, "limit", "buy", 0.01, 58_000, {"newClientOrderId": "two"})
    assert server.orders_by_client_id() == {"one": 1, "two": 1}


def test_a_plan_with_a_seed_goes_wrong_alike() -> None:
    def hits(seed: int) -> list[int]:
        plan = FaultPlan([Fault(what, When(event="*"), None, 0.1) for what in _events()], seed)
        return [number for number in range(200) if plan.for_event({"e": "executionReport"}) is not None]

    assert hits(7) == hits(7)
    assert hits(7) != hits(8)
    assert 20 < len(hits(7)) < 160


def _events() -> list[Any]:
    return [fault.what for fault in usual_troubles(1.0) if fault.when.event]


async def test_answers_take_the_latency_asked_for() -> None:
    async with BinanceServer(latency_s=0.05) as server, aiohttp.ClientSession() as session:
        start = asyncio.get_running_loop().time()
        async with session.get(f"{server.rest_url}/api/v3/ping") as answer:
            assert await answer.json() == {}
        assert asyncio.get_running_loop().time() - start >= 0.05


@pytest.mark.parametrize("seed", range(3))
async def test_the_books_stay_true_through_the_usual_troubles(seed: int) -> None:
    async with BinanceServer(faults=usual_troubles(0.04), seed=seed) as server:
        client = ccxt_client(
            server, timeout=20_000, options={"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
        )
        try:
            await client.load_markets()
            client.timeout = 60
            for number in range(60):
                server.move("BTCUSDT", 60_000 + (number * 131) % 400 - 200, "0.004")
                with contextlib.suppress(ccxt.BaseError):
                    await client.create_order(
                        BTC, "limit", "buy", 0.005, 60_000 - number % 90, {"clientOrderId": f"c{number}"}
                    )
                with contextlib.suppress(ccxt.BaseError):
                    await client.cancel_order(None, BTC, {"origClientOrderId": f"c{number // 2}"})
            server.faults.clear()
            client.timeout = 20_000
            seen = {order["clientOrderId"]: order for order in await client.fetch_orders(BTC, limit=1000)}
            balance = await client.fetch_balance()
            trades = await client.fetch_my_trades(BTC, limit=1000)
        finally:
            await client.close()
    accepted = server.orders_by_client_id()
    assert set(accepted.values()) == {1}
    assert set(seen) == set(accepted)
    assert len(server.faults.hits) > 10
    bought = sum(Decimal(str(trade["amount"])) for trade in trades)
    assert bought == sum((Decimal(str(order["filled"])) for order in seen.values()), Decimal(0))
    assert Decimal(str(balance["BTC"]["total"])) == bought - sum(Decimal(str(t["fee"]["cost"])) for t in trades)
    assert all(server.ledger.total(asset) == 0 for asset in server.ledger.assets())
