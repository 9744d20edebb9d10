"""Who may do what: tokens, scopes, owners, rates, bodies, and what no answer ever carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from copilot.rest.access import OPEN_PATHS
from copilot.rest.tokens import Scope
from tests.copilot.rest.place import FAST, Place, fill_history, place_at
from tests.tools.world import OWNER

NONCE = {"nonce": "x"}
CALLS: list[tuple[str, str, Any, Scope]] = [
    ("POST", "/chat", {"message": "hello"}, Scope.TRADE),
    ("GET", f"/chat/{'0' * 24}", None, Scope.TRADE),
    ("GET", "/tickets", None, Scope.READ),
    ("GET", "/tickets/1", None, Scope.READ),
    ("POST", "/tickets/1/approve", NONCE, Scope.TRADE),
    ("POST", "/tickets/1/reject", NONCE, Scope.TRADE),
    ("PATCH", "/tickets/1", {"nonce": "x", "changes": {"quantity": "2"}}, Scope.TRADE),
    ("GET", "/signals/BTC-USDT", None, Scope.READ),
    ("GET", "/charts/BTC-USDT", None, Scope.READ),
    ("GET", "/portfolio", None, Scope.READ),
    ("GET", "/orders", None, Scope.READ),
    ("DELETE", "/orders/1", None, Scope.TRADE),
    ("GET", "/trades", None, Scope.READ),
    ("POST", "/stop", None, Scope.TRADE),
    ("POST", "/lift", None, Scope.ADMIN),
    ("GET", "/agents", None, Scope.READ),
    ("POST", "/agents/nova/stop", None, Scope.TRADE),
    ("GET", "/alerts", None, Scope.READ),
    ("POST", "/alerts", {"symbol": "BTC/USDT", "condition": "price_above", "value": "1"}, Scope.TRADE),
    ("PATCH", "/alerts/1", {"repeats": True}, Scope.TRADE),
    ("DELETE", "/alerts/1", None, Scope.TRADE),
    ("GET", "/notices", None, Scope.READ),
    ("POST", "/notices/seen", {"ids": [1]}, Scope.READ),
    ("POST", "/backtests", {"target": "grid"}, Scope.READ),
    ("GET", "/backtests", None, Scope.READ),
    ("GET", f"/backtests/{'0' * 32}", None, Scope.READ),
    ("DELETE", f"/backtests/{'0' * 32}", None, Scope.READ),
    ("GET", "/metrics", None, Scope.READ),
    ("GET", "/tokens", None, Scope.ADMIN),
    ("POST", "/tokens", {"name": "more", "scopes": ["read"]}, Scope.ADMIN),
    ("DELETE", f"/tokens/{'0' * 16}", None, Scope.ADMIN),
]


async def ask(client: httpx.AsyncClient, method: str, path: str, body: Any) -> httpx.Response:
    return await client.request(method, path, json=body)


async def test_every_route_is_on_the_list(place: Place) -> None:
    document = (await place.client().get("/openapi.json")).json()
    routes = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert len(routes) == len(CALLS) + 1, "and /health, which is open"


async def test_each_call_needs_exactly_its_scope(place: Place) -> None:
    clients = {scope: place.client(scope) for scope in Scope}
    for method, path, body, needed in CALLS:
        for scope, client in clients.items():
            response = await ask(client, method, path, body)
            if scope is needed:
                assert response.status_code not in (401, 403), (method, path, response.text)
            else:
                assert response.status_code == 403, (method, path, scope, response.text)
                assert response.json()["code"] == "forbidden"
                assert needed.value in response.headers["www-authenticate"]
    assert place.world.halted == [(OWNER, "rest")], "once, by the one token that may"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer tc_nope", "tc_x"])
async def test_without_a_good_token_nothing_is_told(place: Place, header: str | None) -> None:
    client = place.client(secret="")
    headers = {} if header is None else {"authorization": header}
    for method, path, body, _ in CALLS:
        response = await client.request(method, path, json=body, headers=headers)
        assert response.status_code == 401, (method, path)
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert (await client.get("/no/such/route", headers=headers)).status_code == 401
    assert await place.world.orders() == 0


async def test_two_authorization_headers_are_refused(place: Place) -> None:
    client = place.client()
    good = client.headers.pop("authorization")
    headers = [("authorization", good), ("authorization", good)]
    assert (await client.get("/tickets", headers=headers)).status_code == 401


async def test_a_cookie_is_no_token(place: Place) -> None:
    client = place.client(secret="")
    secret = place.secret()
    for name in ("authorization", "token", "copilot_session_8000", "access_token"):
        assert (await client.get("/tickets", headers={"cookie": f"{name}={secret}"})).status_code == 401
    assert (await client.get(f"/tickets?token={secret}")).status_code == 401


async def test_a_token_ends_when_it_is_revoked_or_over(place: Place) -> None:
    secret, token = place.tokens.create("short", [Scope.READ], OWNER, place.world.clock.now() + timedelta(minutes=1))
    client = place.client(secret=secret)
    assert (await client.get("/tickets")).status_code == 200
    place.world.clock.wait(60)
    assert (await client.get("/tickets")).status_code == 401
    admin = place.client(Scope.ADMIN)
    made = (await admin.post("/tokens", json={"name": "bot", "scopes": ["read"]})).json()
    bot = place.client(secret=made["token"])
    assert (await bot.get("/tickets")).status_code == 200
    assert (await admin.delete(f"/tokens/{made['id']}")).status_code == 204
    assert (await bot.get("/tickets")).status_code == 401
    listed = {each["id"]: each for each in (await admin.get("/tokens")).json()["tokens"]}
    assert listed[made["id"]]["revoked_at"] is not None
    assert made["token"] not in json.dumps([*listed.values()])
    assert token.id in listed


async def test_an_admin_reaches_the_tokens_of_no_other_owner(place: Place) -> None:
    eve, theirs = place.client(Scope.ADMIN, owner="eve"), place.tokens.create("ours", [Scope.READ], OWNER)[1]
    assert OWNER not in {place.tokens.find(place.secret()) and "eve"}
    assert [each["name"] for each in (await eve.get("/tokens")).json()["tokens"]] == ["test"]
    assert (await eve.delete(f"/tokens/{theirs.id}")).status_code == 404
    assert place.tokens.is_good(theirs.id)
    made = (await eve.post("/tokens", json={"name": "bot", "scopes": ["trade"]})).json()
    assert {each.owner for each in place.tokens.list() if each.id == made["id"]} == {"eve"}


async def test_a_stream_ends_when_its_token_is_revoked(place: Place) -> None:
    secret, token = place.tokens.create("listener", [Scope.READ], OWNER)
    client = place.client(secret=secret)
    listening = asyncio.create_task(client.get("/notices", headers={"accept": "text/event-stream"}))
    await asyncio.sleep(0.1)
    assert not listening.done()
    place.tokens.revoke(token.id)
    response = await asyncio.wait_for(listening, 30)
    assert response.status_code == 200


async def test_answers_are_for_nobody_else(place: Place) -> None:
    client = place.client()
    for path in ("/tickets", "/health", "/nowhere", "/tickets/0"):
        headers = (await client.get(path, headers={"origin": "https://evil.example"})).headers
        assert not [name for name in headers if name.startswith("access-control-")]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
    preflight = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    refused = await client.options("/chat", headers=preflight)
    assert refused.status_code == 405
    assert "access-control-allow-origin" not in refused.headers


async def test_health_needs_no_token_and_tells_no_detail(place: Place) -> None:
    client = place.client(secret="")
    assert {"/health", "/openapi.json", "/docs"} == OPEN_PATHS
    told = await client.get("/health")
    assert told.json() == {
        "status": "ok",
        "parts": [
            {"name": "database", "trouble": "", "is_vital": True},
            {"name": "market", "trouble": "", "is_vital": False},
        ],
    }
    place.world.market.silent.update(place.world.market.instruments())
    degraded = await client.get("/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")


async def test_allow_names_every_method_of_a_path(place: Place) -> None:
    response = await place.client().put("/alerts", json={})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_at(tmp_path, replace(FAST, requests=5, requests_window_s=100.0, body_bytes=2000)) as opened:
        yield opened


async def test_a_token_that_asks_too_much_waits_and_others_do_not(narrow: Place) -> None:
    greedy, other = narrow.client(), narrow.client()
    left = []
    for _ in range(5):
        response = await greedy.get("/tickets")
        assert response.status_code == 200
        assert response.headers["ratelimit-limit"] == "5"
        left.append(response.headers["ratelimit-remaining"])
    assert left == ["4", "3", "2", "1", "0"]
    refused = await greedy.get("/tickets")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.json()["code"] == "too_many_requests"
    assert (await other.get("/tickets")).status_code == 200


async def test_stopping_everything_is_never_too_much(narrow: Place) -> None:
    client = narrow.client()
    for _ in range(10):
        await client.get("/tickets")
    assert (await client.get("/tickets")).status_code == 429
    for _ in range(3):
        assert (await client.post("/stop")).status_code == 200
    assert len(narrow.world.halted) == 3


async def test_a_body_that_is_too_long_is_refused_told_or_not(narrow: Place) -> None:
    client = narrow.client()
    long = json.dumps({"message": "x" * 3000}).encode()
    told = await client.post("/chat", content=long, headers={"content-type": "application/json"})
    assert (told.status_code, told.json()["code"]) == (413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    chunked = await client.post("/chat", content=pieces(), headers={"content-type": "application/json"})
    assert chunked.status_code == 413


async def test_a_body_that_never_ends_is_not_waited_for(place: Place) -> None:
    client = place.client()

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    slow = await client.post("/chat", content=trickle(), headers={"content-type": "application/json"})
    assert (slow.status_code, slow.json()["code"]) == (408, "body_too_slow")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"message=buy", "application/x-www-form-urlencoded", 415),
        (b'{"message": "buy"}', "text/plain", 415),
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 40_000, "application/json", 400),
        (b'{"message": "buy", "owner": "eve"}', "application/json", 422),
        (b'{"message": "\\ud800"}', "application/json", 422),
        (b'{"message": "buy", "\\ud800": 1}', "application/json", 422),
        (b'{"message": NaN}', "application/json", 422),
        (b"null", "application/json", 422),
        (b"", "application/json", 422),
    ],
)
async def test_a_badly_formed_body_is_a_problem_and_does_nothing(
    place: Place, content: bytes, kind: str, status: int
) -> None:
    response = await place.client().post("/chat", content=content, headers={"content-type": kind})
    assert response.status_code == status, response.text
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert place.world.tickets.open_for(OWNER) == ()


async def test_a_failure_tells_nothing_about_the_inside(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret /path/of/the/program")

    monkeypatch.setattr(place.world.notices, "pending", broken)
    response = await place.client().get("/notices")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


async def test_a_misspelt_query_is_noticed(place: Place) -> None:
    fill_history(place.world)
    client = place.client()
    for path in ("/tickets?limit=1", "/charts/BTC-USDT?timeframes=1h", "/portfolio?View=pnl", "/metrics?x"):
        response = await client.get(path)
        assert response.status_code == 422, path
        assert response.json()["errors"], path
