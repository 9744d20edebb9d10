"""Training end to end: honest on a random walk, able where there is something to learn, safe on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.signals import Direction
from engine.features.definitions import FEATURE_VERSION, WARMUP
from engine.ml.dataset import TARGETS
from engine.ml.economics import MIN_EDGE
from engine.ml.registry import ModelRegistry, TrainedModel
from engine.ml.signal import SignalGenerator
from engine.ml.tpsl import calibrate
from engine.ml.training import train
from tests.engine.ml.bars import random_walk

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
COST_RATIO = 0.002


def _train(bars_by_symbol: dict[str, Bars]) -> TrainedModel:
    return train(bars_by_symbol, "1h", created_at=CREATED_AT, progress=lambda _done, _what: None)


@pytest.fixture(scope="module")
def walks() -> dict[str, Bars]:
    return {symbol: random_walk(9000, seed, symbol=symbol) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))}


@pytest.fixture(scope="module")
def walk_model(walks: dict[str, Bars]) -> TrainedModel:
    return _train(walks)


def test_random_walk_shows_no_direction(walk_model: TrainedModel) -> None:
    """Overlapping labels of 24 bars count as one in twelve independent rows, which widens the standard error."""
    tested = walk_model.manifest.rows * 0.6 / 12
    error = np.sqrt((tested + 1) / (12 * (tested / 2) ** 2))  # Hanley and McNeil (1982), at an AUC of 0.5
    for side in ("long", "short"):
        assert abs(walk_model.manifest.metrics[f"auc_{side}_1"] - 0.5) < max(0.02, 2.5 * error)


def test_random_walk_gives_no_signals(walks: dict[str, Bars], walk_model: TrainedModel) -> None:
    """On unseen bars, at most one in a thousand may carry a signal."""
    unseen = random_walk(WARMUP + 1200, seed=99)
    generator = SignalGenerator(walk_model)
    directions = []
    for end in range(WARMUP + 200, len(unseen), 4):
        bars = unseen[end - WARMUP - 200 : end]
        now = utc_from_seconds(int(bars.time[-1]) + 3600)
        directions.append(generator.signal(bars, cost_ratio=COST_RATIO, now=now, is_simulated=True).direction)
    assert sum(direction is not Direction.NONE for direction in directions) <= max(1, len(directions) // 1000)


def test_range_covers_what_it_says(walk_model: TrainedModel) -> None:
    for name in ("up", "down"):
        assert abs(walk_model.manifest.metrics[f"coverage_{name}"] - 0.8) < 0.03
        assert walk_model.manifest.metrics[f"pinball_gain_{name}"] > -0.005


def test_planted_momentum_is_found() -> None:
    """Where the next day follows the last one, direction must be learned: the pipeline is not merely blind."""
    bars = random_walk(12_000, seed=3)
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.close[0]))
    drift = np.zeros(len(bars))
    for t in range(24, len(bars)):
        drift[t] = 0.0012 * np.sign(returns[t - 24 : t].sum() + drift[t - 24 : t].sum())
    factor = np.exp(np.cumsum(drift))
    trending = replace(bars, **{name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")})
    model = _train({"BTC/USDT": trending})
    metrics = model.manifest.metrics
    assert metrics["auc_long_1"] > 0.55
    assert metrics["brier_skill_long_1"] > 0
    assert model.is_proven("long_1")
    assert model.is_proven("short_1")


def test_signal_is_complete_and_says_why_not(walks: dict[str, Bars], walk_model: TrainedModel) -> None:
    bars = walks["AAA"]
    now = utc_from_seconds(int(bars.time[-1]) + 3600)
    signal = SignalGenerator(walk_model).signal(bars, cost_ratio=COST_RATIO, now=now, is_simulated=True)
    assert signal.direction is Direction.NONE
    assert signal.reason == "no_edge"
    assert signal.expected_value_ratio < MIN_EDGE
    assert (signal.target - signal.entry) * (signal.entry - signal.stop) > 0
    up, down = signal.expected_range.up, signal.expected_range.down
    assert list(up) == sorted(up)
    assert up[0] >= signal.close >= down[0]
    assert list(down) == sorted(down, reverse=True)
    assert signal.valid_until > now - timedelta(seconds=1)


def test_old_bars_give_a_stale_signal(walks: dict[str, Bars], walk_model: TrainedModel) -> None:
    bars = walks["AAA"]
    later = utc_from_seconds(int(bars.time[-1]) + 10 * 3600)
    signal = SignalGenerator(walk_model).signal(bars, cost_ratio=COST_RATIO, now=later, is_simulated=True)
    assert (signal.direction, signal.reason) == (Direction.NONE, "stale")


def test_too_few_bars_are_refused(walks: dict[str, Bars], walk_model: TrainedModel) -> None:
    with pytest.raises(DataUnavailable, match="a signal needs"):
        SignalGenerator(walk_model).signal(
            walks["AAA"][:WARMUP], cost_ratio=COST_RATIO, now=CREATED_AT, is_simulated=True
        )
    with pytest.raises(DataUnavailable, match="too few to train on"):
        _train({"AAA": walks["AAA"][:1000]})


def test_model_comes_back_from_disk_the_same(walks: dict[str, Bars], walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    saved = registry.save(walk_model)
    loaded = registry.latest("1h", "BBB")
    assert loaded is not None
    assert loaded.manifest == saved
    X = np.random.default_rng(1).standard_normal((50, len(saved.features)))
    for name in TARGETS:
        np.testing.assert_array_equal(loaded.tpsl.predict_proba(X)[name], walk_model.tpsl.predict_proba(X)[name])
    np.testing.assert_array_equal(loaded.range.predict(X)[0], walk_model.range.predict(X)[0])


def test_symbol_of_its_own_is_preferred_and_unknown_ones_have_none(walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    own = replace(walk_model, manifest=replace(walk_model.manifest, id="0", symbols=("BBB",)))
    registry.save(own)
    registry.save(walk_model)
    assert registry.latest("1h", "BBB").manifest.symbols == ("BBB",)  # type: ignore[union-attr]
    assert registry.latest("1h", "ZZZ") is None
    assert registry.latest("4h", "BBB") is None


def test_damaged_model_is_refused(walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    saved = registry.save(walk_model)
    path = tmp_path / saved.id / "long_1.ubj"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataUnavailable, match=r"damaged \(long_1.ubj is missing or altered\); train again"):
        registry.latest("1h", "AAA")


def test_altered_manifest_is_refused(walk_model: TrainedModel, tmp_path: Path) -> None:
    """A calibration decides what is called probable; its numbers are guarded like the trees."""
    registry = ModelRegistry(tmp_path)
    path = tmp_path / registry.save(walk_model).id / "manifest.json"
    content = json.loads(path.read_text())
    content["calibrations"]["long_1"][1] += 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(DataUnavailable, match="its manifest was altered"):
        registry.latest("1h", "AAA")


@pytest.mark.parametrize("other", [{"features": ("rsi_14",)}, {"feature_version": FEATURE_VERSION + 1}])
def test_model_of_other_features_is_refused(other: dict[str, Any], walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    registry.save(replace(walk_model, manifest=replace(walk_model.manifest, **other)))
    with pytest.raises(DataUnavailable, match="made for other features; train again with: trading-copilot train"):
        registry.latest("1h", "AAA")


def test_two_models_of_one_second_are_both_kept(walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    first, second = registry.save(walk_model), registry.save(walk_model)
    assert {first.id, second.id} == {manifest.id for manifest in registry.manifests()}
    assert registry.load(first).manifest == first


def test_interrupted_training_or_saving_leaves_nothing(
    walks: dict[str, Bars], walk_model: TrainedModel, tmp_path: Path
) -> None:
    class Interrupted(Exception):
        pass

    def stop_midway(done: float, _what: str) -> None:
        if done > 0.2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(walks, "1h", created_at=CREATED_AT, progress=stop_midway)
    unwritable = replace(walk_model, range=replace(walk_model.range, up=None))  # type: ignore[arg-type]  # fails midway
    with pytest.raises(AttributeError):
        ModelRegistry(tmp_path).save(unwritable)
    assert list(tmp_path.iterdir()) == []


def test_half_written_model_does_not_exist(walk_model: TrainedModel, tmp_path: Path) -> None:
    registry = ModelRegistry(tmp_path)
    (tmp_path / ".half.1").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    assert registry.manifests() == []


def test_calibration_keeps_the_base_rate_without_ranking() -> None:
    rng = np.random.default_rng(2)
    hit = (rng.random(4000) < 0.3).astype(np.int64)
    time = np.arange(4000)
    noise = calibrate(rng.standard_normal(4000), hit, time)
    assert noise.slope == 0
    assert noise.probability(np.array([5.0]))[0] == pytest.approx(hit.mean(), abs=1e-6)
    informed = calibrate(rng.standard_normal(4000) + hit, hit, time)
    assert informed.slope > 0.5
