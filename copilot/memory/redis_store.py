"""Threads in any plain Redis, version 6 or later: core commands only, no modules.

A thread is one hash, so a read is one HGETALL; a change is one script, which Redis runs whole or not at all, in one
round trip. An owner's threads are a set. How much survives a crash of the Redis server is its own setting
(`appendonly yes`; with `appendfsync always` nothing acknowledged is lost, with `everysec` up to two seconds of it).

Several processes may share one server. A cluster is not for it: a script here touches a thread and its owner's set.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from copilot.memory.redis_facts import cache_pattern, facts_key
from copilot.memory.redis_link import PREFIX, RedisLink, awaited
from copilot.memory.store import Change, ErasedThread, ForeignThread, Forgotten, MovedThread, StoredThread

_OWNER_FIELD, _BIRTH_FIELD = b"owner", b"birth"
"""Fields of a hash that tell of the thread; every other field holds a NUL, so it can be none of them."""
_REFUSALS: dict[bytes, type[Exception]] = {
    b"FOREIGN": ForeignThread,
    b"ERASED": ErasedThread,
    b"MOVED": MovedThread,
}
_ERASE_BATCH = 100

# KEYS: the thread, the owner's set. ARGV: owner, thread id, birth built on, birth if made, seconds to live, replace?,
# how many ranges, how many expected pairs; then ranges, expected pairs, pairs to put.
# Lua's own comparison of strings follows the server's locale, so bytes are compared one by one.
_CHANGE = """
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local owner, ttl, ranges, expected = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[8])
local pairs_from = 9 + 2 * ranges
local known, birth = unpack(redis.call('HMGET', KEYS[1], 'owner', 'birth'))
if ARGV[3] ~= '' and ARGV[3] ~= birth then return 'ERASED' end
if owner ~= '' and known and known ~= owner then return 'FOREIGN' end
for p = pairs_from, pairs_from + 2 * expected - 1, 2 do
  if redis.call('HGET', KEYS[1], ARGV[p]) ~= ARGV[p + 1] then return 'MOVED' end
end
if ranges > 0 then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= 'owner' and field ~= 'birth' then
      for r = 9, 8 + 2 * ranges, 2 do
        if not less(field, ARGV[r]) and less(field, ARGV[r + 1]) then
          redis.call('HDEL', KEYS[1], field)
          break
        end
      end
    end
  end
end
local command = ARGV[6] == '1' and 'HSET' or 'HSETNX'
for p = pairs_from + 2 * expected, #ARGV, 2 do redis.call(command, KEYS[1], ARGV[p], ARGV[p + 1]) end
if not birth then redis.call('HSET', KEYS[1], 'birth', ARGV[4]) end
if owner ~= '' then
  redis.call('HSET', KEYS[1], 'owner', owner)
  redis.call('SADD', KEYS[2], ARGV[2])
end
local function live(key)
  if ttl == 0 then
    redis.call('PERSIST', key)
  elseif redis.call('TTL', key) < ttl then
    redis.call('EXPIRE', key, ttl)
  end
end
live(KEYS[1])
if owner ~= '' then live(KEYS[2]) end
return 'OK'
"""
# KEYS: the owner's set, then threads. ARGV: owner, then the threads' ids. A name in the set may have passed to
# another owner since, where the thread had expired.
_ERASE = """
local erased = 0
for n = 2, #KEYS do
  if redis.call('HGET', KEYS[n], 'owner') == ARGV[1] then
    erased = erased + redis.call('DEL', KEYS[n])
  end
  redis.call('SREM', KEYS[1], ARGV[n])
end
return erased
"""


class RedisThreads:
    """A `ThreadStore` in Redis.

    Args:
        link: Connected; closed with the store.
        ttl_s: Seconds after its last change that a thread is kept; None keeps it for good.
    """

    def __init__(self, link: RedisLink, ttl_s: int | None = None) -> None:
        self._link = link
        self._client = link.client
        self._ttl_s = ttl_s or 0
        self._change = self._client.register_script(_CHANGE)
        self._erase = self._client.register_script(_ERASE)

    async def read(self, thread_id: str) -> StoredThread:
        """Return the whole thread as one consistent state."""
        async with self._link.reporting():
            fields: dict[bytes, bytes] = dict(await awaited(self._client.hgetall(_thread_key(thread_id))))
        owner, birth = fields.pop(_OWNER_FIELD, None), fields.pop(_BIRTH_FIELD, None)
        return StoredThread(
            None if owner is None else owner.decode(), fields, None if birth is None else birth.decode()
        )

    async def change(self, thread_id: str, change: Change) -> None:
        """Apply the change in one script."""
        owner, births = change.owner or "", (change.birth or "", secrets.token_hex(8))
        args: list[bytes | str | int] = [owner, thread_id, *births, self._ttl_s]
        args += (int(change.is_replacing), len(change.drop), len(change.expected))
        for pair in (*change.drop, *change.expected.items(), *change.put.items()):
            args += pair
        async with self._link.reporting():
            answer = await awaited(self._change(keys=[_thread_key(thread_id), _owner_key(owner)], args=args))
        if answer in _REFUSALS:
            raise _REFUSALS[answer](thread_id)

    async def erase(self, thread_ids: Sequence[str]) -> None:
        """Remove whole threads, and their names from their owners' sets."""
        for thread_id in thread_ids:
            owner = (await self.read(thread_id)).owner
            async with self._link.reporting():
                if owner is None:
                    await awaited(self._client.delete(_thread_key(thread_id)))
                else:
                    await self._erase_all(owner, [thread_id])

    async def erase_owner(self, owner: str) -> Forgotten:
        """Remove every thread of the owner, their facts and what is cached of them."""
        async with self._link.reporting():
            names = [name.decode() for name in await awaited(self._client.smembers(_owner_key(owner)))]
            batches = (names[start : start + _ERASE_BATCH] for start in range(0, len(names), _ERASE_BATCH))
            threads = sum([await self._erase_all(owner, batch) for batch in batches])
            facts = await self._erase_facts(owner)
            async for key in self._client.scan_iter(match=cache_pattern(owner), count=1000):
                await awaited(self._client.delete(key))
        return Forgotten(threads, facts)

    async def thread_ids(self) -> list[str]:
        """Return every thread that exists."""
        prefix = _thread_key("")
        async with self._link.reporting():
            return [
                key.decode().removeprefix(prefix)
                async for key in self._client.scan_iter(match=f"{prefix}*", count=1000)
            ]

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def _erase_all(self, owner: str, names: Sequence[str]) -> int:
        keys = [_owner_key(owner), *map(_thread_key, names)]
        erased: int = await awaited(self._erase(keys=keys, args=[owner, *names]))
        return erased

    async def _erase_facts(self, owner: str) -> int:
        async with self._client.pipeline(transaction=True) as together:
            together.hlen(facts_key(owner))
            together.delete(facts_key(owner))
            fields, _ = await together.execute()
        return int(fields) // 3


def _thread_key(thread_id: str) -> str:
    return f"{PREFIX}thread:{thread_id}"


def _owner_key(owner: str) -> str:
    return f"{PREFIX}owner:{owner}"
