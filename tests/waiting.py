"""Waiting for what must come: as long as a busy machine needs, and no longer than it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 30.0


async def until(is_so: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait until something is so, and not for ever."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
