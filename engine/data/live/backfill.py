"""Bring the local copy of a symbol up to the present: from the disk what is there, from the exchange what is missing.

Longer bars first, minutes last, so that the minutes complete the longer ones. Pages reach the disk as they come, oldest
first: a killed start goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import numpy as np

from engine.data.live.history import TIERS, BarSeries, SymbolHistory
from engine.data.live.rest import PAGE_BARS, PublicRest
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, Timeframe

_PAGES_PER_SAVE = 5
_SETTLE_S = 1
"""A bar that has just closed may still lack its last trades in the history."""
_log = logging.getLogger(__name__)


class Backfill:
    """Reads history for a market.

    Args:
        rest: Where from.
        store: The disk.
        source: The name under which the store keeps it.
        now: The exchange's present.
    """

    def __init__(self, rest: PublicRest, store: BarStore, source: str, now: Callable[[], datetime]) -> None:
        self._rest, self._store, self._source, self._now = rest, store, source, now

    async def load(self, history: SymbolHistory, symbol_id: str) -> None:
        """Fill all series of a symbol up to the present; harmless when repeated.

        Raises:
            DataUnavailable: The exchange does not answer; what was read is kept.
        """
        for timeframe in reversed(TIERS):
            series = history.series[timeframe]
            if not series.until:
                await self._begin(series, symbol_id)
            await self._read_on(series, symbol_id)
        history.finish_loading()

    async def repair(self, history: SymbolHistory, symbol_id: str) -> bool:
        """Read the minutes after the last one known; return whether there were any.

        Raises:
            DataUnavailable: The exchange does not answer.
        """
        if not history.is_loaded:
            await self.load(history, symbol_id)
            return True
        is_new = False
        while True:
            until = history.minutes.until
            bars, is_last = await self._page(history.minutes, symbol_id, until, self._rows_until_now(until))
            is_new |= history.fill(bars)
            if is_last or history.minutes.until == until:
                return is_new

    async def save(self, series: BarSeries) -> None:
        """Put the bars that are not on the disk yet there."""
        bars = series.view()
        rows = bars[int(np.searchsorted(bars.time, series.saved_until)) :]
        if len(rows):
            await asyncio.to_thread(self._store.merge, self._source, rows)
            series.saved_until = int(rows.time[-1]) + series.step

    async def _begin(self, series: BarSeries, symbol_id: str) -> None:
        """Take what the disk has of the wanted depth, and what came before it from the exchange."""
        now_s = int(self._now().timestamp())
        start = bucket_start_of(now_s, series.timeframe) - series.depth * series.step
        stored = await asyncio.to_thread(self._stored, series, start)
        series.until = start
        if stored is not None and len(stored):
            await self._read_before(series, symbol_id, int(stored.time[0]))
            series.extend(stored)
            series.saved_until = max(series.saved_until, series.until)

    async def _read_before(self, series: BarSeries, symbol_id: str, end: int) -> None:
        """Read what is missing before the first stored bar; where the exchange begins there, one question tells."""
        while series.until < end:
            bars, _ = await self._page(series, symbol_id, series.until, (end - series.until) // series.step)
            bars = bars[: int(np.searchsorted(bars.time, end))]
            if not series.extend(bars):
                series.until = end
            await self.save(series)

    async def _read_on(self, series: BarSeries, symbol_id: str) -> None:
        """Read pages up to the present."""
        is_last, pages = False, 0
        while not is_last and (limit := self._rows_until_now(series.until, series.timeframe)) > 0:
            bars, is_last = await self._page(series, symbol_id, series.until, limit)
            is_last |= not series.extend(bars)
            pages += 1
            if pages % _PAGES_PER_SAVE == 0:
                await self.save(series)
        await self.save(series)

    async def _page(self, series: BarSeries, symbol_id: str, start: int, limit: int) -> tuple[Bars, bool]:
        """Return the closed bars of one page, and whether it reaches the present."""
        limit = max(2, min(PAGE_BARS, limit + 1))
        begun_s = int(self._now().timestamp())
        bars, count = await self._rest.klines(series.symbol, symbol_id, series.timeframe, start, limit)
        closed = int(np.searchsorted(bars.time, begun_s - _SETTLE_S - series.step, side="right"))
        return bars[:closed], count < limit

    def _rows_until_now(self, since: int, timeframe: Timeframe = "1m") -> int:
        """Return how many bars have closed since a time."""
        now_s = int(self._now().timestamp())
        return max(0, (now_s - since) // TIMEFRAME_S[timeframe])

    def _stored(self, series: BarSeries, start: int) -> Bars | None:
        try:
            if self._store.describe(self._source, series.symbol, series.timeframe) is None:
                return None
            return self._store.load(self._source, series.symbol, series.timeframe, start=utc_from_seconds(start))
        except DataUnavailable as error:
            # A damaged file costs time only: the exchange has it all.
            _log.warning("%s", error)
            return None
