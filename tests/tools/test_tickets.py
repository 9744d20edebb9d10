"""Tickets beyond one life: two processes, what a crash leaves, what another read saw first, what tools can reach."""

import asyncio
import multiprocessing
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from agents.execution.desk import client_order_id
from agents.execution.values import Execution, OrderIntent
from engine.domain.errors import InvalidRequest
from engine.domain.orders import VenueOrder
from tests.agents.execution.fakes import D
from tests.tools.place import CONTEXT, OWNER, Place
from tools.asked_rows import canonical_json, hash_terms
from tools.results import TicketView
from tools.tables import ticket_decisions, tickets

AT_ONCE = 25


async def approve(place: Place, ticket: TicketView) -> None:
    assert (await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "approved"


def look(place: Place, ticket: TicketView) -> TicketView:
    seen = place.tickets.view(ticket.ticket_id, OWNER)
    assert seen is not None
    return seen


def notices(place: Place) -> list[str]:
    return [notice.kind for notice in place.notices.pending(OWNER, "web")]


async def test_a_decision_is_on_record_with_its_hash_and_surface(place: Place) -> None:
    ticket = await place.open()
    await approve(place, ticket)
    with place.database.connect() as connection:
        (row,) = connection.execute(select(ticket_decisions))
    assert (row.ticket_id, row.version, row.decision) == (ticket.ticket_id, 1, "approved")
    assert (row.owner, row.surface, row.decided_at) == (OWNER, "web", place.wall)
    assert row.terms_hash == hash_terms(ticket.terms) == ticket.terms_hash


async def test_terms_come_back_from_the_database_digit_for_digit(place: Place) -> None:
    ticket = await place.open(amount="1.23", stop_loss_pct="2")
    assert look(place, ticket) == ticket
    assert canonical_json(look(place, ticket).terms) == canonical_json(ticket.terms)


async def test_a_resting_order_ends_with_one_notice_although_another_read_saw_the_fill_first(place: Place) -> None:
    ticket = await place.open(order_type="limit", price="99")
    await approve(place, ticket)
    assert (await place.tickets.execute(ticket.ticket_id)).state == "working"
    place.market.minute("100", "100", "98", "98.5", "1000")
    await place.desk.account()  # books the fill before anything looks at the ticket
    for _ in range(3):
        for execution in await place.desk.reconcile():
            place.tickets.settle(execution, tell=True)
        await place.tickets.follow()
    assert look(place, ticket).state == "executed"
    assert notices(place) == ["ticket_executed"]


async def test_a_partial_fill_shows_on_the_working_ticket_without_a_notice(place: Place) -> None:
    ticket = await place.open(order_type="limit", price="99", amount="10")
    await approve(place, ticket)
    await place.tickets.execute(ticket.ticket_id)
    place.market.minute("100", "100", "98", "100", "4")
    await place.desk.reconcile()
    await place.tickets.follow()
    seen = look(place, ticket)
    assert seen.fill is not None
    assert (seen.state, seen.fill.filled_quantity, seen.fill.average_price) == ("working", D(4), D(99))
    assert notices(place) == []


async def test_what_a_crash_left_after_the_order_is_looked_up_and_never_sent_again(place: Place) -> None:
    ticket = await place.open()
    await approve(place, ticket)
    done = await place.tickets.execute(ticket.ticket_id)
    with place.database.begin() as connection:
        connection.execute(update(tickets).values(state="claimed", fill=None))
    await place.tickets.recover()
    assert look(place, ticket) == done
    assert place.orders_sent() == 1


async def test_following_leaves_alone_what_this_process_is_sending(place: Place) -> None:
    ticket = await place.open()
    await approve(place, ticket)
    place.pass_time(minutes=1)
    sending = asyncio.create_task(place.tickets.execute(ticket.ticket_id))
    await asyncio.sleep(0)
    await place.tickets.follow()
    assert (await sending).state == "executed"
    assert notices(place) == []


async def test_an_approval_whose_surface_went_away_is_carried_out_once_with_a_notice(place: Place) -> None:
    ticket = await place.open()
    await approve(place, ticket)
    place.tickets.carry_on(ticket.ticket_id)
    place.tickets.carry_on(ticket.ticket_id)
    assert (await place.tickets.execute(ticket.ticket_id)).state == "executed"
    place.tickets.carry_on(ticket.ticket_id)
    assert place.orders_sent() == 1
    assert notices(place) == ["ticket_executed"]


async def test_carrying_on_with_what_nobody_approved_does_nothing(place: Place) -> None:
    ticket = await place.open()
    place.tickets.carry_on(ticket.ticket_id)
    assert (await place.tickets.execute(ticket.ticket_id)).state == "pending"
    assert place.orders_sent() == 0


async def test_the_order_of_a_mandate_changes_no_ticket(place: Place) -> None:
    ticket = await place.open()
    await approve(place, ticket)
    done = await place.tickets.execute(ticket.ticket_id)
    execution = await place.desk.execution(client_order_id(f"ticket:{ticket.ticket_id}"))
    assert execution is not None
    intent = OrderIntent(OWNER, f"mandate:{ticket.ticket_id}", execution.intent.request)
    other = Execution(intent, execution.state, None, (), ("rejected",), execution.updated_at)
    place.tickets.settle(other, tell=True)
    assert look(place, ticket) == done


async def test_approval_is_out_of_reach_of_every_tool(place: Place) -> None:
    for tool in place.toolbox:
        assert "nonce" not in str(tool.schema()).lower()
    for name in ("approve", "approve_ticket", "confirm", "execute", "execute_ticket"):
        with pytest.raises(InvalidRequest, match="unknown_tool"):
            await place.toolbox.run(name, {"ticket_id": 1}, CONTEXT)
    arguments = {"symbol": "BTC/USDT", "side": "buy", "amount": 1, "approved": True}
    with pytest.raises(InvalidRequest, match="bad_argument"):
        await place.toolbox.run("execute_trade", arguments, CONTEXT)


async def test_the_tool_that_proposes_sends_nothing(place: Place) -> None:
    arguments = {"symbol": "BTC/USDT", "side": "buy", "amount": 1}
    ticket = await place.toolbox.run("execute_trade", arguments, CONTEXT)
    assert isinstance(ticket, TicketView)
    assert ticket.state == "pending"
    assert place.toolbox.kind("execute_trade") == "propose"
    assert place.orders_sent() == 0


@pytest.mark.parametrize("decision", ["approve", "edit"])
async def test_an_edit_that_comes_while_the_venue_is_asked_is_never_decided_by_the_old_card(
    place: Place, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    ticket = await place.open(amount="1")
    ask_venue, edits = place.venue.open_orders, [{"quantity": "7"}]

    async def slow() -> Sequence[VenueOrder]:
        if edits:
            await place.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, edits.pop())
        return await ask_venue()

    monkeypatch.setattr(place.venue, "open_orders", slow)
    if decision == "approve":
        decided = await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
        assert (decided.outcome, decided.code) == ("refused", "ticket_changed")
    else:
        with pytest.raises(InvalidRequest):
            await place.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": "3"})
    seen = look(place, ticket)
    assert (seen.state, seen.version, seen.terms.quantity) == ("pending", 2, D(7))


async def decide_and_carry_out(path: Path, ticket_id: int, nonce: str) -> str:
    place = Place(path)
    decided = await place.tickets.approve(ticket_id, nonce, OWNER, "race")
    if decided.outcome in ("approved", "already"):
        await place.tickets.execute(ticket_id)
    place.database.dispose()
    return decided.outcome


def many_at_once(path: Path, ticket_id: int, nonce: str) -> list[str]:
    """Approve and carry out one ticket from many threads, each with a desk and a store of its own."""
    start = threading.Barrier(AT_ONCE)

    def act(_number: int) -> str:
        start.wait()
        return asyncio.run(decide_and_carry_out(path, ticket_id, nonce))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(act, range(AT_ONCE)))


async def test_approvals_from_the_threads_of_two_processes_give_one_order(place: Place) -> None:
    ticket = await place.open()
    loop, arguments = asyncio.get_running_loop(), (place.path, ticket.ticket_id, ticket.nonce)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        answers = await asyncio.gather(*(loop.run_in_executor(processes, many_at_once, *arguments) for _ in range(2)))
    outcomes = [outcome for answer in answers for outcome in answer]
    assert len(outcomes) == 2 * AT_ONCE
    assert outcomes.count("approved") == 1
    assert set(outcomes) == {"approved", "already"}
    assert look(place, ticket).state == "executed"
    assert place.orders_sent() == 1
