"""What the desk relies on, checked alike on the paper venue and on Binance."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from engine.domain.errors import OrderRejected
from engine.domain.orders import OrderStatus, OrderType, Side
from tests.agents.execution.binance.places import CASH, D, Place, fills, on_both, order, statuses
from tests.agents.execution.fakes import request

OPEN, WAITING, FILLED, CANCELLED = (OrderStatus.OPEN, OrderStatus.WAITING, OrderStatus.FILLED, OrderStatus.CANCELLED)


# Submitting.


@on_both
async def test_a_market_buy_fills_at_once_at_the_ask(place: Place) -> None:
    answer = await place.venue.submit(request(quantity="2"))
    assert (answer.status, answer.filled_quantity, answer.average_price) == (FILLED, D(2), D("100.1"))


@on_both
async def test_an_answer_carries_the_request_as_it_was(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    assert (await place.venue.submit(sent)).request == sent


@on_both
async def test_a_market_sell_fills_at_the_bid(place: Place) -> None:
    await place.venue.submit(request(quantity="2"))
    answer = await place.venue.submit(request("sell", "2", source="ticket:2"))
    assert (answer.status, answer.average_price) == (FILLED, D("99.9"))


@on_both
async def test_a_limit_away_from_the_market_rests(place: Place) -> None:
    answer = await place.venue.submit(request(kind="limit", price="95"))
    assert (answer.status, answer.filled_quantity, answer.average_price) == (OPEN, D(0), None)


@on_both
async def test_a_limit_through_the_market_fills_at_once_at_the_better_price(place: Place) -> None:
    answer = await place.venue.submit(request(kind="limit", price="105"))
    assert (answer.status, answer.average_price) == (FILLED, D("100.1"))


@on_both
async def test_a_resting_limit_fills_when_the_market_comes(place: Place) -> None:
    sent = request(kind="limit", price="95")
    await place.venue.submit(sent)
    await place.goes("94")
    assert (await order(place, sent)).status is FILLED
    [fill] = await fills(place)
    assert (fill.price, fill.is_maker) == (D(95), True)


@on_both
async def test_a_buy_stop_waits_for_its_price(place: Place) -> None:
    sent = request(kind="stop", price="105")
    assert (await place.venue.submit(sent)).status is OPEN
    await place.goes("104")
    assert await fills(place) == []
    await place.goes("106")
    assert (await order(place, sent)).status is FILLED


@on_both
async def test_a_sell_stop_sells_when_the_market_falls(place: Place) -> None:
    await place.venue.submit(request())
    sent = request("sell", kind="stop", price="95", source="ticket:2")
    await place.venue.submit(sent)
    await place.goes("94")
    assert (await order(place, sent)).status is FILLED


@on_both
async def test_a_known_id_returns_its_order_and_makes_no_second(place: Place) -> None:
    first = await place.venue.submit(request(quantity="2"))
    assert await place.venue.submit(request(quantity="7", side="sell")) == first
    assert len(await fills(place)) == 1


@on_both
async def test_a_known_resting_id_returns_its_order(place: Place) -> None:
    first = await place.venue.submit(request(kind="limit", price="95"))
    assert await place.venue.submit(request(kind="limit", price="95")) == first


@on_both
async def test_a_known_id_is_known_after_a_restart(place: Place) -> None:
    first = await place.venue.submit(request(quantity="2"))
    await place.restart()
    assert await place.venue.submit(request(quantity="2")) == first
    assert len(await fills(place)) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": "0.015"}, "lot"),
        ({"quantity": "0.01"}, "min_notional"),
        ({"symbol": "PEPE/USDT"}, "symbol"),
        ({"kind": "limit", "price": "99.95"}, "tick"),
        ({"kind": "limit"}, "price_missing"),
        ({"price": "100"}, "price_unexpected"),
        ({"quantity": "0"}, "quantity"),
        ({"stop_loss": "101"}, "protection_side"),
        ({"take_profit": "99"}, "protection_side"),
        ({"kind": "limit", "price": "95", "stop_loss": "96"}, "protection_side"),
        ({"kind": "stop", "price": "99"}, "price_side"),
        ({"stop_loss": "90.05"}, "tick"),
    ],
)
@on_both
async def test_an_order_against_the_rules_is_rejected_and_leaves_nothing(
    place: Place, change: dict[str, str], code: str
) -> None:
    bad = request(**change)  # type: ignore[arg-type]  # the table holds the names of its arguments
    with pytest.raises(OrderRejected) as refusal:
        await place.venue.submit(bad)
    assert code in refusal.value.codes
    assert await place.venue.fetch_order(bad.client_order_id) is None
    assert list(await place.venue.open_orders()) == []
    assert await fills(place) == []


@on_both
async def test_a_buy_beyond_the_cash_leaves_the_cash(place: Place) -> None:
    with suppress(OrderRejected):
        assert (await place.venue.submit(request(quantity="2000"))).status.is_final
    assert (await place.venue.balances()).get("BTC", D(0)) * D("100.1") <= CASH


# Fetching and listing.


@on_both
async def test_an_unknown_id_is_surely_not_there(place: Place) -> None:
    assert await place.venue.fetch_order("tc-unknown") is None


@on_both
async def test_fetching_twice_tells_the_same(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    assert await order(place, sent) == await order(place, sent)
    assert await order(place, sent, "-sl") == await order(place, sent, "-sl")


@on_both
async def test_open_orders_come_oldest_first_with_waiting_children(place: Place) -> None:
    await place.venue.submit(request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    await place.venue.submit(request(kind="limit", price="94", source="ticket:2"))
    shown = list(await place.venue.open_orders())
    assert [each.status for each in shown] == [OPEN, WAITING, WAITING, OPEN]
    assert [each.parent_id is not None for each in shown] == [False, True, True, False]


@on_both
async def test_a_final_order_is_not_open_but_can_be_fetched(place: Place) -> None:
    await place.venue.submit(request())
    assert list(await place.venue.open_orders()) == []
    assert (await order(place, request())).status is FILLED


@on_both
async def test_resting_orders_survive_a_restart(place: Place) -> None:
    await place.venue.submit(request(kind="limit", price="95", stop_loss="90"))
    before = list(await place.venue.open_orders())
    await place.restart()
    assert list(await place.venue.open_orders()) == before


# Cancelling.


@on_both
async def test_cancelling_takes_what_rests(place: Place) -> None:
    sent = request(kind="limit", price="95")
    await place.venue.submit(sent)
    assert (await place.venue.cancel(sent.client_order_id)).status is CANCELLED
    await place.goes("90")
    assert await fills(place) == []


@on_both
async def test_cancelling_tells_that_it_was_asked_for(place: Place) -> None:
    sent = request(kind="limit", price="95")
    await place.venue.submit(sent)
    assert (await place.venue.cancel(sent.client_order_id)).reason == "cancelled"


@on_both
async def test_cancelling_twice_is_harmless(place: Place) -> None:
    sent = request(kind="limit", price="95")
    await place.venue.submit(sent)
    first = await place.venue.cancel(sent.client_order_id)
    assert await place.venue.cancel(sent.client_order_id) == first


@on_both
async def test_cancelling_a_filled_order_changes_nothing(place: Place) -> None:
    filled = await place.venue.submit(request())
    assert await place.venue.cancel(request().client_order_id) == filled


@on_both
async def test_cancelling_an_unknown_order_is_rejected(place: Place) -> None:
    with pytest.raises(OrderRejected, match="unknown_order"):
        await place.venue.cancel("tc-unknown")


@on_both
async def test_cancelling_an_unfilled_entry_takes_its_children(place: Place) -> None:
    sent = request(kind="limit", price="95", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.venue.cancel(sent.client_order_id)
    for suffix in ("-sl", "-tp"):
        child = await order(place, sent, suffix)
        assert (child.status, child.reason) == (CANCELLED, "parent_cancelled")
    assert list(await place.venue.open_orders()) == []


@on_both
async def test_cancelling_a_stop_leaves_the_target(place: Place) -> None:
    sent = request(stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    assert (await place.venue.cancel(sent.client_order_id + "-sl")).status is CANCELLED
    assert await statuses(place) == {"-tp": OPEN}
    await place.goes("85", "111")
    assert [fill.price for fill in await fills(place)] == [D("100.1"), D(110)]


@on_both
async def test_cancelling_a_target_leaves_the_stop(place: Place) -> None:
    sent = request(stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.venue.cancel(sent.client_order_id + "-tp")
    assert await statuses(place) == {"-sl": OPEN}
    await place.goes("115", "89")
    assert [fill.side for fill in await fills(place)] == [Side.BUY, Side.SELL]


@on_both
async def test_a_partly_filled_order_keeps_what_filled_when_cancelled(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    gone = await place.venue.cancel(sent.client_order_id)
    assert (gone.status, gone.filled_quantity) == (CANCELLED, D(1))


# Protection.


@on_both
async def test_children_have_our_ids_prices_and_parent(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    stop, target = await order(place, sent, "-sl"), await order(place, sent, "-tp")
    assert (stop.request.order_type, stop.request.price, stop.parent_id) == (
        OrderType.STOP,
        D(90),
        sent.client_order_id,
    )
    assert (target.request.order_type, target.request.price, target.parent_id) == (
        OrderType.LIMIT,
        D(110),
        sent.client_order_id,
    )
    assert stop.request.side is target.request.side is Side.SELL
    assert stop.request.is_reduce_only
    assert target.request.is_reduce_only


@on_both
async def test_protection_stands_once_a_market_entry_filled(place: Place) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    assert await statuses(place) == {"-sl": OPEN, "-tp": OPEN}


@on_both
async def test_protection_waits_until_a_limit_entry_fills(place: Place) -> None:
    await place.venue.submit(request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    assert await statuses(place) == {"": OPEN, "-sl": WAITING, "-tp": WAITING}
    await place.goes("94.5")
    assert await statuses(place) == {"-sl": OPEN, "-tp": OPEN}


@on_both
async def test_a_stop_alone_protects(place: Place) -> None:
    await place.venue.submit(request(stop_loss="90"))
    assert await statuses(place) == {"-sl": OPEN}
    await place.goes("89")
    assert list(await place.venue.open_orders()) == []
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_a_target_alone_sells_there(place: Place) -> None:
    await place.venue.submit(request(take_profit="110"))
    assert await statuses(place) == {"-tp": OPEN}
    await place.goes("111")
    assert [fill.price for fill in await fills(place)] == [D("100.1"), D(110)]


@on_both
async def test_the_stop_closes_and_takes_the_target_along(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.goes("89")
    assert (await order(place, sent, "-sl")).status is FILLED
    assert (await order(place, sent, "-tp")).status is CANCELLED
    assert list(await place.venue.open_orders()) == []
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_the_target_closes_and_takes_the_stop_along(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.goes("111")
    assert (await order(place, sent, "-tp")).status is FILLED
    assert (await order(place, sent, "-sl")).status is CANCELLED
    assert list(await place.venue.open_orders()) == []


@on_both
async def test_a_fill_of_a_child_carries_its_id(place: Place) -> None:
    sent = request(stop_loss="90")
    await place.venue.submit(sent)
    await place.goes("89")
    assert [fill.client_order_id[29:] for fill in await fills(place)] == ["", "-sl"]


@on_both
async def test_protection_covers_only_what_filled(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    stop = await order(place, sent, "-sl")
    assert (stop.status, stop.request.quantity) == (OPEN, D(1))


@on_both
async def test_protection_grows_with_further_fills(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    await place.trades("95", "2")
    assert (await order(place, sent, "-sl")).request.quantity == D(3)
    assert (await order(place, sent, "-tp")).request.quantity == D(3)
    await place.trades("95", "1")
    await place.goes("111")
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_protection_stays_when_the_rest_of_its_entry_is_cancelled(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    await place.venue.cancel(sent.client_order_id)
    assert await statuses(place) == {"-sl": OPEN}
    await place.goes("89")
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_a_stop_that_triggers_ends_the_rest_of_its_entry(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95", stop_loss="90")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    own = await order(place, sent)
    assert own.status is OrderStatus.PARTIAL
    await place.venue.cancel(sent.client_order_id)
    await place.goes("96", "89")
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_protection_survives_a_restart(place: Place) -> None:
    await place.venue.submit(request(stop_loss="90", take_profit="110"))
    await place.restart()
    assert await statuses(place) == {"-sl": OPEN, "-tp": OPEN}
    await place.goes("89")
    assert list(await place.venue.open_orders()) == []


@on_both
async def test_closing_by_hand_takes_the_protection_away(place: Place) -> None:
    sent = request(stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    await place.venue.submit(request("sell", source="ticket:2", reduce=True))
    assert list(await place.venue.open_orders()) == []
    assert (await order(place, sent, "-sl")).reason == "position_closed"
    await place.goes("85", "115")
    assert len(await fills(place)) == 2


@on_both
async def test_a_reduce_only_order_sells_no_more_than_is_there(place: Place) -> None:
    await place.venue.submit(request(quantity="2"))
    closing = request("sell", "5", source="ticket:2", reduce=True)
    await place.venue.submit(closing)
    closed = await order(place, closing)
    assert (closed.status, closed.filled_quantity) == (CANCELLED, D(2))
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_protecting_again_replaces_the_prices_under_new_ids(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    standing = await place.venue.protect(sent.client_order_id, stop_loss=D(95), take_profit=D(110))
    assert {each.request.price for each in standing} == {D(95), D(110)}
    assert "-sl2" in await statuses(place)
    await place.goes("94")
    assert (await place.venue.balances()).get("BTC", D(0)) == 0


@on_both
async def test_protecting_with_the_same_prices_changes_nothing(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    before = list(await place.venue.open_orders())
    await place.venue.protect(sent.client_order_id, stop_loss=D(90), take_profit=D(110))
    assert list(await place.venue.open_orders()) == before


@on_both
async def test_protecting_what_had_no_protection(place: Place) -> None:
    sent = request(quantity="2")
    await place.venue.submit(sent)
    await place.venue.protect(sent.client_order_id, stop_loss=D(95), take_profit=None)
    assert await statuses(place) == {"-sl": OPEN}
    await place.goes("94")
    assert list(await place.venue.open_orders()) == []


@on_both
async def test_protecting_with_nothing_takes_the_protection_away(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90", take_profit="110")
    await place.venue.submit(sent)
    assert list(await place.venue.protect(sent.client_order_id, stop_loss=None, take_profit=None)) == []
    assert list(await place.venue.open_orders()) == []
    await place.goes("89")
    assert len(await fills(place)) == 1


@on_both
async def test_protecting_on_the_wrong_side_keeps_what_stood(place: Place) -> None:
    sent = request(quantity="2", stop_loss="90")
    await place.venue.submit(sent)
    with pytest.raises(OrderRejected):
        await place.venue.protect(sent.client_order_id, stop_loss=D(105), take_profit=None)
    assert await statuses(place) == {"-sl": OPEN}
    assert (await order(place, sent, "-sl")).request.price == D(90)


@on_both
async def test_protecting_an_unknown_or_unfilled_order_is_rejected(place: Place) -> None:
    with pytest.raises(OrderRejected):
        await place.venue.protect("tc-unknown", stop_loss=D(90), take_profit=None)
    await place.venue.submit(request(kind="limit", price="95"))
    with pytest.raises(OrderRejected):
        await place.venue.protect(request().client_order_id, stop_loss=D(90), take_profit=None)


# Fills and balances.


@on_both
async def test_a_fill_tells_quantity_price_and_fee(place: Place) -> None:
    await place.venue.submit(request(quantity="2"))
    [fill] = await fills(place)
    assert (fill.symbol, fill.side, fill.quantity, fill.price) == ("BTC/USDT", Side.BUY, D(2), D("100.1"))
    assert (fill.fee, fill.fee_quantity, fill.is_maker) == (D("0.2002"), D(0), False)


@on_both
async def test_sequence_numbers_rise_and_never_repeat(place: Place) -> None:
    for number in range(3):
        await place.venue.submit(request(source=f"ticket:{number}"))
    sequences = [sequence for sequence, _ in await place.venue.fills(0)]
    assert sequences == sorted(set(sequences))
    await place.restart()
    assert [sequence for sequence, _ in await place.venue.fills(0)] == sequences
    await place.venue.submit(request(source="ticket:9"))
    [(later, _)] = await place.venue.fills(sequences[-1])
    assert later > sequences[-1]


@on_both
async def test_fills_after_a_sequence_leave_out_the_earlier_ones(place: Place) -> None:
    await place.venue.submit(request())
    await place.venue.submit(request("sell", source="ticket:2"))
    [first, second] = await place.venue.fills(0)
    assert await place.venue.fills(first[0]) == [second]
    assert list(await place.venue.fills(second[0])) == []


@on_both
async def test_fill_ids_are_unique(place: Place) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90"))
    await place.goes("89")
    ids = [fill.fill_id for fill in await fills(place)]
    assert len(ids) == len(set(ids)) == 2


@on_both
async def test_a_partial_fill_shows_in_the_order_and_the_fills(place: Place) -> None:
    sent = request(quantity="4", kind="limit", price="95")
    await place.venue.submit(sent)
    await place.trades("95", "1")
    found = await order(place, sent)
    assert (found.status, found.filled_quantity, found.average_price) == (OrderStatus.PARTIAL, D(1), D(95))
    assert [fill.quantity for fill in await fills(place)] == [D(1)]


@on_both
async def test_fills_add_up_to_the_balances(place: Place) -> None:
    await place.venue.submit(request(quantity="3", stop_loss="90"))
    await place.venue.submit(request("sell", "1", source="ticket:2", reduce=True))
    await place.goes("89")
    cash, held = CASH, D(0)
    for fill in await fills(place):
        cash -= fill.quantity * fill.price * fill.side.sign + fill.fee
        held += fill.quantity * fill.side.sign
    balances = await place.venue.balances()
    assert balances.get("USDT", balances.get("USD")) == cash
    assert balances.get("BTC", D(0)) == held == 0


@on_both
async def test_balances_are_whole_holdings_resting_orders_included(place: Place) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    await place.venue.submit(request(kind="limit", price="95", source="ticket:2"))
    balances = await place.venue.balances()
    assert balances["BTC"] == D(2)
    assert balances.get("USDT", balances.get("USD")) == CASH - D("200.2") - D("0.2002")


@on_both
async def test_looking_again_brings_nothing_new(place: Place) -> None:
    await place.venue.submit(request(quantity="2", stop_loss="90"))
    await place.goes("89")
    assert await place.advance() == 0
    before = await place.venue.fills(0)
    await place.restart()
    assert await place.advance() == 0
    assert await place.venue.fills(0) == before


@on_both
async def test_a_closing_order_takes_from_the_entries_that_it_names(place: Place) -> None:
    first = request(quantity="1", stop_loss="90", source="ticket:1")
    second = request(quantity="1", stop_loss="90", source="ticket:2")
    for entry in (first, second):
        await place.venue.submit(entry)
    closing = request("sell", "1", source="ticket:3", reduce=True)
    await place.venue.submit(replace(closing, takes=((second.client_order_id, D(1)),)))
    open_ids = [each.request.client_order_id for each in await place.venue.open_orders()]
    assert open_ids == [first.client_order_id + "-sl"]
