"""The conversation in the terminal, tickets included: the same core, rendered as text.

A ticket is decided at its own prompt, by a letter, never by what is said in the conversation.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from rich.console import Console
from rich.markdown import Markdown

from copilot.events import Event, Language, TicketOpened, ToolFinished, ToolProgressed, ToolStarted, TurnEnded, Waiting
from copilot.service import Copilot
from copilot.wording import render_ticket, render_voice, render_waiting
from copilot.wording.agents import render_details, render_proposal_card
from prompts import load_words
from tools.agent_results import ProposalView
from tools.decisions import Asked
from tools.results import Result

SURFACE = "terminal"
_EDITABLE = ("quantity", "price", "stop_loss", "take_profit")


class Terminal:
    """One conversation of one owner on standard input and output."""

    def __init__(self, copilot: Copilot, owner: str, language: Language, console: Console) -> None:
        self._copilot = copilot
        self._owner = owner
        self._fallback: Language = language
        self._console = console

    async def run(self, conversation_id: str, banner: str) -> None:
        """Talk until end of input; notices and open tickets come first, and an empty line shows what is open."""
        self._show(banner)
        self._show_notices()
        await self._ask_open()
        while (line := await self._read("> ")) is not None:
            if line.strip():
                await self._follow(self._copilot.send(self._owner, conversation_id, line))
            else:
                await self._ask_open()
            self._show_notices()
        self._show(str(self._words()["goodbye"]))

    async def _ask_open(self) -> None:
        for ticket in self._copilot.open_tickets(self._owner):
            await self._ask_ticket(ticket)

    def _show_notices(self) -> None:
        for notice in self._copilot.notices(self._owner, SURFACE):
            self._show(notice)

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        opened: Asked | None = None
        results: list[Result] = []
        async for event in events:
            if isinstance(event, ToolStarted) and self._console.is_terminal:
                self._console.print(f"[dim]· {event.tool}[/dim]")
            elif isinstance(event, ToolProgressed) and self._console.is_terminal:
                self._console.print(f"[dim]· {event.tool} {event.done:.0%}[/dim]", end="\r")
            elif isinstance(event, ToolFinished):
                results.append(event.result)
            elif isinstance(event, TicketOpened):
                opened = event.ticket
            elif isinstance(event, Waiting):
                self._print(render_waiting(event.ahead, self._language))
            elif isinstance(event, TurnEnded):
                self._show("\n\n".join([event.answer, *self._details(results, event.language)]))
                if signed := render_voice(event.brain, event.trouble, event.language):
                    self._print(signed)
        if opened is not None:
            await self._ask_ticket(opened)

    def _details(self, results: Sequence[Result], language: Language) -> list[str]:
        return [told for each in results if (told := render_details(each, language))]

    async def _ask_ticket(self, ticket: Asked) -> None:
        words = self._words()
        if isinstance(ticket, ProposalView):
            self._print(render_proposal_card(ticket, ticket.language))
        else:
            self._print(render_ticket(ticket, ticket.language))
        choice = (await self._read(f"{words['prompt']} ") or "").strip().lower()
        decision = _decision(choice, words)
        if decision == "edit":
            changes = await self._read_changes(words)
            await self._follow(self._copilot.edit(self._owner, ticket.ticket_id, ticket.nonce, changes, SURFACE))
        elif decision is not None:
            await self._follow(self._copilot.decide(self._owner, ticket.ticket_id, ticket.nonce, decision, SURFACE))
        else:
            number = ticket.number if isinstance(ticket, ProposalView) else ticket.ticket_id
            self._show(str(words["left_open"]).format(ticket_id=number))

    async def _read_changes(self, words: Mapping[str, Any]) -> dict[str, str]:
        changes = {}
        for field in _EDITABLE:
            value = (await self._read(f"{words[field]}: ") or "").strip()
            if value:
                changes[field] = value
        return changes

    async def _read(self, prompt: str) -> str | None:
        """Return the next line, or None at the end of input.

        It waits in a thread of its own that dies with the program: a pool's thread would hold up an interruption
        until the next line comes.
        """
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()

        def hand_over(read: str | None) -> None:
            if not line.done():
                line.set_result(read)

        def wait() -> None:
            try:
                read: str | None = input(prompt) if sys.stdin.isatty() else _read_piped()
            except (EOFError, UnicodeDecodeError):
                read = None
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(hand_over, read)

        threading.Thread(target=wait, name="terminal-input", daemon=True).start()
        return await line

    def _show(self, text: str) -> None:
        if self._console.is_terminal:
            self._console.print(Markdown(text))
        else:
            self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    @property
    def _language(self) -> Language:
        return self._copilot.language(self._owner, self._fallback)

    def _words(self) -> Mapping[str, Any]:
        language = self._language
        words: Mapping[str, Any] = load_words(language, "terminal")
        return words


def _read_piped() -> str:
    """Read a line past Python's buffer, whose lock a waiting thread would hold when the program ends."""
    with io.FileIO(sys.stdin.fileno(), closefd=False) as raw:
        line = raw.readline()
    if not line:
        raise EOFError
    return line.decode()


def _decision(choice: str, words: Mapping[str, Any]) -> Literal["approve", "reject", "edit"] | None:
    decisions: tuple[Literal["approve", "reject", "edit"], ...] = ("approve", "reject", "edit")
    for decision in decisions:
        if choice in words[f"{decision}_keys"]:
            return decision
    return None
