"""The simulated market through its clock, and its store of chunks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from engine.data.simulated_cache import ParquetChunkStore
from engine.domain.errors import DataUnavailable
from engine.domain.market import FloatArray
from engine.domain.resampling import resample
from engine.domain.symbols import SYMBOLS, TIMEFRAMES
from engine.sim.market import ChunkStore, SimulatedMarket
from tests.engine.market_check import SetClock, assert_same_bars, check_market

WEDNESDAY = datetime(2025, 6, 11, 13, 30, 20, tzinfo=UTC)
SATURDAY = datetime(2025, 6, 14, 12, 0, tzinfo=UTC)


def make_market(clock: SetClock, chunk_store: ChunkStore | None = None, history_days: int = 60) -> SimulatedMarket:
    return SimulatedMarket(7, clock, chunk_store=chunk_store, history_days=history_days)


class RememberingStore:
    """A chunk store in memory that counts what it is asked."""

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, FloatArray]] = {}
        self.hits = 0

    def load(self, name: str) -> Mapping[str, FloatArray] | None:
        self.hits += name in self.kept
        return self.kept.get(name)

    def save(self, name: str, arrays: Mapping[str, FloatArray]) -> None:
        self.kept[name] = arrays


def test_the_simulated_market_keeps_the_contract() -> None:
    clock = SetClock(WEDNESDAY)
    # The twin begins its history elsewhere: it must tell the same of the time that both know.
    check_market(
        make_market(clock, history_days=400),
        clock,
        lambda: make_market(clock, history_days=450),
        symbols=("BTC/USDT", "EURUSD", "XAUUSD"),
        timeframes=TIMEFRAMES,
        steps=[timedelta(seconds=s) for s in (1, 59, 61, 1800, 7000, 100_000, 259_200, 700_000, 2_500_000)],
        finer=None,
    )


def test_all_thirteen_symbols_have_rules_a_price_and_bars() -> None:
    market = make_market(SetClock(WEDNESDAY))
    assert tuple(market.instruments()) == SYMBOLS
    for symbol, instrument in market.instruments().items():
        quote = market.quote(symbol)
        assert quote.is_open
        assert float((quote.ask - quote.bid) / quote.mid) < 0.002
        assert len(market.bars(symbol, "1h", 200)) == 200
        assert instrument.is_shortable == ("/" not in symbol)


def test_the_price_moves_every_second_and_stays_in_its_minute() -> None:
    clock = SetClock(WEDNESDAY.replace(second=0))
    market = make_market(clock)
    mids = []
    for _ in range(60):
        mids.append(float(market.quote("BTC/USDT").mid))
        clock.at += timedelta(seconds=1)
    minute = market.bars("BTC/USDT", "1m", 1)
    slack = 0.02 + minute.close[0] * 1e-6
    assert len(set(mids)) > 40
    assert mids[0] == pytest.approx(minute.open[0], abs=slack)
    assert max(mids) == pytest.approx(minute.high[0], abs=slack)
    assert min(mids) == pytest.approx(minute.low[0], abs=slack)


def test_currencies_rest_at_the_weekend_and_crypto_does_not() -> None:
    market = make_market(SetClock(SATURDAY))
    euro = market.quote("EURUSD")
    assert not euro.is_open
    last = market.bars("EURUSD", "1m", 1)
    assert datetime.fromtimestamp(last.time[0], UTC) == datetime(2025, 6, 13, 21, 59, tzinfo=UTC)
    assert float(euro.mid) == pytest.approx(last.close[0], abs=2e-5)
    assert market.quote("BTC/USDT").is_open
    assert len(market.bars_between("EURUSD", SATURDAY - timedelta(hours=13), SATURDAY)) == 0
    assert len(market.bars_between("BTC/USDT", SATURDAY - timedelta(hours=13), SATURDAY)) == 13 * 60


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (datetime(2025, 6, 13, 21, 59, 59, tzinfo=UTC), True),
        (datetime(2025, 6, 13, 22, 0, 0, tzinfo=UTC), False),
        (datetime(2025, 6, 15, 21, 59, 59, tzinfo=UTC), False),
        (datetime(2025, 6, 15, 22, 0, 0, tzinfo=UTC), True),
    ],
)
def test_the_currency_week_opens_and_closes_on_the_second(at: datetime, is_open: bool) -> None:
    assert make_market(SetClock(at)).quote("XAUUSD").is_open is is_open


def test_weeks_open_on_monday_and_currency_days_follow_utc() -> None:
    market = make_market(SetClock(WEDNESDAY), history_days=200)
    weeks = market.bars("BTC/USDT", "1w", 10)
    assert {datetime.fromtimestamp(second, UTC).strftime("%a %H:%M") for second in weeks.time} == {"Mon 00:00"}
    assert datetime.fromtimestamp(weeks.time[-1], UTC) == datetime(2025, 6, 2, tzinfo=UTC)
    days = market.bars("EURUSD", "1d", 14)
    assert "Sat" not in {datetime.fromtimestamp(second, UTC).strftime("%a") for second in days.time}


def test_long_bars_are_made_of_minute_bars() -> None:
    market = make_market(SetClock(SATURDAY))
    start, end = datetime(2025, 6, 9, tzinfo=UTC), datetime(2025, 6, 14, tzinfo=UTC)
    for symbol in ("GBPUSD", "SOL/USDT"):
        minutes = market.bars_between(symbol, start, end)
        for timeframe in ("5m", "30m", "1h", "4h", "1d"):
            made = resample(minutes, timeframe, now_s=int(end.timestamp()))
            given = market.bars(symbol, timeframe, 2000)
            given = given[int(np.searchsorted(given.time, start.timestamp())) :]
            given = given[: int(np.searchsorted(given.time, end.timestamp()))]
            assert np.array_equal(made.time, given.time)
            for column in ("open", "high", "low", "close"):
                assert np.array_equal(getattr(made, column), getattr(given, column)), (timeframe, column)
            assert np.allclose(made.volume, given.volume, rtol=1e-9)


def test_history_reaches_three_years_back() -> None:
    market = SimulatedMarket(7, SetClock(WEDNESDAY))
    hours = market.bars("BTC/USDT", "1h", 10**6)
    assert WEDNESDAY - datetime.fromtimestamp(hours.time[0], UTC) >= timedelta(days=1096)
    assert np.all(np.diff(hours.time) == 3600)


def test_the_chunk_store_is_used_and_changes_nothing(tmp_path: Path) -> None:
    clock = SetClock(WEDNESDAY)
    shares: list[float] = []
    bare = make_market(clock)
    bare.prepare(shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for kept in (RememberingStore(), ParquetChunkStore(tmp_path)):
        make_market(clock, kept).prepare()
        again = make_market(clock, kept)
        for symbol in SYMBOLS:
            assert_same_bars(again.bars(symbol, "1h", 5000), bare.bars(symbol, "1h", 5000))
            assert_same_bars(again.bars(symbol, "1m", 100), bare.bars(symbol, "1m", 100))
        if isinstance(kept, RememberingStore):
            assert kept.hits == len(kept.kept) > 0


def test_time_may_run_past_the_stored_chunks_and_back(tmp_path: Path) -> None:
    clock, kept = SetClock(WEDNESDAY), ParquetChunkStore(tmp_path)
    make_market(clock, kept).prepare()
    market = make_market(clock, kept)
    market.prepare()
    clock.at += timedelta(days=80)
    later = SetClock(clock.at)
    assert_same_bars(market.bars("ETH/USDT", "1h", 500), make_market(later).bars("ETH/USDT", "1h", 500))
    clock.at -= timedelta(days=400)
    assert market.quote("ETH/USDT") == make_market(SetClock(clock.at)).quote("ETH/USDT")


@pytest.mark.parametrize("damage", [b"", b"PAR1 this is no Parquet file PAR1"])
def test_a_damaged_chunk_is_made_again(tmp_path: Path, damage: bytes) -> None:
    clock, kept = SetClock(WEDNESDAY), ParquetChunkStore(tmp_path)
    make_market(clock, kept).prepare()
    for path in tmp_path.glob("*.parquet"):
        path.write_bytes(damage)
    assert_same_bars(
        make_market(clock, kept).bars("XRP/USDT", "1h", 300), make_market(clock).bars("XRP/USDT", "1h", 300)
    )


def test_threads_see_one_market() -> None:
    clock = SetClock(WEDNESDAY)
    market, expected = make_market(clock), make_market(clock)
    seen: list[bool] = []

    def read(symbol: str) -> None:
        bars = market.bars(symbol, "15m", 300)
        seen.append(np.array_equal(bars.close, expected.bars(symbol, "15m", 300).close))

    threads = [threading.Thread(target=read, args=(symbol,)) for symbol in SYMBOLS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * len(SYMBOLS)


def test_bars_cannot_be_changed_by_who_reads_them() -> None:
    market = make_market(SetClock(WEDNESDAY))
    with pytest.raises(ValueError, match="read-only"):
        market.bars("BTC/USDT", "1h", 10).close[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        market.bars_between("BTC/USDT", WEDNESDAY - timedelta(hours=2), WEDNESDAY).close[0] = 1.0


def test_a_clock_before_the_market_began_is_refused() -> None:
    with pytest.raises(DataUnavailable, match="begins at 2020-01-06"):
        make_market(SetClock(datetime(2019, 1, 1, tzinfo=UTC))).bars("BTC/USDT", "1h", 5)
