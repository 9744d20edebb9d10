"""How fresh a symbol is said to be: stale ones are found within a bound, closed markets are not stale."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import pytest

from agents.feeds.feed import FeedLimits
from tests.agents.feeds.stage import START, Reader, ScriptedMarket, Stage, make_feed, on_time

A, B, GOLD = "AAA/USDT", "BBB/USDT", "XAUUSD"
HOUR = timedelta(hours=1)


async def test_a_running_market_is_fresh() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(5))}))
    reader = Reader(feed.subscribe([A], "1m", after=None), stage)
    await stage.advance(130)
    health = feed.health(A)
    assert (health.is_stale, health.reason, health.last_bar_at) == (False, "", START + timedelta(minutes=2))
    assert health.last_quote_at == START + timedelta(seconds=130)
    assert feed.stale([A]) == ()
    await reader.end()
    await feed.close()


async def test_a_missing_bar_makes_a_symbol_stale_within_the_bound() -> None:
    stage = Stage()
    limits = FeedLimits(bar_wait_s=20)
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(2)), B: on_time(range(9))}), limits)
    reader = Reader(feed.subscribe([A, B], "1m", after=None), stage)
    await stage.advance(120 + 19)
    assert feed.stale([A, B]) == ()
    await stage.advance(2)
    assert feed.stale([A, B]) == (A,)
    assert feed.health(A).reason == "gap"
    await reader.end()
    await feed.close()


async def test_an_old_quote_is_stale() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {A: on_time(range(9))})
    feed = make_feed(market, FeedLimits(quote_age_s=30))
    market.quote_age = timedelta(seconds=31)
    assert (feed.health(A).is_stale, feed.health(A).reason) == (True, "old_quote")
    market.quote_age = timedelta(seconds=29)
    assert not feed.health(A).is_stale


async def test_a_symbol_without_a_price_is_stale() -> None:
    stage = Stage()
    feed = make_feed(ScriptedMarket(stage, {A: on_time(range(9))}))
    health = feed.health("NOPE/USDT")
    assert (health.is_stale, health.reason, health.last_quote_at) == (True, "no_quote", None)


async def test_a_closed_market_is_not_stale() -> None:
    stage = Stage()
    market = ScriptedMarket(stage, {GOLD: on_time(range(2))})
    feed = make_feed(market)
    market.is_open = False
    await stage.advance(3600)
    market.quote_age = HOUR
    assert not feed.health(GOLD).is_stale


@pytest.mark.parametrize(
    ("now", "last_bar", "reason"),
    [
        (datetime.fromisoformat("2026-03-08T12:00:00+00:00"), "2026-03-06T21:00:00+00:00", ""),
        (datetime.fromisoformat("2026-03-06T12:00:00+00:00"), "2026-03-06T10:00:00+00:00", "gap"),
        (datetime.fromisoformat("2026-12-25T12:00:00+00:00"), "2026-12-24T17:00:00+00:00", ""),
        (datetime.fromisoformat("2026-03-04T21:30:00+00:00"), "2026-03-04T21:00:00+00:00", ""),
    ],
    ids=["weekend", "a Friday morning", "Christmas", "the daily rest of gold"],
)
async def test_bars_that_nobody_has_are_not_missed(now: datetime, last_bar: str, reason: Literal["", "gap"]) -> None:
    stage = Stage()
    close = (datetime.fromisoformat(last_bar) - START).total_seconds()
    market = ScriptedMarket(stage, {GOLD: [(close, close)]})
    market.shift = now - START
    feed = make_feed(market)
    assert feed.health(GOLD).reason == reason


class AilingMarket(ScriptedMarket):
    """A market that knows that it is cut off."""

    ailment = ""

    def trouble(self, symbol: str) -> str:
        return self.ailment


async def test_trouble_that_the_market_knows_of_is_passed_on() -> None:
    stage = Stage()
    market = AilingMarket(stage, {A: on_time(range(2))})
    feed = make_feed(market)
    assert not feed.health(A).is_stale
    market.ailment = "disconnected"
    assert (feed.health(A).is_stale, feed.health(A).reason) == (True, "disconnected")
