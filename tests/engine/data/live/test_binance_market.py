"""Binance's public data through the real ccxt client against a local server: the same bars, whatever happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from engine.data.live.binance import BinanceMarket
from engine.data.live.history import Depth
from engine.data.live.networks import FUTURES_DEMO
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.domain.symbols import TIMEFRAME_S, Timeframe
from tests.binance.calls import Call
from tests.engine.data.live.exchange import SYMBOLS, Local, local_exchange, make_market, until

BTC = "BTC/USDT"


def assert_same(market: BinanceMarket, local: Local, symbol: str, timeframe: Timeframe) -> None:
    """Compare the last bars with the exchange's own."""
    bars = market.bars(symbol, timeframe, 50)
    assert len(bars) > 1
    rows = {row[0]: row[1:] for row in local.rows(symbol.replace("/", ""), timeframe)}
    last = max(time for time in rows if time + TIMEFRAME_S[timeframe] <= local.now().timestamp())
    assert int(bars.time[-1]) == last
    assert np.all(np.diff(bars.time) == TIMEFRAME_S[timeframe])
    for number, time in enumerate(bars.time):
        assert rows[int(time)] == (bars.open[number], bars.high[number], bars.low[number], bars.close[number])


async def test_history_is_the_exchange_s_in_every_timeframe(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        shares: list[float] = []
        await market.open(shares.append)
        for symbol in SYMBOLS:
            for timeframe in ("1m", "5m", "15m", "30m", "1h", "4h", "1d"):
                assert_same(market, local, symbol, timeframe)
        assert shares[-1] == 1.0
        assert shares == sorted(shares)
        assert {market.trouble(symbol) for symbol in SYMBOLS} == {""}


async def test_bars_close_as_the_stream_tells(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        asked = len(local.server.requests)
        told: list[str] = []
        market.listen(told.append)
        await local.pass_minutes(65, seen_by=market)
        await until(lambda: int(market.bars(BTC, "1m", 1).time[-1]) + 60 == local.now().timestamp() - 5)
        await until(lambda: told.count("ETH/USDT") == 65)
        for symbol in SYMBOLS:
            for timeframe in ("1m", "5m", "15m", "1h"):
                assert_same(market, local, symbol, timeframe)
        klines = [call for call in local.server.requests[asked:] if call.path.endswith("/klines")]
        assert klines == [], "what the stream tells is not asked for again"


async def test_quotes_follow_the_book(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        local.server.move("BTCUSDT", 70_000)
        await until(lambda: abs(float(market.quote(BTC).mid) - 70_000) < 50)
        quote, instrument = market.quote(BTC), market.instruments()[BTC]
        assert quote.bid <= quote.ask
        assert instrument.round_price(quote.bid) == quote.bid
        assert quote.at <= market.now()


async def test_nothing_after_the_present_is_shown(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        local.server.advance(54)
        await asyncio.sleep(0.05)
        now_s = local.now().timestamp()
        for timeframe in ("1m", "5m", "1h", "1d"):
            assert market.bars(BTC, timeframe, 1).time[-1] + TIMEFRAME_S[timeframe] <= now_s


async def test_a_restart_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    async with local_exchange() as local:
        first = make_market(local, tmp_path)
        await first.open()
        await first.close()
        await local.pass_minutes(7)
        asked = len(local.server.requests)
        second = make_market(local, tmp_path)
        await second.open()
        for timeframe in ("1m", "5m", "1h"):
            assert_same(second, local, BTC, timeframe)
        klines = [call for call in local.server.requests[asked:] if call.path.endswith("/klines")]
        assert sum(int(call.params["limit"]) for call in klines) < 40


async def test_a_symbol_that_is_not_traded_is_left_out_with_a_reason(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path, symbols=(BTC, "NOPE/USDT"))
        await market.open()
        assert list(market.instruments()) == [BTC]
        assert market.missing() == {"NOPE/USDT": "not_traded"}
        with pytest.raises(DataUnavailable, match="NOPE"):
            market.quote("NOPE/USDT")


async def test_symbols_are_listed_and_ranked(tmp_path: Path) -> None:
    async with local_exchange() as local:
        market = make_market(local, tmp_path)
        await market.open()
        assert set(SYMBOLS) <= set(market.list_symbols())
        assert market.top_symbols(1) == (BTC,)
        assert market.top_symbols(2, ranking=["NOPE", "ETH", "BTC"]) == ("ETH/USDT", BTC)


async def test_an_exchange_that_does_not_answer_is_said(tmp_path: Path) -> None:
    local = Local()
    await local.server.start()
    await local.server.kill()
    market = make_market(local, tmp_path)
    with pytest.raises(DataUnavailable, match="binance does not answer"):
        await market.open()
    await market.close()


async def test_a_killed_start_goes_on_where_it_was(tmp_path: Path) -> None:
    depth = Depth(minutes=9_000, fives=120, hours=60, days=4)
    async with local_exchange(days=7) as local:
        killed = make_market(local, tmp_path, symbols=(BTC,), depth=depth)
        opening = asyncio.create_task(killed.open())

        def pages(first: int) -> list[Call]:
            asked = [call for call in local.server.requests[first:] if call.path.endswith("/klines")]
            return [call for call in asked if call.params["interval"] == "1m"]

        await until(lambda: len(pages(0)) >= 8)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        for task in killed._tasks:
            task.cancel()
        await asyncio.gather(*killed._tasks, return_exceptions=True)
        stored = BarStore(tmp_path).describe("binance", BTC, "1m")
        assert stored is not None
        assert stored.rows >= 5_000
        asked = len(local.server.requests)
        market = make_market(local, tmp_path, symbols=(BTC,), depth=depth)
        await market.open()
        assert_same(market, local, BTC, "1m")
        assert sum(int(call.params["limit"]) for call in pages(asked)) <= 9_000 - stored.rows + 10
        assert len(market.bars(BTC, "1m", 20_000)) >= 9_000


async def test_futures_are_a_market_of_their_own(tmp_path: Path) -> None:
    async with local_exchange() as local:
        spot, futures = make_market(local, tmp_path), make_market(local, tmp_path, network=FUTURES_DEMO)
        await spot.open()
        await futures.open()
        local.server.spot.move("BTCUSDT", 70_000, "1")
        local.server.futures.move("BTCUSDT", 71_000, "1")
        await until(lambda: abs(float(futures.quote(BTC).mid) - 71_000) < 50)
        await until(lambda: abs(float(spot.quote(BTC).mid) - 70_000) < 50)
        local.server.advance(55)
        closed = int(local.now().timestamp()) // 60 * 60
        await until(lambda: int(futures.bars(BTC, "1m", 1).time[-1]) + 60 == closed)
        assert abs(float(futures.bars(BTC, "1m", 1).close[-1]) - 71_000) < 50
        assert (futures.name, spot.name) == ("binance-futures-demo", "binance")
        assert (futures.instruments()[BTC].is_shortable, spot.instruments()[BTC].is_shortable) == (True, False)
        assert futures.instruments()[BTC].min_notional > 0
        asked = {call.path.split("/")[1] for call in local.server.requests}
        assert asked == {"api", "fapi"}
