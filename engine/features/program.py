"""From expressions to a program: order, registers, state, and the warm-up of every output.

Equal parts are worked out once. A program is made for one timeframe and one block size; addresses in it are absolute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.domain.market import FloatArray, IntArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features import opcodes as op
from engine.features.expressions import Expression, Period
from engine.features.higher import KEPT

N_INPUTS = 6
_READ = (op.A, op.B, op.C)
_LONGER_COLUMNS = 5
_PADDING = 8
"""Cells between registers, so that the same place of many registers does not compete for the same line of cache."""
_MIN_SLOT_S = 900
"""Shortest slot of the week that a profile tells apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A program with its memory as it is before the first bar.

    Attributes:
        code: The head and the instructions.
        memory: Constants, counters, state and registers; copy it, the machine writes in it.
        warmups: For each output, how many bars come before its first number.
        outputs: Address of the first output; the next is `width` further.
        width: Cells in a register.
        lengths: Address of the bars that each lane has in a block.
    """

    code: IntArray
    memory: FloatArray
    warmups: tuple[int, ...]
    outputs: int
    width: int
    lengths: int


@dataclass(frozen=True, slots=True)
class Warmup:
    """Bars before the first number, and before what lay earlier stops mattering."""

    first: int
    settled: int


def measure_warmup(expression: Expression, timeframe: Timeframe) -> int:
    """Return how many bars come before an expression's first settled number."""
    found = _Warmups(timeframe).of(expression)
    return max(found.first, found.settled)


class _Warmups:
    """Counts of bars, remembered by node."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._timeframe = timeframe
        self._known: dict[Expression, Warmup] = {}

    def of(self, node: Expression) -> Warmup:
        """Return the counts of one node; on a longer timeframe, in bars of that one."""
        if node not in self._known:
            inputs = [self.of(each) for each in node.inputs] or [Warmup(0, 0)]
            before = Warmup(max(each.first for each in inputs), max(each.settled for each in inputs))
            self._known[node] = self._after(node, before)
        return self._known[node]

    def _after(self, node: Expression, before: Warmup) -> Warmup:
        if node.family == op.WINDOWS:
            more = node.span if node.operation == op.LAG else node.span - 1
            return Warmup(before.first + more, before.settled + more)
        if node.family == op.MEMORY:
            first = before.first + (node.extra - 1 if node.operation == op.SMOOTH else 0)
            return Warmup(first, before.settled + node.settling)
        if node.family == op.HIGHER and node.operation == op.HOLD:
            return self._held(node, before)
        if node.period is not None:
            return Warmup(before.first, before.settled + self._of_period(node, node.period))
        return before

    def _of_period(self, node: Expression, period: Period) -> int:
        length = period.bars(self._timeframe)
        return node.settling * length if node.operation == op.PROFILE else length - 1

    def _held(self, node: Expression, before: Warmup) -> Warmup:
        """A history may begin inside a longer bar, which then is not whole and not counted."""
        period = node.inputs[0].higher
        assert period is not None
        length = period.bars(self._timeframe)
        return Warmup((before.first + 2) * length - 2, (before.settled + 2) * length - 2)


def build_program(outputs: Sequence[Expression], timeframe: Timeframe, *, lanes: int = 1, block: int = 1) -> Program:
    """Return the program of some outputs.

    Args:
        outputs: One expression for each column, on the bars' own timeframe.
        timeframe: That of the bars.
        lanes: Symbols that come together.
        block: Bars of each that are worked on at once; 1 when there are several lanes.
    """
    for each in outputs:
        if each.higher is not None:
            raise ValueError("an output is on a longer timeframe; hold its values first")
    return _Builder(outputs, timeframe, lanes, block).build()


@dataclass(slots=True)
class _Builder:
    outputs: Sequence[Expression]
    timeframe: Timeframe
    lanes: int
    block: int
    rows: list[list[int]] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    known_constants: dict[tuple[float, ...], int] = field(default_factory=dict)
    n_state: int = 0
    n_registers: int = 0
    registers: dict[Expression, int] = field(default_factory=dict)
    rates: list[Period | None] = field(default_factory=lambda: [None])
    longer: dict[Period, int] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)

    def build(self) -> Program:
        """Write the instructions, share the registers out, then turn relative places into addresses."""
        self.n_registers = N_INPUTS + len(self.outputs)
        for column, expression in enumerate(self.outputs):
            self._emit(expression, N_INPUTS + column)
        self._share_registers()
        return self._link()

    def _share_registers(self) -> None:
        """Give a register to the next node when its last reader is done, so that fewer of them fill the cache."""
        last = {row[place]: at for at, row in enumerate(self.rows) for place in _READ}
        kept = set(range(N_INPUTS + len(self.outputs))) | self.fixed
        moved = {register: number for number, register in enumerate(sorted(kept))}
        free: list[int] = []
        n_registers = len(moved)
        for at, row in enumerate(self.rows):
            if row[op.OUT] not in moved:
                if not free:
                    free.append(n_registers)
                    n_registers += 1
                moved[row[op.OUT]] = free.pop()
            done = {row[place] for place in _READ if row[place] >= 0 and last[row[place]] == at} - kept
            free.extend(moved[register] for register in done)
            for place in (op.OUT, *_READ):
                row[place] = moved[row[place]] if row[place] >= 0 else row[place]
        self.n_registers = n_registers

    def _emit(self, node: Expression, wanted: int = -1) -> int:
        """Write what a node needs and then itself; return its register."""
        if node in self.registers:
            register = self.registers[node]
            return register if wanted < 0 else self._write_copy(register, wanted)
        if node.column >= 0:
            register = self._input(node)
            return register if wanted < 0 else self._write_copy(register, wanted)
        inputs = [self._emit(each) for each in node.inputs]
        if node.family == op.HIGHER:
            period = node.inputs[0].higher
            assert period is not None
            inputs.append(self.longer[period] + _LONGER_COLUMNS)
        self.registers[node] = self._register() if wanted < 0 else wanted
        self._write(node, inputs)
        return self.registers[node]

    def _input(self, node: Expression) -> int:
        if node.higher is None:
            return node.column
        if node.higher not in self.longer:
            self._write_resample(node.higher)
        return self.longer[node.higher] + node.column - 1

    def _write_copy(self, source: int, target: int) -> int:
        constants = self._constants((1.0, 0.0))
        self.rows.append(_row(op.SINGLES, op.AFFINE, out=target, inputs=[source], constants=constants))
        return target

    def _write_resample(self, period: Period) -> None:
        first = self.n_registers
        self.n_registers += _LONGER_COLUMNS + 1
        self.longer[period] = first
        self.fixed.update(range(first, first + _LONGER_COLUMNS + 1))
        self.rates.append(period)
        numbers = (float(period.seconds(self.timeframe)), float(period.offset_s), float(TIMEFRAME_S[self.timeframe]))
        row = _row(op.HIGHER, op.RESAMPLE, out=first, inputs=[0, first + 5], constants=self._constants(numbers))
        row[op.STATE] = self._state(KEPT)
        row[op.EXTRA] = len(self.rates) - 1
        self.rows.append(row)

    def _write(self, node: Expression, inputs: list[int]) -> None:
        numbers, span = node.constants, node.span
        if node.period is not None:
            numbers, span = self._clock(node, node.period)
        row = _row(node.family, node.operation, out=self.registers[node], inputs=inputs)
        row[op.RATE] = self.rates.index(node.higher)
        row[op.SPAN], row[op.EXTRA] = span, node.extra
        row[op.CONSTANTS] = self._constants(numbers)
        row[op.STATE] = self._state(_state_size(node, span))
        self.rows.append(row)

    def _clock(self, node: Expression, period: Period) -> tuple[tuple[float, ...], int]:
        """Return the numbers that an operation on the calendar reads, and its span."""
        seconds = period.seconds(self.timeframe)
        if node.operation != op.PROFILE:
            return (float(seconds), float(period.offset_s)), 0
        bar = TIMEFRAME_S[self.timeframe]
        slot = min(max(bar, _MIN_SLOT_S), seconds)
        return (float(slot), float(bar), node.constants[0], float(period.offset_s)), seconds // slot

    def _register(self) -> int:
        self.n_registers += 1
        return self.n_registers - 1

    def _state(self, size: int) -> int:
        self.n_state += size
        return self.n_state - size

    def _constants(self, numbers: tuple[float, ...]) -> int:
        padded = numbers if len(numbers) > 1 else (*numbers, *(0.0,) * (2 - len(numbers)))
        if padded not in self.known_constants:
            self.known_constants[padded] = len(self.constants)
            self.constants.extend(padded)
        return self.known_constants[padded]

    def _link(self) -> Program:
        """Put everything in its place: constants, warm-ups, counters, state, registers."""
        lanes, cells = self.lanes, self.lanes * self.block
        width = cells + (_PADDING if cells > 1 else 0)
        counts = _Warmups(self.timeframe)
        warmups = tuple(max(counts.of(each).first, counts.of(each).settled) for each in self.outputs)
        warm = len(self.constants)
        seen = warm + len(warmups)
        lengths = seen + lanes
        state = lengths + len(self.rates) * (1 + lanes)
        registers = state + self.n_state * lanes
        memory = np.zeros(registers + self.n_registers * width)
        memory[:warm], memory[warm:seen] = self.constants, warmups
        memory[lengths], memory[lengths + 1 : lengths + 1 + lanes] = cells, self.block
        for row in self.rows:
            row[op.RATE] = lengths + row[op.RATE] * (1 + lanes)
            row[op.STATE] = state + row[op.STATE] * lanes
            for place in (op.OUT, *_READ):
                row[place] = registers + row[place] * width
            if row[op.FAMILY] == op.HIGHER and row[op.OPERATION] == op.RESAMPLE:
                row[op.EXTRA] = lengths + row[op.EXTRA] * (1 + lanes)
                row[op.C] = width
        head = np.zeros(op.HEAD, np.int64)
        head[op.N_OPS], head[op.LANES], head[op.STEPS] = len(self.rows), lanes, self.block
        head[op.INPUTS], head[op.OUTPUTS] = registers, registers + N_INPUTS * width
        head[op.N_OUTPUTS], head[op.SEEN], head[op.WARMUPS] = len(warmups), seen, warm
        head[op.LAST_WARMUP], head[op.LENGTHS], head[op.IS_UNIFORM] = max(warmups, default=0), lengths, 1
        code = np.concatenate([head, np.array(self.rows, np.int64).reshape(-1)])
        return Program(code, memory, warmups, int(head[op.OUTPUTS]), width, lengths)


def _row(family: int, operation: int, *, out: int, inputs: Sequence[int], constants: int = 0) -> list[int]:
    row = [0] * op.WIDTH
    row[op.FAMILY], row[op.OPERATION], row[op.OUT], row[op.CONSTANTS] = family, operation, out, constants
    for place, register in zip(_READ, (*inputs, -1, -1, -1), strict=False):
        row[place] = register
    return row


def _state_size(node: Expression, span: int) -> int:
    """Return how many numbers an operation remembers for each symbol."""
    sizes = {
        (op.WINDOWS, op.SUM): 3 + span,
        (op.WINDOWS, op.EXTREME): 3 + span,
        (op.WINDOWS, op.VARIANCE): 5 + 3 * span,
        (op.WINDOWS, op.LAG): 2 + span,
        (op.MEMORY, op.SMOOTH): 2,
        (op.MEMORY, op.LATCH): 2,
        (op.MEMORY, op.SINCE): 1,
        (op.CLOCK, op.LOCAL_TIME): 4,
        (op.CLOCK, op.PERIOD): 3,
        (op.CLOCK, op.PROFILE): 2 * span,
        (op.HIGHER, op.HOLD): 2,
    }
    return sizes.get((node.family, node.operation), 0)
