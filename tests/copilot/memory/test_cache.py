"""The cache keeps small values until they expire, and never stands in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path
from signal import SIGSTOP

import pytest

from copilot.memory import MemorySaver, open_memory
from copilot.memory.cache import MAX_TTL_S, MAX_VALUE_BYTES
from copilot.memory.sqlite_facts import MAX_CACHED
from tests.conftest import free_port
from tests.copilot.memory.conftest import RedisServer, redis_program


async def test_another_program_reads_what_one_put(memory: MemorySaver, memory_url: str) -> None:
    await memory.context.put("quote:XAUUSD", "2.031,5 €", 60)
    async with open_memory(memory_url) as other:
        assert await other.context.get("quote:XAUUSD") == "2.031,5 €".encode()
        await other.context.put("quote:XAUUSD", b"\x00\xff", 60)
    assert await memory.context.get("quote:XAUUSD") == b"\x00\xff"
    assert await memory.context.get("quote:BTC/USDT") is None


async def test_an_owners_values_are_theirs_alone(memory: MemorySaver) -> None:
    await memory.context.put("portfolio", "hers", 60, owner="ana")
    await memory.context.put("x:portfolio", "her friend's", 60, owner="ana:x")
    assert await memory.context.get("portfolio") is None
    assert await memory.context.get("portfolio", owner="eve") is None
    assert await memory.context.get("x:x:portfolio", owner="ana") is None
    assert await memory.context.get("portfolio", owner="ana") == b"hers"


@pytest.mark.parametrize(("size", "ttl_s"), [(MAX_VALUE_BYTES + 1, 1), (1, 0), (1, -1), (1, MAX_TTL_S + 1)])
async def test_what_a_cache_is_not_for_is_refused(memory: MemorySaver, size: int, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="'big'"):
        await memory.context.put("big", b"x" * size, ttl_s)


async def test_redis_expires_a_value(redis_server: RedisServer) -> None:
    async with open_memory(redis_server.url) as memory:
        await memory.context.put("quote", "1", 0.05)
        await memory.context.put("news", "2", 60)
        with redis_server.client() as client:
            assert client.pttl("copilot:memory:cache:0::quote") <= 50
            await asyncio.sleep(0.06)
            assert 50 < client.ttl("copilot:memory:cache:0::news") <= 60
        assert await memory.context.get("quote") is None
        assert await memory.context.get("news") == b"2"


def _cached(path: Path) -> int:
    connection = sqlite3.connect(path)
    count: int = connection.execute("SELECT COUNT(*) FROM memory_cache").fetchone()[0]
    connection.close()
    return count


async def test_sqlite_expires_a_value_and_prunes_it(tmp_path: Path) -> None:
    now = [1000.0]
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}", clock=lambda: now[0]) as memory:
        await memory.context.put("quote", "1", 5)
        now[0] += 4.9
        assert await memory.context.get("quote") == b"1"
        now[0] += 0.1
        assert await memory.context.get("quote") is None
        await memory.context.put("news", "2", 5)
        assert _cached(tmp_path / "memory.db") == 1


async def test_sqlite_holds_no_more_than_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    async with open_memory(f"sqlite:///{path}") as memory:
        await memory.context.put("first to expire", "0", 1000)
        connection = sqlite3.connect(path)
        rows = [("", f"filler {n}", b"", 9e9 + n) for n in range(MAX_CACHED - 1)]
        connection.executemany("INSERT INTO memory_cache VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        connection.close()
        await memory.context.put("one more", "1", 2000)
        assert _cached(path) == MAX_CACHED
        assert await memory.context.get("first to expire") is None
        assert await memory.context.get("one more") == b"1"


async def test_a_broken_file_is_a_miss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
        broken = sqlite3.connect(tmp_path / "memory.db")
        broken.execute("DROP TABLE memory_cache")
        broken.close()
        with caplog.at_level(logging.WARNING):
            await memory.context.put("quote", "1", 60)
            assert await memory.context.get("quote") is None
    assert len(caplog.records) == 2


async def test_a_redis_that_is_gone_is_a_miss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(redis_program(), tmp_path, free_port())
    server.start()
    assert server.process is not None
    try:
        async with open_memory(server.url) as memory:
            await memory.context.put("quote", "1", 60)
            server.process.send_signal(SIGSTOP)
            with caplog.at_level(logging.WARNING):
                async with asyncio.timeout(15):
                    assert await memory.context.get("quote") is None
            assert len(caplog.records) == 1
    finally:
        server.kill()
