"""The bot: who may talk to it, how a message becomes a turn, and what is pushed without being asked.

Only accounts on the owner's list, in private chats, that were linked by a one-time code. Every update is taken in
once; updates are worked on side by side, so that a button never waits behind an answer. Forwarded messages are somebody
else's words and are not acted on. Cards follow the ticket store: whoever answered first, every chat shows it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from telegram import BotCommand, CallbackQuery, ForceReply, Message, Update
from telegram.constants import ChatAction, ChatType
from telegram.error import Forbidden, InvalidToken, TelegramError
from telegram.ext import (
    AIORateLimiter,
    Application,
    ApplicationBuilder,
    ApplicationHandlerStop,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    TypeHandler,
    filters,
)

from agents.supervisor import Pulse
from copilot.events import Event, Language, ToolFinished, TurnEnded, Waiting
from copilot.pictures import chart_picture, equity_picture
from copilot.telegram.cards import BUTTON, card_buttons, card_text, edit_buttons
from copilot.telegram.core import SURFACE, TelegramCore
from copilot.telegram.markup import to_messages
from copilot.telegram.store import CardPlace, Link, Question, TelegramStore
from copilot.telegram.webhook import WebhookOptions, build_webhook, listening, make_secret
from copilot.web.typed_numbers import AmbiguousNumber, plain_number
from copilot.wording import render_voice, render_waiting
from copilot.wording.agents import render_details
from engine.domain.errors import ConfigError
from prompts import load_words
from tools.agent_results import TradeExplained
from tools.results import BacktestResult, ChartResult, Result, SignalResult

log = logging.getLogger(__name__)

PUSH_EVERY_S = 2.0
_TYPING_EVERY_S = 4.0
"""Telegram shows that somebody writes for five seconds."""
_AT_ONCE = 64
_UNDER_WAY = ("approved", "claimed")
_SPOKEN = ("agents", "portfolio", "alerts")
"""Commands that stand for a sentence."""
_WRONG_CODES = 5

App = Application[Any, Any, Any, Any, Any, Any]
Context = ContextTypes.DEFAULT_TYPE


@dataclass(frozen=True, slots=True)
class TelegramOptions:
    """How to reach Telegram, and who may talk.

    Attributes:
        token: Of the bot.
        allowed: Accounts that may talk to it, by user id.
        api_url: Base URL of the Bot API.
        webhook: Where Telegram brings updates; they are asked for (long polling) when None.
    """

    token: str
    allowed: frozenset[int]
    api_url: str = "https://api.telegram.org"
    webhook: WebhookOptions | None = None

    def __repr__(self) -> str:
        return f"TelegramOptions(allowed={sorted(self.allowed)}, api_url={self.api_url!r})"


class TelegramBot:
    """One bot of one copilot."""

    def __init__(self, core: TelegramCore, store: TelegramStore, options: TelegramOptions, fallback: Language) -> None:
        self._core = core
        self._store = store
        self._options = options
        self._fallback: Language = fallback
        self._drawing: dict[int, asyncio.Lock] = {}
        self._wrong_codes: dict[int, int] = {}
        self._pressed: set[str] = set()

    async def run(self, pulse: Pulse) -> None:
        """Take in updates, by long polling or as a webhook, and push what happens, until cancelled.

        Args:
            pulse: Of the supervisor: one process at a time may read a bot's updates.

        Raises:
            ConfigError: Telegram does not know the token.
            TelegramError: It cannot be reached; run again later.
            OSError: The webhook's address is taken, perhaps by a process that is about to end; run again later.
        """
        webhook = self._options.webhook
        async with self.connected() as app, self._polling(app) if webhook is None else self._hooked(app, webhook):
            await self.push(app, pulse)

    @asynccontextmanager
    async def _polling(self, app: App) -> AsyncIterator[None]:
        """Ask for updates; a webhook of before ends by that."""
        assert app.updater is not None, "built with an updater"
        await app.updater.start_polling(allowed_updates=_UPDATES, bootstrap_retries=-1)
        try:
            yield
        finally:
            await app.updater.stop()

    @asynccontextmanager
    async def _hooked(self, app: App, webhook: WebhookOptions) -> AsyncIterator[None]:
        """Let Telegram bring updates; what it could not bring while nobody listened comes now.

        It stays told of the address at the end: whoever leads next says so again with a secret of its own.
        """
        secret = make_secret()

        def take(content: object) -> bool:
            try:
                update = Update.de_json(content, app.bot) if isinstance(content, dict) else None
            except (TypeError, KeyError, ValueError, AttributeError):
                update = None
            if update is not None:
                app.update_queue.put_nowait(update)
            return update is not None

        async with listening(webhook, build_webhook(webhook.path, secret, take)) as port:
            await app.bot.set_webhook(webhook.url, allowed_updates=_UPDATES, secret_token=secret)
            log.info("Telegram brings updates to %s, which must reach %s:%d", webhook.url, webhook.host, port)
            yield

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[App]:
        """Hold the application that handles updates, and put its commands in Telegram's menu."""
        app = self._build()
        try:
            await app.initialize()
        except TelegramError as error:
            await app.bot.request.shutdown()  # the library closes only what was wholly opened
            if not isinstance(error, InvalidToken):
                raise
            raise ConfigError("Telegram does not know the token in COPILOT_TELEGRAM_TOKEN; copy it anew") from error
        try:
            await self._offer_commands(app)
            await app.start()
            try:
                yield app
            finally:
                await app.stop()
        finally:
            await app.shutdown()

    async def push(self, app: App, pulse: Pulse) -> None:
        """Send notices, and keep cards true, until cancelled."""
        while True:
            pulse.require_term()
            pulse.beat()
            for link in self._store.links():
                try:
                    await self._bring_up_to_date(app, link)
                except Forbidden:
                    log.info("a linked account has blocked the bot; its link ends")
                    self._store.unlink(link.user_id)
                except TelegramError as error:
                    log.warning("Telegram could not be told (%s); trying again", type(error).__name__)
            await asyncio.sleep(PUSH_EVERY_S)

    def _build(self) -> App:
        options = self._options
        os.environ.setdefault("PTB_TIMEDELTA", "true")  # the library warns of its own habit otherwise
        app: App = (
            ApplicationBuilder()
            .token(options.token)
            .base_url(f"{options.api_url}/bot")
            .base_file_url(f"{options.api_url}/file/bot")
            .rate_limiter(AIORateLimiter(max_retries=3))
            .concurrent_updates(_AT_ONCE)
            .connection_pool_size(_AT_ONCE)
            .pool_timeout(30)
            .get_updates_connection_pool_size(4)
            .build()
        )
        app.add_handler(TypeHandler(Update, self._gate), group=-1)
        app.add_handler(CommandHandler(["start", "link"], self._on_link))
        app.add_handler(CallbackQueryHandler(self._on_button))
        app.add_handler(MessageHandler(filters.COMMAND, self._on_command))
        app.add_handler(MessageHandler(filters.ALL, self._on_message))
        app.add_error_handler(self._on_error)
        return app

    async def _offer_commands(self, app: App) -> None:
        for language in ("en", "es"):
            menu = _words(language)["menu"].items()
            commands = [BotCommand(name, text) for name, text in menu]
            await app.bot.set_my_commands(commands, language_code="" if language == "en" else language)

    async def _gate(self, update: Update, context: Context) -> None:
        """Let through what an account on the list says in private, once."""
        chat, user = update.effective_chat, update.effective_user
        if chat is not None and chat.type != ChatType.PRIVATE:
            with suppress(TelegramError):
                await context.bot.leave_chat(chat.id)
            raise ApplicationHandlerStop
        if chat is None or user is None or user.id not in self._options.allowed:
            raise ApplicationHandlerStop
        if not self._store.take_in(update.update_id):
            raise ApplicationHandlerStop

    async def _on_link(self, update: Update, context: Context) -> None:
        message, user = update.effective_message, update.effective_user
        assert message is not None, "the gate lets nothing else in"
        assert user is not None, "the gate lets nothing else in"
        words = _words(self._language_of(update))
        link = self._store.link_of(user.id)
        if not context.args:
            await _tell(message, words["welcome" if link is None else "help"])
            return
        if self._wrong_codes.get(user.id, 0) >= _WRONG_CODES:
            await _tell(message, words["too_many_codes"])
            return
        owner = self._store.link(context.args[0], user.id, message.chat_id)
        if owner is None:
            self._wrong_codes[user.id] = self._wrong_codes.get(user.id, 0) + 1
            await _tell(message, words["wrong_code"])
            return
        self._wrong_codes.pop(user.id, None)
        self._core.skip_notices(owner, _surface(user.id))
        language = self._core.language(owner, self._language_of(update))
        await _tell(message, _words(language)["linked"])
        await _tell(message, self._core.banner(language))

    async def _on_command(self, update: Update, context: Context) -> None:
        link, message = self._linked(update), update.effective_message
        assert message is not None, "a command is a message"
        assert message.text is not None, "a command is text"
        language = self._language_of(update)
        words = _words(language)
        name = message.text[1:].split()[0].split("@")[0].lower()
        if link is None:
            await _tell(message, words["welcome"])
        elif name in _SPOKEN:
            await self._say(link, message, words["spoken"][name])
        elif name == "status":
            await _tell(message, self._core.banner(language))
            await self._say(link, message, words["spoken"]["agents"])
        elif name == "stop":
            await _tell(message, await self._core.stop_everything(link.owner, SURFACE))
        elif name == "unlink":
            self._store.unlink(link.user_id)
            await _tell(message, words["unlinked"])
        else:
            await _tell(message, words["help"])

    async def _on_message(self, update: Update, context: Context) -> None:
        link, message = self._linked(update), update.effective_message
        if message is None or update.edited_message is not None:
            return
        words = _words(self._language_of(update))
        if link is None:
            await _tell(message, words["welcome"])
        elif message.forward_origin is not None or message.quote is not None:
            await _tell(message, words["forwarded"])
        elif message.text is None:
            await _tell(message, words["only_text"])
        elif (question := self._question(message)) is not None:
            await self._change(link, message, question)
        else:
            await self._say(link, message, message.text)

    async def _on_button(self, update: Update, context: Context) -> None:
        query, link = update.callback_query, self._linked(update)
        assert query is not None, "this handler takes buttons alone"
        pressed = BUTTON.fullmatch(query.data or "")
        words = _words(self._language_of(update))
        if link is None or pressed is None or not isinstance(query.message, Message):
            await query.answer(words["old_button"])
            return
        await query.answer()
        if pressed[0] in self._pressed:
            return
        self._pressed.add(pressed[0])
        try:
            await self._act(link, query, query.message, pressed)
        finally:
            self._pressed.discard(pressed[0])

    async def _act(self, link: Link, query: CallbackQuery, message: Message, pressed: re.Match[str]) -> None:
        ticket_id, nonce = int(pressed["ticket"]), pressed["nonce"]
        match pressed["act"]:
            case "a" | "r":
                decision: Literal["approve", "reject"] = "approve" if pressed["act"] == "a" else "reject"
                events = self._core.decide(link.owner, ticket_id, nonce, decision, SURFACE)
                await self._play(link, message, events)
            case "e":
                await self._offer_fields(link, query, ticket_id, nonce)
            case _:
                words = _words(self._core.language(link.owner, self._fallback))
                await self._ask_field(message, Question(ticket_id, nonce, pressed["field"]), words)

    async def _offer_fields(self, link: Link, query: CallbackQuery, ticket_id: int, nonce: str) -> None:
        ticket = next(
            (t for t in self._core.open_tickets(link.owner) if (t.ticket_id, t.nonce) == (ticket_id, nonce)), None
        )
        if ticket is not None:
            with suppress(TelegramError):
                await query.edit_message_reply_markup(edit_buttons(ticket))

    async def _ask_field(self, message: Message, question: Question, words: Mapping[str, Any]) -> None:
        name = words["fields"].get(question.field, question.field.replace("_", " "))
        asked = words["new_value"].format(field=name, ticket_id=question.ticket_id)
        sent = await message.reply_text(asked, reply_markup=ForceReply(selective=True))
        self._store.keep_question(sent.chat_id, sent.message_id, question)

    def _question(self, message: Message) -> Question | None:
        replied = message.reply_to_message
        return None if replied is None else self._store.take_question(message.chat_id, replied.message_id)

    async def _change(self, link: Link, message: Message, question: Question) -> None:
        language = self._core.language(link.owner, self._fallback)
        try:
            value = plain_number(message.text or "", language)
        except AmbiguousNumber as number:
            told = load_words(language, "web")["chat"]["ambiguous_number"]
            await _tell(message, told.format(value=number.value, plain=number.plain))
            return
        changes = {question.field: value}
        await self._play(
            link, message, self._core.edit(link.owner, question.ticket_id, question.nonce, changes, SURFACE)
        )

    async def _say(self, link: Link, message: Message, text: str) -> None:
        await self._play(link, message, self._core.send(link.owner, _conversation(link), text))

    async def _play(self, link: Link, message: Message, events: AsyncGenerator[Event, None]) -> None:
        """Play a turn into the chat: its words, then its charts, then the cards it opened."""
        charts: list[Callable[[Language], bytes]] = []
        results: list[Result] = []
        async with aclosing(events), _typing(message):
            async for event in events:
                if isinstance(event, Waiting):
                    language = self._core.language(link.owner, self._fallback)
                    await _tell(message, render_waiting(event.ahead, language))
                elif isinstance(event, ToolFinished):
                    charts += _charts(event)
                    results.append(event.result)
                elif isinstance(event, TurnEnded):
                    signed = render_voice(event.brain, event.trouble, event.language)
                    details = [told for each in results if (told := render_details(each, event.language))]
                    signature = [f"*{signed}*"] if signed else []
                    await _tell(message, "\n\n".join([event.answer, *details, *signature]))
                    for draw in charts:
                        await message.reply_photo(await asyncio.to_thread(draw, event.language))
        await self._draw_cards(message.get_bot(), link)

    async def _bring_up_to_date(self, app: App, link: Link) -> None:
        async def send(words: str) -> None:
            for text in to_messages(words):
                await app.bot.send_message(link.chat_id, text, parse_mode="HTML")

        await self._core.deliver_notices(link.owner, _surface(link.user_id), send)
        await self._draw_cards(app.bot, link)

    async def _draw_cards(self, bot: Any, link: Link) -> None:
        async with self._drawing.setdefault(link.chat_id, asyncio.Lock()):
            waiting = {ticket.ticket_id: ticket for ticket in self._core.open_tickets(link.owner)}
            shown = self._store.cards(link.chat_id)
            for ticket_id, card in shown.items():
                if ticket_id not in waiting:
                    await self._close_card(bot, link, card)
                elif (ticket := waiting[ticket_id]).nonce != card.nonce:
                    with suppress(TelegramError):
                        await bot.edit_message_text(
                            card_text(ticket), link.chat_id, card.message_id, parse_mode="HTML",
                            reply_markup=card_buttons(ticket),
                        )  # fmt: skip
                    self._store.keep_card(CardPlace(ticket_id, link.chat_id, card.message_id, ticket.nonce))
            for ticket_id, ticket in waiting.items():
                if ticket_id not in shown:
                    sent = await bot.send_message(
                        link.chat_id, card_text(ticket), parse_mode="HTML", reply_markup=card_buttons(ticket)
                    )
                    self._store.keep_card(CardPlace(ticket_id, link.chat_id, sent.message_id, ticket.nonce))

    async def _close_card(self, bot: Any, link: Link, card: CardPlace) -> None:
        """Show what became of a ticket; one that is being carried out is looked at again."""
        ended = self._core.ticket(link.owner, card.ticket_id)
        is_under_way = ended is not None and ended.state in _UNDER_WAY
        if ended is not None and not (is_under_way and not card.nonce):
            with suppress(TelegramError):
                await bot.edit_message_text(card_text(ended), link.chat_id, card.message_id, parse_mode="HTML")
        if is_under_way:
            self._store.keep_card(CardPlace(card.ticket_id, link.chat_id, card.message_id, ""))
        else:
            self._store.drop_card(card.ticket_id, link.chat_id)

    async def _on_error(self, update: object, context: Context) -> None:
        log.error("an update could not be handled", exc_info=context.error)
        message = update.effective_message if isinstance(update, Update) else None
        if message is not None and isinstance(update, Update):
            with suppress(TelegramError):
                await _tell(message, _words(self._language_of(update))["failed"])

    def _linked(self, update: Update) -> Link | None:
        user = update.effective_user
        return None if user is None else self._store.link_of(user.id)

    def _language_of(self, update: Update) -> Language:
        """Return the language that the owner chose, or else the one that Telegram speaks to them."""
        user = update.effective_user
        code = "" if user is None else (user.language_code or "")
        spoken: Language = "es" if code.startswith("es") else "en" if code else self._fallback
        link = self._linked(update)
        return spoken if link is None else self._core.language(link.owner, spoken)


_UPDATES = [Update.MESSAGE, Update.EDITED_MESSAGE, Update.CALLBACK_QUERY, Update.MY_CHAT_MEMBER]


def _charts(event: ToolFinished) -> list[Callable[[Language], bytes]]:
    result = event.result
    if isinstance(result, ChartResult):
        return [lambda language: chart_picture(result.chart, language)]
    if isinstance(result, SignalResult) and (chart := result.chart) is not None:
        return [lambda language: chart_picture(chart, language, result.signal)]
    if isinstance(result, TradeExplained) and (explained := result.chart) is not None:
        return [lambda language: chart_picture(explained, language)]
    if isinstance(result, BacktestResult) and result.trades:
        return [lambda language: equity_picture(result, language)]
    return []


@asynccontextmanager
async def _typing(message: Message) -> AsyncIterator[None]:
    async def show() -> None:
        while True:
            with suppress(TelegramError):
                await message.get_bot().send_chat_action(message.chat_id, ChatAction.TYPING)
            await asyncio.sleep(_TYPING_EVERY_S)

    task = asyncio.create_task(show())
    try:
        yield
    finally:
        task.cancel()


async def _tell(message: Message, words: str) -> None:
    for text in to_messages(words):
        await message.get_bot().send_message(message.chat_id, text, parse_mode="HTML")


def _conversation(link: Link) -> str:
    return f"telegram-{hashlib.sha256(f'{link.owner}:{link.chat_id}'.encode()).hexdigest()[:32]}"


def _surface(user_id: int) -> str:
    return f"{SURFACE}:{user_id}"


def _words(language: str) -> Mapping[str, Any]:
    words: Mapping[str, Any] = load_words(language, "telegram")
    return words
