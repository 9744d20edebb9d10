"""What the page needs of the copilot: the only door between the browser and everything else.

The owner is always an argument, taken from the signed-in session and never from what a browser sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol

from copilot.brain.values import ChatModels
from copilot.events import Event, Language
from tools.decisions import Asked
from tools.profile import Profile, Setting
from tools.results import AlertView

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

    def open_tickets(self, owner: str) -> tuple[Asked, ...]:
        """Return the owner's tickets and proposals that wait for a decision, oldest first."""
        ...

    def ticket(self, owner: str, ticket_id: int) -> Asked | None:
        """Return one of the owner's tickets or proposals as it stands."""
        ...

    def notices(self, owner: str, surface: str) -> tuple[str, ...]:
        """Return what happened while the owner was away, worded, and mark it delivered."""
        ...

    async def stop_everything(self, owner: str, surface: str) -> str:
        """Stop all trading at once, and say so."""
        ...

    def telegram_code(self, owner: str) -> str:
        """Return, in words, the one-time code that links the owner's Telegram account, or how to set up a bot."""
        ...

    async def adjust_alert(self, owner: str, alert_id: str, *, repeats: bool) -> AlertView | str:
        """Make an alert speak every time or once; return it as it stands now, or in words why that can't be."""
        ...

    def profile(self, owner: str) -> Profile:
        """Return what the owner has set."""
        ...

    def instruments(self) -> tuple[str, ...]:
        """Return what may be a favourite, in the order to offer it."""
        ...

    async def change_setting(self, owner: str, setting: Setting, value: object) -> str | None:
        """Keep one setting of the owner's profile; return in words why it can't be kept, or None."""
        ...

    async def chat_models(self) -> ChatModels:
        """Return which chat model is in use and which may be chosen."""
        ...

    async def choose_chat_model(self, owner: str, name: str) -> str | None:
        """Answer with another chat model from now on; return in words why it can't be, or None."""
        ...

    async def forget_conversation(self, owner: str, conversation_id: str) -> None:
        """Erase what is remembered of one conversation; orders, tickets and alerts stay."""
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

    @property
    def is_real_money(self) -> bool:
        """Return whether orders that are approved move real money."""
        ...

    def starters(self, language: Language) -> tuple[tuple[str, str], ...]:
        """Return what a newcomer may try: a label, and the message behind it."""
        ...
