"""The paper venue: orders filling as prices arrive, protection, balances, and what survives a restart."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agents.execution.paper import PaperVenue
from engine.domain.errors import OrderRejected, VenueUnavailable
from engine.domain.orders import Fill, OrderStatus, VenueOrder
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, D, FakeMarket, open_database, request

EXACT = MatchingSettings(slippage_bps=D(0), participation_ratio=D("0.5"))


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture
def venue(tmp_path: Path, market: FakeMarket) -> PaperVenue:
    return open_venue(tmp_path, market)


def open_venue(path: Path, market: FakeMarket, cash: Decimal = CASH) -> PaperVenue:
    return PaperVenue(open_database(path / "paper.db"), market, starting_cash=cash, settings=EXACT)


async def fills(venue: PaperVenue, after: int = 0) -> Sequence[Fill]:
    return [fill for _, fill in await venue.fills(after)]


async def order(venue: PaperVenue, suffix: str = "", source: str = "ticket:1") -> VenueOrder:
    found = await venue.fetch_order(request(source=source).client_order_id + suffix)
    assert found is not None
    return found


async def test_a_market_order_fills_at_once_and_moves_the_balances(venue: PaperVenue) -> None:
    answer = await venue.submit(request(quantity="2"))
    assert (answer.status, answer.filled_quantity, answer.average_price) == (OrderStatus.FILLED, D(2), D("100.1"))
    assert await venue.balances() == {"USD": CASH - D("200.2") - D("0.2002"), "BTC": D(2)}
    [fill] = await fills(venue)
    assert (fill.price, fill.fee, fill.is_maker) == (D("100.1"), D("0.2002"), False)


async def test_a_known_id_returns_its_order_and_makes_no_second(venue: PaperVenue) -> None:
    first = await venue.submit(request(quantity="2"))
    assert await venue.submit(request(quantity="7", side="sell")) == first
    assert len(await fills(venue)) == 1


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (request(quantity="0.015"), "lot"),
        (request(kind="limit", price="99.95"), "tick"),
        (request(quantity="0.01"), "min_notional"),
        (request(symbol="PEPE/USDT"), "symbol"),
    ],
)
async def test_an_order_against_the_rules_is_rejected_and_leaves_nothing(
    venue: PaperVenue, bad: object, code: str
) -> None:
    with pytest.raises(OrderRejected) as refusal:
        await venue.submit(bad)  # type: ignore[arg-type]  # the table holds requests
    assert code in refusal.value.codes
    assert await venue.fetch_order(request().client_order_id) is None


async def test_without_a_price_nothing_is_accepted(venue: PaperVenue, market: FakeMarket) -> None:
    market.silent.add("BTC/USDT")
    with pytest.raises(VenueUnavailable):
        await venue.submit(request())
    assert await venue.fetch_order(request().client_order_id) is None


async def test_outside_the_session_market_orders_are_rejected_and_limits_rest(
    venue: PaperVenue, market: FakeMarket
) -> None:
    market.closed.add("XAUUSD")
    with pytest.raises(OrderRejected, match="market_closed"):
        await venue.submit(request(symbol="XAUUSD"))
    answer = await venue.submit(request(symbol="XAUUSD", kind="limit", price="51"))
    assert answer.status is OrderStatus.OPEN
    market.closed.clear()
    assert (await order(venue)).status is OrderStatus.FILLED


async def test_a_limit_fills_while_nobody_looks_also_across_a_restart(tmp_path: Path, market: FakeMarket) -> None:
    await open_venue(tmp_path, market).submit(request(kind="limit", price="95"))
    market.minute("100", "101", "96", "97")
    market.minute("97", "98", "94", "97")
    market.minute("97", "120", "97", "120")
    later = open_venue(tmp_path, market)
    [fill] = await fills(later)
    assert (fill.price, fill.is_maker, fill.at) == (D(95), True, market.present - timedelta(minutes=1))
    assert (await order(later)).status is OrderStatus.FILLED


async def test_prices_from_before_an_order_do_not_fill_it(venue: PaperVenue, market: FakeMarket) -> None:
    market.minute("100", "100", "80", "100")
    market.present += timedelta(seconds=30)
    await venue.submit(request(kind="limit", price="95"))
    market.present += timedelta(seconds=30)
    market.rows["BTC/USDT"].append(((market.present - timedelta(minutes=1)).timestamp(), 100, 100, 80, 100, 0))
    assert await fills(venue) == []
    market.minute("100", "100", "94", "100")
    assert len(await fills(venue)) == 1


async def test_a_large_order_fills_over_several_bars(venue: PaperVenue, market: FakeMarket) -> None:
    market.minute("100", "100", "100", "100", volume="4")
    answer = await venue.submit(request(quantity="5"))
    assert (answer.status, answer.filled_quantity) == (OrderStatus.PARTIAL, D(2))
    market.minute("100", "100", "100", "100", volume="2")
    assert (await order(venue)).filled_quantity == D(3)
    assert (await order(venue)).filled_quantity == D(3)  # looking again brings no more
    market.minute("100", "100", "100", "100", volume="8")
    assert (await order(venue)).status is OrderStatus.FILLED
    assert sum(each.quantity for each in await fills(venue)) == 5


async def test_protection_waits_then_the_stop_closes_and_the_target_goes(venue: PaperVenue, market: FakeMarket) -> None:
    await venue.submit(request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    statuses = [each.status for each in await venue.open_orders()]
    assert statuses == [OrderStatus.OPEN, OrderStatus.WAITING, OrderStatus.WAITING]
    market.minute("100", "120", "96", "96")  # the target's price, before the entry: nothing
    assert await fills(venue) == []
    market.minute("96", "97", "94", "96")
    assert [each.status for each in await venue.open_orders()] == [OrderStatus.OPEN, OrderStatus.OPEN]
    market.minute("96", "111", "89", "100")  # both touched: the stop counts
    assert [each.price for each in await fills(venue)] == [D(95), D(90)]
    assert (await order(venue, "-tp")).reason == "stop_triggered"
    assert await venue.open_orders() == []
    assert (await venue.balances())["BTC"] == 0


async def test_the_stop_counts_in_the_bar_of_the_entry_and_the_target_does_not(
    venue: PaperVenue, market: FakeMarket
) -> None:
    await venue.submit(request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    market.minute("100", "120", "94", "100")
    assert [each.price for each in await fills(venue)] == [D(95)]
    await venue.submit(request(kind="limit", price="95", stop_loss="90", source="ticket:2"))
    market.minute("100", "100", "85", "100")
    assert [each.price for each in await fills(venue, after=1)] == [D(95), D(90), D(90)]


async def test_the_target_closes_what_filled_and_the_stop_goes(venue: PaperVenue, market: FakeMarket) -> None:
    await venue.submit(request(quantity="2", stop_loss="90", take_profit="110"))
    market.minute("100", "111", "99", "110")
    assert [(each.price, each.quantity) for each in await fills(venue)] == [(D("100.1"), D(2)), (D(110), D(2))]
    assert (await order(venue, "-sl")).status is OrderStatus.CANCELLED
    assert await venue.open_orders() == []


async def test_protection_covers_only_what_filled(venue: PaperVenue, market: FakeMarket) -> None:
    market.minute("100", "100", "100", "100", volume="2")
    await venue.submit(request(kind="limit", quantity="5", price="101", stop_loss="90"))
    stop = await order(venue, "-sl")
    assert (stop.status, stop.request.quantity) == (OrderStatus.OPEN, D(1))
    await venue.cancel(request().client_order_id)
    assert (await order(venue, "-sl")).status is OrderStatus.OPEN
    market.minute("100", "100", "89", "89", volume="100")
    assert (await venue.balances())["BTC"] == 0
    assert [each.quantity for each in await fills(venue)] == [D(1), D(1)]


async def test_closing_by_hand_takes_the_protection_away(venue: PaperVenue, market: FakeMarket) -> None:
    await venue.submit(request(stop_loss="90", take_profit="110"))
    await venue.submit(request("sell", source="ticket:2", reduce=True))
    assert await venue.open_orders() == []
    assert (await order(venue, "-sl")).reason == "position_closed"
    market.minute("100", "150", "50", "100")
    assert len(await fills(venue)) == 2


async def test_cancelling_an_unfilled_entry_takes_its_children(venue: PaperVenue) -> None:
    await venue.submit(request(kind="limit", price="95", stop_loss="90", take_profit="110"))
    answer = await venue.cancel(request().client_order_id)
    assert answer.status is OrderStatus.CANCELLED
    assert (await order(venue, "-sl")).reason == "parent_cancelled"
    assert await venue.cancel(request().client_order_id) == answer
    with pytest.raises(OrderRejected, match="unknown_order"):
        await venue.cancel("nothing")


async def test_spot_never_sells_what_is_not_there_nor_buys_beyond_the_cash(
    venue: PaperVenue, market: FakeMarket
) -> None:
    sold = await venue.submit(request("sell", quantity="1"))
    bought = await venue.submit(request(quantity="1000", source="ticket:2"))
    assert [each.reason for each in (sold, bought)] == ["insufficient_balance"] * 2
    assert await fills(venue) == []


async def test_shorts_are_possible_where_the_instrument_allows(venue: PaperVenue, market: FakeMarket) -> None:
    await venue.submit(request("sell", "10", symbol="XAUUSD", stop_loss="55", take_profit="45"))
    assert (await venue.balances())["XAU"] == -10
    market.minute("50", "51", "44", "46", symbol="XAUUSD")
    assert await venue.balances() == {"USD": CASH + D(499) - D("0.499") - D(450) - D("0.225"), "XAU": D(0)}


async def test_a_stop_entry_that_gaps_fills_at_the_open(venue: PaperVenue, market: FakeMarket) -> None:
    await venue.submit(request(kind="stop", price="105"))
    market.minute("108", "109", "107", "108")
    assert [each.price for each in await fills(venue)] == [D("108.1")]


async def test_the_starting_balance_is_given_once(tmp_path: Path, market: FakeMarket) -> None:
    await open_venue(tmp_path, market).balances()
    assert await open_venue(tmp_path, market, cash=D(5)).balances() == {"USD": CASH}


async def test_sequence_numbers_rise_without_repeats(venue: PaperVenue, market: FakeMarket) -> None:
    for number in range(5):
        await venue.submit(request(source=f"ticket:{number}"))
    numbers = [number for number, _ in await venue.fills(0)]
    assert numbers == sorted(set(numbers)) == [1, 2, 3, 4, 5]
    assert [number for number, _ in await venue.fills(3)] == [4, 5]


async def test_reduce_only_is_capped_by_the_position(venue: PaperVenue) -> None:
    await venue.submit(request(symbol="XAUUSD", quantity="3"))
    closing = request("sell", "10", symbol="XAUUSD", reduce=True, source="ticket:2")
    answer = await venue.submit(closing)
    assert (answer.filled_quantity, answer.status, answer.reason) == (D(3), OrderStatus.CANCELLED, "position_closed")
    nothing = await venue.submit(replace(closing, client_order_id="other"))
    assert (nothing.status, nothing.filled_quantity) == (OrderStatus.CANCELLED, D(0))
