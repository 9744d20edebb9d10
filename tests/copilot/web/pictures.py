"""Take the README's pictures of a running page: `python -m tests.copilot.web.pictures SIGN_IN_LINK [FOLDER]`.

The page must be a fresh one on simulated prices: a ticket is approved and an agent is started, so that charts, cards
and dashboard have something to show. The questions are those that a newcomer would ask.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.copilot.web.test_browser import ARGUMENTS
from tests.parts import REPOSITORY, find_program

PAUSE_MS = 1500
"""For the chart to be laid out, and the page to come to rest."""
CURVES_MS = 25_000
"""For the agents' results, which are looked up more rarely than prices."""
PATIENCE_MS = 60_000
CHART = ".js-plotly-plot .main-svg"
LARGE, MIDDLE = (1180, 1330), (1180, 1000)


def main(link: str, folder: Path) -> None:
    """Sign in once and take every picture."""
    address = urlsplit(link)
    home = f"{address.scheme}://{address.netloc}/"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=find_program("chromium"), args=ARGUMENTS)
        door = browser.new_context()
        entrance = door.new_page()
        entrance.goto(link)
        entrance.wait_for_url(home)
        cookies = door.cookies()
        door.close()
        english = _open(browser, cookies, home, "en-US", MIDDLE, "light")
        _picture_ticket(english, folder)
        _picture_answers(english, folder)
        english.goto(f"{home}dashboard/")
        expect(english.locator("#fills tbody tr").first).to_be_visible()
        english.set_viewport_size({"width": 1440, "height": 900})
        english.locator("#watch .row", has_text="BTC/USDT").click()
        english.wait_for_timeout(CURVES_MS)
        english.screenshot(path=folder / "dashboard-en.png")
        spanish = _open(browser, cookies, home, "es-ES", (900, 1010), "dark")
        _say(spanish, "Compra 0,5 eth con un stop del 2 %")
        _scroll(spanish, "[data-state='pending']")
        spanish.screenshot(path=folder / "ticket-es.png")
        spanish.locator("[data-state='pending']").last.get_by_role("button", name="Rechazar").click()
        expect(spanish.locator("[data-state='rejected']").last).to_be_visible()
        browser.close()


def _picture_ticket(window: Page, folder: Path) -> None:
    _say(window, "Buy 0.05 btc with a 2% stop")
    _scroll(window, "[data-state='pending']")
    window.screenshot(path=folder / "ticket-en.png")
    window.locator("[data-state='pending']").last.get_by_role("button", name="Approve").click()
    expect(window.locator("[data-state='executed']").last).to_be_visible()


def _picture_answers(window: Page, folder: Path) -> None:
    _say(window, "Start Atlas")
    card = window.locator("[data-state='pending']").last
    card.get_by_role("button", name="Approve").click()
    expect(window.locator("[data-state='executed']")).to_have_count(2)
    _say(window, "Status of all agents")
    _scroll(window, "[data-agent]")
    window.screenshot(path=folder / "agents-en.png")
    window.set_viewport_size({"width": LARGE[0], "height": LARGE[1]})
    charts = window.locator(CHART).count()
    for question, name in (
        ("Show me the bitcoin 1h chart with RSI and Bollinger", "chat-en"),
        ("Backtest the breakout on bitcoin", "backtest-en"),
    ):
        _say(window, question)
        window.wait_for_function("([path, n]) => document.querySelectorAll(path).length > n", arg=[CHART, charts])
        window.wait_for_timeout(PAUSE_MS)
        charts = window.locator(CHART).count()
        window.mouse.move(1, 1)
        window.screenshot(path=folder / f"{name}.png")


def _open(browser: Browser, cookies: Sequence[Any], home: str, locale: str, size: tuple[int, int], scheme: str) -> Page:
    context = browser.new_context(
        locale=locale,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]  # a plain string is one
    )
    context.add_cookies(cookies)
    window = context.new_page()
    window.set_default_timeout(PATIENCE_MS)
    window.goto(home)
    expect(window.locator("#chat-settings-open-modal")).to_be_visible()
    return window


def _say(window: Page, text: str) -> None:
    expect(window.locator("#stop-button")).to_have_count(0)
    window.wait_for_timeout(PAUSE_MS)
    window.locator("#chat-input").fill(text)
    window.locator("#chat-submit").click()


def _scroll(window: Page, selector: str) -> None:
    expect(window.locator(selector).last).to_be_visible()
    window.wait_for_timeout(PAUSE_MS)
    window.evaluate(
        "selector => [...document.querySelectorAll(selector)].at(-1).scrollIntoView({block: 'end'})", selector
    )
    window.mouse.move(1, 1)
    window.wait_for_timeout(PAUSE_MS)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else REPOSITORY / "docs" / "images")
