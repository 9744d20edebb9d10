"""Each thing that goes wrong at an exchange, one at a time: what the desk is told, and what stands in the end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from agents.execution.binance.values import Incident
from engine.domain.errors import OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderStatus
from tests.agents.execution.binance.places import BinancePlace, D, fills, on_binance, order, statuses
from tests.agents.execution.binance.simulation import InProcessSession
from tests.agents.execution.fakes import request
from tests.binance.errors import ApiError
from tests.binance.faults import Empty, FillFirst, Hang, Html, Maintenance, Refuse, Reset, Slow, Truncate, When

ORDER = When("POST", "/api/v3/order")
OCO = When("POST", "/orderList/oco")
UNKNOWN = [
    pytest.param(Hang(accepted=True), True, id="time-out after it was accepted"),
    pytest.param(Hang(accepted=False), False, id="time-out before it was accepted"),
    pytest.param(Reset(accepted=True), True, id="reset after"),
    pytest.param(Reset(accepted=False), False, id="reset before"),
    pytest.param(Html(502, accepted=True), True, id="502 after"),
    pytest.param(Html(503, accepted=False), False, id="503 before"),
    pytest.param(Truncate(announces_whole=True), True, id="cut body"),
    pytest.param(Truncate(announces_whole=False), True, id="half an object"),
    pytest.param(Empty(), True, id="empty body"),
    pytest.param(Refuse(ApiError(-1000, "An unknown error occurred."), True), True, id="-1000 after"),
    pytest.param(Refuse(ApiError(-1000, "An unknown error occurred.")), False, id="-1000 before"),
    pytest.param(Refuse(ApiError(-1001, "Internal error.")), False, id="-1001 before"),
    pytest.param(Refuse(ApiError(-1006, "Status unknown."), True), True, id="-1006 after"),
    pytest.param(Refuse(ApiError(-1007, "Status unknown.", 408), True), True, id="-1007 after"),
    pytest.param(Refuse(ApiError(-1008, "Server is busy.", 503)), False, id="-1008 before"),
]
UNSENT = [
    pytest.param(Refuse(ApiError(-1003, "Too many requests.", 429)), id="429"),
    pytest.param(Refuse(ApiError(-1003, "Way too many requests.", 418)), id="418"),
    pytest.param(Refuse(ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")), id="-1021"),
    pytest.param(Refuse(ApiError(-1015, "Too many new orders.", 429)), id="-1015"),
    pytest.param(Refuse(ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)), id="-2015"),
]


def posts(place: BinancePlace) -> list[int]:
    return list(place.bench.server.posts_by_client_id().values())


async def settle(place: BinancePlace, seconds: float = 8) -> None:
    """Let the background work for a while."""
    await asyncio.sleep(seconds)


@pytest.mark.parametrize(("fault", "stands"), UNKNOWN)
@on_binance()
async def test_an_entry_without_a_clear_answer_is_found_or_given_up_and_never_sent_again(
    place: BinancePlace, fault: Any, stands: bool
) -> None:
    place.bench.server.faults.add(fault, ORDER)
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    with suppress(OrderUncertain, *(() if stands else (VenueUnavailable,))):
        answer = await place.venue.submit(sent)
        assert stands
        assert answer.status is OrderStatus.FILLED
    await settle(place)
    found = await place.venue.fetch_order(sent.client_order_id)
    assert (found is not None) == stands
    assert await statuses(place) == ({"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN} if stands else {})
    assert len(await fills(place)) == stands
    assert max(posts(place)) == 1


@pytest.mark.parametrize(("fault", "stands"), UNKNOWN)
@on_binance()
async def test_a_doubtful_entry_is_not_called_absent_while_it_may_still_arrive(
    place: BinancePlace, fault: Any, stands: bool
) -> None:
    place.bench.server.faults.add(fault, ORDER)
    sent = request(quantity="2")
    with suppress(OrderUncertain, *(() if stands else (VenueUnavailable,))):
        await place.venue.submit(sent)
    with suppress(VenueUnavailable):
        found = await place.venue.fetch_order(sent.client_order_id)
        assert (found is not None) == stands


@pytest.mark.parametrize("fault", UNSENT)
@on_binance()
async def test_what_was_surely_not_handed_over_is_said_to_be_so(place: BinancePlace, fault: Any) -> None:
    place.bench.server.faults.add(fault, ORDER)
    with pytest.raises(VenueUnavailable):
        await place.venue.submit(request(quantity="2"))
    await settle(place, 65)
    assert await place.venue.fetch_order(request().client_order_id) is None
    assert await fills(place) == []


@on_binance()
async def test_what_was_not_handed_over_may_be_handed_over_later_under_its_id(place: BinancePlace) -> None:
    place.bench.server.faults.add(Refuse(ApiError(-1021, "outside of the recvWindow")), ORDER)
    with pytest.raises(VenueUnavailable):
        await place.venue.submit(request(quantity="2", stop_loss="90"))
    assert (await place.venue.submit(request(quantity="2", stop_loss="90"))).status is OrderStatus.FILLED
    assert await statuses(place) == {"-sl": OrderStatus.OPEN}


@on_binance()
async def test_an_exchange_that_cannot_be_reached_was_not_handed_anything(place: BinancePlace) -> None:
    place.bench.session.is_cut = True
    with pytest.raises(VenueUnavailable):
        await place.venue.submit(request())
    place.bench.session.is_cut = False
    await settle(place)
    assert await place.venue.fetch_order(request().client_order_id) is None


@on_binance()
async def test_a_refused_order_is_rejected_for_good(place: BinancePlace) -> None:
    sent = request(quantity="2", kind="limit", price="99", stop_loss="90")
    place.bench.server.faults.add(
        Refuse(ApiError(-2010, "Account has insufficient balance for requested action.")), ORDER
    )
    for _ in range(2):
        with pytest.raises(OrderRejected) as refusal:
            await place.venue.submit(sent)
        assert refusal.value.codes == ("insufficient_balance",)
    assert posts(place) == [1]
    assert await place.venue.fetch_order(sent.client_order_id) is None
    assert await statuses(place) == {}


@on_binance()
async def test_a_duplicate_answer_means_that_the_order_stands(place: BinancePlace) -> None:
    place.bench.server.faults.add(Refuse(ApiError(-2010, "Duplicate order sent."), accepted=True), ORDER)
    answer = await place.venue.submit(request(quantity="2", kind="limit", price="95"))
    assert answer.status is OrderStatus.OPEN
    assert posts(place) == [1]


@on_binance()
async def test_a_slow_answer_is_overtaken_by_asking(place: BinancePlace) -> None:
    place.bench.server.faults.add(Slow(after_s=3), ORDER)
    begun = place.bench.clock.now()
    assert (await place.venue.submit(request(quantity="2", stop_loss="90"))).status is OrderStatus.FILLED
    assert (place.bench.clock.now() - begun).total_seconds() < 2
    assert await statuses(place) == {"-sl": OrderStatus.OPEN}


@on_binance()
async def test_an_order_that_arrives_after_its_window_is_refused_by_the_exchange(place: BinancePlace) -> None:
    place.bench.server.faults.add(Slow(before_s=6), ORDER)
    with pytest.raises(VenueUnavailable):
        await place.venue.submit(request(quantity="2"))
    await settle(place, 10)
    assert await place.venue.fetch_order(request().client_order_id) is None
    assert await fills(place) == []


@on_binance(skew_ms=90_000)
async def test_a_clock_that_is_wrong_by_minutes_is_measured(place: BinancePlace) -> None:
    assert (await place.venue.submit(request(quantity="2", stop_loss="90"))).status is OrderStatus.FILLED
    assert await statuses(place) == {"-sl": OrderStatus.OPEN}


@on_binance()
async def test_a_clock_that_jumps_is_measured_again(place: BinancePlace) -> None:
    place.bench.clock.skew_ms = -40_000
    with suppress(VenueUnavailable):
        await place.venue.submit(request(quantity="2"))
    assert (await place.venue.submit(request(quantity="2"))).status is OrderStatus.FILLED


@on_binance()
async def test_protection_does_not_wait_for_a_clock_that_cannot_be_measured(place: BinancePlace) -> None:
    faults = place.bench.server.faults
    faults.add(Refuse(ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")), OCO)
    faults.add(Hang(accepted=False), When("GET", "/api/v3/time"), times=None)
    begun = place.bench.clock.now()
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    assert await statuses(place) == {"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN}
    assert faults.hits
    assert (place.bench.clock.now() - begun).total_seconds() < 5
    assert max(posts(place)) == 1


@on_binance()
async def test_every_request_carries_one_of_our_ids(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    await place.venue.submit(request("sell", "1", source="ticket:2", reduce=True))
    for call in place.bench.server.requests:
        if call.method == "POST":
            assert call.client_ids
            assert all(each.startswith("tc-") for each in call.client_ids)


@on_binance()
async def test_a_market_order_never_carries_a_price_or_a_quote_amount(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2"))
    [sent] = [call for call in place.bench.server.requests if call.method == "POST"]
    assert {"price", "quoteOrderQty"}.isdisjoint(sent.params)


# Protection.


@pytest.mark.parametrize(("fault", "stands"), UNKNOWN)
@on_binance()
async def test_protection_without_a_clear_answer_stands_or_the_position_is_closed(
    place: BinancePlace, fault: Any, stands: bool
) -> None:
    place.bench.server.faults.add(fault, OCO)
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    begun = place.bench.clock.now()
    await settle(place)
    account = place.bench.server.account
    resting = [each for each in place.bench.open_at_exchange() if each.is_stop]
    held = account.wallet.total("BTC")
    assert sum((each.remaining for each in resting), D(0)) == held
    assert max(posts(place)) == 1
    assert (place.bench.clock.now() - begun).total_seconds() <= 8


@on_binance()
async def test_protection_that_is_never_accepted_closes_the_position_in_time_and_tells(place: BinancePlace) -> None:
    place.bench.server.faults.add(Refuse(ApiError(-2010, "This action is disabled on this account.")), OCO, times=None)
    began = place.bench.clock.now()
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    assert (place.bench.clock.now() - began).total_seconds() < 5
    assert place.bench.server.account.wallet.total("BTC") == 0
    assert [each.code for each in place.venue.incidents()] == [Incident.CLOSED_UNPROTECTED]
    assert len(await fills(place)) == 2
    assert (await order(place, request(), "-sl")).status is OrderStatus.FILLED
    assert await statuses(place) == {}


@on_binance()
async def test_protection_that_cannot_be_read_back_closes_the_position(place: BinancePlace) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")

    def asks_for_a_child(call: Any) -> bool:
        return call.method == "GET" and call.text("orderId") in ("2", "3")

    place.bench.server.faults.add(Html(502), When(path="/order", test=asks_for_a_child), times=None)
    place.bench.server.faults.add(Html(502), When("DELETE"), times=None)
    await place.venue.submit(sent)
    assert place.bench.server.account.wallet.total("BTC") == 2
    place.bench.server.faults.clear()
    await settle(place)
    resting = [each for each in place.bench.open_at_exchange() if each.is_stop]
    assert sum((each.remaining for each in resting), D(0)) == place.bench.server.account.wallet.total("BTC")


@on_binance()
async def test_a_stop_that_the_market_passed_before_it_was_placed_closes_at_once(place: BinancePlace) -> None:
    server = place.bench.server
    server.faults.add(Slow(after_s=0.3), ORDER)
    sent = request(quantity="2", stop_loss="97")
    task = asyncio.create_task(place.venue.submit(sent))
    await asyncio.sleep(0.2)
    place.bench.move("95")
    await task
    assert server.account.wallet.total("BTC") == 0
    assert [each.code for each in place.venue.incidents()] == [Incident.STOP_PASSED]


@on_binance()
async def test_a_target_that_the_market_passed_before_it_was_placed_is_taken(place: BinancePlace) -> None:
    server = place.bench.server
    server.faults.add(Slow(after_s=0.3), ORDER)
    task = asyncio.create_task(place.venue.submit(request(quantity="2", stop_loss="90", take_profit="103")))
    await asyncio.sleep(0.2)
    place.bench.move("105")
    await task
    assert server.account.wallet.total("BTC") == 0
    assert [each.code for each in place.venue.incidents()] == [Incident.TARGET_PASSED]
    assert (await order(place, request(), "-tp")).status is OrderStatus.FILLED


@on_binance()
async def test_protection_that_disappears_is_placed_again_and_told(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90"))
    server = place.bench.server
    [stop] = place.bench.open_at_exchange()
    server.spot.cancel(stop)
    await settle(place)
    assert [each.stop_price for each in place.bench.open_at_exchange()] == [D(90)]
    assert [each.code for each in place.venue.incidents()] == [Incident.PROTECTION_MISSING]


@on_binance()
async def test_protection_that_was_missing_at_a_restart_is_placed(place: BinancePlace) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    place.bench.server.faults.add(Hang(accepted=True), ORDER)
    task = asyncio.create_task(place.venue.submit(sent))
    await asyncio.sleep(0.1)
    dead, place.bench.session = place.bench.session, InProcessSession(place.bench.server)
    dead.is_cut = True
    task.cancel()
    await place.bench.restart()
    assert await statuses(place) == {"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN}
    before = list(await place.venue.open_orders())
    await place.bench.restart()
    assert list(await place.venue.open_orders()) == before
    assert max(posts(place)) == 1


@on_binance()
async def test_a_start_that_is_tried_again_asks_only_for_what_it_does_not_know(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    await place.bench.stop()
    place.bench.venue = place.bench.open()
    place.bench.server.faults.add(Html(503, accepted=False), When("GET", "/order"), times=2)
    before = len(place.bench.server.requests)
    with pytest.raises(VenueUnavailable):
        await place.venue.start()
    await place.venue.start()
    asked = place.bench.server.requests[before:]
    assert sum(each.path.endswith("/time") for each in asked) == 1
    assert sum(each.path.endswith("/exchangeInfo") and bool(each.text("symbol")) for each in asked) == 1
    assert await statuses(place) == {"-sl": OrderStatus.OPEN, "-tp": OrderStatus.OPEN}


@on_binance()
async def test_protection_survives_our_death(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    await place.bench.stop()
    place.bench.session.is_cut = True
    place.bench.move("89")
    assert place.bench.server.account.wallet.total("BTC") == 0


@on_binance()
async def test_protection_stands_within_the_bound_when_nothing_is_told(place: BinancePlace) -> None:
    sent = request(quantity="2", kind="limit", price="95", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    place.bench.move("94.5")  # no event reaches the venue: only its own looking finds it
    await asyncio.sleep(4)
    assert [each.status for each in place.bench.open_at_exchange()] == ["NEW", "NEW"]


@on_binance()
async def test_a_dead_market_data_answer_refuses_a_protected_market_order(place: BinancePlace) -> None:
    place.bench.server.faults.add(Html(502), When(path="/ticker/bookTicker"), times=None)
    with pytest.raises(VenueUnavailable):
        await place.venue.submit(request(quantity="2", stop_loss="90"))
    assert posts(place) == []


# Cancels.


@on_binance()
async def test_a_cancel_that_loses_to_a_fill_tells_the_fill_and_protects_it(place: BinancePlace) -> None:
    sent = request(quantity="2", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    place.bench.server.faults.add(FillFirst(), When("DELETE", "/order"))
    told = await place.venue.cancel(sent.client_order_id)
    assert told.status is OrderStatus.FILLED
    assert await statuses(place) == {"-sl": OrderStatus.OPEN}


@on_binance()
async def test_a_cancel_that_meets_a_partial_fill_protects_what_filled(place: BinancePlace) -> None:
    sent = request(quantity="2", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    place.bench.server.faults.add(FillFirst(D("0.5")), When("DELETE", "/order"))
    told = await place.venue.cancel(sent.client_order_id)
    assert (told.status, told.filled_quantity) == (OrderStatus.CANCELLED, D(1))
    assert (await order(place, sent, "-sl")).request.quantity == D(1)


@pytest.mark.parametrize("fault", [Hang(accepted=True), Reset(accepted=True), Truncate(), Empty(), Html(502, True)])
@on_binance()
async def test_a_cancel_without_an_answer_is_settled_by_reading(place: BinancePlace, fault: Any) -> None:
    sent = request(quantity="2", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    place.bench.server.faults.add(fault, When("DELETE", "/order"))
    assert (await place.venue.cancel(sent.client_order_id)).status is OrderStatus.CANCELLED


@on_binance()
async def test_a_cancel_that_never_gets_through_is_not_called_done(place: BinancePlace) -> None:
    sent = request(quantity="2", kind="limit", price="95")
    await place.venue.submit(sent)
    place.bench.server.faults.add(Html(502), When("DELETE", "/order"), times=None)
    with pytest.raises(VenueUnavailable):
        await place.venue.cancel(sent.client_order_id)
    place.bench.server.faults.clear()
    assert (await order(place, sent)).status is OrderStatus.OPEN


# Reads.


@pytest.mark.parametrize("fault", [Html(502), Reset(), Empty(), Truncate(announces_whole=False), Hang()])
@on_binance()
async def test_a_failed_read_never_counts_as_nothing_there(place: BinancePlace, fault: Any) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    place.bench.server.faults.add(fault, When("GET"), times=None)
    await asyncio.sleep(0.6)  # what was looked at just now is no longer the present
    for read in (place.venue.open_orders, place.venue.balances, lambda: place.venue.fills(0)):
        with pytest.raises(VenueUnavailable):
            await read()
    with pytest.raises(VenueUnavailable):
        await place.venue.fetch_order(request().client_order_id + "-sl")
    assert place.bench.server.account.wallet.total("BTC") == 2


@on_binance()
async def test_an_empty_list_of_open_orders_is_checked_order_by_order(
    place: BinancePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await place.venue.submit(request(kind="limit", price=str(95 - number), source=f"ticket:{number}"))
    await asyncio.sleep(2)
    answer = place.bench.server.gateway.answer

    def forgets(call: Any) -> Any:
        status, body = answer(call)
        return (status, []) if call.path.endswith("/openOrders") else (status, body)

    monkeypatch.setattr(place.bench.server.gateway, "answer", forgets)
    assert len(list(await place.venue.open_orders())) == 4


@on_binance()
async def test_balances_that_are_no_list_are_no_balances(place: BinancePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = place.bench.server.gateway.answer

    def forgets(call: Any) -> Any:
        status, body = answer(call)
        return (status, {**body, "balances": []}) if call.path.endswith("/account") else (status, body)

    monkeypatch.setattr(place.bench.server.gateway, "answer", forgets)
    with pytest.raises(VenueUnavailable):
        await place.venue.balances()


@on_binance()
async def test_a_read_is_tried_again(place: BinancePlace) -> None:
    place.bench.server.faults.add(Html(502), When(path="/account"), times=2)
    assert (await place.venue.balances())["USDT"] == 100_000


@on_binance()
async def test_maintenance_is_outlived(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", kind="limit", price="95", stop_loss="90"))
    place.bench.server.faults.add(Maintenance(60), When())
    await asyncio.sleep(3)
    with pytest.raises(VenueUnavailable):
        await place.venue.open_orders()
    place.bench.move("94")
    await settle(place, 70)
    assert await statuses(place) == {"-sl": OrderStatus.OPEN}


@on_binance()
async def test_after_429_nothing_is_sent_before_its_time(place: BinancePlace) -> None:
    place.bench.server.faults.add(Refuse(ApiError(-1003, "Too many requests.", 429)), When(path="/account"))
    with pytest.raises(VenueUnavailable):
        await place.venue.balances()
    assert place.venue.limiter.paused_until is not None
    count, begun = len(place.bench.server.requests), place.bench.clock.now()
    await place.venue.balances()
    later = place.bench.server.requests[count]
    assert later.at_ms - begun.timestamp() * 1000 >= 900


@on_binance()
async def test_an_unknown_order_on_the_account_is_told_at_the_start(place: BinancePlace) -> None:
    from tests.binance.orders import Order

    server = place.bench.server
    stranger = Order(server.account, "BTCUSDT", "BUY", "LIMIT", D(1), price=D(90), client_id="by-hand", tif="GTC")
    server.spot.place(stranger)
    await place.bench.restart()
    [told] = place.venue.incidents()
    assert (told.code, told.client_order_id) == (Incident.UNKNOWN_ORDER, "by-hand")


@on_binance()
async def test_a_fill_is_told_once_however_often_it_is_read(place: BinancePlace) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90"))
    for _ in range(3):
        place.venue.nudge()
        await place.advance()
        await asyncio.sleep(1)
    assert len(await fills(place)) == 1


@on_binance()
async def test_a_thousand_sends_of_one_order_make_one(place: BinancePlace) -> None:
    sent = request(quantity="2", stop_loss="90")
    answers = await asyncio.gather(*(place.venue.submit(sent) for _ in range(1000)))
    assert {each.venue_order_id for each in answers} == {answers[0].venue_order_id}
    assert posts(place) == [1, 1]
