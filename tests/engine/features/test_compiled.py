"""Where compiled code is kept: beside the source alone; read-only installations and stale files do no harm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest

from engine.features import compiled
from engine.features.compiled import _new_cache, entry
from engine.features.definitions import feature_matrix
from engine.features.machine import load_machine
from tests.engine.features.bars import calm

FLOAT = numba.float64


def twice(x: float) -> float:
    return 2 * x


def test_whole_numbers_do_not_compile_anything_more() -> None:
    made = entry(twice, (FLOAT,))
    assert made(3) == 6.0
    assert len(made.signatures) == 1  # type: ignore[attr-defined]  # a numba dispatcher


def test_cache_lies_beside_the_source() -> None:
    folder = Path(compiled.__file__).parent / "__pycache__"
    for each in load_machine():
        assert Path(each._cache.cache_path) == folder  # type: ignore[attr-defined]  # a numba dispatcher


def test_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("numba.core.caching.os.makedirs", refuse)
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", refuse)
    assert entry(twice, (FLOAT,))(2.0) == 4.0


def test_change_in_any_kernel_makes_the_cache_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in compiled._SOURCES:
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    before = _new_cache(twice)._impl.locator.get_source_stamp()
    (tmp_path / "windows.py").write_text("two")
    assert _new_cache(twice)._impl.locator.get_source_stamp() != before


def test_every_compiled_file_is_in_the_stamp() -> None:
    folder = Path(compiled.__file__).parent
    made = {
        path.name for path in folder.glob("*.py") if "@inner" in path.read_text() or "@outlined" in path.read_text()
    }
    assert made <= set(compiled._SOURCES)


def test_second_process_compiles_nothing() -> None:
    load_machine()
    script = (
        "from engine.features.machine import load_machine\n"
        "for each in load_machine():\n"
        "    assert sum(each.stats.cache_hits.values()) == 1, each.stats\n"
        "    assert not each.stats.cache_misses, each.stats\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_prices_that_cannot_be_written_are_read() -> None:
    bars = calm()[:600]
    expected = feature_matrix(bars).values
    frozen = bars.close.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(feature_matrix(replace(bars, close=frozen)).values, expected)
