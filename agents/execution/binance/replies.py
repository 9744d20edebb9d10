"""What an answer of the exchange means for a request: done, refused, surely not handed over, or unknown.

The question is never what an error is called but what the venue may have done. A refusal counts only when the venue
said so itself, in a complete answer with an error code that it gives before it accepts anything. Everything else that
went wrong after the connection stood leaves the outcome unknown: time-outs, cut or empty bodies, 5xx, pages that are
no JSON, and the error codes by which the exchange itself says that it does not know.
"""

from __future__ import annotations

import re
from enum import StrEnum

UNKNOWN_CODES = frozenset({-1000, -1001, -1004, -1006, -1007, -1008, -1016, -1034})
"""Internal error, disconnected, busy, unexpected answer, time-out, overload, shutting down: it may stand or not."""
CLOCK_CODE = -1021
KEY_CODES = frozenset({-1002, -1022, -2008, -2014, -2015})
LIMIT_CODES = frozenset({-1003, -1015})
NOT_FOUND_CODES = frozenset({-2013, -2011, -2026})
DUPLICATE_TEXT = "duplicate"
_BANS = (418, 429)
_SERVER_ERRORS = 500
_FORBIDDEN = 403
_BAN_UNTIL = re.compile(r"banned until (\d{13})")
_WORDS = (
    ("lot_size", "lot"),
    ("market_lot_size", "lot"),
    ("price_filter", "tick"),
    ("percent_price", "price_band"),
    ("notional", "min_notional"),
    ("max_num_algo", "too_many_orders"),
    ("max_num_order", "too_many_orders"),
    ("max_position", "max_position"),
    ("insufficient", "insufficient_balance"),
    ("would trigger immediately", "price_side"),
    ("would immediately trigger", "price_side"),
    ("would immediately match", "would_match"),
    ("relationship of the prices", "price_side"),
    ("market is closed", "market_closed"),
    ("symbol", "symbol"),
)
_CODES = {
    -1111: "precision",
    -1121: "symbol",
    -2018: "insufficient_balance",
    -2019: "insufficient_balance",
    -2021: "price_side",
    -2022: "nothing_to_reduce",
    -4003: "lot",
    -4005: "max_quantity",
    -4014: "tick",
    -4023: "lot",
    -4024: "price_band",
    -4131: "price_band",
    -4164: "min_notional",
}


class Meaning(StrEnum):
    """What may have happened to a request that failed."""

    REFUSED = "refused"
    """The venue answered: not accepted, for a reason that lies in the order."""
    NOT_HANDED = "not_handed"
    """It surely was not accepted, for a reason that does not lie in the order; it may be tried later."""
    UNKNOWN = "unknown"
    NOT_FOUND = "not_found"
    """The venue says that it has no such order."""


class Failure(Exception):
    """A request that brought no usable answer.

    Attributes:
        status: HTTP status; 0 when there was no complete answer.
        code: The exchange's error code; 0 when it gave none.
        detail: What it said; never holds a key or a signature.
        retry_after_s: How long it asked us to stay away.
        is_connected: False when the connection was never made.
    """

    def __init__(
        self,
        status: int = 0,
        code: int = 0,
        detail: str = "",
        *,
        retry_after_s: float = 0.0,
        is_connected: bool = True,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.is_connected = is_connected
        super().__init__(f"status {status}, code {code}: {detail}")

    @property
    def meaning(self) -> Meaning:
        """Return what may have happened to the request."""
        if not self.is_connected or self.is_ban or self.code in LIMIT_CODES:
            return Meaning.NOT_HANDED
        if self.status == 0 or self.status >= _SERVER_ERRORS or self.code == 0 or self.code in UNKNOWN_CODES:
            return Meaning.UNKNOWN
        if self.code == CLOCK_CODE or self.code in KEY_CODES:
            return Meaning.NOT_HANDED
        return Meaning.NOT_FOUND if self.code in NOT_FOUND_CODES else Meaning.REFUSED

    @property
    def is_ban(self) -> bool:
        """Return whether the venue told us to slow down or stay away."""
        return self.status in _BANS

    @property
    def is_clock(self) -> bool:
        """Return whether our clock was outside the receive window."""
        return self.code == CLOCK_CODE

    @property
    def is_key(self) -> bool:
        """Return whether the key is refused, or hidden behind a temporary ban."""
        return self.code in KEY_CODES

    @property
    def is_duplicate(self) -> bool:
        """Return whether an order with this id stands already."""
        return self.meaning is Meaning.REFUSED and DUPLICATE_TEXT in self.detail.lower()

    @property
    def is_transient(self) -> bool:
        """Return whether a read may be tried again."""
        if self.is_key or self.status == _FORBIDDEN:
            return False
        return self.meaning in (Meaning.UNKNOWN, Meaning.NOT_HANDED)

    @property
    def banned_until_ms(self) -> int:
        """Return the moment in milliseconds that a ban's text names; 0 when it names none."""
        found = _BAN_UNTIL.search(self.detail)
        return int(found.group(1)) if found else 0

    def rejection_code(self) -> str:
        """Return the stable code of a refusal; `rejected` when the venue's reason is none of those we know."""
        if self.code in _CODES:
            return _CODES[self.code]
        text = self.detail.lower()
        return next((code for word, code in _WORDS if word in text), "rejected")
