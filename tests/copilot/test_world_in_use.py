"""The world that commands act on: the one a copilot trades in, whatever the network or a file says meanwhile."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.supervisor.heartbeats import Heartbeats
from copilot.backup import back_up, restore
from copilot.cli import app
from copilot.database import open_database
from copilot.settings import Settings, load_settings
from copilot.world_in_use import other_worlds, settle_world
from copilot.worlds import claim_world
from engine.domain.errors import ConfigError
from tests.agents.execution.fakes import FakeMarket
from tests.copilot.test_backup import NOW, live_in, quiet
from tests.tools.world import HERE, World, trade
from tools.results import TicketRefused

PAPER = "binance-paper"


def settings_in(folder: Path, **more: str) -> Settings:
    folder.mkdir(exist_ok=True)
    return load_settings(data_dir=folder, **{"market": "auto", **more})


def running(settings: Settings, at: datetime) -> None:
    """Write the heartbeat of a process that trades in a world."""
    database = open_database(settings.database)
    claim_world(database, settings.world)
    Heartbeats(database, alive_s=20).write("process", None, at, at, ())
    database.dispose()


def test_the_copilot_that_runs_decides_and_not_the_note(tmp_path: Path) -> None:
    auto = settings_in(tmp_path)
    auto.market_file.write_text("simulated")
    assert settle_world(auto, NOW).world == "simulated"
    running(settings_in(tmp_path, market="binance"), NOW)
    assert settle_world(auto, NOW).world == PAPER
    assert settle_world(auto, NOW + timedelta(minutes=5)).world == "simulated"
    assert auto.market_file.read_text() == "simulated"
    assert other_worlds(auto) == [PAPER]


def test_what_the_owner_set_stays(tmp_path: Path) -> None:
    running(settings_in(tmp_path, market="binance"), NOW)
    assert settle_world(settings_in(tmp_path, market="simulated"), NOW).world == "simulated"


def test_a_database_that_the_owner_names_tells_its_world(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    auto = settings_in(tmp_path, database_url=url)
    assert settle_world(auto, NOW).world == "simulated"
    running(settings_in(tmp_path, market="binance", database_url=url), NOW)
    assert settle_world(auto, NOW).world == PAPER


async def test_a_backup_names_its_world_and_goes_back_into_it(tmp_path: Path) -> None:
    auto = settings_in(tmp_path / "old")
    running(auto, NOW)
    auto.market_file.write_text("binance")
    in_paper = settings_in(tmp_path / "old", market="binance")
    in_paper.world_dir.mkdir()
    await live_in(in_paper)
    running(in_paper, NOW)
    manifest = back_up(auto, tmp_path / "b.zip", NOW, quiet)
    assert manifest.world == PAPER
    assert "world:simulated" in manifest.left_out
    fresh = settings_in(tmp_path / "new")
    restore(fresh, tmp_path / "b.zip", quiet)
    assert (fresh.data_dir / PAPER / "copilot.db").is_file()
    assert settle_world(fresh, NOW + timedelta(days=1)).world == PAPER
    with pytest.raises(ConfigError, match=PAPER):
        restore(settings_in(tmp_path / "third", market="simulated"), tmp_path / "b.zip", quiet)


def test_stop_is_in_force_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COPILOT_MARKET", "auto")
    monkeypatch.setenv("COPILOT_BINANCE_URL", "http://127.0.0.1:9")
    running(settings_in(tmp_path, market="binance"), datetime.now(UTC))
    done = CliRunner().invoke(app, ["stop", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["is_stopped"], told["world"]) == (True, PAPER)
    assert "Binance" in told["trouble"]
    assert asyncio.run(_reasons(settings_in(tmp_path, market="binance"))) == ("halted",)


async def _reasons(settings: Settings) -> tuple[str, ...]:
    """Return why the gate refuses a plain order now."""
    database = open_database(settings.database)
    world = World(database, market=FakeMarket())
    await world.desk.start()
    told = await world.tickets.propose(trade(), HERE)
    database.dispose()
    return told.reasons if isinstance(told, TicketRefused) else ()
