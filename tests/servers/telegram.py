"""A local server that speaks Telegram's Bot API, with people who write, press, reply and forward.

It holds to the published rules that a client may break: length of a message and of button data, sound HTML, an edit
that changes nothing, one reader of updates at a time, updates sent again until they are acknowledged by an offset.
Faults are scripted by method: flood control, server errors, a connection that is cut before or after the effect.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Literal

from aiohttp import ClientSession, web

TOKEN = "123456:TEST-token_of_a_bot_that_lives_in_tests"
BOT = {"id": 123456, "is_bot": True, "first_name": "Copilot", "username": "copilot_test_bot"}
FaultKind = Literal["flood", "error", "cut_before", "cut_after"]
_TAG = re.compile(r"<(/?)(\w+)>")
_ALLOWED = frozenset({"b", "i", "s", "u", "code", "pre"})


class Refused(Exception):
    """An answer with `ok: false`."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        self.code, self.description, self.parameters = code, description, parameters
        super().__init__(description)


@dataclass
class Shown:
    """One message as the chat shows it now."""

    chat_id: int
    message_id: int
    text: str
    buttons: list[tuple[str, str]] = field(default_factory=list)
    is_photo: bool = False
    is_from_bot: bool = True
    photo: bytes = b""
    edits: int = 0


@dataclass
class BotApi:
    """The server; one bot."""

    shown: dict[int, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)
    url: str = ""
    is_repeating: bool = False
    """Sends every update again, whatever offset is asked for."""
    webhook: dict[str, Any] | None = None
    """What `setWebhook` was told."""

    def __post_init__(self) -> None:
        self._updates: list[dict[str, Any]] = []
        self._number = 1000
        self._faults: dict[str, list[FaultKind]] = defaultdict(list)
        self._news = asyncio.Event()
        self._readers = 0

    def fail(self, method: str, *kinds: FaultKind) -> None:
        """Let the next calls of a method fail, in this order."""
        self._faults[method] += kinds

    def person(self, user_id: int, language: str = "en") -> Person:
        """Return somebody who writes to the bot."""
        return Person(self, user_id, language)

    def add_update(self, kind: str, content: dict[str, Any]) -> None:
        """Queue what somebody did."""
        self._number += 1
        self._updates.append({"update_id": self._number, kind: content})
        self._news.set()

    async def bring(self, url: str, *, times: int = 1, secret: str | None = None) -> list[int]:
        """Bring what waits to where a proxy would, each update some times; return every answer's status.

        Args:
            url: Where the webhook listens, behind the proxy.
            times: How often each is brought, as when an answer was lost.
            secret: Of somebody else; what `setWebhook` was told when None. What such a one brings stays queued.
        """
        assert self.webhook is not None, "nothing said where to"
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook["secret_token"] if secret is None else secret}
        statuses = []
        async with ClientSession() as client:
            for update in [*self._updates]:
                for _ in range(times):
                    async with client.post(url, json=update, headers=headers) as answer:
                        statuses.append(answer.status)
        if secret is None:
            self._updates.clear()
        return statuses

    def new_message(self, chat_id: int, text: str, **more: Any) -> Shown:
        """Return a message that the chat shows from now on."""
        self._number += 1
        message = Shown(chat_id, self._number, text, **more)
        self.shown[chat_id].append(message)
        return message

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        if request.match_info["token"] != TOKEN:
            return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)
        method = request.match_info["method"]
        given = await _parameters(request)
        self.calls.append((method, given))
        fault = self._faults[method].pop(0) if self._faults[method] else None
        if fault == "cut_before":
            return await _cut(request)
        try:
            if fault == "flood":
                raise Refused(429, "Too Many Requests: retry after 1", retry_after=1)
            if fault == "error":
                raise Refused(502, "Bad Gateway")
            result = await getattr(self, f"_on_{method}")(given)
        except Refused as refused:
            body: dict[str, Any] = {"ok": False, "error_code": refused.code, "description": refused.description}
            if refused.parameters:
                body["parameters"] = refused.parameters
            return web.json_response(body, status=refused.code)
        if fault == "cut_after":
            return await _cut(request)
        return web.json_response({"ok": True, "result": result})

    async def _on_getMe(self, _: dict[str, Any]) -> Any:
        return {**BOT, "can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}

    async def _on_setMyCommands(self, _: dict[str, Any]) -> Any:
        return True

    async def _on_setWebhook(self, given: dict[str, Any]) -> Any:
        if not given["url"].startswith("https://"):
            raise Refused(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", given.get("secret_token", "-")):
            raise Refused(400, "Bad Request: secret token contains unallowed characters")
        self.webhook = dict(given)
        return True

    async def _on_deleteWebhook(self, _: dict[str, Any]) -> Any:
        self.webhook = None
        return True

    async def _on_sendChatAction(self, _: dict[str, Any]) -> Any:
        return True

    async def _on_leaveChat(self, given: dict[str, Any]) -> Any:
        self.left.append(int(given["chat_id"]))
        return True

    async def _on_answerCallbackQuery(self, given: dict[str, Any]) -> Any:
        self.answered[given["callback_query_id"]] = given.get("text", "")
        return True

    async def _on_getUpdates(self, given: dict[str, Any]) -> Any:
        if self.webhook is not None:
            raise Refused(409, "Conflict: can't use getUpdates method while webhook is active")
        if self._readers:
            raise Refused(409, "Conflict: terminated by other getUpdates request")
        offset = int(given.get("offset", 0))
        if not self.is_repeating:
            self._updates = [update for update in self._updates if update["update_id"] >= offset]
        self._readers += 1
        try:
            if not self._updates:
                self._news.clear()
                async with asyncio.timeout(min(float(given.get("timeout", 0)), 1.0)):
                    await self._news.wait()
        except TimeoutError:
            return []
        finally:
            self._readers -= 1
        return self._updates[: int(given.get("limit", 100))]

    async def _on_sendMessage(self, given: dict[str, Any]) -> Any:
        text, buttons = _checked(given["text"], given), _buttons(given)
        return self._told(self.new_message(int(given["chat_id"]), text, buttons=buttons))

    async def _on_sendPhoto(self, given: dict[str, Any]) -> Any:
        photo = given["photo"]
        if not isinstance(photo, bytes):
            raise Refused(400, "Bad Request: wrong file")
        return self._told(self.new_message(int(given["chat_id"]), "", is_photo=True, photo=photo))

    async def _on_editMessageText(self, given: dict[str, Any]) -> Any:
        message = self._find(given)
        text, buttons = _checked(given["text"], given), _buttons(given)
        if (message.text, message.buttons) == (text, buttons):
            raise Refused(400, "Bad Request: message is not modified")
        message.text, message.buttons, message.edits = text, buttons, message.edits + 1
        return self._told(message)

    async def _on_editMessageReplyMarkup(self, given: dict[str, Any]) -> Any:
        message = self._find(given)
        message.buttons = _buttons(given)
        return self._told(message)

    def _find(self, given: dict[str, Any]) -> Shown:
        for message in self.shown[int(given["chat_id"])]:
            if message.message_id == int(given["message_id"]) and message.is_from_bot:
                return message
        raise Refused(400, "Bad Request: message to edit not found")

    def _told(self, message: Shown) -> dict[str, Any]:
        told: dict[str, Any] = {
            "message_id": message.message_id,
            "date": 1_760_000_000,
            "chat": {"id": message.chat_id, "type": "private", "first_name": "A"},
            "from": BOT,
        }
        if message.is_photo:
            size = {"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1, "file_size": len(message.photo)}
            return {**told, "photo": [size]}
        return {**told, "text": message.text}

    def as_told(self, message: Shown) -> dict[str, Any]:
        """Return a message as the API writes it."""
        return self._told(message)


@dataclass
class Person:
    """Somebody in a private chat with the bot."""

    api: BotApi
    user_id: int
    language: str

    @property
    def messages(self) -> list[Shown]:
        """Return what the bot has said to them."""
        return [message for message in self.api.shown[self.user_id] if message.is_from_bot]

    def write(self, text: str, **more: Any) -> None:
        """Send a message."""
        message = self.api.new_message(self.user_id, text, is_from_bot=False)
        entities = []
        if text.startswith("/"):
            entities = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        content = {"message_id": message.message_id, "date": 1_760_000_000, "text": text, "entities": entities}
        self.api.add_update("message", {**content, **self._who(), **more})

    def forward(self, text: str) -> None:
        """Send somebody else's message on."""
        origin = {"type": "hidden_user", "date": 1_750_000_000, "sender_user_name": "Guru"}
        self.write(text, forward_origin=origin)

    def write_in_group(self, text: str, group_id: int = -100) -> None:
        """Send a message in a group that the bot was put into."""
        content = {"message_id": 5, "date": 1_760_000_000, "text": text, "from": self._who()["from"]}
        self.api.add_update("message", {**content, "chat": {"id": group_id, "type": "group", "title": "Traders"}})

    def reply(self, message: Shown, text: str) -> None:
        """Answer one of the bot's messages."""
        self.write(text, reply_to_message=self.api.as_told(message))

    def press(self, message: Shown, label: str, query_id: str = "q") -> None:
        """Press a button."""
        (data,) = [data for name, data in message.buttons if label in name]
        self.press_data(message, data, query_id)

    def press_data(self, message: Shown, data: str, query_id: str = "q") -> None:
        """Press a button with any data, as a tampered client can."""
        content = {"id": query_id, "chat_instance": "c", "data": data, "message": self.api.as_told(message)}
        self.api.add_update("callback_query", {**content, "from": self._who()["from"]})

    async def hears(self, wanted: str | Callable[[Shown], bool], seconds: float = 10.0) -> Shown:
        """Wait for a message of the bot that holds some words, and return the newest such."""
        is_wanted = wanted if callable(wanted) else (lambda message: wanted in unescape(_TAG.sub("", message.text)))
        async with asyncio.timeout(seconds):
            while True:
                found = [message for message in self.messages if is_wanted(message)]
                if found:
                    return found[-1]
                await asyncio.sleep(0.02)

    def _who(self) -> dict[str, Any]:
        user = {"id": self.user_id, "is_bot": False, "first_name": "A", "language_code": self.language}
        return {"from": user, "chat": {"id": self.user_id, "type": "private", "first_name": "A"}}


@asynccontextmanager
async def serve_bot_api() -> AsyncIterator[BotApi]:
    """Run the server on a free port of this machine."""
    api = BotApi()
    app = web.Application(client_max_size=20 << 20)
    app.router.add_route("*", "/bot{token}/{method}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()


async def _parameters(request: web.Request) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.query)
    for name, value in (await request.post()).items():
        given[name] = value.file.read() if isinstance(value, web.FileField) else value
    photo = given.get("photo")
    if isinstance(photo, str) and photo.startswith("attach://"):
        given["photo"] = given[photo.removeprefix("attach://")]
    return given


async def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def _checked(text: str, given: dict[str, Any]) -> str:
    is_html = given.get("parse_mode") == "HTML"
    if is_html:
        stack: list[str] = []
        for closing, tag in _TAG.findall(text):
            if tag not in _ALLOWED or (closing and (not stack or stack.pop() != tag)):
                raise Refused(400, f"Bad Request: can't parse entities: unexpected tag {tag}")
            if not closing:
                stack.append(tag)
        if stack or "<" in _TAG.sub("", text):
            raise Refused(400, "Bad Request: can't parse entities")
    plain = unescape(_TAG.sub("", text)) if is_html else text
    if not plain.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if len(plain.encode("utf-16-le")) // 2 > 4096:
        raise Refused(400, "Bad Request: message is too long")
    return text


def _buttons(given: dict[str, Any]) -> list[tuple[str, str]]:
    markup = json.loads(given.get("reply_markup", "{}"))
    rows = markup.get("inline_keyboard", [])
    buttons = [(button["text"], button["callback_data"]) for row in rows for button in row]
    if any(not 1 <= len(data.encode()) <= 64 for _, data in buttons):
        raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
    return buttons
