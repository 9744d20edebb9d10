"""Models that have grown old are trained again, beside everything else, and used only if they are better."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from copilot.retraining import Retraining, due
from engine.ml.live import LiveSignals
from engine.ml.registry import ModelRegistry
from tests.engine.ml.test_live import FakeMarket

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


class Told:
    """Keeps what the owner would hear."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def notify(self, owner: str, kind: str, params: Mapping[str, str]) -> None:
        self.kinds.append(kind)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    LiveSignals(FakeMarket({"BTC/USDT": 3000}), ModelRegistry(folder), lambda: FIRST).prepare(lambda _done, _what: None)
    return folder


def make(folder: Path, now: datetime, told: Told) -> Retraining:
    return Retraining(FakeMarket({"BTC/USDT": 3000}), ModelRegistry(folder), told, "owner", WEEK, lambda: now)


async def test_a_young_model_is_left_alone(trained: Path) -> None:
    assert await make(trained, FIRST + timedelta(days=6), Told()).look() == []


async def test_an_old_one_is_trained_again_once_and_held_when_it_is_no_better(trained: Path) -> None:
    told, later = Told(), FIRST + timedelta(days=8)
    (offer,) = await make(trained, later, told).look()
    assert not offer.is_promoted, "the same bars teach the same"
    assert told.kinds == []
    assert ModelRegistry(trained).is_held(offer.manifest.id)
    assert await make(trained, later, told).look() == [], "what was tried just now is not tried again"


async def test_a_program_that_ends_does_not_wait_for_a_training(trained: Path) -> None:
    working = asyncio.create_task(make(trained, FIRST + timedelta(days=30), Told()).look())
    await asyncio.sleep(0.05)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert len(ModelRegistry(trained).manifests()) == 2


async def test_a_model_of_what_is_no_longer_listed_is_tried_once_and_teaches_nothing_else(
    trained: Path, tmp_path: Path
) -> None:
    first = ModelRegistry(trained).latest("1h", "BTC/USDT")
    assert first is not None
    registry = ModelRegistry(tmp_path)
    registry.save(replace(first, manifest=replace(first.manifest, symbols=("GONE/USDT",))))
    assert await make(tmp_path, FIRST + WEEK, Told()).look() == []
    assert len(registry.manifests()) == 1


async def test_what_changed_its_kind_by_training_is_not_trained_again_and_again(trained: Path, tmp_path: Path) -> None:
    """A pooled model that lost a symbol is followed by one of other symbols; it must not stay due for ever."""
    first = ModelRegistry(trained).latest("1h", "BTC/USDT")
    assert first is not None
    registry = ModelRegistry(tmp_path)
    registry.save(replace(first, manifest=replace(first.manifest, symbols=("BTC/USDT", "GONE/USDT"))))
    retraining = make(tmp_path, FIRST + WEEK, Told())
    assert len(await retraining.look()) == 1
    assert await retraining.look() == []


def test_a_market_that_left_what_was_learned_is_told_once(trained: Path, tmp_path: Path) -> None:
    first = ModelRegistry(trained).latest("1h", "BTC/USDT")
    assert first is not None
    told, untold = Told(), Told()
    ModelRegistry(tmp_path).save(
        replace(first, manifest=replace(first.manifest, drift=replace(first.manifest.drift, limit=1e-9)))
    )
    strange = make(tmp_path, FIRST, told)
    strange.watch_drift()
    strange.watch_drift()
    assert told.kinds == ["model_drifted"]
    make(trained, FIRST, untold).watch_drift()
    assert untold.kinds == [], "too few windows to tell what is strange"


def test_each_kind_of_model_has_its_own_age(trained: Path) -> None:
    one = ModelRegistry(trained).manifests()[0]
    other = replace(one, symbols=("EURUSD",), created_at=FIRST + timedelta(days=5))
    assert due([one, other], FIRST + WEEK, WEEK) == [("1h", one.symbols)]
    assert due([one, replace(one, created_at=FIRST + timedelta(days=5))], FIRST + WEEK, WEEK) == []


def test_running_signals_use_what_another_process_promoted_or_took_back(tmp_path: Path, trained: Path) -> None:
    registry, market = ModelRegistry(tmp_path), FakeMarket({"BTC/USDT": 3000})
    first = ModelRegistry(trained).latest("1h", "BTC/USDT")
    assert first is not None
    registry.offer(first)
    running = LiveSignals(market, ModelRegistry(tmp_path), lambda: FIRST)
    assert running.signal("BTC/USDT", "1h").model_version == first.manifest.id
    better = replace(
        first,
        manifest=replace(
            first.manifest,
            id="29990101-better",
            created_at=FIRST + WEEK,
            metrics={**first.manifest.metrics, "pinball_gain_up": first.manifest.metrics["pinball_gain_up"] + 1},
        ),
    )
    promoted = registry.offer(better).manifest.id
    assert running.signal("BTC/USDT", "1h").model_version == promoted
    registry.hold(promoted, "tried")
    assert running.signal("BTC/USDT", "1h").model_version == first.manifest.id
