"""Which bars are streamed, when the market is read for them, and what is told when some cannot follow."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine.api import Broadcaster
from engine.api.broadcaster import MAX_CATCH_UP
from engine.api.frames import Ending, Kind
from engine.api.hub import Subscriber
from engine.api.settings import StreamSettings
from engine.domain.errors import ConfigError, DataUnavailable, VenueUnavailable
from tests.engine.api.fakes import FakeMarket, FakeSignals
from tests.engine.api.serving import fast_settings, until


class Desk:
    """A broadcaster that is stepped by hand, and one client that hears everything."""

    def __init__(self, symbols: tuple[str, ...] = ("EURUSD",), **changes: Any) -> None:
        self.market = FakeMarket(symbols)
        self.signals = FakeSignals(self.market)
        self.broadcaster = Broadcaster(self.market, self.signals, fast_settings(**changes), stream="s")
        self.client = Subscriber(10_000)

    async def begin(self) -> None:
        await self.broadcaster.step()
        joined = self.broadcaster.hub.join()
        assert joined is not None
        self.client = joined
        self.broadcaster.hub.subscribe(joined, self.broadcaster.hub.topics)

    async def step(self, **time: float) -> list[dict[str, Any]]:
        """Let time pass, step, and return what the client heard of it once nothing is computed any more."""
        self.market.advance(**time)
        await self.broadcaster.step()
        await until(lambda: not self.broadcaster._computing)
        heard = []
        while (frame := await self.client.next_frame(0.001)) is not None:
            heard.append(json.loads(frame))
        return heard


async def test_history_is_not_streamed_and_each_bar_after_it_once() -> None:
    desk = Desk(bar_timeframes=("1m",), signal_timeframes=())
    await desk.begin()
    assert await desk.step() == []
    heard = await desk.step(seconds=30)
    assert [each["bar"]["opened_at"] for each in heard] == ["2026-03-02T12:00:00Z"]
    assert await desk.step(seconds=20) == []
    assert [each["sequence"] for each in await desk.step(minutes=3)] == [2, 3, 4]


async def test_market_is_read_only_when_a_bar_should_have_closed() -> None:
    desk = Desk(bar_timeframes=("1m", "1h"), signal_timeframes=())
    await desk.begin()
    await desk.step()
    desk.market.reads.clear()
    for _ in range(29):
        await desk.step(seconds=1)
    assert desk.market.reads == []
    await desk.step(seconds=1)
    assert desk.market.reads == [("EURUSD", "1m", 1)]


async def test_bar_that_comes_late_is_streamed_and_a_closed_market_is_asked_ever_more_rarely() -> None:
    desk = Desk(bar_timeframes=("1h",), signal_timeframes=())
    await desk.begin()
    desk.market.shut_now("EURUSD")
    await desk.step(hours=1)
    desk.market.reads.clear()
    for _ in range(600):
        assert await desk.step(seconds=1) == []
    assert 10 <= len(desk.market.reads) <= 20
    desk.market.shut_at.clear()
    heard = [frame for _ in range(61) for frame in await desk.step(seconds=1)]
    assert [each["bar"]["opened_at"] for each in heard] == ["2026-03-02T12:00:00Z"]


async def test_bars_of_a_pause_follow_and_their_signal_is_computed_once() -> None:
    desk = Desk(bar_timeframes=("1h",))
    await desk.begin()
    heard = await desk.step(hours=5)
    assert [each["type"] for each in heard] == ["bar"] * 5 + ["signal"]
    assert len(desk.signals.calls) == 1


async def test_bars_beyond_what_is_caught_up_with_are_told_as_missed() -> None:
    desk = Desk(bar_timeframes=("1m",), signal_timeframes=(), queue_size=1000)
    await desk.begin()
    missed, *bars = await desk.step(minutes=MAX_CATCH_UP + 10)
    assert missed["type"] == "bars_missed"
    assert (missed["after"], missed["before"]) == ("2026-03-02T11:59:00Z", "2026-03-02T12:10:00Z")
    assert len(bars) == MAX_CATCH_UP
    assert bars[0]["bar"]["opened_at"] == missed["before"]


async def test_exactly_what_is_caught_up_with_is_not_missed() -> None:
    desk = Desk(bar_timeframes=("1m",), signal_timeframes=(), queue_size=1000)
    await desk.begin()
    assert {each["type"] for each in await desk.step(minutes=MAX_CATCH_UP)} == {"bar"}


async def test_timeframe_that_the_market_lacks_is_not_offered() -> None:
    desk = Desk(bar_timeframes=("1h", "1d"), signal_timeframes=("1h", "1d"))
    await desk.begin()
    assert {(topic.kind, topic.timeframe) for topic in desk.broadcaster.hub.topics} == {
        (Kind.BARS, "1h"),
        (Kind.SIGNALS, "1h"),
    }


async def test_bar_without_a_signal_says_why(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(bar_timeframes=("1h",))
    await desk.begin()
    for error, code in (
        (DataUnavailable("too few", code="too_few_bars"), "too_few_bars"),
        (KeyError("x"), "internal_error"),
    ):
        desk.signals.failures["EURUSD"] = error
        _, without = await desk.step(hours=1)
        assert (without["type"], without["without"]["code"]) == ("no_signal", code)
    assert "KeyError" in caplog.text


async def test_signal_asked_before_the_close_does_not_stand_for_the_one_after_it() -> None:
    """A request may be computing the old bar's signal at the moment at which the new bar closes."""
    desk = Desk(bar_timeframes=("1h",))
    await desk.begin()
    desk.signals.gate.clear()
    asking = asyncio.create_task(desk.broadcaster.reader.signal("EURUSD", "1h"))
    await until(lambda: len(desk.signals.calls) == 1)
    stepping = asyncio.create_task(desk.step(hours=1))
    await asyncio.sleep(0.02)
    desk.signals.gate.set()
    await asking
    _, signal = await stepping
    assert signal["signal"]["bar_at"] == "2026-03-02T12:00:00Z"
    assert len(desk.signals.calls) == 2


async def test_bars_that_close_while_a_signal_is_computed_cost_one_more_computation() -> None:
    desk = Desk(bar_timeframes=("1h",))
    await desk.begin()
    desk.signals.gate.clear()
    for _ in range(5):
        desk.market.advance(hours=1)
        await desk.broadcaster.step()
        await asyncio.sleep(0.01)
    desk.signals.gate.set()
    heard = await desk.step()
    assert [each["type"] for each in heard].count("signal") == 2
    assert heard[-1]["signal"]["bar_at"] == "2026-03-02T16:00:00Z"


async def test_market_that_cannot_be_read_is_tried_again() -> None:
    desk = Desk(bar_timeframes=("1m",), signal_timeframes=())
    desk.market.failure = VenueUnavailable("no answer")
    running = asyncio.create_task(desk.broadcaster.run())
    await until(lambda: "no answer" in desk.broadcaster.trouble())
    assert not desk.broadcaster.hub.is_open
    desk.market.failure = None
    await until(lambda: desk.broadcaster.trouble() == "")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert desk.broadcaster.trouble() == "the stream is not running"


async def test_end_of_the_task_ends_every_client_and_what_is_computed() -> None:
    desk = Desk(bar_timeframes=("1h",))
    running = asyncio.create_task(desk.broadcaster.run())
    await until(lambda: desk.broadcaster.hub.is_open)
    client = desk.broadcaster.hub.join()
    assert client is not None
    desk.signals.gate.clear()
    desk.market.advance(hours=1)
    await until(lambda: len(desk.signals.calls) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert client.ending is Ending.SHUTTING_DOWN
    await until(lambda: not desk.broadcaster._computing)
    desk.signals.gate.set()


@pytest.mark.parametrize(
    "wrong", [{"queue_size": 0}, {"bar_timeframes": ("2h",)}, {"signal_timeframes": ("1w",)}, {"poll_s": -1.0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        StreamSettings(**wrong)
