"""The real ccxt client drives the spot REST interface."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]  # ccxt ships no types
import pytest

from tests.binance.client import ccxt_client
from tests.binance.server import BinanceServer

BTC = "BTC/USDT"


async def test_everything_loads_with_ccxt_as_it_comes(server: BinanceServer) -> None:
    client = ccxt_client(server)
    try:
        markets = await client.load_markets()
    finally:
        await client.close()
    assert markets[BTC]["precision"] == {"amount": 1e-05, "price": 0.01, "base": 1e-08, "quote": 1e-08}
    assert markets[BTC]["limits"]["cost"] == {"min": 5.0, "max": 9_000_000.0}
    assert markets["BTC/USDT:USDT"]["linear"] is True
    assert client.currencies["BTC"]["active"] is True


async def test_bars_book_and_tickers_agree_on_the_last_price(server: BinanceServer, spot: Any) -> None:
    server.move("BTCUSDT", 60_500)
    bars = await spot.fetch_ohlcv(BTC, "1m")
    book = await spot.fetch_order_book(BTC, 5)
    ticker = await spot.fetch_ticker(BTC)
    assert bars[-1][4] == ticker["last"] == 60_500
    assert book["bids"][0][0] == 60_499.99
    assert book["asks"][0][0] == 60_500.01
    assert len(book["bids"]) == 5
    assert [trade["price"] for trade in await spot.fetch_trades(BTC)][-1] == 60_500


async def test_a_market_order_pays_the_book_and_a_fee(server: BinanceServer, spot: Any) -> None:
    order = await spot.create_order(BTC, "market", "buy", 0.01)
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.01, 60_000.01)
    assert order["fee"] == {"currency": "BTC", "cost": 0.00001}
    balance = await spot.fetch_balance()
    assert balance["BTC"]["free"] == 0.00999
    assert balance["USDT"]["free"] == pytest.approx(9_399.9999)
    assert [trade["amount"] for trade in await spot.fetch_my_trades(BTC)] == [0.01]


async def test_a_market_order_by_cost_spends_no_more_than_that(server: BinanceServer, spot: Any) -> None:
    order = await spot.create_market_buy_order_with_cost(BTC, 100)
    assert order["cost"] <= 100
    assert order["cost"] > 99
    assert server.spot.orders[int(order["id"])].status == "FILLED"


async def test_a_limit_order_locks_and_a_cancellation_gives_back(server: BinanceServer, spot: Any) -> None:
    order = await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, {"newClientOrderId": "mine-1"})
    assert order["status"] == "open"
    assert (await spot.fetch_balance())["USDT"]["used"] == 590
    assert [o["clientOrderId"] for o in await spot.fetch_open_orders(BTC)] == ["mine-1"]
    canceled = await spot.cancel_order(order["id"], BTC)
    assert canceled["status"] == "canceled"
    assert (await spot.fetch_balance())["USDT"]["used"] == 0
    assert (await spot.fetch_order(None, BTC, {"origClientOrderId": "mine-1"}))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await spot.cancel_order(order["id"], BTC)
    with pytest.raises(ccxt.OrderNotFound):
        await spot.fetch_order(None, BTC, {"origClientOrderId": "never-sent"})


async def test_a_thin_move_fills_in_part(server: BinanceServer, spot: Any) -> None:
    order = await spot.create_order(BTC, "limit", "buy", 0.01, 59_000)
    server.move("BTCUSDT", 59_000, "0.004")
    part = await spot.fetch_order(order["id"], BTC)
    assert (part["status"], part["filled"], part["average"]) == ("open", 0.004, 59_000)
    server.move("BTCUSDT", 58_990)
    assert (await spot.fetch_order(order["id"], BTC))["status"] == "closed"


@pytest.mark.parametrize(
    ("kind", "price", "params", "to"),
    [
        ("market", None, {"stopLossPrice": 58_000}, 57_990),
        ("limit", 57_900, {"stopLossPrice": 58_000}, 57_990),
        ("market", None, {"takeProfitPrice": 62_000}, 62_010),
        ("limit", 61_900, {"takeProfitPrice": 62_000}, 62_010),
        ("market", None, {"trailingPercent": 1, "stopLossOrTakeProfit": "stopLoss"}, 59_300),
    ],
)
async def test_a_stop_waits_for_its_price(
    server: BinanceServer, spot: Any, kind: str, price: float | None, params: dict[str, Any], to: float
) -> None:
    server.ledger.deposit(server.account, "BTC", Decimal(1))
    order = await spot.create_order(BTC, kind, "sell", 0.01, price, params)
    assert order["status"] in ("open", None)
    server.move("BTCUSDT", 60_001 if "takeProfitPrice" not in params else 59_999)
    assert (await spot.fetch_order(order["id"], BTC))["status"] == "open"
    server.move("BTCUSDT", to)
    done = await spot.fetch_order(order["id"], BTC)
    assert done["status"] == "closed"
    assert done["average"] == pytest.approx(to, abs=0.02)
    assert server.account.wallet.locked["BTC"] == 0


@pytest.mark.parametrize(("tif", "filled", "status"), [("IOC", 0.004, "expired"), ("FOK", 0, "expired")])
async def test_what_cannot_be_filled_at_once_expires(
    server: BinanceServer, spot: Any, tif: str, filled: float, status: str
) -> None:
    server.spot.set_quotes("BTCUSDT", [], [(60_000, "0.004")])
    order = await spot.create_order(BTC, "limit", "buy", 0.01, 60_000, {"timeInForce": tif})
    assert (order["status"], order["filled"]) == (status, filled)
    assert server.account.wallet.locked["USDT"] == 0


async def test_post_only_is_refused_when_it_would_take(spot: Any) -> None:
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await spot.create_order(BTC, "limit", "buy", 0.01, 60_100, {"postOnly": True})
    order = await spot.create_order(BTC, "limit", "buy", 0.01, 59_900, {"postOnly": True})
    assert order["postOnly"] is True


async def test_an_oco_locks_once_and_one_leg_ends_the_other(server: BinanceServer, spot: Any) -> None:
    server.ledger.deposit(server.account, "BTC", Decimal("0.01"))
    answer = await spot.private_post_orderlist_oco(
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "quantity": "0.01",
            "aboveType": "LIMIT_MAKER",
            "abovePrice": "62000",
            "aboveClientOrderId": "take",
            "belowType": "STOP_LOSS_LIMIT",
            "belowStopPrice": "58000",
            "belowPrice": "57900",
            "belowTimeInForce": "GTC",
            "belowClientOrderId": "stop",
        }
    )
    assert answer["contingencyType"] == "OCO"
    assert server.account.wallet.locked["BTC"] == Decimal("0.01")
    server.move("BTCUSDT", 57_950)
    take = await spot.fetch_order(None, BTC, {"origClientOrderId": "take"})
    stop = await spot.fetch_order(None, BTC, {"origClientOrderId": "stop"})
    assert (take["status"], stop["status"]) == ("expired", "closed")
    assert server.account.wallet.locked["BTC"] == 0
    state = await spot.private_get_orderlist({"orderListId": answer["orderListId"]})
    assert state["listOrderStatus"] == "ALL_DONE"


async def test_cancelling_one_leg_of_an_oco_cancels_both(server: BinanceServer, spot: Any) -> None:
    server.ledger.deposit(server.account, "BTC", Decimal("0.01"))
    await spot.private_post_order_oco(
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "quantity": "0.01",
            "price": "62000",
            "stopPrice": "58000",
            "stopLimitPrice": "57900",
            "stopLimitTimeInForce": "GTC",
            "limitClientOrderId": "take",
            "stopClientOrderId": "stop",
        }
    )
    answer = await spot.private_delete_order({"symbol": "BTCUSDT", "origClientOrderId": "take"})
    assert {report["status"] for report in answer["orderReports"]} == {"CANCELED"}
    assert await spot.fetch_open_orders(BTC) == []
    assert server.account.wallet.free["BTC"] == Decimal("0.01")


async def test_an_otoco_protects_what_was_bought(server: BinanceServer, spot: Any) -> None:
    await spot.private_post_orderlist_otoco(
        {
            "symbol": "BTCUSDT",
            "workingType": "LIMIT",
            "workingSide": "BUY",
            "workingPrice": "59000",
            "workingQuantity": "0.01",
            "workingTimeInForce": "GTC",
            "pendingSide": "SELL",
            "pendingQuantity": "0.00999",
            "pendingAboveType": "LIMIT_MAKER",
            "pendingAbovePrice": "62000",
            "pendingBelowType": "STOP_LOSS",
            "pendingBelowStopPrice": "58000",
        }
    )
    states = [order.status for order in server.spot.orders.values() if not order.account.is_house]
    assert states == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    server.move("BTCUSDT", 59_000)
    assert server.account.wallet.locked["BTC"] == Decimal("0.00999")
    server.move("BTCUSDT", 62_000)
    states = [order.status for order in server.spot.orders.values() if not order.account.is_house]
    assert states == ["FILLED", "EXPIRED", "FILLED"]


async def test_cancel_replace_says_what_failed(server: BinanceServer, spot: Any) -> None:
    first = await spot.create_order(BTC, "limit", "buy", 0.01, 59_000)
    second = await spot.edit_order(first["id"], BTC, "limit", "buy", 0.01, 58_000)
    assert second["price"] == 58_000
    with pytest.raises(ccxt.BadResponse):
        await spot.edit_order(first["id"], BTC, "limit", "buy", 0.01, 57_000)
    assert [order["price"] for order in await spot.fetch_open_orders(BTC)] == [58_000]


@pytest.mark.parametrize(
    ("amount", "price", "words"),
    [
        ("0.000001", "59000", "LOT_SIZE"),
        ("0.01", "59000.001", "PRICE_FILTER"),
        ("0.00001", "59000", "NOTIONAL"),
        ("0.01", "1000", "PERCENT_PRICE_BY_SIDE"),
        ("0.0100000001", "59000", "-1111"),
        ("-1", "59000", "-1100"),
        ("", "59000", "-1102"),
    ],
)
async def test_filters_are_enforced(spot: Any, amount: str, price: str, words: str) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    with pytest.raises(ccxt.ExchangeError, match=words):
        await spot.private_post_order(order | {"quantity": amount, "price": price})


async def test_the_numbers_of_open_orders_are_limited(server: BinanceServer, spot: Any) -> None:
    server.ledger.deposit(server.account, "BTC", Decimal(1))
    for _ in range(5):
        await spot.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 58_000})
    with pytest.raises(ccxt.ExchangeError, match="MAX_NUM_ALGO_ORDERS"):
        await spot.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 58_000})


async def test_a_client_id_is_unique_among_open_orders_only(server: BinanceServer, spot: Any) -> None:
    mine = {"newClientOrderId": "mine"}
    await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, mine)
    with pytest.raises(ccxt.ExchangeError, match="Duplicate order sent"):
        await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, mine)
    server.move("BTCUSDT", 59_000)
    await spot.create_order(BTC, "limit", "buy", 0.01, 58_000, mine)
    assert server.orders_by_client_id()["mine"] == 2
    assert server.posts_by_client_id()["mine"] == 3


async def test_nobody_spends_what_he_has_not(spot: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        await spot.create_order(BTC, "market", "buy", 1)
    with pytest.raises(ccxt.InsufficientFunds):
        await spot.create_order(BTC, "limit", "sell", 0.01, 61_000)


async def test_a_test_order_leaves_no_trace(server: BinanceServer, spot: Any) -> None:
    await spot.create_order(BTC, "limit", "buy", 0.01, 59_000, {"test": True})
    assert server.spot.open_orders(server.account) == []


async def test_fees_in_bnb_are_cheaper(server: BinanceServer, spot: Any) -> None:
    server.account.pays_in_bnb = True
    server.ledger.deposit(server.account, "BNB", Decimal(1))
    order = await spot.create_order(BTC, "market", "buy", 0.01)
    assert order["fee"]["currency"] == "BNB"
    assert order["fee"]["cost"] == pytest.approx(600.0001 * 0.001 * 0.75 / 600)
    assert server.account.wallet.free["BTC"] == Decimal("0.01")


async def test_the_rights_of_the_key_are_told(server: BinanceServer, spot: Any) -> None:
    rights = await spot.sapi_get_account_apirestrictions()
    assert (rights["enableWithdrawals"], rights["enableSpotAndMarginTrading"]) == (False, True)
    fee = await spot.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.001, 0.001)


async def test_a_stop_on_the_wrong_side_of_the_price_is_refused(server: BinanceServer, spot: Any) -> None:
    server.ledger.deposit(server.account, "BTC", Decimal(1))
    with pytest.raises(ccxt.ExchangeError, match="would trigger immediately"):
        await spot.create_order(BTC, "market", "sell", 0.01, None, {"stopLossPrice": 61_000})
    assert server.account.wallet.locked["BTC"] == 0


async def test_a_range_of_more_than_a_day_is_refused(server: BinanceServer, spot: Any) -> None:
    now = server.clock.now_ms()
    for call in (spot.private_get_mytrades, spot.private_get_allorders):
        with pytest.raises(ccxt.ExchangeError, match="-1127"):
            await call({"symbol": "BTCUSDT", "startTime": now - 86_400_001, "endTime": now})


async def test_an_order_taken_with_what_is_left_of_the_book_expires(server: BinanceServer, spot: Any) -> None:
    server.spot.set_quotes("BTCUSDT", [], [(60_000, "0.004")])
    order = await spot.create_order(BTC, "market", "buy", 0.01)
    assert (order["status"], order["filled"]) == ("expired", 0.004)
    assert server.spot.open_orders(server.account) == []


async def test_a_halted_market_takes_no_orders(server: BinanceServer, spot: Any) -> None:
    rule = server.spot.rules["BTCUSDT"]
    server.spot.rules["BTCUSDT"] = dataclasses.replace(rule, status="BREAK")
    with pytest.raises(ccxt.ExchangeError, match="Market is closed"):
        await spot.create_order(BTC, "market", "buy", 0.01)
    assert (await spot.fetch_markets())[0]["active"] is False
