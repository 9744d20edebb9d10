"""Protection: replaced in one step, never more than what is held, and trailing behind the price."""

from contextlib import suppress
from pathlib import Path

import pytest

from agents.execution.values import IntentState
from engine.domain.errors import InvalidRequest, OrderRejected, OrderUncertain, VenueUnavailable
from engine.domain.orders import OrderStatus, OrderType
from tests.agents.execution.fakes import D, FaultyVenue, request
from tests.agents.execution.place import Place, check_books, send


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


ENTRY = request().client_order_id


async def standing(place: Place) -> dict[str, tuple[str, str]]:
    orders = await place.venue.open_orders()
    return {
        each.request.client_order_id.removeprefix(ENTRY): (
            str(each.request.price),
            f"{each.request.quantity.normalize():f}",
        )
        for each in orders
        if each.parent_id == ENTRY
    }


async def test_protection_is_replaced_under_new_ids_and_what_stands_stays(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="2", stop_loss="90", take_profit="120"))
    told = await desk.protect(ENTRY, stop_loss=D(95), take_profit=D(120))
    assert [each.request.client_order_id for each in told] == [f"{ENTRY}-tp", f"{ENTRY}-sl2"]
    assert await standing(place) == {"-tp": ("120", "2"), "-sl2": ("95", "2")}
    assert await desk.protect(ENTRY, stop_loss=D(95), take_profit=D(120)) == told
    await desk.protect(ENTRY, stop_loss=D(96), take_profit=None)
    assert await standing(place) == {"-sl3": ("96", "2")}
    await desk.protect(ENTRY, stop_loss=None, take_profit=None)
    assert await standing(place) == {}
    await desk.protect(ENTRY, stop_loss=D(91), take_profit=None)
    place.market.minute("100", "100", "90", "90")
    await check_books(desk, place.venue)
    assert (await desk.account()).positions == {}
    ended = await place.venue.fetch_order(f"{ENTRY}-sl")
    assert ended is not None
    assert (ended.status, ended.reason) == (OrderStatus.CANCELLED, "replaced")


async def test_protection_can_be_given_to_an_order_that_had_none(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2"), book="atlas")
    await desk.protect(ENTRY, stop_loss=D(90), take_profit=None)
    assert await standing(place) == {"-sl": ("90", "2")}
    [stop] = await desk.open_orders("atlas")
    assert stop.request.order_type is OrderType.STOP
    place.market.minute("100", "100", "89", "90")
    await check_books(desk, place.venue)
    assert [trade.book for trade in await desk.trades()] == ["atlas", "atlas"]


@pytest.mark.parametrize(
    ("stop", "target", "code"),
    [("101", None, "price_side"), (None, "99", "price_side"), ("90.05", None, "tick"), ("-1", None, "tick")],
)
async def test_a_wrong_price_changes_nothing(place: Place, stop: str | None, target: str | None, code: str) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="2", stop_loss="90"))
    prices = [None if each is None else D(each) for each in (stop, target)]
    with pytest.raises(OrderRejected, match=code):
        await desk.protect(ENTRY, stop_loss=prices[0], take_profit=prices[1])
    assert await standing(place) == {"-sl": ("90", "2")}


async def test_nothing_held_is_not_protected(place: Place) -> None:
    desk = await place.desk()
    with pytest.raises(OrderRejected, match="unknown_order"):
        await desk.protect(ENTRY, stop_loss=D(90), take_profit=None)
    await send(desk, request(kind="limit", price="95", stop_loss="90"))
    with pytest.raises(OrderRejected, match="nothing_held"):
        await desk.protect(ENTRY, stop_loss=D(91), take_profit=None)
    with pytest.raises(OrderRejected, match="unknown_order"):
        await desk.protect(f"{ENTRY}-sl", stop_loss=D(91), take_profit=None)
    with pytest.raises(OrderRejected, match="nothing_held"):
        await place.venue.protect(ENTRY, stop_loss=D(91), take_profit=None)


async def test_what_the_book_sold_otherwise_is_not_protected_again(place: Place) -> None:
    desk = await place.desk("atlas", "nova")
    await send(desk, request(quantity="2"), book="atlas")
    await send(desk, request(quantity="2", source="ticket:2"), "ticket:2", "nova")
    await send(desk, request("sell", "2", source="ticket:3"), "ticket:3", "atlas")
    with pytest.raises(OrderRejected, match="nothing_held"):
        await desk.protect(ENTRY, stop_loss=D(90), take_profit=None)


async def test_protection_covers_what_filled_and_grows_with_its_entry(place: Place) -> None:
    place.market.minute("100", "100", "100", "100", volume="2")
    desk = await place.desk()
    await send(desk, request(kind="limit", quantity="5", price="101", stop_loss="90"))
    await desk.protect(ENTRY, stop_loss=D(92), take_profit=None)
    assert await standing(place) == {"-sl2": ("92", "1")}
    place.market.minute("100", "100", "100", "100", volume="4")
    assert await standing(place) == {"-sl2": ("92", "3")}
    await check_books(desk, place.venue)


async def test_closing_what_filled_leaves_the_rest_of_the_entry_protected_when_it_comes(place: Place) -> None:
    place.market.minute("100", "100", "100", "100", volume="2")
    desk = await place.desk()
    await send(desk, request(kind="limit", quantity="5", price="101", stop_loss="90"))
    await send(desk, request("sell", "1", reduce=True, source="ticket:2"), "ticket:2")
    assert (await place.venue.balances())["BTC"] == 0
    place.market.minute("100", "100", "100", "100", volume="4")
    held = (await place.venue.balances())["BTC"]
    assert held > 0
    assert await standing(place) == {"-sl": ("90", f"{held.normalize():f}")}


async def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2", stop_loss="90", take_profit="150"), book="atlas")
    await desk.trail(ENTRY, distance=D("0.1"), activation=D(105))
    assert (await standing(place))["-sl"][0] == "90"
    stops = []
    for price in ("104", "110", "107", "120", "115"):
        place.market.minute(price, price, price, price)
        desk = await place.desk()  # a restart between any two prices
        stops.append((await desk.positions("atlas"))[0].stop_loss)
    assert stops == [D(90), D("98.9"), D("98.9"), D("107.9"), D("107.9")]
    assert (await desk.positions("atlas"))[0].take_profit == 150
    place.market.minute("115", "115", "100", "101")
    await desk.reconcile()
    assert (await desk.account("atlas")).positions == {}
    await desk.watch()
    assert desk.trails() == {}
    await check_books(desk, place.venue)


async def test_a_trailing_stop_of_a_short_follows_downwards(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request("sell", "2", symbol="XAUUSD", stop_loss="60"))
    await desk.trail(ENTRY, distance=D("0.1"))
    place.market.mids["XAUUSD"] = D(40)
    await desk.watch()
    assert (await desk.positions())[0].stop_loss == D("44.2")
    place.market.mids["XAUUSD"] = D(42)
    await desk.watch()
    assert (await desk.positions())[0].stop_loss == D("44.2")
    desk.untrail(ENTRY)
    place.market.mids["XAUUSD"] = D(30)
    await desk.watch()
    assert (await desk.positions())[0].stop_loss == D("44.2")


@pytest.mark.parametrize("distance", ["0", "1", "-0.1", "NaN"])
async def test_a_trailing_distance_that_makes_no_sense_is_refused(place: Place, distance: str) -> None:
    desk = await place.desk()
    with pytest.raises(InvalidRequest):
        await desk.trail(ENTRY, distance=D(distance))


async def test_a_stop_stands_whatever_fails_while_it_is_moved(place: Place) -> None:
    desk = await place.desk()
    assert (await send(desk, request(quantity="2", stop_loss="90"))).state is IntentState.DONE
    for seed in range(20):
        venue = FaultyVenue(place.venue, seed, 0.5)
        venue.is_healthy = True
        shaky = await place.desk(venue=venue)
        venue.is_healthy = False
        with suppress(OrderUncertain, VenueUnavailable):
            await shaky.protect(ENTRY, stop_loss=D(91 + seed % 3), take_profit=None)
        stops = await standing(place)
        assert len(stops) == 1
        assert next(iter(stops.values()))[1] == "2"
    assert await (await place.desk()).reconcile() == ()
