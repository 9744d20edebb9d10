"""What one browser sees: turns played into Chainlit, ticket cards kept true, notices shown, settings kept.

Cards follow the ticket store, not the conversation: after every turn, and every few seconds for what other surfaces
decide, each open page is brought in line with the tickets that are open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import chainlit
from chainlit.context import init_ws_context
from chainlit.session import WebsocketSession
from chainlit.types import ThreadDict

from copilot.events import Event, Language
from copilot.web.alert_card import alert_props
from copilot.web.commands import Command, is_command, menu, read_command, sentence
from copilot.web.core import SURFACE, Core
from copilot.web.languages import browser_language
from copilot.web.sessions import conversation_of, is_connected, own_session, owner_of
from copilot.web.settings_panel import Panel, changed_settings, panel_inputs
from copilot.web.threads import Threads
from copilot.web.tickets import TicketCards, revived
from copilot.web.turn import Speaking, Turn, plain_colons
from copilot.wording.formats import escape
from copilot.wording.starters import fit_starter
from prompts import load_words
from tools.decisions import Asked

log = logging.getLogger(__name__)

WATCH_EVERY_S = 3.0
STARTERS = 4
"""How many starters are offered: two rows on a phone."""
STOP, KEEP_GOING = "stop_everything", "keep_going"
_ALERT = "AlertCard"


@dataclass(slots=True)
class Browser:
    """What we know of one Chainlit session."""

    speaking: Speaking
    tickets: TicketCards = field(default_factory=TicketCards)
    alerts: dict[str, chainlit.CustomElement] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    asked_to_stop: chainlit.Message | None = None

    @property
    def language(self) -> Language:
        """Return the language that is spoken."""
        return self.speaking.language


class Page:
    """The page of a core; one for the whole server."""

    def __init__(self, core: Core, threads: Threads, fallback: Language) -> None:
        self._core = core
        self._threads = threads
        self._fallback: Language = fallback
        self._browsers: dict[str, Browser] = {}

    async def greet(self) -> None:
        """Give a browser that connected its commands and settings, and show it what waits for its owner."""
        session = own_session()
        browser = self._browser(session)
        await chainlit.context.emitter.set_commands(cast(Any, menu(browser.language)))
        await self._show_settings(session)
        await self._show_notices(session)
        await self._draw_cards(session, {})

    async def resume(self, thread: ThreadDict) -> None:
        """Bring what a past conversation shows up to date, before it is shown."""
        session = own_session()
        browser, owner = self._browser(session), owner_of(session)
        elements = cast("list[dict[str, Any]]", thread["elements"])
        await browser.tickets.revive(
            elements,
            self._core.open_tickets(owner),
            lambda ticket_id: self._core.ticket(owner, ticket_id),
            browser.language,
        )
        browser.alerts = {str(kept["props"]["alertId"]): revived(kept) for kept in elements if kept["name"] == _ALERT}

    async def say(self, text: str, chosen: str | None = None) -> None:
        """Take a message, or a command chosen from the menu, and play the turn."""
        session = own_session()
        if chosen and not text:
            # Chainlit moves to the conversation's own address once it has begun with words; these are its words.
            begun = {"interaction": f"/{chosen}", "thread_id": session.thread_id}
            await chainlit.context.emitter.emit("first_interaction", begun)
        await chainlit.context.emitter.send_window_message({"copilot": "conversation", "id": session.thread_id})
        command = read_command(text, chosen)
        if command is None and not is_command(text):
            await self._send(session, text)
        elif command is None:
            words = self._words(self._browser(session).language)["command"]
            await self.tell(words["unknown"].format(word=f"`{escape(text.split()[0][:40])}`"))
        else:
            await self._obey(session, command)

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Play what a decision brought about."""
        await self._play(own_session(), events)

    async def tell(self, words: str) -> None:
        """Say something in the conversation."""
        await chainlit.Message(plain_colons(words)).send()

    async def stop(self, session: WebsocketSession) -> None:
        """Stop showing the running turns; they end by themselves."""
        browser = self._browser(session)
        for turn in browser.turns:
            turn.is_muted = True
        await chainlit.Message(self._words(browser.language)["chat"]["stopped"]).send()
        await chainlit.context.emitter.task_end()

    async def answer_stop(self, *, is_confirmed: bool) -> None:
        """Stop all trading, or not, after the second question."""
        session = own_session()
        browser = self._browser(session)
        asked, browser.asked_to_stop = browser.asked_to_stop, None
        if asked is not None:
            await asked.remove_actions()
        if is_confirmed:
            await self.tell(await self._core.stop_everything(owner_of(session), SURFACE))
        else:
            await self.tell(self._words(browser.language)["command"]["kept_going"])

    async def adjust_alert(self, alert_id: str, *, repeats: bool) -> bool:
        """Make an alert speak every time or once, and say so; return whether it could be."""
        session = own_session()
        browser = self._browser(session)
        alert = await self._core.adjust_alert(owner_of(session), alert_id, repeats=repeats)
        if isinstance(alert, str):
            await self.tell(alert)
            return False
        element = browser.alerts.get(alert.alert_id)
        if element is not None:
            element.props = alert_props(alert, browser.language)
            await element.update()
        words = self._words(browser.language)["alert"]
        told = words["every_set" if alert.repeats else "once_set"]
        await self.tell(told.format(alert_id=alert.alert_id))
        return True

    async def keep_settings(self, panel: Panel) -> None:
        """Keep what the owner changed in the settings panel; in another language the page is opened anew.

        Raises:
            AmbiguousNumber: The risk may be read in two ways.
        """
        session = own_session()
        browser, owner = self._browser(session), owner_of(session)
        changed = changed_settings(panel, self._core.profile(owner), browser.language)
        refused = [await self._core.change_setting(owner, setting, value) for setting, value in changed.items()]
        chosen = panel.chat_model
        if chosen is not None and chosen != (await self._core.chat_models()).chosen:
            refused.append(await self._core.choose_chat_model(owner, chosen))
        words = self._words(browser.language)["settings"]
        for why in filter(None, refused):
            await self.tell(why)
        if None in refused or not refused:
            await chainlit.context.emitter.send_toast(words["saved" if refused else "unchanged"], "success")
        if "language" in changed and panel.language is not None:
            browser.speaking.language = self._core.language(owner, panel.language)
            await chainlit.context.emitter.emit("reload", {})
        else:
            await self._show_settings(session)

    def language(self, session: WebsocketSession) -> Language:
        """Return the language to speak to a browser."""
        return self._browser(session).language

    def owners_language(self, owner: str, tag: str) -> Language:
        """Return the language that an owner chose, or else the one that a browser asks for."""
        return self._core.language(owner, browser_language(tag, self._fallback))

    def starters(self, owner: str, tag: str) -> tuple[tuple[str, str], ...]:
        """Return what may be asked, beginning with what the owner does most, in their language or the browser's."""
        language = self.owners_language(owner, tag)
        known = self._words(language)["starters"]
        symbols = self._core.instruments()
        used = [fit_starter(known[tool], symbols) for tool in self._threads.used_tools(owner) if tool in known]
        offered = {message: label for label, message in used}
        for label, message in self._core.starters(language):
            offered.setdefault(message, label)
        return tuple((label, message) for message, label in offered.items())[:STARTERS]

    def banner(self, owner: str, accept_language: str) -> str:
        """Return what is simulated."""
        return self._core.banner(self.owners_language(owner, accept_language))

    @property
    def is_real_money(self) -> bool:
        """Return whether orders that are approved move real money."""
        return self._core.is_real_money

    async def watch(self) -> None:
        """Bring connected browsers in line with what happens elsewhere, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self._look_around()
            except Exception:
                log.exception("the page could not be brought up to date; trying again")

    async def _obey(self, session: WebsocketSession, command: Command) -> None:
        browser, owner = self._browser(session), owner_of(session)
        language = command.language or browser.language
        words = self._words(language)
        said = sentence(command, language)
        match command.name:
            case "stop":
                await self._ask_to_stop(browser, words["command"])
            case "telegram":
                await _whisper(self._core.telegram_code(owner))
            case "help":
                names = " · ".join(f"`/{each['id']}`" for each in menu(language))
                await self.tell(words["command"]["help"].format(commands=names))
            case name if said is None:
                await self.tell(words["command"]["needs_symbol"].format(name=words["commands"][name]["name"]))
            case name:
                if name == "status":
                    await self.tell(self._core.banner(language))
                await self._send(session, said)

    async def _ask_to_stop(self, browser: Browser, words: Mapping[str, str]) -> None:
        actions = [
            chainlit.Action(id=f"tc-stop-{uuid4()}", name=STOP, payload={}, label=words["stop_now"], icon="octagon-x"),
            chainlit.Action(id=f"tc-keep-{uuid4()}", name=KEEP_GOING, payload={}, label=words["keep_going"]),
        ]
        browser.asked_to_stop = chainlit.Message(words["confirm_stop"], actions=actions)
        await browser.asked_to_stop.send()

    async def _send(self, session: WebsocketSession, text: str) -> None:
        owner = owner_of(session)
        await self._play(session, self._core.send(owner, conversation_of(owner, session.thread_id), text))

    async def _look_around(self) -> None:
        self._forget_gone()
        for session_id in list(self._browsers):
            session = WebsocketSession.get_by_id(session_id)
            if session is not None and is_connected(session) and not self._browsers[session_id].turns:
                init_ws_context(session)
                await self._show_notices(session)
                await self._draw_cards(session, {})

    async def _play(self, session: WebsocketSession, events: AsyncIterator[Event]) -> None:
        browser = self._browser(session)
        turn = Turn(browser.speaking)
        browser.turns.append(turn)
        task = asyncio.create_task(self._run(session, browser, turn, events))
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)
        await asyncio.shield(task)

    async def _run(self, session: WebsocketSession, browser: Browser, turn: Turn, events: AsyncIterator[Event]) -> None:
        try:
            async for event in events:
                await turn.show(event)
        except Exception:
            log.exception("a turn could not be shown")
            await self.tell(self._words(browser.language)["chat"]["failed"])
        finally:
            await turn.end()
            browser.turns.remove(turn)
        browser.alerts |= turn.alerts
        await self._draw_cards(session, turn.closed)
        await self._draw_elsewhere(session, turn.closed)

    async def _draw_elsewhere(self, here: WebsocketSession, closed: Mapping[int, Asked]) -> None:
        """Bring the owner's other open pages in line."""
        self._forget_gone()
        for session_id in list(self._browsers):
            session = WebsocketSession.get_by_id(session_id)
            if session is None or session is here or owner_of(session) != owner_of(here) or not is_connected(session):
                continue
            init_ws_context(session)
            await self._draw_cards(session, closed)
        init_ws_context(here)

    async def _draw_cards(self, session: WebsocketSession, closed: Mapping[int, Asked]) -> None:
        waiting = self._core.open_tickets(owner_of(session))
        await self._browser(session).tickets.bring_in_line(waiting, closed)

    async def _show_settings(self, session: WebsocketSession) -> None:
        profile = self._core.profile(owner_of(session))
        models = await self._core.chat_models()
        inputs = panel_inputs(profile, self._core.instruments(), models, self._browser(session).language)
        await chainlit.ChatSettings(inputs).send()

    async def _show_notices(self, session: WebsocketSession) -> None:
        for words in self._core.notices(owner_of(session), SURFACE):
            await self.tell(words)

    def _browser(self, session: WebsocketSession) -> Browser:
        known = self._browsers.get(session.id)
        if known is None:
            language = self.owners_language(owner_of(session), session.language or "")
            known = self._browsers[session.id] = Browser(Speaking(language))
        return known

    def _forget_gone(self) -> None:
        for session_id in list(self._browsers):
            if WebsocketSession.get_by_id(session_id) is None:
                del self._browsers[session_id]

    @staticmethod
    def _words(language: Language) -> Mapping[str, Any]:
        words: Mapping[str, Any] = load_words(language, "web")
        return words


_RUNNING: set[asyncio.Task[None]] = set()
"""Turns under way; asyncio itself keeps no hold of them."""


async def _whisper(words: str) -> None:
    """Say something that is not kept with the conversation."""
    message = chainlit.Message(plain_colons(words))
    message.persisted = True
    await message.send()
