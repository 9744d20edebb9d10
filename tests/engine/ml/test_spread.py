"""The same training on a Dask cluster as in threads, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from engine.domain.errors import ConfigError
from engine.ml.dataset import TARGETS
from engine.ml.forward import Forward, forecast_forward, label_outcomes
from engine.ml.spread import DaskSpread, Spread, Threads, open_spread
from engine.ml.training import train
from tests.conftest import free_port
from tests.engine.ml.bars import random_walk
from tests.parts import missing


class Nowhere:
    def load(self, _name: str) -> None:
        return None

    def save(self, _name: str, _arrays: object) -> None:
        return None


AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Run a cluster of one worker and yield the address of its scheduler."""
    try:
        from distributed import LocalCluster
    except ImportError:
        missing("Dask", "pip install 'trading-copilot[dask]'")
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp"
    ) as own:
        yield own.scheduler_address


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_cluster_gives_the_same_model_as_threads(scheduler: str) -> None:
    bars = random_walk(2600, seed=7)
    told: list[float] = []

    def fit(spread: Any, tell: list[float]) -> Any:
        return train(
            {bars.symbol: bars}, "1h", created_at=AT, progress=lambda done, _what: tell.append(done), spread=spread
        )

    here = fit(Threads(), [])
    with open_spread(scheduler) as spread:
        assert isinstance(spread, DaskSpread)
        there = fit(spread, told)
    assert there.manifest == here.manifest
    rows = np.random.default_rng(1).normal(size=(50, len(here.manifest.features)))
    for name in TARGETS:
        mine, theirs = (each.tpsl.boosters[name].inplace_predict(rows) for each in (here, there))
        np.testing.assert_array_equal(mine, theirs)
    assert told == sorted(told)
    assert len(told) > 5


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("engine.ml.spread.CONNECT_S", 0.3)
    with pytest.raises(ConfigError, match="dask scheduler"), open_spread(f"tcp://127.0.0.1:{free_port()}"):
        pass


@pytest.mark.prove
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_cluster_gives_the_same_forecasts_as_threads(scheduler: str) -> None:
    bars = random_walk(7000, seed=5)
    outcomes = label_outcomes(bars)

    def forecast(spread: Spread) -> Forward:
        return forecast_forward(
            bars, outcomes, test_from=None, store=Nowhere(), progress=lambda _done, _what: None, spread=spread
        )

    here = forecast(Threads())
    with open_spread(scheduler) as spread:
        there = forecast(spread)
    for horizon, named in here.ranges.items():
        for name, values in named.items():
            np.testing.assert_array_equal(there.ranges[horizon][name], values)
    for ratio, odds in here.odds.items():
        np.testing.assert_array_equal(there.odds[ratio], odds)
        np.testing.assert_array_equal(there.placebo[ratio], here.placebo[ratio])
