"""Signals of a live market: fresh ones are kept, old ones are never passed off as fresh, bad models are replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Instrument, Quote, utc_from_seconds
from engine.domain.symbols import Timeframe
from engine.features.definitions import FEATURE_NAMES
from engine.ml.live import LiveSignals
from engine.ml.registry import ModelRegistry
from tests.engine.ml.bars import random_walk

SYMBOLS = ("BTC/USDT", "EURUSD")


class FakeMarket:
    """Two random walks, seen from a present that is put by hand."""

    name = "fake"
    is_simulated = True

    def __init__(self, lengths: Mapping[str, int]) -> None:
        self.rows = {symbol: random_walk(n, seed, symbol=symbol) for seed, (symbol, n) in enumerate(lengths.items())}
        self.at = utc_from_seconds(max(int(bars.time[-1]) for bars in self.rows.values()) + 3600)
        self.spread = Decimal("0.01")
        self.reads = 0

    def now(self) -> datetime:
        return self.at

    def instruments(self) -> Mapping[str, Instrument]:
        return {symbol: build_instrument(symbol) for symbol in self.rows}

    def quote(self, symbol: str) -> Quote:
        bid = Decimal(repr(round(float(self.rows[symbol].close[-1]), 2)))
        return Quote(symbol, bid, bid + self.spread, self.at)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        if timeframe != "1h":
            raise DataUnavailable(f"no {timeframe} bars of {symbol}")
        self.reads += 1
        return self.rows[symbol][-limit:]

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        raise DataUnavailable(f"no bars of {symbol} between {start} and {end}")


def _live(market: FakeMarket, folder: Path) -> LiveSignals:
    return LiveSignals(market, ModelRegistry(folder), lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a first model of the market."""
    folder = tmp_path_factory.mktemp("models")
    _live(FakeMarket(dict.fromkeys(SYMBOLS, 3000)), folder).prepare(lambda _done, _what: None)
    return folder


def _market() -> FakeMarket:
    return FakeMarket(dict.fromkeys(SYMBOLS, 3000))


def test_first_start_trains_and_the_next_does_not(models: Path) -> None:
    assert len(ModelRegistry(models).manifests()) == 1
    told: list[float] = []
    _live(_market(), models).prepare(lambda done, _what: told.append(done))
    assert told == []


def test_a_fresh_signal_grows_stale_when_no_bar_follows(models: Path) -> None:
    """Over a weekend the last bar stays the last one; its signal must not stay fresh with it."""
    market = _market()
    live = _live(market, models)
    assert live.signal("EURUSD", "1h").reason != "stale"
    market.at += timedelta(hours=30)
    assert live.signal("EURUSD", "1h").reason == "stale"


def test_costs_are_this_moments(models: Path) -> None:
    """A spread that widens within a bar takes from the signal's value at once."""
    market = _market()
    live = _live(market, models)
    before = live.signal("BTC/USDT", "1h").expected_value_ratio
    assert live.signal("BTC/USDT", "1h").expected_value_ratio == before
    market.spread *= 50
    assert live.signal("BTC/USDT", "1h").expected_value_ratio < before


def test_start_replaces_a_model_of_other_features(models: Path, tmp_path: Path) -> None:
    """After an update the program must start: it trains anew instead of refusing for ever."""
    registry = ModelRegistry(tmp_path)
    model = ModelRegistry(models).latest("1h", "EURUSD")
    assert model is not None
    registry.save(replace(model, manifest=replace(model.manifest, id="0-old", features=FEATURE_NAMES[1:])))
    with pytest.raises(DataUnavailable, match="other features"):
        registry.latest("1h", "EURUSD")
    live = _live(_market(), tmp_path)
    live.prepare(lambda _done, _what: None)
    assert live.signal("EURUSD", "1h").model_version != "0-old"


def test_symbol_too_short_to_learn_from_has_no_signal(tmp_path: Path) -> None:
    market = FakeMarket({"BTC/USDT": 3000, "EURUSD": 420})
    live = _live(market, tmp_path)
    live.prepare(lambda _done, _what: None)
    assert ModelRegistry(tmp_path).manifests()[0].symbols == ("BTC/USDT",)
    with pytest.raises(DataUnavailable, match="EURUSD has too few 1h bars to learn from"):
        live.signal("EURUSD", "1h")


def test_market_too_short_for_any_model_starts_without(tmp_path: Path) -> None:
    live = _live(FakeMarket({"BTC/USDT": 500}), tmp_path)
    live.prepare(lambda _done, _what: None)
    with pytest.raises(DataUnavailable, match="too few to train on"):
        live.signal("BTC/USDT", "1h")


def test_unknown_timeframe_is_refused(models: Path) -> None:
    with pytest.raises(DataUnavailable, match="'2h' is not known"):
        _live(_market(), models).signal("EURUSD", "2h")


def test_atr_needs_bars(models: Path) -> None:
    live = _live(FakeMarket({"BTC/USDT": 10}), models)
    with pytest.raises(DataUnavailable, match="an ATR needs 15"):
        live.average_true_range("BTC/USDT", "1h")
    assert _live(_market(), models).average_true_range("EURUSD", "1h") > 0
