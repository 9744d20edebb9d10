"""Backup and restore: everything the owner would miss, in one ZIP file that any database can take back.

The database is written as rows, read in one transaction, so that a running copilot may be backed up and what was kept
in SQLite can be restored into MySQL and the other way round. Beside it stand the conversations (where they live in a
file), trained models, the owner's own agents and the small files of `data_dir`. Left out on purpose: what can be made
again (the simulated market, the page's folder), keys of sessions, and conversations in Redis, which Redis saves itself.

A backup holds one world (which venue on which prices): the one that the copilot runs in. It names it, and goes back
into that world alone; the owner's permission for real money stays behind, and is typed anew.

A backup is written beside its final name and renamed when it is whole; a restore takes only an empty place, checks
every file against its hash first, and puts the rows in within one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from alembic.runtime.migration import MigrationContext
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    TypeDecorator,
    create_engine,
    func,
    insert,
    select,
    type_coerce,
)
from sqlalchemy.types import TypeEngine

from copilot.database import metadata, open_database
from copilot.settings import Settings
from copilot.world_in_use import in_world, other_worlds, settle_world
from engine.data.files import write_atomically
from engine.domain.errors import ConfigError

Report = Callable[[float, str], None]
FORMAT = 2
_MANIFEST = "manifest.json"
_FOLDERS = ("models", "agents")
_FILES = ("password.argon2", "replay.json")
_BARS = "bars"
_MEMORY = "memory.db"
_CHUNK_ROWS = 5000
_READ_BYTES = 1 << 20
_ROWS_SHARE = 0.5


class StoredFile(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    size: int
    rows: int | None = None


class Manifest(BaseModel):
    """What a backup holds.

    Attributes:
        revision: Of the database's tables.
        world: Whose account it is; empty in backups of before there were several.
        left_out: Codes of what it does not hold: `bars`, `redis`, and `world:NAME` for accounts of other worlds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    made_at: datetime
    revision: str
    world: str = ""
    parts: dict[str, StoredFile]
    left_out: tuple[str, ...]


def back_up(settings: Settings, path: Path, made_at: datetime, report: Report, *, has_bars: bool = False) -> Manifest:
    """Write a backup.

    Args:
        settings: Where everything lives.
        path: The ZIP file to write; an existing one is never overwritten.
        made_at: Aware UTC.
        report: Told how far it is (0-1) and what is being written.
        has_bars: Whether stored bars go in too; they can be large, and can be ingested again.

    Raises:
        ConfigError: The file exists or cannot be written, or the database cannot be read.
    """
    if path.exists():
        raise ConfigError(f"{path} exists; choose another name, a backup is never overwritten")
    settings = settle_world(settings)
    database = open_database(settings.database)
    draft = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            parts, revision = _write_rows(archive, database, report)
            left_out = _write_memory(archive, settings, parts)
            files = list(_files(settings.data_dir, has_bars=has_bars))
            for number, (name, file) in enumerate(files):
                parts[name] = _write_file(archive, name, file)
                report(_ROWS_SHARE + (1 - _ROWS_SHARE) * number / len(files), name)
            if not has_bars and (settings.data_dir / _BARS).exists():
                left_out.append("bars")
            left_out += [f"world:{name}" for name in other_worlds(settings)]
            manifest = Manifest(
                format=FORMAT,
                made_at=made_at,
                revision=revision,
                world=settings.world,
                parts=parts,
                left_out=tuple(left_out),
            )
            archive.writestr(_MANIFEST, manifest.model_dump_json(indent=1))
        draft.rename(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror or error}); choose another folder") from error
    finally:
        draft.unlink(missing_ok=True)
        database.dispose()
    report(1.0, "")
    return manifest


def restore(settings: Settings, path: Path, report: Report) -> Manifest:
    """Put a backup back into an empty place.

    Raises:
        ConfigError: The file is no whole backup, was made by a newer version or in a world that the settings cannot
            mean, or the place is not empty.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _checked(archive, path, report)
            settings = _place_of(settings, manifest)
            settings.world_dir.mkdir(parents=True, exist_ok=True)
            database = open_database(settings.database)
            try:
                _refuse_used(settings, database, manifest)
                _restore_files(archive, settings, manifest)
                _restore_rows(archive, database, manifest, report)
                _note_market(settings, manifest)
            finally:
                database.dispose()
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read as a backup ({error})") from error
    report(1.0, "")
    return manifest


def _place_of(settings: Settings, manifest: Manifest) -> Settings:
    """Return the settings in the world of a backup."""
    if not manifest.world:
        return settle_world(settings)
    found = in_world(settings, manifest.world)
    if found is None:
        raise ConfigError(
            f"the backup holds an account of {manifest.world!r}, and the settings say {settings.world!r}; set "
            "COPILOT_MARKET and COPILOT_VENUE to what they were when it was made"
        )
    return found


def _note_market(settings: Settings, manifest: Manifest) -> None:
    """Note what `auto` has come to, so that commands find the account before the first start."""
    if manifest.world in ("simulated", "binance-paper") and not settings.market_file.exists():
        write_atomically(settings.market_file, lambda draft: draft.write_text(settings.market_kind))


def _write_rows(archive: zipfile.ZipFile, database: Engine, report: Report) -> tuple[dict[str, StoredFile], str]:
    """Write every table as JSON lines, as one moment of the database."""
    parts, tables = dict[str, StoredFile](), metadata.sorted_tables
    is_sqlite = database.dialect.name == "sqlite"
    isolated = database if is_sqlite else database.execution_options(isolation_level="REPEATABLE READ")
    with isolated.connect() as connection, connection.begin():
        revision = MigrationContext.configure(connection).get_current_revision() or ""
        for number, table in enumerate(tables):
            name, count, digest, size = f"tables/{table.name}.jsonl", 0, hashlib.sha256(), 0
            with archive.open(name, "w") as written:
                for line in _lines(connection, table):
                    written.write(line)
                    digest.update(line)
                    count, size = count + 1, size + len(line)
            parts[name] = StoredFile(sha256=digest.hexdigest(), size=size, rows=count)
            report(_ROWS_SHARE * number / len(tables), table.name)
    return parts, revision


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """Yield rows as the database keeps them: exact numbers as text, times as microseconds."""
    raw = [type_coerce(column, _plain_type(column)) for column in table.columns]
    names = [column.name for column in table.columns]
    ordered = select(*raw).select_from(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(stream_results=True, yield_per=_CHUNK_ROWS).execute(ordered):
        yield json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False).encode() + b"\n"


def _write_memory(archive: zipfile.ZipFile, settings: Settings, parts: dict[str, StoredFile]) -> list[str]:
    """Write a consistent copy of the conversations, where they live in a file."""
    if not settings.memory.startswith("sqlite"):
        return ["redis"]
    source = Path(create_engine(settings.memory).url.database or "")
    if source.exists():
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / _MEMORY
            with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as kept:
                live.backup(kept)
            parts[_MEMORY] = _write_file(archive, _MEMORY, copy)
    return []


def _files(folder: Path, *, has_bars: bool) -> Iterator[tuple[str, Path]]:
    for name in _FILES:
        if (folder / name).is_file():
            yield f"files/{name}", folder / name
    for name in (*_FOLDERS, *([_BARS] if has_bars else [])):
        for file in sorted((folder / name).rglob("*")):
            if file.is_file():
                yield f"files/{file.relative_to(folder).as_posix()}", file


def _write_file(archive: zipfile.ZipFile, name: str, file: Path) -> StoredFile:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as read, archive.open(name, "w") as written:
        while chunk := read.read(_READ_BYTES):
            written.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return StoredFile(sha256=digest.hexdigest(), size=size)


def _checked(archive: zipfile.ZipFile, path: Path, report: Report) -> Manifest:
    """Return the manifest once every file has been compared with it."""
    try:
        manifest = Manifest.model_validate_json(archive.read(_MANIFEST))
    except (KeyError, ValidationError) as error:
        raise ConfigError(f"{path} is no backup of the copilot") from error
    if manifest.format > FORMAT:
        raise ConfigError(f"{path} was made by a newer version; upgrade the copilot first")
    for number, (name, part) in enumerate(manifest.parts.items()):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or _digest(archive, name) != part.sha256:
            raise ConfigError(f"{path} is damaged at {name}; use another backup")
        report(_ROWS_SHARE * number / len(manifest.parts), name)
    return manifest


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    try:
        with archive.open(name) as read:
            while chunk := read.read(_READ_BYTES):
                digest.update(chunk)
    except (KeyError, zipfile.BadZipFile):
        return ""
    return digest.hexdigest()


def _refuse_used(settings: Settings, database: Engine, manifest: Manifest) -> None:
    tables = _tables(manifest)
    with database.connect() as connection:
        used = [name for name in tables if connection.execute(select(func.count()).select_from(tables[name])).scalar()]
    if used:
        raise ConfigError(f"the database already holds data ({used[0]}); restore into an empty one")
    present = [name for name in _targets(settings, manifest).values() if name.exists()]
    if present:
        raise ConfigError(f"{present[0]} exists; restore into an empty data folder")


def _tables(manifest: Manifest) -> Mapping[str, Table]:
    names = [PurePosixPath(name).stem for name in manifest.parts if name.startswith("tables/")]
    unknown = [name for name in names if name not in metadata.tables]
    if unknown:
        raise ConfigError(f"the backup holds a table {unknown[0]!r} that this version does not know; upgrade first")
    return {name: metadata.tables[name] for name in names}


def _targets(settings: Settings, manifest: Manifest) -> dict[str, Path]:
    """Return where each file goes."""
    targets = {
        name: settings.data_dir / PurePosixPath(name).relative_to("files")
        for name in manifest.parts
        if name.startswith("files/")
    }
    if _MEMORY in manifest.parts and settings.memory.startswith("sqlite"):
        targets[_MEMORY] = Path(create_engine(settings.memory).url.database or "")
    return targets


def _restore_files(archive: zipfile.ZipFile, settings: Settings, manifest: Manifest) -> None:
    for name, target in _targets(settings, manifest).items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as read, target.open("wb") as written:
            while chunk := read.read(_READ_BYTES):
                written.write(chunk)


def _restore_rows(archive: zipfile.ZipFile, database: Engine, manifest: Manifest, report: Report) -> None:
    """Put all rows in, or none."""
    tables = _tables(manifest)
    ordered = [table for table in metadata.sorted_tables if table.name in tables]
    with database.begin() as connection:
        for number, table in enumerate(ordered):
            plain = _plain_table(table)
            with archive.open(f"tables/{table.name}.jsonl") as read:
                for rows in _batches(json.loads(line) for line in read):
                    connection.execute(insert(plain), rows)
            report(_ROWS_SHARE + (1 - _ROWS_SHARE) * number / len(ordered), table.name)


def _plain_table(table: Table) -> Table:
    """Return the table with the types that the database keeps, so that values go back in as they came out."""
    columns = [Column(column.name, _plain_type(column)) for column in table.columns]
    return Table(table.name, MetaData(), *columns)


def _plain_type(column: Column[Any]) -> TypeEngine[Any]:
    """Return the type of a column without our own conversions."""
    return column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _CHUNK_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
