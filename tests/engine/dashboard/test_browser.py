"""The page in a real Chromium: what a person sees and does, in both languages, on a desktop and on a phone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.engine.dashboard.serving import PATH
from tests.parts import REPOSITORY, find_program, missing

playwright = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

pytestmark = pytest.mark.browser

WIDTHS = (390, 820, 1280, 1920)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = os.environ.get("COPILOT_TEST_PICTURES", "")
"""A folder that receives a picture of each page, for looking at them by eye."""
MEASURE = """(seconds) => new Promise((done) => {
  const frames = [], tasks = [];
  const observer = new PerformanceObserver((list) => list.getEntries().forEach((each) => tasks.push(each.duration)));
  observer.observe({ type: "longtask" });
  const begin = performance.now();
  let last = begin;
  const step = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (now - begin < seconds * 1000) { requestAnimationFrame(step); return; }
    observer.disconnect();
    frames.sort((one, other) => one - other);
    done({ per_second: frames.length / seconds, median_ms: frames[frames.length >> 1],
      p99_ms: frames[Math.floor(frames.length * 0.99)], longest_task_ms: Math.max(0, ...tasks) });
  };
  requestAnimationFrame(step);
})"""


class Server:
    """The page in a process of its own."""

    def __init__(self, symbols: int, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.dashboard.serving", "--symbols", str(symbols), "--port", str(port)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = find_program("chromium", "chromium-browser", "google-chrome")
    if program is None:
        missing("Chromium", "apt-get install chromium")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    server = Server(50)
    yield server
    server.stop()


class Visit:
    """One window that notes what it asks for and what goes wrong in it."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1280, scheme: str = "light", locale: str) -> None:
        options: dict[str, Any] = {
            "locale": locale,
            "viewport": {"width": width, "height": 900},
            "color_scheme": scheme,
        }
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.asked: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.on("websocket", lambda socket: self.asked.add(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda told: self.errors.append(told.text) if told.type == "error" else None)
        self.page.goto(url)
        expect(self.page.locator("#watch .row").first).to_be_visible()
        expect(self.page.locator("#chart-empty")).to_be_hidden()

    def close(self, url: str) -> None:
        own = url.removeprefix("http").partition(PATH)[0]
        self.context.close()
        assert {each for each in self.asked if not re.match(rf"(http|ws){re.escape(own)}/", each)} == set()
        assert self.errors == []


@pytest.fixture
def visit(chromium: Browser, served: Server, request: pytest.FixtureRequest) -> Iterator[Visit]:
    visit = Visit(chromium, served.url, **{"locale": "en-US", **getattr(request, "param", {})})
    yield visit
    visit.close(served.url)


def painted(page: Page, canvas: str) -> int:
    """Return how many pixels of a canvas are not empty."""
    return int(
        page.evaluate(
            """(selector) => {
              const canvas = document.querySelector(selector);
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              let count = 0;
              for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
              return count;
            }""",
            canvas,
        )
    )


def test_page_shows_prices_chart_agents_and_tables(visit: Visit) -> None:
    page = visit.page
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#watch .row")).to_have_count(50)
    assert painted(page, "#chart-back") > 5000
    assert painted(page, "#chart-front") > 100
    expect(page.locator(".agent")).to_have_count(3)
    expect(page.locator(".agent").last).to_contain_text("hoped for: ≥ 10")
    assert painted(page, ".agent:last-child canvas") > 1000
    expect(page.locator("#positions tbody tr")).to_have_count(6)
    expect(page.locator("#models")).to_contain_text("not to be followed")
    expect(page.locator("#feeds tbody tr").first).to_contain_text("price is old")
    expect(page.locator("#world")).to_have_text("paper money · simulated prices")


def test_prices_move_by_themselves(visit: Visit) -> None:
    price = visit.page.locator("[data-symbol='BTC/USDT'] .price")
    before = price.text_content() or ""
    expect(price).not_to_have_text(before)


def test_symbol_and_timeframe_are_chosen_and_remembered(visit: Visit) -> None:
    page = visit.page
    page.locator("[data-symbol='ETH/USDT']").click()
    page.get_by_role("button", name="5m", exact=True).click()
    expect(page.locator("#chart-name")).to_have_text("ETH/USDT")
    expect(page.locator("#chart-empty")).to_be_hidden()
    page.reload()
    expect(page.locator("#chart-name")).to_have_text("ETH/USDT")
    expect(page.locator("#timeframes [aria-pressed=true]")).to_have_text("5m")
    page.locator("[data-symbol='ETH/USDT']").press("ArrowDown")
    expect(page.locator("#chart-name")).to_have_text("SOL/USDT")


def test_search_leaves_the_symbols_that_match(visit: Visit) -> None:
    visit.page.locator("#filter").fill("usd")
    expect(visit.page.locator("#watch .row")).to_have_count(50)
    visit.page.locator("#filter").fill("eth")
    expect(visit.page.locator("#watch .row")).to_have_count(1)


@pytest.mark.parametrize("visit", [{"locale": "es-ES"}], indirect=True)
def test_language_is_the_browsers_until_the_person_chooses(visit: Visit) -> None:
    page = visit.page
    expect(page.get_by_role("heading", name="Posiciones")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("en vivo")
    page.get_by_role("button", name="EN", exact=True).click()
    expect(page.get_by_role("heading", name="Positions")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Positions")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("locale", ["en-US", "es-ES"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_makes_the_page_scroll_sideways(chromium: Browser, served: Server, locale: str, scheme: str) -> None:
    visit = Visit(chromium, served.url, locale=locale, scheme=scheme)
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        expect(visit.page.locator("#kill")).to_be_in_viewport(ratio=1)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        if PICTURES:
            visit.page.wait_for_timeout(300)
            visit.page.screenshot(path=str(Path(PICTURES) / f"dashboard-{width}-{scheme}-{locale[:2]}.png"))
    visit.close(served.url)


def test_kill_switch_asks_first_and_tells_when_everything_is_halted(chromium: Browser) -> None:
    server = Server(3)
    visit = Visit(chromium, server.url, locale="en-US")
    page = visit.page
    page.locator("#kill").click()
    expect(page.get_by_role("button", name="Keep trading")).to_be_focused()
    page.get_by_role("button", name="Keep trading").click()
    expect(page.locator("#trading")).to_have_text("trading")
    page.locator("#kill").click()
    page.get_by_role("button", name="Halt everything").click()
    expect(page.locator("#trading")).to_have_text("halted")
    expect(page.locator("#banner")).to_contain_text("by ana")
    expect(page.locator("#halt")).to_be_hidden()
    visit.close(server.url)
    server.stop()


def test_lost_connection_is_shown_and_comes_back_by_itself(chromium: Browser) -> None:
    port = free_port()
    server = Server(3, port)
    visit = Visit(chromium, server.url, locale="en-US")
    server.stop()
    expect(visit.page.locator("#connection")).to_contain_text("not connected")
    server = Server(3, port)
    expect(visit.page.locator("#connection")).to_have_text("live", timeout=20_000)
    # What the browser says about the refused connections in between is meant.
    visit.errors = [each for each in visit.errors if "ERR_CONNECTION_REFUSED" not in each]
    visit.close(server.url)
    server.stop()


@pytest.mark.benchmark
def test_fifty_symbols_at_ten_ticks_a_second_drop_no_frames(visit: Visit) -> None:
    page = visit.page
    page.wait_for_timeout(2000)
    session = visit.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy_s() -> float:
        return float(
            {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]
        )

    before = busy_s()
    told = page.evaluate(MEASURE, 10)
    busy = (busy_s() - before) / 10
    print(f"{told}, main thread busy {busy:.0%}")  # noqa: T201  # a benchmark's result
    assert told["per_second"] > 55
    assert told["longest_task_ms"] < 100
    assert busy < 0.5
