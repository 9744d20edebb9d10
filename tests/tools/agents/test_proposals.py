"""Proposals: exact terms, one winner, carried out at most once whatever crashes, and only for their owner."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from agents.fleet.lifecycle import Action, AgentState
from engine.domain.errors import InvalidRequest
from tests.tools.agents.world import OWNER, STRANGER, TTL, D, World, proposal
from tools.agent_results import FIRST_PROPOSAL, ProposalView, ProposedAction
from tools.asked_rows import canonical_json, hash_terms
from tools.proposal_tables import proposals

DEAD = f"{socket.gethostname()}|another|1|1|1"
"""A process of this machine before it was last started."""


class Killed(BaseException):
    """The process ends here."""


async def approve(world: World, asked: ProposalView, **other: str) -> str:
    values = {"nonce": asked.nonce, "owner": OWNER, "surface": "web"} | other
    return (await world.proposals.approve(asked.ticket_id, **values)).outcome


async def test_a_proposal_is_shown_with_exact_terms_and_a_number_of_its_own(world: World) -> None:
    asked = await world.start()
    assert (asked.ticket_id, asked.number) == (FIRST_PROPOSAL + 1, "A1")
    assert asked.state == "pending"
    assert asked.terms_hash == hash_terms(asked.terms)
    assert asked.expires_at == world.present + TTL
    assert world.proposals.open_for(OWNER) == (asked,)
    assert ProposalView.model_validate_json(asked.model_dump_json()) == asked


async def test_somebody_elses_proposal_looks_like_none(world: World) -> None:
    asked = await world.start()
    assert world.proposals.view(asked.ticket_id, STRANGER.owner) is None
    assert world.proposals.open_for(STRANGER.owner) == ()
    decided = await world.proposals.approve(asked.ticket_id, asked.nonce, STRANGER.owner, "web")
    assert (decided.outcome, decided.code, decided.ticket) == ("refused", "ticket_not_found", None)
    with pytest.raises(InvalidRequest):
        await world.proposals.edit(asked.ticket_id, asked.nonce, STRANGER.owner, {"budget_nova": "1"})


async def test_another_nonce_decides_nothing(world: World) -> None:
    asked = await world.start()
    for act in (world.proposals.approve, world.proposals.reject):
        decided = await act(asked.ticket_id, "guess", OWNER, "web")
        assert (decided.outcome, decided.code) == ("refused", "ticket_changed")
    assert world.proposals.view(asked.ticket_id, OWNER) == asked


async def test_the_buttons_of_an_old_version_are_dead(world: World) -> None:
    asked = await world.start()
    await world.proposals.edit(asked.ticket_id, asked.nonce, OWNER, {"budget_nova": "1000"})
    assert await approve(world, asked) == "refused"
    assert world.fleet.agents["nova"].state is AgentState.CREATED


async def test_a_hundred_clicks_start_an_agent_once(world: World) -> None:
    asked = await world.start()

    async def click() -> str:
        outcome = await approve(world, asked)
        await world.proposals.execute(asked.ticket_id)
        return outcome

    outcomes = Counter(await asyncio.gather(*(click() for _ in range(100))))
    assert outcomes == {"approved": 1, "already": 99}
    assert len(world.fleet.deeds) == 1
    assert world.fleet.agents["nova"].equity == D(10_000)


async def test_approved_and_rejected_at_once_only_one_counts(world: World) -> None:
    asked = await world.start()
    nonce = asked.nonce
    decided = await asyncio.gather(
        world.proposals.reject(asked.ticket_id, nonce, OWNER, "telegram"),
        world.proposals.approve(asked.ticket_id, nonce, OWNER, "web"),
    )
    assert sorted(each.outcome for each in decided) in (["already", "rejected"], ["already", "approved"])


async def test_a_rejected_proposal_is_closed_for_good(world: World) -> None:
    asked = await world.start()
    assert (await world.proposals.reject(asked.ticket_id, asked.nonce, OWNER, "web")).outcome == "rejected"
    assert await approve(world, asked) == "already"
    assert (await world.proposals.execute(asked.ticket_id)).state == "rejected"
    assert not world.fleet.deeds


async def test_nothing_is_carried_out_without_approval(world: World) -> None:
    asked = await world.start()
    assert (await world.proposals.execute(asked.ticket_id)).state == "pending"
    world.proposals.carry_on(asked.ticket_id)
    await asyncio.sleep(0)
    assert not world.fleet.deeds


async def test_an_expired_proposal_is_asked_again_with_the_terms_of_today(world: World) -> None:
    asked = await world.start()
    world.wait(seconds=61)
    world.fleet.cash = D(50_000)
    decided = await world.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
    assert decided.outcome == "repriced"
    assert decided.ticket is not None
    (item,) = decided.ticket.terms.items
    assert isinstance(item, ProposedAction)
    assert (decided.ticket.version, item.available) == (2, D(50_000))
    assert decided.ticket.nonce != asked.nonce
    assert not world.fleet.deeds
    assert await approve(world, decided.ticket) == "approved"


async def test_what_the_owner_did_not_see_is_asked_again(world: World) -> None:
    asked = proposal(await world.configure("orion", "position_size_pct", "4"))
    world.fleet.agents["orion"].settings["position_size_pct"] = "3.5"
    assert await approve(world, asked) == "repriced"
    world.fleet.agents["orion"].settings["position_size_pct"] = "4.5"
    (again,) = world.proposals.open_for(OWNER)
    decided = await world.proposals.approve(again.ticket_id, again.nonce, OWNER, "web")
    assert decided.ticket is not None
    assert (decided.ticket.state, decided.ticket.reasons) == ("failed", ("nothing_left",))
    assert world.fleet.agents["orion"].settings["position_size_pct"] == "4.5"


async def test_a_larger_limit_than_the_owner_saw_is_asked_again(world: World) -> None:
    asked = await world.start("nova")
    world.fleet.agents["nova"].settings["max_drawdown_pct"] = "50"
    assert await approve(world, asked) == "repriced"


async def test_a_start_that_was_done_meanwhile_is_nothing_left_to_ask(world: World) -> None:
    asked = await world.start()
    await world.fleet.act("nova", Action.START, by="somebody")
    assert await approve(world, asked) == "already"
    assert len(world.fleet.deeds) == 1


async def test_a_newer_proposal_about_the_same_thing_takes_its_place(world: World) -> None:
    first, other = await world.start("nova"), await world.start("atlas")
    second = await world.start("nova")
    assert [each.ticket_id for each in world.proposals.open_for(OWNER)] == [other.ticket_id, second.ticket_id]
    assert await approve(world, first) == "already"
    assert not world.fleet.deeds


async def test_terms_that_were_changed_in_the_database_are_not_approved(world: World) -> None:
    asked = await world.start()
    (item,) = asked.terms.items
    forged = asked.terms.model_copy(update={"items": (item.model_copy(update={"budget": D(99_999)}),)})
    with world.database.begin() as connection:
        connection.execute(update(proposals).values(terms=canonical_json(forged)))
    assert (await world.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")).code == "ticket_damaged"


async def test_terms_that_were_changed_after_approval_are_not_carried_out(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    (item,) = asked.terms.items
    forged = asked.terms.model_copy(update={"items": (item.model_copy(update={"budget": D(99_999)}),)})
    with world.database.begin() as connection:
        connection.execute(update(proposals).values(terms=canonical_json(forged), terms_hash=hash_terms(forged)))
    done = await world.proposals.execute(asked.ticket_id)
    assert (done.state, done.reasons) == ("failed", ("ticket_damaged",))
    assert not world.fleet.deeds


async def test_what_cannot_be_done_fails_with_its_reason_and_ends_there(world: World) -> None:
    asked = proposal(await world.control("all", "start"))
    world.fleet.deaf = {"orion"}
    done = await world.approve(asked)
    assert done.state == "failed"
    assert [(each.index, each.is_done, each.code) for each in done.outcomes] == [(0, True, ""), (1, False, "failed")]
    assert world.fleet.agents["nova"].state is AgentState.CREATED


async def test_an_unanswered_proposal_is_closed(world: World) -> None:
    asked = await world.start()
    world.wait(minutes=15)
    assert world.proposals.expire_due() == 0
    world.wait(minutes=2)
    assert world.proposals.expire_due() == 1
    assert await approve(world, asked) == "already"


async def test_a_caller_that_leaves_does_not_end_the_work_and_the_owner_is_told(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    world.fleet.pause = asyncio.Event()
    waiting = asyncio.ensure_future(world.proposals.execute(asked.ticket_id))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    world.fleet.pause.set()
    await until(lambda: bool(world.told()))
    assert world.told() == [("proposal_executed", {"proposal_id": "A1", "reasons": ""})]
    assert world.fleet.agents["nova"].state is AgentState.RUNNING


async def test_an_approved_proposal_that_nobody_carries_out_is_carried_on(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    world.proposals.carry_on(asked.ticket_id)
    await until(lambda: bool(world.fleet.deeds))
    assert (await world.proposals.execute(asked.ticket_id)).state == "executed"
    assert len(world.fleet.deeds) == 1


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


def dying(world: World, before: bool) -> None:
    """Let the process end before or after the next thing that is done to an agent."""
    act = world.fleet.act

    async def killed(*arguments: object, **options: object) -> None:
        if not before:
            await act(*arguments, **options)  # type: ignore[arg-type]  # passed on as it came
        world.fleet.act = act  # type: ignore[method-assign]  # the next process is well
        raise Killed

    world.fleet.act = killed  # type: ignore[method-assign]  # a process that dies in the middle


async def crash(work: Awaitable[object], world: World, by: str = DEAD) -> World:
    """Run into the crash and return the next process."""
    with pytest.raises(Killed):
        await work
    with world.database.begin() as connection:
        connection.execute(update(proposals).where(proposals.c.state == "claimed").values(claimed_by=by))
    return world.restarted()


@pytest.mark.parametrize(("before", "state"), [(True, "unsent"), (False, "executed")])
async def test_a_crash_in_the_middle_is_looked_up_and_never_done_again(before: bool, state: str, world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    dying(world, before)
    again = await crash(world.proposals.execute(asked.ticket_id), world)
    (ended,) = await again.proposals.recover()
    assert ended.state == state
    assert len(world.fleet.deeds) == (0 if before else 1)
    assert again.told() == [(f"proposal_{state}", {"proposal_id": "A1", "reasons": ""})]
    assert await again.proposals.recover() == ()
    assert (await again.proposals.execute(asked.ticket_id)).state == state
    assert len(world.fleet.deeds) == (0 if before else 1)


async def test_what_was_undone_after_a_crash_is_not_done_again(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    dying(world, before=False)
    again = await crash(world.proposals.execute(asked.ticket_id), world)
    await again.control("nova", "stop")
    (ended,) = await again.proposals.recover()
    assert ended.state == "unsent"
    assert world.fleet.agents["nova"].state is AgentState.STOPPED


async def test_a_crash_between_two_agents_leaves_the_second_alone(world: World) -> None:
    asked = proposal(await world.control("all", "start"))
    await approve(world, asked)
    dying(world, before=False)
    again = await crash(world.proposals.execute(asked.ticket_id), world)
    (ended,) = await again.proposals.recover()
    assert ended.state == "unsent"
    assert [each.is_done for each in ended.outcomes] == [True, False, False]
    assert [agent for agent, *_ in world.fleet.deeds] == ["atlas"]


async def test_what_another_living_process_carries_out_is_left_to_it(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    world.fleet.pause = asyncio.Event()
    work = asyncio.ensure_future(world.proposals.execute(asked.ticket_id))
    await asyncio.sleep(0.01)
    assert await world.restarted().proposals.recover() == ()
    world.fleet.pause.set()
    assert (await work).state == "executed"


async def test_a_proposal_survives_a_restart_and_can_still_be_approved(world: World) -> None:
    asked = await world.start()
    again = world.restarted()
    assert again.proposals.open_for(OWNER) == (asked,)
    assert (await again.approve(asked)).state == "executed"


async def test_what_was_left_behind_is_ended_while_running_too(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    await world.proposals.follow()
    assert (await world.proposals.execute(asked.ticket_id)).state == "executed"
    other = await world.start("atlas")
    await approve(world, other)
    world.wait(seconds=61)
    await world.proposals.follow()
    assert (await world.proposals.execute(other.ticket_id)).state == "unsent"
    assert len(world.fleet.deeds) == 1


async def test_what_a_process_elsewhere_took_is_ended_after_a_long_while(world: World) -> None:
    asked = await world.start()
    await approve(world, asked)
    dying(world, before=True)
    again = await crash(world.proposals.execute(asked.ticket_id), world, by="elsewhere|b|1|1|1")
    assert await again.proposals.recover() == ()
    for minutes, state in ((5, "claimed"), (6, "unsent")):
        again.wait(minutes=minutes)
        await again.proposals.follow()
        assert (await again.proposals.execute(asked.ticket_id)).state == state


async def test_a_clock_that_stands_still_expires_nothing(world: World) -> None:
    asked = await world.start()
    world.present += TTL
    assert await approve(world, asked) == "approved"
    assert world.present - asked.created_at == timedelta(seconds=60)
