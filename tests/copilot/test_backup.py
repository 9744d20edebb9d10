"""Backup and restore: everything comes back to the last digit, into SQLite or MariaDB, or nothing does."""

from __future__ import annotations

import asyncio
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from copilot.backup import Manifest, back_up, restore
from copilot.database import metadata, open_database
from copilot.memory import open_memory
from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError
from tests.tools.world import OWNER, World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def quiet(_done: float, _what: str) -> None:
    """Take a report and say nothing."""


def settings_in(folder: Path, database_url: str = "") -> Settings:
    folder.mkdir(exist_ok=True)
    return load_settings(data_dir=folder, database_url=database_url)


async def live_in(settings: Settings) -> None:
    """Trade, talk and keep files."""
    database = open_database(settings.database)
    world = World(database)
    await world.desk.start()
    ticket = await world.propose(amount=Decimal("1.23"))
    await world.tickets.approve(ticket.ticket_id, ticket.nonce, OWNER, "test")
    await world.tickets.execute(ticket.ticket_id)
    world.notices.notify(OWNER, "alert_fired", {"text": "ñ “quoted” \n line"})
    database.dispose()
    async with open_memory(settings.memory) as memory:
        await memory.facts.add(OWNER, "I never hold over the weekend", NOW)
    (settings.data_dir / "models" / "m").mkdir(parents=True)
    (settings.data_dir / "models" / "m" / "model.json").write_text("{}")
    (settings.data_dir / "agents").mkdir()
    (settings.data_dir / "agents" / "mine.yaml").write_text("name: mine\n")


def rows_of(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    database: Engine = open_database(settings.database)
    with database.connect() as connection:
        rows = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in metadata.sorted_tables
        }
    database.dispose()
    return rows


async def test_everything_comes_back(tmp_path: Path) -> None:
    old, new = settings_in(tmp_path / "old"), settings_in(tmp_path / "new")
    await live_in(old)
    made = back_up(old, tmp_path / "b.zip", NOW, quiet)
    assert restore(new, tmp_path / "b.zip", quiet) == made
    assert rows_of(new) == rows_of(old)
    assert sum(map(len, rows_of(new).values())) > 8
    assert (new.data_dir / "models" / "m" / "model.json").read_text() == "{}"
    assert (new.data_dir / "agents" / "mine.yaml").read_text() == "name: mine\n"
    async with open_memory(new.memory) as memory:
        assert [fact.text for fact in await memory.facts.list(OWNER)] == ["I never hold over the weekend"]
    database = open_database(new.database)
    world = World(database)
    await world.desk.start()
    assert (await world.desk.account()).positions["BTC/USDT"].quantity == Decimal("1.23")
    database.dispose()


@pytest.mark.mariadb
async def test_sqlite_moves_to_mariadb_and_back(tmp_path: Path, mariadb_url: str) -> None:
    old, new = settings_in(tmp_path / "old"), settings_in(tmp_path / "new", mariadb_url)
    await live_in(old)
    back_up(old, tmp_path / "b.zip", NOW, quiet)
    restore(new, tmp_path / "b.zip", quiet)
    assert rows_of(new) == rows_of(old)
    again = settings_in(tmp_path / "again")
    back_up(new, tmp_path / "c.zip", NOW, quiet)
    restore(again, tmp_path / "c.zip", quiet)
    assert rows_of(again) == rows_of(old)


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    old = settings_in(tmp_path / "old")
    await live_in(old)
    back_up(old, tmp_path / "b.zip", NOW, quiet)
    with pytest.raises(ConfigError, match="never overwritten"):
        back_up(old, tmp_path / "b.zip", NOW, quiet)
    before = rows_of(old)
    with pytest.raises(ConfigError, match="already holds data"):
        restore(old, tmp_path / "b.zip", quiet)
    assert rows_of(old) == before
    with_file = settings_in(tmp_path / "file")
    (with_file.data_dir / "agents").mkdir()
    (with_file.data_dir / "agents" / "mine.yaml").write_text("name: other\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml exists"):
        restore(with_file, tmp_path / "b.zip", quiet)
    assert (with_file.data_dir / "agents" / "mine.yaml").read_text() == "name: other\n"


async def test_a_damaged_backup_is_refused_whole(tmp_path: Path) -> None:
    old, new = settings_in(tmp_path / "old"), settings_in(tmp_path / "new")
    await live_in(old)
    back_up(old, tmp_path / "b.zip", NOW, quiet)
    with zipfile.ZipFile(tmp_path / "b.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name).replace(b"1.23", b"9.99") if "tables/" in name else good.read(name))
    with pytest.raises(ConfigError, match="damaged at tables/"):
        restore(new, tmp_path / "bad.zip", quiet)
    assert not any(rows_of(new).values())
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ConfigError, match="cannot be read as a backup"):
        restore(new, tmp_path / "text.zip", quiet)


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    manifest = Manifest.model_validate(
        {
            "format": 1,
            "made_at": NOW,
            "revision": "",
            "parts": {"files/../../evil": {"sha256": "", "size": 0}},
            "left_out": (),
        }
    )
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("files/../../evil", "x")
        archive.writestr("manifest.json", manifest.model_dump_json())
    with pytest.raises(ConfigError, match="damaged"):
        restore(settings_in(tmp_path / "new"), tmp_path / "evil.zip", quiet)


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path) -> None:
    old = settings_in(tmp_path / "old")
    asyncio.run(live_in(old))

    def stop(_done: float, what: str) -> None:
        if what.startswith("files/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(old, tmp_path / "b.zip", NOW, stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]
