"""The page in a real Chromium: what a person does, in both languages, on a desktop and on a phone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.copilot.web.running import Running, client
from tests.parts import find_program, missing

playwright = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright  # noqa: E402
from playwright.sync_api import TimeoutError as PlaywrightTimeout  # noqa: E402

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = find_program("chromium", "chromium-browser", "google-chrome")
    if program is None:
        missing("Chromium", "apt-get install chromium")
    expect.set_options(timeout=60_000)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """One signed-in browser window that notes every host it asks."""

    def __init__(self, browser: Browser, page: Running, *, locale: str, viewport: dict[str, int], scheme: str) -> None:
        self.running = page
        self.context: BrowserContext = browser.new_context(
            locale=locale,
            viewport=viewport,  # type: ignore[arg-type]  # a plain mapping is one
            color_scheme=scheme,  # type: ignore[arg-type]  # a plain string is one
            base_url=page.url,
        )
        self.window: Page = self.context.new_page()
        self.window.set_default_timeout(60_000)
        self.asked: set[str] = set()
        self.errors: list[str] = []
        self.window.on("request", lambda request: self.asked.add(request.url))
        self.window.on("websocket", lambda socket: self.asked.add(socket.url))
        self.window.on("pageerror", lambda error: self.errors.append(str(error)))

    def enter(self, visitor: httpx.Client) -> None:
        """Open the page with the session of somebody who signed in before."""
        cookies = [{"name": name, "value": value, "url": self.running.url} for name, value in visitor.cookies.items()]
        self.context.add_cookies(cookies)  # type: ignore[arg-type]  # plain mappings are ones
        self.window.goto("/")
        expect(self.window.locator("#chat-input")).to_be_visible()

    def choose(self, name: str) -> None:
        """Choose from the menu of the newest conversation; the list is drawn anew now and then, which shuts it."""
        item = self.window.get_by_role("menuitem", name=name)
        for _ in range(20):
            try:
                if not item.is_visible():
                    self.window.locator("#thread-options").first.click(timeout=3_000)
                item.click(timeout=3_000)
                return
            except PlaywrightTimeout:
                continue
        raise AssertionError(f"the menu never offered {name!r}")

    def say(self, text: str) -> None:
        """Type a message and send it; the first one moves the page to its conversation, which empties the composer."""
        is_first = "/thread/" not in self.window.url
        self.window.locator("#chat-input").fill(text)
        self.window.locator("#chat-submit").click()
        if is_first:
            self.window.wait_for_url("**/thread/*")

    def begin_anew(self) -> None:
        """Leave the conversation for a new one."""
        self.window.goto("/")
        expect(self.window.locator("#chat-input")).to_be_visible()

    def fits(self) -> bool:
        """Return whether nothing is wider than the screen."""
        return bool(self.window.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def card(self, ticket_id: int = 17) -> Locator:
        """Return the newest card of a ticket."""
        return self.window.locator(f"[data-ticket='{ticket_id}']").last

    def picture(self, name: str, of: Locator | None = None) -> None:
        """Keep a picture of the page or of a part when somebody asked for them."""
        if PICTURES:
            self.window.wait_for_timeout(400)
            (of or self.window).screenshot(path=str(Path(PICTURES) / f"{name}.png"))

    def foreign(self) -> set[str]:
        """Return what was asked of other hosts."""
        own = re.compile(rf"(https?|wss?)://{re.escape(self.running.host)}/|data:|blob:")
        return {url for url in self.asked if not own.match(url)}


@pytest.fixture
def visit(chromium: Browser, page: Running, visitor: httpx.Client, request: pytest.FixtureRequest) -> Iterator[Visit]:
    page.order("forget")
    page.order("pace 0")
    wanted = {"locale": "en-US", "viewport": DESKTOP, "scheme": "light", **getattr(request, "param", {})}
    visit = Visit(chromium, page, **wanted)
    visit.enter(visitor)
    yield visit
    visit.context.close()
    assert visit.foreign() == set(), "the page asked another host"
    assert visit.errors == []


SPANISH = {"locale": "es-ES"}
DARK = {"scheme": "dark"}
ON_PHONE = {"viewport": PHONE, "scheme": "dark"}


def test_starter_leads_to_a_chart_with_the_signal(visit: Visit) -> None:
    expect(visit.window.locator("#copilot-strip")).to_contain_text("simulated")
    visit.picture("start-en")
    visit.window.get_by_text("Gold: signal now").click()
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    expect(visit.window.get_by_text("Long.", exact=True)).to_be_visible()
    # Chainlit would read `:risk` as a directive and leave it out.
    expect(visit.window.get_by_text(re.compile(r"reward:\S?risk 1\.5"))).to_be_visible()
    labels = visit.window.locator(".js-plotly-plot .annotation-text").all_text_contents()
    assert {"entry", "stop", "target"} <= {label.split()[0] for label in labels}
    visit.picture("signal-en")
    visit.picture("chart-en", visit.window.locator(".js-plotly-plot").first)
    step = visit.window.get_by_text("the signal", exact=False).first
    expect(step).to_be_visible()


@pytest.mark.parametrize(
    ("visit", "text", "labels"),
    [
        ({}, "Backtest the breakout", {"Buy and hold", "Strategy"}),
        ({**SPANISH, **ON_PHONE}, "Prueba la ruptura: backtest", {"Comprar y mantener", "Estrategia"}),
    ],
    indirect=["visit"],
    ids=["en", "es-phone"],
)
def test_backtest_draws_its_accounts_under_the_answer(visit: Visit, text: str, labels: set[str]) -> None:
    visit.say(text)
    plot = visit.window.locator(".js-plotly-plot")
    expect(plot.locator(".main-svg").first).to_be_visible()
    assert set(plot.locator(".legendtext").all_text_contents()) == labels
    assert plot.locator(".fills path").count() == 1
    visit.picture(f"backtest-{'en' if 'Strategy' in labels else 'es'}")
    visit.picture(f"equity-{'en' if 'Strategy' in labels else 'es'}", plot.first)


def test_message_is_answered_and_its_markdown_drawn(visit: Visit) -> None:
    visit.say("How is my portfolio doing?")
    expect(visit.window.locator("table").first).to_contain_text("BTC/USDT")
    visit.picture("portfolio-en")


def test_withdrawn_words_leave_the_page_and_the_offline_model_signs(visit: Visit) -> None:
    visit.say("please waver")
    expect(visit.window.get_by_text("you are next")).to_be_visible()
    expect(visit.window.get_by_text("The price is not known.")).to_be_visible()
    expect(visit.window.get_by_text("Answered by the offline model")).to_be_visible()
    expect(visit.window.get_by_text("9,999")).to_have_count(0)
    expect(visit.window.get_by_text("you are next")).to_have_count(0)


def test_ticket_is_approved_on_its_card(visit: Visit) -> None:
    visit.say("buy bitcoin")
    card = visit.card()
    expect(card).to_have_attribute("data-state", "pending")
    for text in ("0.4125 BTC/USDT", "60,000.10", "largest position", "expires in"):
        expect(card).to_contain_text(text)
    card.scroll_into_view_if_needed()
    visit.picture("ticket-en")
    card.get_by_role("button", name="Approve").click()
    expect(card).to_have_attribute("data-state", "executed")
    expect(card.get_by_role("button")).to_have_count(0)
    assert visit.running.order("look") == [17]
    visit.picture("executed-en")


def test_open_ticket_is_there_again_after_a_reload(visit: Visit) -> None:
    visit.say("buy bitcoin")
    expect(visit.card()).to_be_visible()
    visit.window.reload()
    card = visit.card()
    expect(card).to_have_attribute("data-state", "pending")
    card.get_by_role("button", name="Reject").click()
    expect(card).to_have_attribute("data-state", "rejected")
    assert visit.running.order("look") == []


def test_edit_makes_a_new_version_and_disables_the_old_one(visit: Visit) -> None:
    visit.say("buy bitcoin")
    card = visit.card()
    card.get_by_role("button", name="Edit").click()
    card.get_by_label("Quantity").fill("0.2")
    visit.picture("edit-en")
    card.get_by_role("button", name="Price the changes").click()
    cards = visit.window.locator("[data-ticket='17']")
    expect(cards).to_have_count(2)
    expect(cards.first).to_have_attribute("data-state", "superseded")
    expect(cards.first.get_by_role("button")).to_have_count(0)
    expect(cards.last).to_contain_text("0.2 BTC/USDT")
    cards.last.get_by_role("button", name="Approve").click()
    expect(cards.last).to_have_attribute("data-state", "executed")
    assert visit.running.order("look") == [17]


def test_what_happens_elsewhere_appears(visit: Visit) -> None:
    visit.running.order("notice Gold reached your price.")
    visit.running.order("ticket")
    expect(visit.window.get_by_text("Gold reached your price.")).to_be_visible()
    expect(visit.card()).to_have_attribute("data-state", "pending")


def test_stop_keeps_the_page_usable(visit: Visit) -> None:
    visit.say("slowly please")
    expect(visit.window.get_by_text("One.")).to_be_visible()
    visit.window.locator("#stop-button").click()
    expect(visit.window.get_by_text("Stopped showing the answer")).to_be_visible()
    visit.say("hello again")
    expect(visit.window.get_by_text("You said: hello again")).to_be_visible()


@pytest.mark.parametrize("visit", [SPANISH], indirect=True)
def test_spanish_page(visit: Visit) -> None:
    expect(visit.window.locator("#copilot-strip")).to_contain_text("simulados")
    visit.picture("start-es")
    visit.say("¿Qué señal da el oro?")
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    labels = visit.window.locator(".js-plotly-plot .annotation-text").all_text_contents()
    assert {"entrada", "objetivo"} <= {label.split()[0] for label in labels}
    visit.picture("signal-es")
    visit.say("Compra bitcoin")
    card = visit.card()
    for text in ("Comprar 0,4125 BTC/USDT", "60.000,10", "Límites de riesgo", "caduca en"):
        expect(card).to_contain_text(text)
    card.scroll_into_view_if_needed()
    visit.picture("ticket-es")
    card.get_by_role("button", name="Aprobar").click()
    expect(card).to_contain_text("ejecutado")


@pytest.mark.parametrize("visit", [DARK, ON_PHONE], indirect=True, ids=["dark", "phone"])
def test_nothing_is_wider_than_the_screen(visit: Visit, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    visit.say("signal for gold")
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    visit.picture(f"signal-{name}")
    visit.picture(f"chart-{name}", visit.window.locator(".js-plotly-plot").first)
    visit.say("buy bitcoin")
    expect(visit.card()).to_be_visible()
    visit.card().scroll_into_view_if_needed()
    visit.picture(f"ticket-{name}")
    width = visit.window.evaluate("document.documentElement.scrollWidth")
    assert width <= visit.window.viewport_size["width"]  # type: ignore[index]  # it was set
    box = visit.card().bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= visit.window.viewport_size["width"]  # type: ignore[index]  # it was set


def test_past_conversation_is_found_drawn_again_and_goes_on(visit: Visit) -> None:
    visit.say("signal for gold")
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    address = visit.window.url
    visit.begin_anew()
    visit.window.locator("#header #sidebar-trigger-button").click()
    visit.window.locator("#search-chats-button").first.click()
    visit.window.get_by_placeholder("Search conversations").fill("GOLD")
    visit.window.get_by_role("option", name="signal for gold").first.click()
    visit.window.wait_for_url(address)
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    labels = visit.window.locator(".js-plotly-plot .annotation-text").all_text_contents()
    assert {"entry", "stop", "target"} <= {label.split()[0] for label in labels}
    assert any("/chart/" in url for url in visit.asked)
    expect(visit.window.get_by_text("the signal", exact=False).first).to_be_visible()
    visit.say("what did I say?")
    expect(visit.window.get_by_text("You said: signal for gold")).to_be_visible()
    visit.picture("resumed-en")


def test_deleted_conversation_is_gone_with_what_is_remembered_of_it(visit: Visit) -> None:
    visit.say("hello there")
    expect(visit.window.get_by_text("You said: hello there")).to_be_visible()
    visit.window.locator("#header #sidebar-trigger-button").click()
    visit.choose("Rename")
    visit.window.locator("input#name").fill("Greetings")
    visit.window.get_by_role("dialog").get_by_role("button", name="Confirm").click()
    expect(visit.window.get_by_text("Greetings", exact=True).first).to_be_visible()
    visit.window.reload()
    expect(visit.window.get_by_text("Greetings", exact=True).first).to_be_visible()
    visit.running.order("look")
    assert visit.running.said[-2].startswith("heard 1 ")
    visit.window.locator("#header #sidebar-trigger-button").click()
    visit.choose("Delete")
    visit.picture("delete-en")
    visit.window.get_by_role("alertdialog").get_by_role("button", name="Confirm").click()
    expect(visit.window.get_by_text("Greetings", exact=True)).to_have_count(0)
    visit.running.order("look")
    assert visit.running.said[-2].startswith("heard 0 ")


def test_ticket_decided_elsewhere_is_closed_when_its_conversation_is_opened_again(visit: Visit) -> None:
    visit.say("buy bitcoin")
    expect(visit.card()).to_have_attribute("data-state", "pending")
    address = visit.window.url
    visit.begin_anew()
    expect(visit.card()).to_have_attribute("data-state", "pending")
    visit.card().get_by_role("button", name="Approve").click()
    expect(visit.card()).to_have_attribute("data-state", "executed")
    visit.window.goto(address)
    expect(visit.card()).to_have_attribute("data-state", "executed")
    expect(visit.window.locator("[data-ticket='17']")).to_have_count(1)
    expect(visit.card().get_by_role("button")).to_have_count(0)
    assert visit.running.order("look") == [17]


def test_reading_commands_are_sentences_in_either_language(visit: Visit) -> None:
    visit.say("/portfolio and cash")
    expect(visit.window.locator("table").first).to_contain_text("BTC/USDT")
    visit.say("/señal oro")
    expect(visit.window.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    visit.say("/nonsense now")
    expect(visit.window.get_by_text("No hay ningún comando")).to_be_visible()
    visit.say("/signal  ")
    expect(visit.window.get_by_text("Which symbol?")).to_be_visible()


def test_command_is_chosen_from_the_menu(visit: Visit) -> None:
    composer = visit.window.locator("#chat-input")
    composer.press_sequentially("/tele")
    expect(visit.window.get_by_text("telegram", exact=True).first).to_be_visible()
    visit.picture("menu-en")
    composer.press("Enter")
    expect(composer).to_have_text("")
    expect(visit.window.get_by_role("button", name="telegram", exact=True)).to_be_visible()
    composer.press("Enter")
    visit.window.wait_for_url("**/thread/*")
    expect(visit.window.get_by_text("KLMN-1234")).to_be_visible()
    visit.window.reload()
    expect(visit.window.locator(".step").first).to_be_visible()
    expect(visit.window.get_by_text("KLMN-1234")).to_have_count(0)


@pytest.mark.parametrize(("button", "times"), [("Stop everything", 1), ("Keep going", 0)])
def test_kill_switch_asks_once_more(visit: Visit, button: str, times: int) -> None:
    visit.say("/stop now")
    visit.picture("stop-en")
    visit.window.get_by_role("button", name=button).click()
    expect(visit.window.get_by_role("button", name="Stop everything")).to_have_count(0)
    visit.running.order("look")
    assert visit.running.said[-2].endswith(f"stopped {times}")


def test_settings_are_kept_and_another_language_speaks_at_once(visit: Visit) -> None:
    visit.window.locator("#chat-settings-open-modal").click()
    dialog = visit.window.get_by_role("dialog")
    dialog.get_by_label("Risk per trade").fill("0.25")
    dialog.get_by_role("combobox").last.click()
    visit.window.get_by_role("option", name="qwen3:8b (Ollama)").click()
    visit.picture("settings-en")
    dialog.get_by_role("combobox").first.click()
    visit.window.get_by_role("option", name="Español").click()
    dialog.get_by_role("button", name="Confirm").click()
    expect(visit.window.get_by_placeholder("Pregunta")).to_be_visible()
    visit.window.locator("#chat-settings-open-modal").click()
    dialog = visit.window.get_by_role("dialog")
    expect(dialog.get_by_label("Riesgo por operación")).to_have_value("0,25")
    expect(dialog.get_by_role("combobox").last).to_contain_text("qwen3:8b (Ollama)")
    visit.picture("settings-es")
    dialog.get_by_label("Riesgo por operación").fill("7")
    dialog.get_by_role("button", name="Confirmar").click()
    expect(visit.window.get_by_text("can't be kept")).to_be_visible()


def test_agents_button_speaks_and_what_it_asks_for_is_a_ticket(visit: Visit) -> None:
    visit.say("show the agents")
    atlas, orion, nova = (visit.window.locator(f"[data-agent='{name}']") for name in ("atlas", "orion", "nova"))
    for text in ("$10,250.50", "2.5% of 10%", "target 50% or more"):
        expect(atlas).to_contain_text(text)
    expect(atlas.get_by_role("meter")).to_have_attribute("aria-valuenow", "25")
    expect(orion).to_have_attribute("data-state", "halted")
    expect(orion.get_by_role("button", name="Stop")).to_have_count(0)
    nova.get_by_role("button", name="Start").click()
    card = visit.window.locator("[data-ticket='1000000003']").last
    for text in ("Ticket A3", "Start Nova", "$1,000.00"):
        expect(card).to_contain_text(text)
    visit.picture("proposal-en")
    card.get_by_role("button", name="Approve").click()
    expect(card).to_have_attribute("data-state", "executed")
    assert visit.running.order("look") == [1_000_000_003]


def test_what_is_typed_while_the_page_connects_stays(visit: Visit) -> None:
    visit.running.order("ticket")
    visit.window.goto("/", wait_until="commit")
    composer = visit.window.locator("#chat-input")
    composer.fill("half a sentence")
    expect(visit.card()).to_be_visible()
    expect(composer).to_have_value("half a sentence")
    visit.say("half a sentence and its end")
    expect(composer).to_have_value("")


def test_alert_is_told_how_often_to_speak(visit: Visit) -> None:
    visit.say("alert me when eth is above 4000")
    card = visit.window.locator("[data-alert='9']")
    expect(card.get_by_role("button", name="Once")).to_have_attribute("aria-pressed", "true")
    card.get_by_role("button", name="Every time").click()
    expect(visit.window.get_by_text("Alert 9 speaks every time now")).to_be_visible()
    visit.window.reload()
    expect(card.get_by_role("button", name="Every time")).to_have_attribute("aria-pressed", "true")
    card.get_by_role("button", name="Remove").click()
    expect(visit.window.get_by_text("cancel alert 9", exact=True)).to_be_visible()


def test_most_used_tool_leads_the_starters(visit: Visit) -> None:
    visit.say("show the agents")
    expect(visit.window.locator("[data-agent='nova']")).to_be_visible()
    visit.begin_anew()
    expect(visit.window.locator("#starters button").first).to_contain_text("The agents")


@pytest.mark.parametrize(
    "visit",
    [
        {"viewport": {"width": width, "height": 900}, "scheme": scheme, **language}
        for width, scheme, language in ((390, "light", SPANISH), (820, "dark", {}), (1440, "dark", SPANISH))
    ],
    indirect=True,
    ids=["390", "820", "1440"],
)
def test_agents_and_dashboard_fit_every_width(visit: Visit, request: pytest.FixtureRequest) -> None:
    visit.say("show the agents / agentes")
    nova = visit.window.locator("[data-agent='nova']")
    expect(nova).to_be_visible()
    nova.scroll_into_view_if_needed()
    visit.picture(f"agents-{request.node.callspec.id}")
    assert visit.fits()
    visit.window.locator("#header #sidebar-trigger-button").click()
    sidebar = visit.window.locator("[data-sidebar='sidebar']")
    expect(sidebar.get_by_text("show the agents").first).to_be_visible()
    visit.picture(f"sidebar-{request.node.callspec.id}")
    visit.begin_anew()
    visit.window.locator("#header a[href='/dashboard/']").click()
    expect(visit.window.get_by_role("heading", name="Live page")).to_be_visible()


def test_signing_in_by_link(chromium: Browser, page: Running) -> None:
    visit = Visit(chromium, page, locale="en-US", viewport=DESKTOP, scheme="light")
    assert client(page).post("/login/link").status_code == 200
    page.wait_for(r"/enter\?token=")
    visit.window.goto(page.link)
    visit.window.wait_for_url(f"{page.url}/")
    expect(visit.window.locator("#chat-input")).to_be_visible()
    visit.context.close()


def test_signing_in_by_password(chromium: Browser, page: Running) -> None:
    visit = Visit(chromium, page, locale="es-ES", viewport=DESKTOP, scheme="dark")
    visit.window.goto(page.url)
    visit.picture("login-es")
    visit.window.get_by_label("Contraseña").fill("correct horse")
    visit.window.get_by_role("button", name="Entrar").click()
    expect(visit.window.locator("#chat-input")).to_be_visible()
    visit.context.close()
