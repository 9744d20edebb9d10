"""Books: every agent's own, exact, replayable, and never at the cost of another's."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from agents.execution.book_tables import BOOK_TABLES
from agents.execution.journal import Journal
from agents.execution.values import IntentState
from engine.domain.errors import InvalidRequest
from engine.domain.orders import Fill, FundingPayment, OrderStatus, Side
from engine.ledger import Transfer
from tests.agents.execution.fakes import CASH, START, WIDE, D, request
from tests.agents.execution.place import Place, books_of, check_books, send


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_transfer_moves_cash_once_for_its_source_and_leaves_the_account_as_it_was(place: Place) -> None:
    desk = await place.desk("atlas")
    answers = await asyncio.gather(*(desk.transfer(D(100), "main", "atlas", "more") for _ in range(20)))
    assert set(answers) == {True}
    assert (await desk.account("atlas")).cash == 20100
    assert (await desk.account("main")).cash == CASH - 20100
    assert (await desk.account()).cash == CASH
    assert [type(event) for event in desk.events()].count(Transfer) == 2
    with pytest.raises(InvalidRequest, match="transfer_conflict"):
        await desk.transfer(D(101), "main", "atlas", "more")
    assert not await desk.transfer(D(20101), "atlas", "main", "too much")
    assert await desk.transfer(D(20100), "atlas", "main", "all")
    await check_books(desk, place.venue)


@pytest.mark.parametrize(
    ("amount", "taker"), [("0", "atlas"), ("-1", "atlas"), ("NaN", "atlas"), ("1", "main"), ("1", "At")]
)
async def test_a_transfer_that_makes_no_sense_is_refused(place: Place, amount: str, taker: str) -> None:
    desk = await place.desk("atlas")
    with pytest.raises(InvalidRequest):
        await desk.transfer(D(amount), "main", taker, "x")


async def test_what_a_book_trades_is_its_own(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2"), book="atlas")
    await send(desk, request(quantity="3", source="ticket:2"), "ticket:2")
    assert (await desk.account("atlas")).positions["BTC/USDT"].quantity == 2
    assert (await desk.account("main")).positions["BTC/USDT"].quantity == 3
    assert (await desk.account()).positions["BTC/USDT"].quantity == 5
    [trade] = await desk.trades(book="atlas")
    assert (trade.book, trade.fill.quantity) == ("atlas", D(2))
    assert len(await desk.trades()) == 2
    place.market.minute("100", "110", "100", "110")
    gained = await desk.performance("all", "atlas")
    assert (gained.start_equity, gained.deposits, gained.pnl) == (
        D(20000),
        D(0),
        2 * (D(110) - D("100.1")) - D("0.2002"),
    )
    assert gained.unrealised == 2 * (D(110) - D("100.1"))
    await check_books(desk, place.venue)


async def test_a_book_cannot_spend_or_sell_what_is_another_s(place: Place) -> None:
    desk = await place.desk("atlas")
    await desk.transfer(D(19900), "atlas", "main", "back")
    assert "cash" in (await send(desk, request(quantity="2"), book="atlas")).reasons
    await send(desk, request(quantity="3", source="ticket:2"), "ticket:2")
    short = await send(desk, request("sell", "1", source="ticket:3"), "ticket:3", "atlas")
    assert (short.state, "short" in short.reasons) == (IntentState.DENIED, True)
    closing = await send(desk, request("sell", "1", source="ticket:4", reduce=True), "ticket:4", "atlas")
    assert "position_closed" in closing.reasons


async def test_an_agent_s_book_without_limits_or_beyond_them_does_not_trade(place: Place) -> None:
    desk = await place.desk()
    await desk.transfer(D(1000), "main", "nova", "budget")
    assert (await send(desk, request(), book="nova")).reasons == ("no_limits",)
    await desk.set_book_limits("nova", replace(WIDE, position_ratio=D("0.05")))
    assert (await send(desk, request(source="ticket:2"), "ticket:2", "nova")).reasons == ("position",)
    again = await place.desk()
    assert again.book_limits("nova") == replace(WIDE, position_ratio=D("0.05"))
    assert again.book_limits("main") is None


async def test_two_books_never_stand_on_opposite_sides(place: Place) -> None:
    desk = await place.desk("atlas", "nova")
    await send(desk, request(symbol="XAUUSD", quantity="2"), book="atlas")
    refused = await send(desk, request("sell", "1", symbol="XAUUSD", source="ticket:2"), "ticket:2", "nova")
    assert refused.reasons == ("opposed",)
    left = await send(desk, request("sell", "2", symbol="XAUUSD", source="ticket:3"), "ticket:3", "atlas")
    assert left.state is IntentState.DONE
    now = await send(desk, request("sell", "1", symbol="XAUUSD", source="ticket:4"), "ticket:4", "nova")
    assert now.state is IntentState.DONE


async def two_books(place: Place):  # type: ignore[no-untyped-def]  # a desk with its two entries
    desk = await place.desk("atlas", "nova")
    first = await send(desk, request(quantity="2", stop_loss="90", take_profit="120"), "ticket:1", "atlas")
    second = await send(desk, request(quantity="3", stop_loss="80", source="ticket:2"), "ticket:2", "nova")
    return desk, first.intent.request.client_order_id, second.intent.request.client_order_id


async def test_closing_one_book_leaves_the_other_and_its_protection(place: Place) -> None:
    desk, first, second = await two_books(place)
    closed = await desk.close("nova", "BTC/USDT", "close:1")
    assert closed is not None
    assert (closed.state, closed.intent.request.quantity) == (IntentState.DONE, D(3))
    assert await desk.close("nova", "BTC/USDT", "close:1") == closed
    assert await desk.close("nova", "BTC/USDT", "close:2") is None
    assert (await desk.account("nova")).positions == {}
    assert {order.parent_id for order in await desk.open_orders()} == {first}
    assert {order.request.quantity for order in await desk.open_orders("atlas")} == {D(2)}
    place.market.minute("100", "100", "85", "86")
    await check_books(desk, place.venue)
    assert (await desk.account()).positions == {}
    assert [trade.book for trade in await desk.trades()] == ["atlas", "nova", "nova", "atlas"]
    assert second != first


async def test_a_partial_close_shrinks_only_its_own_protection(place: Place) -> None:
    desk, first, second = await two_books(place)
    await send(desk, request("sell", "1", source="ticket:3"), "ticket:3", "nova")
    covers = {order.request.client_order_id: order.request.quantity for order in await desk.open_orders()}
    assert covers == {f"{first}-sl": D(2), f"{first}-tp": D(2), f"{second}-sl": D(2)}
    place.market.minute("100", "100", "70", "75")
    accounts = await check_books(desk, place.venue)
    assert all(books.open_holdings() == {} for books in accounts.books.values())


async def test_a_reduce_only_order_is_cut_to_its_book(place: Place) -> None:
    desk, _, _ = await two_books(place)
    cut = await send(desk, request("sell", "5", reduce=True, source="ticket:3"), "ticket:3", "atlas")
    assert [fill.quantity for fill in cut.fills] == [D(2)]
    assert (await desk.account("nova")).positions["BTC/USDT"].quantity == 3


async def test_flatten_and_cancel_all_are_of_one_book(place: Place) -> None:
    desk, _, second = await two_books(place)
    waiting = request(kind="limit", price="90", source="ticket:3")
    await send(desk, waiting, "ticket:3", "atlas")
    await send(desk, replace(waiting, client_order_id=request(source="ticket:4").client_order_id), "ticket:4", "nova")
    cancelled = await desk.cancel_all("atlas")
    assert [order.request.client_order_id for order in cancelled] == [waiting.client_order_id]
    [closed] = await desk.flatten("atlas")
    assert closed.fills[0].quantity == 2
    assert {order.parent_id for order in await desk.open_orders()} == {None, second}
    await check_books(desk, place.venue)


async def test_a_journal_from_before_the_books_is_main_s(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="2", stop_loss="90"))
    before = books_of(desk).book("main")
    with place.database.begin() as connection:
        for table in BOOK_TABLES:
            connection.execute(delete(table))
    again = await place.desk()
    assert books_of(again).book("main") == before
    assert [trade.book for trade in await again.trades()] == ["main"]


def fill(number: int, **changes: object) -> Fill:
    plain = Fill(f"F{number}", f"other-{number}", "BTC/USDT", Side.BUY, D(1), D(100), D("0.1"), False, START)
    return replace(plain, **changes)  # type: ignore[arg-type]  # the tests name fields of the dataclass


async def test_fees_in_any_asset_leave_the_balance_that_the_venue_took_them_from(place: Place) -> None:
    desk = await place.desk()
    assert await desk.deposit(D(2), "bnb", asset="XAU", book="main")
    assert not await desk.deposit(D(2), "bnb", asset="XAU", book="main")
    journal = Journal(place.database, "paper")
    journal.settle((), [(1, fill(1, fee_asset="BTC", fee_quantity=D("0.001")))], START)
    journal.settle((), [(2, fill(2, fee_asset="BNB", fee_quantity=D("0.0005")))], START)
    main = books_of(desk).book("main")
    held = {symbol: holding.quantity for symbol, holding in main.holdings.items()}
    assert held == {"BTC/USDT": D("1.999"), "BNB/USDT": D("-0.0005"), "XAUUSD": D(2)}
    assert main.cash == CASH - 200 + D("0.1") - D("0.1")
    assert main.fees == D("0.2")
    assert main.deposits == CASH + 100
    told = [trade.fill.fee_asset for trade in await desk.trades()]
    assert told == ["BNB", "BTC"]


async def test_an_agent_pays_for_the_bnb_that_main_keeps(place: Place) -> None:
    desk = await place.desk("atlas")
    done = await send(desk, request(symbol="XAUUSD"), book="atlas")
    mine = fill(7, client_order_id=done.intent.request.client_order_id, fee_asset="BNB", fee_quantity=D("0.01"))
    before = books_of(desk)
    Journal(place.database, "paper").settle((), [(9, mine)], START)
    after = books_of(desk)
    assert after.book("atlas").cash == before.book("atlas").cash - 100 - D("0.1")
    assert after.book("main").cash == before.book("main").cash + D("0.1")
    assert after.book("main").holdings["BNB/USDT"].quantity == D("-0.01")
    assert "BNB/USDT" not in after.book("atlas").holdings


async def test_funding_is_split_among_the_books_that_hold_and_booked_once(place: Place) -> None:
    desk = await place.desk("atlas", "nova")
    await send(desk, request(symbol="XAUUSD", quantity="1"), book="atlas")
    await send(desk, request(symbol="XAUUSD", quantity="2", source="ticket:2"), "ticket:2", "nova")
    journal = Journal(place.database, "paper")
    payment = FundingPayment("p1", "XAUUSD", D("-1.00000001"), START)
    assert [journal.settle_funding([(5, payment)]) for _ in range(2)] == [1, 0]
    assert journal.funding_cursor() == 5
    accounts = books_of(desk)
    parts = [accounts.book(name).funding for name in ("atlas", "nova")]
    assert parts == [D("-0.33333334"), D("-0.66666667")]
    assert accounts.total().funding == sum(parts, Decimal(0)) == payment.amount


async def test_only_what_is_affected_stops_while_balances_differ(place: Place) -> None:
    from agents.execution.tables import paper_balances

    desk = await place.desk("atlas")
    await send(desk, request(symbol="XAUUSD"), book="atlas")
    here = paper_balances.c.asset == "XAU"
    with place.database.begin() as connection:
        connection.execute(paper_balances.update().where(here).values(quantity=D(4)))
    await desk.reconcile()
    [told] = desk.discrepancies()
    assert (told.asset, told.venue_quantity, told.ledger_quantity) == ("XAU", D(4), D(1))
    assert (await desk.assess(request(symbol="XAUUSD"), book="atlas")).reasons == ("unreconciled",)
    assert (await desk.assess(request(), book="atlas")).is_allowed
    with place.database.connect() as connection:
        assert connection.execute(select(paper_balances.c.quantity).where(here)).scalar() == 4


async def test_unknown_orders_are_told_and_not_touched(place: Place) -> None:
    desk = await place.desk("atlas")
    stranger = await place.venue.submit(request(kind="limit", price="95", source="elsewhere"))
    await send(desk, request(kind="limit", price="95"), book="atlas")
    assert await desk.unknown_orders() == (stranger,)
    await desk.cancel_all()
    await desk.halt(None, "ana", "test")
    assert (await desk.unknown_orders())[0].status is OrderStatus.OPEN
    assert desk.state().is_settled
