"""Chainlit's hooks, each one line of work handed to the page.

Importing this module imports Chainlit, which reads its folder and its environment at that moment: `server` prepares
both first.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

import chainlit
import chainlit.socket as chainlit_socket
from chainlit.context import init_ws_context
from chainlit.server import sio
from chainlit.session import WebsocketSession
from chainlit.types import ThreadDict
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from copilot.events import Language
from copilot.web.core import SURFACE, Core
from copilot.web.history import History
from copilot.web.page import KEEP_GOING, STOP, Page
from copilot.web.sessions import conversation_of, own_session, owner_of
from copilot.web.settings_panel import Panel
from copilot.web.threads import Threads
from copilot.web.typed_numbers import AmbiguousNumber, plain_number
from prompts import load_words

log = logging.getLogger(__name__)

ANSWERS = ("approve_ticket", "reject_ticket")
EDIT, ADJUST = "edit_ticket", "adjust_alert"
MAX_FIELDS = 40
"""Most numbers that one form has: a proposal about every agent."""
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
"""A number of a ticket, or of one agent in a proposal; the core knows which there are."""
Typed = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40)]


class Answer(BaseModel):
    """What a card's button sends: which ticket, and proof of having seen its present version. Never whose it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ticket_id: Annotated[int, Field(ge=1, le=2**53)]
    nonce: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Edit(Answer):
    """What the edit form sends: the same, and the numbers as typed; empty means unchanged."""

    changes: Annotated[dict[FieldName, Typed], Field(max_length=MAX_FIELDS)]


class Repeat(BaseModel):
    """What an alert's card sends: which alert, and how often it is to speak. Never whose it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alert_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
    repeats: bool


def register(core: Core, threads: Threads, fallback: Language) -> Page:
    """Hook a page into Chainlit and return it."""
    page = Page(core, threads, fallback)
    _register_history(core, threads)
    _register_chat(page)
    _register_buttons(page, core)
    _register_more_buttons(page)
    _register_socket(page)
    return page


def _register_history(core: Core, threads: Threads) -> None:
    async def forget(owner: str, thread_id: str) -> None:
        await core.forget_conversation(owner, conversation_of(owner, thread_id))

    history = History(threads, forget)

    @chainlit.data_layer
    def data_layer() -> History:
        return history


def _register_chat(page: Page) -> None:
    @chainlit.on_chat_resume
    async def on_chat_resume(thread: ThreadDict) -> None:
        await _guarded(page, page.resume(thread))

    @chainlit.on_message
    async def on_message(message: chainlit.Message) -> None:
        await _guarded(page, page.say(message.content, message.command))

    @chainlit.on_settings_update
    async def on_settings_update(settings: dict[str, Any]) -> None:
        session = own_session()
        try:
            panel = Panel.model_validate(settings)
        except ValidationError:
            await page.tell(_words(page.language(session), "settings")["unreadable"])
            return
        await _guarded(page, page.keep_settings(panel))

    @chainlit.set_starters
    async def set_starters(user: chainlit.User | None, language: str | None) -> list[chainlit.Starter]:
        owner = "" if user is None else user.identifier
        return [chainlit.Starter(label=label, message=text) for label, text in page.starters(owner, language or "")]


def _register_buttons(page: Page, core: Core) -> None:
    async def answer(action: chainlit.Action) -> dict[str, bool]:
        session = own_session()
        try:
            asked = Answer.model_validate(action.payload)
        except ValidationError:
            return await _refuse(page, session)
        decision: Literal["approve", "reject"] = "approve" if action.name == "approve_ticket" else "reject"
        events = core.decide(owner_of(session), asked.ticket_id, asked.nonce, decision, SURFACE)
        return await _guarded(page, page.follow(events))

    async def edit(action: chainlit.Action) -> dict[str, bool]:
        session = own_session()
        language = page.language(session)
        try:
            asked = Edit.model_validate(action.payload)
            changes: dict[str, str] = {
                name: plain_number(text, language) for name, text in asked.changes.items() if text
            }
        except ValidationError:
            return await _refuse(page, session)
        except AmbiguousNumber as number:
            await _tell_ambiguous(page, number)
            return {"ok": False}
        if not changes:
            await page.tell(_words(language)["no_changes"])
            return {"ok": False}
        events = core.edit(owner_of(session), asked.ticket_id, asked.nonce, changes, SURFACE)
        return await _guarded(page, page.follow(events))

    for name in ANSWERS:
        chainlit.action_callback(name)(answer)
    chainlit.action_callback(EDIT)(edit)


def _register_more_buttons(page: Page) -> None:
    async def answer_stop(action: chainlit.Action) -> dict[str, bool]:
        return await _guarded(page, page.answer_stop(is_confirmed=action.name == STOP))

    async def adjust(action: chainlit.Action) -> dict[str, bool]:
        try:
            asked = Repeat.model_validate(action.payload)
        except ValidationError:
            return await _refuse(page, own_session())
        return await _guarded(page, page.adjust_alert(asked.alert_id, repeats=asked.repeats))

    for name in (STOP, KEEP_GOING):
        chainlit.action_callback(name)(answer_stop)
    chainlit.action_callback(ADJUST)(adjust)


def _register_socket(page: Page) -> None:
    """Replace three of Chainlit's own socket handlers.

    Its Stop cancels the task of the turn and says so in English; its message editing answers even when it is off; and
    what is shown before a past conversation has been sent to the browser would be lost, so the page greets after it.
    """

    @sio.on("connection_successful")  # type: ignore[untyped-decorator]  # socketio is not typed
    async def connection_successful(sid: str) -> None:
        await chainlit_socket.connection_successful(sid)
        session = WebsocketSession.get(sid)
        if session is not None:
            init_ws_context(session)
            await _guarded(page, page.greet())

    @sio.on("stop")  # type: ignore[untyped-decorator]  # socketio is not typed
    async def stop(sid: str) -> None:
        session = WebsocketSession.get(sid)
        if session is not None:
            init_ws_context(session)
            await page.stop(session)

    @sio.on("edit_message")  # type: ignore[untyped-decorator]  # socketio is not typed
    async def edit_message(sid: str, _payload: object) -> None:
        log.warning("a browser tried to edit a message; refused (%s)", sid)


async def _guarded(page: Page, work: Coroutine[Any, Any, bool | None]) -> dict[str, bool]:
    """Do the work; what goes wrong is logged, and the person gets one plain sentence."""
    try:
        done = await work
    except AmbiguousNumber as number:
        await _tell_ambiguous(page, number)
        return {"ok": False}
    except Exception:
        log.exception("the page failed")
        await page.tell(_words(page.language(own_session()))["failed"])
        return {"ok": False}
    return {"ok": done is not False}


async def _refuse(page: Page, session: WebsocketSession) -> dict[str, bool]:
    await page.tell(_words(page.language(session))["action_unreadable"])
    return {"ok": False}


async def _tell_ambiguous(page: Page, number: AmbiguousNumber) -> None:
    words = _words(page.language(own_session()))
    await page.tell(words["ambiguous_number"].format(value=number.value, plain=number.plain))


def _words(language: Language, part: str = "chat") -> dict[str, str]:
    words: dict[str, str] = load_words(language, "web")[part]
    return words
