"""The copilot that every surface talks to: one conversation in, typed events out.

Decides what may happen at the same time (one turn per conversation), where approvals enter (here and nowhere else:
the tickets' own store checks owner, nonce, expiry and drift), and that every turn ends with words, whatever failed.
A surface renders the events and holds no logic of money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from pydantic import ValidationError

from copilot.brain.choosing import ChosenBrain
from copilot.brain.values import OFFLINE, ChatModels
from copilot.events import AnswerToken, AnswerWithdrawn, Event, Language, TicketClosed, TicketOpened, TurnEnded
from copilot.graph.state import TurnContext, TurnState
from copilot.remembering import Remembering, read_wish
from copilot.wording import render_answer, render_error, render_message, render_notice
from copilot.wording.agents import render_renewed
from copilot.wording.banner import render_banner
from copilot.wording.starters import fit_starter
from engine.domain.errors import CopilotError, InvalidRequest
from engine.domain.protocols import MarketData
from prompts import load_words
from tools.agent_results import ProposalView
from tools.alerts import AdjustAlert, Alerts
from tools.decisions import Asked, Decisions
from tools.notices import Notices
from tools.profile import Profile, Profiles, ProfileTool, Setting
from tools.registry import ToolContext
from tools.results import AlertView, TicketRefused
from tools.schema import UpdateProfile

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 4000
"""Longest message taken, in characters; a longer one is refused whole, never cut."""
_STEP_LIMIT = 60

Graph = CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]


class Conversations:
    """One lock per conversation; locks nobody holds or awaits are forgotten."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def is_busy(self, conversation_id: str) -> bool:
        """Return whether a turn of the conversation is under way."""
        return conversation_id in self._locks

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncIterator[None]:
        """Hold the conversation for one turn."""
        lock, users = self._locks.get(conversation_id, (asyncio.Lock(), 0))
        self._locks[conversation_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(conversation_id)
            if users > 1:
                self._locks[conversation_id] = (lock, users - 1)


class Copilot:
    """The whole product behind four methods: send, decide, edit, and what is open."""

    def __init__(
        self,
        graph: Graph,
        tickets: Decisions,
        profiles: Profiles,
        notices: Notices,
        market: MarketData,
        *,
        fallback_language: Language,
        venue: str = "paper",
        is_real_money: bool = False,
        market_reason: str = "set",
        remembering: Remembering | None = None,
        speaker: Callable[[], str] = lambda: OFFLINE,
        chosen_brain: ChosenBrain | None = None,
        halt: Callable[[str, str], Awaitable[None]],
        link_code: Callable[[str], str] | None = None,
        alerts: Alerts | None = None,
        forget: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Wire the service.

        Args:
            graph: The turn.
            tickets: Where decisions go.
            profiles: What owners have set.
            notices: What happened while they were away.
            market: Where prices come from.
            fallback_language: Language where nobody has chosen one.
            venue: Where orders go.
            is_real_money: Whether approved orders move real money.
            market_reason: Why this market: `set`, or what a look at the network told.
            remembering: Does what owners ask of the memory.
            speaker: Names the chat model that would answer now.
            chosen_brain: Exchanged by what is chosen in the settings panel; None where it can't be.
            halt: Stops all trading on behalf of an owner, on a surface.
            alerts: Adjusted by what people press.
            forget: Erases what is remembered of one conversation.
            link_code: Makes a one-time code that links an owner's Telegram account; None where there is no bot.
        """
        self._graph = graph
        self._tickets = tickets
        self._profiles = profiles
        self._notices = notices
        self._fallback: Language = fallback_language
        self._market = market
        self._venue, self._market_reason = venue, market_reason
        self.is_real_money = is_real_money
        self._remembering = remembering
        self._speaker = speaker
        self._chosen_brain = chosen_brain
        self._halt = halt
        self._link_code = link_code
        self._alerts = alerts
        self._forget = forget
        self._conversations = Conversations()
        self._noting: set[asyncio.Task[None]] = set()

    async def send(self, owner: str, conversation_id: str, text: str) -> AsyncGenerator[Event, None]:
        """Take what a person says and tell what happens, ending with `TurnEnded`.

        A pending ticket is never approved by words; it stays open beside the new turn.
        """
        text = text.encode("utf-8", "replace").decode()
        async with self._conversations.turn(conversation_id):
            if len(text) > MESSAGE_LIMIT:
                error = InvalidRequest("message_too_long", length=len(text), limit=MESSAGE_LIMIT)
                events = self._closing(render_error(error, self._say(owner)), self._say(owner))
            elif self._remembering is not None and (wish := read_wish(text)) is not None:
                chosen = self._profiles.get(owner).language
                events = self._closing(*await self._remembering.answer(owner, wish, chosen))
            else:
                events = self._run(owner, conversation_id, TurnState(text=text, decided=None))
            async for event in self._ending(owner, events):
                yield event

    async def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> AsyncGenerator[Event, None]:
        """Take the owner's decision on a ticket; the nonce must be the one that its present version carries.

        It never waits for a chat model: while a turn of the same conversation is under way the decision is carried out
        at once, and the conversation hears of it after that turn.
        """
        seen = self._tickets.view(ticket_id, owner)
        conversation_id = "" if seen is None else seen.conversation_id
        if self._conversations.is_busy(conversation_id):
            async for event in self._ending(owner, self._decide(owner, ticket_id, nonce, decision, surface, True)):
                yield event
            return
        async with self._conversations.turn(conversation_id):
            async for event in self._ending(owner, self._decide(owner, ticket_id, nonce, decision, surface, False)):
                yield event

    async def _decide(
        self,
        owner: str,
        ticket_id: int,
        nonce: str,
        decision: Literal["approve", "reject"],
        surface: str,
        is_busy: bool,
    ) -> AsyncIterator[Event]:
        act = self._tickets.approve if decision == "approve" else self._tickets.reject
        decided = await act(ticket_id, nonce, owner, surface)
        ticket = decided.ticket
        if ticket is None or decided.outcome == "refused":
            if ticket is not None and decided.code == "ticket_changed":
                yield TicketOpened(ticket)
            number = ticket.number if isinstance(ticket, ProposalView) else ticket_id
            error = InvalidRequest(decided.code or "ticket_not_found", ticket_id=number, **decided.params)
            events = self._closing(render_error(error, self._say(owner)), self._say(owner))
        elif decided.outcome == "repriced":
            yield TicketOpened(ticket)
            is_proposal = isinstance(ticket, ProposalView)
            words = (
                render_renewed(ticket.language) if is_proposal else render_message("ticket_repriced", ticket.language)
            )
            events = self._closing(words, ticket.language)
        elif is_busy:
            events = self._carry_out_beside(owner, ticket, is_new=decided.outcome != "already")
        else:
            events = self._carry_out(owner, ticket, is_new=decided.outcome != "already")
        async for event in events:
            yield event

    async def _carry_out_beside(self, owner: str, ticket: Asked, *, is_new: bool) -> AsyncIterator[Event]:
        """Carry a decision out beside a turn that is under way."""
        try:
            done = await self._tickets.execute(ticket.ticket_id)
        finally:
            self._tickets.carry_on(ticket.ticket_id)
        async for event in self._closed(done):
            yield event
        if is_new:
            task = asyncio.create_task(self._note(owner, done))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)

    async def _note(self, owner: str, ticket: Asked) -> None:
        """Write a decision into its conversation, once the turn under way has ended."""
        try:
            async with self._conversations.turn(ticket.conversation_id):
                async for _ in self._resume(owner, ticket, is_new=True):
                    pass
        except Exception:
            log.exception("the conversation could not be told of ticket %s", ticket.ticket_id)

    async def _carry_out(self, owner: str, ticket: Asked, *, is_new: bool) -> AsyncIterator[Event]:
        """Go on with the turn that the decision was awaited for; an approved ticket is carried out whatever fails."""
        try:
            async for event in self._resume(owner, ticket, is_new=is_new):
                yield event
        except Exception:
            log.exception("the turn behind ticket %s failed", ticket.ticket_id)
            async for event in self._closed(await self._tickets.execute(ticket.ticket_id)):
                yield event
        finally:
            self._tickets.carry_on(ticket.ticket_id)

    async def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncGenerator[Event, None]:
        """Change quantity, price, stop loss or take profit: a new version of the same ticket, asked again."""
        async for event in self._ending(owner, self._edit(owner, ticket_id, nonce, changes)):
            yield event

    async def _edit(self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str]) -> AsyncIterator[Event]:
        language = self._say(owner)
        try:
            edited = await self._tickets.edit(ticket_id, nonce, owner, changes)
        except CopilotError as error:
            words = render_error(error, language)
        else:
            if isinstance(edited, TicketRefused):
                words = render_answer([edited], language)
            else:
                language = edited.language
                yield TicketOpened(edited)
                words = render_message("ticket_edited", language)
        async for event in self._closing(words, language):
            yield event

    def open_tickets(self, owner: str) -> tuple[Asked, ...]:
        """Return the owner's tickets that wait for a decision, oldest first."""
        return self._tickets.open_for(owner)

    def notices(self, owner: str, surface: str) -> tuple[str, ...]:
        """Return what happened while the owner was away, worded, once for each surface."""
        language = self._say(owner)
        waiting = self._notices.take(owner, surface)
        return tuple(render_notice(notice.kind, notice.params, language) for notice in waiting)

    async def deliver_notices(self, owner: str, surface: str, send: Callable[[str], Awaitable[None]]) -> None:
        """Hand over what happened while the owner was away, worded; each counts as shown once `send` has returned.

        For surfaces that can fail to show: a notice that could not be sent comes again.
        """
        language = self._say(owner)
        for notice in self._notices.pending(owner, surface):
            await send(render_notice(notice.kind, notice.params, language))
            self._notices.mark_delivered([notice.id], surface)

    async def stop_everything(self, owner: str, surface: str) -> str:
        """Stop all trading at once, and say so; no chat model is asked."""
        language = self._say(owner)
        try:
            await self._halt(owner, surface)
        except CopilotError as error:
            log.exception("the kill switch met an error; trading stays stopped")
            return render_message("stopped_with_error", language).format(error=render_error(error, language))
        return render_message("stopped_everything", language)

    async def adjust_alert(self, owner: str, alert_id: str, *, repeats: bool) -> AlertView | str:
        """Make an alert speak every time or once; return it as it stands now, or in words why that can't be."""
        assert self._alerts is not None, "a surface with alerts has them"
        try:
            return self._alerts.adjust(AdjustAlert(alert_id=alert_id, repeats=repeats), owner)
        except CopilotError as error:
            return render_error(error, self._say(owner))

    def profile(self, owner: str) -> Profile:
        """Return what the owner has set."""
        return self._profiles.get(owner)

    def instruments(self) -> tuple[str, ...]:
        """Return what may be a favourite, in the order to offer it."""
        return tuple(self._market.instruments())

    async def change_setting(self, owner: str, setting: Setting, value: object) -> str | None:
        """Keep one setting of the owner's profile; return in words why it can't be kept, or None."""
        change = ProfileTool(self._profiles, self._market.instruments(), self._fallback)
        try:
            asked = UpdateProfile.model_validate({"setting": setting, "value": value})
            await change(asked, ToolContext(owner, "", self._say(owner)))
        except ValidationError:
            return render_error(InvalidRequest("bad_argument", argument=setting, value=str(value)), self._say(owner))
        except CopilotError as error:
            return render_error(error, self._say(owner))
        return None

    async def chat_models(self) -> ChatModels:
        """Return which chat model is in use and which may be chosen."""
        if self._chosen_brain is None:
            return ChatModels(OFFLINE, (OFFLINE,))
        return await self._chosen_brain.models()

    async def choose_chat_model(self, owner: str, name: str) -> str | None:
        """Answer with another chat model from now on; return in words why it can't be, or None."""
        try:
            if self._chosen_brain is None:
                raise InvalidRequest("bad_argument", argument="chat_model", value=name)
            await self._chosen_brain.choose(name)
        except CopilotError as error:
            return render_error(error, self._say(owner))
        return None

    async def forget_conversation(self, owner: str, conversation_id: str) -> None:
        """Erase what is remembered of one conversation; orders, tickets and alerts stay."""
        if self._forget is not None:
            async with self._conversations.turn(conversation_id):
                await self._forget(conversation_id)

    def telegram_code(self, owner: str) -> str:
        """Return, in words, the one-time code that links the owner's Telegram account, or how to set up a bot."""
        language = self._say(owner)
        if self._link_code is None:
            return render_message("no_telegram", language)
        return render_message("telegram_code", language).format(code=self._link_code(owner))

    def skip_notices(self, owner: str, surface: str) -> None:
        """Take everything so far as shown on a surface that is new."""
        self._notices.take(owner, surface)

    def ticket(self, owner: str, ticket_id: int) -> Asked | None:
        """Return one of the owner's tickets as it stands."""
        return self._tickets.view(ticket_id, owner)

    def language(self, owner: str, fallback: Language) -> Language:
        """Return the language that the owner chose, or the fallback."""
        return self._profiles.get(owner).language or fallback

    def set_language(self, owner: str, language: Language) -> None:
        """Keep the owner's choice of language."""
        self._profiles.set_language(owner, language)

    def banner(self, language: Language) -> str:
        """Return what is simulated and who answers, plainly."""
        return render_banner(self._market, self._venue, self._market_reason, self._speaker(), language)

    def starters(self, language: Language) -> tuple[tuple[str, str], ...]:
        """Return what a newcomer may try: a label, and the message behind it."""
        symbols = self._market.instruments()
        return tuple(fit_starter(each, symbols) for each in load_words(language, "messages")["starters"])

    async def _resume(self, owner: str, ticket: Asked, *, is_new: bool) -> AsyncIterator[Event]:
        config = _config(ticket.conversation_id, owner)
        snapshot = await self._graph.aget_state(config)
        pauses = [pause.id for pause in snapshot.interrupts if pause.value.get("ticket_id") == ticket.ticket_id]
        if pauses:
            entry: Any = Command(resume={pauses[0]: ticket.state})
        elif is_new or ticket.state == "approved":
            entry = TurnState(text="", decided=ticket.ticket_id)
        else:
            async for event in self._closed(ticket):
                yield event
            return
        async for event in self._run(owner, ticket.conversation_id, entry, language=ticket.language):
            yield event

    async def _run(
        self, owner: str, conversation_id: str, entry: Any, language: Language | None = None
    ) -> AsyncIterator[Event]:
        chosen = language or self._profiles.get(owner).language
        context = TurnContext(owner, conversation_id, chosen, self._fallback)
        config = _config(conversation_id, owner)
        said = ""
        stream = self._graph.astream(
            entry, config, context=context, stream_mode="custom", durability=_durability(entry)
        )
        async for event in stream:
            told = cast(Event, event)
            said = _heard(said, told)
            yield told
        values = (await self._graph.aget_state(config)).values
        brain, trouble = values.get("brain", OFFLINE), values.get("trouble")
        yield TurnEnded(said, values.get("language", self._fallback), brain, trouble)

    async def _ending(self, owner: str, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """Pass events on, and end the turn in words when it fails: the outermost loop of the product."""
        said = ""
        try:
            async for event in events:
                said = _heard(said, event)
                yield event
        except Exception:
            log.exception("a turn failed")
            language = self._language_if_known(owner)
            words = ("\n\n" if said else "") + render_message("turn_failed", language)
            yield AnswerToken(words)
            yield TurnEnded(said + words, language, OFFLINE)

    async def _closed(self, ticket: Asked) -> AsyncIterator[Event]:
        yield TicketClosed(ticket)
        async for event in self._closing(render_answer([ticket], ticket.language), ticket.language):
            yield event

    async def _closing(self, words: str, language: Language) -> AsyncIterator[Event]:
        yield AnswerToken(words)
        yield TurnEnded(words, language, OFFLINE)

    def _language_if_known(self, owner: str) -> Language:
        try:
            return self._say(owner)
        except Exception:
            return self._fallback

    def _say(self, owner: str) -> Language:
        return self.language(owner, self._fallback)


def _durability(entry: Any) -> Literal["sync", "exit"]:
    """Return when steps are kept: each at once where a decided trade is carried out, else the turn as a whole.

    A message that a crash cuts off is said again; what it opened, a ticket, is in the database and not in the turn.
    """
    is_message = isinstance(entry, dict) and entry.get("decided") is None
    return "exit" if is_message else "sync"


def _heard(said: str, event: Event) -> str:
    """Return the answer so far, with what an event adds to it or takes back."""
    match event:
        case AnswerToken():
            return said + event.text
        case AnswerWithdrawn():
            return said[: event.kept]
        case _:
            return said


def _config(conversation_id: str, owner: str) -> RunnableConfig:
    return {"configurable": {"thread_id": conversation_id, "owner": owner}, "recursion_limit": _STEP_LIMIT}
