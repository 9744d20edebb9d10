"""Chainlit's hooks, each one line of work handed to the page.

Importing this module imports Chainlit, which reads its folder and its environment at that moment: `server` prepares
both first.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import chainlit
from chainlit.context import init_ws_context
from chainlit.server import sio
from chainlit.session import WebsocketSession
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from copilot.events import Language
from copilot.web.core import SURFACE, Core
from copilot.web.page import Page, owner_of
from copilot.web.typed_numbers import AmbiguousNumber, plain_number
from prompts import load_words

log = logging.getLogger(__name__)

ANSWERS = ("approve_ticket", "reject_ticket")
EDIT = "edit_ticket"
Typed = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40)]


class Answer(BaseModel):
    """What a card's button sends: which ticket, and proof of having seen its present version. Never whose it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ticket_id: Annotated[int, Field(ge=1, le=2**53)]
    nonce: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Edit(Answer):
    """What the edit form sends: the same, and the numbers as typed; empty means unchanged."""

    changes: dict[Literal["quantity", "price", "stop_loss", "take_profit"], Typed]


def register(core: Core, fallback: Language) -> Page:
    """Hook a page into Chainlit and return it."""
    page = Page(core, fallback)
    _register_chat(page)
    _register_buttons(page, core)
    _register_socket(page)
    return page


def _register_chat(page: Page) -> None:
    @chainlit.on_chat_start
    async def on_chat_start() -> None:
        await _guarded(page, page.open())

    @chainlit.on_message
    async def on_message(message: chainlit.Message) -> None:
        await _guarded(page, page.say(message.content))

    @chainlit.set_starters
    async def set_starters(user: chainlit.User | None, language: str | None) -> list[chainlit.Starter]:
        owner = "" if user is None else user.identifier
        return [chainlit.Starter(label=label, message=text) for label, text in page.starters(owner, language or "")]


def _register_buttons(page: Page, core: Core) -> None:
    async def answer(action: chainlit.Action) -> dict[str, bool]:
        session = _own_session()
        try:
            asked = Answer.model_validate(action.payload)
        except ValidationError:
            return await _refuse(page, session)
        decision: Literal["approve", "reject"] = "approve" if action.name == "approve_ticket" else "reject"
        events = core.decide(owner_of(session), asked.ticket_id, asked.nonce, decision, SURFACE)
        return await _guarded(page, page.follow(events))

    async def edit(action: chainlit.Action) -> dict[str, bool]:
        session = _own_session()
        language = page.language(session)
        try:
            asked = Edit.model_validate(action.payload)
            changes: dict[str, str] = {
                name: plain_number(text, language) for name, text in asked.changes.items() if text
            }
        except ValidationError:
            return await _refuse(page, session)
        except AmbiguousNumber as number:
            words = _words(language)["ambiguous_number"].format(value=number.value, plain=number.plain)
            await page.tell(words)
            return {"ok": False}
        if not changes:
            await page.tell(_words(language)["no_changes"])
            return {"ok": False}
        events = core.edit(owner_of(session), asked.ticket_id, asked.nonce, changes, SURFACE)
        return await _guarded(page, page.follow(events))

    for name in ANSWERS:
        chainlit.action_callback(name)(answer)
    chainlit.action_callback(EDIT)(edit)


def _register_socket(page: Page) -> None:
    """Replace two of Chainlit's own socket handlers.

    Its Stop cancels the task of the turn and says so in English; its message editing answers even when it is off.
    """

    @sio.on("stop")  # type: ignore[untyped-decorator]  # socketio is not typed
    async def stop(sid: str) -> None:
        session = WebsocketSession.get(sid)
        if session is not None:
            init_ws_context(session)
            await page.stop(session)

    @sio.on("edit_message")  # type: ignore[untyped-decorator]  # socketio is not typed
    async def edit_message(sid: str, _payload: object) -> None:
        log.warning("a browser tried to edit a message; refused (%s)", sid)


async def _guarded(page: Page, work: Any) -> dict[str, bool]:
    """Do the work; what goes wrong is logged, and the person gets one plain sentence."""
    try:
        await work
    except Exception:
        log.exception("the page failed")
        await page.tell(_words(page.language(_own_session()))["failed"])
        return {"ok": False}
    return {"ok": True}


async def _refuse(page: Page, session: WebsocketSession) -> dict[str, bool]:
    await page.tell(_words(page.language(session))["action_unreadable"])
    return {"ok": False}


def _own_session() -> WebsocketSession:
    session = chainlit.context.session
    assert isinstance(session, WebsocketSession), "buttons come from a browser's socket alone"
    return session


def _words(language: Language) -> dict[str, str]:
    words: dict[str, str] = load_words(language, "web")["chat"]
    return words
