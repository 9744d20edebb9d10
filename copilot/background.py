"""What goes on while nobody talks: resting orders fill, alerts are watched, old tickets close, books are compared.

These are workers of the supervisor: the one leader among the processes that share a database runs them, and a worker
that fails is started again after a pause.
"""

from __future__ import annotations

import asyncio

from agents.execution.desk import Desk
from agents.supervisor import Repeat, Worker
from copilot.venues import RunningVenue
from tools.alerts import Alerts
from tools.decisions import Decisions

GUARD_EVERY_S = 1.0
SETTLE_EVERY_S = 2.0
WATCH_EVERY_S = 5.0


class Background:
    """The copilot's own workers."""

    def __init__(self, venue: RunningVenue, desk: Desk, tickets: Decisions, alerts: Alerts) -> None:
        self._venue = venue
        self._desk = desk
        self._tickets = tickets
        self._alerts = alerts

    async def recover(self) -> None:
        """Settle what the last run left: orders of unknown outcome first, then the tickets behind them."""
        for execution in await self._desk.start():
            self._tickets.settle(execution, tell=True)
        await self._tickets.recover()
        self._tickets.expire_due()

    def workers(self) -> tuple[Worker, ...]:
        """Return what the leader runs."""
        return (
            Repeat("guarding", GUARD_EVERY_S, self._desk.watch),
            Repeat("settling", SETTLE_EVERY_S, self._settle),
            Repeat("watching", WATCH_EVERY_S, self._watch),
        )

    async def _settle(self) -> None:
        await self._venue.advance()
        for execution in await self._desk.reconcile():
            self._tickets.settle(execution, tell=True)
        await self._tickets.follow()

    async def _watch(self) -> None:
        await asyncio.to_thread(self._alerts.check)
        await asyncio.to_thread(self._tickets.expire_due)
