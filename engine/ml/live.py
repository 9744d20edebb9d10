"""Signals of a live market: the newest model, the last closed bars, this moment's costs.

A signal is kept while nothing that it rests on has changed: the last bar, the costs, its own validity, and the
models in the registry. A model that another process promoted or took back is therefore used, or not, from the next
signal on. While a first model of one timeframe is trained, signals of the others go on.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from engine.domain.symbols import Timeframe, find_timeframe
from engine.features.indicators import average_true_range
from engine.ml.device import Device
from engine.ml.registry import ModelRegistry, TrainedModel
from engine.ml.signal import BARS_READ, SignalGenerator
from engine.ml.training import train_on_market

log = logging.getLogger(__name__)

FIRST_TIMEFRAME: Timeframe = "1h"
_ATR_BARS = 200


class LiveSignals:
    """Signals for whoever asks; safe to call from several threads.

    Args:
        market: Bars, quotes, costs and the present.
        registry: Where models are.
        wall_clock: The real present, for a new model's name.
        device: What new models are trained on.
    """

    def __init__(
        self,
        market: MarketData,
        registry: ModelRegistry,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        device: Device = "cpu",
    ) -> None:
        self._market = market
        self._registry = registry
        self._wall_clock = wall_clock
        self._device = device
        self._models: dict[tuple[str, str], TrainedModel] = {}
        self._signals: dict[tuple[str, str], tuple[int, float, Signal]] = {}
        self._trained: set[str] = set()
        self._seen = registry.state()
        self._lock = threading.RLock()
        self._training: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def prepare(self, progress: Callable[[float, str], None]) -> None:
        """Train a first model on the market at hand if there is none that works.

        A market too short for it stays without.
        """
        symbols = tuple(self._market.instruments())
        if symbols and not any(self._has_model(symbol) for symbol in symbols):
            try:
                self._train(FIRST_TIMEFRAME, progress)
            except DataUnavailable as error:
                log.warning("no first model: %s", error)

    def signal(self, symbol: str, timeframe: str) -> Signal:
        """Return the signal of the last closed bar.

        A timeframe without a model gets one, trained on all symbols together, the first time it is asked for.

        Raises:
            DataUnavailable: There are too few bars for a signal or a model.
        """
        checked = _timeframe(timeframe)
        bars = self._market.bars(symbol, checked, BARS_READ)
        if not len(bars):
            raise DataUnavailable(
                f"{symbol} has no closed {timeframe} bars",
                code="too_few_bars",
                symbol=symbol,
                timeframe=timeframe,
                count=0,
                needed=BARS_READ,
            )
        model = self._model(symbol, checked)
        with self._lock:
            last, cost_ratio, now = int(bars.time[-1]), self._cost_ratio(symbol), self._market.now()
            known = self._signals.get((symbol, timeframe))
            if known is not None and self._still_stands(known, last, cost_ratio, model, now):
                return known[2]
            signal = SignalGenerator(model).signal(
                bars, cost_ratio=cost_ratio, now=now, is_simulated=self._market.is_simulated
            )
            self._signals[symbol, timeframe] = (last, cost_ratio, signal)
            return signal

    def average_true_range(self, symbol: str, timeframe: str) -> float:
        """Return Wilder's ATR(14) of the last closed bar, in quote currency.

        Raises:
            DataUnavailable: There are too few bars.
        """
        bars = self._market.bars(symbol, _timeframe(timeframe), _ATR_BARS)
        value = float(average_true_range(bars)[-1]) if len(bars) else float("nan")
        if np.isnan(value):
            raise DataUnavailable(f"{symbol} has {len(bars)} closed {timeframe} bars; an ATR needs 15")
        return value

    @staticmethod
    def _still_stands(
        known: tuple[int, float, Signal], last: int, cost_ratio: float, model: TrainedModel, now: datetime
    ) -> bool:
        signal = known[2]
        return (
            known[:2] == (last, cost_ratio) and signal.model_version == model.manifest.id and now <= signal.valid_until
        )

    def _model(self, symbol: str, timeframe: Timeframe) -> TrainedModel:
        """Return the model in use for a symbol; one is trained where the timeframe has none."""
        known = self._known_model(symbol, timeframe)
        if known is not None:
            return known
        with self._training[timeframe]:
            model = self._known_model(symbol, timeframe)
            if model is None and timeframe not in self._trained:
                self._train(timeframe, lambda _done, _what: None)
                model = self._known_model(symbol, timeframe)
        if model is None:
            raise DataUnavailable(
                f"{symbol} has too few {timeframe} bars to learn from; "
                f"train with: trading-copilot train --symbol {symbol} --timeframe {timeframe}",
                code="model_missing",
                symbol=symbol,
                timeframe=timeframe,
            )
        return model

    def _known_model(self, symbol: str, timeframe: Timeframe) -> TrainedModel | None:
        """Return the model in use as the registry has it now; None when there is none."""
        with self._lock:
            self._look_again()
            if (symbol, timeframe) not in self._models:
                model = self._registry.latest(timeframe, symbol)
                if model is None:
                    return None
                self._models[symbol, timeframe] = model
            return self._models[symbol, timeframe]

    def _look_again(self) -> None:
        """Forget the models at hand when those in the registry are others."""
        state = self._registry.state()
        if state != self._seen:
            self._seen = state
            self._models.clear()
            self._trained.clear()

    def _has_model(self, symbol: str) -> bool:
        try:
            return self._registry.latest(FIRST_TIMEFRAME, symbol) is not None
        except DataUnavailable as error:
            log.warning("%s; training a new one now", error)
            return False

    def _train(self, timeframe: Timeframe, progress: Callable[[float, str], None]) -> TrainedModel:
        model = train_on_market(
            self._market, timeframe, created_at=self._wall_clock(), progress=progress, device=self._device
        )
        with self._lock:
            saved = self._registry.load(self._registry.save(model))
            self._look_again()
            self._trained.add(timeframe)
        return saved

    def _cost_ratio(self, symbol: str) -> float:
        """Return fees and spread of a round trip as a fraction of the price."""
        quote = self._market.quote(symbol)
        fee = self._market.instruments()[symbol].taker_fee_ratio
        return float(2 * fee + (quote.ask - quote.bid) / quote.mid)


def _timeframe(text: str) -> Timeframe:
    timeframe = find_timeframe(text)
    if timeframe is None:
        raise DataUnavailable(f"timeframe {text!r} is not known")
    return timeframe
