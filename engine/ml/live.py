"""Signals of a live market: the newest model, the last closed bars, this moment's costs.

A signal is kept while nothing that it rests on has changed: the last bar, the costs, and its own validity.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData
from engine.domain.signals import Signal
from engine.domain.symbols import Timeframe, find_timeframe
from engine.features.indicators import average_true_range
from engine.ml.registry import ModelRegistry, Offer, TrainedModel
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
    """

    def __init__(
        self,
        market: MarketData,
        registry: ModelRegistry,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._market = market
        self._registry = registry
        self._wall_clock = wall_clock
        self._models: dict[tuple[str, str], TrainedModel] = {}
        self._signals: dict[tuple[str, str], tuple[int, float, Signal]] = {}
        self._trained: set[str] = set()
        self._lock = threading.RLock()

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
        with self._lock:
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
            last, cost_ratio, now = int(bars.time[-1]), self._cost_ratio(symbol), self._market.now()
            known = self._signals.get((symbol, timeframe))
            if known is not None and known[:2] == (last, cost_ratio) and now <= known[2].valid_until:
                return known[2]
            signal = SignalGenerator(self._model(symbol, checked)).signal(
                bars, cost_ratio=cost_ratio, now=now, is_simulated=self._market.is_simulated
            )
            self._signals[symbol, timeframe] = (last, cost_ratio, signal)
            return signal

    def retrain(self, timeframe: str, progress: Callable[[float, str], None]) -> Offer:
        """Train on the market as it is now and use the new model only if it was better out of sample.

        Meant for a schedule: signals go on with the old model meanwhile.

        Raises:
            DataUnavailable: There are too few bars for a model.
        """
        model = train_on_market(self._market, _timeframe(timeframe), created_at=self._wall_clock(), progress=progress)
        offer = self._registry.offer(model)
        with self._lock:
            self._models.clear()
            self._signals.clear()
        return offer

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

    def _model(self, symbol: str, timeframe: Timeframe) -> TrainedModel:
        if (symbol, timeframe) not in self._models:
            model = self._registry.latest(timeframe, symbol)
            if model is None and timeframe not in self._trained:
                model = self._train(timeframe, lambda _done, _what: None)
            if model is None or symbol not in model.manifest.symbols:
                raise DataUnavailable(
                    f"{symbol} has too few {timeframe} bars to learn from; "
                    f"train with: trading-copilot train --symbol {symbol} --timeframe {timeframe}",
                    code="model_missing",
                    symbol=symbol,
                    timeframe=timeframe,
                )
            self._models[symbol, timeframe] = model
        return self._models[symbol, timeframe]

    def _has_model(self, symbol: str) -> bool:
        try:
            return self._registry.latest(FIRST_TIMEFRAME, symbol) is not None
        except DataUnavailable as error:
            log.warning("%s; training a new one now", error)
            return False

    def _train(self, timeframe: Timeframe, progress: Callable[[float, str], None]) -> TrainedModel:
        model = train_on_market(self._market, timeframe, created_at=self._wall_clock(), progress=progress)
        self._trained.add(timeframe)
        return self._registry.load(self._registry.save(model))

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
