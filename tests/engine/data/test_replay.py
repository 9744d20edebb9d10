"""The replay: the past as if it were live, and nothing of what is still to come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from engine.data.ingest import ingest_file
from engine.data.replay import ReplayAnchor, ReplayMarket, start_of_replay
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import Bars, FloatArray
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tests.engine.market_check import SetClock, assert_same_bars, check_market
from tests.parts import real_bars

WALL = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday


def make_bars(symbol: str, timeframe: Timeframe, count: int, seed: int = 1, start: datetime = START) -> Bars:
    rng = np.random.default_rng(seed)
    path: FloatArray = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.003, count + 1))), 2)
    opened, close = path[:-1], path[1:]
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    time = int(start.timestamp()) + TIMEFRAME_S[timeframe] * np.arange(count, dtype=np.int64)
    return Bars(symbol, timeframe, time, opened, high, low, close, np.ones(count))


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    made = BarStore(tmp_path)
    made.merge("files", make_bars("BTC/USDT", "15m", 4 * 24 * 40))
    made.merge("files", make_bars("SOL/USDT", "1h", 24 * 40, seed=2))
    return made


def make_market(store: BarStore, clock: SetClock, market_at: datetime, speed: float = 1.0) -> ReplayMarket:
    return ReplayMarket(store, "files", clock, ReplayAnchor(WALL, market_at, speed))


def test_the_replay_keeps_the_contract(store: BarStore) -> None:
    clock = SetClock(WALL)
    at = START + timedelta(days=22, minutes=3)
    check_market(
        make_market(store, clock, at),
        clock,
        lambda: make_market(store, clock, at),
        symbols=("BTC/USDT", "SOL/USDT"),
        timeframes=("1h", "4h", "1d", "1w"),
        steps=[timedelta(seconds=s) for s in (1, 100, 800, 3600, 40_000, 86_400, 700_000)],
        finer="1m",
    )


def test_bars_to_come_change_nothing(store: BarStore, tmp_path: Path) -> None:
    """Perturb everything after the present: quotes and bars stay the same to the bit."""
    at = START + timedelta(days=20, minutes=7)
    bars = store.load("files", "BTC/USDT", "15m")
    later = int(np.searchsorted(bars.time, at.timestamp()))
    columns = [column.copy() for column in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    for column in columns:
        column[later:] *= 3.0
    other = BarStore(tmp_path / "other")
    other.merge("files", Bars("BTC/USDT", "15m", bars.time, *columns))
    here, there = (make_market(one, SetClock(WALL), at) for one in (store, other))
    assert here.quote("BTC/USDT") == there.quote("BTC/USDT")
    for timeframe in ("15m", "30m", "1h", "4h", "1d", "1w"):
        assert_same_bars(here.bars("BTC/USDT", timeframe, 300), there.bars("BTC/USDT", timeframe, 300))


def test_time_runs_at_the_speed_and_a_restart_goes_on(store: BarStore) -> None:
    clock = SetClock(WALL)
    market = make_market(store, clock, START + timedelta(days=10), speed=60)
    clock.at += timedelta(minutes=5)
    assert market.now() == START + timedelta(days=10, hours=5)
    before = market.quote("BTC/USDT")
    again = ReplayMarket(store, "files", clock, ReplayAnchor(clock.at, market.now(), 60))
    assert again.quote("BTC/USDT") == before
    clock.at += timedelta(minutes=1)
    assert again.now() == market.now() == START + timedelta(days=10, hours=6)


def test_the_quote_walks_from_open_over_both_extremes_to_close(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    time = int(START.timestamp()) + 3600 * np.arange(2, dtype=np.int64)
    up_then_down = (np.array([100.0, 106.0]), np.array([110.0, 107.0]), np.array([90.0, 98.0]), np.array([106.0, 99.0]))
    store.merge("files", Bars("ETH/USDT", "1h", time, *up_then_down, np.ones(2)))
    clock = SetClock(WALL)
    market = make_market(store, clock, START)

    def mid_after(minutes: int) -> float:
        clock.at = WALL + timedelta(minutes=minutes)
        return float(market.quote("ETH/USDT").mid)

    # A rising bar falls first; a falling one rises first.
    assert [mid_after(m) for m in (0, 20, 40)] == pytest.approx([100, 90, 110], abs=0.011)
    assert [mid_after(60 + m) for m in (0, 20, 40)] == pytest.approx([106, 107, 98], abs=0.011)
    assert mid_after(10) == pytest.approx(95, abs=0.011)
    assert mid_after(119) == pytest.approx(99, abs=0.1)


def test_between_bars_the_market_is_closed_at_the_last_close(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    week, next_week = make_bars("EURUSD", "1h", 5 * 24), make_bars("EURUSD", "1h", 24, start=START + timedelta(days=7))
    store.merge("files", week)
    store.merge("files", next_week)
    clock = SetClock(WALL)
    market = make_market(store, clock, START + timedelta(days=5, hours=3))
    quote = market.quote("EURUSD")
    assert not quote.is_open
    assert float(quote.mid) == pytest.approx(week.close[-1], rel=1e-4)
    # The Friday's day bar is over although its session closed before midnight.
    assert datetime.fromtimestamp(market.bars("EURUSD", "1d", 1).time[0], UTC) == START + timedelta(days=4)
    clock.at += timedelta(days=2)
    assert market.quote("EURUSD").is_open


def test_longer_bars_are_made_and_shorter_ones_refused(store: BarStore) -> None:
    market = make_market(store, SetClock(WALL), START + timedelta(days=30, minutes=50))
    made = market.bars("BTC/USDT", "4h", 10)
    base = store.load("files", "BTC/USDT", "15m")
    first = int(np.searchsorted(base.time, made.time[-1]))
    assert made.open[-1] == base.open[first]
    assert made.high[-1] == base.high[first : first + 16].max()
    assert made.low[-1] == base.low[first : first + 16].min()
    assert made.close[-1] == base.close[first + 15]
    assert made.volume[-1] == 16
    assert datetime.fromtimestamp(made.time[-1], UTC) == START + timedelta(days=29, hours=20)
    with pytest.raises(DataUnavailable, match="none of 15m"):
        market.bars("SOL/USDT", "15m", 10)


def test_a_limited_read_equals_the_end_of_a_full_one(store: BarStore) -> None:
    market = make_market(store, SetClock(WALL), START + timedelta(days=33, hours=7, minutes=1))
    for timeframe in ("15m", "30m", "1h", "4h", "1d", "1w"):
        everything = market.bars("BTC/USDT", timeframe, 10**6)
        for limit in (1, 2, 7):
            expected = everything[max(0, len(everything) - limit) :]
            assert_same_bars(market.bars("BTC/USDT", timeframe, limit), expected)


def test_each_question_uses_the_bars_that_reach_the_present(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    store.merge("files", make_bars("BTC/USDT", "1h", 24 * 30))
    fine_start = START + timedelta(days=20)
    store.merge("files", make_bars("BTC/USDT", "5m", 12 * 24 * 5, seed=3, start=fine_start))
    clock = SetClock(WALL)
    market = make_market(store, clock, START + timedelta(days=10))
    assert market.bars_between("BTC/USDT", START, START + timedelta(days=1)).timeframe == "1h"
    clock.at += timedelta(days=12)
    assert market.bars_between("BTC/USDT", fine_start, fine_start + timedelta(days=1)).timeframe == "5m"
    assert len(market.bars("BTC/USDT", "1h", 10**4)) == 22 * 24
    clock.at += timedelta(days=5)
    assert market.quote("BTC/USDT").is_open
    assert len(market.bars("BTC/USDT", "4h", 10**4)) == 27 * 6


def test_before_the_first_and_after_the_last_bar_there_is_no_price(store: BarStore) -> None:
    clock = SetClock(WALL)
    with pytest.raises(DataUnavailable, match="before its first bar at 2024-01-01 00:00"):
        make_market(store, clock, START - timedelta(hours=1)).quote("BTC/USDT")
    over = make_market(store, clock, START + timedelta(days=40))
    with pytest.raises(DataUnavailable, match=r"over: its last 15m bar opened at 2024-02-09 23:45"):
        over.quote("BTC/USDT")
    assert len(over.bars("BTC/USDT", "1h", 5)) == 5
    assert len(over.bars_between("BTC/USDT", START + timedelta(days=39), START + timedelta(days=41))) == 96


def test_rules_come_from_the_table_or_from_the_size_of_the_price(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    for symbol in ("BTC/USDT", "XAUUSD", "TRX/USDT", "USDJPY"):
        store.merge("files", make_bars(symbol, "1h", 48))
    rules = make_market(store, SetClock(WALL), START + timedelta(days=1)).instruments()
    assert rules["BTC/USDT"].taker_fee_ratio == Decimal("0.001")
    assert rules["BTC/USDT"].maker_fee_ratio == Decimal("0.0008")
    assert not rules["TRX/USDT"].is_shortable
    assert (rules["TRX/USDT"].base, rules["TRX/USDT"].quote) == ("TRX", "USDT")
    assert rules["TRX/USDT"].tick_size in (Decimal("0.01"), Decimal("0.001"))
    assert rules["XAUUSD"].is_shortable
    assert (rules["USDJPY"].base, rules["USDJPY"].quote, rules["USDJPY"].is_shortable) == ("USD", "JPY", True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda store, anchor: ReplayMarket(store, "none", SetClock(WALL), anchor), "no bars from 'none'"),
        (lambda store, anchor: ReplayMarket(store, "files", SetClock(WALL), anchor, symbols=["XRP/USDT"]), "XRP/USDT"),
    ],
)
def test_a_replay_of_nothing_is_refused(
    store: BarStore, make: Callable[[BarStore, ReplayAnchor], ReplayMarket], message: str
) -> None:
    with pytest.raises(DataUnavailable, match=message):
        make(store, ReplayAnchor(WALL, START))


def test_the_start_leaves_time_before_the_shared_end(store: BarStore) -> None:
    store.merge("files", make_bars("ETH/USDT", "1h", 24 * 20))
    assert start_of_replay(store, "files", before_end=timedelta(days=5)) == START + timedelta(days=14, hours=23)


def test_prepare_reads_everything_and_tells(store: BarStore) -> None:
    shares: list[float] = []
    make_market(store, SetClock(WALL), START + timedelta(days=1)).prepare(shares.append)
    assert shares == [0.5, 1.0]


def test_threads_share_one_replay(store: BarStore) -> None:
    market = make_market(store, SetClock(WALL), START + timedelta(days=30))
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(len(market.bars("BTC/USDT", "1h", 99)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [99] * 8


@pytest.mark.parametrize(
    ("relative", "symbol", "gaps", "missing"),
    [
        ("BINANCE_SPOT/BTCUSDT_1h.parquet", "BTC/USDT", 28, 128),
        ("BINANCE_SPOT/ETHUSDT_5m.parquet", "ETH/USDT", 3, 9232),
        ("BINANCE_USDM/SOLUSDT_1m.parquet", "SOL/USDT", 0, 0),
    ],
)
def test_real_coins_are_stored_whole_with_the_gaps_that_are_known(
    store: BarStore, relative: str, symbol: str, gaps: int, missing: int
) -> None:
    report = ingest_file(real_bars(relative), store, source="real")
    assert (report.symbol, report.bad_count, report.duplicates) == (symbol, 0, 0)
    assert report.rows_kept == report.rows_read == report.added
    assert (report.gap_count, report.missing) == (gaps, missing)


def test_real_bars_keep_the_contract_when_replayed(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    for relative in ("BINANCE_SPOT/BTCUSDT_1h.parquet", "MT5/XAUUSD_1h.parquet", "MT5/XAUUSD_15m.parquet"):
        assert ingest_file(real_bars(relative), store).bad_count == 0
    clock = SetClock(WALL)
    at = datetime(2024, 3, 6, 14, 10, tzinfo=UTC)
    check_market(
        make_market(store, clock, at),
        clock,
        lambda: make_market(store, clock, at),
        symbols=("BTC/USDT", "XAUUSD"),
        timeframes=("1h", "4h", "1d", "1w"),
        steps=[timedelta(seconds=s) for s in (7, 800, 3600, 40_000, 259_200, 700_000, 5_000_000)],
        finer="1m",
    )
