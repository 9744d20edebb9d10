"""What Telegram's surface must not forget: links, updates taken in, cards on screen, numbers asked for.

A code links one account, once, within ten minutes; only its digest is kept. An update is taken in by whoever first
writes its number down.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Delete, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from copilot.telegram.tables import (
    telegram_cards,
    telegram_codes,
    telegram_links,
    telegram_questions,
    telegram_updates,
)

CODE_TTL = timedelta(minutes=10)
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without signs that are taken for each other."""
_CODE_LENGTH = 10
_KEPT = timedelta(days=3)
"""Telegram itself keeps an update for one day."""


@dataclass(frozen=True, slots=True)
class Link:
    """One account that may talk for an owner."""

    user_id: int
    chat_id: int
    owner: str


@dataclass(frozen=True, slots=True)
class CardPlace:
    """Where a ticket is shown, in the version that the nonce stands for."""

    ticket_id: int
    chat_id: int
    message_id: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Question:
    """A number that was asked for: of which ticket, in which version."""

    ticket_id: int
    nonce: str
    field: str


class TelegramStore:
    """The surface's memory in the database."""

    def __init__(self, database: Engine, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def new_code(self, owner: str) -> str:
        """Return a fresh code for an owner; earlier ones end."""
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        values = {"digest": _digest(code), "owner": owner, "expires_at": self._now() + CODE_TTL}
        with self._database.begin() as connection:
            connection.execute(delete(telegram_codes).where(telegram_codes.c.owner == owner))
            connection.execute(insert(telegram_codes).values(values))
        return code

    def link(self, code: str, user_id: int, chat_id: int) -> str | None:
        """Link an account by a code and return its owner; None when the code is not good (any more)."""
        mine = telegram_codes.c.digest == _digest(code.strip().upper())
        now = self._now()
        with self._database.begin() as connection:
            row = connection.execute(select(telegram_codes).where(mine)).one_or_none()
            if row is None or not connection.execute(delete(telegram_codes).where(mine)).rowcount:
                return None
            if row.expires_at <= now:
                return None
            connection.execute(delete(telegram_links).where(telegram_links.c.user_id == user_id))
            values = {"user_id": user_id, "chat_id": chat_id, "owner": row.owner, "linked_at": now}
            connection.execute(insert(telegram_links).values(values))
        return str(row.owner)

    def unlink(self, user_id: int) -> bool:
        """End a link; return whether there was one."""
        with self._database.begin() as connection:
            gone = connection.execute(delete(telegram_links).where(telegram_links.c.user_id == user_id))
        return bool(gone.rowcount)

    def links(self) -> tuple[Link, ...]:
        """Return every link."""
        with self._database.connect() as connection:
            rows = connection.execute(select(telegram_links).order_by(telegram_links.c.user_id)).all()
        return tuple(Link(row.user_id, row.chat_id, row.owner) for row in rows)

    def link_of(self, user_id: int) -> Link | None:
        """Return the link of an account."""
        return next((link for link in self.links() if link.user_id == user_id), None)

    def take_in(self, update_id: int) -> bool:
        """Note an update and return whether it is new; of several that ask at once one is told so."""
        now = self._now()
        try:
            with self._database.begin() as connection:
                connection.execute(insert(telegram_updates).values(update_id=update_id, taken_at=now))
        except IntegrityError:
            return False
        with self._database.begin() as connection:
            connection.execute(delete(telegram_updates).where(telegram_updates.c.taken_at < now - _KEPT))
        return True

    def cards(self, chat_id: int) -> dict[int, CardPlace]:
        """Return the open tickets that a chat shows, by ticket."""
        shown = select(telegram_cards).where(telegram_cards.c.chat_id == chat_id)
        with self._database.connect() as connection:
            rows = connection.execute(shown).all()
        return {row.ticket_id: CardPlace(row.ticket_id, row.chat_id, row.message_id, row.nonce) for row in rows}

    def keep_card(self, card: CardPlace) -> None:
        """Note where a ticket is shown."""
        with self._database.begin() as connection:
            connection.execute(_same_card(card.ticket_id, card.chat_id))
            values = {
                "ticket_id": card.ticket_id,
                "chat_id": card.chat_id,
                "message_id": card.message_id,
                "nonce": card.nonce,
            }
            connection.execute(insert(telegram_cards).values(values))

    def drop_card(self, ticket_id: int, chat_id: int) -> None:
        """Forget a card that has been closed."""
        with self._database.begin() as connection:
            connection.execute(_same_card(ticket_id, chat_id))

    def keep_question(self, chat_id: int, message_id: int, question: Question) -> None:
        """Note which number a message asks for."""
        values = {
            "chat_id": chat_id,
            "message_id": message_id,
            "ticket_id": question.ticket_id,
            "nonce": question.nonce,
            "field": question.field,
        }
        with self._database.begin() as connection:
            connection.execute(insert(telegram_questions).values(values))

    def take_question(self, chat_id: int, message_id: int) -> Question | None:
        """Return what a message asked for, once."""
        same = (telegram_questions.c.chat_id == chat_id, telegram_questions.c.message_id == message_id)
        with self._database.begin() as connection:
            row = connection.execute(select(telegram_questions).where(*same)).one_or_none()
            if row is None or not connection.execute(delete(telegram_questions).where(*same)).rowcount:
                return None
        return Question(row.ticket_id, row.nonce, row.field)


def _same_card(ticket_id: int, chat_id: int) -> Delete:
    return delete(telegram_cards).where(telegram_cards.c.ticket_id == ticket_id, telegram_cards.c.chat_id == chat_id)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
