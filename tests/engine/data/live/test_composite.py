"""Several markets as one: each symbol from its own source, said as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.feeds import MarketFeed
from engine.data.live.assembly import build_live_market
from engine.data.live.composite import CompositeMarket, Part, parse_proxies
from engine.data.live.stored import StoreMarket
from engine.data.live.values import OnNews
from engine.data.store import BarStore
from engine.domain.errors import DataUnavailable
from engine.sim.market import SimulatedMarket
from tests.agents.feeds.stage import START, Reader, ScriptedMarket, Stage, on_time
from tests.engine.data.live.exchange import local_exchange, until
from tests.engine.data.live.test_stored import bars_until
from tests.engine.market_check import SetClock, check_market

BTC, GOLD, EURO, POUND = "BTC/USDT", "XAUUSD", "EURUSD", "GBPUSD"


class Announcer(ScriptedMarket):
    """A market that announces, is opened and closed, and knows trouble."""

    is_simulated = False
    is_running = False
    ailment = ""
    fails = False

    def __init__(self, stage: Stage, symbols: list[str]) -> None:
        super().__init__(stage, {symbol: on_time(range(-5, 50)) for symbol in symbols})
        self.listeners: list[OnNews] = []

    async def open(self, progress: Callable[[float], None] | None = None) -> None:
        if self.fails:
            raise DataUnavailable("no answer")
        self.is_running = True

    async def close(self) -> None:
        self.is_running = False

    def listen(self, on_news: OnNews) -> Callable[[], None]:
        self.listeners.append(on_news)
        return lambda: self.listeners.remove(on_news)

    def trouble(self, symbol: str) -> str:
        return self.ailment


def joined(tmp_path: Path) -> tuple[Announcer, CompositeMarket]:
    exchange = Announcer(Stage(), [BTC, "PAXG/USDT"])
    store = BarStore(tmp_path)
    store.merge("broker", bars_until(START, 600, symbol=EURO))
    kept = StoreMarket(store, "broker", [EURO], clock=SetClock(START), look_s=0.0)
    parts = [
        Part(exchange, {BTC: BTC, GOLD: "PAXG/USDT"}, name="binance"),
        Part(kept, {EURO: EURO}, kind="store", name="broker"),
    ]
    return exchange, CompositeMarket(parts, wanted=[BTC, GOLD, EURO, POUND])


def test_each_symbol_says_where_it_comes_from(tmp_path: Path) -> None:
    _, market = joined(tmp_path)
    assert set(market.instruments()) == {BTC, GOLD, EURO}
    found = {symbol: (market.source_of(symbol).kind, market.source_of(symbol).name) for symbol in market.instruments()}
    assert found == {
        BTC: ("exchange", "binance"),
        GOLD: ("proxy", "PAXG/USDT@binance"),
        EURO: ("store", "broker"),
    }
    assert market.source_of(EURO).last_bar_at == START
    assert market.missing() == {POUND: "no_source"}
    assert not market.is_simulated
    with pytest.raises(DataUnavailable, match="GBPUSD"):
        market.quote(POUND)


def test_a_proxy_bears_our_name_everywhere(tmp_path: Path) -> None:
    _, market = joined(tmp_path)
    assert market.bars(GOLD, "1m", 3).symbol == GOLD
    assert market.bars_between(GOLD, START - timedelta(minutes=3), START).symbol == GOLD
    assert market.quote(GOLD).symbol == GOLD
    assert (market.instruments()[GOLD].base, market.instruments()[GOLD].quote) == ("XAU", "USD")


async def test_one_feed_carries_all_parts(tmp_path: Path) -> None:
    stage = Stage()
    first, second = Announcer(stage, [BTC]), Announcer(stage, ["EUR/USDT"])
    market = CompositeMarket([Part(first, {BTC: BTC}), Part(second, {EURO: "EUR/USDT"})])
    feed = MarketFeed(market, wall=stage.read, sleep=stage.sleep)
    reader = Reader(feed.subscribe([BTC, EURO], "1m", after=None), stage)
    await stage.advance(61)
    assert reader.told == [(1, f"{BTC} {EURO}", False)]
    assert second.listeners
    second.ailment = "disconnected"
    assert feed.stale([BTC, EURO]) == (EURO,)
    await feed.close()
    assert not first.listeners
    assert not second.listeners


async def test_parts_are_opened_and_closed_together(tmp_path: Path) -> None:
    stage = Stage()
    first, second = Announcer(stage, [BTC]), Announcer(stage, [EURO])
    market = CompositeMarket([Part(first, {BTC: BTC}), Part(second, {EURO: EURO})])
    shares: list[float] = []
    await market.open(shares.append)
    assert [one.is_running for one in (first, second)] == [True, True]
    assert shares[-1] == 1.0
    await market.close()
    assert [one.is_running for one in (first, second)] == [False, False]


@pytest.mark.parametrize("failing", [0, 1])
async def test_only_a_leading_part_that_cannot_be_opened_stops_the_start(failing: int) -> None:
    exchanges = [Announcer(Stage(), [BTC]), Announcer(Stage(), [EURO])]
    exchanges[failing].fails = True
    market = CompositeMarket([Part(exchanges[0], {BTC: BTC}), Part(exchanges[1], {EURO: EURO})])
    if failing == 0:
        with pytest.raises(DataUnavailable):
            await market.open()
    else:
        await market.open()
    assert [one.is_running for one in exchanges] == [failing == 1, False]


def test_a_proxy_is_written_as_an_equation() -> None:
    assert parse_proxies(" xauusd = paxg/usdt,EURUSD=EUR/USDT,") == {GOLD: "PAXG/USDT", EURO: "EUR/USDT"}
    assert parse_proxies("") == {}
    for wrong in ("XAUUSD", "XAUUSD=", "=PAXG/USDT"):
        with pytest.raises(ValueError, match="names no proxy"):
            parse_proxies(wrong)


def test_a_market_of_one_part_is_that_part() -> None:
    clock = SetClock(START)

    def make() -> CompositeMarket:
        simulated = SimulatedMarket(3, clock, history_days=30)
        return CompositeMarket([Part(simulated, {symbol: symbol for symbol in simulated.instruments()})])

    market = make()
    check_market(
        market,
        clock,
        make,
        symbols=[BTC, GOLD],
        timeframes=["1m", "1h", "4h"],
        steps=[timedelta(0), timedelta(seconds=61), timedelta(hours=5)],
        finer=None,
    )
    assert market.source_of(BTC).kind == "simulated"


async def test_a_live_market_is_put_together(tmp_path: Path) -> None:
    async with local_exchange() as local:
        store = BarStore(tmp_path)
        store.merge("broker", bars_until(datetime.now(UTC).replace(second=0, microsecond=0), 600, symbol=EURO))
        market = build_live_market(
            store,
            [BTC, GOLD, EURO, POUND],
            proxies={GOLD: "ETH/USDT"},
            stored_source="broker",
            rest_url=local.server.rest_url,
            ws_url=local.server.ws_url,
        )
        local.markets.append(market)
        await market.open()
        found = {symbol: market.source_of(symbol).kind for symbol in market.instruments()}
        assert found == {BTC: "exchange", GOLD: "proxy", EURO: "store"}
        assert market.missing() == {POUND: "no_bars"}
        assert market.name == "binance"
        assert len(market.bars(GOLD, "1h", 10)) == 10
        await until(lambda: market.quote(GOLD).bid > 0)
