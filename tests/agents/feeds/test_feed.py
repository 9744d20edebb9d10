"""Closed bars as agents get them: on the grid, in order, once, however bars and listeners come."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agents.feeds import Feed, MarketFeed
from engine.domain.errors import DataUnavailable
from engine.sim.market import SimulatedMarket
from tests.agents.feeds.stage import START, Reader, ScriptedMarket, Stage, make_feed, on_time

A, B, GOLD = "AAA/USDT", "BBB/USDT", "XAUUSD"


async def test_bars_are_told_together_at_their_moment() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(1, 4)), B: on_time(range(1, 4))}))
    reader = Reader(feed.subscribe([B, A], "1m", after=None), stage)
    await stage.advance(190)
    assert reader.told == [(1, f"{A} {B}", False), (2, f"{A} {B}", False), (3, f"{A} {B}", False)]
    assert all(wall - 60 * minute < 0.01 for minute, wall in enumerate(reader.walls, start=1))
    await feed.close()


async def test_the_last_symbol_is_waited_for_a_little() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time([0, 1]), B: [(0, 0), (60, 61.2)]}))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(59)
    await stage.advance(2.0)
    assert reader.told == []
    await stage.advance(2.0)
    assert reader.told == [(1, f"{A} {B}", False)]
    await feed.close()


async def test_a_late_bar_has_an_event_of_its_own() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time([0, 1, 2]), B: [(0, 0), (60, 65), (120, 120)]}))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(130)
    assert reader.told == [(1, A, False), (1, B, False), (2, f"{A} {B}", False)]
    assert reader.walls[0] == pytest.approx(62, abs=0.1)
    assert reader.walls[1] < 68
    await feed.close()


async def test_a_bar_later_than_the_grace_is_told_as_late() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time([0, 1]), B: [(0, 0), (60, 85)]}))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(100)
    assert reader.told == [(1, A, False), (1, B, True)]
    await feed.close()


async def test_overtaken_bars_are_told_once_at_the_last_moment() -> None:
    stage = Stage()
    late = [(0, 0), (60, 200), (120, 200), (180, 200), (240, 240)]
    feed = make_feed(ScriptedMarket(stage, {A: on_time([0, 1, 2, 3, 4]), B: late}))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(250)
    assert reader.told == [(1, A, False), (2, A, False), (3, A, False), (3, B, True), (4, f"{A} {B}", False)]
    await feed.close()


async def test_a_symbol_that_is_always_behind_is_told_all_the_same() -> None:
    stage = Stage()
    behind = [(60.0 * minute, 60.0 * minute + 70) for minute in range(6)]
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(8)), B: behind}))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(460)
    own = [event for event in reader.events if event.symbols == (B,)]
    assert len(own) >= 5
    assert all(event.is_late for event in own)
    assert len({event.closed_at for event in own}) == len(own)
    await feed.close()


async def test_a_slow_listener_gets_every_moment_and_the_overtaken_ones_as_late() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(20))}))
    reader = Reader(feed.subscribe([A], "1m", after=None), stage, wait_s=150)
    await stage.advance(19 * 150)
    assert [minute for minute, _, _ in reader.told] == list(range(1, 20))
    assert [late for _, _, late in reader.told[:3]] == [False, True, True]
    await feed.close()


async def test_a_restart_is_told_what_it_missed() -> None:
    stage = Stage()
    history = [*range(-600, 6)]
    feed = make_feed(ScriptedMarket(stage, {A: on_time(history), B: on_time([-600, -300, *range(-3, 6)])}))
    reader = Reader(feed.subscribe([A, B], "1m", after=START - timedelta(minutes=601)), stage)
    await stage.advance(65)
    assert [minute for minute, _, _ in reader.told] == [*range(-600, 2)]
    assert [minute for minute, symbols, _ in reader.told if B in symbols] == [-600, -300, -3, -2, -1, 0, 1]
    assert all(late for minute, _, late in reader.told if minute < 0)
    assert reader.told[-1] == (1, f"{A} {B}", False)
    await feed.close()


async def test_the_moment_of_a_quick_restart_is_not_late() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(5))}))
    await stage.advance(64)
    reader = Reader(feed.subscribe([A], "1m", after=START), stage)
    await stage.settle()
    await stage.advance(1)
    assert reader.told == [(1, A, False)]
    await feed.close()


async def test_a_closed_market_makes_no_events_and_holds_up_nobody() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(130)), GOLD: on_time([-1, 0, 1, 120, 121])}))
    reader = Reader(feed.subscribe([A, GOLD], "1m", after=None), stage)
    await stage.advance(60 * 121 + 5)
    assert [minute for minute, symbols, _ in reader.told if GOLD in symbols] == [1, 120, 121]
    waits = [wall - 60 * minute for (minute, _, _), wall in zip(reader.told, reader.walls, strict=True)]
    assert sum(wait > 0.05 for wait in waits) <= 1, "only the first moment without gold may wait for it"
    await feed.close()


async def test_a_clock_put_back_tells_nothing_twice() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {A: on_time(range(30))})
    feed = make_feed(market)
    reader = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(190)
    market.shift = -timedelta(minutes=2)
    await stage.advance(1)
    assert feed.health(A).reason == "clock_back"
    await stage.advance(60 * 5)
    assert [minute for minute, _, _ in reader.told] == [1, 2, 3, 4, 5, 6]
    assert feed.health(A).reason == ""
    await feed.close()


async def test_a_clock_put_forward_leaves_nothing_out() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {A: on_time(range(300))})
    feed = make_feed(market)
    reader = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(61)
    market.shift = timedelta(minutes=180, seconds=30)
    await stage.advance(2)
    assert [minute for minute, _, _ in reader.told] == [*range(1, 182)]
    assert [late for _, _, late in reader.told] == [False] + [True] * 180
    await stage.advance(60)
    assert reader.told[-1] == (182, A, False)
    await feed.close()


@pytest.mark.parametrize("speed", [1.0, 10.0, 100.0, 1000.0])
async def test_moments_are_on_time_at_any_speed(speed: float) -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(200)), B: on_time(range(200))}, speed=speed))
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(60 * 150.5 / speed)
    assert len(reader.told) == 150
    on_time_events = [(told, wall) for told, wall in zip(reader.told, reader.walls, strict=True) if not told[2]]
    delays = [wall - 60 * minute / speed for (minute, _, _), wall in on_time_events]
    assert len(on_time_events) >= 140
    assert sorted(delays)[len(delays) // 2] < 0.002
    await feed.close()


async def test_a_symbol_that_cannot_be_read_does_not_silence_the_others() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {A: on_time(range(20)), B: on_time(range(20))})
    feed = make_feed(market)
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(61)
    market.broken.add(B)
    await stage.advance(75)
    market.broken.clear()
    await stage.advance(50)
    assert reader.told == [(1, f"{A} {B}", False), (2, A, False), (2, B, True), (3, f"{A} {B}", False)]
    await feed.close()


async def test_many_listeners_cost_one_read_per_bar() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {A: on_time(range(20)), B: on_time(range(20))})
    feed = make_feed(market)
    readers = [Reader(feed.subscribe([A, B], "1m", after=None), stage) for _ in range(100)]
    await stage.advance(10)
    before = market.reads
    await stage.advance(590)
    assert all(len(reader.told) == 10 for reader in readers)
    assert market.reads - before <= 2 * 10 * 2
    await feed.close()


async def test_an_idle_feed_hardly_wakes() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(2))}))
    reader = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(59)
    assert stage.naps < 59 * 3
    await reader.end()
    await feed.close()


async def test_closing_ends_the_iteration_and_the_watching() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(2))}))
    before = asyncio.all_tasks()
    subscription = feed.subscribe([A], "1m", after=None)
    waiting = asyncio.create_task(anext(subscription))
    await stage.settle()
    await subscription.close()
    await subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await stage.settle()
    assert asyncio.all_tasks() == before
    again = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(61)
    assert again.told == [(1, A, False)]
    await feed.close()


async def test_an_unknown_symbol_is_refused_by_name() -> None:
    feed = make_feed(ScriptedMarket(Stage(), {A: []}))
    with pytest.raises(DataUnavailable, match="NOPE/USDT"):
        feed.subscribe([A, "NOPE/USDT"], "1m", after=None)


async def test_the_simulated_market_is_told_like_any_other() -> None:
    stage = Stage()
    clock = ScriptedMarket(stage, {}, speed=100.0)
    market = SimulatedMarket(7, clock, history_days=30)
    feed: Feed = MarketFeed(market, wall=stage.read, sleep=stage.sleep)
    reader = Reader(feed.subscribe(["BTC/USDT", GOLD], "5m", after=START - timedelta(minutes=10)), stage)
    await stage.advance(9.05)
    assert [minute for minute, _, _ in reader.told] == [-5, 0, 5, 10, 15]
    assert all(symbols == f"BTC/USDT {GOLD}" for _, symbols, _ in reader.told)
    await reader.end()


async def test_a_second_listener_in_the_middle_of_a_moment_gets_its_late_bar() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time([0, 1]), B: [(0, 0), (60, 90)]}))
    first = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(70)
    second = Reader(feed.subscribe([A, B], "1m", after=START), stage)
    await stage.advance(40)
    assert first.told == [(1, A, False)]
    assert second.told == [(1, A, False), (1, B, True)]
    await feed.close()
