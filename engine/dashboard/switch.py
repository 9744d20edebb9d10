"""The kill switch: a token that the page fetches when its dialog opens, and that confirms once.

Another site open in the same browser can neither read a token (no such answer is shared across origins) nor send one
(the request must say that it comes from this page). A token is good once, for a minute, and only its hash is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from engine.dashboard.view import DashboardView, Trading

log = logging.getLogger(__name__)

_MAX_TOKENS = 64
_KEPT_TASKS: set[asyncio.Task[Trading]] = set()
"""Halts under way; asyncio itself keeps no hold of them."""


class Tokens:
    """One-time tokens.

    Args:
        life_s: Seconds that one is good for.
        clock: Seconds that never run backwards.
    """

    def __init__(self, life_s: float, clock: Callable[[], float]) -> None:
        self._life_s = life_s
        self._clock = clock
        self._good_until: OrderedDict[bytes, float] = OrderedDict()

    def issue(self) -> str:
        """Return a new token; the oldest is forgotten when there are many."""
        token = secrets.token_urlsafe(24)
        self._good_until[_digest(token)] = self._clock() + self._life_s
        while len(self._good_until) > _MAX_TOKENS:
            self._good_until.popitem(last=False)
        return token

    def spend(self, token: str) -> bool:
        """Tell whether a token is good, and use it up."""
        until = self._good_until.pop(_digest(token), None)
        return until is not None and self._clock() <= until


class Switch:
    """Halts everything, once for however many press it at the same time."""

    def __init__(self, view: DashboardView, patience_s: float) -> None:
        self._view = view
        self._patience_s = patience_s
        self._halting: asyncio.Task[Trading] | None = None

    async def press(self, by: str) -> Trading | None:
        """Halt, and return the trading state; None when carrying it out takes longer than a page should wait.

        Raises:
            Exception: Whatever the view raised: the halt may not stand.
        """
        if self._halting is None or self._halting.done():
            self._halting = asyncio.create_task(self._halt(by))
            _KEPT_TASKS.add(self._halting)
            self._halting.add_done_callback(_forget)
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.shield(self._halting)
        except TimeoutError:
            if self._halting.done():
                raise
            return None

    async def _halt(self, by: str) -> Trading:
        log.warning("%s pressed the kill switch on the dashboard", by)
        return await self._view.halt(by)


def is_own_page(connection: HTTPConnection) -> bool:
    """Tell whether a request says that it comes from a page of this very host.

    Every browser sends `Origin` with a POST and with a WebSocket; what sends none is no page of ours.
    """
    origin = urlsplit(connection.headers.get("origin", ""))
    site = connection.headers.get("sec-fetch-site", "same-origin")
    return (
        bool(origin.netloc)
        and origin.netloc.lower() == connection.headers.get("host", "").lower()
        and (site == "same-origin")
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _forget(task: asyncio.Task[Trading]) -> None:
    _KEPT_TASKS.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("the kill switch failed", exc_info=task.exception())
