"""Orders that agents ask for: asked once, sent when approved, given up when not."""

from __future__ import annotations

from tests.tools.agents.world import OWNER, World, make_order

ORDER = make_order()


async def test_an_order_is_asked_for_once_and_its_owner_told(live: World) -> None:
    (asked,) = await live.ask(ORDER)
    assert asked.terms.items == (ORDER,)
    assert asked.conversation_id == "agents:ana"
    for _ in range(3):
        await live.asked.look()
    assert live.proposals.open_for(OWNER) == (asked,)
    told = {"proposal_id": "A1", "agent": "Nova", "side": "buy", "symbol": "ETH/USDT"}
    assert live.told() == [("order_asked", told)]


async def test_an_approved_order_is_sent_once(live: World) -> None:
    (asked,) = await live.ask(ORDER)
    assert (await live.approve(asked)).state == "executed"
    await live.asked.look()
    assert live.fleet.deeds == [("confirmed", ORDER.source, OWNER, "")]


async def test_a_rejected_order_is_given_up(live: World) -> None:
    (asked,) = await live.ask(ORDER)
    await live.proposals.reject(asked.ticket_id, asked.nonce, OWNER, "web")
    await live.asked.look()
    assert live.fleet.deeds == [("declined", ORDER.source, OWNER, "")]
    assert live.proposals.open_for(OWNER) == ()


async def test_an_order_that_nobody_answered_is_given_up(live: World) -> None:
    await live.ask(ORDER)
    live.wait(minutes=17)
    live.proposals.expire_due()
    await live.asked.look()
    assert live.fleet.deeds == [("declined", ORDER.source, OWNER, "")]


async def test_an_order_that_its_agent_gave_up_is_not_sent(live: World) -> None:
    (asked,) = await live.ask(ORDER)
    live.fleet.orders.clear()
    decided = await live.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")
    assert decided.outcome == "already"
    assert decided.ticket is not None
    assert (decided.ticket.state, decided.ticket.reasons) == ("failed", ("nothing_left",))
    assert not live.fleet.deeds


async def test_an_order_whose_time_is_over_is_not_sent(live: World) -> None:
    (asked,) = await live.ask(ORDER)
    live.fleet.present = ORDER.valid_until
    assert (await live.proposals.approve(asked.ticket_id, asked.nonce, OWNER, "web")).outcome == "already"
    assert not live.fleet.deeds


async def test_orders_wait_beside_each_other_and_a_restart_asks_none_again(live: World) -> None:
    both = await live.ask(ORDER, make_order("agent:nova/other"))
    assert len(both) == 2
    again = live.restarted()
    await again.asked.look()
    assert again.proposals.open_for(OWNER) == both
    assert len(again.told()) == 2
