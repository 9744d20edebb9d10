"""How much a market moves, with the hour of the week taken out: the inputs of every forecast of range.

Hourly ranges follow the clock (sessions open and close by New York's and London's time) before they follow anything
else. Each bar's log range is therefore freed of a profile of the hour of the week that was learned from earlier weeks
alone, smoothed at several scales, and the profile is put back for the hours ahead. Scales are counted in bars, so the
same description serves every timeframe. A value at bar t depends on bars up to t and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numba
import numpy as np

from engine.domain.market import Bars, FloatArray, IntArray
from engine.domain.sessions import DAY_S, HOUR_S, week_hour
from engine.domain.symbols import TIMEFRAME_S

SLOTS = 168
"""Hours of a week."""
WARMUP = 1500
"""Bars before the slowest scales and the profile say something; nothing is learned from earlier rows."""
SCALES = (1, 2, 4, 8, 24, 72, 168, 720)
"""Half-lives of the smoothed ranges, in bars: from the last bar to about a month of hours."""
ERA_COLUMNS = 2
"""Columns, last in `rich`, by which trees could learn years by heart: the month's level and the day of the year."""
_MIDDLE = SCALES.index(24)
_RETURN_SCALES = (4, 24, 168)
_VOLUME_SCALES = (1, 4, 24, 72)
_DOWNSIDE_SCALES = (12, 72)
_MOMENTUM_SPANS = (1, 4, 12, 24, 72, 168)
_PROFILE_WEEKS = 26.0
_LEVEL_BARS = 120.0
_FLOOR_RATIO = 0.02
"""A bar that did not move counts as this part of the usual range: a log needs something above zero."""
_HIGHEST_SQUARE = 1e3
_TINY = 1e-12
_NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True, eq=False)
class Volatility:
    """The description of some bars; n rows in their order.

    Attributes:
        slot: Shape (n,), hour of the week on New York's clock, 0 to 167.
        true_range: Shape (n,), log of the highest over the lowest price since the close before.
        profile: Shape (n,), usual log range of that hour, relative to the week.
        linear: Shape (n, k), inputs of the straight-line forecast, the profile ahead apart.
        rich: Shape (n, m), inputs of the trees; the last `ERA_COLUMNS` tell one era from another.
    """

    slot: IntArray
    true_range: FloatArray
    profile: FloatArray
    linear: FloatArray
    rich: FloatArray
    updates_per_slot: float

    def profile_ahead(self, horizon: int) -> FloatArray:
        """Return the usual log range (root mean square) of the `horizon` bars after each bar; shape (n,)."""
        return np.asarray(_profile_ahead(self.profile, self.slot, horizon, _PROFILE_WEEKS * self.updates_per_slot))


def describe_volatility(bars: Bars) -> Volatility:
    """Return the description of closed bars, oldest first."""
    updates = max(HOUR_S / TIMEFRAME_S[bars.timeframe], 1.0)
    slot = new_york_slots(bars.time)
    moved = true_range(bars)
    log_range = np.log(np.maximum(moved, np.maximum(_smooth(moved, 200.0) * _FLOOR_RATIO, 1e-7)))
    profile, free = _deseasonalise(log_range, slot, _PROFILE_WEEKS * updates, _LEVEL_BARS)
    calm = np.exp(-2 * profile)
    returns = log_returns(bars.close, 1)
    levels = np.column_stack([_smooth(free, half) for half in SCALES])
    squares = np.minimum(np.exp(2 * free), _HIGHEST_SQUARE)
    energies = np.column_stack([0.5 * np.log(_smooth(squares, half) + _TINY) for half in SCALES])
    middle, slow = levels[:, [_MIDDLE]], levels[:, [-1]]
    swings = [0.5 * np.log(_smooth(returns**2 * calm, half) + 1e-10) for half in _RETURN_SCALES]
    volume = _volume_scales(bars, slot, _PROFILE_WEEKS * updates)
    step = TIMEFRAME_S[bars.timeframe]
    echoes = np.column_stack([_echo(free, bars.time, ago) for ago in (DAY_S - step, DAY_S, 7 * DAY_S - step)])
    squared = returns**2 * calm
    downside = [
        _smooth(np.where(returns < 0, squared, 0.0), half) / (_smooth(squared, half) + _TINY)
        for half in _DOWNSIDE_SCALES
    ]
    level = np.exp(levels[:, _MIDDLE + 1])
    momentum = np.column_stack([log_returns(bars.close, n) / level / np.sqrt(n) for n in _MOMENTUM_SPANS])
    return Volatility(
        slot=slot,
        true_range=moved,
        profile=profile,
        linear=np.column_stack([levels, energies, volume[:, :3], echoes]),
        rich=np.column_stack(
            [levels[:, :-1] - slow, energies - middle, np.column_stack(swings) - middle, volume, echoes - slow,
             *downside, momentum, np.abs(momentum), slot, slot % 24, slot // 24, _is_payroll_ahead(bars.time), slow,
             _day_of_year(bars.time)]
        ),
        updates_per_slot=updates,
    )  # fmt: skip


def true_range(bars: Bars) -> FloatArray:
    """Return the log of the highest over the lowest price of each bar, the close before included; shape (n,)."""
    before = np.concatenate([bars.open[:1], bars.close[:-1]])
    return np.asarray(np.log(np.maximum(bars.high, before) / np.minimum(bars.low, before)))


def realised_scale(moved: FloatArray, horizon: int) -> FloatArray:
    """Return the log of the root mean square range of the next `horizon` bars; NaN where they are not over."""
    out = np.full(len(moved), np.nan)
    if len(moved) > horizon:
        total = np.concatenate([[0.0], np.cumsum(moved**2)])
        mean = (total[1 + horizon :] - total[1:-horizon]) / horizon
        out[:-horizon] = 0.5 * np.log(np.maximum(mean, 0) + _TINY)
    return out


def log_returns(close: FloatArray, span: int) -> FloatArray:
    """Return the log return over `span` bars, 0 where it is not known yet; shape (n,)."""
    out = np.zeros(len(close))
    out[span:] = np.log(close[span:] / close[:-span])
    return out


def new_york_slots(time: IntArray) -> IntArray:
    """Return the hour of the week on New York's clock, 0 at Monday 00:00."""
    blocks, where = np.unique(time // (6 * HOUR_S), return_inverse=True)
    offsets = np.array([_offset(int(block) * 6 * HOUR_S) for block in blocks], dtype=np.int64)
    return np.asarray(week_hour(time + offsets[where]), dtype=np.int64)


def _offset(second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(_NEW_YORK).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _volume_scales(bars: Bars, slot: IntArray, half_updates: float) -> FloatArray:
    """Return log volume without its hour of the week, against its month; all 0 where a feed has no volume."""
    if not bars.volume.max(initial=0.0) > 0:
        return np.zeros((len(bars), len(_VOLUME_SCALES)))
    usual = _smooth(bars.volume, 200.0)
    log_volume = np.log(np.maximum(bars.volume, usual * 0.01) + _TINY)
    free = _deseasonalise(log_volume, slot, half_updates, _LEVEL_BARS)[1]
    against = free - _smooth(free, 720.0)
    return np.column_stack([_smooth(against, half) for half in _VOLUME_SCALES])


def _echo(free: FloatArray, time: IntArray, ago_s: int) -> FloatArray:
    """Return the value of the last bar that had opened `ago_s` seconds before each bar; 0 where there is none."""
    rows = np.searchsorted(time, time - ago_s, side="right") - 1
    return np.where(rows >= 0, free[np.maximum(rows, 0)], 0.0)


def _day_of_year(time: IntArray) -> FloatArray:
    return np.asarray((time / DAY_S) % 365.2425)


def _is_payroll_ahead(time: IntArray) -> FloatArray:
    """Return 1 within the day before and on the first Friday of a month, when the US payrolls come out."""
    days = time // DAY_S
    dates = days.astype("datetime64[D]")
    first = dates.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    friday = first + (1 - first) % 7  # 1970-01-02, day 1, was a Friday
    return np.asarray(((days == friday) | (days == friday - 1)).astype(np.float64))


@numba.njit(cache=True)
def _smooth(values: FloatArray, half_life: float) -> FloatArray:
    """Return the exponentially weighted mean of all values so far, without a seed."""
    keep = 0.5 ** (1.0 / half_life)
    out = np.empty(len(values))
    total, weight = 0.0, 0.0
    for t in range(len(values)):
        total = total * keep + values[t]
        weight = weight * keep + 1.0
        out[t] = total / weight
    return out


@numba.njit(cache=True)
def _deseasonalise(
    values: FloatArray, slot: IntArray, half_updates: float, level_bars: float
) -> tuple[FloatArray, FloatArray]:
    """Return each bar's usual deviation from the level by its hour of the week, and the value without it.

    The usual deviation is that of earlier weeks; an hour seldom seen leans on the same hour of other days.
    """
    n = len(values)
    week, week_weight = np.zeros(168), np.zeros(168)
    day, day_weight = np.zeros(24), np.zeros(24)
    keep, keep_day = 0.5 ** (1.0 / half_updates), 0.5 ** (1.0 / (7.0 * half_updates))
    keep_level = 0.5 ** (1.0 / level_bars)
    level, level_weight = 0.0, 0.0
    profile, free = np.zeros(n), np.zeros(n)
    for t in range(n):
        s = slot[t]
        h = s % 24
        usual_day = day[h] / day_weight[h] if day_weight[h] > 0 else 0.0
        profile[t] = (week[s] + 4.0 * usual_day) / (week_weight[s] + 4.0)
        free[t] = values[t] - profile[t]
        if level_weight > 0:
            off = min(max(values[t] - level / level_weight, -3.0), 3.0)
            week[s], week_weight[s] = week[s] * keep + off, week_weight[s] * keep + 1.0
            day[h], day_weight[h] = day[h] * keep_day + off, day_weight[h] * keep_day + 1.0
        level, level_weight = level * keep_level + free[t], level_weight * keep_level + 1.0
    return profile, free


@numba.njit(cache=True)
def _profile_ahead(profile: FloatArray, slot: IntArray, horizon: int, half_updates: float) -> FloatArray:
    """Return the mean, over earlier weeks, of the profile that followed the same hour.

    Following what came after the same hour in other weeks carries weekends and daily rests without a calendar.
    """
    n = len(profile)
    usual, weight, out = np.zeros(168), np.zeros(168), np.zeros(n)
    keep = 0.5 ** (1.0 / half_updates)
    total = 0.0
    for t in range(n):
        total += np.exp(2 * profile[t])
        if t >= horizon:
            total -= np.exp(2 * profile[t - horizon])
            s = slot[t - horizon]
            usual[s] = usual[s] * keep + 0.5 * np.log(max(total, 1e-12) / horizon)
            weight[s] = weight[s] * keep + 1.0
        s = slot[t]
        out[t] = usual[s] / weight[s] if weight[s] > 0 else 0.0
    return out
