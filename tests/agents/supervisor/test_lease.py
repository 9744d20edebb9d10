"""The lease: one holder at a time, a fence that only rises, on SQLite and MariaDB."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from agents.execution.rows import DatabaseFailed
from agents.supervisor import LeaseStore, has_fence
from agents.supervisor.lease import Lease, database_now, new_holder
from engine.data.database import connect_database
from tests.agents.supervisor.fakes import START

TIMES = {"lease_s": 30.0, "skew_s": 3.0}


class Now:
    """The database's clock, set by hand."""

    def __init__(self) -> None:
        self.present = START

    def __call__(self, connection: Connection) -> datetime:
        return self.present

    def pass_s(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def store(database: Engine, now: Now) -> LeaseStore:
    return LeaseStore(database, now=now)


def elsewhere(number: int = 1) -> str:
    """Return a holder on another machine, of which nothing is known."""
    return f"pid:[1]/elsewhere|boot|1|1|{number}"


def acquire(store: LeaseStore, holder: str) -> Lease | None:
    return store.acquire(holder, **TIMES)


def taken(store: LeaseStore, holder: str) -> Lease:
    lease = acquire(store, holder)
    assert lease is not None
    return lease


def test_the_first_to_ask_leads_and_others_wait(store: LeaseStore) -> None:
    lease = taken(store, elsewhere(1))
    assert lease.fence == 1
    assert (lease.expires_at - lease.acquired_at).total_seconds() == 30
    assert acquire(store, elsewhere(2)) is None
    assert store.current() == lease


def test_nobody_leads_before_the_first_term(store: LeaseStore) -> None:
    assert store.current() is None


def test_a_lease_can_be_taken_only_past_its_end_and_the_margin_for_clocks(store: LeaseStore, now: Now) -> None:
    first = taken(store, elsewhere(1))
    now.pass_s(33)
    assert acquire(store, elsewhere(2)) is None
    now.pass_s(0.001)
    second = taken(store, elsewhere(2))
    assert second.fence > first.fence


def test_a_renewed_lease_lasts_longer(store: LeaseStore, now: Now) -> None:
    first = taken(store, elsewhere(1))
    now.pass_s(20)
    renewed = store.renew(first, lease_s=30)
    assert renewed is not None
    assert renewed.expires_at == now.present + timedelta(seconds=30)
    assert renewed.fence == first.fence
    now.pass_s(25)
    assert acquire(store, elsewhere(2)) is None


def test_an_old_leader_cannot_renew_or_release_what_another_took(store: LeaseStore, now: Now) -> None:
    first = taken(store, elsewhere(1))
    now.pass_s(40)
    second = taken(store, elsewhere(2))
    assert store.renew(first, lease_s=30) is None
    assert not store.release(first)
    assert store.current() == second


def test_a_released_lease_is_free_at_once_and_its_fence_is_worth_nothing(store: LeaseStore, database: Engine) -> None:
    first = taken(store, elsewhere(1))
    assert store.release(first)
    with database.begin() as connection:
        assert not has_fence(connection, first.fence)
    assert store.renew(first, lease_s=30) is None
    assert taken(store, elsewhere(2)).fence > first.fence


def test_a_fence_stands_until_the_next_term(store: LeaseStore, database: Engine, now: Now) -> None:
    first = taken(store, elsewhere(1))
    with database.begin() as connection:
        assert has_fence(connection, first.fence)
        assert not has_fence(connection, first.fence + 1)
    now.pass_s(40)
    second = taken(store, elsewhere(2))
    with database.begin() as connection:
        assert not has_fence(connection, first.fence)
        assert has_fence(connection, second.fence)


def test_a_fence_of_a_lease_that_was_never_taken_stands_for_nothing(database: Engine) -> None:
    with database.begin() as connection:
        assert not has_fence(connection, 1, "nobody")


def test_leases_of_two_names_do_not_touch(database: Engine, now: Now) -> None:
    assert taken(LeaseStore(database, "one", now=now), elsewhere(1)).fence == 1
    assert taken(LeaseStore(database, "two", now=now), elsewhere(2)).fence == 1


def test_a_holder_of_this_machine_that_has_ended_need_not_be_waited_for(store: LeaseStore) -> None:
    told = "from agents.supervisor.lease import new_holder; print(new_holder())"
    ended = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True).stdout.strip()
    first = taken(store, ended)
    assert taken(store, new_holder()).fence == first.fence + 1


def test_a_living_holder_of_this_machine_is_waited_for(store: LeaseStore) -> None:
    taken(store, new_holder())
    assert acquire(store, new_holder()) is None


def test_a_holder_in_another_namespace_of_process_ids_is_waited_for(store: LeaseStore) -> None:
    told = "from agents.supervisor.lease import new_holder; print(new_holder())"
    ended = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True).stdout.strip()
    taken(store, "pid:[1]/" + ended.partition("/")[2])
    assert acquire(store, new_holder()) is None


def test_of_many_that_ask_at_once_one_leads(database_url: str, now: Now) -> None:
    def ask(number: int) -> Lease | None:
        database = connect_database(database_url)
        try:
            return acquire(LeaseStore(database, now=now), elsewhere(number))
        finally:
            database.dispose()

    with ThreadPoolExecutor(8) as pool:
        for term in range(3):
            won = [lease for lease in pool.map(ask, range(16)) if lease is not None]
            assert len(won) == 1
            assert won[0].fence == term + 1
            now.pass_s(40)


def test_the_clock_is_the_databases(database: Engine) -> None:
    with database.begin() as connection:
        told = database_now(connection)
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5


def test_the_clock_of_the_database_knows_no_time_zone(mariadb_url: str) -> None:
    database = connect_database(mariadb_url)
    with database.begin() as connection:
        connection.exec_driver_sql("SET time_zone = '+09:00'")
        told = database_now(connection)
    database.dispose()
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5


def test_a_database_that_does_not_answer_is_told_as_such(database: Engine, now: Now) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE supervisor_leases")
    with pytest.raises(DatabaseFailed):
        acquire(LeaseStore(database, now=now), new_holder())


def test_a_holder_names_this_process(store: LeaseStore) -> None:
    assert f"|{os.getpid()}|" in new_holder()
    assert new_holder() != new_holder()
