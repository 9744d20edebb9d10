"""What everybody sees of one symbol: the prints, and from them bars of every length and the day's figures.

A bar exists for every interval since the first print; one without a trade is flat at the last close.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import takewhile

ZERO = Decimal(0)
SECOND = 1000
INTERVALS = {
    "1s": SECOND,
    "1m": 60 * SECOND,
    "3m": 180 * SECOND,
    "5m": 300 * SECOND,
    "15m": 900 * SECOND,
    "30m": 1800 * SECOND,
    "1h": 3600 * SECOND,
    "2h": 7200 * SECOND,
    "4h": 14400 * SECOND,
    "6h": 21600 * SECOND,
    "8h": 28800 * SECOND,
    "12h": 43200 * SECOND,
    "1d": 86400 * SECOND,
    "3d": 259200 * SECOND,
    "1w": 604800 * SECOND,
    "1M": 0,
}
MONDAY_MS = 4 * 86400 * SECOND
KEPT_BARS = 20_000
KEPT_SECONDS = 3_600
KEPT_PRINTS = 5_000


def open_of(interval: str, at_ms: int) -> int:
    """Return the opening time of the bar that holds a moment: weeks open on Monday, months on their first."""
    if interval == "1M":
        month = datetime.fromtimestamp(at_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return round(month.timestamp() * 1000)
    length = INTERVALS[interval]
    offset = MONDAY_MS if interval == "1w" else 0
    return (at_ms - offset) // length * length + offset


def next_open(interval: str, open_ms: int) -> int:
    """Return the opening time of the following bar."""
    if interval == "1M":
        later = datetime.fromtimestamp(open_ms / 1000, UTC) + timedelta(days=32)
        return open_of("1M", round(later.timestamp() * 1000))
    return open_ms + INTERVALS[interval]


@dataclass(slots=True)
class Candle:
    """One bar."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    trades: int = 0
    taker_volume: Decimal = ZERO
    taker_quote: Decimal = ZERO
    first_id: int = -1
    last_id: int = -1

    def take(self, other: Candle) -> None:
        """Add a later, finer bar or print; the first trade of a bar makes its open."""
        if not self.trades and other.trades:
            self.open = self.high = self.low = other.open
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.close = other.close
        self.volume += other.volume
        self.quote_volume += other.quote_volume
        self.trades += other.trades
        self.taker_volume += other.taker_volume
        self.taker_quote += other.taker_quote
        if self.first_id < 0:
            self.first_id = other.first_id
        self.last_id = max(self.last_id, other.last_id)


@dataclass(frozen=True, slots=True)
class Print:
    """One trade that everybody sees."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    time_ms: int
    buyer_is_maker: bool

    def candle(self) -> Candle:
        """Return the print as a bar of its own."""
        worth = self.price * self.quantity
        taker = ZERO if self.buyer_is_maker else self.quantity
        return Candle(
            self.time_ms,
            self.price,
            self.price,
            self.price,
            self.price,
            self.quantity,
            worth,
            1,
            taker,
            taker * self.price,
            self.trade_id,
            self.trade_id,
        )


def _since(bars: deque[Candle], open_ms: int) -> list[Candle]:
    """Return the bars from an opening time on, latest first."""
    return list(takewhile(lambda bar: bar.open_ms >= open_ms, reversed(bars)))


class Tape:
    """The prints and bars of one symbol."""

    def __init__(self) -> None:
        self.prints: deque[Print] = deque(maxlen=KEPT_PRINTS)
        self.bars: dict[str, deque[Candle]] = {
            name: deque(maxlen=KEPT_SECONDS if name == "1s" else KEPT_BARS) for name in INTERVALS
        }
        self.last = ZERO

    def seed(self, history: dict[str, Iterable[Candle]]) -> None:
        """Put history before the first print: bars by interval, each filling the longer ones up to the next given."""
        names = list(INTERVALS)
        given = sorted(history, key=names.index)
        for interval, following in zip(given, [*given[1:], None], strict=True):
            rows = list(history[interval])
            for name in names[names.index(interval) : names.index(following) if following else None]:
                self.bars[name].clear()
                for row in rows:
                    self._take(name, row)
            if rows:
                self.last = rows[-1].close

    def _take(self, interval: str, fine: Candle) -> None:
        bars, opening = self.bars[interval], open_of(interval, fine.open_ms)
        if bars and bars[-1].open_ms == opening:
            bars[-1].take(fine)
            return
        self._fill(interval, opening)
        bar = Candle(opening, fine.open, fine.open, fine.open, fine.open)
        bar.take(fine)
        bars.append(bar)

    def _fill(self, interval: str, until_ms: int) -> None:
        bars = self.bars[interval]
        while bars and (opening := next_open(interval, bars[-1].open_ms)) < until_ms:
            longest = (bars.maxlen or KEPT_BARS) * max(INTERVALS[interval], SECOND)
            if until_ms - opening > longest:
                opening = open_of(interval, until_ms - longest)
            close = bars[-1].close
            bars.append(Candle(opening, close, close, close, close))

    def add(self, print_: Print) -> list[tuple[str, Candle]]:
        """Take a print into every bar and return the bars that it closed."""
        closed = self.roll(print_.time_ms)
        candle = print_.candle()
        self.prints.append(print_)
        self.last = print_.price
        for interval in INTERVALS:
            self._take(interval, candle)
        return closed

    def roll(self, now_ms: int) -> list[tuple[str, Candle]]:
        """Open the bars of this moment and return those that ended since the last call, oldest first."""
        closed: list[tuple[str, Candle]] = []
        for interval, bars in self.bars.items():
            if not bars:
                continue
            opening = open_of(interval, now_ms)
            known = bars[-1].open_ms
            if opening <= known:
                continue
            close = bars[-1].close
            self._fill(interval, opening)
            closed += [(interval, bar) for bar in reversed(_since(bars, known))]
            bars.append(Candle(opening, close, close, close, close))
        return closed

    def klines(self, interval: str, start_ms: int | None, end_ms: int | None, limit: int) -> list[Candle]:
        """Return bars that open inside the range: the first ones after a start, else the last ones."""
        rows = [
            bar
            for bar in self.bars[interval]
            if (start_ms is None or bar.open_ms >= start_ms) and (end_ms is None or bar.open_ms <= end_ms)
        ]
        return rows[:limit] if start_ms is not None else rows[-limit:]

    def day(self, now_ms: int) -> Candle | None:
        """Return the last 24 hours as one bar, from the minutes."""
        minutes = [bar for bar in self.bars["1m"] if bar.open_ms > now_ms - 86_400_000]
        if not minutes:
            return None
        day = Candle(minutes[0].open_ms, minutes[0].open, minutes[0].high, minutes[0].low, minutes[0].close)
        for bar in minutes:
            day.take(bar)
        return day
