"""The shapes of answers and events against the documented names; and their order, run after run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.binance.client import ccxt_client
from tests.binance.clock import SimulatedClock
from tests.binance.orders import Order
from tests.binance.server import BinanceServer


def names(text: str) -> set[str]:
    """Return the words of a text."""
    return set(text.split())


EXECUTION = names("e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V")
ORDER_UPDATE = names("s c S o f q p ap sp x X i l z L T t b a m R wt ot ps cp rp pP V pm gtd")
ALGO = names("caid aid at o s S ps f q X ai ap aq act tp p V wt pm cp pP R tt gtd rm")
POSITION = names("s pa ep bep cr up mt iw ps ma")
ACK = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
RESULT = ACK | names(
    "price origQty executedQty cummulativeQuoteQty status timeInForce type side workingTime origQuoteOrderQty"
    " selfTradePreventionMode"
)
QUERY = (RESULT - {"transactTime"}) | {"stopPrice", "icebergQty", "time", "updateTime", "isWorking"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


async def test_orders_answer_with_the_documented_names(server: BinanceServer, spot: Any) -> None:
    answers = [await spot.private_post_order(MARKET | {"newOrderRespType": kind}) for kind in ("ACK", "RESULT", "FULL")]
    assert [set(answer) for answer in answers] == [ACK, RESULT, RESULT | {"fills"}]
    assert set(answers[2]["fills"][0]) == {"price", "qty", "commission", "commissionAsset", "tradeId"}
    assert set(await spot.private_get_order({"symbol": "BTCUSDT", "orderId": answers[0]["orderId"]})) == QUERY
    bars = await spot.public_get_klines({"symbol": "BTCUSDT", "interval": "1h"})
    assert [len(bar) for bar in bars] == [12]


async def test_events_have_the_documented_names(server: BinanceServer, spot: Any, swap: Any) -> None:
    await spot.private_post_order(MARKET)
    await swap.fapiprivate_post_order(MARKET)
    await swap.create_order("BTC/USDT:USDT", "market", "sell", 0.01, None, {"stopLossPrice": 59_000})
    seen = {event["e"]: event for _, event in server.hub.sent}
    assert set(seen["executionReport"]) == EXECUTION
    assert set(seen["outboundAccountPosition"]) == {"e", "E", "u", "B"}
    assert set(seen["ORDER_TRADE_UPDATE"]["o"]) - {"N", "n"} == ORDER_UPDATE
    assert set(seen["ALGO_UPDATE"]["o"]) == ALGO
    assert set(seen["ACCOUNT_UPDATE"]["a"]) == {"m", "B", "P"}
    assert set(seen["ACCOUNT_UPDATE"]["a"]["P"][0]) == POSITION


async def test_an_oto_sends_its_second_order_after_the_first_is_filled(server: BinanceServer, spot: Any) -> None:
    params = {"symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "59000"}
    params |= {"workingQuantity": "0.01", "workingTimeInForce": "GTC", "pendingType": "LIMIT", "pendingSide": "SELL"}
    params |= {"pendingPrice": "61000", "pendingQuantity": "0.00999", "pendingTimeInForce": "GTC"}
    answer = await spot.private_post_orderlist_oto(params)
    assert (answer["contingencyType"], len(answer["orders"])) == ("OTO", 2)
    server.move("BTCUSDT", 59_000)
    assert server.account.wallet.locked["BTC"] == Decimal("0.00999")
    server.move("BTCUSDT", 61_000)
    lists = [event["L"] for _, event in server.hub.sent if event["e"] == "listStatus"]
    assert lists == ["EXECUTING", "ALL_DONE"]
    assert await spot.private_get_openorderlist() == []
    assert len(await spot.private_get_allorderlist()) == 1


async def test_the_same_calls_tell_the_same_story() -> None:
    def story() -> list[Any]:
        server = BinanceServer(clock=SimulatedClock(), balances={"USDT": 5000, "BTC": 1})
        for number in range(30):
            side = "BUY" if number % 3 else "SELL"
            price = Decimal(60_000 - 7 * number if side == "BUY" else 60_000 + 5 * number)
            order = Order(server.account, "BTCUSDT", side, "LIMIT", Decimal("0.001"), f"c{number}", price)
            server.spot.place(order)
            server.move("BTCUSDT", 60_000 + (number * 37) % 200 - 100, "0.002")
            server.advance(7)
        return [event for _, event in server.hub.sent]

    first = story()
    assert len(first) > 60
    assert first == story()


async def test_listen_keys_are_the_same_in_every_run() -> None:
    keys = []
    for _ in range(2):
        async with BinanceServer(clock=SimulatedClock()) as server:
            client = ccxt_client(server)
            try:
                keys.append((await client.public_post_userdatastream())["listenKey"])
            finally:
                await client.close()
    assert keys[0] == keys[1]
    assert len(keys[0]) == 64
