"""The three packaged agents on real bars played again, bar by bar: memory stays, and the books say the same as ever.

The long form plays what an hour at a hundredfold speed would play: a hundred hours of the market, without the waits.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from agents.fleet.fleet import Fleet
from agents.profiles import PACKAGED, load_profiles
from engine.data.replay import ReplayAnchor, ReplayMarket
from engine.data.store import BarStore
from engine.domain.market import Bars
from engine.domain.symbols import Timeframe
from tests.agents.execution.place import books_of
from tests.agents.fleet.stage import open_database
from tests.agents.fleet.test_soak import CASH, LIMITS, FreshFeed, HandClock, Soak
from tests.parts import real_bars

BEGIN = datetime(2024, 3, 4, tzinfo=UTC)
"""A Monday in a lively week: 100 hours later the other markets are still open."""
HISTORY, REACH = timedelta(days=120), timedelta(days=5)
FILES: dict[str, tuple[Timeframe, str]] = {
    "BTC/USDT": ("5m", "BINANCE_SPOT/BTCUSDT_5m.parquet"),
    "ETH/USDT": ("5m", "BINANCE_SPOT/ETHUSDT_5m.parquet"),
    "SOL/USDT": ("5m", "BINANCE_SPOT/SOLUSDT_5m.parquet"),
    "BNB/USDT": ("5m", "BINANCE_SPOT/BNBUSDT_5m.parquet"),
    "ADA/USDT": ("1h", "BINANCE_SPOT/ADAUSDT_1h.parquet"),
    "AVAX/USDT": ("1h", "BINANCE_SPOT/AVAXUSDT_1h.parquet"),
    "LINK/USDT": ("1h", "BINANCE_SPOT/LINKUSDT_1h.parquet"),
    "LTC/USDT": ("1h", "BINANCE_SPOT/LTCUSDT_1h.parquet"),
}
_PAGE_MB = 4096 / 2**20


def read_bars(symbol: str, timeframe: Timeframe, path: Path) -> Bars:
    """Read the bars around the soak."""
    table = pq.read_table(path).to_pandas(date_as_object=False)
    inside = table[(table["time"] >= BEGIN - HISTORY) & (table["time"] < BEGIN + REACH)]
    seconds = inside["time"].astype("datetime64[ns, UTC]").astype(np.int64).to_numpy() // 10**9
    columns = (inside[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close", "volume"))
    return Bars(symbol, timeframe, seconds, *columns)


def memory_mb() -> float:
    """Return what this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB


class RealSoak(Soak):
    """The fleet on real bars; the clock is moved by hand."""

    def __init__(self, folder: Path) -> None:
        store = BarStore(folder / "bars")
        for symbol, (timeframe, name) in FILES.items():
            store.merge("real", read_bars(symbol, timeframe, real_bars(name)))
        self.clock = HandClock(BEGIN)
        anchor = ReplayAnchor(BEGIN, BEGIN)
        self.replay = ReplayMarket(store, "real", self.clock, anchor)
        self.database = open_database(folder / "soak.db")
        self.seconds = []
        self.venue = PaperVenue(self.database, self.replay, starting_cash=CASH)
        self.build()

    def build(self) -> None:
        """Open desk and fleet, also after a restart."""
        wall = lambda: self.clock.present  # noqa: E731
        self.desk = Desk(self.database, self.venue, self.replay, LIMITS, starting_cash=CASH, wall_clock=wall)
        self.fleet = Fleet(
            self.database,
            load_profiles(PACKAGED),
            self.desk,
            self.replay,
            FreshFeed(),
            on_decided=lambda _event, seconds: self.seconds.append(seconds),
        )

    async def check_replay(self) -> None:
        """Replay the journal: the same books, in balance, and to the last digit what the venue holds."""
        accounts = books_of(self.desk)
        whole = await self.desk.account()
        parts = [await self.desk.account(name) for name in accounts.books]
        assert whole.cash == sum(each.cash for each in parts) == (await self.venue.balances())["USD"]
        assert whole.equity == sum(each.equity for each in parts)


async def test_an_hour_of_real_bars_adds_up(tmp_path: Path) -> None:
    soak = RealSoak(tmp_path)
    await soak.open()
    await soak.play(12)
    await soak.check()
    await soak.check_replay()


@pytest.mark.prove
async def test_a_hundred_hours_of_real_bars_add_up_and_memory_stays(tmp_path: Path) -> None:
    soak = RealSoak(tmp_path)
    await soak.open()
    await soak.play(12 * 24)
    before, started = memory_mb(), time.perf_counter()
    await soak.play(12 * 76)
    after, took_s = memory_mb(), time.perf_counter() - started
    fills = await soak.check()
    await soak.check_replay()
    seconds = sorted(soak.seconds)
    print(  # noqa: T201 - it is the result
        f"\n100 h of real bars: {fills} fills, {len(seconds)} moments, {took_s:.0f} s for the last 76 h, "
        f"{before:.0f} MB after a day, {after:.0f} MB at the end, closed bar to decided and ordered "
        f"p50 {seconds[len(seconds) // 2] * 1000:.1f} ms p99 {seconds[len(seconds) * 99 // 100] * 1000:.1f} ms"
    )
    assert fills > 10
    assert after - before < 100
