"""The small parts of a live market: weight, clock, rows and the local copy of bars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from engine.data.live.carried import Carried
from engine.data.live.clock import ExchangeClock
from engine.data.live.history import Depth, SymbolHistory
from engine.data.live.listing import Listing
from engine.data.live.rows import read_bars
from engine.data.live.weight import WeightBudget
from engine.domain.market import Bars
from tests.engine.market_check import SetClock

BTC = "BTC/USDT"
MIDNIGHT = 1_767_225_600


class Wall:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.at = 0.0

    def read(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


async def test_weight_is_given_evenly_after_a_burst() -> None:
    wall = Wall()
    budget = WeightBudget(600, wall=wall.read, sleep=wall.sleep)
    for _ in range(75):
        await budget.take(2)
    assert wall.at == 0.0
    for _ in range(300):
        await budget.take(2)
    assert wall.at == pytest.approx(60.0)


async def test_an_exchange_that_wants_to_be_left_alone_is() -> None:
    wall = Wall()
    budget = WeightBudget(6000, wall=wall.read, sleep=wall.sleep)
    budget.stay_away(7.0)
    await budget.take(1)
    assert wall.at == pytest.approx(7.0)
    budget.note_headers({"X-MBX-USED-WEIGHT-1M": "100"})
    await budget.take(1)
    assert wall.at == pytest.approx(7.0)
    budget.note_headers({"x-mbx-used-weight-1m": "5000"})
    await budget.take(1)
    assert wall.at == pytest.approx(22.0)


async def test_a_slow_answer_does_not_spoil_a_measured_clock() -> None:
    ours = SetClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock, lag = ExchangeClock(ours), timedelta(milliseconds=10)

    async def time_ms() -> int:
        ours.at += lag
        told = ours.at + timedelta(seconds=3)
        ours.at += lag / 10
        return round(told.timestamp() * 1000)

    await clock.read(time_ms)
    assert abs((clock.now() - ours.at).total_seconds() - 3.0) < 0.02
    lag = timedelta(seconds=4)
    await clock.read(time_ms)
    assert abs((clock.now() - ours.at).total_seconds() - 3.0) < 0.02
    ours.at -= timedelta(hours=1)
    before = ours.at

    async def moved_ms() -> int:
        return round((before + timedelta(hours=1, seconds=3)).timestamp() * 1000)

    await clock.read(moved_ms)
    assert abs((clock.now() - ours.at).total_seconds() - 3603.0) < 0.02


@pytest.mark.parametrize(
    "row",
    [
        [MIDNIGHT * 1000, "1", "2", "0.5", "1"],
        [MIDNIGHT * 1000 + 1000, "1", "2", "0.5", "1", "3"],
        [MIDNIGHT * 1000, "1", "0.9", "0.5", "1", "3"],
        [MIDNIGHT * 1000, "1", "2", "1.5", "1", "3"],
        [MIDNIGHT * 1000, "0", "0", "0", "0", "0"],
        [MIDNIGHT * 1000, "1", "2", "0.5", "NaN", "3"],
        [MIDNIGHT * 1000, "1", "Infinity", "0.5", "1", "3"],
        [MIDNIGHT * 1000, "1", "2", "0.5", "1", "-3"],
        [MIDNIGHT * 1000, "1", "2", "0.5", "one", "3"],
    ],
)
def test_a_row_that_is_no_bar_is_not_read(row: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"grid|contradicts|inhomogeneous|could not convert|reshape|shape"):
        read_bars(BTC, "1m", [row])


def minutes(first: int, count: int) -> Bars:
    """Return minutes from one on, counted from midnight; the close tells which it is."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    close = numbers.astype(np.float64) + 100
    return Bars(BTC, "1m", MIDNIGHT + 60 * numbers, close, close, close, close, close)


def loaded(count: int = 60) -> SymbolHistory:
    history = SymbolHistory(BTC, Depth(minutes=100, fives=100, hours=100, days=10))
    for series in history.series.values():
        series.until = MIDNIGHT
    history.fill(minutes(0, count))
    history.finish_loading()
    return history


def shown(history: SymbolHistory) -> list[int]:
    """Return the numbers of the last minutes that can be read."""
    return [int(close) - 100 for close in history.bars("1m", 5, MIDNIGHT + 1e6).close]


def test_a_minute_after_a_hole_waits_for_it() -> None:
    history = loaded()
    assert not history.take_minute(minutes(62, 1))
    assert not history.take_minute(minutes(61, 1))
    assert history.has_gap
    assert shown(history)[-1] == 59
    assert history.take_minute(minutes(60, 1))
    assert shown(history) == [58, 59, 60, 61, 62]
    assert not history.has_gap


def test_repeated_and_old_minutes_change_nothing() -> None:
    history = loaded()
    before = shown(history)
    assert not history.take_minute(minutes(59, 1))
    assert not history.take_minute(minutes(3, 1))
    assert not history.fill(minutes(0, 60))
    assert shown(history) == before


def test_a_hole_of_the_exchange_s_own_stays_a_hole() -> None:
    history = loaded()
    assert history.fill(minutes(75, 2))
    assert shown(history) == [57, 58, 59, 75, 76]
    assert [int(time) for time in history.bars("5m", 3, MIDNIGHT + 1e6).time - MIDNIGHT] == [2700, 3000, 3300]
    history.fill(minutes(77, 3))
    assert [int(time) for time in history.bars("5m", 2, MIDNIGHT + 1e6).time - MIDNIGHT] == [3300, 4500]


def test_longer_bars_are_made_when_they_are_whole() -> None:
    history = loaded(59)
    assert len(history.bars("1h", 5, MIDNIGHT + 1e6)) == 0
    history.take_minute(minutes(59, 1))
    hour = history.bars("1h", 5, MIDNIGHT + 1e6)
    assert (hour.open[0], hour.close[0], hour.volume[0]) == (100, 159, sum(range(100, 160)))
    assert len(history.bars("15m", 9, MIDNIGHT + 1e6)) == 4


def test_readers_keep_what_they_were_given_while_bars_are_added() -> None:
    history = loaded()
    before = history.series["1m"].view()
    copy = before.close.copy()
    for number in range(60, 2_000):
        history.take_minute(minutes(number, 1))
    assert np.array_equal(before.close, copy)
    assert 100 <= len(history.series["1m"]) <= 200
    assert shown(history) == [1995, 1996, 1997, 1998, 1999]


def test_best_prices_go_forward_only() -> None:
    one = Carried(BTC, "BTCUSDT", loaded())
    one.stream_prices(7, "10", "11", 100.0)
    one.stream_prices(7, "1", "2", 101.0)
    one.stream_prices(6, "3", "4", 102.0)
    assert (one.prices.bid, one.prices.at_s) == ("10", 100.0)
    assert not one.confirm_prices("9", "9.5", 99.0, silent_s=10), "asked before the stream told"
    assert not one.confirm_prices("10", "11", 105.0, silent_s=10)
    assert one.prices.at_s == 105.0
    assert one.confirm_prices("12", "13", 106.0, silent_s=10)
    assert not one.confirm_prices("0", "13", 107.0, silent_s=10)
    assert not one.confirm_prices("14", "13", 107.0, silent_s=10)
    assert one.confirm_prices("20", "21", 200.0, silent_s=10)
    one.stream_prices(1, "22", "23", 201.0)
    assert one.prices.bid == "22", "a stream that began its count anew"


def row(base: str, quote: str = "USDT", **changes: Any) -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00100000", "minQty": "0.00100000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ]
    rules = {"symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": filters}
    return {**rules, **changes}


def test_a_listing_is_ranked_by_turnover_without_cash() -> None:
    listing = Listing()
    listing.take_rules(
        [row("BTC"), row("ETH"), row("USDC"), row("SOL", "BTC"), row("OLD", status="BREAK"), row("ODD", filters=[])]
    )
    listing.take_turnover(
        [{"symbol": "USDCUSDT", "quoteVolume": "9"}, {"symbol": "ETHUSDT", "quoteVolume": "2"}, {"symbol": "X"}]
    )
    assert listing.all("USDT") == ("USDC/USDT", "ETH/USDT", "BTC/USDT")
    assert listing.top(1, "USDT", ()) == ("ETH/USDT",)
    assert listing.top(5, "USDT", ("BTC", "OLD", "ETH")) == ("BTC/USDT", "ETH/USDT")
    assert str(listing.instruments[BTC].tick_size) == "0.01"
