"""Two real processes on one database: kill -9, a process that is stopped and wakes up, an orderly end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from tests.agents.supervisor.process import SETTINGS, deeds
from tests.freezing import freeze

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0
BOTH = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
EACH = ["sqlite", pytest.param("mariadb", marks=(pytest.mark.mariadb, pytest.mark.prove))]
"""Both databases, the second one only among the long proofs."""


@dataclass(frozen=True, slots=True)
class Deed:
    fence: int
    pid: int
    at: float


class Pair:
    """Processes that share a database."""

    def __init__(self, url: str, database: Engine) -> None:
        self._url = url
        self._database = database
        self.processes: list[subprocess.Popen[bytes]] = []
        deeds.create(database)

    def start(self, host: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.agents.supervisor.process", self._url, host]
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def done(self) -> list[Deed]:
        query = select(deeds.c.fence, deeds.c.pid, deeds.c.at).order_by(deeds.c.number)
        with self._database.connect() as connection:
            return [Deed(row.fence, row.pid, row.at) for row in connection.execute(query)]

    def count(self, pid: int) -> int:
        query = select(func.count()).select_from(deeds).where(deeds.c.pid == pid)
        with self._database.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        is_file = self._url.startswith("sqlite:///")
        freeze(process, Path(self._url.removeprefix("sqlite:///")) if is_file else None)

    def works(self, process: subprocess.Popen[bytes], more: int = 10) -> None:
        """Wait until a process has done something."""
        before = self.count(process.pid)
        until(lambda: self.count(process.pid) >= before + more)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def assert_one_leader_at_a_time(done: list[Deed]) -> None:
    """Every term belongs to one process, and all of it lies before the next one."""
    fences = [deed.fence for deed in done]
    assert fences == sorted(fences)
    for fence in set(fences):
        assert len({deed.pid for deed in done if deed.fence == fence}) == 1
    ordered = sorted(done, key=lambda deed: deed.at)
    assert [deed.fence for deed in ordered] == fences


@pytest.fixture
def pair(database_url: str, database: Engine) -> Iterator[Pair]:
    pair = Pair(database_url, database)
    yield pair
    for process in pair.processes:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


@pytest.mark.parametrize("database_url", EACH, indirect=True)
def test_a_process_here_takes_over_at_once_from_one_that_was_killed(pair: Pair) -> None:
    one = pair.start("here")
    pair.works(one)
    two = pair.start("here")
    pair.works(one, more=100)
    one.kill()
    one.wait(10)
    pair.works(two)
    done = pair.done()
    assert_one_leader_at_a_time(done)
    last, first = (max(d.at for d in done if d.pid == one.pid), min(d.at for d in done if d.pid == two.pid))
    assert first - last < SETTINGS.lease_s


@pytest.mark.parametrize("database_url", BOTH, indirect=True)
def test_a_process_elsewhere_takes_over_only_when_the_lease_has_run_out(pair: Pair) -> None:
    one = pair.start("east")
    pair.works(one)
    two = pair.start("west")
    pair.works(one, more=100)
    one.kill()
    one.wait(10)
    pair.works(two)
    done = pair.done()
    assert_one_leader_at_a_time(done)
    last, first = (max(d.at for d in done if d.pid == one.pid), min(d.at for d in done if d.pid == two.pid))
    assert first - last > SETTINGS.lease_s + SETTINGS.skew_s - SETTINGS.renew_s - 0.2


@pytest.mark.parametrize("database_url", EACH, indirect=True)
def test_a_leader_that_was_stopped_and_wakes_does_nothing_more_on_its_old_term(pair: Pair) -> None:
    one = pair.start("east")
    pair.works(one)
    two = pair.start("west")
    pair.freeze(one)
    pair.works(two)
    before = pair.count(one.pid)
    os.kill(one.pid, signal.SIGCONT)
    pair.works(two, more=150)
    assert pair.count(one.pid) == before
    assert_one_leader_at_a_time(pair.done())
    two.kill()
    pair.works(one)
    assert_one_leader_at_a_time(pair.done())


@pytest.mark.parametrize("database_url", EACH, indirect=True)
def test_an_orderly_end_hands_over_without_a_wait(pair: Pair) -> None:
    one = pair.start("east")
    pair.works(one)
    two = pair.start("west")
    pair.works(one, more=100)
    one.send_signal(signal.SIGINT)
    one.wait(10)
    pair.works(two)
    done = pair.done()
    assert_one_leader_at_a_time(done)
    last, first = (max(d.at for d in done if d.pid == one.pid), min(d.at for d in done if d.pid == two.pid))
    assert first - last < SETTINGS.lease_s


@pytest.mark.prove
def test_terms_never_overlap_however_often_leaders_are_killed(pair: Pair) -> None:
    for number in range(20):
        while sum(process.poll() is None for process in pair.processes) < 2:
            pair.start("here" if number % 2 else f"host{number}")
        until(lambda: any(process.poll() is None and pair.count(process.pid) for process in pair.processes))
        leaders = [process for process in pair.processes if process.poll() is None and pair.count(process.pid)]
        time.sleep(0.05 * (number % 7))
        leaders[-1].kill()
        leaders[-1].wait(10)
    assert_one_leader_at_a_time(pair.done())
    assert len({deed.fence for deed in pair.done()}) >= 20
