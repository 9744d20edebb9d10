"""What a training costs on the processor and, where there is one, on a GPU; their figures must agree as stated."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from engine.ml.dataset import TARGETS
from engine.ml.device import AUC_TOLERANCE, LOSS_TOLERANCE, Device, cuda_obstacle
from engine.ml.registry import Manifest
from engine.ml.training import train
from tests.engine.ml.bars import random_walk

pytestmark = pytest.mark.benchmark

BARS = random_walk(26_000, seed=3)
AT = datetime(2026, 1, 1, tzinfo=UTC)
WANTED_S = 60.0


def trained_on(device: Device) -> tuple[Manifest, float]:
    """Return the manifest of a training and the seconds that it took."""
    started = time.perf_counter()
    model = train({BARS.symbol: BARS}, "1h", created_at=AT, progress=lambda _done, _what: None, device=device)
    taken = time.perf_counter() - started
    print(f"\ntraining of {model.manifest.rows} rows on {device}: {taken:.1f} s")  # noqa: T201
    return model.manifest, taken


@pytest.fixture(scope="module")
def on_cpu() -> tuple[Manifest, float]:
    return trained_on("cpu")


def test_training_on_the_processor(on_cpu: tuple[Manifest, float]) -> None:
    assert on_cpu[1] <= WANTED_S


def test_training_on_a_gpu_gives_figures_within_the_tolerance(on_cpu: tuple[Manifest, float]) -> None:
    if obstacle := cuda_obstacle():
        pytest.skip(f"the CUDA half needs a GPU: {obstacle}")
    trained_on("cuda")  # the first use of a GPU loads its kernels
    theirs, taken = trained_on("cuda")
    ours = on_cpu[0].metrics
    print(f"\nGPU: {on_cpu[1] / taken:.1f} times as fast as the processor")  # noqa: T201
    assert theirs.device == "cuda"
    for name in TARGETS:
        assert abs(theirs.metrics[f"auc_{name}"] - ours[f"auc_{name}"]) <= AUC_TOLERANCE
    for name in ("up", "down"):
        assert abs(theirs.metrics[f"pinball_{name}"] / ours[f"pinball_{name}"] - 1) <= LOSS_TOLERANCE
