"""Shared fixtures: a guard against the network, and a real MariaDB of our own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, settings

from tests.parts import REPOSITORY, find_program, missing

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")

# A busy machine is no counterexample.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

LONG_FILES = (
    "copilot/test_cli_processes.py",
    "copilot/web/test_browser.py",
    "engine/dashboard/test_browser.py",
    "copilot/test_kill.py",
    "ollama/test_weak_model.py",
    "agents/fleet/test_soak.py",
    "agents/fund/test_kill.py",
    "tools/agents/test_kill.py",
    "copilot/memory/test_processes.py",
    "agents/supervisor/test_processes.py",
    "engine/ml/test_training.py",
    "engine/ml/test_honesty.py",
    "copilot/test_bootstrap.py",
)
"""Files under `tests/` whose tests are few and long: begun last, one would keep a worker busy when all else is done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; the order is otherwise that of the folders."""
    rank = {REPOSITORY / "tests" / name: number for number, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any connection beyond this machine an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOCAL):
            raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True, scope="session")
def _nothing_at_hand() -> Iterator[None]:
    """Let neither an Ollama that happens to run nor a network be looked for; tests that want one name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPILOT_CHAT_MODEL", "offline")
        patch.setenv("COPILOT_MARKET", "simulated")
        yield


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a private MariaDB and return its port."""
    server, install = find_program("mariadbd", "mysqld"), find_program("mariadb-install-db")
    if server is None or install is None:
        missing("MariaDB", "apt-get install mariadb-server")
    folder = tmp_path_factory.mktemp("mariadb")
    port = free_port()
    subprocess.run(
        [
            install,
            "--no-defaults",
            f"--datadir={folder}/data",
            "--auth-root-authentication-method=normal",
            "--user=root",
        ],
        check=True,
        capture_output=True,
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            server,
            "--no-defaults",
            "--user=root",
            f"--datadir={folder}/data",
            f"--socket={folder}/socket",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--innodb-buffer-pool-size=128M",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        _wait_for_mariadb(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait_for_mariadb(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="root").close()
        except pymysql.err.OperationalError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"MariaDB did not start: {log.read_text(errors='replace')[-2000:]}", pytrace=False)


@pytest.fixture
def mariadb_url(mariadb_server: int) -> Iterator[str]:
    """Return the URL of an empty database on the private MariaDB."""
    name = f"copilot_{time.monotonic_ns()}"
    connection = pymysql.connect(host="127.0.0.1", port=mariadb_server, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        connection.commit()
    yield f"mysql+pymysql://root@127.0.0.1:{mariadb_server}/{name}"
    connection = pymysql.connect(host="127.0.0.1", port=mariadb_server, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
        connection.commit()
