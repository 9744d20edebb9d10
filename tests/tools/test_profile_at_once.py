"""Surfaces that change different settings in the same instant lose none, in threads and in processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, delete

from engine.data.database import connect_database, metadata
from tests.parts import REPOSITORY
from tools.profile import Profile, Profiles, Setting
from tools.tables import profiles as table

ROUNDS = 12
EVERYTHING: dict[Setting, object] = {
    "language": "es",
    "risk_per_trade_pct": Decimal("0.25"),
    "base_currency": "EUR",
    "favourites": ("XAUUSD", "BTC/USDT"),
    "name": "José Ñ",
}
WANTED = Profile("es", Decimal("0.25"), "EUR", ("XAUUSD", "BTC/USDT"), "José Ñ")

WRITER = """
    import sys
    from sqlalchemy import create_engine
    from engine.data.database import connect_database
    from tools.profile import Profiles

    url, setting, *values = sys.argv[1:]
    profiles = Profiles(connect_database(url))
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(30):
        profiles.change("ana", setting, values[n % len(values)])
"""


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'copilot.db'}"
    found: str = request.getfixturevalue("mariadb_url")
    return found


@pytest.fixture
def database(url: str) -> Engine:
    made = connect_database(url)
    metadata.create_all(made, tables=[table])
    return made


def _at_once(changes: list[Callable[[], None]]) -> None:
    barrier = Barrier(len(changes))

    def run(change: Callable[[], None]) -> None:
        barrier.wait(60)
        change()

    with ThreadPoolExecutor(len(changes)) as pool:
        for done in [pool.submit(run, change) for change in changes]:
            done.result(120)


def test_threads_that_change_different_settings_lose_none(database: Engine) -> None:
    profiles = Profiles(database)
    for round_number in range(ROUNDS):
        if round_number % 2 == 0:  # the first settings of an owner, which insert, and later ones, which update
            with database.begin() as connection:
                connection.execute(delete(table))
        else:
            for setting, value in zip(EVERYTHING, ("en", Decimal(1), "USD", (), "Ana"), strict=True):
                profiles.change("ana", setting, value)
        _at_once([lambda s=s, v=v: profiles.change("ana", s, v) for s, v in EVERYTHING.items()])  # type: ignore[misc]  # mypy can't infer a lambda's default
        assert profiles.get("ana") == WANTED
    database.dispose()


def test_processes_that_change_different_settings_lose_none(url: str, database: Engine) -> None:
    commands = [("name", "Ana", "José Ñ"), ("base_currency", "USD", "EUR"), ("language", "en", "es")]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), url, *command],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=180)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert Profiles(database).get("ana") == Profile("es", Decimal(1), "EUR", (), "José Ñ")
    database.dispose()


def test_the_same_value_again_changes_nothing(database: Engine) -> None:
    profiles = Profiles(database)
    for _ in range(2):
        profiles.change("ana", "name", "Ana")
        profiles.change("ana", "language", "es")
    assert profiles.get("ana") == Profile("es", name="Ana")
    database.dispose()
