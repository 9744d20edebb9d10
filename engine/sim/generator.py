"""Invent a market: seeded, pure, and the same to the bit however and whenever it is asked.

The market is made in two layers. The skeleton is a sequence of hourly log prices of all symbols together, made
chunk after chunk (four weeks each) from a fixed epoch, so that what comes later never changes what came before.
Inside an hour the minute bars are a bridge between two skeleton prices, drawn from (seed, symbol, day) alone, so
any day can be made without the others; hour bars are the aggregation of their minute bars.

What it imitates: volatility that clusters (a fast and a slow log-volatility, partly common to a block), fat tails
(Student-t: a random scale per hour and per minute), correlated currencies and correlated coins, trends and
ranges of a few days, the hours of the day, the currency week with its Monday gaps, volumes that follow activity.
Within an hour, given its scale, prices are an exact Brownian bridge: half an hour tells nothing of the other half.
With `is_structured=False` all of it but the correlation and the sessions is off: a random walk without memory.

Inside the hour only + - * / and the square root are used, and all prices are on their tick, so that machines with
different maths libraries agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import HOUR_S, BoolArray, open_mask, week_hour
from engine.domain.symbols import FX_SYMBOLS, SYMBOLS

VERSION: Final = 1
"""Raise it with any change of what a seed gives, so that stored chunks are not mixed."""
EPOCH_S: Final = int(datetime(2020, 1, 6, tzinfo=UTC).timestamp())
"""First hour of the market; a Monday."""
DAYS_PER_CHUNK: Final = 28
HOURS_PER_CHUNK: Final = DAYS_PER_CHUNK * 24
CHUNK_S: Final = HOURS_PER_CHUNK * HOUR_S
MINUTES: Final = 60

_FX_HOURS_PER_YEAR = 52 * 120
_CRYPTO_HOURS_PER_YEAR = 365 * 24
_FAST_HALF_LIFE_H, _FAST_SD = 16.0, 0.30
_SLOW_HALF_LIFE_H, _SLOW_SD = 480.0, 0.35
_COMMON_VOLATILITY = 0.7
"""Correlation of a symbol's log-volatility with its block's."""
_BLOCK_LINK = 0.15
"""Correlation of the currency factor with the crypto factor."""
_TAIL_DEGREES = 5.0
_MAX_TAIL = 5.0
_MAX_HOUR_SCALE = 0.06
"""Largest standard deviation of an hour, as a fraction of the price."""
_CLOSED_SCALE = 0.12
"""Volatility of a closed hour against an open one: what makes Monday gaps."""
_REGIME_SWITCH = 1 / 96
_FOLLOW_BLOCK = 0.5
"""Probability that a new regime copies the block's."""
_TREND_SHARE = 0.30
"""Probability of an up-trend, and of a down-trend; the rest are ranges."""
_TREND_DRIFT = 0.10
"""Drift of a trend, in hourly standard deviations per hour."""
_RANGE_PULL = 1 / 48
_LEVEL_PULL = 1 / (150 * 24)
"""Pull per hour to the starting price: what keeps prices plausible for decades."""
_MINUTE_FLOOR = 0.3
_PATH_NOISE = 0.08
"""Noise of the second-by-second path, as a fraction of the minute's range."""


@dataclass(frozen=True, slots=True)
class SymbolModel:
    """How one symbol is imitated.

    Attributes:
        start_price: Price at the epoch, to which prices stay near, in quote currency.
        annual_volatility: Standard deviation of a year's log return.
        block_loading: Correlation with the block's factor.
        hourly_volume: Base units of an average hour.
        price_digits, volume_digits: Decimals of a price and of a volume.
    """

    start_price: float
    annual_volatility: float
    block_loading: float
    hourly_volume: float
    price_digits: int
    volume_digits: int


MODELS: Final = {
    "XAUUSD": SymbolModel(2400.0, 0.15, 0.45, 60_000.0, 2, 2),
    "EURUSD": SymbolModel(1.09, 0.075, 0.80, 80e6, 5, 0),
    "GBPUSD": SymbolModel(1.27, 0.085, 0.80, 50e6, 5, 0),
    "BTC/USDT": SymbolModel(65_000.0, 0.55, 0.90, 1_500.0, 2, 5),
    "ETH/USDT": SymbolModel(3_200.0, 0.70, 0.88, 20_000.0, 2, 4),
    "SOL/USDT": SymbolModel(150.0, 0.95, 0.78, 150_000.0, 2, 3),
    "BNB/USDT": SymbolModel(580.0, 0.60, 0.78, 8_000.0, 2, 3),
    "XRP/USDT": SymbolModel(0.60, 0.90, 0.70, 15e6, 4, 1),
    "ADA/USDT": SymbolModel(0.45, 0.85, 0.78, 8e6, 4, 1),
    "DOGE/USDT": SymbolModel(0.14, 1.00, 0.70, 60e6, 5, 0),
    "AVAX/USDT": SymbolModel(30.0, 0.95, 0.78, 150_000.0, 2, 2),
    "LTC/USDT": SymbolModel(85.0, 0.75, 0.78, 30_000.0, 2, 3),
    "LINK/USDT": SymbolModel(15.0, 0.85, 0.78, 120_000.0, 2, 2),
}

_N = len(SYMBOLS)
_N_FX = len(FX_SYMBOLS)
_COLUMNS = _N + 2
"""Columns of the state: the symbols, then the currency block and the crypto block."""
_BLOCK = np.array([_N if column < _N_FX else _N + 1 for column in range(_N)])
_START_LOG = np.array([float(np.log(MODELS[symbol].start_price)) for symbol in SYMBOLS])
_LOADING = np.array([MODELS[symbol].block_loading for symbol in SYMBOLS])
_OWN_LOADING = np.sqrt(1 - _LOADING**2)
_HOUR_SCALE = np.array(
    [
        MODELS[symbol].annual_volatility
        / (_FX_HOURS_PER_YEAR if symbol in FX_SYMBOLS else _CRYPTO_HOURS_PER_YEAR) ** 0.5
        for symbol in SYMBOLS
    ]
)
_PRICE_UNIT = np.array([10.0 ** MODELS[symbol].price_digits for symbol in SYMBOLS])
_VOLUME_UNIT = np.array([10.0 ** MODELS[symbol].volume_digits for symbol in SYMBOLS])
_HOURLY_VOLUME = np.array([MODELS[symbol].hourly_volume for symbol in SYMBOLS])
_COLUMN = {symbol: column for column, symbol in enumerate(SYMBOLS)}

# Relative volatility of the 24 UTC hours: Asia quiet, London and New York busy; coins follow New York more mildly.
_FX_NIGHT = (0.70, 0.75, 0.70, 0.65, 0.60, 0.65, 0.80)
_FX_DAY = (1.10, 1.25, 1.15, 1.05, 1.05, 1.30, 1.60, 1.65, 1.50, 1.25, 1.00, 0.90, 0.80)
_FX_EVENING = (0.70, 0.55, 0.50, 0.60)
_FX_HOURS = np.array((*_FX_NIGHT, *_FX_DAY, *_FX_EVENING))
_CRYPTO_MORNING = (1.05, 1.00, 0.95, 0.90, 0.85, 0.85, 0.90, 0.95, 1.00, 1.00, 0.95, 0.95)
_CRYPTO_AFTERNOON = (1.05, 1.25, 1.35, 1.30, 1.20, 1.10, 1.00, 1.00, 1.00, 0.95, 0.90, 0.95)
_CRYPTO_HOURS = np.array((*_CRYPTO_MORNING, *_CRYPTO_AFTERNOON))
_CRYPTO_WEEKEND = 0.8
_SATURDAY_HOUR = 5 * 24

_LOG_PRICE, _FAST, _SLOW, _REGIME, _ANCHOR = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Four weeks of hours of all symbols; n hours, columns in the order of `SYMBOLS`.

    Attributes:
        chunk: Number of the chunk since the epoch.
        price: Shape (n + 1, symbols): price at the start of each hour, and at the end of the last.
        scale: Shape (n, symbols): standard deviation of the hour, as a fraction of the price.
        activity: Shape (n, symbols): volume against an average hour.
        next_state: What `MarketGenerator.skeleton` needs to make the next chunk.
    """

    chunk: int
    price: FloatArray
    scale: FloatArray
    activity: FloatArray
    next_state: FloatArray

    @property
    def start_s(self) -> int:
        """Return the open time of the first hour, in seconds since the epoch of time."""
        return EPOCH_S + self.chunk * CHUNK_S


@dataclass(frozen=True, slots=True, eq=False)
class BarBlock:
    """Bars without their times: arrays of one shape, hours by minutes or hours alone."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


class MarketGenerator:
    """Make the market that a seed names.

    Args:
        seed: At least 0; another seed is another market.
        is_structured: False gives a random walk, on which nothing can be predicted.
    """

    def __init__(self, seed: int, *, is_structured: bool = True) -> None:
        self.seed = seed
        self.is_structured = is_structured

    def initial_state(self) -> FloatArray:
        """Return the state before the first chunk."""
        state = np.zeros((5, _COLUMNS))
        state[_LOG_PRICE, :_N] = _START_LOG
        state[_ANCHOR] = state[_LOG_PRICE]
        return state

    def skeleton(self, chunk: int, state: FloatArray) -> Skeleton:
        """Return one chunk of hours, from the state that the chunk before it left."""
        rng = self._rng(0, 0, chunk)
        hours = EPOCH_S + chunk * CHUNK_S + HOUR_S * np.arange(HOURS_PER_CHUNK, dtype=np.int64)
        pattern, is_open = _hour_pattern(hours, self.is_structured)
        moves = _correlated_normals(rng)
        fast, slow = _log_volatility(rng, state)
        tail = _tail_scales(rng)
        regime, switches = _regimes(rng, state[_REGIME])
        if not self.is_structured:
            fast, slow, tail = np.zeros_like(fast), np.zeros_like(slow), np.ones_like(tail)
        # Less the variance, so that the mean of the squared scale stays that of the model.
        volatility = np.exp((fast + slow)[:, :_N] - (_FAST_SD**2 + _SLOW_SD**2) * self.is_structured)
        usual = _HOUR_SCALE * pattern * volatility
        scale = np.minimum(usual * tail, _MAX_HOUR_SCALE)
        drift = np.where(is_open, _TREND_DRIFT * usual * np.sign(regime[:, :_N]), 0.0)
        log_price, anchor = self._walk(state, scale * moves, drift, regime[:, :_N] == 0, switches[:, :_N], is_open)
        return Skeleton(
            chunk=chunk,
            price=np.maximum(np.rint(np.exp(log_price) * _PRICE_UNIT), 1.0) / _PRICE_UNIT,
            scale=scale,
            activity=pattern * volatility * np.sqrt(tail),
            next_state=_state_after(log_price[-1], fast[-1], slow[-1], regime[-1], anchor),
        )

    def minute_bars(self, skeleton: Skeleton, symbol: str, first_day: int = 0, days: int = DAYS_PER_CHUNK) -> BarBlock:
        """Return the minute bars of some days of a chunk, shape (24 × days, 60); closed hours included."""
        column = _COLUMN[symbol]
        rows = slice(first_day * 24, (first_day + days) * 24)
        normals, exponentials = self._minute_draws(column, skeleton.chunk * DAYS_PER_CHUNK + first_day, days)
        opens = skeleton.price[rows, column, None]
        closes = skeleton.price[rows.start + 1 : rows.stop + 1, column, None]
        scale = skeleton.scale[rows, column, None] * opens
        return _bridge(column, opens, closes, scale, skeleton.activity[rows, column, None], normals, exponentials)

    def hour_bars(self, skeleton: Skeleton, symbol: str) -> BarBlock:
        """Return the hour bars of a chunk, shape (hours,): each the aggregation of its minute bars."""
        minutes = self.minute_bars(skeleton, symbol)
        unit = _VOLUME_UNIT[_COLUMN[symbol]]
        return BarBlock(
            open=minutes.open[:, 0].copy(),
            high=minutes.high.max(axis=1),
            low=minutes.low.min(axis=1),
            close=minutes.close[:, -1].copy(),
            volume=np.rint(minutes.volume.sum(axis=1) * unit) / unit,
        )

    def second_path(self, symbol: str, minute_s: int, bar: tuple[float, float, float, float]) -> FloatArray:
        """Return a price for each of the 60 seconds of a minute, shape (60,), not on the tick.

        Args:
            symbol: One of `SYMBOLS`.
            minute_s: Open time of the minute, seconds since the epoch.
            bar: Its open, high, low and close; the path starts at the open, visits both extremes and stays within.
        """
        opened, high, low, closed = bar
        rng = self._rng(1, _COLUMN[symbol] + 1, minute_s // 60)
        first, second = int(rng.integers(4, 28)), int(rng.integers(30, 56))
        extremes = (low, high) if rng.random() < 0.5 else (high, low)
        path = np.interp(np.arange(60.0), [0.0, first, second, 60.0], [opened, *extremes, closed])
        noise = rng.standard_normal(60) * ((high - low) * _PATH_NOISE)
        noise[[0, first, second]] = 0.0
        return np.asarray(np.clip(path + noise, low, high), dtype=np.float64)

    def _walk(
        self,
        state: FloatArray,
        moves: FloatArray,
        drift: FloatArray,
        in_range: BoolArray,
        switches: BoolArray,
        is_open: BoolArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Return log prices at hour starts and at the end, and the anchors of the ranges at the end."""
        log_price, anchor = state[_LOG_PRICE, :_N].copy(), state[_ANCHOR, :_N].copy()
        path = np.empty((HOURS_PER_CHUNK + 1, _N))
        path[0] = log_price
        if not self.is_structured:
            path[1:] = moves
            return np.cumsum(path, axis=0), anchor
        steps = moves + drift
        range_pull = _RANGE_PULL * (in_range & is_open)
        any_switch: BoolArray = np.asarray(switches.any(axis=1))
        for hour in range(HOURS_PER_CHUNK):
            if any_switch[hour]:
                anchor = np.where(switches[hour], log_price, anchor)
            pull = range_pull[hour] * (anchor - log_price) + _LEVEL_PULL * (_START_LOG - log_price)
            log_price = log_price + steps[hour] + pull
            path[hour + 1] = log_price
        return path, anchor

    def _minute_draws(self, column: int, first_day: int, days: int) -> tuple[FloatArray, FloatArray]:
        normals = np.empty((days, 24, MINUTES))
        exponentials = np.empty((3, days, 24, MINUTES))
        for day in range(days):
            rng = self._rng(0, column + 1, first_day + day)
            rng.standard_normal(out=normals[day])
            exponentials[:, day] = rng.standard_exponential((3, 24, MINUTES))
        return normals.reshape(-1, MINUTES), exponentials.reshape(3, -1, MINUTES)

    def _rng(self, layer: int, stream: int, position: int) -> np.random.Generator:
        """Return a generator at its own place of one counter-based stream: random access, no order of calls."""
        return np.random.Generator(np.random.Philox(key=self.seed, counter=[0, layer, stream, position]))


def chunk_of(second: int) -> int:
    """Return the number of the chunk that a time (seconds since the epoch of time) falls in."""
    return (second - EPOCH_S) // CHUNK_S


def _hour_pattern(hours: IntArray, is_structured: bool) -> tuple[FloatArray, BoolArray]:
    """Return relative volatility and openness of each hour and symbol, both of shape (hours, symbols)."""
    is_open = np.stack([open_mask(symbol, hours) for symbol in SYMBOLS], axis=1)
    pattern = np.ones(is_open.shape)
    if is_structured:
        of_day = hours // HOUR_S % 24
        weekend = np.where(week_hour(hours) >= _SATURDAY_HOUR, _CRYPTO_WEEKEND, 1.0)
        pattern[:, :_N_FX] = _unit_power(_FX_HOURS)[of_day, None]
        pattern[:, _N_FX:] = (_unit_power(_CRYPTO_HOURS)[of_day] * weekend)[:, None]
    pattern[~is_open] = _CLOSED_SCALE
    return pattern, is_open


def _unit_power(hours: FloatArray) -> FloatArray:
    return hours / float(np.sqrt(np.mean(hours**2)))


def _correlated_normals(rng: np.random.Generator) -> FloatArray:
    draws = rng.standard_normal((HOURS_PER_CHUNK, _COLUMNS))
    crypto_factor = _BLOCK_LINK * draws[:, _N] + (1 - _BLOCK_LINK**2) ** 0.5 * draws[:, _N + 1]
    draws[:, _N + 1] = crypto_factor
    moves: FloatArray = _LOADING * draws[:, _BLOCK] + _OWN_LOADING * draws[:, :_N]
    return moves


def _log_volatility(rng: np.random.Generator, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the fast and the slow log-volatility of each hour: two autoregressions, shape (hours, columns)."""
    made = []
    for row, half_life, deviation in ((_FAST, _FAST_HALF_LIFE_H, _FAST_SD), (_SLOW, _SLOW_HALF_LIFE_H, _SLOW_SD)):
        keep = 0.5 ** (1 / half_life)
        shocks = rng.standard_normal((HOURS_PER_CHUNK, _COLUMNS))
        own = (1 - _COMMON_VOLATILITY**2) ** 0.5
        shocks[:, :_N] = _COMMON_VOLATILITY * shocks[:, _BLOCK] + own * shocks[:, :_N]
        shocks *= deviation * (1 - keep**2) ** 0.5
        level = state[row]
        for hour in range(HOURS_PER_CHUNK):
            level = keep * level + shocks[hour]
            shocks[hour] = level
        made.append(shocks)
    return made[0], made[1]


def _tail_scales(rng: np.random.Generator) -> FloatArray:
    """Return the random scale that turns each hour's normal move into a Student-t one, mean square about 1."""
    chi_square = rng.chisquare(_TAIL_DEGREES, (HOURS_PER_CHUNK, _N))
    return np.minimum(np.sqrt((_TAIL_DEGREES - 2) / chi_square), _MAX_TAIL)


def _regimes(rng: np.random.Generator, before: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return each hour's regime (1 up, -1 down, 0 range) and whether it began then, shape (hours, columns)."""
    switches = rng.random((HOURS_PER_CHUNK, _COLUMNS)) < _REGIME_SWITCH
    draws = rng.random((HOURS_PER_CHUNK, _COLUMNS))
    follows = rng.random((HOURS_PER_CHUNK, _COLUMNS)) < _FOLLOW_BLOCK
    fresh = np.where(draws < _TREND_SHARE, 1.0, np.where(draws < 2 * _TREND_SHARE, -1.0, 0.0))
    regime = np.empty((HOURS_PER_CHUNK, _COLUMNS))
    current = before.copy()
    for hour in range(HOURS_PER_CHUNK):
        if switches[hour].any():
            current = np.where(switches[hour], fresh[hour], current)
            copies = switches[hour, :_N] & follows[hour, :_N]
            current[:_N] = np.where(copies, current[_BLOCK], current[:_N])
        regime[hour] = current
    return regime, switches


def _state_after(
    log_price: FloatArray, fast: FloatArray, slow: FloatArray, regime: FloatArray, anchor: FloatArray
) -> FloatArray:
    state = np.zeros((5, _COLUMNS))
    state[_LOG_PRICE, :_N] = log_price
    state[_FAST], state[_SLOW], state[_REGIME] = fast, slow, regime
    state[_ANCHOR, :_N] = anchor
    return state


def _bridge(
    column: int,
    opens: FloatArray,
    closes: FloatArray,
    scale: FloatArray,
    activity: FloatArray,
    normals: FloatArray,
    exponentials: FloatArray,
) -> BarBlock:
    """Join hour prices by minutes: a Brownian bridge in random minute time, with its exact extremes.

    The maximum of a Brownian bridge from a to b with variance v is (a + b + sqrt((b - a)² + 2 v E)) / 2 for a unit
    exponential E; the minimum mirrors it.
    """
    unit = _PRICE_UNIT[column]
    weight = _MINUTE_FLOOR + exponentials[0]
    clock = np.cumsum(weight, axis=1)
    total = clock[:, -1:]
    walk = np.cumsum(normals * np.sqrt(weight), axis=1) * (scale / np.sqrt(total))
    close = opens + walk + clock / total * (closes - opens - walk[:, -1:])
    close = np.maximum(np.rint(close * unit), 1.0) / unit
    close[:, -1:] = closes
    opened = np.concatenate((opens, close[:, :-1]), axis=1)
    middle, gap = opened + close, close - opened
    twice_variance = 2 * scale * scale * weight / total
    high = np.rint((middle + np.sqrt(gap * gap + twice_variance * exponentials[1])) * (0.5 * unit)) / unit
    low = np.rint((middle - np.sqrt(gap * gap + twice_variance * exponentials[2])) * (0.5 * unit)) / unit
    volume_unit = _VOLUME_UNIT[column]
    usual_volume = _HOURLY_VOLUME[column] / MINUTES / (_MINUTE_FLOOR + 1)
    volume = usual_volume * activity * weight * (0.5 + 0.25 * (exponentials[1] + exponentials[2]))
    return BarBlock(
        open=opened,
        high=np.maximum(high, np.maximum(opened, close)),
        low=np.maximum(np.minimum(low, np.minimum(opened, close)), 1.0 / unit),
        close=close,
        volume=np.maximum(np.rint(volume * volume_unit), 1.0) / volume_unit,
    )
