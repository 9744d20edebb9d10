"""The page's door: who gets in, from where, and what a forged browser achieves. Real server, real sockets."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from copilot.web.gate import Gate
from copilot.web.server import listen, session_secret
from engine.domain.errors import ConfigError
from tests.copilot.web.fake_core import SECRET, STRANGERS_TICKET
from tests.copilot.web.running import (
    Running,
    browser_socket,
    client,
    cookie_header,
    open_socket,
)
from tests.copilot.web.serve_fake import PASSWORD

FOREIGN = "https://evil.example"


def test_nobody_sees_anything_before_signing_in(page: Running) -> None:
    stranger = client(page)
    assert stranger.get("/").headers["location"] == "/login"
    for path in ("/user", "/project/settings?language=en-US", "/banner", "/assets/x.js", "/public/copilot.js"):
        assert stranger.get(path).status_code == 401, path
    assert stranger.post("/project/action", json={}).status_code == 401


def test_link_works_once(page: Running) -> None:
    stranger = client(page)
    assert stranger.post("/login/link").status_code == 200
    page.wait_for(r"/enter\?token=")
    path = page.link.removeprefix(page.url)
    wrong = client(page)
    assert wrong.get(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 403
    assert not wrong.cookies
    assert client(page).head(path).status_code == 204, "a preview of the link must not use it up"
    entered = stranger.get(path)
    assert entered.status_code == 200
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert "samesite=strict" in entered.headers["set-cookie"].lower()
    assert stranger.get("/").status_code == 200
    again = client(page)
    assert again.get(path).status_code == 403
    assert again.get("/").status_code == 303


def test_password_lets_in_and_a_wrong_one_does_not(page: Running) -> None:
    stranger = client(page)
    assert stranger.post("/login", data={"password": "guess"}).status_code == 403
    assert not stranger.cookies
    assert stranger.post("/login", data={"password": PASSWORD}).status_code == 303
    assert stranger.get("/user").json()["identifier"] == "ana"


def test_forged_cookie_is_no_sign_in(page: Running, visitor: httpx.Client) -> None:
    (name,) = visitor.cookies
    forged = client(page)
    forged.cookies.set(name, str(visitor.cookies[name])[:-4] + "AAAA")
    assert forged.get("/user").status_code == 401


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1:1", "http://localhost.evil.example"])
def test_foreign_origin_changes_nothing(page: Running, visitor: httpx.Client, origin: str) -> None:
    forged = client(page, Origin=origin, Cookie=cookie_header(visitor))
    for path in ("/project/action", "/login", "/login/link", "/logout"):
        answer = forged.post(path, json={})
        assert answer.status_code == 403, path
        assert "access-control-allow-origin" not in answer.headers


def test_request_that_changes_something_must_name_its_origin(page: Running, visitor: httpx.Client) -> None:
    bare = client(page, Cookie=cookie_header(visitor))
    del bare.headers["Origin"]
    assert bare.post("/project/action", json={}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_foreign_host_name_is_refused(page: Running, visitor: httpx.Client, host: str) -> None:
    rebound = client(page, Host=host, Origin=f"http://{host}", Cookie=cookie_header(visitor))
    assert rebound.get("/").status_code == 421
    assert rebound.post("/project/action", json={}).status_code == 421


@pytest.mark.parametrize("origin", [FOREIGN, "null", None])
def test_foreign_origin_gets_no_socket(page: Running, visitor: httpx.Client, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(page, origin, cookie_header(visitor))
    assert refused.value.response.status_code == 403


def test_nobody_gets_a_socket_before_signing_in(page: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(page, page.url)
    assert refused.value.response.status_code == 403


def test_foreign_origin_gets_no_polling_either(page: Running, visitor: httpx.Client) -> None:
    forged = client(page, Origin=FOREIGN, Cookie=cookie_header(visitor))
    assert forged.get("/ws/socket.io/?EIO=4&transport=polling").status_code == 403
    assert forged.post("/ws/socket.io/?EIO=4&transport=polling&sid=x", content="40").status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/project/file?session_id=x"),
        ("PUT", "/project/element"),
        ("POST", "/mcp"),
        ("POST", "/auth/jwt"),
        ("GET", "/project/thread/x"),
        ("GET", "/project/share/x"),
        ("PUT", "/project/thread/share"),
        ("DELETE", "/project/element"),
        ("PUT", "/feedback"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/copilot/index.js"),
    ],
)
def test_what_the_page_does_not_need_is_not_there(visitor: httpx.Client, method: str, path: str) -> None:
    assert visitor.request(method, path).status_code == 404


def test_features_that_open_doors_are_off(visitor: httpx.Client) -> None:
    features = visitor.get("/project/settings?language=en-US").json()["features"]
    assert not features["edit_message"]
    assert not features["spontaneous_file_upload"]["enabled"]
    assert not features["mcp"]["enabled"]
    assert not features["unsafe_allow_html"]


def test_page_asks_no_other_host(visitor: httpx.Client) -> None:
    answer = visitor.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    linked = [part.split('"')[0] for part in answer.text.replace("'", '"').split('="')[1:]]
    assert not [link for link in linked if link.startswith(("http:", "https:", "//"))]


def test_welcome_and_starters_speak_both_languages(page: Running, visitor: httpx.Client) -> None:
    page.order("forget")
    english = visitor.get("/project/settings?language=en-GB").json()
    spanish = visitor.get("/project/settings?language=es-MX").json()
    assert english["markdown"].startswith("# Trading Copilot")
    assert spanish["markdown"] != english["markdown"]
    assert spanish["starters"][0]["message"] != english["starters"][0]["message"]


def test_wrong_nonce_or_somebody_elses_ticket_executes_nothing(page: Running, visitor: httpx.Client) -> None:
    page.order("forget")
    page.order("ticket")
    with browser_socket(page, visitor) as socket:
        socket.wait_for("nonce-17-1")
        for payload in (
            {"ticket_id": 17, "nonce": "nonce-17-2"},
            {"ticket_id": STRANGERS_TICKET, "nonce": "bobs-nonce"},
            {"ticket_id": 17, "nonce": "nonce-17-1", "owner": "ana"},
            {"ticket_id": "17", "nonce": "nonce-17-1"},
            {"ticket_id": 17},
            {},
        ):
            assert socket.act("approve_ticket", payload).status_code == 200
        assert page.order("look") == []
        assert socket.act("approve_ticket", {"ticket_id": 17, "nonce": "nonce-17-1"}).json()["response"] == {"ok": True}
        assert socket.act("approve_ticket", {"ticket_id": 17, "nonce": "nonce-17-1"}).status_code == 200
    assert page.order("look") == [17]


def test_action_of_another_session_is_refused(page: Running, visitor: httpx.Client) -> None:
    body = {"sessionId": "no-such-session", "action": {"name": "approve_ticket", "payload": {}}}
    assert visitor.post("/project/action", json=body).status_code >= 400


def test_edit_takes_numbers_as_the_language_writes_them(page: Running, visitor: httpx.Client) -> None:
    page.order("forget")
    page.order("ticket")
    with browser_socket(page, visitor) as socket:
        socket.wait_for("nonce-17-1")
        ticket = {"ticket_id": 17, "nonce": "nonce-17-1"}
        for changes in ({"quantity": "1,500"}, {"Nonce!": "3"}, {"quantity": ""}, {"quantity": 2}):
            assert socket.act("edit_ticket", ticket | {"changes": changes}).json()["response"] == {"ok": False}
        assert socket.act("edit_ticket", ticket | {"changes": {"leverage": "3"}}).status_code == 200
        socket.wait_for("no such number")
        assert socket.act("edit_ticket", ticket | {"changes": {"quantity": "0.2"}}).json()["response"] == {"ok": True}
        seen = socket.wait_for("nonce-17-2")
    assert "0.2 BTC/USDT" in seen
    assert page.order("look") == []


def test_stop_does_not_cut_an_execution(page: Running, visitor: httpx.Client) -> None:
    page.order("forget")
    page.order("ticket")
    page.order("pace 0.5")
    with browser_socket(page, visitor) as socket:
        socket.wait_for("nonce-17-1")
        socket.visitor.timeout = httpx.Timeout(0.2)
        with pytest.raises(httpx.ReadTimeout):
            socket.act("approve_ticket", {"ticket_id": 17, "nonce": "nonce-17-1"})
        socket.visitor.timeout = httpx.Timeout(60)
        socket.send("stop")
        socket.wait_for('"state":"executed"')
    page.order("pace 0")
    assert page.order("look") == [17]


def test_exception_never_reaches_the_browser(page: Running, visitor: httpx.Client) -> None:
    with browser_socket(page, visitor) as socket:
        socket.say("explode")
        seen = socket.wait_for("Something went wrong here")
        socket.say("hello again")
        seen += socket.wait_for("hello ")
    assert SECRET not in seen
    assert "RuntimeError" not in seen


def test_message_editing_is_refused_on_the_socket_too(page: Running, visitor: httpx.Client) -> None:
    with browser_socket(page, visitor) as socket:
        socket.say("buy")
        socket.wait_for("nonce-")
        before = len(page.said)
        socket.send("edit_message", {"message": {"id": "x", "output": "explode"}})
        socket.say("are you there")
        seen = socket.wait_for("there ")
    assert "went wrong" not in seen
    assert len(page.said) >= before


def test_notice_arrives_while_the_page_is_open(page: Running, visitor: httpx.Client) -> None:
    with browser_socket(page, visitor) as socket:
        page.order("notice Gold reached your price.")
        socket.wait_for("Gold reached your price.")


def test_secret_is_kept_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    secret = session_secret(tmp_path)
    assert session_secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "session.key").stat().st_mode) == 0o600
    assert len(secret) >= 48


def test_damaged_secret_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "session.key").write_text("short")
    with pytest.raises(ConfigError, match="damaged"):
        session_secret(tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_listening_beyond_this_machine_needs_a_password(host: str) -> None:
    with pytest.raises(ConfigError, match="no password is set"):
        listen(host, 0, has_password=False)


def test_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0, has_password=False) as taken:
        taken.listen()
        with pytest.raises(ConfigError, match="COPILOT_PORT"):
            listen("127.0.0.1", taken.getsockname()[1], has_password=False)


async def test_gate_answers_the_life_span_itself() -> None:
    async def never(scope: object, receive: object, send: object) -> None:
        raise AssertionError("Chainlit must not see the life span: it ends the process")

    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: object) -> None:
        sent.append(message)

    await Gate(never, lambda cookies: True, "127.0.0.1")({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
