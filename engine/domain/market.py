"""Market values: bars, quotes and instruments. All frozen; a correction is a new value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Self

import numpy as np
import numpy.typing as npt

from engine.domain.symbols import Timeframe

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """OHLCV rows of one symbol, oldest first.

    Attributes:
        symbol: Instrument id, such as `BTC/USDT`.
        timeframe: Length of each bar.
        time: Shape (n,), int64, open time in seconds since the epoch (UTC), strictly increasing.
        open, high, low, close: Shape (n,), float64, in quote currency, above 0.
        volume: Shape (n,), float64, in base units (0 where a feed has none).
    """

    symbol: str
    timeframe: Timeframe
    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice) -> Self:
        """Return a view of some rows (a slice, never one index)."""
        return type(self)(
            self.symbol,
            self.timeframe,
            self.time[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
        )


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices of one symbol at one moment.

    Attributes:
        bid, ask: In quote currency, on the instrument's tick, `bid <= ask`.
        at: Market time of the quote, aware UTC.
        is_open: False outside the instrument's session (weekends for currencies): no fills then.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime
    is_open: bool = True

    @property
    def mid(self) -> Decimal:
        """Return the middle of bid and ask, unrounded."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a venue demands of orders in one symbol.

    Attributes:
        base, quote: Asset names (`BTC`, `USDT`; `XAU`, `USD`).
        tick_size: Smallest price step, in quote currency.
        lot_size: Smallest quantity step, in base units.
        min_quantity: Smallest quantity of an order, in base units.
        min_notional: Smallest price × quantity of an order, in quote currency.
        taker_fee_ratio, maker_fee_ratio: Fee as a fraction of the notional.
        is_shortable: Whether a position may go below zero.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    taker_fee_ratio: Decimal
    maker_fee_ratio: Decimal
    is_shortable: bool

    def round_price(self, price: Decimal) -> Decimal:
        """Return the price on the nearest tick (half to even)."""
        return (price / self.tick_size).to_integral_value(ROUND_HALF_EVEN) * self.tick_size

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Return the largest quantity on the lot grid that is not above `quantity`."""
        return (quantity / self.lot_size).to_integral_value(ROUND_DOWN) * self.lot_size


def decimal_price(price: float, instrument: Instrument) -> Decimal:
    """Cross from float64 model prices to exact money: the nearest tick. The only such door."""
    return instrument.round_price(Decimal(repr(float(price))))


def utc_from_seconds(seconds: float) -> datetime:
    """Return an aware UTC time from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
