"""Open conversation memory by its URL; a store that cannot be used stops the start with one clear line."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError

from copilot.memory.redis_store import RedisThreads
from copilot.memory.saver import MemorySaver
from copilot.memory.sqlite_store import SqliteThreads
from engine.domain.errors import ConfigError

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
async def open_memory(url: str, *, ttl_s: int | None = None, confirmation_s: int = 0) -> AsyncIterator[MemorySaver]:
    """Yield conversation memory in the store that the URL names.

    Args:
        url: `sqlite:///FILE` (four slashes for an absolute path), `redis://`, `rediss://` or `unix://`.
        ttl_s: Seconds that Redis keeps a conversation after its last turn; None keeps it for good.
        confirmation_s: Longest that a confirmation may be pending; memory must outlive it.

    Raises:
        ConfigError: The URL, the time to live or the store cannot be used.
    """
    _check_ttl(url, ttl_s, confirmation_s)
    if url.startswith(_SQLITE):
        store: SqliteThreads | RedisThreads = await _open_sqlite(Path(url.removeprefix(_SQLITE)))
    else:
        store = await _open_redis(url, ttl_s)
    try:
        yield MemorySaver(store)
    finally:
        await store.close()


def _check_ttl(url: str, ttl_s: int | None, confirmation_s: int) -> None:
    if ttl_s is None:
        return
    if url.startswith(_SQLITE):
        raise ConfigError(f"conversation memory in SQLite has no time to live, and {ttl_s} s are set: leave it out")
    if ttl_s < max(confirmation_s, 1):
        raise ConfigError(
            f"conversation memory is kept for {ttl_s} s, and a confirmation may be pending for {confirmation_s} s: "
            "set a longer time to live"
        )


async def _open_sqlite(path: Path) -> SqliteThreads:
    if path == Path():
        raise ConfigError(f"conversation memory needs a file: write {_SQLITE}FILE")
    store = SqliteThreads(path)
    try:
        await store.open()
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"conversation memory in {path} cannot be used: {error}") from error
    return store


async def _open_redis(url: str, ttl_s: int | None) -> RedisThreads:
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
    return RedisThreads(client, name, ttl_s)


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
