"""What a strategy is: a pure object from closed bars to intents, the same in a backtest, on paper and live.

A strategy knows neither money nor clock nor venue. After a bar has closed it says what it wants (`Enter`, `Exit`,
`Protect`, or nothing), in prices of its own bars; whoever drives it decides the size and sends the orders, which meet
the market from the next bar's opening on. What is decided here:

- It sees exactly its last `warmup` closed bars, never more, so that a restart changes no decision.
- What it holds comes in as `Standing` values, so that it keeps no state of its own.
- One entry works at a time per symbol and `tag`; a new one replaces the old. A grid or a ladder uses many tags.
- An `Enter` on the side that is held changes nothing; one on the other side closes what is held at the next opening,
  and then stands like any entry.

A strategy whose decisions do not depend on what it holds may also offer them for a whole history at once, as
`Decisions`: arrays that the compiled backtest takes. Both forms must say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.domain.market import Bars, FloatArray
from engine.domain.orders import OrderType, Side
from engine.domain.symbols import Timeframe

ActionArray = npt.NDArray[np.int8]
SizeArray = npt.NDArray[np.int16]

FULL_SIZE_BPS = 10_000


class Action(IntEnum):
    """What a row of `Decisions` asks for; the entries below zero are those of the short side."""

    KEEP = 0
    ENTER_MARKET = 1
    ENTER_LIMIT = 2
    ENTER_STOP = 3
    PROTECT = 4
    EXIT = 5


@dataclass(frozen=True, slots=True)
class Enter:
    """Open a position from the next bar on.

    Attributes:
        price: Limit or stop price in quote currency, brought to the nearest tick; None for a market order.
        stop, target: Prices at which the position closes; None for no such order.
        size_bps: Share of the driver's usual size, above 0 to 10,000 (all of it).
        valid_bars: Bars that a limit or stop entry may wait; 0 until it is replaced.
        max_bars: Bars that the position may last, that of its entry included; 0 for no end.
        tag: Which of several entries in one symbol this is.
    """

    symbol: str
    side: Side
    order_type: OrderType = OrderType.MARKET
    price: float | None = None
    stop: float | None = None
    target: float | None = None
    size_bps: int = FULL_SIZE_BPS
    valid_bars: int = 0
    max_bars: int = 0
    tag: str = ""

    def __post_init__(self) -> None:
        if (self.price is None) != (self.order_type is OrderType.MARKET):
            raise ValueError(f"a {self.order_type.value} entry cannot have price {self.price}")
        if not 0 < self.size_bps <= FULL_SIZE_BPS:
            raise ValueError(f"size_bps must be in [1, {FULL_SIZE_BPS}], got {self.size_bps}")


@dataclass(frozen=True, slots=True)
class Exit:
    """Cancel a working entry and close what is held, at the next opening."""

    symbol: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Protect:
    """Replace the stop and the target of what is held; None takes one away. Without a position it does nothing."""

    symbol: str
    stop: float | None = None
    target: float | None = None
    tag: str = ""


Intent = Enter | Exit | Protect


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in one symbol under one tag, as the strategy may know it.

    Attributes:
        side: +1 long, -1 short, 0 when only an entry works.
        entry_price: Of the fill, None before it.
        bars_held: Closed bars since the entry, that of the entry included.
        is_waiting: Whether an entry works and has not filled.
    """

    symbol: str
    tag: str
    side: int
    entry_price: float | None
    bars_held: int
    stop: float | None
    target: float | None
    is_waiting: bool


class Strategy(Protocol):
    """A rule of trading. Its parameters are a frozen class; equal inputs give equal intents."""

    @property
    def name(self) -> str:
        """Return the name that people know it by."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what it trades."""
        ...

    @property
    def timeframe(self) -> Timeframe:
        """Return the length of its bars."""
        ...

    @property
    def warmup(self) -> int:
        """Return how many closed bars it needs and sees, at least 1."""
        ...

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        """Return what is wanted now that a bar has closed.

        Args:
            bars: Exactly the last `warmup` closed bars of each symbol; a symbol with fewer is left out, and so is one
                whose bar did not close now.
            standings: What is held and what waits, own positions only.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """A strategy's wishes for one symbol over a whole history, one row per bar, taken at the bar's close.

    Attributes:
        action: Shape (n,), `Action` codes; entries on the short side are negative.
        price: Shape (n,), of limit and stop entries; None when all entries are market orders.
        stop, target: Shape (n,), NaN for none; None for none anywhere.
        stop_ratio, target_ratio: Instead of `stop` and `target`: distance from the close of the deciding bar, as a
            fraction of it; 0 for none.
        size_bps: Shape (n,), share of the usual size; None for all of it.
        valid_bars, max_bars: As in `Enter`, for every entry.
    """

    action: ActionArray
    price: FloatArray | None = None
    stop: FloatArray | None = None
    target: FloatArray | None = None
    stop_ratio: float = 0.0
    target_ratio: float = 0.0
    size_bps: SizeArray | None = None
    valid_bars: int = 0
    max_bars: int = 0

    def __post_init__(self) -> None:
        both = ((self.stop_ratio, self.stop), (self.target_ratio, self.target))
        if any(ratio and column is not None for ratio, column in both):
            raise ValueError("give stops and targets as prices or as ratios, not as both")
        for name in ("price", "stop", "target", "size_bps"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.action):
                raise ValueError(f"{name} has {len(column)} rows where action has {len(self.action)}")

    def __len__(self) -> int:
        return len(self.action)


class BatchStrategy(Strategy, Protocol):
    """A strategy that also decides a whole history at once; every row equals what `decide` says there."""

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of every bar, `KEEP` where fewer than `warmup` bars had closed."""
        ...


def action_code(intent: Intent) -> int:
    """Return the code that a row of `Decisions` has for an intent."""
    if isinstance(intent, Exit):
        return int(Action.EXIT)
    if isinstance(intent, Protect):
        return int(Action.PROTECT)
    codes = {
        OrderType.MARKET: Action.ENTER_MARKET,
        OrderType.LIMIT: Action.ENTER_LIMIT,
        OrderType.STOP: Action.ENTER_STOP,
    }
    return int(codes[intent.order_type]) * intent.side.sign
