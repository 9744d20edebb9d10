"""From tables of decisions to intents: how a strategy that decides by whole columns says the same bar by bar.

Each strategy here writes its rule once, over columns (`Table`). What it says live is the last row of the very same
columns over its last `warmup` bars. A strategy may have several tables for one symbol, each under its own tag.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.domain.market import Bars, FloatArray
from engine.domain.orders import OrderType, Side
from engine.domain.strategies import Action, ActionArray, Decisions, Enter, Exit, Intent, Standing, Strategy

_ENTRIES = {
    Action.ENTER_MARKET: OrderType.MARKET,
    Action.ENTER_LIMIT: OrderType.LIMIT,
    Action.ENTER_STOP: OrderType.STOP,
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What a strategy decides in one symbol under one tag, one row per bar of that symbol."""

    symbol: str
    tag: str
    decisions: Decisions


class TableStrategy(Strategy, Protocol):
    """A strategy whose decisions do not depend on what it holds, and so can be told for a whole history at once."""

    @property
    def most_entries(self) -> int:
        """Return how many positions it can hold at once, over all its symbols and tags."""
        ...

    def decide_tables(self, bars: Mapping[str, Bars]) -> Sequence[Table]:
        """Return its decisions over some history, `KEEP` where fewer than `warmup` bars had closed.

        Every row equals what `decide` says there.
        """
        ...


class EachByItself(ABC):
    """A rule for one symbol, applied to each of several by itself: at most one position in each, whatever is held."""

    __slots__ = ()
    symbols: tuple[str, ...]

    @property
    def most_entries(self) -> int:
        """Return one position per symbol."""
        return len(self.symbols)

    def decide(self, bars: Mapping[str, Bars], standings: Sequence[Standing]) -> Sequence[Intent]:
        """Return what the last bar asks for, whatever is held."""
        return tuple(say_last(self.decide_tables(bars)))

    def decide_tables(self, bars: Mapping[str, Bars]) -> Sequence[Table]:
        """Return the decisions over a whole history."""
        return tuple(Table(symbol, "", self.decide_all(own)) for symbol, own in bars.items())

    @abstractmethod
    def decide_all(self, bars: Bars) -> Decisions:
        """Return the decisions of one symbol over a whole history."""


def say_last(tables: Sequence[Table]) -> Iterator[Intent]:
    """Yield what the last rows of some tables ask for."""
    for table in tables:
        if len(table.decisions):
            intent = intent_at(table, len(table.decisions) - 1)
            if intent is not None:
                yield intent


def intent_at(table: Table, row: int) -> Intent | None:
    """Return what one row asks for, or None for nothing.

    Raises:
        ValueError: The row's action is none that these strategies use.
    """
    decisions = table.decisions
    code = int(decisions.action[row])
    if code == Action.KEEP:
        return None
    if code == Action.EXIT:
        return Exit(table.symbol, table.tag)
    if abs(code) not in _ENTRIES:
        raise ValueError(f"{Action(abs(code)).name} at row {row} is no entry and no exit")
    return Enter(
        table.symbol,
        Side.BUY if code > 0 else Side.SELL,
        _ENTRIES[Action(abs(code))],
        _level(decisions.price, row),
        _level(decisions.stop, row),
        _level(decisions.target, row),
        valid_bars=decisions.valid_bars,
        max_bars=decisions.max_bars,
        tag=table.tag,
    )


def actions(
    n: int,
    warmup: int,
    *,
    longs: np.ndarray,
    shorts: np.ndarray | None = None,
    exits: np.ndarray | None = None,
    entry: Action = Action.ENTER_MARKET,
) -> ActionArray:
    """Return action codes from what is wanted at each row; an entry counts more than an exit, nothing before warm-up.

    Args:
        n: Rows.
        warmup: Bars that must have closed.
        longs: Shape (n,), where a long entry is wanted.
        shorts: Where a short one is.
        exits: Where an exit is.
        entry: How entries are made.
    """
    action = np.zeros(n, np.int8)
    if exits is not None:
        action[exits] = Action.EXIT
    action[longs] = entry
    if shorts is not None:
        action[shorts] = -int(entry)
    action[: warmup - 1] = Action.KEEP
    return action


def _level(column: FloatArray | None, row: int) -> float | None:
    return None if column is None or np.isnan(column[row]) else float(column[row])
