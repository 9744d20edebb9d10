"""Trains again when the model in use has grown old; the new one is used only if it beats it out of sample.

The work is done beside the event loop, one timeframe at a time, by the leader among the processes that share a
database. Whoever reads signals notices a promoted model by itself. The owner hears of a promotion, and of a market in
which a model has fallen silent because it is unlike what it learned from.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import numpy as np

from agents.supervisor.values import Pulse
from engine.domain.errors import DataUnavailable
from engine.domain.protocols import MarketData, Notifier
from engine.domain.symbols import Timeframe, find_timeframe
from engine.features.definitions import FEATURE_NAMES, WARMUP, feature_matrix
from engine.ml.device import Device
from engine.ml.drift import WINDOW
from engine.ml.registry import Manifest, ModelRegistry, Offer
from engine.ml.signal import BARS_READ
from engine.ml.training import train_on_market

LOOK_EVERY_S = 60.0
_WATCH_EVERY = timedelta(hours=1)
_BEAT_S = 10.0
"""A training takes minutes, and a worker that gives no sign of life for two of them counts as hung."""
Kind = tuple[Timeframe, tuple[str, ...]]
"""A timeframe and the symbols that a model of it learned from together."""
log = logging.getLogger(__name__)


class _Stopped(Exception):
    """Ends a training that nobody waits for any more."""


class Retraining:
    """Keeps models young.

    Args:
        market: What to learn from.
        registry: Where models are kept.
        notifier: How the owner hears of a model that was promoted.
        owner: Who that is.
        every: How old a model may grow.
        now: The present by the wall clock, aware UTC.
    """

    def __init__(
        self,
        market: MarketData,
        registry: ModelRegistry,
        notifier: Notifier,
        owner: str,
        every: timedelta,
        now: Callable[[], datetime],
        *,
        device: Device = "cpu",
    ) -> None:
        self._market = market
        self._registry = registry
        self._notifier = notifier
        self._owner = owner
        self._every = every
        self._now = now
        self._device = device
        self._tried: dict[Kind, datetime] = {}
        self._drifted: set[tuple[str, str]] = set()
        self._watched_at: datetime | None = None

    async def run(self, pulse: Pulse) -> None:
        """Look again and again until cancelled, while the term stands."""
        while True:
            pulse.require_term()
            await self.look(pulse.beat)
            if self._watched_at is None or self._now() - self._watched_at >= _WATCH_EVERY:
                self._watched_at = self._now()
                await asyncio.to_thread(self.watch_drift)
            for _ in range(int(LOOK_EVERY_S / _BEAT_S)):
                pulse.beat()
                await asyncio.sleep(_BEAT_S)

    async def look(self, beat: Callable[[], None] = lambda: None) -> list[Offer]:
        """Train again what has grown old, and return what became of it.

        What was tried is left alone until as much time has passed again, also when it failed, or when a symbol of it
        is no longer listed, so that the new model is of another kind.

        Args:
            beat: Called while a training goes on.
        """
        offers = []
        manifests = await asyncio.to_thread(self._registry.manifests)
        for kind in due(manifests, self._now(), self._every):
            if self._now() - self._tried.get(kind, self._now() - self._every) < self._every:
                continue
            self._tried[kind] = self._now()
            offer = await self._try(kind, beat)
            if offer is not None:
                self._tell(offer)
                offers.append(offer)
        return offers

    def watch_drift(self) -> None:
        """Tell the owner, once a model and symbol, where the market has left what the model in use learned from."""
        for manifest in self._registry.in_use():
            strange = [symbol for symbol in manifest.symbols if self._is_strange(manifest, symbol)]
            new = [symbol for symbol in strange if (manifest.id, symbol) not in self._drifted]
            if new:
                self._drifted |= {(manifest.id, symbol) for symbol in new}
                params = {"model": manifest.id, "timeframe": manifest.timeframe, "symbols": ", ".join(new)}
                self._notifier.notify(self._owner, "model_drifted", params)

    def _is_strange(self, manifest: Manifest, symbol: str) -> bool:
        timeframe = find_timeframe(manifest.timeframe)
        if timeframe is None or symbol not in self._market.instruments() or manifest.features != FEATURE_NAMES:
            return False
        try:
            bars = self._market.bars(symbol, timeframe, BARS_READ)
        except DataUnavailable:
            return False
        recent = feature_matrix(bars).values[WARMUP:][-WINDOW:] if len(bars) > WARMUP else np.empty((0, 0))
        return not np.isnan(recent).any() and manifest.drift.is_strange(recent)

    async def _try(self, kind: Kind, beat: Callable[[], None]) -> Offer | None:
        timeframe, listed = kind[0], self._market.instruments()
        symbols = tuple(symbol for symbol in kind[1] if symbol in listed)
        if not symbols:
            return None
        is_stopped = threading.Event()
        training = asyncio.ensure_future(asyncio.to_thread(self._train, timeframe, symbols, is_stopped))
        try:
            while not (await asyncio.wait((training,), timeout=_BEAT_S))[0]:
                beat()
            return training.result()
        except asyncio.CancelledError:
            is_stopped.set()
            training.cancel()
            raise
        except DataUnavailable as error:
            log.warning("a model of %s bars was not trained again: %s", timeframe, error)
            return None

    def _train(self, timeframe: Timeframe, symbols: tuple[str, ...], is_stopped: threading.Event) -> Offer:
        def watch(_done: float, _what: str) -> None:
            if is_stopped.is_set():
                raise _Stopped

        model = train_on_market(
            self._market, timeframe, symbols=symbols, created_at=self._now(), progress=watch, device=self._device
        )
        return self._registry.offer(model)

    def _tell(self, offer: Offer) -> None:
        log.info("model %s: %s", offer.manifest.id, offer.reason)
        if offer.is_promoted:
            params = {"model": offer.manifest.id, "timeframe": offer.manifest.timeframe}
            self._notifier.notify(self._owner, "model_promoted", params)


def due(manifests: Iterable[Manifest], now: datetime, every: timedelta) -> list[Kind]:
    """Return the timeframe and symbols of each kind of model that was last trained longer ago than `every`.

    One that was trained since and not promoted counts as trained: it would not be promoted now either.
    """
    newest: dict[tuple[str, tuple[str, ...]], datetime] = {}
    for each in manifests:
        key = (each.timeframe, each.symbols)
        newest[key] = max(newest.get(key, each.created_at), each.created_at)
    found = []
    for (name, symbols), trained_at in newest.items():
        timeframe = find_timeframe(name)
        if timeframe is not None and now - trained_at >= every:
            found.append((timeframe, symbols))
    return found
