"""What is asked over HTTP is what the copilot does: turns, tickets, the account, agents, alerts, notices."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from copilot.rest.tokens import Scope
from engine.domain.signals import Direction
from tests.copilot.rest.place import ALL, Place, fill_history, parse_events
from tests.tools.world import OWNER


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


async def test_a_chart_is_data_or_a_picture(place: Place) -> None:
    fill_history(place.world)
    place.world.signals.directions["BTC/USDT"] = Direction.LONG
    client = place.client()
    data = (await client.get("/charts/btc-usdt?indicators=rsi&indicators=macd")).json()
    assert {line["pane"] for line in data["chart"]["lines"]} == {"rsi", "macd"}
    pictures = []
    for query in ("", "?overlay=signal"):
        response = await client.get(f"/charts/BTC-USDT{query}", headers={"accept": "image/png"})
        assert response.headers["content-type"] == "image/png"
        assert response.content.startswith(b"\x89PNG")
        pictures.append(response.content)
    assert pictures[0] != pictures[1], "the signal is drawn"


async def test_a_signal_is_answered_and_a_missing_one_is_told(place: Place) -> None:
    client = place.client()
    missing = await client.get("/signals/XAUUSD")
    assert missing.status_code == 404
    place.world.signals.directions["XAUUSD"] = Direction.SHORT
    told = (await client.get("/signals/XAUUSD?timeframe=4h")).json()
    assert (told["signal"]["direction"], told["signal"]["timeframe"], told["chart"]) == ("short", "4h", None)
    unknown = await client.get("/signals/DOGE-EUR")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_instrument")


async def test_orders_are_listed_and_cancelled_one_by_one(place: Place) -> None:
    client = place.client()
    for price in ("95", "96"):
        await place.world.trade(order_type="limit", price=price)
    first, second = (await client.get("/orders")).json()["orders"]
    for name in ("all", "ALL"):
        assert (await client.delete(f"/orders/{name}")).status_code == 404
    gone = await client.delete(f"/orders/{first['order_id']}")
    assert [each["order_id"] for each in gone.json()["orders"]] == [first["order_id"]]
    assert [each["order_id"] for each in (await client.get("/orders")).json()["orders"]] == [second["order_id"]]
    again = await client.delete(f"/orders/{first['order_id']}")
    assert (again.status_code, again.json()["code"]) == (404, "order_not_found")


async def test_what_protects_a_position_is_not_cancelled(place: Place) -> None:
    client = place.client()
    await place.world.trade(stop_loss="90")
    (order,) = (await client.get("/orders")).json()["orders"]
    refused = await client.delete(f"/orders/{order['order_id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "order_protects")
    assert len((await client.get("/orders")).json()["orders"]) == 1


async def test_alerts_are_set_adjusted_and_cancelled(place: Place) -> None:
    client = place.client()
    made = await client.post("/alerts", json={"symbol": "btc-usdt", "condition": "price_above", "value": "120"})
    assert made.status_code == 201, made.text
    alert = made.json()["alert"]
    assert (alert["symbol"], alert["value"], alert["repeats"]) == ("BTC/USDT", "120", False)
    path = f"/alerts/{alert['alert_id']}"
    ends_at = (place.world.market.now() + timedelta(days=1)).isoformat()
    changed = (await client.patch(path, json={"repeats": True, "rest_s": 120, "expires_at": ends_at})).json()
    assert (changed["repeats"], changed["rest_s"]) == (True, 120)
    assert (await client.patch(path, json={"expires_at": None})).json()["expires_at"] is None
    assert (await client.get("/alerts?symbol=XAUUSD")).json() == {"alerts": []}
    assert len((await client.get("/alerts?symbol=BTC-USDT")).json()["alerts"]) == 1
    assert (await place.client(owner="eve").delete(path)).status_code == 404
    assert (await client.delete(path)).status_code == 200
    assert (await client.delete(path)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 409),
        ({"rest_s": 1}, 422),
        ({"repeats": "yes"}, 422),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 409),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, 409),
        ({"expires_at": "0001-01-01T00:00:00+12:00"}, 409),
        ({"expires_at": "1900000000"}, 422),
        ({"expires_at": "2030-02-30T00:00:00Z"}, 422),
        ({"expires_at": "2030-01-01T00:00:00"}, 422),
    ],
)
async def test_a_change_that_makes_no_sense_leaves_the_alert(
    place: Place, changes: dict[str, object], status: int
) -> None:
    client = place.client()
    body = {"symbol": "BTC/USDT", "condition": "price_above", "value": "120"}
    alert = (await client.post("/alerts", json=body)).json()["alert"]
    refused = await client.patch(f"/alerts/{alert['alert_id']}", json=changes)
    assert refused.status_code == status, refused.text
    assert (await client.get("/alerts")).json() == {"alerts": [alert]}


async def test_notices_wait_until_a_token_has_marked_them(place: Place) -> None:
    first, second = place.client(), place.client()
    place.world.notices.notify(OWNER, "ticket_unsent", {"symbol": "BTC/USDT"})
    place.world.notices.notify("eve", "ticket_unsent", {"symbol": "ETH/USDT"})
    (notice,) = (await first.get("/notices")).json()["notices"]
    assert notice["params"] == {"symbol": "BTC/USDT"}
    assert notice["text"]
    assert (await first.get("/notices")).json()["notices"] == [notice], "reading marks nothing"
    marked = await first.post("/notices/seen", json={"ids": [notice["id"], notice["id"] + 1, 999]})
    assert marked.json() == {"ids": [notice["id"]]}, "not what is somebody else's"
    assert (await first.get("/notices")).json()["notices"] == []
    assert (await second.get("/notices")).json()["notices"] == [notice], "each token is a surface of its own"
    place.world.clock.wait(60)
    assert (await place.client().get("/notices")).json()["notices"] == [], "older than the token"
    assert len(place.world.notices.pending("eve", "web")) == 1


async def test_notices_come_as_events(place: Place) -> None:
    secret, token = place.tokens.create("listener", ALL, OWNER)
    place.world.notices.notify(OWNER, "ticket_unsent", {"symbol": "BTC/USDT"})
    client = place.client(secret=secret)
    listening = asyncio.create_task(client.get("/notices", headers={"accept": "text/event-stream"}))
    await asyncio.sleep(0.2)
    place.world.notices.notify(OWNER, "ticket_unsent", {"symbol": "XAUUSD"})
    await asyncio.sleep(0.2)
    place.tokens.revoke(token.id)
    response = await asyncio.wait_for(listening, 30)
    assert [event.data["params"]["symbol"] for event in parse_events(response.text)] == ["BTC/USDT", "XAUUSD"]
    assert ": heartbeat" in response.text


async def test_the_kill_switch_stops_and_says_so(place: Place) -> None:
    response = await place.client().post("/stop")
    assert response.status_code == 200
    assert response.json()["answer"]
    assert place.world.halted == [(OWNER, "rest")]
    assert (await place.client().post("/stop", json={"please": True})).status_code == 422


async def test_answers_and_refusals_speak_the_owners_language(place: Place) -> None:
    client = place.client()
    place.copilot.set_language(OWNER, "es")
    refused = await client.get("/tickets/99")
    assert refused.json()["detail"] not in ("", "There is no ticket 99 of yours.")
    assert (await client.post("/notices/seen", json={"ids": [1]})).json() == {"ids": []}
    gone = await client.get(f"/backtests/{'0' * 32}")
    assert gone.json()["detail"] == "No existe ese backtest."


async def test_figures_are_prometheus_text_with_closed_labels(place: Place) -> None:
    client = place.client()
    await client.post("/chat", json={"message": "buy"})
    for n in range(3):
        await client.get(f"/no/such/{n}")
        await client.get(f"/tickets/{n + 1}")
    await place.client(secret="").get("/tickets")
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    requests = "copilot_rest_requests_total"
    assert figures[f'{requests}{{method="POST",route="/chat",status="200"}}'] == "1"
    assert figures[f'{requests}{{method="GET",route="other",status="404"}}'] == "3"
    assert figures[f'{requests}{{method="GET",route="/tickets/{{ticket_id}}",status="200"}}'] == "1"
    assert figures['copilot_rest_refused_requests_total{kind="unauthorized"}'] == "1"
    assert figures['copilot_rest_turns_total{kind="chat"}'] == "1"
    assert figures["copilot_rest_open_tickets"] == "1.0"
    assert figures["copilot_rest_turns_running"] == "0.0"
    name = "copilot_rest_request_seconds"
    counts = [int(value) for key, value in figures.items() if key.startswith(f'{name}_bucket{{route="/chat",')]
    assert counts == sorted(counts)
    assert counts[-1] == int(figures[f'{name}_count{{route="/chat"}}']) == 1
    for line in lines:
        assert not line.startswith("# TYPE") or line.split()[3] in ("counter", "gauge", "histogram")


async def test_only_an_admin_lets_trading_go_on(place: Place) -> None:
    await place.world.desk.kill(OWNER, "asked:test")
    assert (await place.client(Scope.READ, Scope.TRADE).post("/lift")).status_code == 403
    assert place.world.desk.state().state.value == "halted"
    done = await place.client(Scope.ADMIN).post("/lift")
    assert (done.status_code, done.json()["answer"][:15]) == (200, "Trading may go ")
    assert place.world.desk.state().state.value == "active"


async def test_the_document_is_a_page_that_loads_nothing(place: Place) -> None:
    page = await place.client(secret="").get("/docs")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "POST /tickets/{ticket_id}/approve" in page.text
    assert not [word for word in ("<script", "http://", "https://", "//cdn") if word in page.text]
