"""One purse of request weight and order counts for everything that uses an account.

The exchange counts weight by address and orders by account, and bans who goes on after it said stop. So nothing is
sent that could pass a limit: our own count has a margin, is corrected upwards by what the exchange tells of its own
count, and stops altogether while we are told to stay away. What protects a position may use the last of the margin;
plain reads stop well before, so that they cannot starve an order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from engine.domain.errors import VenueUnavailable
from engine.domain.protocols import Clock

WEIGHT_HEADER = "x-mbx-used-weight-1m"
ORDER_HEADERS = {"10s": "x-mbx-order-count-10s", "1m": "x-mbx-order-count-1m", "1d": "x-mbx-order-count-1d"}
_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_PATIENCE_S = 10.0
"""How long an order waits for its turn; a read waits as long as it takes."""


class Urgency(Enum):
    """How much of a limit a request may use."""

    READ = 0.80
    ORDER = 0.90
    PROTECTION = 0.97


@dataclass(frozen=True, slots=True)
class Window:
    """One limit: so much within so many seconds."""

    seconds: int
    limit: int


DEFAULT_WEIGHT = Window(60, 6000)
DEFAULT_ORDERS = (Window(10, 100), Window(86_400, 200_000))


class _Count:
    """What was used in the windows of the exchange's clock, which begin at whole multiples of their length."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._used: deque[tuple[int, int]] = deque(maxlen=1)

    def used(self, now: datetime) -> int:
        number = int(now.timestamp()) // self.window.seconds
        return self._used[0][1] if self._used and self._used[0][0] == number else 0

    def add(self, now: datetime, amount: int) -> None:
        number = int(now.timestamp()) // self.window.seconds
        self._used.append((number, self.used(now) + amount))

    def correct(self, now: datetime, told: int) -> None:
        """Take the exchange's own count when it is above ours (somebody else uses the account, or we restarted)."""
        self.add(now, max(told - self.used(now), 0))

    def wait_s(self, now: datetime, amount: int, share: float) -> float:
        """Return how long to wait until an amount fits."""
        if self.used(now) + amount <= max(self.window.limit * share, 1):
            return 0.0
        end = (int(now.timestamp()) // self.window.seconds + 1) * self.window.seconds
        return end - now.timestamp() + 0.05


class Limiter:
    """Waits for a turn, or refuses one; shared by all that use an account.

    Args:
        clock: The present.
        weight: Request weight by address.
        orders: New orders by account.
        sleep: Waits some seconds.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        weight: Window = DEFAULT_WEIGHT,
        orders: Sequence[Window] = DEFAULT_ORDERS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._weight = _Count(weight)
        self._orders = [_Count(window) for window in orders]
        self._paused_until: datetime | None = None

    @property
    def paused_until(self) -> datetime | None:
        """Return until when the exchange told us to stay away; None when it did not."""
        if self._paused_until is not None and self._paused_until <= self._clock.now():
            self._paused_until = None
        return self._paused_until

    def used_weight(self) -> int:
        """Return the weight counted in the present minute."""
        return self._weight.used(self._clock.now())

    def learn(self, limits: Sequence[Mapping[str, object]]) -> None:
        """Take the limits that the exchange publishes (`rateLimits` of its exchange information)."""
        orders = []
        for each in limits:
            unit, number, limit = (each.get(name) for name in ("interval", "intervalNum", "limit"))
            if unit not in _SECONDS or not isinstance(number, int) or not isinstance(limit, int):
                continue
            window = Window(_SECONDS[str(unit)] * number, limit)
            if each.get("rateLimitType") == "REQUEST_WEIGHT":
                self._weight = _carried(self._weight, window, self._clock.now())
            elif each.get("rateLimitType") == "ORDERS":
                orders.append(window)
        if orders:
            self._orders = [_Count(window) for window in orders]

    async def take(self, weight: int, *, orders: int = 0, urgency: Urgency = Urgency.READ) -> None:
        """Wait until a request fits and count it.

        Raises:
            VenueUnavailable: An order would have to wait too long; nothing was sent.
        """
        begun = self._clock.now()
        while (wait := self._wait_s(weight, orders, urgency.value)) > 0:
            waited = (self._clock.now() - begun).total_seconds()
            if urgency is not Urgency.READ and waited + wait > _PATIENCE_S:
                raise VenueUnavailable(f"the venue's request limit leaves no room for {wait:.0f} s; nothing was sent")
            await self._sleep(wait)
        now = self._clock.now()
        self._weight.add(now, weight)
        for count in self._orders:
            count.add(now, orders)

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Correct our counts by what the exchange tells of its own."""
        told = {name.lower(): value for name, value in headers.items()}
        now = self._clock.now()
        if told.get(WEIGHT_HEADER, "").isdigit():
            self._weight.correct(now, int(told[WEIGHT_HEADER]))
        for count in self._orders:
            header = ORDER_HEADERS.get(_interval(count.window.seconds), "")
            if told.get(header, "").isdigit():
                count.correct(now, int(told[header]))

    def stay_away(self, seconds: float) -> None:
        """Send nothing for a while."""
        until = self._clock.now() + timedelta(seconds=seconds)
        if self._paused_until is None or until > self._paused_until:
            self._paused_until = until

    def _wait_s(self, weight: int, orders: int, share: float) -> float:
        now = self._clock.now()
        paused = 0.0 if self.paused_until is None else (self.paused_until - now).total_seconds()
        waits = [count.wait_s(now, orders, share) for count in self._orders] if orders else []
        return max([paused, self._weight.wait_s(now, weight, share), *waits])


def _carried(count: _Count, window: Window, now: datetime) -> _Count:
    fresh = _Count(window)
    fresh.add(now, count.used(now))
    return fresh


def _interval(seconds: int) -> str:
    return {10: "10s", 60: "1m", 86_400: "1d"}.get(seconds, "")
