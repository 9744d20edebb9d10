"""Leadership of one process: wins a term, keeps it, and knows when it can no longer be sure of it.

A leader reckons by its own elapsed time, from the moment *before* it asked for a renewal: its lease cannot end
earlier than that plus the lease's length. It gives up `margin_s` before. So whatever keeps it from renewing (a dead
database, a network, a machine that was asleep), its workers have ended before anybody else may begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agents.execution.claims import NotLeading
from agents.execution.rows import DatabaseFailed
from agents.supervisor.lease import Lease, LeaseStore
from agents.supervisor.pacing import Pace
from agents.supervisor.values import SupervisorSettings

log = logging.getLogger(__name__)


class Term:
    """One term of this process.

    Attributes:
        until: Elapsed time at which its workers begin to be stopped, unless it is renewed.
    """

    def __init__(self, lease: Lease, until: float, elapsed: Callable[[], float]) -> None:
        self.lease = lease
        self.until = until
        self._elapsed = elapsed
        self._is_over = False

    @property
    def fence(self) -> int:
        """Return the number of the term."""
        return self.lease.fence

    @property
    def is_valid(self) -> bool:
        """Return whether this process surely leads at this moment."""
        return not self._is_over and self._elapsed() < self.until

    def require(self) -> None:
        """Make sure that this process leads.

        Raises:
            NotLeading: It may not any more.
        """
        if not self.is_valid:
            raise NotLeading(f"term {self.fence} has ended; another process leads, or will before long")

    def end(self) -> None:
        """Let the term be over for good."""
        self._is_over = True


class Leadership:
    """Wins and keeps terms for one process.

    Args:
        store: The lease.
        holder: Who this process is.
        settings: Times.
        pace: Elapsed time and pauses.
    """

    def __init__(self, store: LeaseStore, holder: str, settings: SupervisorSettings, pace: Pace) -> None:
        self._store = store
        self._holder = holder
        self._settings = settings
        self._pace = pace

    async def win(self) -> Term:
        """Wait until this process may lead, and begin a term."""
        settings = self._settings
        while True:
            asked_at = self._pace.elapsed()
            try:
                lease = await self._pace.offload(
                    lambda: self._store.acquire(self._holder, lease_s=settings.lease_s, skew_s=settings.skew_s)
                )
            except DatabaseFailed:
                log.warning("the lease could not be asked for; it is tried again in %s s", settings.poll_s)
                lease = None
            if lease is not None:
                term = Term(lease, self._until(asked_at), self._pace.elapsed)
                if term.is_valid:
                    return term
            await self._pace.pause(settings.poll_s)

    async def hold(self, term: Term) -> None:
        """Renew the term until that is not possible any more; return when its workers must be stopped."""
        settings, wait_s = self._settings, self._settings.renew_s
        while term.is_valid:
            await self._pace.pause(min(wait_s, max(term.until - self._pace.elapsed(), 0)))
            renewed = await self._renew_in_time(term)
            if renewed is False:
                break
            wait_s = settings.renew_s if renewed else settings.retry_s
        term.end()

    async def resign(self, term: Term) -> None:
        """End the term once its workers have ended, so that another process need not wait."""
        term.end()
        try:
            await self._pace.offload(lambda: self._store.release(term.lease))
        except DatabaseFailed:
            log.warning("the lease could not be given back; it runs out by itself")

    async def _renew_in_time(self, term: Term) -> bool | None:
        """Renew; return True when it was, False when the term has ended, None while it is not known."""
        asked_at, lease_s = self._pace.elapsed(), self._settings.lease_s
        if asked_at >= term.until:
            return False
        renewing = asyncio.ensure_future(self._pace.offload(lambda: self._store.renew(term.lease, lease_s=lease_s)))
        waiting = asyncio.ensure_future(self._pace.pause(term.until - asked_at))
        try:
            await asyncio.wait((renewing, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            renewing.add_done_callback(_read)
        if not renewing.done():
            return None
        try:
            lease = renewing.result()
        except DatabaseFailed:
            log.warning("term %s could not be renewed; it is tried again", term.fence)
            return None
        if lease is None:
            return False
        term.lease, term.until = lease, self._until(asked_at)
        return True

    def _until(self, asked_at: float) -> float:
        return asked_at + self._settings.lease_s - self._settings.margin_s


def _read(done: asyncio.Future[Lease | None]) -> None:
    """Read the outcome of a renewal that nobody waits for any more."""
    if not done.cancelled():
        done.exception()
