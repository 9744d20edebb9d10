"""Random markets, decisions and accounts for comparing the two drivers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from engine.backtest.settings import AccountSettings, Listing, SizeRule, funding_at
from engine.domain.market import Bars, Instrument
from engine.domain.strategies import Decisions
from engine.domain.symbols import Timeframe
from engine.sim.matching import MatchingSettings
from tests.engine.backtest.strategies import Scripted

D = Decimal
START = 1_600_000_000 // 28_800 * 28_800
INSTRUMENTS = (
    Instrument("BTC/USDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D(5), D("0.001"), D("0.0008"), True),
    Instrument("ETH/USDT", "ETH", "USDT", D("0.01"), D("0.0001"), D("0.0001"), D(5), D("0.001"), D("0.0008"), False),
    Instrument("XAUUSD", "XAU", "USD", D("0.25"), D("0.01"), D("0.02"), D(1), D("0.00003"), D("0.00003"), True),
    Instrument("EURUSD", "EUR", "USD", D("0.00001"), D(1), D(1), D(1), D("0.00003"), D("0.00003"), True),
    Instrument("PEPE/USDT", "PEPE", "USDT", D("1E-9"), D(1), D(10), D(5), D("0.00075"), D("0"), True),
)
PRICES = {"BTC/USDT": 30_000.0, "ETH/USDT": 1_500.0, "XAUUSD": 2_000.0, "EURUSD": 1.1, "PEPE/USDT": 0.00001234}
SIZES = (
    SizeRule("equity", D("0.9")),
    SizeRule("equity", D("0.3333")),
    SizeRule("risk", D("0.01")),
    SizeRule("notional", D("1234.5678")),
    SizeRule("fixed", D("0.37")),
    SizeRule("fixed", D(500)),
)


def random_bars(rng: np.random.Generator, instrument: Instrument, n: int, *, is_on_tick: bool = True) -> Bars:
    """Return wild hourly bars: gaps at the opening, still bars, prices on the tick, at its middle or anywhere."""
    scale = float(rng.choice([0.0005, 0.003, 0.02]))
    tick, price = float(instrument.tick_size), PRICES[instrument.symbol]
    moves = rng.standard_normal(n) * scale
    gaps = np.where(rng.random(n) < 0.2, rng.standard_normal(n) * scale * 2, 0.0)
    close = price * np.exp(np.cumsum(moves + gaps))
    open_ = np.concatenate([[price], close[:-1]]) * np.exp(gaps)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.standard_normal(n)) * scale * (rng.random(n) < 0.8))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.standard_normal(n)) * scale * (rng.random(n) < 0.8))
    columns = [open_, high, low, close]
    if is_on_tick:
        half = 2 if rng.random() < 0.3 else 1
        columns = [_decimal_grid(column, tick / half) for column in columns]
    time = START + 3600 * np.arange(n, dtype=np.int64)
    opens, highs, lows, closes = columns
    return Bars(instrument.symbol, "1h", time, opens, highs, lows, closes, np.zeros(n))


def read_real_bars(path: Path, symbol: str, timeframe: Timeframe, last: int) -> Bars:
    """Return the last bars of a file."""
    table = pq.read_table(path)
    table = table.slice(max(0, len(table) - last))
    time = table["time"].to_numpy().astype("datetime64[s]").astype(np.int64)
    columns = (table[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    return Bars(symbol, timeframe, time, *columns)


def random_decisions(rng: np.random.Generator, bars: Bars, *, rate: float = 0.3) -> Decisions:
    """Return decisions of every kind, with prices near the close, at times absurd."""
    n = len(bars)
    is_busy = rng.random(n) < rate
    action = np.where(is_busy, rng.choice([1, 1, -1, -1, 2, -2, 3, -3, 4, 5], n), 0).astype(np.int8)
    width = float(rng.choice([0.001, 0.01]))
    side = np.sign(action)
    away = np.where(np.abs(action) == 2, -side, side) * width * (rng.random(n) - 0.2)
    price = bars.close * (1 + away)
    stop = price * (1 - np.where(side == 0, 1, side) * width * (rng.random(n) * 2 - 0.1))
    target = price * (1 + np.where(side == 0, 1, side) * width * (rng.random(n) * 3 - 0.1))
    stop[rng.random(n) < 0.3] = np.nan
    target[rng.random(n) < 0.3] = np.nan
    stop[rng.random(n) < 0.02] = 0.0
    sizes = rng.choice([10_000, 10_000, 5_000, 3_333, 1], n).astype(np.int16)
    limits = [int(value) for value in rng.choice([0, 0, 1, 2, 5], 2)]
    return Decisions(action, price, stop, target, size_bps=sizes, valid_bars=limits[0], max_bars=limits[1])


def random_listing(rng: np.random.Generator, instrument: Instrument, n: int, *, is_on_tick: bool = True) -> Listing:
    bars = random_bars(rng, instrument, n, is_on_tick=is_on_tick)
    funding = None
    if rng.random() < 0.5:
        funding = funding_at(bars.time, D(str(rng.choice(["0.0001", "-0.00037", "0.00012345"]))))
    return Listing(bars, instrument, D(str(rng.choice(["0", "1", "2.5", "20"]))), funding)


def with_holes(rng: np.random.Generator, listing: Listing) -> Listing:
    """Return the listing with rows missing, as real feeds have them."""
    kept = np.flatnonzero(rng.random(len(listing.bars)) < rng.choice([0.7, 1.0]))
    if len(kept) == 0:
        return listing
    bars = listing.bars
    columns = (getattr(bars, name)[kept] for name in ("time", "open", "high", "low", "close", "volume"))
    funding = None if listing.funding is None else listing.funding[kept]
    return replace(listing, bars=Bars(bars.symbol, bars.timeframe, *columns), funding=funding)


def on_tick(listing: Listing) -> Bars:
    """Return the bars with every price on the instrument's tick."""
    bars, step = listing.bars, float(listing.instrument.tick_size)
    opens, highs, lows, closes = (_decimal_grid(each, step) for each in (bars.open, bars.high, bars.low, bars.close))
    return Bars(bars.symbol, bars.timeframe, bars.time, opens, highs, lows, closes, bars.volume)


def random_account(rng: np.random.Generator) -> AccountSettings:
    matching = MatchingSettings(slippage_bps=D(str(rng.choice(["0", "1", "2.5"]))))
    leverage = D(str(rng.choice(["1", "3", "0.5"])))
    return AccountSettings(
        D(str(rng.choice(["10000", "777.77", "1000000"]))), SIZES[int(rng.integers(len(SIZES)))], leverage, matching
    )


def scripted(tables: dict[str, Decisions], bars: dict[str, Bars]) -> Scripted:
    rows = {symbol: {int(time): row for row, time in enumerate(each.time)} for symbol, each in bars.items()}
    return Scripted(tuple(tables), tables, rows)


def _decimal_grid(column: np.ndarray, step: float) -> np.ndarray:
    """Return prices as the doubles of decimals on a grid."""
    digits = 10
    return np.maximum(np.round(np.round(column / step) * step, digits), step)
