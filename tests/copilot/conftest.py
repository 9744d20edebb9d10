"""A data folder as the first start leaves it, made once: market, database and a trained model."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from copilot.bootstrap import open_runtime
from copilot.settings import Settings, load_settings
from tests.sharing import made_once


def settings_for(data_dir: Path, **others: object) -> Settings:
    """Return settings that no `.env` changes."""
    return load_settings(_env_file=None, data_dir=data_dir, **others)


@pytest.fixture(scope="session")
def prepared_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder after a first start; read it, or copy it before changing it."""

    async def start_once(folder: Path) -> None:
        async with await open_runtime(settings_for(folder), lambda _done, _what: None):
            pass

    return made_once(tmp_path_factory, "prepared", lambda folder: asyncio.run(start_once(folder)))


@pytest.fixture
def data_dir(prepared_data_dir: Path, tmp_path: Path) -> Path:
    """Return a copy of the prepared folder, to be changed freely."""
    return shutil.copytree(prepared_data_dir, tmp_path / "data")
