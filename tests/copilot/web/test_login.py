from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette

from copilot.web.login import ATTEMPTS_WITHIN_S, MAX_ATTEMPTS, Seal, SignIn

PASSWORD = "correct horse battery"


class Door:
    """The sign-in pages with a clock that stands still until told."""

    def __init__(self, check_password: Callable[[str], bool] | None = None) -> None:
        self.said: list[str] = []
        self.now = 1000.0
        seal = Seal("session", lambda: "signed")
        self.sign_in = SignIn(seal, self.said.append, check_password=check_password, clock=lambda: self.now)
        transport = httpx.ASGITransport(Starlette(routes=self.sign_in.routes))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        self.sign_in.print_link()

    async def try_password(self, password: str) -> httpx.Response:
        return await self.client.post("/login", data={"password": password})


async def test_link_lets_in_once() -> None:
    door = Door()
    first = await door.client.get(door.said[0])
    cookie = first.headers["set-cookie"]
    assert first.status_code == 200
    assert cookie.startswith("session=signed; HttpOnly; ")
    assert "SameSite=strict" in cookie
    assert 'http-equiv="refresh"' in first.text
    again = await door.client.get(door.said[0])
    assert (again.status_code, "set-cookie" in again.headers) == (403, False)


@pytest.mark.parametrize("token", ["", "x", "é", "x" * 5000])
async def test_wrong_token_is_refused_and_the_link_lives_on(token: str) -> None:
    door = Door()
    assert (await door.client.get("/enter", params={"token": token})).status_code == 403
    assert (await door.client.get(door.said[0])).status_code == 200


async def test_new_link_replaces_the_old_one() -> None:
    door = Door()
    assert (await door.client.post("/login/link")).status_code == 200
    assert len(door.said) == 2
    assert (await door.client.get(door.said[0])).status_code == 403
    assert (await door.client.get(door.said[1])).status_code == 200


async def test_looking_ahead_does_not_spend_the_link() -> None:
    door = Door()
    await door.client.get(door.said[0], headers={"Sec-Purpose": "prefetch;prerender"})
    await door.client.head(door.said[0])
    assert (await door.client.get(door.said[0])).status_code == 200


async def test_password_lets_in_and_a_wrong_one_does_not() -> None:
    door = Door(lambda password: password == PASSWORD)
    wrong = await door.try_password("wrong")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
    assert (await door.try_password("")).status_code == 403
    assert (await door.try_password("x" * 10_000)).status_code == 403
    right = await door.try_password(PASSWORD)
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert "session=signed" in right.headers["set-cookie"]


async def test_without_a_password_none_is_taken_or_asked_for() -> None:
    door = Door()
    assert "set-cookie" not in (await door.try_password("")).headers
    assert 'type="password"' not in (await door.client.get("/login")).text


async def test_guessing_is_stopped_and_allowed_again_later() -> None:
    door = Door(lambda password: password == PASSWORD)
    for _ in range(MAX_ATTEMPTS):
        await door.try_password("guess")
    assert (await door.try_password(PASSWORD)).status_code == 429
    assert (await door.client.get(door.said[0])).status_code == 429
    door.now += ATTEMPTS_WITHIN_S
    assert (await door.try_password(PASSWORD)).status_code == 303


async def test_pages_speak_the_browsers_language() -> None:
    door = Door()
    page = await door.client.get("/login", headers={"Accept-Language": "es-AR"})
    assert '<html lang="es">' in page.text
    assert "enlace de un solo uso" in page.text
