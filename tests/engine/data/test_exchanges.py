"""Bars from an exchange: the real ccxt client against a server that speaks Binance's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.data.exchanges import ingest_exchange
from engine.data.quality import QualityReport
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.market import Bars
from tests.servers.binance_klines import BinanceKlines, Fault, Kline

START = datetime(2024, 1, 2, tzinfo=UTC)
FIRST = int(START.timestamp())


def bar(number: int) -> Kline:
    """Return a bar whose numbers have as many digits as Binance's."""
    return f"{100 + number % 9}.12345678", f"{120 + number % 9}.1", f"{90}.00000001", f"{101}.3", f"{number}.70000000"


def history(numbers: Sequence[int]) -> dict[str, dict[str, dict[int, Kline]]]:
    minutes = {FIRST + 60 * n: bar(n) for n in numbers}
    return {"BTCUSDT": {"1m": minutes}, "ETHUSDT": {"1m": minutes}}


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


@pytest.fixture
def server() -> Iterator[BinanceKlines]:
    """Yield a server with 2500 bars, of which the last is not over."""
    with BinanceKlines(history(range(2500)), FIRST + 60 * 2499 + 30) as running:
        yield running


def ingest(server: BinanceKlines, store: BarStore, since: datetime | None = START, **more: Any) -> QualityReport:
    pauses: list[float] = []
    (report,) = ingest_exchange(
        "binance", store, ["BTC/USDT"], "1m", since, base_url=server.url, pause=more.pop("pause", pauses.append), **more
    )
    return report


def loaded(store: BarStore) -> Bars:
    return store.load("binance", "BTC/USDT", "1m")


def assert_holds(bars: Bars, numbers: Sequence[int]) -> None:
    assert bars.time.tolist() == [FIRST + 60 * n for n in numbers]
    for position, name in enumerate(("open", "high", "low", "close", "volume")):
        assert getattr(bars, name).tolist() == [float(bar(n)[position]) for n in numbers]


def test_pages_are_joined_exactly_and_the_bar_that_is_not_over_is_left_out(
    server: BinanceKlines, store: BarStore
) -> None:
    shares: list[float] = []
    report = ingest(server, store, progress=lambda share, _: shares.append(share))
    assert (report.symbol, report.file, report.rows_read, report.added) == ("BTC/USDT", "binance", 2499, 2499)
    assert (report.gap_count, report.bad_count, report.duplicates) == (0, 0, 0)
    assert_holds(loaded(store), range(2499))
    assert len(server.asked) == 3
    assert {one["limit"] for one in server.asked} == {"1000"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_next_run_asks_only_for_what_is_newer(server: BinanceKlines, store: BarStore) -> None:
    ingest(server, store)
    server.asked.clear()
    server.history, server.now_s = history(range(2600)), FIRST + 60 * 2600
    report = ingest(server, store, None)
    assert (report.rows_read, report.added, report.replaced, report.unchanged) == (102, 101, 0, 1)
    assert [int(one["startTime"]) // 1000 for one in server.asked] == [FIRST + 60 * 2498]
    assert_holds(loaded(store), range(2600))


def test_without_a_time_it_begins_where_the_exchange_begins(server: BinanceKlines, store: BarStore) -> None:
    assert ingest(server, store, None).first_at == START


def test_an_earlier_time_than_what_is_stored_is_read_again(server: BinanceKlines, store: BarStore) -> None:
    ingest(server, store, START + timedelta(minutes=2000))
    assert len(loaded(store)) == 499
    assert ingest(server, store, START).added == 2000


def test_a_hole_of_many_pages_is_crossed_and_reported(store: BarStore) -> None:
    numbers = [*range(100), *range(5100, 5200)]
    with BinanceKlines(history(numbers), FIRST + 60 * 5200) as server:
        report = ingest(server, store)
    assert (report.gap_count, report.missing) == (1, 5000)
    assert_holds(loaded(store), numbers)


@pytest.mark.parametrize("fault", ["429", "418", "500", "html", "cut", "short", "garbage", "empty"])
def test_a_broken_answer_is_asked_for_again(server: BinanceKlines, store: BarStore, fault: Fault) -> None:
    pauses: list[float] = []
    server.faults = [fault, fault]
    assert ingest(server, store, pause=pauses.append).added == 2499
    assert pauses == ([7.0, 7.0] if fault in ("429", "418") else [0.5, 1.0])
    assert_holds(loaded(store), range(2499))


def test_an_exchange_that_stays_away_keeps_what_was_read(
    server: BinanceKlines, store: BarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.exchanges.BARS_PER_COMMIT", 1000)

    def break_later(share: float, _symbol: str) -> None:
        if share > 0.3:
            server.faults = ["cut"] * 20

    with pytest.raises(DataUnavailable, match="no answer") as caught:
        ingest(server, store, progress=break_later)
    assert caught.value.code == "ingest_no_answer"
    assert store.contents() == ()
    server.faults, asked = [], len(server.asked)
    report = ingest(server, store, None)
    assert (report.rows_read, report.added) == (2499, 2499)
    assert len(server.asked) - asked == 2
    assert_holds(loaded(store), range(2499))


def test_what_does_not_exist_is_named_with_what_does(server: BinanceKlines, store: BarStore) -> None:
    def run(exchange: str, symbol: str, timeframe: Any = "1m") -> list[QualityReport]:
        found = ingest_exchange(exchange, store, [symbol], timeframe, START, base_url=server.url, pause=lambda _: None)
        return list(found)

    with pytest.raises(InvalidRequest, match=r"ingest_exchange_unknown.*binance"):
        run("binanze", "BTC/USDT")
    with pytest.raises(InvalidRequest, match=r"ingest_market_missing.*BTC/USDT"):
        run("binance", "BTC/EUR")
    with pytest.raises(InvalidRequest, match=r"ingest_timeframe_missing.*1m"):
        run("binance", "BTC/USDT", "7m")
    with pytest.raises(DataUnavailable, match="binance holds no 1h bars of BTC/USDT"):
        run("binance", "BTC/USDT", "1h")
    with pytest.raises(InvalidRequest, match="ingest_source"):
        list(ingest_exchange("binance", store, ["BTC/USDT"], "1m", START, source="../x", base_url=server.url))
