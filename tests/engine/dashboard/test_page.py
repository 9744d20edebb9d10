"""What is served over HTTP: the page, its words, its policy, and the kill switch with its token."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import httpx
import pytest

import engine.dashboard
from engine.dashboard import DashboardSettings, build_dashboard
from engine.dashboard.app import POLICY
from engine.dashboard.switch import Tokens
from engine.domain.errors import ConfigError
from prompts import LANGUAGES
from tests.engine.dashboard.fakes import FakeView, HandClock, ManySymbols
from tests.engine.dashboard.serving import OWNER, PATH, WORDS, build

HOST = "http://copilot.local"
ASSETS = files(engine.dashboard) / "assets"
OWN_PAGE = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": f"{HOST}.evil.example"},
    {"Origin": HOST, "Sec-Fetch-Site": "cross-site"},
    {"Origin": HOST, "Sec-Fetch-Site": "same-site"},
]


class Seconds:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def view() -> FakeView:
    return FakeView(ManySymbols(HandClock(), 3))


@asynccontextmanager
async def browser(view: FakeView, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = build(view, view.market, **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST) as client:
        yield client


async def fetch_token(client: httpx.AsyncClient) -> str:
    answer = await client.post(f"{PATH}/halt/token", headers=OWN_PAGE)
    assert answer.status_code == 200
    token: str = answer.json()["token"]
    return token


async def press(client: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await client.post(f"{PATH}/halt", headers={**OWN_PAGE, "X-Halt-Token": token, **headers})


async def test_page_is_found_with_and_without_a_slash(view: FakeView) -> None:
    async with browser(view) as client:
        answer = await client.get(PATH)
        assert (answer.status_code, answer.headers["location"]) == (307, f"{PATH}/")
        assert "Trading Copilot" in (await client.get(f"{PATH}/")).text


@pytest.mark.parametrize("path", ["/", "/words", "/assets/main.js", "/assets/dashboard.css", "/assets/no.js", "/none"])
async def test_every_answer_carries_the_strict_policy(view: FakeView, path: str) -> None:
    async with browser(view) as client:
        answer = await client.get(PATH + path)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert POLICY.startswith("default-src 'self';")
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("path", ["/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py"])
async def test_only_the_assets_folder_is_served(view: FakeView, path: str) -> None:
    async with browser(view) as client:
        assert (await client.get(PATH + path)).status_code == 404


def assets() -> Iterator[tuple[str, str]]:
    return ((each.name, each.read_text("utf-8")) for each in ASSETS.iterdir())


def test_page_has_nothing_inline_and_names_no_other_host() -> None:
    page = (ASSETS / "index.html").read_text("utf-8")
    assert not re.search(r"\son\w+=|style=|javascript:", page)
    assert re.findall(r"<script([^>]*)>([^<]*)", page) == [(' type="module" src="assets/main.js"', "")]
    for name, text in assets():
        assert set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)) <= {"http://www.w3.org"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name


def test_every_module_that_is_imported_is_there() -> None:
    names = {name for name, _ in assets()}
    for _, text in assets():
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= names


async def test_words_come_in_the_language_that_is_asked_for_else_preferred(view: FakeView) -> None:
    async with browser(view) as client:
        for query, header, expected in (
            ("?language=es", "en-US", "es"),
            ("", "es-MX,es;q=0.9", "es"),
            ("?language=xx", "fr", "en"),
        ):
            answer = (await client.get(f"{PATH}/words{query}", headers={"Accept-Language": header})).json()
            assert answer["language"] == expected
            assert answer["languages"] == ["en", "es"]
            assert answer["words"] == WORDS[expected]


def flat(words: Any, path: str = "") -> dict[str, str]:
    if not isinstance(words, dict):
        return {path: words}
    return {name: text for key, each in words.items() for name, text in flat(each, f"{path}.{key}".strip(".")).items()}


def test_both_languages_have_the_same_words_with_the_same_placeholders() -> None:
    first, *others = (flat(WORDS[language]) for language in LANGUAGES)
    assert all(isinstance(text, str) and text for text in first.values())
    for other in others:
        assert other.keys() == first.keys()
        for name, text in first.items():
            assert sorted(re.findall(r"{\w+}", other[name])) == sorted(re.findall(r"{\w+}", text)), name


def test_words_that_the_page_asks_for_by_name_are_there() -> None:
    known = flat(WORDS["en"])
    for name, text in assets():
        asked = set(re.findall(r'\bword\("([\w.]+)"', text))
        asked |= set(re.findall(r'data-(?:word|label|title|placeholder)="([\w.]+)"', text))
        assert asked <= known.keys(), name


def test_dashboard_without_words_does_not_start(view: FakeView) -> None:
    with pytest.raises(ConfigError):
        build_dashboard(view, view.market, {}, owner=OWNER, prefer=str)


async def test_halt_is_carried_out_once_in_the_owners_name(view: FakeView) -> None:
    async with browser(view) as client:
        token = await fetch_token(client)
        answer = await press(client, token)
        assert answer.status_code == 200
        assert answer.json()["trading"]["state"] == "halted"
        assert view.halted_by == [OWNER]
        again = await press(client, token)
        assert (again.status_code, again.json()) == (403, {"code": "bad_token"})
    assert view.halted_by == [OWNER]


@pytest.mark.parametrize("token", ["", "guess", "x" * 10_000])
async def test_halt_without_a_good_token_does_nothing(view: FakeView, token: str) -> None:
    async with browser(view) as client:
        await fetch_token(client)
        assert (await press(client, token)).status_code == 403
    assert view.halted_by == []


@pytest.mark.parametrize("headers", FOREIGN)
async def test_page_of_another_site_gets_no_token_and_cannot_use_one(view: FakeView, headers: dict[str, str]) -> None:
    async with browser(view) as client:
        assert (await client.post(f"{PATH}/halt/token", headers=headers)).status_code == 403
        token = await fetch_token(client)
        answer = await client.post(f"{PATH}/halt", headers={"X-Halt-Token": token, **headers})
        assert (answer.status_code, answer.json()) == (403, {"code": "foreign_page"})
        assert "access-control-allow-origin" not in answer.headers
    assert view.halted_by == []


@pytest.mark.parametrize("path", ["/halt", "/halt/token"])
async def test_following_a_link_halts_nothing(view: FakeView, path: str) -> None:
    async with browser(view) as client:
        assert (await client.get(PATH + path, headers=OWN_PAGE)).status_code == 405
    assert view.halted_by == []


async def test_token_is_good_for_a_minute(view: FakeView) -> None:
    seconds = Seconds()
    async with browser(view, clock=seconds) as client:
        token = await fetch_token(client)
        seconds.now = 60.1
        assert (await press(client, token)).json() == {"code": "bad_token"}
        token = await fetch_token(client)
        seconds.now += 59
        assert (await press(client, token)).status_code == 200


async def test_halt_that_fails_is_said_to_be_uncertain(view: FakeView) -> None:
    view.halt_failure = RuntimeError("a secret")
    async with browser(view) as client:
        answer = await press(client, await fetch_token(client))
    assert (answer.status_code, answer.json()) == (503, {"code": "not_confirmed"})


async def test_halt_that_takes_long_goes_on_without_the_page(view: FakeView) -> None:
    done = asyncio.Event()
    carry_out = view.halt

    async def slowly(by: str) -> Any:
        await done.wait()
        return await carry_out(by)

    view.halt = slowly  # type: ignore[method-assign]  # a slow venue
    async with browser(view, settings=DashboardSettings(halt_patience_s=0.05)) as client:
        for _ in range(2):
            answer = await press(client, await fetch_token(client))
            assert (answer.status_code, answer.json()) == (202, {"code": "under_way"})
        done.set()
        while not view.halted_by:  # noqa: ASYNC110  # the halt goes on by itself
            await asyncio.sleep(0.01)
    assert view.halted_by == [OWNER]


def test_tokens_do_not_pile_up() -> None:
    tokens = Tokens(60, lambda: 0.0)
    issued = [tokens.issue() for _ in range(100)]
    assert len(set(issued)) == 100
    assert not tokens.spend(issued[0])
    assert tokens.spend(issued[-1])


@pytest.mark.parametrize("change", [{"window": 0}, {"frame_every_s": -1.0}])
def test_setting_that_makes_no_sense_stops_the_start(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DashboardSettings(**change)
