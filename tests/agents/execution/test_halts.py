"""Stopping: states by book and account, halts that flatten and last, the kill switch and the kill file."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agents.execution.desk import Desk
from agents.execution.values import IntentState
from agents.risk.states import TradingState
from engine.domain.errors import InvalidRequest, OrderRejected
from engine.domain.orders import OrderStatus
from tests.agents.execution.fakes import WIDE, D, FaultyVenue, request
from tests.agents.execution.place import Place, check_books, send


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_reducing_lets_pass_only_what_lowers_risk(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2"), book="atlas")
    change = await desk.set_state("atlas", TradingState.REDUCING, "ana", "careful")
    assert (change.by, change.reason, change.state) == ("ana", "careful", TradingState.REDUCING)
    assert (await desk.assess(request(), book="atlas")).reasons == ("reducing",)
    assert (await desk.assess(request("sell", "2"), book="atlas")).is_allowed
    assert (await desk.assess(request())).is_allowed
    await desk.set_state(None, TradingState.REDUCING, "ana", "careful")
    assert (await desk.assess(request())).reasons == ("reducing",)


async def test_a_halt_cancels_flattens_and_stands_until_lifted(place: Place) -> None:
    desk = await place.desk("atlas", "nova")
    await send(desk, request(quantity="2", stop_loss="90"), book="atlas")
    await send(desk, request(kind="limit", price="95", source="ticket:2"), "ticket:2", "atlas")
    await send(desk, request(quantity="3", stop_loss="90", source="ticket:3"), "ticket:3", "nova")
    change = await desk.halt("atlas", "ana", "enough")
    assert (change.state, change.is_settled) == (TradingState.HALTED, True)
    assert (await desk.account("atlas")).positions == {}
    assert await desk.open_orders("atlas") == ()
    assert (await desk.account("nova")).positions["BTC/USDT"].quantity == 3
    for opened in (desk, await place.desk()):
        assert (await opened.assess(request("sell", "1"), book="atlas")).reasons[0] == "halted"
        assert (await opened.assess(request(), book="nova")).is_allowed
    await desk.lift("atlas", "ana")
    assert (await desk.assess(request(source="ticket:4"), book="atlas")).is_allowed
    told = [(each.state, each.by, each.reason) for each in desk.state_history("atlas")]
    assert told == [(TradingState.HALTED, "ana", "enough"), (TradingState.ACTIVE, "ana", "lifted")]
    await check_books(desk, place.venue)


async def test_a_drawdown_halts_by_itself_and_counts_anew_after_the_lift(place: Place) -> None:
    desk = await place.desk("atlas")
    await desk.set_book_limits("atlas", replace(WIDE, drawdown_ratio=D("0.10"), daily_loss_ratio=D(1)))
    await send(desk, request(quantity="100"), book="atlas")
    await desk.reconcile()
    place.market.minute("100", "100", "75", "78")
    await desk.watch()
    assert (desk.state("atlas").state, desk.state("atlas").by) == (TradingState.HALTED, "risk")
    assert desk.state("atlas").reason == "drawdown"
    assert (await desk.account("atlas")).positions == {}
    assert desk.state().state is TradingState.ACTIVE
    await desk.lift("atlas", "ana")
    await desk.watch()
    assert desk.state("atlas").state is TradingState.ACTIVE
    report = await desk.assess(request(), book="atlas")
    assert report.reasons in ((), ("daily_loss",))
    tomorrow = place.market.present.replace(day=place.market.present.day + 1)
    place.market.present = tomorrow
    place.market.minute("78", "78", "78", "78")
    assert (await desk.assess(request(), book="atlas")).is_allowed


async def test_money_moved_is_no_drawdown(place: Place) -> None:
    desk = await place.desk("atlas")
    await desk.set_book_limits("atlas", replace(WIDE, drawdown_ratio=D("0.10")))
    await desk.reconcile()
    await desk.transfer(D(15000), "atlas", "main", "out")
    await desk.reconcile()
    assert desk.state("atlas").state is TradingState.ACTIVE
    account = await desk.account("atlas")
    assert account.equity == account.peak_equity == account.day_start_equity == 5000


async def test_kill_stops_everything_for_every_desk(place: Place) -> None:
    desk, other = await place.desk("atlas"), await place.desk()
    await send(desk, request(quantity="2", stop_loss="90"), book="atlas")
    await send(desk, request(quantity="1", source="ticket:2"), "ticket:2")
    await desk.kill("ana", "panic")
    assert (await place.venue.balances())["BTC"] == 0
    assert await place.venue.open_orders() == []
    denied = await send(other, request(source="ticket:3"), "ticket:3")
    assert (denied.state, denied.reasons) == (IntentState.DENIED, ("halted",))
    await other.lift(None, "ana")
    assert (await send(desk, request(source="ticket:4"), "ticket:4")).state is IntentState.DONE


async def test_the_kill_file_stops_orders_at_once_and_deleting_it_lifts_nothing(place: Place) -> None:
    desk = await place.desk()
    await send(desk, request(quantity="2", stop_loss="90"))
    place.kill_file.path.write_text("")
    assert (await send(desk, request(source="ticket:2"), "ticket:2")).reasons == ("halted",)
    assert (await desk.account()).positions == {}
    assert (desk.state().by, desk.state().reason) == ("file", "kill_file")
    with pytest.raises(InvalidRequest, match="kill_file"):
        await desk.lift(None, "ana")
    place.kill_file.path.unlink()
    assert "halted" in (await desk.assess(request())).reasons
    await desk.lift(None, "ana")
    assert (await desk.assess(request())).is_allowed


async def test_a_kill_file_that_cannot_be_looked_for_counts_as_there(place: Place) -> None:
    desk = await place.desk()
    place.kill_file.path = place.kill_file.path.with_name("n" * 300)
    assert "halted" in (await desk.assess(request())).reasons


async def test_a_halt_waits_for_a_market_and_keeps_the_stop_meanwhile(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(symbol="XAUUSD", stop_loss="40"), book="atlas")
    place.market.closed.add("XAUUSD")
    assert not (await desk.halt("atlas", "ana", "now")).is_settled
    for _ in range(3):
        await desk.reconcile()
    assert [order.status for order in await desk.open_orders("atlas")] == [OrderStatus.OPEN]
    assert len(await desk.trades()) == 1
    place.market.closed.clear()
    await desk.watch()
    assert desk.state("atlas").is_settled
    assert (await desk.account("atlas")).positions == {}


async def test_a_halt_is_kept_while_the_venue_is_silent_and_done_afterwards(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2"), book="atlas")
    venue = FaultyVenue(place.venue, 1, 1.0)
    venue.is_healthy = True
    deaf = await place.desk(venue=venue)
    venue.is_healthy = False
    assert not (await deaf.kill("ana", "panic")).is_settled
    venue.is_healthy = True
    await deaf.watch()
    assert deaf.state().is_settled
    assert (await place.venue.balances())["BTC"] == 0


async def test_protection_is_not_moved_in_a_halt(place: Place) -> None:
    desk = await place.desk("atlas")
    done = await send(desk, request(symbol="XAUUSD", stop_loss="40"), book="atlas")
    place.market.closed.add("XAUUSD")
    await desk.halt("atlas", "ana", "now")
    with pytest.raises(OrderRejected, match="halted"):
        await desk.protect(done.intent.request.client_order_id, stop_loss=None, take_profit=None)


class Stopped(Exception):
    """The process is gone."""


def stop_at(step: str, after: int = 1) -> Callable[[str], None]:
    left = [after]

    def stop(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                raise Stopped(name)

    return stop


@pytest.mark.parametrize(
    "step", ["halted", "cancelled all", "closing", "stored", "assessed", "submitted", "flattened one"]
)
async def test_a_halt_that_was_cut_off_goes_on_after_the_restart(place: Place, step: str) -> None:
    desk = await place.desk("atlas", "nova")
    await send(desk, request(quantity="2", stop_loss="90"), book="atlas")
    await send(desk, request(symbol="XAUUSD", quantity="2", source="ticket:2"), "ticket:2", "nova")
    await send(desk, request(kind="limit", price="95", source="ticket:3"), "ticket:3", "nova")
    dying = await place.desk(checkpoint=stop_at(step))
    with pytest.raises(Stopped):
        await dying.kill("ana", "panic")
    for _ in range(2):
        again: Desk = await place.desk()
        await again.watch()
    held = {name: (await again.account(name)).positions for name in again.books()}
    assert held == {"atlas": {}, "main": {}, "nova": {}}
    assert again.state().is_settled
    closings = [trade for trade in await again.trades() if trade.fill.side.value == "sell"]
    assert sum((trade.fill.quantity for trade in closings), D(0)) == 4
    await check_books(again, place.venue)
    assert "halted" in (await again.assess(request(), book="atlas")).reasons


async def test_many_kills_at_once_are_one_halt(place: Place) -> None:
    desk = await place.desk("atlas")
    await send(desk, request(quantity="2"), book="atlas")
    await asyncio.gather(*(desk.kill("ana", f"panic {number}") for number in range(50)))
    assert len(desk.state_history()) == 1
    assert len(await desk.trades()) == 2
