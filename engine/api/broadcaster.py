"""The task behind the stream: sees which bars have closed, and has each signal computed once for everybody.

The market is looked at every second, but read only when a bar should have closed by its own time: then at once, and
while the bar does not appear (a late feed, a closed session) ever more rarely. Bars that closed while the program
slept follow, up to a limit; what is beyond it is told as missed. Signals are computed beside, so that one that takes
long holds up no bar.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from engine.api.frames import BarEvent, BarsMissed, Kind, NoSignalEvent, SignalEvent
from engine.api.hub import Hub, Topic
from engine.api.reading import MarketReader, SignalSource
from engine.api.settings import StreamSettings
from engine.api.telling import tell_bars, tell_signal
from engine.api.views import BarView, NoSignal
from engine.domain.errors import CopilotError, DataUnavailable
from engine.domain.market import Bars, utc_from_seconds
from engine.domain.protocols import MarketData
from engine.domain.resampling import bucket_start_of
from engine.domain.symbols import TIMEFRAME_S, Timeframe

log = logging.getLogger(__name__)

MAX_CATCH_UP = 500
"""Bars of one symbol and timeframe that are sent after a pause."""
_LONGEST_WAIT_S = 60
_BURSTS_IN_LINE = 8
"""A client's line holds this many bursts; after each the clients get time to read."""
_BREATH_S = 0.05
_STALLED_S = 30.0
"""Seconds without a look at the market after which the stream counts as stalled."""


@dataclass(slots=True)
class _Watched:
    """One symbol and timeframe, and how far it has been streamed."""

    symbol: str
    timeframe: Timeframe
    last: int | None = None
    """Open time of the newest bar streamed or known at the start; None while there is none."""
    _expected: int = 0
    _look_at: int = 0
    _wait_s: int = 0

    def is_due(self, now_s: int) -> bool:
        """Tell whether a bar may have closed that was not seen yet."""
        expected = bucket_start_of(now_s, self.timeframe) - TIMEFRAME_S[self.timeframe]
        if expected != self._expected:
            self._expected, self._look_at, self._wait_s = expected, now_s, 0
        return (self.last is None or expected > self.last) and now_s >= self._look_at

    def looked(self, now_s: int) -> None:
        """Remember a look: the next one, should it be needed, comes later than this one did."""
        self._wait_s = min(max(2 * self._wait_s, 1), _LONGEST_WAIT_S)
        self._look_at = now_s + self._wait_s

    def limit(self) -> int:
        """Return how many bars may have closed since the last one, as far as they are caught up with."""
        if self.last is None:
            return 1
        return max(1, min(MAX_CATCH_UP, (self._expected - self.last) // TIMEFRAME_S[self.timeframe]))


@dataclass(slots=True)
class _Condition:
    """Whether the task runs, and how it went last."""

    is_running: bool = False
    failure: str = ""
    looked_at: float = field(default=0.0)


class Broadcaster:
    """Fills the stream; `run` is its task.

    Args:
        market: Bars and the present.
        signals: Computes signals; called on a thread.
        settings: What is streamed, and the stream's limits.
    """

    def __init__(
        self, market: MarketData, signals: SignalSource, settings: StreamSettings | None = None, *, stream: str = ""
    ) -> None:
        self.settings = settings or StreamSettings()
        self.reader = MarketReader(market, signals)
        self.hub = Hub(
            ring_size=self.settings.ring_size,
            queue_size=self.settings.queue_size,
            max_clients=self.settings.max_clients,
            stream=stream or None,
        )
        self._burst = max(1, self.settings.queue_size // _BURSTS_IN_LINE)
        self._watched: list[_Watched] = []
        self._condition = _Condition()
        self._wanted: set[tuple[str, Timeframe]] = set()
        self._computing: dict[tuple[str, Timeframe], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Stream until cancelled; then every client is told that the program stops."""
        self._condition.is_running = True
        try:
            while True:
                await self._look()
                await asyncio.sleep(self.settings.poll_s)
        finally:
            self._condition.is_running = False
            self.hub.close()
            for task in tuple(self._computing.values()):
                task.cancel()

    def trouble(self) -> str:
        """Return in one sentence why the stream is not well; empty when it is."""
        if not self._condition.is_running:
            return "the stream is not running"
        if not self.hub.is_open:
            return self._condition.failure or "the stream is starting"
        if self._condition.failure:
            return self._condition.failure
        silent_s = asyncio.get_running_loop().time() - self._condition.looked_at
        limit_s = max(_STALLED_S, 10 * self.settings.poll_s)
        return f"the market was last looked at {silent_s:.0f} seconds ago" if silent_s > limit_s else ""

    async def step(self) -> None:
        """Publish what has closed since the last step; the first step only finds out what there is."""
        now_s = int(self.reader.market.now().timestamp())
        if not self._watched:
            await self._begin(now_s)
            return
        due = [each for each in self._watched if each.is_due(now_s)]
        if due:
            for watched, bars in await self.reader.read("closed", lambda: [(each, self._closed(each)) for each in due]):
                watched.looked(now_s)
                if bars is not None:
                    await self._publish_bars(watched, bars)

    async def _look(self) -> None:
        try:
            await self.step()
            self._condition.failure = ""
        except CopilotError as error:
            log.warning("the stream could not read the market: %s", error)
            self._condition.failure = f"the market cannot be read: {error}"
        except Exception:
            log.exception("the stream could not read the market")
            self._condition.failure = "the market cannot be read; the program's log says why"
        self._condition.looked_at = asyncio.get_running_loop().time()

    async def _begin(self, now_s: int) -> None:
        """Find out which timeframes the market has, and where each stands."""
        every = [
            _Watched(symbol, timeframe)
            for symbol in self.reader.symbols()
            for timeframe in self.settings.bar_timeframes
        ]
        found = await self.reader.read("closed", lambda: [(each, self._closed(each)) for each in every])
        for watched, bars in found:
            if bars is not None:
                watched.last = int(bars.time[-1]) if len(bars) else None
                self._watched.append(watched)
        topics = [Topic(Kind.BARS, each.symbol, each.timeframe) for each in self._watched]
        signals = [topic._replace(kind=Kind.SIGNALS) for topic in topics]
        self.hub.open(topics + [each for each in signals if each.timeframe in self.settings.signal_timeframes])

    def _closed(self, watched: _Watched) -> Bars | None:
        """Return the newest closed bars, or None when the market has none of this timeframe; called on a thread."""
        try:
            return self.reader.market.bars(watched.symbol, watched.timeframe, watched.limit())
        except DataUnavailable as error:
            log.info("not streamed: %s", error)
            return None

    async def _publish_bars(self, watched: _Watched, bars: Bars) -> None:
        new = bars[int(bars.time.searchsorted(-1 if watched.last is None else watched.last, side="right")) :]
        if not len(new):
            return
        topic = Topic(Kind.BARS, watched.symbol, watched.timeframe)
        first, step = int(new.time[0]), TIMEFRAME_S[watched.timeframe]
        if watched.last is not None and len(new) == MAX_CATCH_UP and first > watched.last + step:
            self._publish_missed(topic, watched.last, first)
        for bar in tell_bars(new):
            self._publish_bar(topic, bar)
            if self.hub.sequence % self._burst == 0:
                await self.hub.breathe(_BREATH_S)
        watched.last = int(new.time[-1])
        if watched.timeframe in self.settings.signal_timeframes:
            self._want_signal(watched.symbol, watched.timeframe)

    def _publish_missed(self, topic: Topic, after: int, before: int) -> None:
        self.hub.publish(
            topic,
            lambda sequence: BarsMissed(
                sequence=sequence,
                symbol=topic.symbol,
                timeframe=topic.timeframe,
                after=utc_from_seconds(after),
                before=utc_from_seconds(before),
            ),
        )

    def _publish_bar(self, topic: Topic, bar: BarView) -> None:
        self.hub.publish(
            topic,
            lambda sequence: BarEvent(sequence=sequence, symbol=topic.symbol, timeframe=topic.timeframe, bar=bar),
        )

    def _want_signal(self, symbol: str, timeframe: Timeframe) -> None:
        """Have a signal computed; while one is still being computed, once more after it and not for each bar."""
        key = (symbol, timeframe)
        self._wanted.add(key)
        if key not in self._computing:
            self._computing[key] = asyncio.create_task(self._compute(key))

    async def _compute(self, key: tuple[str, Timeframe]) -> None:
        try:
            while key in self._wanted:
                self._wanted.discard(key)
                await self._publish_signal(*key)
        finally:
            del self._computing[key]

    async def _publish_signal(self, symbol: str, timeframe: Timeframe) -> None:
        topic = Topic(Kind.SIGNALS, symbol, timeframe)
        try:
            view = tell_signal(await self.reader.fresh_signal(symbol, timeframe))
        except Exception as error:
            without = _explain(symbol, timeframe, error)
            self.hub.publish(topic, lambda sequence: NoSignalEvent(sequence=sequence, without=without))
        else:
            self.hub.publish(topic, lambda sequence: SignalEvent(sequence=sequence, signal=view))


def _explain(symbol: str, timeframe: Timeframe, error: Exception) -> NoSignal:
    """Return why there is no signal; an error that nobody foresaw is logged and told without its inside."""
    if isinstance(error, CopilotError):
        code = error.code if isinstance(error, DataUnavailable) else "unavailable"
        return NoSignal(symbol=symbol, timeframe=timeframe, code=code, detail=str(error))
    log.error("no signal of %s %s", symbol, timeframe, exc_info=error)
    detail = "the signal could not be computed; the program's log says why"
    return NoSignal(symbol=symbol, timeframe=timeframe, code="internal_error", detail=detail)
