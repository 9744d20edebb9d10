"""Two small strategies and one that does as it is told; real ones live with the agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.domain.market import Bars, FloatArray
from engine.domain.orders import OrderType, Side
from engine.domain.strategies import Action, Decisions, Enter, Exit, Intent, Protect, Standing
from engine.domain.symbols import Timeframe


@dataclass(frozen=True, slots=True)
class Crossover:
    """Long while the fast mean of closes is above the slow one; optionally short otherwise."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    fast: int = 5
    slow: int = 12
    shorts: bool = False
    name: str = "crossover"

    @property
    def warmup(self) -> int:
        return self.slow + 1

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        intents: list[Intent] = []
        for symbol, window in bars.items():
            before, now = (self._is_above(window.close[: self.slow + row]) for row in (0, 1))
            if now and not before:
                intents.append(Enter(symbol, Side.BUY))
            elif before and not now:
                intents.append(Enter(symbol, Side.SELL) if self.shorts else Exit(symbol))
        return intents

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the same for the whole history, from the very same sums."""
        action = np.zeros(len(bars), np.int8)
        if len(bars) >= self.warmup:
            above = np.array(
                [self._is_above(bars.close[end - self.slow : end]) for end in range(self.slow, len(bars) + 1)]
            )
            turns = np.flatnonzero(above[1:] != above[:-1]) + 1
            down = -Action.ENTER_MARKET if self.shorts else Action.EXIT
            action[turns + self.slow - 1] = np.where(above[turns], Action.ENTER_MARKET, down)
        return Decisions(action)

    def _is_above(self, closes: FloatArray) -> bool:
        return bool(closes[-self.fast :].mean() > closes[-self.slow :].mean())


@dataclass(frozen=True, slots=True)
class Bracket:
    """Buys a close that rose by a fraction over some bars, with a stop and a target around it."""

    symbols: tuple[str, ...]
    timeframe: Timeframe = "1h"
    bars_back: int = 3
    rise: float = 0.001
    stop: float = 0.004
    target: float = 0.008
    max_bars: int = 0
    name: str = "bracket"

    @property
    def warmup(self) -> int:
        return self.bars_back + 1

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        return [
            Enter(
                symbol,
                Side.BUY,
                stop=float(window.close[-1] * (1 - self.stop)),
                target=float(window.close[-1] * (1 + self.target)),
                max_bars=self.max_bars,
            )
            for symbol, window in bars.items()
            if window.close[-1] > window.close[0] * (1 + self.rise)
        ]

    def decide_all(self, bars: Bars) -> Decisions:
        """Return the same for the whole history."""
        action = np.zeros(len(bars), np.int8)
        rose = bars.close[self.bars_back :] > bars.close[: -self.bars_back] * (1 + self.rise)
        action[self.bars_back :][rose] = Action.ENTER_MARKET
        return Decisions(action, stop_ratio=self.stop, target_ratio=self.target, max_bars=self.max_bars)


@dataclass(frozen=True, slots=True)
class Scripted:
    """Says at each bar what a table of decisions says."""

    symbols: tuple[str, ...]
    tables: Mapping[str, Decisions]
    rows: Mapping[str, Mapping[int, int]]
    timeframe: Timeframe = "1h"
    name: str = "scripted"
    warmup: int = 1
    kinds: Mapping[int, OrderType] = field(
        default_factory=lambda: {1: OrderType.MARKET, 2: OrderType.LIMIT, 3: OrderType.STOP}
    )

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        said = []
        for symbol, window in bars.items():
            intent = self._say(symbol, int(window.time[-1]))
            if intent is not None:
                said.append(intent)
        return said

    def _say(self, symbol: str, time: int) -> Intent | None:
        table = self.tables[symbol]
        row = self.rows[symbol][time]
        action = int(table.action[row])
        if action == Action.KEEP:
            return None
        if action == Action.EXIT:
            return Exit(symbol)
        stop, target = _level(table.stop, row), _level(table.target, row)
        if action == Action.PROTECT:
            return Protect(symbol, stop, target)
        kind = self.kinds[abs(action)]
        return Enter(
            symbol,
            Side.BUY if action > 0 else Side.SELL,
            kind,
            None if kind is OrderType.MARKET else _level(table.price, row),
            stop,
            target,
            10_000 if table.size_bps is None else int(table.size_bps[row]),
            table.valid_bars,
            table.max_bars,
        )


def _level(column: FloatArray | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])
