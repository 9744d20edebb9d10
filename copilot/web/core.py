"""What the page needs of the copilot: the only door between the browser and everything else.

The owner is always an argument, taken from the signed-in session and never from what a browser sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol

from copilot.events import Event, Language
from tools.results import TicketView

SURFACE = "web"
"""The page's name in decisions and notices."""


class Core(Protocol):
    """A copilot as a surface sees it; nothing to inherit."""

    def send(self, owner: str, conversation_id: str, text: str) -> AsyncIterator[Event]:
        """Take what a person says and tell what happens, ending with `TurnEnded`."""
        ...

    def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> AsyncIterator[Event]:
        """Take a decision on the version of a ticket that the nonce stands for."""
        ...

    def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncIterator[Event]:
        """Change numbers of a ticket (plain decimal text): a new version, asked again."""
        ...

    def open_tickets(self, owner: str) -> tuple[TicketView, ...]:
        """Return the owner's tickets that wait for a decision, oldest first."""
        ...

    def notices(self, owner: str, surface: str) -> tuple[str, ...]:
        """Return what happened while the owner was away, worded, and mark it delivered."""
        ...

    def language(self, owner: str, fallback: Language) -> Language:
        """Return the language that the owner chose, or the fallback."""
        ...

    def set_language(self, owner: str, language: Language) -> None:
        """Keep the owner's choice of language."""
        ...

    def banner(self, language: Language) -> str:
        """Return what is simulated, plainly."""
        ...

    def starters(self, language: Language) -> tuple[tuple[str, str], ...]:
        """Return what a newcomer may try: a label, and the message behind it."""
        ...
