"""Trading states: what may still be sent, for one book and for the whole account.

A state says what the gate lets pass, whoever asks; it never says what stands at the venue. The stricter of the book's
state and the account's counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

WHOLE_ACCOUNT = "*"
"""Where a book's name stands, for all books together."""


class TradingState(StrEnum):
    """What may be sent."""

    ACTIVE = "active"
    """Everything that the limits allow."""
    REDUCING = "reducing"
    """Only what lowers risk."""
    HALTED = "halted"
    """Nothing, apart from the closing orders of the halt itself."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state with who set it, when and why; what the history keeps.

    Attributes:
        book: `*` for the whole account.
        by: Login, agent's name, or `risk` and `file` for what halts by itself.
        reason: Stable code or a person's own words.
        is_settled: Whether what a halt cancels and closes is cancelled and closed; True of the other states.
        number: Counts all changes.
    """

    book: str
    state: TradingState
    by: str
    reason: str
    at: datetime
    is_settled: bool = True
    number: int = 0


def state_refusal(states: tuple[TradingState, ...], *, lowers_risk: bool, is_halt: bool) -> str | None:
    """Return why an order may not go in these states (of its book and of the account), or None.

    Args:
        states: All that concern the order.
        lowers_risk: Whether it only takes its book's position toward zero.
        is_halt: Whether a halt sends it to close.

    >>> state_refusal((TradingState.ACTIVE, TradingState.REDUCING), lowers_risk=False, is_halt=False)
    'reducing'
    """
    if TradingState.HALTED in states:
        return None if is_halt else "halted"
    if TradingState.REDUCING in states and not lowers_risk:
        return "reducing"
    return None


def stricter(one: TradingState, other: TradingState) -> TradingState:
    """Return the state that lets less pass."""
    order = list(TradingState)
    return max(one, other, key=order.index)
