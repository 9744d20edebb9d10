"""What perpetual futures pay or take for holding: asked for when it may have been paid, told once to each who asks.

Nothing is stored: the exchange keeps its list for months, and the desk books each payment by its id once. A sequence
number is the payment's time in milliseconds, so a cursor points at a moment, whose payments are told again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agents.execution.binance.keeper import Keeper
from engine.domain.orders import FundingPayment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_SELDOM, _OFTEN = timedelta(minutes=10), timedelta(seconds=5)
_AFTER_THE_HOUR = timedelta(minutes=2)
"""Funding is paid on the hour; within this time it shows, and is asked for often."""


class FundingReader:
    """Reads what was paid for holding.

    Args:
        keeper: Knows what stands at the exchange.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._asked_at: datetime | None = None
        self._asked_after = -1

    async def payments(self, after: int) -> Sequence[tuple[int, FundingPayment]]:
        """Return the payments at or after a sequence number, in order; empty also while none can be new.

        What was paid before our first order belongs to what the account opened with.

        Raises:
            VenueUnavailable: No answer.
        """
        keeper = self._keeper
        now = keeper.now()
        if not keeper.dialect.is_futures or (after == self._asked_after and not self._is_due(now)):
            return []
        begun_at = keeper.store.begun_at()
        if begun_at is None:
            return []
        told = await keeper.dialect.funding(keeper.gateway, max(begun_at, _EPOCH + after * _MS))
        self._asked_at, self._asked_after = now, after
        names = {rules.symbol_id: symbol for symbol, rules in keeper.rules.items()}
        return [
            (
                (each.at - _EPOCH) // _MS,
                FundingPayment(each.payment_id, names.get(each.symbol_id, each.symbol_id), each.amount, each.at),
            )
            for each in told
        ]

    def _is_due(self, now: datetime) -> bool:
        if self._asked_at is None:
            return True
        hour = now.replace(minute=0, second=0, microsecond=0)
        pause = _OFTEN if now - hour < _AFTER_THE_HOUR else _SELDOM
        return self._asked_at < hour or now - self._asked_at >= pause
