"""Stay within an exchange's request limits, with margin: what others on the same address use is left to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

WEIGHT_PER_MINUTE = 2400
"""Of Binance's 6,000 a minute and address: orders and other programs need the rest."""
_BURST_RATIO = 0.25
_CROWDED_WEIGHT = 4800
"""Used weight, ours and others', from which nothing more is asked until the minute is over."""
_MINUTE_S = 60.0
_SHORTEST_WAIT_S = 1e-6
"""Rounding leaves less than that."""


class WeightBudget:
    """A bucket of request weight that fills evenly.

    Args:
        per_minute: How much it gives in a minute; a quarter of it at once.
        wall: Seconds from any origin, never going back.
        sleep: Waits some seconds.
    """

    def __init__(
        self,
        per_minute: float = WEIGHT_PER_MINUTE,
        *,
        wall: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_second, self._most = per_minute / _MINUTE_S, per_minute * _BURST_RATIO
        self._wall, self._sleep = wall, sleep
        self._left, self._filled_at = self._most, wall()
        self._away_until = 0.0
        self._turn = asyncio.Lock()

    async def take(self, weight: float) -> None:
        """Wait until a request of some weight may be sent, in the order of asking."""
        async with self._turn:
            while (wait_s := self._wait_s(weight)) > _SHORTEST_WAIT_S:
                await self._sleep(wait_s)
            self._left -= weight

    def stay_away(self, seconds: float) -> None:
        """Send nothing for a while: the exchange asked for it."""
        self._away_until = max(self._away_until, self._wall() + seconds)

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Take note of what the exchange counts for our address."""
        used = next((value for name, value in headers.items() if name.lower() == "x-mbx-used-weight-1m"), "")
        if str(used).isdigit() and int(used) >= _CROWDED_WEIGHT:
            self.stay_away(_MINUTE_S / 4)

    def _wait_s(self, weight: float) -> float:
        now = self._wall()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        lacking = max(0.0, min(weight, self._most) - self._left) / self._per_second
        return max(lacking, self._away_until - now)
