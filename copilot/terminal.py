"""The conversation in the terminal, tickets included: the same core, rendered as text.

A ticket is decided at its own prompt, by a letter, never by what is said in the conversation.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from rich.console import Console
from rich.markdown import Markdown

from copilot.events import Event, Language, TicketOpened, ToolStarted, TurnEnded
from copilot.service import Copilot
from copilot.wording import render_ticket
from prompts import load_words
from tools.results import TicketView

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
        """Talk until end of input; open tickets and notices come first."""
        self._show(banner)
        for notice in self._copilot.notices(self._owner, SURFACE):
            self._show(notice)
        for ticket in self._copilot.open_tickets(self._owner):
            await self._ask_ticket(ticket)
        while (line := await self._read("> ")) is not None:
            if line.strip():
                await self._follow(self._copilot.send(self._owner, conversation_id, line))

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        opened: TicketView | None = None
        async for event in events:
            if isinstance(event, ToolStarted) and self._console.is_terminal:
                self._console.print(f"[dim]· {event.tool}[/dim]")
            elif isinstance(event, TicketOpened):
                opened = event.ticket
            elif isinstance(event, TurnEnded):
                self._show(event.answer)
        if opened is not None:
            await self._ask_ticket(opened)

    async def _ask_ticket(self, ticket: TicketView) -> None:
        words = self._words()
        self._console.print(render_ticket(ticket, ticket.language), markup=False, highlight=False)
        choice = (await self._read(f"{words['prompt']} ") or "").strip().lower()
        decision = _decision(choice, words)
        if decision == "edit":
            changes = await self._read_changes(words)
            await self._follow(self._copilot.edit(self._owner, ticket.ticket_id, ticket.nonce, changes, SURFACE))
        elif decision is not None:
            await self._follow(self._copilot.decide(self._owner, ticket.ticket_id, ticket.nonce, decision, SURFACE))
        else:
            self._show(str(words["left_open"]).format(ticket_id=ticket.ticket_id))

    async def _read_changes(self, words: Mapping[str, Any]) -> dict[str, str]:
        changes = {}
        for field in _EDITABLE:
            value = (await self._read(f"{words[field]}: ") or "").strip()
            if value:
                changes[field] = value
        return changes

    async def _read(self, prompt: str) -> str | None:
        try:
            return await asyncio.to_thread(input, prompt if sys.stdin.isatty() else "")
        except EOFError:
            return None

    def _show(self, text: str) -> None:
        self._console.print(Markdown(text) if self._console.is_terminal else text, highlight=False)

    def _words(self) -> Mapping[str, Any]:
        language = self._copilot.language(self._owner, self._fallback)
        words: Mapping[str, Any] = load_words(language, "terminal")
        return words


def _decision(choice: str, words: Mapping[str, Any]) -> Literal["approve", "reject", "edit"] | None:
    decisions: tuple[Literal["approve", "reject", "edit"], ...] = ("approve", "reject", "edit")
    for decision in decisions:
        if choice in words[f"{decision}_keys"]:
            return decision
    return None
