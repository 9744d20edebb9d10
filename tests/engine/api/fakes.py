"""A market, signals and models that a test puts where it wants them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument
from engine.domain.market import Bars, Instrument, Quote, utc_from_seconds
from engine.domain.resampling import bucket_start_of
from engine.domain.signals import Direction, ExpectedRange, Phase, PhaseEvidence, Signal, SignalDriver
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.ml.drift import DriftReference
from engine.ml.registry import Manifest

START = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
HISTORY_S = 3 * 86400
"""How far back the market's bars reach."""
STRANGE = "XRP/USDT"
"""A symbol whose numbers are not numbers."""
SYMBOLS = ("BTC/USDT", "EURUSD", STRANGE)


class FakeMarket:
    """Bars made from their own time; the present is put by hand. It has no daily bars."""

    name = "fake"
    is_simulated = True

    def __init__(self, symbols: tuple[str, ...] = SYMBOLS) -> None:
        self.at = START
        self.shut_at: dict[str, datetime] = {}
        """Symbols whose newest bars do not appear since then: a closed session, a late feed."""
        self.reads: list[tuple[str, str, int]] = []
        self.failure: Exception | None = None
        self._instruments = {symbol: build_instrument(symbol) for symbol in symbols}

    def advance(self, **time: float) -> None:
        self.at += timedelta(**time)

    def shut_now(self, symbol: str) -> None:
        self.shut_at[symbol] = self.at

    def now(self) -> datetime:
        return self.at

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def quote(self, symbol: str) -> Quote:
        return Quote(symbol, Decimal(100), Decimal(101), self.at)

    def bars(self, symbol: str, timeframe: Timeframe, limit: int) -> Bars:
        self.reads.append((symbol, timeframe, limit))
        if self.failure is not None:
            raise self.failure
        if symbol not in self._instruments or timeframe == "1d":
            raise DataUnavailable(f"no {timeframe} bars of {symbol}")
        step = TIMEFRAME_S[timeframe]
        end = bucket_start_of(int(self.shut_at.get(symbol, self.at).timestamp()), timeframe)
        time = np.arange(end - HISTORY_S // step * step, end, step, dtype=np.int64)[-limit:]
        price = 100 + (time // step % 50).astype(np.float64)
        if symbol == STRANGE:
            price[::2], price[1::2] = np.nan, np.inf
        return Bars(symbol, timeframe, time, price, price + 2, price - 1, price + 1, np.ones(len(time)))

    def bars_between(self, symbol: str, start: datetime, end: datetime) -> Bars:
        raise DataUnavailable(f"no bars of {symbol} between {start} and {end}")


def make_signal(market: FakeMarket, symbol: str, timeframe: str) -> Signal:
    """Return a signal of the last closed bar."""
    step = next(length for name, length in TIMEFRAME_S.items() if name == timeframe)
    opened = int(market.at.timestamp()) // step * step - step
    signal = Signal(
        symbol=symbol,
        timeframe=timeframe,
        direction=Direction.LONG,
        close=100.0,
        entry=100.0,
        stop=98.0,
        target=104.0,
        reward_risk=2.0,
        probability=0.4,
        breakeven_probability=0.35,
        expected_value_ratio=0.12,
        reason="edge",
        phase=PhaseEvidence(Phase.NEUTRAL, 0.1, None, None, None, None),
        expected_range=ExpectedRange((100.5, 102.0, 105.0), (99.5, 98.0, 95.0)),
        horizon_bars=24,
        drivers=(SignalDriver("return_1", 0.01, 0.2),),
        model_version="m1",
        bar_at=utc_from_seconds(opened),
        price_at=utc_from_seconds(opened + step),
        valid_until=utc_from_seconds(opened + 2 * step),
        is_simulated=True,
    )
    if symbol != STRANGE:
        return signal
    nan, infinite = float("nan"), float("inf")
    return replace(
        signal, close=nan, stop=infinite, probability=nan, drivers=(SignalDriver("return_1", nan, -infinite),)
    )


class FakeSignals:
    """Signals at once, or when the test lets them; only hours have a model."""

    def __init__(self, market: FakeMarket) -> None:
        self.market = market
        self.calls: list[tuple[str, str]] = []
        self.failures: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()

    def signal(self, symbol: str, timeframe: str) -> Signal:
        self.calls.append((symbol, timeframe))
        assert self.gate.wait(60), "nobody opened the gate"
        if symbol in self.failures:
            raise self.failures[symbol]
        if timeframe != "1h":
            raise DataUnavailable(f"{symbol} has no {timeframe} model", code="model_missing")
        return make_signal(self.market, symbol, timeframe)


class FakeShelf:
    """Two models, the newer one held."""

    def manifests(self) -> list[Manifest]:
        return [make_manifest("m1", ("BTC/USDT", "EURUSD")), make_manifest("m2", ("EURUSD",))]

    def is_held(self, model_id: str) -> bool:
        return model_id == "m2"


def make_manifest(model_id: str, symbols: tuple[str, ...]) -> Manifest:
    return Manifest(
        id=model_id,
        created_at=START,
        timeframe="1h",
        symbols=symbols,
        data_hash="d",
        rows=1234,
        horizon=24,
        features=("return_1",),
        feature_version=1,
        parameters={"eta": 0.05},
        metrics={
            "auc_long_2": 0.55,
            "auc_long_2_fold2": 0.56,
            "auc_long_2_fold10": 0.57,
            "auc_long_2_fold1": 0.54,
            "brier_skill_long_2": 0.01,
            "acted_z_long_2": float("nan"),
            "coverage_up": 0.8,
            "pinball_up": 0.3,
        },
        calibrations={},
        up_shift=(0.0, 0.0, 0.0),
        down_shift=(0.0, 0.0, 0.0),
        drift=DriftReference((), 0.2),
        files={},
        digest="g",
    )
