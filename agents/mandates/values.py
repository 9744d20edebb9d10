"""Mandates as values: what an owner confirmed, and what an agent is told when it wants to trade."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from engine.domain.errors import InvalidRequest

ALL_PAIRS = "*"
"""Stands alone in `pairs` for everything that the venue lists."""
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9]{2,16}(/[A-Z0-9]{2,15})?", re.ASCII)
_LARGEST = Decimal(10) ** 15


class MandateState(StrEnum):
    """Life of a mandate."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    """By the owner, or because another took its place."""
    EXPIRED = "expired"
    """Its time is over, or nobody confirmed it in time."""


@dataclass(frozen=True, slots=True)
class MandateTerms:
    """What an agent may do on a real venue without asking.

    Attributes:
        pairs: Symbols, sorted; or `ALL_PAIRS` alone.
        daily_notional: Most that its entries may add up to on one UTC day, in account currency.
        max_order_notional: Most of one order, in account currency.
        drawdown_ratio: Fall of the agent's book from its peak (0–1) at which it must ask.
        expires_at: From then on it must ask.
    """

    agent: str
    venue: str
    pairs: tuple[str, ...]
    daily_notional: Decimal
    max_order_notional: Decimal
    drawdown_ratio: Decimal
    expires_at: datetime

    def __post_init__(self) -> None:
        """Refuse terms that mean nothing or too much."""
        for name in ("agent", "venue"):
            _require(_WORD.fullmatch(getattr(self, name)) is not None, name, getattr(self, name))
        _require(_are_pairs(self.pairs), "pairs", ", ".join(self.pairs))
        for name in ("daily_notional", "max_order_notional"):
            _require(_is_between(getattr(self, name), _LARGEST), name, getattr(self, name))
        _require(self.max_order_notional <= self.daily_notional, "max_order_notional", self.max_order_notional)
        _require(_is_between(self.drawdown_ratio, Decimal(1)), "drawdown_ratio", self.drawdown_ratio)
        _require(self.expires_at.tzinfo is not None, "expires_at", self.expires_at)

    def covers(self, symbol: str) -> bool:
        """Return whether a symbol is among the pairs."""
        return self.pairs == (ALL_PAIRS,) or symbol in self.pairs

    def hash(self) -> str:
        """Return the SHA-256 of the terms' one text, in hex."""
        told = {
            "agent": self.agent,
            "venue": self.venue,
            "pairs": self.pairs,
            "daily_notional": format(self.daily_notional.normalize(), "f"),
            "max_order_notional": format(self.max_order_notional.normalize(), "f"),
            "drawdown_ratio": format(self.drawdown_ratio.normalize(), "f"),
            "expires_at": self.expires_at.timestamp(),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Mandate:
    """A mandate as it stands.

    Attributes:
        nonce: What a confirmation must bring back.
        confirm_before: Until when a proposal can be confirmed.
        confirmed_by, confirmed_on, confirmed_at: Who confirmed it, on which surface and when; None before.
        ended_at: When it was revoked or expired.
    """

    id: int
    owner: str
    terms: MandateTerms
    terms_hash: str
    state: MandateState
    nonce: str
    proposed_at: datetime
    confirm_before: datetime
    confirmed_by: str | None
    confirmed_on: str | None
    confirmed_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class MandateEvent:
    """One line of a mandate's history.

    Attributes:
        kind: `proposed`, `confirmed`, `revoked` or `expired`.
        reason: Code of why it ended; empty otherwise.
    """

    kind: str
    by: str
    reason: str
    terms_hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of a confirmation; `code` says why it was refused, `mandate` is as it stands now."""

    outcome: Literal["confirmed", "already", "refused"]
    mandate: Mandate | None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """The agent may send the order; its notional is reserved under `source` when a mandate allows it.

    Attributes:
        mandate_id: None where no mandate is needed: on paper, and for what lowers risk.
    """

    mandate_id: int | None


@dataclass(frozen=True, slots=True)
class AskTicket:
    """The owner must be asked.

    Attributes:
        reason: `no_mandate`, `mandate_expired`, `mandate_pair`, `mandate_order_notional`, `mandate_daily_notional` or
            `mandate_drawdown`.
        mandate_id: The mandate that does not reach so far, None when there is none.
        room: What is left of the day where the day's notional is the reason.
    """

    reason: str
    mandate_id: int | None = None
    room: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The order must not be sent, and asking would not help.

    Attributes:
        reason: `bad_notional`, `drawdown_unknown`, `source_closed` (released before) or `source_conflict` (used before
            with other terms).
    """

    reason: str


Answer = Allowed | AskTicket | Refused


def _require(is_right: bool, name: str, value: object) -> None:
    if not is_right:
        raise InvalidRequest("bad_argument", argument=name, value=str(value))


def _are_pairs(pairs: tuple[str, ...]) -> bool:
    if pairs == (ALL_PAIRS,):
        return True
    return bool(pairs) and list(pairs) == sorted(set(pairs)) and all(map(_SYMBOL.fullmatch, pairs))


def _is_between(value: Decimal, largest: Decimal) -> bool:
    return value.is_finite() and 0 < value <= largest
