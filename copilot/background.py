"""What goes on while nobody talks: resting orders fill, alerts are watched, old tickets close, books are compared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from tools.alerts import Alerts
from tools.tickets import Tickets

log = logging.getLogger(__name__)

SETTLE_EVERY_S = 2.0
WATCH_EVERY_S = 5.0


class Background:
    """The loops of a process; each goes on after a failure, which is logged."""

    def __init__(self, venue: PaperVenue, desk: Desk, tickets: Tickets, alerts: Alerts) -> None:
        self._venue = venue
        self._desk = desk
        self._tickets = tickets
        self._alerts = alerts
        self._tasks: list[asyncio.Task[None]] = []

    async def recover(self) -> None:
        """Settle what the last run left: orders of unknown outcome first, then the tickets behind them."""
        for execution in await self._desk.start():
            self._tickets.settle(execution, tell=True)
        await self._tickets.recover()
        self._tickets.expire_due()

    def start(self) -> None:
        """Begin the loops."""
        self._tasks = [
            asyncio.create_task(_repeat("settling", SETTLE_EVERY_S, self._settle)),
            asyncio.create_task(_repeat("watching", WATCH_EVERY_S, self._watch)),
        ]

    async def stop(self) -> None:
        """End the loops and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _settle(self) -> None:
        await self._venue.advance()
        for execution in await self._desk.reconcile():
            self._tickets.settle(execution, tell=True)
        await self._tickets.follow()

    async def _watch(self) -> None:
        await asyncio.to_thread(self._alerts.check)
        await asyncio.to_thread(self._tickets.expire_due)


async def _repeat(name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed; it goes on in %s s", name, every_s)
        await asyncio.sleep(every_s)
