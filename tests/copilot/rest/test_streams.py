"""Events on a real port: in order, through silence, for clients that leave, come back, or do not read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from copilot.events import AnswerToken, Event, TurnEnded
from copilot.rest.tokens import Scope
from copilot.rest.turns import EVENT_NAMES
from tests.copilot.rest.place import FAST, Place, make_app, parse_events, place_at, until
from tests.tools.world import OWNER

STREAM = {"accept": "text/event-stream"}


class Slow:
    """A copilot whose turns go on as the test lets them; everything else is the real one's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.gate = asyncio.Event()
        self.pieces = 3
        self.size = 1
        self.begun = 0
        self.ended = 0
        self.cut = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, owner: str, conversation_id: str, text: str) -> AsyncIterator[Event]:
        self.begun += 1
        try:
            yield AnswerToken("a" * self.size)
            await self.gate.wait()
            for _ in range(self.pieces - 1):
                yield AnswerToken("a" * self.size)
            yield TurnEnded("a" * self.size * self.pieces, "en", "offline")
            self.ended += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.cut += 1
            raise


@asynccontextmanager
async def listening(place: Place, core: Any = None, mount: str = "") -> AsyncIterator[str]:
    """Serve on a real port and return its address."""
    app: Any = place.app if core is None else make_app(place.world, core, place.tokens, place.jobs, place_settings)
    served = Starlette(routes=[Mount(mount, app)]) if mount else app
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(served, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{mount}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


place_settings = replace(FAST, turns=3)


@pytest.fixture
async def slow(place: Place) -> AsyncIterator[Slow]:
    core = Slow(place.copilot)
    yield core
    core.gate.set()


def caller(place: Place, base: str) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {place.secret()}"}, timeout=60)
    place.clients.append(client)
    return client


async def test_events_come_as_they_happen_with_heartbeats_between(place: Place, slow: Slow) -> None:
    async with (
        listening(place, slow) as base,
        caller(place, base).stream("POST", "/chat", json={"message": "go"}, headers=STREAM) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        lines = response.aiter_lines()
        first = [await anext(lines) for _ in range(3)]
        assert first[1] == "event: answer"
        beats = 0
        async for line in lines:
            beats += line == ": heartbeat"
            if beats == 3:
                slow.gate.set()
            if line.startswith("event: turn_ended"):
                break
        assert beats >= 3


async def test_a_client_that_leaves_does_not_cut_the_turn_and_can_read_on(place: Place, slow: Slow) -> None:
    async with listening(place, slow) as base:
        client = caller(place, base)
        async with client.stream("POST", "/chat", json={"message": "go"}, headers=STREAM) as response:
            where = response.headers["location"]
            lines = response.aiter_lines()
            first_id = (await anext(lines)).removeprefix("id: ")
        await asyncio.sleep(0.1)
        slow.gate.set()
        await until(lambda: slow.ended == 1)
        assert slow.cut == 0
        rest = await client.get(where, headers={**STREAM, "last-event-id": first_id})
        events = parse_events(rest.text)
        assert [event.name for event in events] == ["answer", "answer", "turn_ended"]
        assert events[0].id.endswith("-2")
        whole = await client.get(where, headers={**STREAM, "last-event-id": "nonsense"})
        assert len(parse_events(whole.text)) == 4
        assert (await client.get(where)).json()["answer"] == "aaa"
        assert (await caller_of_eve(place, base).get(where)).status_code == 404


def caller_of_eve(place: Place, base: str) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {place.secret(owner='eve')}"})
    place.clients.append(client)
    return client


async def test_a_caller_that_gives_up_a_plain_answer_does_not_cut_the_turn(place: Place, slow: Slow) -> None:
    async with listening(place, slow) as base:
        asking = asyncio.create_task(caller(place, base).post("/chat", json={"message": "go"}))
        await until(lambda: slow.begun == 1)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        slow.gate.set()
        await until(lambda: slow.ended == 1)
        assert slow.cut == 0


async def test_a_caller_that_leaves_an_approval_still_gets_its_one_order(place: Place) -> None:
    async with listening(place) as base:
        client = caller(place, base)
        (ticket,) = (await client.post("/chat", json={"message": "buy"})).json()["opened"]
        path, body = f"/tickets/{ticket['ticket_id']}/approve", {"nonce": ticket["nonce"]}
        async with client.stream("POST", path, json=body, headers=STREAM):
            pass
        await until(lambda: place.copilot.ticket(OWNER, ticket["ticket_id"]).state == "executed")  # type: ignore[union-attr]  # it is there
        assert await place.world.orders() == 1


async def test_a_client_that_reads_nothing_holds_nobody_up(place: Place, slow: Slow) -> None:
    slow.pieces, slow.size = 400, 20_000
    async with listening(place, slow) as base:
        port = int(base.rpartition(":")[2])
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        body = json.dumps({"message": "go"})
        head = (
            f"POST /chat HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {place.secret()}\r\n"
            f"accept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(sock, (head + body).encode())
        await until(lambda: slow.begun == 1)
        slow.gate.set()
        await until(lambda: slow.ended == 1)
        assert (await caller(place, base).get("/tickets")).status_code == 200
        received, is_closed = 0, False
        await asyncio.sleep(2 * FAST.stall_s)
        while not is_closed:
            piece = await asyncio.wait_for(loop.sock_recv(sock, 65536), 30)
            received += len(piece)
            is_closed = not piece
        assert received < slow.pieces * slow.size, "it was let go before it had everything"
        sock.close()


async def test_turns_of_one_owner_are_bounded(place: Place, slow: Slow) -> None:
    async with listening(place, slow) as base:
        client = caller(place, base)
        asking = [asyncio.create_task(client.post("/chat", json={"message": "go"})) for _ in range(3)]
        await until(lambda: slow.begun == 3)
        refused = await client.post("/chat", json={"message": "go"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_turns")
        assert int(refused.headers["retry-after"]) > 0
        slow.gate.set()
        assert {(await each).status_code for each in asking} == {200}
        assert (await client.post("/chat", json={"message": "go"})).status_code == 200


async def test_a_turn_that_breaks_is_told_in_words(place: Place) -> None:
    response = await place.client().post("/chat", json={"message": "explode"})
    assert response.status_code == 200
    assert response.json()["answer"]


async def test_a_finished_turn_is_forgotten_after_a_while(tmp_path: Path) -> None:
    async with place_at(tmp_path, replace(FAST, turn_kept_s=0.0)) as place:
        client = place.client()
        response = await client.post("/chat", json={"message": "hello"})
        await asyncio.sleep(0.01)
        gone = await client.get(response.headers["location"])
        assert (gone.status_code, gone.json()["code"]) == (404, "turn_not_found")


async def test_mounted_under_a_path_everything_is_found_there(place: Place) -> None:
    async with listening(place, mount="/api/v1") as base:
        client = caller(place, base)
        client.base_url = httpx.URL(base.removesuffix("/api/v1"))
        said = await client.post("/api/v1/chat", json={"message": "buy"})
        assert said.headers["location"].startswith("/api/v1/chat/")
        assert (await client.get(said.headers["location"])).status_code == 200
        assert (await client.get("/api/v1/openapi.json")).json()["servers"] == [{"url": "/api/v1"}]
        assert (await client.get("/api/v1/nowhere")).json()["instance"] == "/api/v1/nowhere"
        assert (await client.post("/api/v1/stop")).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.1, application/json;q=0.2", "application/json"),
        ("text/*;q=0.9, */*;q=0.1", "text/event-stream"),
        ("application/json;q=0, */*", "text/event-stream"),
    ],
)
async def test_the_form_is_the_one_that_is_liked_best(place: Place, accept: str, kind: str) -> None:
    response = await place.client().post("/chat", json={"message": "hello"}, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)


async def test_a_form_that_nobody_has_is_refused_before_anything_is_done(place: Place) -> None:
    response = await place.client().post("/chat", json={"message": "buy"}, headers={"accept": "text/html"})
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert place.world.tickets.open_for(OWNER) == ()


def test_events_of_a_turn_have_a_name_each() -> None:
    assert set(EVENT_NAMES) == set(get_args(Event))


async def test_tickets_are_followed_whoever_decides(place: Place) -> None:
    ticket = await place.world.propose()
    secret, token = place.tokens.create("follower", [Scope.READ], OWNER)
    client = place.client(secret=secret)
    following = asyncio.create_task(client.get("/tickets", headers={"accept": "text/event-stream"}))
    await asyncio.sleep(0.1)
    await place.world.tickets.reject(ticket.ticket_id, ticket.nonce, OWNER, "web")
    await asyncio.sleep(0.1)
    other = await place.world.propose()
    await asyncio.sleep(0.1)
    place.tokens.revoke(token.id)
    told = parse_events((await asyncio.wait_for(following, 30)).text)
    heard = [(event.name, event.data["ticket"]["ticket_id"], event.data["ticket"]["state"]) for event in told]
    assert heard == [
        ("ticket_opened", ticket.ticket_id, "pending"),
        ("ticket_closed", ticket.ticket_id, "rejected"),
        ("ticket_opened", other.ticket_id, "pending"),
    ]
    assert {event.data["ticket"]["nonce"] for event in told} == {""}
