"""The kill switch from a terminal: it stops, it stays, and only a person lifts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from copilot.cli import app
from copilot.database import open_database
from engine.domain.errors import InvalidRequest
from tests.agents.execution.fakes import FakeMarket
from tests.tools.world import HERE, World, trade
from tools.results import TicketRefused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("copilot.markets._open_local", lambda _settings, _progress: FakeMarket())
    return tmp_path


async def _reasons(folder: Path) -> tuple[str, ...]:
    """Return why the gate refuses a plain order now; nothing when it does not."""
    database = open_database(f"sqlite:///{folder / 'copilot.db'}")
    world = World(database)
    await world.desk.start()
    told = await world.tickets.propose(trade(), HERE)
    database.dispose()
    return told.reasons if isinstance(told, TicketRefused) else ()


def test_what_was_stopped_stays_so_until_a_person_lifts_it(folder: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["stop"]).exit_code == 0
    assert "halted" in asyncio.run(_reasons(folder))
    assert run(app, ["lift"], input="n\n").exit_code == 1
    assert "halted" in asyncio.run(_reasons(folder))
    assert run(app, ["lift", "--yes"]).exit_code == 0
    assert asyncio.run(_reasons(folder)) == ()


def test_the_file_must_go_before_a_lift(folder: Path) -> None:
    run = CliRunner().invoke
    (folder / "STOP").touch()
    refused = run(app, ["lift", "--yes"])
    assert isinstance(refused.exception, InvalidRequest)
    assert refused.exception.code == "kill_file"
    (folder / "STOP").unlink()
    assert run(app, ["lift", "--yes"]).exit_code == 0
