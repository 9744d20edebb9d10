"""Bearer tokens: made once, shown once, kept as digests.

A token is 256 random bits, so that its plain SHA-256 is as good as a slow password hash, and finding a digest in an
index tells nothing about it by its time: to steer a comparison one would have to steer the digest. Whether a token is
good is asked of the database at every request, so that a revocation counts at once and in every process.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, Row, func, insert, or_, select, update

from copilot.rest.tables import rest_tokens
from engine.domain.errors import InvalidRequest

PREFIX = "tc_"
"""Begins every token, so that one that leaked is recognised by scanners."""
MAX_TOKENS = 100
"""Good tokens of one owner."""
MAX_NAME = 64
_BYTES = 32
_ID_BYTES = 8
_USE_NOTED_EVERY = timedelta(minutes=1)
"""A use is written down at most this often, so that reading costs no write."""


class Scope(StrEnum):
    """What a token may be good for; none of them holds another."""

    READ = "read"
    """Look: prices, the account, agents, alerts, notices, backtests."""
    TRADE = "trade"
    """Act: talk, decide on tickets, cancel, set alerts, steer agents, stop everything."""
    ADMIN = "admin"
    """Make, list and revoke tokens of the same owner."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret.

    Attributes:
        id: Names it; no secret.
        used_at: When it was last used, to the minute; None if never.
    """

    id: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


class TokenStore:
    """Tokens in the database.

    Args:
        database: Where they are kept.
        now: The present, aware UTC.
    """

    def __init__(self, database: Engine, now: Callable[[], datetime]) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._now = now

    def create(
        self, name: str, scopes: Iterable[Scope], owner: str, expires_at: datetime | None = None
    ) -> tuple[str, Token]:
        """Return a fresh token and what is kept of it; it cannot be read again.

        Raises:
            InvalidRequest: `bad_token_name`, `bad_token_scopes`, `bad_token_expiry` or `too_many_tokens`.
        """
        granted, now = frozenset(scopes), self._now()
        if not 0 < len(name) <= MAX_NAME or not name.isprintable() or not name.strip():
            raise InvalidRequest("bad_token_name", limit=MAX_NAME)
        if not granted:
            raise InvalidRequest("bad_token_scopes")
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("bad_token_expiry", expires_at=expires_at.isoformat())
        if self._count(owner) >= MAX_TOKENS:
            raise InvalidRequest("too_many_tokens", limit=MAX_TOKENS)
        secret = PREFIX + secrets.token_urlsafe(_BYTES)
        token = Token(secrets.token_hex(_ID_BYTES), name, owner, granted, now, expires_at, None, None)
        values = {
            "id": token.id,
            "digest": _digest(secret),
            "name": name,
            "owner": owner,
            "scopes": " ".join(sorted(granted)),
            "created_at": now,
            "expires_at": expires_at,
        }
        with self._database.begin() as connection:
            connection.execute(insert(rest_tokens).values(values))
        return secret, token

    def find(self, secret: str) -> Token | None:
        """Return the token that a secret is, if it is good now, and note that it was used."""
        digest = _digest(secret)
        with self._reads.connect() as connection:
            row = connection.execute(select(rest_tokens).where(rest_tokens.c.digest == digest)).one_or_none()
        if row is None:
            return None
        token = _read(row)
        if not self._is_good(token):
            return None
        self._note_use(token)
        return token

    def is_good(self, token_id: str) -> bool:
        """Return whether a token is still good; asked while a long answer goes on."""
        with self._reads.connect() as connection:
            row = connection.execute(select(rest_tokens).where(rest_tokens.c.id == token_id)).one_or_none()
        return row is not None and self._is_good(_read(row))

    def list(self, owner: str | None = None) -> tuple[Token, ...]:
        """Return the tokens of an owner, or all, oldest first; revoked and expired ones too."""
        query = select(rest_tokens).order_by(rest_tokens.c.created_at, rest_tokens.c.id)
        if owner is not None:
            query = query.where(rest_tokens.c.owner == owner)
        with self._reads.connect() as connection:
            return tuple(_read(row) for row in connection.execute(query))

    def revoke(self, token_id: str, owner: str | None = None) -> bool:
        """Make a token worthless from now on; return whether there is such a token. Repeating it changes nothing."""
        mine = [rest_tokens.c.id == token_id, *([] if owner is None else [rest_tokens.c.owner == owner])]
        with self._database.begin() as connection:
            if connection.execute(select(rest_tokens.c.id).where(*mine)).first() is None:
                return False
            standing = rest_tokens.c.revoked_at.is_(None)
            connection.execute(update(rest_tokens).where(*mine, standing).values(revoked_at=self._now()))
        return True

    def _is_good(self, token: Token) -> bool:
        return token.revoked_at is None and (token.expires_at is None or self._now() < token.expires_at)

    def _note_use(self, token: Token) -> None:
        now = self._now()
        if token.used_at is not None and now - token.used_at < _USE_NOTED_EVERY:
            return
        is_old = or_(rest_tokens.c.used_at.is_(None), rest_tokens.c.used_at <= now - _USE_NOTED_EVERY)
        with self._database.begin() as connection:
            connection.execute(update(rest_tokens).where(rest_tokens.c.id == token.id, is_old).values(used_at=now))

    def _count(self, owner: str) -> int:
        now = self._now()
        good = (
            rest_tokens.c.owner == owner,
            rest_tokens.c.revoked_at.is_(None),
            or_(rest_tokens.c.expires_at.is_(None), rest_tokens.c.expires_at > now),
        )
        with self._reads.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(rest_tokens).where(*good)).scalar_one())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _read(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.name,
        row.owner,
        frozenset(scope for scope in Scope if scope.value in row.scopes.split()),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.used_at,
    )
