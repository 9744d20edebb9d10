"""What one browser sees: turns played into Chainlit, ticket cards kept true, notices shown.

A turn is never cut: Stop only mutes it, because the core may be writing to its database. Cards follow the ticket
store, not the conversation: after every turn, and every few seconds for what other surfaces decide, each open page is
brought in line with the tickets that are open. A card of an older version loses its buttons.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import chainlit
from chainlit.context import init_ws_context
from chainlit.session import WebsocketSession

from copilot.charts import build_equity_figure, build_figure
from copilot.events import (
    AnswerToken,
    AnswerWithdrawn,
    Event,
    Language,
    TicketClosed,
    TicketOpened,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    Waiting,
)
from copilot.web.card import CLOSED, SUPERSEDED, ticket_props
from copilot.web.core import SURFACE, Core
from copilot.web.languages import browser_language
from copilot.wording import render_voice, render_waiting
from engine.domain.signals import Signal
from prompts import load_words
from tools.results import BacktestResult, ChartData, ChartResult, SignalResult, TicketView, ToolResult

log = logging.getLogger(__name__)

WATCH_EVERY_S = 3.0
_DIRECTIVE = re.compile(r":(?=[A-Za-z])")
_JOINER = "\u2060"
_STEP_EXCLUDES = {"chart": True, "curve": True, "nonce": True, "terms_hash": True}


@dataclass(slots=True)
class Card:
    """A ticket's card in one browser: the version it shows, and Chainlit's element."""

    ticket: TicketView
    element: chainlit.CustomElement


@dataclass(slots=True)
class Browser:
    """What we know of one Chainlit session."""

    language: Language
    cards: dict[int, Card] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Page:
    """The page of a core; one for the whole server."""

    def __init__(self, core: Core, fallback: Language) -> None:
        self._core = core
        self._fallback: Language = fallback
        self._browsers: dict[str, Browser] = {}

    async def open(self) -> None:
        """Show a fresh browser what waits for its owner."""
        session = _session()
        self._browser(session)
        await self._show_notices(session)
        await self._draw_cards(session, {})

    async def say(self, text: str) -> None:
        """Take a message and play the turn."""
        session = _session()
        owner, conversation = owner_of(session), conversation_id(session)
        await self._play(session, self._core.send(owner, conversation, text))

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Play what a decision brought about."""
        await self._play(_session(), events)

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

    def language(self, session: WebsocketSession) -> Language:
        """Return the language to speak to a browser."""
        return self._browser(session).language

    def starters(self, owner: str, tag: str) -> tuple[tuple[str, str], ...]:
        """Return what a newcomer may try, in the owner's language or the browser's."""
        return self._core.starters(self._core.language(owner, browser_language(tag, self._fallback)))

    def banner(self, owner: str, accept_language: str) -> str:
        """Return what is simulated."""
        return self._core.banner(self._core.language(owner, browser_language(accept_language, self._fallback)))

    async def watch(self) -> None:
        """Bring connected browsers in line with what happens elsewhere, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self._look_around()
            except Exception:
                log.exception("the page could not be brought up to date; trying again")

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
        turn = Turn(browser)
        browser.turns.append(turn)
        task = asyncio.create_task(self._run(session, turn, events))
        _RUNNING.add(task)
        task.add_done_callback(_RUNNING.discard)
        await asyncio.shield(task)

    async def _run(self, session: WebsocketSession, turn: Turn, events: AsyncIterator[Event]) -> None:
        browser = turn.browser
        try:
            async for event in events:
                await turn.show(event)
        except Exception:
            log.exception("a turn could not be shown")
            await self.tell(self._words(browser.language)["chat"]["failed"])
        finally:
            await turn.end()
            browser.turns.remove(turn)
        await self._draw_cards(session, turn.closed)
        await self._draw_elsewhere(session, turn.closed)

    async def _draw_elsewhere(self, here: WebsocketSession, closed: Mapping[int, TicketView]) -> None:
        """Bring the owner's other open pages in line."""
        self._forget_gone()
        for session_id in list(self._browsers):
            session = WebsocketSession.get_by_id(session_id)
            if session is None or session is here or owner_of(session) != owner_of(here) or not is_connected(session):
                continue
            init_ws_context(session)
            await self._draw_cards(session, closed)
        init_ws_context(here)

    async def _draw_cards(self, session: WebsocketSession, closed: Mapping[int, TicketView]) -> None:
        browser = self._browser(session)
        async with browser.drawing:
            waiting = {ticket.ticket_id: ticket for ticket in self._core.open_tickets(owner_of(session))}
            for ticket_id, card in list(browser.cards.items()):
                current = waiting.get(ticket_id)
                if ticket_id in closed:
                    await _redraw(card, closed[ticket_id])
                elif current is None:
                    await _redraw(card, card.ticket, state=CLOSED)
                elif current.nonce == card.ticket.nonce:
                    continue
                else:
                    await _redraw(card, card.ticket, state=SUPERSEDED)
                del browser.cards[ticket_id]
            for ticket_id, ticket in waiting.items():
                if ticket_id not in browser.cards:
                    browser.cards[ticket_id] = await _draw(ticket)

    async def _show_notices(self, session: WebsocketSession) -> None:
        for words in self._core.notices(owner_of(session), SURFACE):
            await self.tell(words)

    def _browser(self, session: WebsocketSession) -> Browser:
        known = self._browsers.get(session.id)
        if known is None:
            asked = browser_language(session.language or "", self._fallback)
            known = self._browsers[session.id] = Browser(self._core.language(owner_of(session), asked))
        return known

    def _forget_gone(self) -> None:
        for session_id in list(self._browsers):
            if WebsocketSession.get_by_id(session_id) is None:
                del self._browsers[session_id]

    @staticmethod
    def _words(language: Language) -> Mapping[str, Any]:
        words: Mapping[str, Any] = load_words(language, "web")
        return words


class Turn:
    """One turn on the screen: steps, the streamed answer, and the charts under it."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.is_muted = False
        self.closed: dict[int, TicketView] = {}
        self._answer: chainlit.Message | None = None
        self._said = ""
        self._is_withdrawn = False
        self._waiting: chainlit.Step | None = None
        self._steps: dict[str, tuple[str, chainlit.Step]] = {}
        self._charts: list[ChartData | BacktestResult] = []
        run = chainlit.context.current_step
        self._parent_id = None if run is None else run.id

    async def show(self, event: Event) -> None:
        """Show one event; after Stop only what ends a ticket is still taken in."""
        match event:
            case TicketClosed():
                self.closed[event.ticket.ticket_id] = event.ticket
            case TicketOpened():
                pass
            case TurnEnded():
                await self._adopt(event.language)
                await self._sign(event)
            case _ if self.is_muted:
                pass
            case AnswerToken():
                await self._stream(event.text)
            case AnswerWithdrawn():
                self._said, self._is_withdrawn = self._said[: event.kept], True
            case Waiting():
                await self._tell_waiting(event.ahead)
            case ToolStarted():
                await self._start_step(event)
            case ToolFinished():
                await self._end_step(event)

    async def end(self) -> None:
        """Close what is open and put the charts under the answer."""
        await self._stop_waiting()
        for _, step in self._steps.values():
            if step.end is None:
                step.end = _utc_now()
                await step.update()
        if self.is_muted:
            if self._answer is not None:
                await self._answer.update()
            return
        if self._answer is None and self._charts:
            self._answer = chainlit.Message("")
        if self._answer is not None:
            plots: list[Any] = [self._plot(chart) for chart in self._charts]
            self._answer.elements = plots
            await self._answer.send()

    async def _stream(self, text: str) -> None:
        if self._answer is None:
            self._answer = chainlit.Message("")
        await self._stop_waiting()
        self._said += text
        if self._is_withdrawn:
            self._is_withdrawn = False
            await self._answer.stream_token(plain_colons(self._said), is_sequence=True)
            return
        await self._answer.stream_token(plain_colons(text, after=self._answer.content))

    async def _tell_waiting(self, ahead: int) -> None:
        told = render_waiting(ahead, self.browser.language)
        if self._waiting is None:
            self._waiting = chainlit.Step(name=told, type="tool", parent_id=self._parent_id)
            await self._waiting.send()
        else:
            self._waiting.name = told
            await self._waiting.update()

    async def _stop_waiting(self) -> None:
        """Take the word about the line away: its turn has come."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            await waiting.remove()

    async def _sign(self, event: TurnEnded) -> None:
        """Say whose words these are, where it was not the offline model as usual."""
        signed = render_voice(event.brain, event.trouble, event.language)
        if signed and self._answer is not None and not self.is_muted:
            await self._answer.stream_token(plain_colons(f"\n\n*{signed}*"))

    async def _start_step(self, event: ToolStarted) -> None:
        step = chainlit.Step(
            name=self._tool_name(event.tool), type="tool", show_input="json", parent_id=self._parent_id
        )
        step.input = {name: str(value) for name, value in event.arguments.items()}
        step.start = _utc_now()
        self._steps[event.call_id] = (event.tool, step)
        await step.send()

    async def _end_step(self, event: ToolFinished) -> None:
        self._remember(event.result)
        _, step = self._steps.get(event.call_id, (event.tool, None))
        if step is not None:
            step.output = event.result.model_dump(mode="json", exclude=_STEP_EXCLUDES)
            step.end = _utc_now()
            await step.update()

    def _remember(self, result: ToolResult) -> None:
        if isinstance(result, ChartResult):
            self._charts.append(result.chart)
        elif isinstance(result, SignalResult):
            self.browser.signals[result.signal.symbol] = result.signal
            if result.chart is not None:
                self._charts.append(result.chart)
        elif isinstance(result, BacktestResult) and result.trades:
            self._charts.append(result)

    def _plot(self, chart: ChartData | BacktestResult) -> chainlit.Plotly:
        if isinstance(chart, BacktestResult):
            figure = build_equity_figure(chart, language=self.browser.language)
            return chainlit.Plotly(name=f"{chart.target} {chart.timeframe}", figure=figure, display="inline")
        signal = self.browser.signals.get(chart.symbol)
        if signal is not None and chart.time and chart.time[-1] > signal.valid_until.timestamp():
            signal = None
        figure = build_figure(chart, language=self.browser.language, signal=signal)
        return chainlit.Plotly(name=f"{chart.symbol} {chart.timeframe}", figure=figure, display="inline")

    async def _adopt(self, language: Language) -> None:
        """Speak the language that the turn turned out to be in; steps began before it was known."""
        if language == self.browser.language:
            return
        self.browser.language = language
        for tool, step in self._steps.values():
            step.name = self._tool_name(tool)
            await step.update()

    def _tool_name(self, tool: str) -> str:
        names = load_words(self.browser.language, "web")["tools"]
        return str(names.get(tool, tool))


_RUNNING: set[asyncio.Task[None]] = set()
"""Turns under way; asyncio itself keeps no hold of them."""


def plain_colons(text: str, after: str = "") -> str:
    """Return Markdown in which no colon begins a directive: Chainlit would leave `:risk` of `reward:risk` out.

    An invisible joiner stands behind the colon, so that nothing shows, whatever the next piece of a stream begins with.
    """
    joiner = _JOINER if after.endswith(":") and text[:1].isalpha() else ""
    return joiner + _DIRECTIVE.sub(f":{_JOINER}", text)


def owner_of(session: WebsocketSession) -> str:
    """Return who is signed in; sessions of nobody do not exist behind the gate."""
    assert session.user is not None, "the gate lets nobody in who is not signed in"
    return str(session.user.identifier)


def conversation_id(session: WebsocketSession) -> str:
    """Return the conversation of a session; the browser names its thread, so the owner is part of the name."""
    name = f"{owner_of(session)}\0{session.thread_id}".encode()
    return f"web-{hashlib.sha256(name).hexdigest()[:32]}"


def is_connected(session: WebsocketSession) -> bool:
    """Return whether a browser is listening: what is sent to one that is not is lost."""
    from chainlit.server import sio

    return bool(sio.manager.is_connected(session.socket_id, "/"))


async def _draw(ticket: TicketView) -> Card:
    element = chainlit.CustomElement(name="TicketCard", props=ticket_props(ticket), display="inline")
    await chainlit.Message("", elements=[element]).send()
    return Card(ticket, element)


async def _redraw(card: Card, ticket: TicketView, *, state: str | None = None) -> None:
    card.element.props = ticket_props(ticket, state=state)
    await card.element.update()


def _session() -> WebsocketSession:
    session = chainlit.context.session
    assert isinstance(session, WebsocketSession), "the page is reached through a browser's socket alone"
    return session


def _utc_now() -> str:
    from chainlit.utils import utc_now

    return str(utc_now())
