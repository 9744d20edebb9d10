"""What keeps the board true while somebody looks: prices often, facts every second, charts when a bar has closed.

It works only while there is a client, so that a page that nobody has open costs nothing. Reads of the market run on a
thread. A failure is told on the board (`trouble/…`) and logged once; what was known before stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pydantic import JsonValue

from engine.dashboard.board import CHART, Board
from engine.dashboard.settings import DashboardSettings
from engine.dashboard.telling import (
    CURVE,
    FACT_KEYS,
    Entries,
    decimals_of,
    read_chart_key,
    tell_chart,
    tell_curves,
    tell_facts,
    tell_forming,
    tell_quote,
    tell_symbol,
)
from engine.dashboard.view import DashboardView, Facts, Trading
from engine.domain.errors import CopilotError, DataUnavailable
from engine.domain.market import utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, Timeframe, find_timeframe

log = logging.getLogger(__name__)

_DAY_BARS = 24
_SYMBOLS_EVERY_S = 60.0
_CHARTS_EVERY_S = 1.0
_LONGEST_WAIT_S = 30.0
"""Between two looks for a bar that should have closed and does not appear."""


class Feeder:
    """Fills the board; `join` and `leave` start and stop it.

    Args:
        board: What it fills.
        view: Tells everything but prices.
        market: Tells prices.
        settings: How often.
    """

    def __init__(self, board: Board, view: DashboardView, market: MarketData, settings: DashboardSettings) -> None:
        self.is_ready = asyncio.Event()
        self._board = board
        self._view = view
        self._market = market
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._day_ago: dict[str, float] = {}
        self._curves_at = float("-inf")
        self._troubles: dict[str, str] = {}
        self._charts = _ChartClock()
        self._chart_wanted = asyncio.Event()

    def start(self) -> None:
        """Work, if it does not yet."""
        if self._task is None or self._task.done():
            self.is_ready.clear()
            self._charts = _ChartClock()
            self._curves_at = float("-inf")
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Rest until the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def want_chart(self) -> None:
        """Have charts looked at now: somebody chose another one."""
        self._chart_wanted.set()

    def tell_trading(self, trading: Trading) -> None:
        """Put a trading state on the board at once."""
        self._board.put(tell_facts(Facts(trading)))

    def knows(self, symbol: str) -> bool:
        """Tell whether the market has a symbol."""
        return symbol in self._market.instruments()

    async def _run(self) -> None:
        settings = self._settings
        first = (self._look("symbols", self.read_symbols), self._look("facts", self.read_facts))
        await asyncio.gather(*first)
        await asyncio.gather(self._look("quotes", self.read_quotes), self._look("charts", self.read_charts))
        self.is_ready.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("symbols", self.read_symbols, _SYMBOLS_EVERY_S))
            group.create_task(self._repeat("facts", self.read_facts, settings.facts_every_s))
            group.create_task(self._repeat("quotes", self.read_quotes, settings.quotes_every_s))
            group.create_task(self._repeat_charts())

    async def read_symbols(self) -> None:
        """Put down what changes rarely about the symbols."""
        entries, day_ago = await asyncio.to_thread(self._symbols)
        self._day_ago = day_ago
        self._board.replace(("symbol/",), entries)

    async def read_facts(self) -> None:
        """Put down everything but prices."""
        facts = await self._view.facts()
        self._board.replace(FACT_KEYS, tell_facts(facts))
        now = asyncio.get_running_loop().time()
        if now - self._curves_at >= self._settings.curves_every_s:
            self._curves_at = now
            self._board.replace((CURVE,), tell_curves(facts.agents))

    async def read_quotes(self) -> None:
        """Put down the present prices."""
        self._board.replace(("quote/",), await asyncio.to_thread(self._quotes))

    async def read_charts(self) -> None:
        """Put down the charts that somebody looks at and that have changed; forget those that nobody looks at."""
        wanted = self._board.charts()
        now_s = int(self._market.now().timestamp())
        due = [key for key in wanted if not self._board.has(key) or self._charts.is_due(key, now_s)]
        read = await asyncio.to_thread(lambda: {key: self._chart(key, now_s) for key in due})
        for key, chart in read.items():
            self._charts.looked(key, now_s, _last_time(chart))
        self._board.put(read)
        self._board.keep(CHART, self._board.charts())

    def _symbols(self) -> tuple[Entries, dict[str, float]]:
        entries: Entries = {}
        day_ago: dict[str, float] = {}
        for place, (symbol, instrument) in enumerate(self._market.instruments().items()):
            try:
                closes = self._market.bars(symbol, "1h", _DAY_BARS).close
            except DataUnavailable as error:
                log.debug("no hour bars of %s: %s", symbol, error)
                continue
            if len(closes):
                day_ago[symbol] = float(closes[0])
            entries[f"symbol/{symbol}"] = tell_symbol(place, instrument, closes)
        return entries, day_ago

    def _quotes(self) -> Entries:
        entries: Entries = {}
        for symbol in self._market.instruments():
            try:
                entries[f"quote/{symbol}"] = tell_quote(self._market.quote(symbol), self._day_ago.get(symbol))
            except DataUnavailable as error:
                log.debug("no quote of %s: %s", symbol, error)
        return entries

    def _chart(self, key: str, now_s: int) -> JsonValue:
        symbol, name = read_chart_key(key)
        timeframe = find_timeframe(name)
        assert timeframe is not None, "a client chooses among the timeframes"
        decimals = decimals_of(self._market.instruments()[symbol].tick_size)
        try:
            bars = self._market.bars(symbol, timeframe, self._settings.chart_bars)
        except DataUnavailable as error:
            return {"trouble": error.code}
        return tell_chart(bars, self._forming(symbol, timeframe, now_s, decimals), decimals)

    def _forming(self, symbol: str, timeframe: Timeframe, now_s: int, decimals: int) -> JsonValue:
        start_s = bucket_start_of(now_s, timeframe)
        minutes = self._market.bars_between(symbol, utc_from_seconds(start_s), utc_from_seconds(now_s))
        return tell_forming(start_s, minutes, decimals)

    async def _repeat_charts(self) -> None:
        while True:
            self._chart_wanted.clear()
            await self._look("charts", self.read_charts)
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHARTS_EVERY_S):
                    await self._chart_wanted.wait()

    async def _repeat(self, name: str, read: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._look(name, read)

    async def _look(self, name: str, read: Callable[[], Awaitable[None]]) -> None:
        """Read once; a failure is told and ends nothing."""
        try:
            await read()
        except CopilotError as error:
            self._tell_trouble(name, str(error))
            log.debug("the dashboard could not read %s: %s", name, error)
        except Exception as error:
            if self._troubles.get(name) != str(error):
                log.exception("the dashboard could not read %s", name)
            self._tell_trouble(name, str(error))
        else:
            self._tell_trouble(name, "")

    def _tell_trouble(self, name: str, detail: str) -> None:
        # The words of an error may hold anything; the page is told only which part is old.
        self._troubles[name] = detail
        self._board.put({f"trouble/{name}": True if detail else None})


def _last_time(chart: JsonValue) -> int | None:
    times = chart.get("time") if isinstance(chart, dict) else None
    return times[-1] if isinstance(times, list) and times and isinstance(times[-1], int) else None


class _ChartClock:
    """When each chart should be read again."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, int, float]] = {}

    def is_due(self, key: str, now_s: int) -> bool:
        """Tell whether a bar may have closed that the chart does not show."""
        known = self._read.get(key)
        if known is None:
            return True
        last, looked_s, wait_s = known
        return last < self._expected(key, now_s) and now_s >= looked_s + wait_s

    def looked(self, key: str, now_s: int, last: int | None) -> None:
        """Remember a look; while the bar does not appear the next one comes ever later."""
        known = self._read.get(key)
        newest = -1 if last is None else last
        is_same = known is not None and known[0] == newest
        wait_s = min(2 * known[2], _LONGEST_WAIT_S) if known is not None and is_same else 1.0
        self._read[key] = (newest, now_s, wait_s)

    @staticmethod
    def _expected(key: str, now_s: int) -> int:
        timeframe = find_timeframe(read_chart_key(key)[1])
        assert timeframe is not None, "a client chooses among the timeframes"
        return bucket_start_of(now_s, timeframe) - TIMEFRAME_S[timeframe]
