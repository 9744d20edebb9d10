from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from copilot.web.gate import Gate, host_name, is_loopback

OURS = "127.0.0.1:8000"
SOCKET = "/ws/socket.io/"


class Inside:
    """What stands behind the gate: it remembers what got through."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] == "http":
            await PlainTextResponse("in")(scope, receive, send)
        else:
            await send({"type": "websocket.accept"})


def make_gate(inside: Inside, host: str = "127.0.0.1", names: tuple[str, ...] = ()) -> Gate:
    return Gate(inside, lambda cookies: cookies.get("session") == "good", host, names)


async def ask(
    method: str = "GET", path: str = "/", *, host: str = "127.0.0.1", names: tuple[str, ...] = (), **headers: str
) -> tuple[httpx.Response, Inside]:
    inside = Inside()
    sent = {
        "Host": OURS,
        "Cookie": "session=good",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    transport = httpx.ASGITransport(make_gate(inside, host, names))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path, headers=sent), inside


async def connect(gate: Gate, path: str = SOCKET, **headers: str) -> dict[str, Any]:
    sent = {"host": OURS, "cookie": "session=good", **headers}
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    await gate(scope, receive, send)
    return answers[0]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:8001",
        "http://localhost:8000",
        "http://127.0.0.1:8000.evil.example",
    ],
)
async def test_foreign_origin_is_refused(origin: str) -> None:
    answer, inside = await ask("POST", "/project/action", Origin=origin)
    assert (answer.status_code, inside.seen) == (403, [])
    answer, inside = await ask("GET", "/user", Origin=origin)
    assert (answer.status_code, inside.seen) == (403, [])


async def test_own_origin_passes() -> None:
    answer, _ = await ask("POST", "/project/action", Origin=f"http://{OURS}")
    assert answer.status_code == 200


async def test_changing_request_without_origin_is_refused() -> None:
    answer, inside = await ask("POST", "/project/action")
    assert (answer.status_code, inside.seen) == (403, [])


async def test_read_by_another_page_is_refused_but_a_link_is_followed() -> None:
    answer, _ = await ask("GET", "/user", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert answer.status_code == 403
    answer, _ = await ask("GET", "/user", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors")
    assert answer.status_code == 403
    answer, _ = await ask("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document")
    assert answer.status_code == 200
    answer, _ = await ask("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.168.1.5:8000", ""]
)
async def test_unknown_host_is_refused(host: str) -> None:
    answer, inside = await ask(Host=host)
    assert (answer.status_code, inside.seen) == (421, [])


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST:9000"])
async def test_names_of_this_machine_pass(host: str) -> None:
    answer, _ = await ask(Host=host)
    assert answer.status_code == 200


async def test_beyond_loopback_addresses_pass_and_foreign_names_do_not() -> None:
    assert (await ask(host="0.0.0.0", Host="192.168.1.5:8000"))[0].status_code == 200
    assert (await ask(host="0.0.0.0", names=("trader",), Host="trader:8000"))[0].status_code == 200
    assert (await ask(host="0.0.0.0", names=("trader",), Host="evil.example:8000"))[0].status_code == 421


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/project/file"),
        ("PUT", "/project/element"),
        ("DELETE", "/project/element"),
        ("POST", "/mcp"),
        ("POST", "/auth/jwt"),
        ("POST", "/auth/header"),
        ("GET", "/auth/oauth/google"),
        ("GET", "/project/thread/x"),
        ("PUT", "/project/thread/share"),
        ("PUT", "/feedback"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/copilot/index.js"),
        ("OPTIONS", "/project/action"),
    ],
)
async def test_doors_that_the_page_does_not_need_are_shut(method: str, path: str) -> None:
    answer, inside = await ask(method, path, Origin=f"http://{OURS}")
    assert (answer.status_code, inside.seen) == (404, [])


@pytest.mark.parametrize("cookie", ["", "session=bad", "other=good"])
async def test_without_a_session_only_the_sign_in_opens(cookie: str) -> None:
    answer, inside = await ask(Cookie=cookie)
    assert (answer.status_code, answer.headers["location"], inside.seen) == (303, "/login", [])
    for path in ("/user", "/project/settings", "/public/copilot.js", "/banner", "/assets/index.js", SOCKET):
        answer, inside = await ask("GET", path, Cookie=cookie)
        assert (answer.status_code, inside.seen) == (401, [])
    answer, _ = await ask("GET", "/login", Cookie=cookie)
    assert answer.status_code == 200


async def test_socket_needs_own_origin_own_host_and_a_session() -> None:
    inside = Inside()
    gate = make_gate(inside)
    refused = {"type": "websocket.close", "code": 1008}
    assert await connect(gate, origin="http://evil.example") == refused
    assert await connect(gate) == refused
    assert await connect(gate, origin=f"http://{OURS}", host="evil.example") == refused
    assert await connect(gate, origin="http://evil.example", host="evil.example") == refused
    assert await connect(gate, origin=f"http://{OURS}", cookie="session=bad") == refused
    assert await connect(gate, "/elsewhere", origin=f"http://{OURS}") == refused
    assert inside.seen == []
    assert await connect(gate, origin=f"http://{OURS}") == {"type": "websocket.accept"}


async def test_answers_keep_the_browser_on_this_host() -> None:
    answer, _ = await ask()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"connect-src 'self' ws://{OURS} wss://{OURS};" in policy
    assert "https:" not in policy
    assert "access-control-allow-origin" not in answer.headers


async def test_a_room_is_behind_the_same_gate_and_keeps_its_stricter_policy() -> None:
    async def room(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("live", headers={"content-security-policy": "default-src 'none'"})(scope, receive, send)

    gate = Gate(room, lambda cookies: cookies.get("session") == "good", "127.0.0.1", rooms=("/dashboard",))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=f"http://{OURS}") as client:
        seen = await client.get("/dashboard/", headers={"Cookie": "session=good"})
        assert (seen.text, seen.headers["content-security-policy"]) == ("live", "default-src 'none'")
        assert (await client.get("/dashboard/words")).status_code == 401
        opened = await client.get("/dashboard/", headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/login")
        signed_in = {"Cookie": "session=good"}
        foreign = await client.post("/dashboard/halt", headers={**signed_in, "Origin": "http://evil.example"})
        assert foreign.status_code == 403
        own = await client.post("/dashboard/halt", headers={**signed_in, "Origin": f"http://{OURS}"})
        assert own.status_code == 200
        assert (await client.get("/dashboards", headers=signed_in)).status_code == 404


async def test_refusals_speak_the_browsers_language() -> None:
    english, _ = await ask("GET", "/nothing")
    spanish, _ = await ask("GET", "/nothing", Accept_Language="es-ES,es;q=0.9")
    assert (english.text, spanish.text) == ("There is nothing here.", "Aquí no hay nada.")


async def test_life_span_never_reaches_what_is_inside() -> None:
    inside = Inside()
    said: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        said.append(message["type"])

    await make_gate(inside)({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert inside.seen == []


def test_host_names_and_loopback() -> None:
    assert host_name("[::1]:8000") == "::1"
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org")] == [False] * 4


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/api/v1/portfolio", OURS, 200),
        ("/api/v1", OURS, 200),
        ("/api/v1/portfolio", "evil.example", 421),
        ("/api/v10", OURS, 404),
        ("/api", OURS, 404),
    ],
)
async def test_service_with_tokens_of_its_own_is_guarded_by_the_host_alone(path: str, host: str, status: int) -> None:
    inside = Inside()
    gate = Gate(inside, lambda _cookies: False, "127.0.0.1", services=("/api/v1",))
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get(path, headers={"Host": host})
    assert (answer.status_code, len(inside.seen)) == (status, 1 if status == 200 else 0)
