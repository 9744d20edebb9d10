"""Training goes on where it was interrupted, tells what made it, and refuses a device that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engine.data.simulated_cache import ParquetChunkStore
from engine.domain.errors import ConfigError
from engine.domain.market import FloatArray
from engine.ml import device
from engine.ml.dataset import TARGETS
from engine.ml.device import choose_device, cuda_obstacle
from engine.ml.registry import ModelRegistry, TrainedModel
from engine.ml.training import FOLDS, train
from engine.ml.version import code_version
from tests.engine.ml.bars import random_walk

AT = datetime(2026, 1, 1, tzinfo=UTC)
BARS = random_walk(2600, seed=7)
FITS = FOLDS + 1


class Interrupted(Exception):
    pass


class CountingStore(ParquetChunkStore):
    saved = 0

    def save(self, name: str, arrays: Mapping[str, FloatArray]) -> None:
        self.saved += 1
        super().save(name, arrays)


def fit(store: CountingStore | None = None, stop_at: float = 2.0) -> TrainedModel:
    def tell(done: float, _what: str) -> None:
        if stop_at <= done < 1.0:
            raise Interrupted

    return train({BARS.symbol: BARS}, "1h", created_at=AT, progress=tell, store=store)


@pytest.fixture(scope="module")
def whole() -> TrainedModel:
    return fit()


@pytest.fixture(autouse=True)
def _fresh_probe() -> Iterator[None]:
    cuda_obstacle.cache_clear()
    yield
    cuda_obstacle.cache_clear()


def test_an_interrupted_training_goes_on_and_gives_the_same_model(whole: TrainedModel, tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    with pytest.raises(Interrupted):
        fit(store, stop_at=0.4)
    first = store.saved
    assert 2 <= first < FITS
    resumed = fit(store)
    assert store.saved == FITS
    assert resumed.manifest == whole.manifest
    rows = np.random.default_rng(1).normal(size=(50, len(whole.manifest.features)))
    for name in TARGETS:
        mine, theirs = (each.tpsl.boosters[name].inplace_predict(rows) for each in (resumed, whole))
        np.testing.assert_array_equal(mine, theirs)
    again = fit(store)
    assert store.saved == FITS
    assert again.manifest == whole.manifest
    np.testing.assert_array_equal(again.range.predict(rows)[0], whole.range.predict(rows)[0])


def test_fits_of_other_code_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CountingStore(tmp_path)
    with pytest.raises(Interrupted):
        fit(store, stop_at=0.2)
    before = store.saved
    monkeypatch.setattr("engine.ml.training.code_version", lambda: "other")
    with pytest.raises(Interrupted):
        fit(store, stop_at=0.2)
    assert store.saved > before


def test_a_manifest_tells_device_and_code(whole: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    saved = registry.save(whole)
    content = json.loads((tmp_path / saved.id / "manifest.json").read_text())
    assert (content["device"], content["code_version"]) == ("cpu", code_version())
    assert registry.load(registry.manifests()[0]).manifest == saved


def test_a_manifest_from_before_device_and_code_still_loads(whole: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    saved = registry.save(replace(whole, manifest=replace(whole.manifest, code_version="")))
    content = json.loads((tmp_path / saved.id / "manifest.json").read_text())
    assert not {"device", "code_version"} & set(content)
    loaded = registry.latest("1h", BARS.symbol)
    assert loaded is not None
    assert loaded.manifest == saved


def test_cuda_without_a_gpu_is_an_error_and_auto_takes_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_visible_gpus", lambda: 0)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="COPILOT_DEVICE is 'cuda', but no NVIDIA GPU is visible"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="no NVIDIA GPU is visible"):
        train({BARS.symbol: BARS}, "1h", created_at=AT, progress=lambda _done, _what: None, device="cuda")


def test_auto_takes_a_gpu_that_grows_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_visible_gpus", lambda: 1)
    monkeypatch.setattr(device, "_grows_on_cuda", lambda: True)
    assert choose_device("auto") == "cuda"
    assert choose_device("cpu") == "cpu"


def test_a_gpu_that_xgboost_cannot_use_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_visible_gpus", lambda: 1)
    monkeypatch.setattr(device, "_grows_on_cuda", lambda: False)
    assert choose_device("auto") == "cpu"
