"""The life of a ticket: what an approval allows, and everything that it does not."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from engine.domain.errors import InvalidRequest, VenueUnavailable
from engine.domain.orders import OrderRequest, VenueOrder
from tests.agents.execution.fakes import D
from tests.copilot.wording.samples import sizing
from tests.copilot.wording.samples import ticket as sample_ticket
from tests.tools.world import ELSEWHERE, HERE, OWNER, TTL, World, open_fast
from tools.asked_rows import canonical_json, hash_terms
from tools.results import TicketRefused, TicketTerms, TicketView
from tools.tables import ticket_decisions, tickets


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_fast(tmp_path / "copilot.db")
    world = World(database)
    await world.desk.start()
    yield world
    database.dispose()


def decisions(world: World) -> int:
    with world.database.connect() as connection:
        return connection.execute(select(func.count()).select_from(ticket_decisions)).scalar_one()


def rewrite(world: World, ticket_id: int, **values: object) -> None:
    with world.database.begin() as connection:
        connection.execute(update(tickets).where(tickets.c.id == ticket_id).values(values))


def tell(world: World) -> list[str]:
    return [notice.kind for notice in world.notices.pending(OWNER, "test")]


async def test_approved_ticket_becomes_exactly_its_order(world: World) -> None:
    ticket = await world.propose(amount="1.23", stop_loss="90", take_profit="120")
    assert (ticket.state, ticket.version) == ("pending", 1)
    assert await world.orders() == 0
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert decided.outcome == "approved"
    assert await world.orders() == 0
    done = await world.tickets.execute(ticket.ticket_id)
    assert done.state == "executed"
    assert done.fill is not None
    assert (done.fill.filled_quantity, done.fill.average_price) == (D("1.23"), D("100.1"))
    account = await world.desk.account()
    assert account.cash == ticket.terms.cash_after
    assert account.positions["BTC/USDT"].quantity == ticket.terms.position_after
    (position,) = await world.desk.positions()
    assert (position.stop_loss, position.take_profit) == (D(90), D(120))
    assert tell(world) == []


async def test_resting_order_works_and_its_end_is_told(world: World) -> None:
    done = await world.trade(order_type="limit", price="95")
    assert done.state == "working"
    world.market.minute("100", "100", "94", "94")
    for execution in await world.desk.reconcile():
        world.tickets.settle(execution, tell=True)
    ticket = world.tickets.view(done.ticket_id, OWNER)
    assert ticket is not None
    assert ticket.state == "executed"
    assert tell(world) == ["ticket_executed"]


async def test_order_cancelled_by_another_tool_ends_its_ticket(world: World) -> None:
    done = await world.trade(order_type="limit", price="95")
    await world.toolbox.run("cancel_order", {"order_id": "all"}, HERE)
    await world.desk.reconcile()
    await world.tickets.follow()
    ticket = world.tickets.view(done.ticket_id, OWNER)
    assert ticket is not None
    assert (ticket.state, ticket.reasons) == ("executed", ("cancelled",))
    assert ticket.fill is not None
    assert ticket.fill.filled_quantity == 0
    assert tell(world) == ["ticket_executed"]


async def test_rejected_ticket_is_closed_for_ever(world: World) -> None:
    ticket = await world.propose()
    assert (await world.tickets.reject(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "rejected"
    assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "already"
    assert (await world.tickets.execute(ticket.ticket_id)).state == "rejected"
    with pytest.raises(InvalidRequest, match="ticket_closed"):
        await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": "2"})
    assert await world.orders() == 0


async def test_nobody_elses_ticket_can_be_seen_or_decided(world: World) -> None:
    ticket = await world.propose()
    assert world.tickets.view(ticket.ticket_id, "eve") is None
    assert world.tickets.open_for("eve") == ()
    for act in (world.tickets.approve, world.tickets.reject):
        decided = await act(ticket.ticket_id, ticket.nonce, "eve", "web")
        assert (decided.outcome, decided.ticket, decided.code) == ("refused", None, "ticket_not_found")
    with pytest.raises(InvalidRequest, match="ticket_not_found"):
        await world.tickets.edit(ticket.ticket_id, ticket.nonce, "eve", {"quantity": "2"})
    assert world.tickets.open_for(OWNER) == (ticket,)


@pytest.mark.parametrize("nonce", ["", "yes", "approve", "ñ", "\0"])
async def test_wrong_nonce_decides_nothing(world: World, nonce: str) -> None:
    ticket = await world.propose()
    for act in (world.tickets.approve, world.tickets.reject):
        assert (await act(ticket.ticket_id, nonce, OWNER, "web")).code == "ticket_changed"
    assert world.tickets.open_for(OWNER) == (ticket,)


async def test_edit_makes_new_terms_under_a_new_nonce(world: World) -> None:
    ticket = await world.propose(stop_loss_pct="5")
    edited = await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": "2.5", "stop_loss": "80"})
    assert isinstance(edited, TicketView)
    assert (edited.ticket_id, edited.version) == (ticket.ticket_id, 2)
    assert edited.nonce != ticket.nonce
    assert edited.terms_hash == hash_terms(edited.terms) != ticket.terms_hash
    assert (edited.terms.quantity, edited.terms.stop_loss) == (D("2.5"), D(80))
    replayed = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert (replayed.outcome, replayed.code) == ("refused", "ticket_changed")
    again = await world.tickets.edit(edited.ticket_id, edited.nonce, OWNER, {"take_profit": "130"})
    assert isinstance(again, TicketView)
    assert (again.terms.quantity, again.terms.stop_loss, again.terms.take_profit) == (D("2.5"), D(80), D(130))
    assert (await world.tickets.approve(again.ticket_id, again.nonce, OWNER, "web")).outcome == "approved"


async def test_proposed_size_and_stop_survive_an_edit(world: World) -> None:
    ticket = await world.propose(amount=None)
    assert ticket.terms.sizing is not None
    edited = await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"take_profit": "130"})
    assert isinstance(edited, TicketView)
    assert (edited.terms.quantity, edited.terms.stop_loss) == (ticket.terms.quantity, ticket.terms.stop_loss)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "0"}, "bad_number"),
        ({"quantity": "-1"}, "bad_number"),
        ({"quantity": "1e3"}, "bad_number"),
        ({"quantity": "1_000"}, "bad_number"),
        ({"quantity": "NaN"}, "bad_number"),
        ({"quantity": "9" * 40}, "bad_number"),
        ({"quantity": "0." + "0" * 40 + "1"}, "bad_number"),
        ({"quantity": "0.001"}, "below_minimum"),
        ({"price": "90"}, "price_with_market"),
        ({"stop_loss": "200"}, "stop_wrong_side"),
        ({"take_profit": "50"}, "target_wrong_side"),
        ({"owner": "1"}, "bad_argument"),
    ],
)
async def test_bad_edit_leaves_the_ticket_as_it_was(world: World, changes: dict[str, str], code: str) -> None:
    ticket = await world.propose()
    with pytest.raises(InvalidRequest) as raised:
        await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, changes)
    assert raised.value.code == code
    assert world.tickets.open_for(OWNER) == (ticket,)


async def test_edit_that_the_limits_refuse_leaves_the_ticket_as_it_was(world: World) -> None:
    ticket = await world.propose()
    refused = await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": "5000"})
    assert isinstance(refused, TicketRefused)
    assert "cash" in refused.reasons
    assert world.tickets.open_for(OWNER) == (ticket,)


async def test_expired_ticket_is_priced_again_and_asked_again(world: World) -> None:
    ticket = await world.propose()
    world.clock.wait(TTL.total_seconds() + 1)
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert decided.outcome == "repriced"
    fresh = decided.ticket
    assert fresh is not None
    assert (fresh.version, fresh.state, fresh.repriced_from) == (2, "pending", ticket.terms.expected_price)
    assert fresh.expires_at == world.clock.present + TTL
    assert (await world.tickets.execute(ticket.ticket_id)).state == "pending"
    assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).code == "ticket_changed"
    assert (await world.tickets.approve(ticket.ticket_id, fresh.nonce, OWNER, "web")).outcome == "approved"


@pytest.mark.parametrize(("mid", "outcome"), [("100.3", "approved"), ("99.7", "approved"), ("100.4", "repriced")])
async def test_price_may_drift_only_so_far(world: World, mid: str, outcome: str) -> None:
    ticket = await world.propose()
    world.market.mids["BTC/USDT"] = D(mid)
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert decided.outcome == outcome
    assert decided.ticket is not None
    if outcome == "repriced":
        assert decided.ticket.terms.expected_price == D("100.5")
        assert decisions(world) == 0


async def test_stop_order_that_the_market_has_passed_is_not_approved(world: World) -> None:
    ticket = await world.propose(order_type="stop", price="105")
    world.market.mids["BTC/USDT"] = D(106)
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert (decided.outcome, decided.code) == ("refused", "stop_already_passed")
    assert decided.params == {"price": D(105), "market": D("106.1")}
    edited = await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"price": "110"})
    assert isinstance(edited, TicketView)
    assert (await world.tickets.approve(edited.ticket_id, edited.nonce, OWNER, "web")).outcome == "approved"


async def test_limit_order_that_the_market_has_left_behind_is_not_approved(world: World) -> None:
    ticket = await world.propose(order_type="limit", price="98")
    world.market.mids["BTC/USDT"] = D(90)
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert (decided.outcome, decided.code) == ("refused", "limit_through_market")


async def test_position_that_changed_meanwhile_asks_again(world: World) -> None:
    ticket = await world.propose(symbol="XAUUSD", side="buy", amount="1")
    other = await world.propose(ELSEWHERE, symbol="XAUUSD", side="sell", amount="1")
    await world.tickets.approve(other.ticket_id, other.nonce, OWNER, "web")
    await world.tickets.execute(other.ticket_id)
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert decided.outcome == "repriced"
    assert decided.ticket is not None
    assert (decided.ticket.terms.position_before, decided.ticket.terms.position_after) == (D(-1), D(0))


async def test_position_that_is_gone_fails_the_close(world: World) -> None:
    await world.trade(amount="2")
    ticket = await world.propose(side="close")
    await world.trade(side="sell", amount="2", symbol="BTC/USDT")
    world_ticket = world.tickets.view(ticket.ticket_id, OWNER)
    assert world_ticket is not None
    assert world_ticket.state == "replaced"
    late = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert late.outcome == "already"
    await world.trade(amount="2")
    elsewhere = await world.propose(ELSEWHERE, side="close")
    await world.trade(side="sell", amount="2")
    gone = await world.tickets.approve(elsewhere.ticket_id, elsewhere.nonce, OWNER, "web")
    assert gone.outcome == "already"
    assert gone.ticket is not None
    assert (gone.ticket.state, gone.ticket.reasons) == ("failed", ("nothing_to_close",))


async def test_new_ticket_replaces_only_the_one_for_the_same_symbol_here(world: World) -> None:
    first, gold = await world.propose(), await world.propose(symbol="XAUUSD")
    elsewhere = await world.propose(ELSEWHERE)
    second = await world.propose(amount="2")
    assert [each.ticket_id for each in world.tickets.open_for(OWNER)] == [
        gold.ticket_id,
        elsewhere.ticket_id,
        second.ticket_id,
    ]
    replaced = await world.tickets.approve(first.ticket_id, first.nonce, OWNER, "web")
    assert replaced.outcome == "already"
    assert replaced.ticket is not None
    assert replaced.ticket.state == "replaced"


async def test_forgotten_tickets_are_closed(world: World) -> None:
    ticket = await world.propose()
    world.clock.wait(TTL.total_seconds() + 14 * 60)
    assert world.tickets.expire_due() == 0
    world.clock.wait(120)
    assert world.tickets.expire_due() == 1
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert (decided.outcome, decided.ticket and decided.ticket.state) == ("already", "expired")


@pytest.mark.parametrize(
    "field", ["quantity", "stop_loss", "side", "symbol", "is_close", "max_drift_bps", "cash_after"]
)
async def test_terms_changed_in_the_database_are_never_approved(world: World, field: str) -> None:
    ticket = await world.propose(stop_loss="90")
    terms = json.loads(canonical_json(ticket.terms))
    other: dict[str, object] = {"side": "sell", "symbol": "XAUUSD", "is_close": True, "max_drift_bps": 9999}
    rewrite(world, ticket.ticket_id, terms=json.dumps({**terms, field: other.get(field, "77")}))
    decided = await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    assert (decided.outcome, decided.code) == ("refused", "ticket_damaged")


async def test_terms_changed_after_approval_are_not_sent(world: World) -> None:
    ticket = await world.propose()
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    worse = ticket.terms.model_copy(update={"quantity": D(9)})
    rewrite(world, ticket.ticket_id, terms=canonical_json(worse), terms_hash=hash_terms(worse))
    done = await world.tickets.execute(ticket.ticket_id)
    assert (done.state, done.reasons) == ("failed", ("ticket_damaged",))
    assert await world.orders() == 0


async def test_row_marked_approved_without_a_decision_is_not_sent(world: World) -> None:
    ticket = await world.propose()
    rewrite(world, ticket.ticket_id, state="approved")
    assert (await world.tickets.execute(ticket.ticket_id)).state == "failed"
    assert await world.orders() == 0


async def test_unreadable_ticket_hides_no_other(world: World) -> None:
    broken, sound = await world.propose(), await world.propose(symbol="XAUUSD")
    rewrite(world, broken.ticket_id, terms="{}")
    assert world.tickets.open_for(OWNER) == (sound,)
    assert (await world.tickets.approve(broken.ticket_id, broken.nonce, OWNER, "web")).code == "ticket_not_found"


async def test_no_price_and_no_venue_refuse_without_harm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = await world.propose()
    world.market.silent.add("BTC/USDT")
    assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).code == "no_data"
    world.market.silent.clear()

    async def silent() -> list[VenueOrder]:
        raise VenueUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.venue, "open_orders", silent)
        assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).code == "venue_unavailable"
    assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "approved"


async def test_hundred_approvals_at_once_are_one_order(world: World) -> None:
    ticket, second = await world.propose(), world.again()

    async def approve(who: World) -> str:
        decided = await who.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
        view = await who.tickets.execute(ticket.ticket_id)
        assert view.state in ("executed", "claimed")
        return decided.outcome

    outcomes = await asyncio.gather(*(approve(world if n % 2 else second) for n in range(100)))
    assert sorted(outcomes) == ["already"] * 99 + ["approved"]
    assert decisions(world) == 1
    assert await world.orders() == 1
    assert len(await world.desk.trades()) == 1


async def test_threads_with_their_own_loops_approve_once(world: World) -> None:
    ticket = await world.propose()

    def approve(_: int) -> list[str]:
        async def many() -> list[str]:
            own = world.again()
            told = [own.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web") for _ in range(10)]
            outcomes = [each.outcome for each in await asyncio.gather(*told)]
            await own.tickets.execute(ticket.ticket_id)
            return list(outcomes)

        return asyncio.run(many())

    outcomes = await asyncio.gather(*(asyncio.to_thread(approve, n) for n in range(10)))
    assert [outcome for each in outcomes for outcome in each].count("approved") == 1
    assert decisions(world) == 1
    assert await world.orders() == 1


async def test_approve_and_reject_at_once_have_one_winner(world: World) -> None:
    for _ in range(10):
        ticket = await world.propose()
        acts = [world.tickets.approve, world.tickets.reject] * 5
        told = await asyncio.gather(*(act(ticket.ticket_id, ticket.nonce, OWNER, "web") for act in acts))
        assert [each.outcome for each in told if each.outcome != "already"] in (["approved"], ["rejected"])
        view = await world.tickets.execute(ticket.ticket_id)
        assert view.state in ("executed", "rejected")


async def test_drifted_ticket_approved_at_once_is_priced_again_once(world: World) -> None:
    ticket = await world.propose()
    world.market.mids["BTC/USDT"] = D(110)
    told = await asyncio.gather(
        *(world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web") for _ in range(20))
    )
    assert [each.outcome for each in told].count("repriced") == 1
    assert {each.code for each in told if each.outcome != "repriced"} == {"ticket_changed"}
    (fresh,) = world.tickets.open_for(OWNER)
    assert fresh.version == 2


async def test_cancelled_caller_does_not_cancel_the_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = await world.propose()
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    entered, go_on, submit = asyncio.Event(), asyncio.Event(), world.venue.submit

    async def slow(order: OrderRequest) -> VenueOrder:
        entered.set()
        await go_on.wait()
        return await submit(order)

    monkeypatch.setattr(world.venue, "submit", slow)
    caller = asyncio.create_task(world.tickets.execute(ticket.ticket_id))
    await entered.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    assert (await world.tickets.execute(ticket.ticket_id)).state == "executed"
    assert tell(world) == ["ticket_executed"]
    assert await world.orders() == 1


async def test_ticket_left_approved_by_a_crash_ends_unsent_and_told_once(world: World) -> None:
    ticket = await world.propose()
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    restarted = world.again()
    for _ in range(2):
        await restarted.desk.start()
        await restarted.tickets.recover()
    assert (await restarted.tickets.execute(ticket.ticket_id)).state == "unsent"
    assert tell(world) == ["ticket_unsent"]
    assert await world.orders() == 0


async def test_ticket_that_nobody_carries_out_is_ended_while_running(world: World) -> None:
    ticket = await world.propose()
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    await world.tickets.follow()
    view = world.tickets.view(ticket.ticket_id, OWNER)
    assert view is not None
    assert view.state == "approved"
    world.clock.wait(31)
    await world.tickets.follow()
    assert (await world.tickets.execute(ticket.ticket_id)).state == "unsent"
    assert tell(world) == ["ticket_unsent"]


async def test_order_that_the_gate_refuses_at_last_fails_with_its_reasons(world: World) -> None:
    ticket = await world.propose()
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")
    world.market.closed.add("BTC/USDT")
    done = await world.tickets.execute(ticket.ticket_id)
    assert (done.state, done.reasons) == ("failed", ("market_closed",))


async def attack(world: World, ticket: TicketView, rng: random.Random) -> None:
    """Call one of the ticket's doors with something that is nearly right."""
    nonce = ticket.nonce
    spoilt = [
        nonce[:-1],
        nonce + "A",
        nonce.swapcase(),
        nonce[::-1] if nonce[::-1] != nonce else "",
        secrets.token_urlsafe(16),
        ticket.terms_hash,
        str(ticket.ticket_id),
        "' OR 1=1 --",
        " " + nonce,
    ]
    owners = ["eve", "", "ANA", "ana ", "ana\0", "%", "' OR ''='"]
    ids = [ticket.ticket_id + rng.randint(1, 9), 0, -1, 2**40]
    nonce_or_owner = rng.random()
    if nonce_or_owner < 0.4:
        decided = await world.tickets.approve(ticket.ticket_id, rng.choice(spoilt), OWNER, "web")
    elif nonce_or_owner < 0.8:
        decided = await world.tickets.approve(ticket.ticket_id, nonce, rng.choice(owners), "web")
    else:
        decided = await world.tickets.approve(rng.choice(ids), nonce, OWNER, "web")
    assert decided.outcome == "refused"
    assert (await world.tickets.execute(ticket.ticket_id)).state == "pending"


@pytest.mark.parametrize(
    "attacks", [pytest.param(150, id="short"), pytest.param(1000, id="long", marks=pytest.mark.prove)]
)
async def test_random_attacks_never_approve(world: World, attacks: int) -> None:
    rng = random.Random(7)
    ticket = await world.propose()
    for n in range(attacks):
        if n % 25 == 24:
            edited = await world.tickets.edit(ticket.ticket_id, ticket.nonce, OWNER, {"quantity": str(1 + n % 3)})
            assert isinstance(edited, TicketView)
            old, ticket = ticket, edited
            assert (await world.tickets.approve(old.ticket_id, old.nonce, OWNER, "web")).code == "ticket_changed"
        await attack(world, ticket, rng)
    assert decisions(world) == 0
    assert await world.orders() == 0
    assert (await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "web")).outcome == "approved"


def other(name: str, value: object) -> object:
    """Return a different value of a field of the terms."""
    match value:
        case bool():
            return not value
        case str():
            return value + "x"
        case datetime():
            return value + timedelta(seconds=1)
        case Decimal() | int():
            return value + 1
        case None:
            return sizing() if name == "sizing" else D(7)
        case _:
            return ()


def test_hash_covers_every_field_of_the_terms() -> None:
    terms = sample_ticket().terms
    for name in TicketTerms.model_fields:
        changed = terms.model_copy(update={name: other(name, getattr(terms, name))})
        assert hash_terms(changed) != hash_terms(terms), name
    assert TicketTerms.model_validate_json(canonical_json(terms)) == terms
