"""Many attempts to have an order sent that its owner did not approve (a thousand, to prove it): none is sent."""

import random
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update

from engine.domain.errors import InvalidRequest
from tests.agents.execution.fakes import D
from tests.tools.place import OWNER, TTL, Place
from tools.asked_rows import canonical_json, hash_terms
from tools.results import TicketView
from tools.tables import tickets
from tools.tickets import Decided

Attack = Callable[[Place, TicketView, random.Random], Awaitable[Decided]]


async def wrong_owner(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    owner = rng.choice(["eve", "", "ANA", "ana ", " ana", "ana\x00", "%", "ana' OR '1'='1"])
    return await place.tickets.approve(ticket.ticket_id, ticket.nonce, owner, "web")


async def wrong_nonce(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    cut, swapped = rng.randrange(len(ticket.nonce)), ticket.nonce.swapcase()
    guesses = ["", ticket.nonce[:cut], ticket.nonce + "A", swapped, "%", "á", rng.randbytes(16).hex(), "' OR ''='"]
    return await place.tickets.approve(ticket.ticket_id, rng.choice(guesses), OWNER, "web")


async def wrong_ticket(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    offset = rng.choice([-10_000, -1, 1, 10_000])
    return await place.tickets.approve(ticket.ticket_id + offset, ticket.nonce, OWNER, "web")


async def replay_after_rejection(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    await place.tickets.reject(ticket.ticket_id, ticket.nonce, OWNER, "web")
    return await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "telegram")


async def replay_of_an_edited_version(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    quantity = str(rng.randint(1, 90))
    assert isinstance(
        await place.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": quantity}), TicketView
    )
    return await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")


async def edited_terms_in_the_database(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    field, value = rng.choice(
        [("quantity", D(90)), ("side", "sell"), ("symbol", "XAUUSD"), ("stop_loss", D(1)), ("expected_price", D(1))]
    )
    forged = canonical_json(ticket.terms.model_copy(update={field: value}))
    change = update(tickets).where(tickets.c.id == ticket.ticket_id)
    with place.database.begin() as connection:
        connection.execute(change.values(terms=forged))
    return await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")


async def edited_terms_after_the_approval(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    decided = await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert decided.outcome == "approved"
    forged = ticket.terms.model_copy(update={"quantity": D(rng.randint(2, 90))})
    values = {"terms": canonical_json(forged), "terms_hash": hash_terms(forged)}
    with place.database.begin() as connection:
        connection.execute(update(tickets).where(tickets.c.id == ticket.ticket_id).values(values))
    return Decided("refused", None, "ticket_damaged")


async def too_late(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    place.pass_time(seconds=TTL.total_seconds() + rng.choice([0.001, 1, 600, 86_400]))
    return await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")


async def after_the_price_moved(place: Place, ticket: TicketView, rng: random.Random) -> Decided:
    before = place.market.mids["BTC/USDT"]
    place.market.mids["BTC/USDT"] = before + rng.choice([D("0.5"), D("-0.5"), D(20), D(-20)])
    decided = await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    place.market.mids["BTC/USDT"] = before
    return decided


ATTACKS: tuple[Attack, ...] = (
    wrong_owner,
    wrong_nonce,
    wrong_ticket,
    replay_after_rejection,
    replay_of_an_edited_version,
    edited_terms_in_the_database,
    edited_terms_after_the_approval,
    too_late,
    after_the_price_moved,
)


@pytest.mark.parametrize("attempts", [180, pytest.param(1000, marks=pytest.mark.prove)])
async def test_attacks_send_no_order(attempts: int, place: Place) -> None:
    rng = random.Random(7)
    ticket = await place.open()
    for number in range(attempts):
        attack = ATTACKS[number % len(ATTACKS)]
        decided = await attack(place, ticket, rng)
        assert decided.outcome in ("refused", "already", "repriced"), attack.__name__
        seen = await place.tickets.execute(ticket.ticket_id)
        assert seen.state in ("pending", "rejected", "failed"), attack.__name__
        is_sound = seen.state == "pending" and hash_terms(seen.terms) == seen.terms_hash
        ticket = seen if is_sound else await place.open()
    assert place.orders_sent() == 0


async def test_the_right_owner_gets_through_where_the_attacks_did_not(place: Place) -> None:
    ticket = await place.open()
    for owner in ("eve", "ANA"):
        await place.tickets.approve(ticket.ticket_id, ticket.nonce, owner, "web")
        with pytest.raises(InvalidRequest, match="ticket_not_found"):
            await place.tickets.edit(ticket.ticket_id, ticket.nonce, owner, {"quantity": "9"})
    assert (await place.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "approved"
    assert (await place.tickets.execute(ticket.ticket_id)).state == "executed"
    assert place.orders_sent() == 1
