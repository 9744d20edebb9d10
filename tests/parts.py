"""Real parts that some tests drive; an absent one skips with the way to get it, and fails under CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data" / "ohlcv"


def missing(part: str, how: str) -> NoReturn:
    """Skip, or fail when CI=true: a part that CI must have cannot be left out in silence."""
    line = f"{part} is not here; {how}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


def find_program(*names: str) -> str | None:
    """Return the path of the first program found, also outside the usual path."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if found:
            return found
    return None


def real_bars(relative: str) -> Path:
    """Return a file of real bars, or skip: they are never part of the repository."""
    path = SHARED_DATA / relative
    if not path.exists():
        pytest.skip(f"real bars {relative} are not here; tests on real data need them in ../shared/data/ohlcv")
    return path
