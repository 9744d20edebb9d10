"""The language in which features are defined: expressions over closed bars, built once and run by two drivers.

An expression is a node of a graph; equal ones are one object, so what many features share is worked out once. Nothing
is computed here. Each stateful kind knows two counts of bars: when its first number comes (`first`), and when what lay
before the history no longer matters (`settled`); the second makes a feature's warm-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

from engine.domain.symbols import TIMEFRAME_S, Timeframe
from engine.features import opcodes as op

FORGOTTEN = 2.5e-3
"""Weight of a smoothing's seed below which it counts as settled."""
TINY = 1e-12
STILL = 1e-8
"""A fraction of the price below which a deviation is no more than rounding."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the clock: some seconds, or some bars of the timeframe at hand.

    Attributes:
        length: Seconds, or bars.
        is_bars: Which of them.
        offset_s: Added to a time before it is divided.
    """

    length: int
    is_bars: bool = False
    offset_s: int = 0

    def seconds(self, timeframe: Timeframe) -> int:
        """Return the length in seconds."""
        return self.length * TIMEFRAME_S[timeframe] if self.is_bars else self.length

    def bars(self, timeframe: Timeframe) -> int:
        """Return the most bars that one such stretch can hold."""
        return max(1, -(-self.seconds(timeframe) // TIMEFRAME_S[timeframe]))


DAY = Period(86400)
WEEK = Period(7 * 86400, offset_s=3 * 86400)
"""From Monday 00:00 UTC: the epoch was a Thursday."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One node.

    Attributes:
        family, operation: What the machine does.
        inputs: Nodes that it reads.
        span: Bars of a window, or another whole number that the operation needs.
        extra: A second one.
        constants: Numbers that the operation reads.
        period: For work on the clock.
        column: For an input, which of time, open, high, low, close and volume it is.
        higher: The longer timeframe whose closed bars are meant, if any.
        is_held: Whether values of a longer timeframe are repeated for the bars of the shorter.
    """

    family: int
    operation: int
    inputs: tuple[Expression, ...] = ()
    span: int = 0
    extra: int = 0
    constants: tuple[float, ...] = ()
    period: Period | None = None
    column: int = -1
    higher: Period | None = None
    settling: int = field(default=0)

    def __add__(self, other: Expression | float) -> Expression:
        return _pair(op.ADD, self, other) if isinstance(other, Expression) else affine(self, 1.0, other)

    def __radd__(self, other: float) -> Expression:
        return affine(self, 1.0, other)

    def __sub__(self, other: Expression | float) -> Expression:
        return _pair(op.SUBTRACT, self, other) if isinstance(other, Expression) else affine(self, 1.0, -other)

    def __rsub__(self, other: float) -> Expression:
        return affine(self, -1.0, other)

    def __mul__(self, other: Expression | float) -> Expression:
        return _pair(op.MULTIPLY, self, other) if isinstance(other, Expression) else affine(self, other, 0.0)

    def __rmul__(self, other: float) -> Expression:
        return affine(self, other, 0.0)

    def __truediv__(self, other: Expression | float) -> Expression:
        return _pair(op.DIVIDE, self, other) if isinstance(other, Expression) else affine(self, 1.0 / other, 0.0)

    def __neg__(self) -> Expression:
        return affine(self, -1.0, 0.0)


@cache
def _node(
    family: int,
    operation: int,
    inputs: tuple[Expression, ...],
    span: int = 0,
    extra: int = 0,
    constants: tuple[float, ...] = (),
    period: Period | None = None,
    settling: int = 0,
) -> Expression:
    """Return the one node of these properties; its timeframe is that of its inputs."""
    timeframes = {each.higher for each in inputs}
    if len(timeframes) > 1:
        raise ValueError("bars of two timeframes cannot be mixed; hold the longer one's values first")
    return Expression(
        family, operation, inputs, span, extra, constants, period, higher=timeframes.pop(), settling=settling
    )


@cache
def column(number: int, higher: Period | None = None) -> Expression:
    """Return an input: 0 time, 1 open, 2 high, 3 low, 4 close, 5 volume (no time on a longer timeframe)."""
    return Expression(op.HIGHER, op.RESAMPLE, column=number, higher=higher)


TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = (column(number) for number in range(6))


def hold(values: Expression) -> Expression:
    """Return the newest value of a longer timeframe's closed bars at each bar of the shorter."""
    if values.higher is None:
        raise ValueError("only values of a longer timeframe are held")
    return _hold(values)


@cache
def _hold(values: Expression) -> Expression:
    return Expression(op.HIGHER, op.HOLD, (values,))


def _pair(operation: int, left: Expression, right: Expression) -> Expression:
    return _node(op.PAIRS, operation, (left, right))


def affine(x: Expression, factor: float, term: float) -> Expression:
    """Return x × factor + term."""
    return _node(op.SINGLES, op.AFFINE, (x,), constants=(float(factor), float(term)))


def maximum(left: Expression, right: Expression) -> Expression:
    """Return the greater of two."""
    return _pair(op.MAXIMUM, left, right)


def minimum(left: Expression, right: Expression) -> Expression:
    """Return the smaller of two."""
    return _pair(op.MINIMUM, left, right)


def greater(left: Expression, right: Expression) -> Expression:
    """Return 1 where left > right, else 0."""
    return _pair(op.GREATER, left, right)


def ratio(left: Expression, right: Expression, *, neutral: float = 0.0) -> Expression:
    """Return left / right, and `neutral` where right is not above 0."""
    return _node(op.PAIRS, op.RATIO, (left, right), constants=(neutral, 0.0))


def where(condition: Expression, left: Expression, right: Expression) -> Expression:
    """Return left where the condition is above 0, else right."""
    return _node(op.PAIRS, op.WHERE, (condition, left, right))


def log(x: Expression) -> Expression:
    """Return the natural logarithm."""
    return _node(op.SINGLES, op.LOG, (x,), constants=(0.0, 0.0))


def root(x: Expression) -> Expression:
    """Return the square root."""
    return _node(op.SINGLES, op.SQRT, (x,), constants=(0.0, 0.0))


def absolute(x: Expression) -> Expression:
    """Return the distance from 0."""
    return _node(op.SINGLES, op.ABSOLUTE, (x,), constants=(0.0, 0.0))


def sign(x: Expression) -> Expression:
    """Return -1, 0 or 1."""
    return _node(op.SINGLES, op.SIGN, (x,), constants=(0.0, 0.0))


def clip(x: Expression, low: float, high: float) -> Expression:
    """Return x, kept between two bounds."""
    return _node(op.SINGLES, op.CLIP, (x,), constants=(low, high))


def modulo(x: Expression, divisor: float, term: float = 0.0) -> Expression:
    """Return the rest of (x + term) / divisor, never negative."""
    return _node(op.SINGLES, op.MODULO, (x,), constants=(divisor, term))


def lag(x: Expression, span: int) -> Expression:
    """Return the value `span` bars ago."""
    return _node(op.WINDOWS, op.LAG, (x,), _checked(span))


def change(x: Expression, span: int = 1) -> Expression:
    """Return x minus its value `span` bars ago."""
    return _node(op.WINDOWS, op.LAG, (x,), _checked(span), 1)


def total(x: Expression, span: int) -> Expression:
    """Return the sum of the last `span` values."""
    return _node(op.WINDOWS, op.SUM, (x,), _checked(span), constants=(1.0,))


def mean(x: Expression, span: int) -> Expression:
    """Return the mean of the last `span` values."""
    return _node(op.WINDOWS, op.SUM, (x,), _checked(span), constants=(1.0 / span,))


def highest(x: Expression, span: int) -> Expression:
    """Return the highest of the last `span` values."""
    return _node(op.WINDOWS, op.EXTREME, (x,), _checked(span), constants=(1.0,))


def lowest(x: Expression, span: int) -> Expression:
    """Return the lowest of the last `span` values."""
    return _node(op.WINDOWS, op.EXTREME, (x,), _checked(span), constants=(-1.0,))


def variance(x: Expression, span: int) -> Expression:
    """Return the population variance of the last `span` values."""
    return _node(op.WINDOWS, op.VARIANCE, (x,), _checked(span))


def deviation(x: Expression, span: int) -> Expression:
    """Return the population standard deviation of the last `span` values."""
    return root(variance(x, span))


def smooth(
    x: Expression, part: float, *, seeds: int, first: int | None = None, mean_of: int | None = None
) -> Expression:
    """Return exponential smoothing.

    Args:
        x: What is smoothed.
        part: How far each value moves the result towards itself, 0–1.
        seeds: Values whose mean it starts from.
        first: Values it needs before it speaks, `seeds` unless given.
        mean_of: By what the seeds' sum is divided, `seeds` unless given.
    """
    spoken = seeds if first is None else first
    settling = seeds + (math.ceil(math.log(FORGOTTEN) / math.log(1 - part)) if part < 1 else 0)
    share = 1.0 / (seeds if mean_of is None else mean_of)
    constants = (part, 1.0 - part, share)
    return _node(op.MEMORY, op.SMOOTH, (x,), _checked(seeds), spoken, constants, settling=max(settling, spoken))


def ema(x: Expression, period: int) -> Expression:
    """Return the exponential moving average, seeded with the plain mean (TA-Lib's)."""
    return smooth(x, 2.0 / (period + 1), seeds=period)


def wilder(x: Expression, period: int) -> Expression:
    """Return Wilder's smoothing, seeded with the plain mean."""
    return smooth(x, 1.0 / period, seeds=period)


def latch(event: Expression, x: Expression, *, settling: int) -> Expression:
    """Return x as it was when the event last was above 0; the first x before any event.

    `settling` is how many bars it is given to see an event.
    """
    return _node(op.MEMORY, op.LATCH, (event, x), settling=settling)


def since(event: Expression, cap: int) -> Expression:
    """Return the bars since the event was above 0, at most `cap`, which also means never."""
    return _node(op.MEMORY, op.SINCE, (event,), _checked(cap), settling=cap)


def cycle(time: Expression, period: Period, *, is_sine: bool) -> Expression:
    """Return the sine or cosine of the time within a period."""
    operation = op.SINE if is_sine else op.COSINE
    return _node(op.CLOCK, operation, (time,), constants=(float(period.length), float(period.offset_s)))


def local_time(city: int) -> Expression:
    """Return what the clocks show in New York or London, in seconds as if it were UTC."""
    return _node(op.CLOCK, op.LOCAL_TIME, (TIME,), span=city)


def within(x: Expression, period: Period, kind: int, *, time: Expression = TIME) -> Expression:
    """Return the first, highest, lowest or summed value since a period began, this bar included."""
    return _node(op.CLOCK, op.PERIOD, (x, time), extra=kind, period=period)


def accumulate(x: Expression) -> Expression:
    """Return the sum of all values since the history began."""
    return _node(op.CLOCK, op.PERIOD, (x, TIME), extra=op.TOTAL, constants=(1e18, 0.0))


def profile(x: Expression, *, ahead: int, keep: float, weeks: int, time: Expression = TIME) -> Expression:
    """Return the mean of x that is usual in the hours of the week of the next `ahead` bars.

    Args:
        x: What is averaged by hour of the week.
        ahead: Bars to come.
        keep: What a week keeps of the weight of the one before.
        weeks: Given to settle.
        time: Whose clock tells the hour.
    """
    return _node(op.CLOCK, op.PROFILE, (x, time), extra=ahead, constants=(keep,), period=WEEK, settling=weeks)


def _checked(span: int) -> int:
    if span < 1:
        raise ValueError(f"a span must be at least 1, got {span}")
    return span
