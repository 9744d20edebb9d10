"""The drivers of a set of features: a whole history, one new bar of one symbol, one new bar of many symbols.

All three run the same program in the same compiled code, so they agree to the last bit. A value at a bar depends on
that bar and earlier ones only. Before a feature's warm-up its value is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.domain.market import Bars, FloatArray
from engine.domain.symbols import Timeframe
from engine.features import opcodes as op
from engine.features.expressions import Expression
from engine.features.machine import load_machine
from engine.features.program import Program, build_program

BLOCK = 512
"""Bars worked on at once: long enough to forget the cost of an instruction, short enough for registers to stay near."""


LANES = 64
"""Symbols worked on at once, for the same reasons."""


class Bar(NamedTuple):
    """One closed bar: open time in seconds since the epoch (UTC), prices in quote currency, volume in base units."""

    time: float
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Named expressions, the columns of a matrix."""

    names: tuple[str, ...]
    expressions: tuple[Expression, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("two columns have the same name")


def compute_columns(bars: Bars, expressions: Sequence[Expression]) -> tuple[FloatArray, tuple[int, ...]]:
    """Return the columns of a whole history.

    Args:
        bars: n closed bars, oldest first.
        expressions: k of them.

    Returns:
        Shape (n, k), NaN before each warm-up; and the k warm-ups.
    """
    program = build_program(expressions, bars.timeframe, block=BLOCK)
    return run_program(bars, program, len(expressions)), program.warmups


def run_program(bars: Bars, program: Program, columns: int) -> FloatArray:
    """Return what a program built in blocks says of a history, shape (n, columns); it can be run again."""
    out, memory = np.empty((len(bars), columns)), program.memory.copy()
    load_machine().run_bars(program.code, memory, len(memory), program.width, *_contiguous(bars), out)
    return out


def _contiguous(bars: Bars) -> tuple[npt.NDArray[np.generic], ...]:
    prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return (np.ascontiguousarray(bars.time, np.int64), *(np.ascontiguousarray(each, np.float64) for each in prices))


class ColumnStream:
    """Columns of one symbol, bar by bar, in constant memory.

    Attributes:
        warmup: Bars before every column has a number.
    """

    def __init__(self, expressions: Sequence[Expression], timeframe: Timeframe) -> None:
        program = build_program(expressions, timeframe)
        self.warmup = max(program.warmups, default=0)
        self._initial = program.memory
        self._code = program.code
        self._memory = program.memory.copy()
        self._run = load_machine().run_bar
        self._value = self._memory[program.outputs : program.outputs + len(expressions)]
        self._seen = int(program.code[op.SEEN])

    def update(self, bar: Bar | tuple[float, float, float, float, float, float]) -> FloatArray:
        """Take the next closed bar and return `value`."""
        self._run(self._code, self._memory, *bar)
        return self._value

    @property
    def value(self) -> FloatArray:
        """Shape (k,), at the newest bar; the same array is written again at the next, so copy what is kept."""
        return self._value

    @property
    def ready(self) -> bool:
        """Tell whether every column has a number."""
        return bool(self._memory[self._seen] > self.warmup)

    def reset(self) -> None:
        """Forget every bar."""
        self._memory[:] = self._initial


class ColumnStreams:
    """Columns of many symbols, one bar of each at a time.

    Attributes:
        warmup: Bars of a symbol before every column of it has a number.
    """

    def __init__(self, expressions: Sequence[Expression], timeframe: Timeframe, symbols: int) -> None:
        lanes = max(2, min(symbols, LANES))
        program = build_program(expressions, timeframe, lanes=lanes)
        self.warmup = max(program.warmups, default=0)
        self._program = program
        self._memories = np.tile(program.memory, (-(-symbols // lanes), 1))
        self._lengths = self._memories[:, program.lengths : program.lengths + 1 + lanes]
        self._seen = self._memories[:, program.code[op.SEEN] :][:, :lanes]
        self._is_new = np.ones(len(self._memories) * lanes, np.bool_)
        self._run = load_machine().run_bars
        self._symbols = symbols
        self._out = np.full((symbols, len(expressions)), np.nan)
        self._value = self._out.copy()

    def update(self, bars: Bars, is_new: npt.NDArray[np.bool_] | None = None) -> FloatArray:
        """Take the next closed bar of each symbol and return `value`.

        Args:
            bars: Row i is the bar of symbol i (its own symbol is not read).
            is_new: Shape (symbols,), False for a symbol without a bar: its row is not read, its value stays.
        """
        program = self._program
        program.code[op.IS_UNIFORM] = is_new is None
        if is_new is not None:
            self._is_new[: self._symbols] = is_new
            self._lengths[:, 1:] = self._is_new.reshape(len(self._memories), -1)
        self._run(
            program.code, self._memories.reshape(-1), len(program.memory), program.width, *_contiguous(bars), self._out
        )
        if is_new is None:
            self._out, self._value = self._value, self._out
        else:
            self._value[is_new] = self._out[is_new]
        return self.value

    @property
    def value(self) -> FloatArray:
        """Shape (symbols, k), at each one's newest bar; written again later, so copy what is kept."""
        return self._value

    @property
    def ready(self) -> npt.NDArray[np.bool_]:
        """Shape (symbols,): whether every column of a symbol has a number."""
        return np.asarray(self._seen.reshape(-1)[: self._symbols] > self.warmup)

    def reset(self) -> None:
        """Forget every bar."""
        self._memories[:] = self._program.memory
        self._value[:] = np.nan
