"""The real ccxt client trades USD-M perpetuals: positions, conditional orders, funding, liquidation."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]  # ccxt ships no types
import pytest

from tests.binance.faults import FillFirst, Hang, Lose, When
from tests.binance.server import BinanceServer
from tests.binance.test_streams import listening

BTC = "BTC/USDT:USDT"


async def test_a_short_gains_when_the_price_falls(server: BinanceServer, swap: Any) -> None:
    await swap.set_leverage(10, BTC)
    await swap.create_order(BTC, "market", "sell", 0.01)
    server.move("BTCUSDT", 59_000)
    (position,) = await swap.fetch_positions([BTC])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("short", 0.01, 59_999.9)
    assert position["unrealizedPnl"] == pytest.approx(9.999)
    assert position["initialMargin"] == pytest.approx(59)
    await swap.create_order(BTC, "market", "buy", 0.01, None, {"reduceOnly": True})
    assert await swap.fetch_positions([BTC]) == []
    trades = await swap.fetch_my_trades(BTC)
    assert float(trades[-1]["info"]["realizedPnl"]) == pytest.approx(9.998)
    income = {row["incomeType"] for row in await swap.fapiprivate_get_income()}
    assert income == {"TRANSFER", "COMMISSION", "REALIZED_PNL"}


async def test_a_position_can_be_turned_over(server: BinanceServer, swap: Any) -> None:
    await swap.create_order(BTC, "market", "buy", 0.01)
    await swap.create_order(BTC, "market", "sell", 0.03)
    (position,) = await swap.fetch_positions([BTC])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("short", 0.02, 59_999.9)


@pytest.mark.parametrize(
    ("kind", "price", "params", "to"),
    [
        ("market", None, {"stopLossPrice": 59_000}, 58_990),
        ("limit", 58_900, {"stopLossPrice": 59_000}, 58_990),
        ("market", None, {"takeProfitPrice": 61_000}, 61_010),
        ("market", None, {"trailingPercent": 1}, 59_300),
        ("market", None, {"stopLossPrice": 59_000, "workingType": "MARK_PRICE"}, 58_990),
    ],
)
async def test_a_conditional_order_has_an_id_of_its_own_and_closes(
    server: BinanceServer, swap: Any, kind: str, price: float | None, params: dict[str, Any], to: float
) -> None:
    await swap.create_order(BTC, "market", "buy", 0.01)
    params = params | {"reduceOnly": True, "clientAlgoId": "guard"}
    stop = await swap.create_order(BTC, kind, "sell", 0.01, price, params)
    assert int(stop["id"]) > 1_000_000
    assert await swap.fetch_open_orders(BTC) == []
    assert [o["clientOrderId"] for o in await swap.fetch_open_orders(BTC, params={"trigger": True})] == ["guard"]
    server.move("BTCUSDT", to)
    state = await swap.fetch_order(stop["id"], BTC, {"trigger": True})
    assert (state["info"]["algoStatus"], state["status"]) == ("FINISHED", "closed")
    actual = await swap.fetch_order(state["info"]["actualOrderId"], BTC)
    assert (actual["clientOrderId"], actual["status"], actual["filled"]) == ("guard", "closed", 0.01)
    assert await swap.fetch_positions([BTC]) == []


async def test_a_conditional_order_can_be_cancelled_and_is_not_found_without_its_flag(
    server: BinanceServer, swap: Any
) -> None:
    await swap.create_order(BTC, "market", "buy", 0.01)
    stop = await swap.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 59_000, "reduceOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        await swap.cancel_order(stop["id"], BTC)
    await swap.cancel_order(stop["id"], BTC, {"trigger": True})
    with pytest.raises(ccxt.OrderNotFound):
        await swap.cancel_order(stop["id"], BTC, {"trigger": True})
    assert (await swap.fetch_order(stop["id"], BTC, {"trigger": True}))["status"] == "canceled"


async def test_the_old_way_of_sending_stops_is_refused(swap: Any) -> None:
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "stopPrice": "59000", "quantity": "0.01"}
    with pytest.raises(ccxt.ExchangeError, match="-4120"):
        await swap.fapiprivate_post_order(order)


async def test_a_stop_of_a_closed_position_expires(server: BinanceServer, swap: Any) -> None:
    await swap.create_order(BTC, "market", "buy", 0.01)
    stop = await swap.create_order(BTC, "market", "sell", None, None, {"stopLossPrice": 59_000, "closePosition": True})
    await swap.create_order(BTC, "market", "sell", 0.01)
    server.move("BTCUSDT", 58_990)
    assert (await swap.fetch_order(stop["id"], BTC, {"trigger": True}))["info"]["algoStatus"] == "EXPIRED"
    assert await swap.fetch_positions([BTC]) == []


@pytest.mark.parametrize(
    ("order", "error", "words"),
    [
        ({"quantity": "0.0001", "type": "MARKET"}, ccxt.BadRequest, "-1111"),
        ({"quantity": "0.001", "price": "40000", "type": "LIMIT"}, ccxt.ExchangeError, "-4164"),
        ({"quantity": "0.01", "price": "70000", "type": "LIMIT"}, ccxt.ExchangeError, "-4016"),
        ({"quantity": "0.01", "price": "59000.05", "type": "LIMIT"}, ccxt.ExchangeError, "-1111"),
        ({"quantity": "5", "type": "MARKET"}, ccxt.InsufficientFunds, "-2019"),
        ({"quantity": "0.01", "type": "MARKET", "reduceOnly": "true"}, ccxt.ExchangeError, "-2022"),
        ({"quantity": "0.01", "type": "MARKET", "positionSide": "LONG"}, ccxt.ExchangeError, "-4061"),
        ({"quantity": "0.01", "price": "60100", "type": "LIMIT", "timeInForce": "GTX"}, ccxt.ExchangeError, "-5022"),
    ],
)
async def test_refusals(swap: Any, order: dict[str, str], error: type[Exception], words: str) -> None:
    tif = {"timeInForce": "GTC"} if order["type"] == "LIMIT" else {}
    with pytest.raises(error, match=words):
        await swap.fapiprivate_post_order({"symbol": "BTCUSDT", "side": "BUY", **tif, **order})


async def test_a_resting_order_can_be_modified(server: BinanceServer, swap: Any) -> None:
    order = await swap.create_order(BTC, "limit", "buy", 0.01, 59_000)
    changed = await swap.edit_order(order["id"], BTC, "limit", "buy", 0.02, 58_000)
    assert (changed["id"], changed["price"], changed["amount"]) == (order["id"], 58_000, 0.02)
    assert server.futures.order_margin(server.account) == Decimal(58)
    with pytest.raises(ccxt.InsufficientFunds):
        await swap.edit_order(order["id"], BTC, "limit", "buy", 20, 58_000)
    assert server.futures.order_margin(server.account) == Decimal(58)
    server.move("BTCUSDT", 58_000)
    assert (await swap.fetch_order(order["id"], BTC))["filled"] == 0.02


async def test_long_and_short_can_be_held_at_once(server: BinanceServer, swap: Any) -> None:
    await swap.set_position_mode(True)
    await swap.create_order(BTC, "market", "buy", 0.01, None, {"positionSide": "LONG"})
    await swap.create_order(BTC, "market", "sell", 0.02, None, {"positionSide": "SHORT"})
    held = {p["side"]: p["contracts"] for p in await swap.fetch_positions([BTC])}
    assert held == {"long": 0.01, "short": 0.02}
    with pytest.raises(ccxt.ExchangeError, match="-4068"):
        await swap.set_position_mode(False)


async def test_funding_is_paid_by_one_side_to_the_other(server: BinanceServer, swap: Any) -> None:
    await swap.create_order(BTC, "market", "buy", 0.01)
    before = server.futures.wallets["owner"]
    server.futures.fund("BTCUSDT", "0.0001")
    assert server.futures.wallets["owner"] - before == -Decimal("0.01") * 60_000 * Decimal("0.0001") + (
        -Decimal("0.01") * (server.futures.mark("BTCUSDT") - 60_000) * Decimal("0.0001")
    )
    assert server.futures.wallets["clearing_funding"] == 0
    history = await swap.fetch_funding_history(BTC)
    assert history[-1]["amount"] < 0
    assert (await swap.fetch_funding_rate_history(BTC))[-1]["fundingRate"] == 0.0001
    assert (await swap.fetch_funding_rate(BTC))["markPrice"] == pytest.approx(60_000, abs=1)


async def test_who_cannot_pay_is_liquidated(server: BinanceServer, swap: Any) -> None:
    await swap.set_leverage(50, BTC)
    await swap.create_order(BTC, "market", "buy", 2)
    server.move("BTCUSDT", 57_700)
    assert await swap.fetch_positions([BTC]) == []
    last = list(server.futures.orders.values())[-1]
    assert last.client_id.startswith("autoclose-")
    assert sum(server.futures.wallets.values()) == 0


async def test_margin_moves_between_the_wallets(server: BinanceServer, swap: Any) -> None:
    await swap.transfer("USDT", 1000, "spot", "linear")
    assert server.futures.wallets["owner"] == 6000
    assert server.account.wallet.free["USDT"] == 9000
    await swap.transfer("USDT", 500, "linear", "spot")
    assert server.futures.wallets["owner"] == 5500
    assert server.account.wallet.free["USDT"] == 9500


async def test_orders_positions_and_conditional_orders_are_told(server: BinanceServer, swap: Any) -> None:
    orders = await listening(server, swap.watch_orders(BTC))
    await swap.create_order(BTC, "market", "buy", 0.01, None, {"newClientOrderId": "mine"})
    assert (await orders)[-1]["clientOrderId"] == "mine"
    positions = asyncio.ensure_future(swap.watch_positions([BTC]))
    await asyncio.sleep(0.05)
    stop = await swap.create_order(
        BTC, "market", "sell", 0.01, None, {"stopLossPrice": 59_000, "reduceOnly": True, "clientAlgoId": "guard"}
    )
    assert (await swap.watch_orders(BTC))[-1]["id"] == stop["id"]
    await positions
    server.move("BTCUSDT", 58_990)
    seen = [
        (event["e"], event["o"]["X"])
        for _, event in server.hub.sent
        if event["e"] in ("ORDER_TRADE_UPDATE", "ALGO_UPDATE")
    ]
    assert seen[-6:] == [
        ("ALGO_UPDATE", "NEW"),
        ("ALGO_UPDATE", "TRIGGERING"),
        ("ALGO_UPDATE", "TRIGGERED"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "FILLED"),
        ("ALGO_UPDATE", "FINISHED"),
    ]
    balance = await swap.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(5000 - 10.12 - 0.6, abs=0.1)


async def test_public_futures_streams_have_paths_of_their_own(server: BinanceServer, swap: Any) -> None:
    ticker = await listening(server, swap.watch_ticker(BTC))
    book = await listening(server, swap.watch_order_book(BTC), 2)
    bars = await listening(server, swap.watch_ohlcv(BTC, "1m"), 3)
    await asyncio.sleep(0.05)
    server.move("BTCUSDT", 60_300)
    assert (await ticker)["last"] == 60_300
    assert (await bars)[-1][4] == 60_300
    await book
    server.move("BTCUSDT", 60_310)
    assert (await swap.watch_order_book(BTC))["bids"][0][0] == 60_309.9


async def test_faults_meet_futures_as_well(server: BinanceServer, swap: Any) -> None:
    swap.timeout = 200
    server.faults.add(Hang(accepted=True), When("POST", "/algoOrder"))
    server.faults.add(FillFirst(), When("DELETE", "/fapi/v1/order"))
    server.faults.add(Lose(), When(event="ALGO_UPDATE"))
    await swap.create_order(BTC, "market", "buy", 0.01)
    with pytest.raises(ccxt.RequestTimeout):
        await swap.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 59_000, "clientAlgoId": "guard"})
    assert server.orders_by_client_id()["guard"] == 1
    resting = await swap.create_order(BTC, "limit", "buy", 0.01, 59_500)
    with pytest.raises(ccxt.OrderNotFound):
        await swap.cancel_order(resting["id"], BTC)
    assert len(server.faults.hits) == 3
