"""What is asked over HTTP is what the copilot does: turns, tickets, the account, agents, alerts, notices."""

from __future__ import annotations

from tests.copilot.rest.place import Place, fill_history, parse_events


async def test_a_turn_is_answered_whole(place: Place) -> None:
    client = place.client()
    response = await client.post("/chat", json={"message": "buy"})
    assert response.status_code == 200, response.text
    told = response.json()
    (ticket,) = told["opened"]
    assert ticket["terms"]["symbol"] == "BTC/USDT"
    assert ticket["nonce"]
    assert response.headers["location"] == f"/chat/{told['turn_id']}"
    again = await client.get(response.headers["location"])
    assert again.json() == told


async def test_a_turn_is_streamed_in_order(place: Place) -> None:
    client = place.client()
    response = await client.post("/chat", json={"message": "look and buy"}, headers={"accept": "text/event-stream"})
    events = parse_events(response.text)
    names = [event.name for event in events]
    assert names[-1] == "turn_ended"
    assert names.count("turn_ended") == 1
    assert [int(event.id.rpartition("-")[2]) for event in events] == list(range(1, len(events) + 1))
    assert names.index("tool_started") < names.index("tool_finished")
    assert "ticket_opened" in names
    said = "".join(event.data["text"] for event in events if event.name == "answer")
    assert events[-1].data["answer"] == said


async def test_everything_can_be_read(place: Place) -> None:
    client = place.client()
    fill_history(place.world)
    for path in (
        "/charts/BTC-USDT",
        "/portfolio",
        "/orders",
        "/trades",
        "/agents",
        "/alerts",
        "/notices",
        "/tickets",
        "/backtests",
        "/tokens",
        "/metrics",
        "/health",
        "/openapi.json",
    ):
        response = await client.get(path)
        assert response.status_code == 200, (path, response.text)
