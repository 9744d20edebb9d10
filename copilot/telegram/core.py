"""What Telegram needs of the copilot; the owner comes from the link of the account, never from a message."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Literal, Protocol

from copilot.events import Event, Language
from tools.decisions import Asked

SURFACE = "telegram"
"""Name in decisions; with the account's id, in notices."""


class TelegramCore(Protocol):
    """A copilot as this surface sees it; nothing to inherit."""

    def send(self, owner: str, conversation_id: str, text: str) -> AsyncGenerator[Event, None]:
        """Take what a person says and tell what happens, ending with `TurnEnded`."""
        ...

    def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> AsyncGenerator[Event, None]:
        """Take a decision on the version of a ticket that the nonce stands for."""
        ...

    def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncGenerator[Event, None]:
        """Change numbers of a ticket (plain decimal text): a new version, asked again."""
        ...

    def open_tickets(self, owner: str) -> tuple[Asked, ...]:
        """Return the owner's tickets that wait for a decision, oldest first."""
        ...

    def ticket(self, owner: str, ticket_id: int) -> Asked | None:
        """Return one of the owner's tickets as it stands."""
        ...

    async def stop_everything(self, owner: str, surface: str) -> str:
        """Stop all trading at once, and say what was stopped."""
        ...

    async def deliver_notices(self, owner: str, surface: str, send: Callable[[str], Awaitable[None]]) -> None:
        """Hand over what happened, worded; each counts as shown once `send` has returned."""
        ...

    def skip_notices(self, owner: str, surface: str) -> None:
        """Take everything so far as shown on a surface that is new."""
        ...

    def language(self, owner: str, fallback: Language) -> Language:
        """Return the language that the owner chose, or the fallback."""
        ...

    def banner(self, language: Language) -> str:
        """Return what is simulated, plainly."""
        ...
