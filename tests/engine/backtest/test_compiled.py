"""Compiled code on disk: found again, made anew when a source changes, and never needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine.backtest.compiled as compiled

PROGRAM = """
import numpy as np
from decimal import Decimal
from numba.core.dispatcher import Dispatcher
from engine.backtest import AccountSettings, Listing, run_decisions
from engine.backtest.fast import _one
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars
from engine.domain.strategies import Decisions
from engine.backtest import compiled

flat = np.full(10, 100.0)
bars = Bars("BTC/USDT", "1h", np.arange(10, dtype=np.int64) * 3600, flat, flat, flat, flat, flat)
run = run_decisions(
    Listing(bars, build_instrument("BTC/USDT")), Decisions(np.array([1] + [0] * 9, np.int8)), AccountSettings()
)
print(len(run.trades), sum(_one().stats.cache_hits.values()), _one().stats.cache_path)
"""
SOURCES = Path(compiled.__file__).parents[1]


def start(root: Path, **environment: str) -> tuple[int, int, str]:
    """Run a backtest in a process of its own; return its trades, what came from disk, and from where."""
    clean = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=root,
        env={**clean, "PYTHONPATH": str(root), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trades, hits, path = done.stdout.split(maxsplit=2)
    return int(trades), int(hits), path.strip()


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """Return a copy of the package without any compiled code."""
    root = tmp_path / "install"
    shutil.copytree(SOURCES, root / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.mark.prove
def test_code_is_kept_beside_the_package_and_made_anew_when_a_source_changes(install: Path) -> None:
    folder = str(install / "engine" / "backtest" / "__pycache__")
    assert start(install) == (1, 0, folder)
    assert start(install) == (1, 1, folder)
    rules = install / "engine" / "backtest" / "rules.py"
    rules.write_text(rules.read_text() + "\n# changed\n")
    assert start(install) == (1, 0, folder)


@pytest.mark.prove
def test_code_is_kept_in_the_folder_that_the_environment_names(install: Path, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    trades, hits, path = start(install, NUMBA_CACHE_DIR=kept)
    assert (trades, hits, path.startswith(kept)) == (1, 0, True)
    assert start(install, NUMBA_CACHE_DIR=kept)[1] == 1


UNWRITABLE = """
import numba.core.caching as caching
def refuse(self):
    raise OSError("read-only file system")
caching._CacheLocator.ensure_cache_path = refuse
"""


@pytest.mark.prove
def test_an_install_that_cannot_be_written_works_with_and_without_compiled_code(install: Path) -> None:
    # A read-only file system is played by refusing to prepare any folder: root may write wherever it likes.
    (install / "sitecustomize.py").write_text(UNWRITABLE)
    trades, hits, _ = start(install)
    assert (trades, hits) == (1, 0)
    (install / "sitecustomize.py").unlink()
    start(install)
    (install / "sitecustomize.py").write_text(UNWRITABLE)
    assert start(install)[:2] == (1, 1)


def test_the_stamp_covers_every_file_that_is_compiled() -> None:
    folder = SOURCES / "backtest"
    uses = {
        path.name
        for path in folder.glob("*.py")
        if any(mark in path.read_text() for mark in ("@inner", "= intrinsic(")) and path.name != "compiled.py"
    }
    assert uses | {"columns.py"} == set(compiled._SOURCES)
