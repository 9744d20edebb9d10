"""Take the README's pictures of a running page: `python -m tests.copilot.web.pictures SIGN_IN_LINK [FOLDER]`.

Works with the fake core and with the real one; the questions are those that a newcomer would ask.
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


def main(link: str, folder: Path) -> None:
    """Sign in once and take every picture."""
    address = urlsplit(link)
    home = f"{address.scheme}://{address.netloc}/"
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=find_program("chromium"), args=ARGUMENTS)
        door = browser.new_context()
        entrance = door.new_page()
        entrance.goto(link)
        entrance.wait_for_url(home)
        cookies = door.cookies()
        door.close()

        english = _open(browser, cookies, home, "en-US", (1180, 1330), "light")
        _say(english, "Show me the gold 1h chart with RSI and Bollinger")
        expect(english.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=30_000)
        english.wait_for_timeout(PAUSE_MS)
        english.screenshot(path=folder / "chat-en.png")

        spanish = _open(browser, cookies, home, "es-ES", (900, 1010), "dark")
        _say(spanish, "Compra bitcoin con un stop del 2 %")
        card = spanish.locator("[data-state='pending']").last
        expect(card).to_be_visible(timeout=30_000)
        spanish.wait_for_timeout(PAUSE_MS)
        _scroll(spanish, "[data-state='pending']")
        spanish.screenshot(path=folder / "ticket-es.png")
        card.get_by_role("button", name="Rechazar").click()
        expect(spanish.locator("[data-state='rejected']").last).to_be_visible()
        browser.close()


def _open(browser: Browser, cookies: Sequence[Any], home: str, locale: str, size: tuple[int, int], scheme: str) -> Page:
    context = browser.new_context(
        locale=locale,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]  # a plain string is one
    )
    context.add_cookies(cookies)
    window = context.new_page()
    window.goto(home)
    return window


def _say(window: Page, text: str) -> None:
    window.locator("#chat-input").fill(text)
    window.locator("#chat-submit").click()


def _scroll(window: Page, selector: str) -> None:
    window.evaluate(
        "selector => [...document.querySelectorAll(selector)].at(-1).scrollIntoView({block: 'end'})", selector
    )
    window.mouse.move(1, 1)
    window.wait_for_timeout(PAUSE_MS)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else REPOSITORY / "docs" / "images")
