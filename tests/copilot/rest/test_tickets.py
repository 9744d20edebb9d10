"""Tickets and proposals over HTTP: decided once, by their owner, by the nonce of what was shown."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from copilot.rest.tokens import Scope
from tests.agents.execution.fakes import D
from tests.copilot.rest.place import Place, parse_events
from tests.tools.world import OWNER, TTL
from tools.agent_results import FIRST_PROPOSAL

Json = dict[str, Any]


async def open_ticket(client: httpx.AsyncClient, message: str = "buy") -> Json:
    """Return the ticket that a message opens."""
    (ticket,) = (await client.post("/chat", json={"message": message})).json()["opened"]
    found: Json = ticket
    return found


async def decide(client: httpx.AsyncClient, ticket: Json, decision: str = "approve", **others: Any) -> httpx.Response:
    body = {"nonce": ticket["nonce"], **others}
    return await client.post(f"/tickets/{ticket['ticket_id']}/{decision}", json=body)


async def test_an_approved_ticket_is_executed(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    response = await decide(client, ticket)
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["ticket"]["state"] == "executed"
    assert told["ticket"]["fill"]["filled_quantity"] == "1"
    assert told["answer"]
    assert await place.world.orders() == 1
    trades = (await client.get("/trades")).json()["trades"]
    assert [trade["quantity"] for trade in trades] == ["1"]
    assert (await client.get("/portfolio")).json()["positions"][0]["symbol"] == "BTC/USDT"


async def test_many_approvals_at_once_give_one_order(place: Place) -> None:
    clients = [place.client() for _ in range(4)]
    ticket = await open_ticket(clients[0])
    answers = await asyncio.gather(*(decide(clients[n % 4], ticket) for n in range(8)))
    later = await asyncio.gather(*(decide(client, ticket) for client in clients))
    assert {each.status_code for each in (*answers, *later)} == {200}
    assert {each.json()["ticket"]["state"] for each in later} == {"executed"}
    assert await place.world.orders() == 1


async def test_of_approvals_and_rejections_at_once_one_side_wins(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    decisions = ["approve", "reject"] * 4
    answers = await asyncio.gather(*(decide(client, ticket, decision) for decision in decisions))
    won = {decision for decision, each in zip(decisions, answers, strict=True) if each.status_code == 200}
    assert len(won) == 1
    assert await place.world.orders() == (1 if won == {"approve"} else 0)
    lost = [each for decision, each in zip(decisions, answers, strict=True) if decision not in won]
    assert {(each.status_code, each.json()["code"]) for each in lost} == {(409, "ticket_closed")}


async def test_a_rejected_ticket_stays_rejected(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    assert (await decide(client, ticket, "reject")).json()["ticket"]["state"] == "rejected"
    refused = await decide(client, ticket)
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_closed")
    assert refused.json()["ticket"]["state"] == "rejected"
    assert await place.world.orders() == 0


async def test_a_wrong_nonce_decides_nothing(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    refused = await decide(client, ticket, nonce="somebody's guess")
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_changed")
    assert (await client.get(f"/tickets/{ticket['ticket_id']}")).json()["state"] == "pending"
    assert await place.world.orders() == 0


async def test_an_expired_ticket_is_asked_again_with_another_nonce(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    place.world.clock.wait(TTL.total_seconds() + 1)
    refused = await decide(client, ticket)
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_asked_again")
    fresh = refused.json()["ticket"]
    assert fresh["version"] == 2
    assert fresh["nonce"] != ticket["nonce"]
    assert await place.world.orders() == 0
    assert (await decide(client, fresh)).json()["ticket"]["state"] == "executed"


async def test_a_moved_price_is_asked_again(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    place.world.market.mids["BTC/USDT"] = D(110)
    refused = await decide(client, ticket)
    assert refused.json()["code"] == "ticket_asked_again"
    assert refused.json()["ticket"]["repriced_from"] == ticket["terms"]["expected_price"]
    assert await place.world.orders() == 0


async def test_an_edit_is_a_new_version_and_the_old_one_is_dead(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    path = f"/tickets/{ticket['ticket_id']}"
    edited = await client.patch(path, json={"nonce": ticket["nonce"], "changes": {"quantity": "0.5"}})
    assert edited.status_code == 200, edited.text
    assert edited.json()["terms"]["quantity"] == "0.5"
    assert (await decide(client, ticket)).json()["code"] == "ticket_changed"
    stale = await client.patch(path, json={"nonce": ticket["nonce"], "changes": {"quantity": "2"}})
    assert (stale.status_code, stale.json()["code"]) == (409, "ticket_changed")
    assert (await decide(client, edited.json())).json()["ticket"]["fill"]["filled_quantity"] == "0.5"
    closed = await client.patch(path, json={"nonce": edited.json()["nonce"], "changes": {"quantity": "2"}})
    assert (closed.status_code, closed.json()["code"]) == (409, "ticket_closed")


@pytest.mark.parametrize("changes", [{"quantity": "50000000"}, {"side": "1"}, {"stop_loss": "150"}])
async def test_an_edit_that_cannot_be_leaves_the_ticket(place: Place, changes: Json) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    path = f"/tickets/{ticket['ticket_id']}"
    refused = await client.patch(path, json={"nonce": ticket["nonce"], "changes": changes})
    assert (refused.status_code, refused.json()["code"]) == (409, "ticket_not_edited")
    assert refused.json()["detail"]
    assert (await client.get(path)).json() == ticket


async def test_an_edit_takes_plain_digits_alone(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    path = f"/tickets/{ticket['ticket_id']}"
    for value in ("0", "-1", "1e3", "1,5", "NaN", "", " 1", "1\n", "٣", "0.00", 1, 1.5, None):
        refused = await client.patch(path, json={"nonce": ticket["nonce"], "changes": {"quantity": value}})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), value


async def test_a_ticket_of_somebody_else_looks_like_none(place: Place) -> None:
    ticket = await open_ticket(place.client())
    eve = place.client(owner="eve")
    path = f"/tickets/{ticket['ticket_id']}"
    assert (await eve.get(path)).status_code == 404
    assert (await decide(eve, ticket)).status_code == 404
    assert (await decide(eve, ticket, "reject")).status_code == 404
    assert (await eve.patch(path, json={"nonce": ticket["nonce"], "changes": {"quantity": "2"}})).status_code == 404
    assert (await eve.get("/tickets")).json() == {"tickets": []}
    assert place.world.tickets.open_for(OWNER)[0].nonce == ticket["nonce"]


async def test_a_conversation_of_one_name_is_not_shared_by_owners(place: Place) -> None:
    for owner in (OWNER, "eve"):
        client = place.client(owner=owner)
        ticket = (await client.post("/chat", json={"message": "buy", "conversation": "main"})).json()["opened"][0]
        assert ticket["owner"] == owner
    seen = [*place.world.tickets.open_for(OWNER), *place.world.tickets.open_for("eve")]
    assert len({ticket.conversation_id for ticket in seen}) == 2


async def test_without_the_scope_no_nonce_is_shown(place: Place) -> None:
    ticket = await open_ticket(place.client())
    reader = place.client(Scope.READ)
    (listed,) = (await reader.get("/tickets")).json()["tickets"]
    assert listed == {**ticket, "nonce": ""}
    assert (await reader.get(f"/tickets/{ticket['ticket_id']}")).json()["nonce"] == ""


async def test_a_decision_can_be_followed_as_events(place: Place) -> None:
    client = place.client()
    ticket = await open_ticket(client)
    response = await client.post(
        f"/tickets/{ticket['ticket_id']}/approve",
        json={"nonce": ticket["nonce"]},
        headers={"accept": "text/event-stream"},
    )
    events = parse_events(response.text)
    assert [event.data["ticket"]["state"] for event in events if event.name == "ticket_closed"] == ["executed"]
    assert events[-1].name == "turn_ended"


async def test_what_follows_a_decision_is_told(place: Place) -> None:
    client = place.client()
    opened = (await client.post("/chat", json={"message": "buy both"})).json()["opened"]
    first = await decide(client, opened[0])
    assert first.status_code == 200
    open_now = (await client.get("/tickets")).json()["tickets"]
    assert [ticket["terms"]["symbol"] for ticket in open_now] == ["XAUUSD"]
    assert [ticket["ticket_id"] for ticket in first.json()["opened"]] in ([], [open_now[0]["ticket_id"]])


async def test_an_agent_stops_at_once_and_starts_by_a_proposal(place: Place) -> None:
    client = place.client()
    asked = await client.post("/agents/nova/start")
    assert asked.status_code == 202, asked.text
    proposal = asked.json()["proposal"]
    assert proposal["ticket_id"] > FIRST_PROPOSAL
    assert asked.headers["location"] == f"/tickets/{proposal['ticket_id']}"
    assert (await client.get(asked.headers["location"])).json() == proposal
    assert (await client.get("/agents")).json()["agents"]
    states = {each["agent"]: each["state"] for each in (await client.get("/agents")).json()["agents"]}
    assert states["nova"] == "created", "asking starts nothing"
    answers = await asyncio.gather(*(decide(client, proposal) for _ in range(5)))
    assert {each.status_code for each in answers} == {200}, [each.text for each in answers]
    agent = (await client.get("/agents?agent=nova")).json()["agents"][0]
    assert agent["state"] == "running"
    stopped = await client.post("/agents/nova/stop")
    assert stopped.status_code == 200
    assert [change["name"] for change in stopped.json()["changes"]] == ["stop"]
    assert stopped.json()["proposal"] is None


async def test_a_budget_is_edited_before_an_agent_starts(place: Place) -> None:
    client = place.client()
    proposal = (await client.post("/agents/atlas/start")).json()["proposal"]
    path = f"/tickets/{proposal['ticket_id']}"
    edited = await client.patch(path, json={"nonce": proposal["nonce"], "changes": {"budget_atlas": "1234.5"}})
    assert edited.status_code == 200, edited.text
    assert edited.json()["terms"]["items"][0]["budget"] == "1234.5"
    assert (await decide(client, proposal)).json()["code"] == "ticket_changed"
    assert (await decide(client, edited.json())).json()["ticket"]["state"] == "executed"
    agent = (await client.get("/agents?agent=atlas")).json()["agents"][0]
    assert agent["budget"] == "1234.5"
