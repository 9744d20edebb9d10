"""The connection to a plain Redis that threads, facts and the cache share, and what its failures become."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from engine.domain.errors import MemoryUnavailable

PREFIX = "copilot:memory:"
"""Before every key, so that other programs may use the same server."""
_GLOB = re.compile(r"([*?\[\]^\\])")


@dataclass(frozen=True, slots=True)
class RedisLink:
    """A connected client.

    Attributes:
        client: Returns bytes.
        name: What to call the server in messages; holds no password.
    """

    client: Redis
    name: str

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Make every failure of the server a `MemoryUnavailable`."""
        try:
            yield
        except (RedisError, OSError) as error:
            why = str(error) if isinstance(error, ResponseError) else "it does not answer"
            raise MemoryUnavailable(f"conversation memory at {self.name} cannot be used: {why}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


def escape_glob(text: str) -> str:
    """Return a pattern of Redis that matches this text alone."""
    return _GLOB.sub(r"\\\1", text)


async def awaited(answer: Awaitable[Any] | Any) -> Any:
    """Await a command; the client's annotations allow a plain value, which the async client never returns."""
    return await answer
