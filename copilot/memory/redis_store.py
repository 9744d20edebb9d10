"""Threads in any plain Redis, version 6 or later: core commands only, no modules.

A thread is one hash, so a read is one HGETALL; a change is one script, which Redis runs whole or not at all, in one
round trip. An owner's threads are a set. How much survives a crash of the Redis server is its own setting
(`appendonly yes`, `appendfsync always` or `everysec`).

Several processes may share one server. A cluster is not for it: a script here touches a thread and its owner's set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from copilot.memory.store import Change, ForeignThread, StoredThread
from engine.domain.errors import MemoryUnavailable

_PREFIX = "copilot:memory:"
_OWNER_FIELD = b"owner"
"""Field of a hash that names the owner; every other field holds a NUL, so it can be none of them."""
_FOREIGN = "FOREIGN"
_ERASE_BATCH = 100

# KEYS: the thread, the owner's set. ARGV: owner, thread id, seconds to live, replace?, ranges, pairs.
# Lua's own comparison of strings follows the server's locale, so bytes are compared one by one.
_CHANGE = """
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local owner, ttl, ranges = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[5])
local known = redis.call('HGET', KEYS[1], 'owner')
if owner ~= '' and known and known ~= owner then return 'FOREIGN' end
if ranges > 0 then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= 'owner' then
      for r = 6, 5 + 2 * ranges, 2 do
        if not less(field, ARGV[r]) and less(field, ARGV[r + 1]) then
          redis.call('HDEL', KEYS[1], field)
          break
        end
      end
    end
  end
end
local command = ARGV[4] == '1' and 'HSET' or 'HSETNX'
for p = 6 + 2 * ranges, #ARGV, 2 do redis.call(command, KEYS[1], ARGV[p], ARGV[p + 1]) end
if owner ~= '' then
  redis.call('HSET', KEYS[1], 'owner', owner)
  redis.call('SADD', KEYS[2], ARGV[2])
end
if ttl > 0 then
  redis.call('EXPIRE', KEYS[1], ttl)
  if owner ~= '' then redis.call('EXPIRE', KEYS[2], ttl) end
end
return 'OK'
"""


class RedisThreads:
    """A `ThreadStore` in Redis.

    Args:
        client: Connected client that returns bytes; closed with the store.
        name: What to call the server in messages; holds no password.
        ttl_s: Seconds after its last change that a thread is kept; None keeps it for good.
    """

    def __init__(self, client: Redis, name: str, ttl_s: int | None = None) -> None:
        self._client = client
        self._name = name
        self._ttl_s = ttl_s or 0
        self._change = client.register_script(_CHANGE)

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        async with self._reporting():
            fields: dict[bytes, bytes] = dict(await _awaited(self._client.hgetall(_thread_key(thread_id))))
        owner = fields.pop(_OWNER_FIELD, None)
        return StoredThread(None if owner is None else owner.decode(), fields)

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change in one script."""
        owner = change.owner or ""
        args: list[bytes | str | int] = [owner, thread_id, self._ttl_s, int(change.is_replacing), len(change.drop)]
        for low, high in change.drop:
            args += (low, high)
        for field, value in change.put.items():
            args += (field, value)
        async with self._reporting():
            answer = await _awaited(self._change(keys=[_thread_key(thread_id), _owner_key(owner)], args=args))
        if answer == _FOREIGN.encode():
            raise ForeignThread(thread_id)

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads, and their names from their owners' sets."""
        for thread_id in thread_ids:
            key = _thread_key(thread_id)
            async with self._reporting():
                owner = await _awaited(self._client.hget(key, cast(str, _OWNER_FIELD)))
                async with self._client.pipeline(transaction=True) as together:
                    together.delete(key)
                    if owner is not None:
                        together.srem(_owner_key(cast(bytes, owner).decode()), thread_id)
                    await together.execute()

    async def erase_owner(self, owner: str) -> int:
        """Remove every thread of the owner."""
        async with self._reporting():
            names = [name.decode() for name in await _awaited(self._client.smembers(_owner_key(owner)))]
            keys = [_thread_key(name) for name in names]
            count = 0
            for start in range(0, len(keys), _ERASE_BATCH):
                count += await _awaited(self._client.delete(*keys[start : start + _ERASE_BATCH]))
            if names:
                await _awaited(self._client.srem(_owner_key(owner), *names))
        return count

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists."""
        prefix = _thread_key("")
        async with self._reporting():
            return [
                key.decode().removeprefix(prefix)
                async for key in self._client.scan_iter(match=f"{prefix}*", count=1000)
            ]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            why = str(error) if isinstance(error, ResponseError) else "it does not answer"
            raise MemoryUnavailable(f"conversation memory at {self._name} cannot be used: {why}") from error


def _thread_key(thread_id: str) -> str:
    return f"{_PREFIX}thread:{thread_id}"


def _owner_key(owner: str) -> str:
    return f"{_PREFIX}owner:{owner}"


async def _awaited(answer: Awaitable[Any] | Any) -> Any:
    """Await a command; the client's annotations allow a plain value, which the async client never returns."""
    return await answer
