"""A store that cannot be used stops the start with one line that holds no secret."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from copilot.memory import open_memory
from engine.domain.errors import ConfigError
from tests.conftest import free_port
from tests.copilot.memory.conftest import RedisServer, redis_program

SECRET = "s3cret-w0rd"


async def _refusal(url: str, *, ttl_s: int | None = None, confirmation_s: int = 0) -> str:
    with pytest.raises(ConfigError) as caught:
        async with open_memory(url, ttl_s=ttl_s, confirmation_s=confirmation_s):
            pass
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    assert SECRET not in repr(caught.value.__cause__)
    return line


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(redis_program(), tmp_path_factory.mktemp("guarded"), free_port(), password="another")
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "is unknown"),
        ("memory.db", "is unknown"),
        (f"mysql://ana:{SECRET}@db/x", "mysql:// is unknown"),
        ("sqlite:///", "needs a file"),
        (f"redis://:{SECRET}@host:port/0", "host and port"),
        (f"redis://:{SECRET}@[::1/0", "host and port"),
        (f"redis://ana:{SECRET}@127.0.0.1:1/0", "redis://127.0.0.1:1/0 cannot be used"),
        (f"redis://:{SECRET}@127.0.0.1/0?socket_timeout=soon", "an option of the URL is wrong"),
        (f"redis://:{SECRET}@127.0.0.1/0?wrong=1", "an option of the URL is wrong"),
    ],
)
async def test_a_wrong_url_is_told_in_one_line(url: str, told: str) -> None:
    assert told in await _refusal(url)


async def test_a_wrong_password_is_told_without_it(guarded_server: RedisServer) -> None:
    url = f"redis://:{SECRET}@127.0.0.1:{guarded_server.port}/0"
    assert "cannot be used" in await _refusal(url)
    assert "cannot be used" in await _refusal(f"redis://127.0.0.1:{guarded_server.port}/0")
    async with open_memory(guarded_server.url) as memory:
        assert [found async for found in memory.alist(None)] == []


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "memory.db").write_text("not a database, but long enough to be looked at " * 100)
    assert "memory.db cannot be used" in await _refusal(f"sqlite:///{tmp_path / 'memory.db'}")


async def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "cannot be used" in await _refusal(f"sqlite:///{tmp_path / 'data' / 'memory.db'}")


async def test_memory_never_dies_before_a_pending_confirmation() -> None:
    assert "a confirmation may be pending for 120 s" in await _refusal("redis://x/0", ttl_s=119, confirmation_s=120)
    assert "kept for 0 s" in await _refusal("redis://x/0", ttl_s=0)


async def test_only_its_user_reads_the_file(tmp_path: Path) -> None:
    async with open_memory(f"sqlite:///{tmp_path / 'deep' / 'memory.db'}"):
        assert stat.S_IMODE((tmp_path / "deep" / "memory.db").stat().st_mode) == 0o600
