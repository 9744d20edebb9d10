"""The user stream: a bell, never a source of truth.

Every event rings; what happened is then read. So lost, repeated, late and reordered events change nothing in the end,
they only make it later, and a poll comes whether it rang or not: often while something may fill that must then be
protected, seldom while things rest, hardly while nothing does. A stream that stayed silent while a poll found news is
taken for deaf and opened again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agents.execution.binance.gateway import Call, Gateway
from agents.execution.binance.limiter import Urgency
from agents.execution.binance.replies import Failure
from agents.execution.binance.venue import BinanceVenue
from engine.domain.errors import VenueUnavailable

KEEPALIVE_S = 25 * 60.0
"""A listen key lasts an hour; ccxt renews it once at most, so it is renewed here."""
_LONGEST_PAUSE_S = 60.0
_SETTLE_S = 0.02
"""After the bell this long is waited for more of it: an order's events come in bursts."""
_ENDED = frozenset({"eventStreamTerminated", "listenKeyExpired"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is polled, in seconds."""

    urgent_s: float = 1.0
    busy_s: float = 2.0
    idle_s: float = 30.0


@dataclass(slots=True)
class Listener:
    """Listens, polls and settles in the background, until it is closed.

    Args:
        venue: What is settled.
        gateway: The door to the exchange.
        pace: How often is polled.
        streams: Whether the exchange's user stream is opened at all.
        is_futures: Whether the stream lives by a listen key.
    """

    venue: BinanceVenue
    gateway: Gateway
    pace: Pace = field(default_factory=Pace)
    streams: bool = True
    is_futures: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: random.Random = field(default_factory=random.Random)
    events: int = 0
    reconnects: int = 0
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _heard: int = 0
    _rang: bool = False

    async def start(self) -> None:
        """Begin; harmless when it has begun."""
        if self._tasks:
            return
        self.gateway.connection.on_event = self.ring
        self._tasks.append(asyncio.create_task(self._keep()))
        if self.streams:
            connection = self.gateway.connection
            for watch in (connection.watch_orders, connection.watch_my_trades):
                self._tasks.append(asyncio.create_task(self._listen(watch)))
            if self.is_futures:
                self._tasks.append(asyncio.create_task(self._keep_key()))

    async def close(self) -> None:
        """End; what rests at the exchange stays."""
        self.gateway.connection.on_event = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Think again how soon to poll: an order was sent."""
        self._bell.set()

    def ring(self, name: str) -> None:
        """Note that something happened."""
        self.events += 1
        self.venue.forget_look()
        self._rang = True
        self._bell.set()
        if name in _ENDED:
            self._hang_up()

    async def _keep(self) -> None:
        """Settle when it rings, and when it did not for too long."""
        while True:
            rang = await self._wait()
            if rang:
                await self.sleep(_SETTLE_S)
                self._rang = False
            heard = self.events
            try:
                fresh = await self.venue.advance()
            except VenueUnavailable as error:
                _log.warning("settling failed: %s", error)
                continue
            if fresh and not rang and self.events == heard == self._heard:
                self._hang_up()
            self._heard = heard

    async def _wait(self) -> bool:
        """Wait for the bell as long as the pace says; tell whether it rang."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not self._rang:
            left = begun + self._pace_s() - loop.time()
            if left <= 0:
                return False
            self._bell.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._bell.wait()
        self._rang = False
        return True

    def _pace_s(self) -> float:
        try:
            if self.venue.is_urgent():
                return self.pace.urgent_s
            return self.pace.busy_s if self.venue.is_busy() else self.pace.idle_s
        except VenueUnavailable:
            return self.pace.urgent_s

    async def _listen(self, watch: Callable[[], Awaitable[Any]]) -> None:
        """Wait for events for ever; after a break, settle at once and open the stream again with a growing pause."""
        pause = 0.0
        while True:
            try:
                await watch()
                pause = 0.0
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever ccxt makes of a broken stream, it is opened again
                _log.info("the user stream broke: %s", type(error).__name__)
                self.reconnects += 1
                self.venue.forget_look()
                self._rang = True
                self._bell.set()
                pause = min(max(pause * 2, 0.5), _LONGEST_PAUSE_S)
                await self.sleep(pause * (0.5 + self.jitter.random()))

    async def _keep_key(self) -> None:
        """Renew the listen key; when that fails, open the stream again with a new one."""
        while True:
            await self.sleep(KEEPALIVE_S)
            await self.renew_key()

    async def renew_key(self) -> None:
        """Renew the listen key of a futures stream."""
        try:
            await self.gateway.read(Call("fapiPrivatePutListenKey"), urgency=Urgency.ORDER)
        except (Failure, VenueUnavailable):
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the stream's connections, so that waiting reads fail and open them again."""
        connection = self.gateway.connection
        connection.options["linear"] = {}
        for client in list((connection.clients or {}).values()):
            client.reject(ConnectionError("the user stream is opened again"))
            self._tasks.append(asyncio.create_task(_drop(client)))
        connection.clients = {}
        self._tasks = [task for task in self._tasks if not task.done()]


async def _drop(client: Any) -> None:
    with suppress(Exception):
        await client.close()
