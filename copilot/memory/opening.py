"""Open conversation memory by its URL; a store that cannot be used stops the start with one clear line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError

from copilot.memory.cache import ContextCache
from copilot.memory.redis_facts import RedisCache, RedisFacts
from copilot.memory.redis_link import RedisLink
from copilot.memory.redis_store import RedisThreads
from copilot.memory.saver import MemorySaver
from copilot.memory.sqlite_facts import SqliteCache, SqliteFacts
from copilot.memory.sqlite_file import SqliteFile
from copilot.memory.sqlite_store import SqliteThreads
from engine.domain.errors import ConfigError, MemoryUnavailable

_SQLITE = "sqlite:///"
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_OLDEST_REDIS = 6
_CONNECTIONS = 32
_WAIT_S = 2.0
"""Longest wait for a free connection, a connection and an answer, each."""
_RETRIES = 4
"""Repeats after a broken connection, about a second in all; a repeated write changes nothing. A silent server is
not asked again: the person waits already."""


@asynccontextmanager
async def open_memory(
    url: str, *, ttl_s: int | None = None, confirmation_s: int = 0, clock: Callable[[], float] = time.time
) -> AsyncIterator[MemorySaver]:
    """Yield memory in the store that the URL names: conversations, and with them facts and the cache.

    Args:
        url: `sqlite:///FILE` (four slashes for an absolute path), `redis://`, `rediss://` or `unix://`.
        ttl_s: Seconds that a conversation is kept after its last turn; None keeps it for good. Facts stay.
        confirmation_s: Longest that a confirmation may be pending; memory must outlive it.
        clock: Seconds since the epoch, for SQLite; Redis goes by its own clock.

    Raises:
        ConfigError: The URL, the time to live or the store cannot be used.
    """
    _check_ttl(ttl_s, confirmation_s)
    if url.startswith(_SQLITE):
        memory = await _open_sqlite(Path(url.removeprefix(_SQLITE)), ttl_s, clock)
    else:
        memory = await _open_redis(url, ttl_s)
    try:
        yield memory
    finally:
        await memory.close()


def _check_ttl(ttl_s: int | None, confirmation_s: int) -> None:
    if ttl_s is not None and ttl_s < max(confirmation_s, 1):
        raise ConfigError(
            f"conversation memory is kept for {ttl_s} s, and a confirmation may be pending for {confirmation_s} s: "
            "set a longer time to live"
        )


async def _open_sqlite(path: Path, ttl_s: int | None, clock: Callable[[], float]) -> MemorySaver:
    if path == Path():
        raise ConfigError(f"conversation memory needs a file: write {_SQLITE}FILE")
    file = SqliteFile(path)
    threads = SqliteThreads(file, ttl_s, clock)
    try:
        await file.open()
        try:
            await threads.prune()
        except BaseException:
            await file.close()
            raise
    except (sqlite3.Error, OSError, MemoryUnavailable) as error:
        raise ConfigError(f"conversation memory in {path} cannot be used: {error}") from error
    return MemorySaver(threads, SqliteFacts(file), ContextCache(SqliteCache(file, clock)))


async def _open_redis(url: str, ttl_s: int | None) -> MemorySaver:
    try:
        parts = urlsplit(url)
        name = _without_secrets(parts)
    except ValueError:
        raise ConfigError("the URL of conversation memory cannot be read: check its host and port") from None
    if parts.scheme not in _REDIS_SCHEMES:
        raise ConfigError(
            f"conversation memory at {parts.scheme or '?'}:// is unknown: write sqlite:///FILE or redis://HOST:PORT/0"
        )
    client = _client(url, name)
    try:
        await _check_server(client, name)
    except BaseException:
        await client.aclose()
        raise
    link = RedisLink(client, name)
    return MemorySaver(RedisThreads(link, ttl_s), RedisFacts(link), ContextCache(RedisCache(link)))


def _client(url: str, name: str) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_WAIT_S,
            socket_timeout=_WAIT_S,
            socket_connect_timeout=_WAIT_S,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), _RETRIES, supported_errors=(RedisConnectionError,)),
        )
    except (ValueError, TypeError):
        raise _wrong_option(name) from None
    return Redis.from_pool(pool)


async def _check_server(client: Redis, name: str) -> None:
    try:
        version = await _version(client)
    except TypeError:
        raise _wrong_option(name) from None
    except (RedisError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        password = client.connection_pool.connection_kwargs.get("password")
        raise ConfigError(
            f"conversation memory at {name} cannot be used: {why.replace(password, '***') if password else why}"
        ) from None
    if version is not None and version < _OLDEST_REDIS:
        raise ConfigError(f"conversation memory at {name} needs Redis {_OLDEST_REDIS} or later; this is {version}")


def _wrong_option(name: str) -> ConfigError:
    return ConfigError(f"conversation memory at {name} cannot be used: an option of the URL is wrong")


async def _version(client: Redis) -> int | None:
    """Return the server's major version; None where the user may not ask."""
    try:
        return int(str((await client.info("server"))["redis_version"]).split(".")[0])
    except NoPermissionError:
        return None


def _without_secrets(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{'' if parts.port is None else f':{parts.port}'}{parts.path}"
