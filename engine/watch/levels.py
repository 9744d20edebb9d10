"""Levels on series of values: which of very many a tick crosses, at a cost that does not depend on how many there are.

The levels of a series lie sorted, with a mark between those at or below the last value and those above it. A tick moves
the mark, so it looks only at levels that it really crosses and at one neighbour. A level that is to be told when the
value *falls* to it lies, negated, on a second series that is fed negated values: one rule serves both.

A level is armed when it is added, fires when the value is at it or beyond, and arms again once the value has gone back
over it. One that is already reached when it is added therefore fires at the next tick. `rest_s` swallows crossings
that come too soon after the last one told; `once` ends a level with its first one.

Values are float64 and times are seconds since 1970; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
FlagArray = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)

_BUFFER = 4096
_NEVER = -np.inf
_UNPLACED = -1
"""Mark of a series whose levels have changed: its next tick places it."""


class Crossing(NamedTuple):
    """A level that a tick reached.

    Attributes:
        tick: Index into the ticks of the call.
        key: Of the level.
    """

    tick: int
    key: int


@dataclass(frozen=True, slots=True)
class Level:
    """One level to watch.

    Attributes:
        key: The caller's, unique among all levels.
        series: Index of the series.
        value: In the unit of the series.
        is_rising: Whether it is told when the value rises to it, else when it falls to it.
        once: Whether it ends with its first crossing.
        rest_s: Seconds after a crossing told in which others are swallowed.
        told_at: When it was last told, in seconds since 1970; minus infinity for never.
        is_armed: False for a level that the value had reached before and not yet left.
    """

    key: int
    series: int
    value: float
    is_rising: bool
    once: bool = True
    rest_s: float = 0.0
    told_at: float = _NEVER
    is_armed: bool = True


class Levels:
    """Levels on a fixed number of series.

    Adding and removing sorts anew (a fraction of a second for 100,000); ticks are cheap.

    Args:
        n_series: How many series there are; a tick names one by index.
    """

    def __init__(self, n_series: int) -> None:
        self._n_series = n_series
        self._keys: IntArray = np.empty(0, np.int64)
        self._where: IntArray = np.empty(0, np.int64)
        self._value: FloatArray = np.empty(0)
        self._rest: FloatArray = np.empty(0)
        self._quiet_until: FloatArray = np.empty(0)
        self._once: FlagArray = np.empty(0, np.bool_)
        self._armed: FlagArray = np.empty(0, np.bool_)
        self._bounds: IntArray = np.zeros(2 * n_series + 1, np.int64)
        self._marks: IntArray = np.full(2 * n_series, _UNPLACED)
        self._out = np.empty((_BUFFER, 2), np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def grow(self, n_series: int) -> None:
        """Make room for more series, which are numbered on."""
        self._n_series = max(n_series, self._n_series)
        self._arrange(np.arange(len(self._keys)))

    def add(self, levels: Iterable[Level]) -> None:
        """Add levels.

        Raises:
            ValueError: A series that does not exist, or a value that is not finite.
        """
        new = list(levels)
        for level in new:
            if not 0 <= level.series < self._n_series:
                raise ValueError(f"there are {self._n_series} series, and level {level.key} names {level.series}")
            if not np.isfinite(level.value):
                raise ValueError(f"level {level.key} has the value {level.value}")
        self._keys = _joined(self._keys, [level.key for level in new])
        self._where = _joined(self._where, [2 * level.series + (not level.is_rising) for level in new])
        self._value = _joined(self._value, [level.value if level.is_rising else -level.value for level in new])
        self._rest = _joined(self._rest, [level.rest_s for level in new])
        self._quiet_until = _joined(self._quiet_until, [level.told_at + level.rest_s for level in new])
        self._once = _joined(self._once, [level.once for level in new])
        self._armed = _joined(self._armed, [level.is_armed for level in new])
        self._arrange(np.lexsort((self._value, self._where)))

    def remove(self, keys: Iterable[int]) -> None:
        """Take levels out; unknown keys are ignored."""
        gone = np.isin(self._keys, np.fromiter(keys, np.int64))
        self._arrange(np.flatnonzero(~gone))

    def has(self, series: int) -> bool:
        """Return whether any level lies on a series."""
        return bool(self._bounds[2 * series] < self._bounds[2 * series + 2])

    def reached(self, series: int) -> set[int]:
        """Return the levels of a series that would not fire now, because the value has not gone back over them."""
        mine = slice(self._bounds[2 * series], self._bounds[2 * series + 2])
        return set(self._keys[mine][~self._armed[mine]].tolist())

    def feed(self, series: Sequence[int] | IntArray, values: FloatArray, at: FloatArray) -> list[Crossing]:
        """Take ticks in order of time and return what they crossed.

        Args:
            series: Shape (n,), index of each tick's series.
            values: Shape (n,); a NaN is skipped.
            at: Shape (n,), seconds since 1970.

        Returns:
            In order of the ticks, then of the levels as the value meets them. A level that has ended stays in place,
            and silent, until it is removed.
        """
        where, crossings, start = np.asarray(series, np.int64), list[Crossing](), 0
        while start < len(values):
            start, count = _run(
                start, where, values, at, self._bounds, self._marks, self._value, self._keys, self._rest,
                self._quiet_until, self._once, self._armed, self._out,
            )  # fmt: skip
            crossings += [Crossing(tick, key) for tick, key in self._out[:count].tolist()]
        return crossings

    def _arrange(self, order: IntArray) -> None:
        """Bring the levels, or a part of them, into an order."""
        for name in ("_keys", "_where", "_value", "_rest", "_quiet_until", "_once", "_armed"):
            setattr(self, name, getattr(self, name)[order])
        self._bounds = np.searchsorted(self._where, np.arange(2 * self._n_series + 1))
        self._marks = np.full(2 * self._n_series, _UNPLACED)


@numba.njit(cache=True)
def _run(start, where, values, at, bounds, marks, value, keys, rest, quiet_until, once, armed, out):  # type: ignore[no-untyped-def]  # compiled from its arguments
    """Take ticks from `start` on until they end or `out` is full; return the tick to go on with and the crossings.

    A tick that is taken again finds its marks moved and its levels disarmed, and tells none twice.
    """
    count = 0
    for tick in range(start, len(values)):
        if np.isnan(values[tick]):
            continue
        for side in range(2):
            line = 2 * where[tick] + side
            now = values[tick] if side == 0 else -values[tick]
            low, high = bounds[line], bounds[line + 1]
            mark = marks[line]
            is_unplaced = mark == _UNPLACED
            if is_unplaced:
                mark = high
            while mark > low and value[mark - 1] > now:
                mark -= 1
                armed[mark] = True
            reached = low if is_unplaced else mark
            while reached < high and value[reached] <= now:
                if armed[reached]:
                    if at[tick] >= quiet_until[reached]:
                        if count == len(out):
                            marks[line] = _UNPLACED if is_unplaced else reached
                            return tick, count
                        out[count, 0], out[count, 1] = tick, keys[reached]
                        count += 1
                        quiet_until[reached] = np.inf if once[reached] else at[tick] + rest[reached]
                    armed[reached] = False
                reached += 1
            marks[line] = reached
    return len(values), count


def _joined(old: npt.NDArray[Scalar], new: Sequence[float]) -> npt.NDArray[Scalar]:
    return np.concatenate([old, np.asarray(new, old.dtype)])
