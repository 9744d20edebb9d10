"""Facts and the cache in any plain Redis.

An owner's facts are one hash, changed by scripts, which Redis runs whole or not at all. They never expire. A cached
value is one key that expires by itself; those of one owner are found by their name when that owner is forgotten.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from copilot.memory.redis_link import PREFIX, RedisLink, awaited, escape_glob
from tools.facts import MAX_FACTS, Fact, FactAdded, clean_fact, same_fact

# Fields: `last`, the highest number given; for each fact `f:<number>`, its time and words; `d:<number>`, a digest of
# what it says; and `n:<digest>`, its number.
# KEYS: the owner's facts. ARGV: digest, time and words, the most facts kept.
_ADD = """
local known = redis.call('HGET', KEYS[1], 'n:' .. ARGV[1])
if known then return {known, redis.call('HGET', KEYS[1], 'f:' .. known), 0} end
local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HSET', KEYS[1], 'f:' .. number, ARGV[2], 'd:' .. number, ARGV[1], 'n:' .. ARGV[1], number)
if redis.call('HLEN', KEYS[1]) <= 1 + 3 * tonumber(ARGV[3]) then return {number, ARGV[2], 1} end
local oldest = number
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local found = tonumber(string.match(field, '^f:(%d+)$'))
  if found and found < oldest then oldest = found end
end
local dropped = redis.call('HGET', KEYS[1], 'f:' .. oldest)
local digest = redis.call('HGET', KEYS[1], 'd:' .. oldest)
redis.call('HDEL', KEYS[1], 'f:' .. oldest, 'd:' .. oldest, 'n:' .. digest)
return {number, ARGV[2], 1, oldest, dropped}
"""
# KEYS: the owner's facts. ARGV: number.
_REMOVE = """
local found = redis.call('HGET', KEYS[1], 'f:' .. ARGV[1])
if not found then return false end
local digest = redis.call('HGET', KEYS[1], 'd:' .. ARGV[1])
redis.call('HDEL', KEYS[1], 'f:' .. ARGV[1], 'd:' .. ARGV[1], 'n:' .. digest)
return found
"""
_FACT = b"f:"


class RedisFacts:
    """`Facts` in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._add = link.client.register_script(_ADD)
        self._remove = link.client.register_script(_REMOVE)

    async def add(self, owner: str, text: str, at: datetime) -> FactAdded:
        """Remember a fact; one that says the same as an earlier one changes nothing."""
        words = clean_fact(text)
        digest = hashlib.sha256(same_fact(words).encode()).hexdigest()
        args: list[bytes | str | int] = [digest, f"{at.isoformat()} {words}", MAX_FACTS]
        async with self._link.reporting():
            number, packed, is_new, *gone = await awaited(self._add(keys=[facts_key(owner)], args=args))
        return FactAdded(_fact(number, packed), bool(is_new), _fact(*gone) if gone else None)

    async def list(self, owner: str) -> tuple[Fact, ...]:
        """Return the owner's facts, oldest first."""
        async with self._link.reporting():
            fields: dict[bytes, bytes] = await awaited(self._link.client.hgetall(facts_key(owner)))
        found = (
            _fact(field.removeprefix(_FACT), packed) for field, packed in fields.items() if field.startswith(_FACT)
        )
        return tuple(sorted(found, key=lambda fact: fact.number))

    async def remove(self, owner: str, number: int) -> Fact | None:
        """Forget one fact and return it."""
        async with self._link.reporting():
            packed = await awaited(self._remove(keys=[facts_key(owner)], args=[number]))
        return None if packed is None else _fact(number, packed)


class RedisCache:
    """A `CacheStore` in Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def read(self, owner: str, key: str) -> bytes | None:
        """Return a value that has not expired."""
        async with self._link.reporting():
            value: bytes | None = await awaited(self._link.client.get(_cache_key(owner, key)))
        return value

    async def write(self, owner: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value until it expires."""
        async with self._link.reporting():
            await awaited(self._link.client.set(_cache_key(owner, key), value, px=max(round(ttl_s * 1000), 1)))


def facts_key(owner: str) -> str:
    """Return the key of an owner's facts."""
    return f"{PREFIX}facts:{owner}"


def cache_pattern(owner: str) -> str:
    """Return the pattern of every cached value of an owner."""
    return escape_glob(_cache_key(owner, "")) + "*"


def _cache_key(owner: str, key: str) -> str:
    """Put the owner's length before the name, so that no owner's name can run into another's key."""
    return f"{PREFIX}cache:{len(owner)}:{owner}:{key}"


def _fact(number: bytes | int, packed: bytes) -> Fact:
    at, text = packed.decode().split(" ", 1)
    return Fact(int(number), text, datetime.fromisoformat(at))
