"""A cache of small values that several programs share, for what is dear to fetch and soon stale: market context.

The cache is never needed: whatever its store does, a person's turn goes on, and the value is fetched again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from engine.domain.errors import MemoryUnavailable

log = logging.getLogger(__name__)

MAX_VALUE_BYTES = 256 * 1024
"""Largest value kept; a larger one is no small value."""
MAX_TTL_S = 24 * 3600
"""Longest that anything is kept: it is a cache, not a store."""
_PATIENCE_S = 0.5
"""Longest that a person waits for the cache; fetching anew takes about as long."""


class CacheStore(Protocol):
    """Keeps values until they expire; an empty owner means that the value is everybody's."""

    async def read(self, owner: str, key: str) -> bytes | None:
        """Return a value that has not expired."""
        ...

    async def write(self, owner: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value, in place of an earlier one."""
        ...


class ContextCache:
    """Small values by name, each with its time to live; a failing store is a miss, and a line in the log."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store

    async def get(self, key: str, *, owner: str = "") -> bytes | None:
        """Return the value that was put under this name, or None; an owner's values are theirs alone."""
        value = None
        async with _shielding():
            value = await self._store.read(owner, key)
        return value

    async def put(self, key: str, value: bytes | str, ttl_s: float, *, owner: str = "") -> None:
        """Keep a value for so many seconds; name an owner where it tells of one, so that "forget me" erases it.

        Raises:
            ValueError: The value is too large, or the time to live is not within (0, `MAX_TTL_S`].
        """
        packed = value.encode() if isinstance(value, str) else value
        if len(packed) > MAX_VALUE_BYTES:
            raise ValueError(f"the value of {key!r} has {len(packed)} bytes: at most {MAX_VALUE_BYTES} are kept")
        if not 0 < ttl_s <= MAX_TTL_S:
            raise ValueError(f"the time to live of {key!r} is {ttl_s} s: it must be above 0 and at most {MAX_TTL_S}")
        async with _shielding():
            await self._store.write(owner, key, packed, ttl_s)


@asynccontextmanager
async def _shielding() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            yield
    except (MemoryUnavailable, TimeoutError) as error:
        log.warning("the cache is left out: %s", str(error) or f"no answer within {_PATIENCE_S} s")
