"""The stream over a real server and real sockets: who gets what, who is dropped, and what nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from engine.api.frames import ANSWERS, BarEvent, Kind
from engine.api.hub import Topic
from engine.api.telling import tell_bars
from tests.engine.api.fakes import SYMBOLS, FakeMarket
from tests.engine.api.serving import Client, Service, fast_settings, listen, listen_without_reading, serve, until

MINUTES = Topic(Kind.BARS, "BTC/USDT", "1m")


def _publish(service: Service, count: int = 1) -> None:
    """Put bars into the stream that the market need not have."""
    bar = tell_bars(FakeMarket().bars("BTC/USDT", "1m", 1))[0]
    for _ in range(count):
        service.broadcaster.hub.publish(
            MINUTES, lambda sequence: BarEvent(sequence=sequence, symbol="BTC/USDT", timeframe="1m", bar=bar)
        )


async def test_closed_bar_and_its_signal_reach_a_subscriber() -> None:
    async with serve() as service, listen(service) as client:
        subscribed = await client.ask(op="subscribe", id="a", symbols=["BTC-USDT"], timeframes=["1h"])
        assert (subscribed["type"], subscribed["id"]) == ("subscribed", "a")
        assert subscribed["topics"] == [
            {"kind": "bars", "symbol": "BTC/USDT", "timeframe": "1h"},
            {"kind": "signals", "symbol": "BTC/USDT", "timeframe": "1h"},
        ]
        service.market.advance(hours=1)
        bar, signal = await client.hear_until("signal")
        assert bar["type"] == "bar"
        assert bar["bar"]["opened_at"] == "2026-03-02T12:00:00Z"
        assert bar["bar"]["closed_at"] == "2026-03-02T13:00:00Z"
        assert signal["signal"]["bar_at"] == "2026-03-02T12:00:00Z"
        assert signal["sequence"] > bar["sequence"]


async def test_every_kind_of_frame_is_documented() -> None:
    """What is sent validates against the models that the document shows."""
    async with serve(fast_settings(heartbeat_s=0.2)) as service, listen(service) as client:
        frames = [client.welcome, await client.ask(op="subscribe"), await client.ask(op="nonsense")]
        frames.append(await client.ask(op="ping", id="p"))
        service.market.advance(hours=1)
        frames += await client.hear_until("heartbeat")
        assert {frame["type"] for frame in frames} >= {"bar", "signal", "error", "pong", "heartbeat"}
        for frame in frames:
            ANSWERS.validate_python(frame)


async def test_silence_is_broken_by_heartbeats_with_the_newest_number() -> None:
    async with serve(fast_settings(heartbeat_s=0.05)) as service, listen(service) as client:
        _publish(service, 3)
        first, second = await client.hear(), await client.hear()
        assert [first["type"], second["type"]] == ["heartbeat", "heartbeat"]
        assert second["sequence"] == 3
        assert second["at"] == "2026-03-02T12:00:30Z"


async def test_unsubscribed_topics_fall_silent() -> None:
    async with serve() as service, listen(service) as client:
        await client.ask(op="subscribe", kinds=["bars"])
        left = await client.ask(op="unsubscribe", kinds=["bars"], timeframes=["1m"])
        assert {topic["timeframe"] for topic in left["topics"]} == {"1h"}
        _publish(service)
        assert (await client.ask(op="ping"))["type"] == "pong"


async def test_signal_is_computed_once_for_all_clients() -> None:
    async with serve() as service, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(listen(service)) for _ in range(60)]
        for client in clients:
            await client.ask(op="subscribe", kinds=["signals"], symbols=["EURUSD"])
        service.market.advance(hours=1)
        heard = await asyncio.gather(*(client.hear() for client in clients))
        assert {frame["type"] for frame in heard} == {"signal"}
        assert {frame["sequence"] for frame in heard} == {heard[0]["sequence"]}
        assert service.signals.calls.count(("EURUSD", "1h")) == 1


async def test_bars_go_on_while_a_signal_takes_long() -> None:
    async with serve() as service, listen(service) as client:
        service.signals.gate.clear()
        await client.ask(op="subscribe", kinds=["bars"], symbols=["EURUSD"], timeframes=["1m"])
        service.market.advance(hours=1)
        await client.hear_until("bar")
        service.market.advance(minutes=1)
        while (await client.hear())["bar"]["closed_at"] != "2026-03-02T13:01:00Z":
            pass
        assert service.signals.calls, "the signal was being computed meanwhile"


async def test_slow_client_is_closed_with_a_reason_and_the_others_get_everything() -> None:
    total = 3000
    settings = fast_settings(queue_size=64)
    async with serve(settings) as service, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(listen_without_reading(service))
        quick = [await stack.enter_async_context(listen(service)) for _ in range(3)]
        for client in (slow, *quick):
            await client.ask(op="subscribe", kinds=["bars"], timeframes=["1m"])

        async def read_all(client: Client) -> list[int]:
            return [(await client.hear())["sequence"] for _ in range(total)]

        reading = [asyncio.create_task(read_all(client)) for client in quick]
        hub = service.broadcaster.hub
        for _ in range(total // 20):
            _publish(service, 20)
            await asyncio.sleep(0.002)
        assert hub.dropped_slow == 1
        assert hub.clients == len(quick)
        assert await asyncio.gather(*reading) == [list(range(1, total + 1))] * len(quick)
        assert await slow.closed() == (4008, "slow_client")


async def test_burst_after_a_pause_makes_nobody_slow() -> None:
    """A machine that slept for hours has many more bars to tell than may wait for one client."""
    async with serve(fast_settings(queue_size=32)) as service, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(listen(service)) for _ in range(3)]
        for client in clients:
            await client.ask(op="subscribe", kinds=["bars"], timeframes=["1m"])
        service.market.advance(minutes=400)
        for client in clients:
            heard = [await client.hear() for _ in range(400 * len(SYMBOLS))]
            assert {frame["type"] for frame in heard} == {"bar"}
        assert service.broadcaster.hub.dropped_slow == 0


async def test_client_that_takes_no_frame_for_long_counts_as_slow() -> None:
    """Its line need not be full: one frame that cannot be sent is enough."""
    settings = fast_settings(send_timeout_s=0.1, queue_size=10_000)
    async with serve(settings) as service, listen_without_reading(service) as slow:
        await slow.ask(op="subscribe", kinds=["bars"])
        _publish(service, 2000)
        await until(lambda: service.broadcaster.hub.dropped_slow == 1)
        assert await slow.closed() == (4008, "slow_client")


async def test_slow_client_that_never_reads_is_let_go_at_last() -> None:
    settings = fast_settings(queue_size=16, linger_s=0.1)
    async with serve(settings) as service, listen_without_reading(service) as slow:
        await slow.ask(op="subscribe", kinds=["bars"])
        for _ in range(200):
            _publish(service, 10)
            await asyncio.sleep(0)
        assert service.broadcaster.hub.dropped_slow == 1
        began = time.monotonic()
        await service.stop_stream()
        await service.stop_server()
        assert time.monotonic() - began < 4


async def test_resumed_client_gets_what_it_missed_and_goes_on() -> None:
    async with serve() as service:
        async with listen(service) as client:
            stream = client.welcome["stream"]
            await client.ask(op="subscribe", kinds=["bars"])
            _publish(service, 2)
            last = [await client.hear(), await client.hear()][-1]["sequence"]
        _publish(service, 5)
        async with listen(service) as client:
            await client.ask(op="subscribe", kinds=["bars"], resume={"stream": stream, "after": last})
            _publish(service, 1)
            assert [(await client.hear())["sequence"] for _ in range(6)] == [3, 4, 5, 6, 7, 8]


async def test_more_can_be_resumed_than_may_wait_in_line() -> None:
    async with serve(fast_settings(queue_size=8)) as service:
        _publish(service, 500)
        async with listen(service) as client:
            await client.ask(op="subscribe", kinds=["bars"], resume={"stream": client.welcome["stream"], "after": 100})
            assert [(await client.hear())["sequence"] for _ in range(400)] == list(range(101, 501))


async def test_what_is_no_longer_kept_is_told_as_a_gap() -> None:
    async with serve(fast_settings(ring_size=10)) as service:
        _publish(service, 30)
        async with listen(service) as client:
            assert client.welcome["oldest"] == 21
            stream = client.welcome["stream"]
            await client.ask(op="subscribe", kinds=["bars"], id="r", resume={"stream": stream, "after": 5})
            gap = await client.hear()
            assert gap == {
                "type": "gap",
                "id": "r",
                "reason": "expired",
                "after": 5,
                "next": 21,
                "lost": 15,
            }
            assert (await client.hear())["sequence"] == 21


async def test_exactly_what_is_kept_is_no_gap() -> None:
    async with serve(fast_settings(ring_size=10)) as service:
        _publish(service, 30)
        async with listen(service) as client:
            stream = client.welcome["stream"]
            await client.ask(op="subscribe", kinds=["bars"], resume={"stream": stream, "after": 20})
            assert (await client.hear())["sequence"] == 21


async def test_numbers_of_an_earlier_run_are_told_as_a_gap() -> None:
    async with serve() as service:
        _publish(service, 3)
        async with listen(service) as client:
            await client.ask(op="subscribe", kinds=["bars"], resume={"stream": "before", "after": 9000})
            gap = await client.hear()
            assert (gap["type"], gap["reason"], gap["next"], gap["lost"]) == ("gap", "other_stream", 1, None)
            assert [(await client.hear())["sequence"] for _ in range(3)] == [1, 2, 3]


REFUSED: tuple[tuple[object, str], ...] = (
    ({"op": "subscribe", "resume": {"stream": "", "after": 0}}, "bad_message"),
    ({"op": "subscribe", "symbols": ["NOPE"]}, "unknown_symbol"),
    ({"op": "subscribe", "symbols": []}, "bad_message"),
    ({"op": "subscribe", "kinds": ["trades"]}, "bad_message"),
    ({"op": "subscribe", "timeframes": ["1m"]}, "not_streamed"),
    ({"op": "subscribe", "kinds": ["bars"], "timeframes": ["1w"]}, "not_streamed"),
    ({"op": "subscribe", "symbol": "EURUSD"}, "bad_message"),
    ({"op": "order", "symbol": "EURUSD"}, "bad_message"),
    ({}, "bad_message"),
    ([], "bad_message"),
    (None, "bad_message"),
)
NO_JSON = (
    "",
    "{",
    "nonsense",
    "NaN",
    '{"op":"ping","id":"\\ud800"}',
    "[" * 10_000,
    "9" * 5_000,
    " " * 20_000,
    b"\x00",
)


async def test_bad_messages_are_answered_and_the_connection_goes_on() -> None:
    async with serve(fast_settings(max_bad_messages=100)) as service, listen(service) as client:
        for message, code in REFUSED:
            await client.connection.send(json.dumps(message))
            error = await client.hear()
            assert (error["type"], error["code"]) == ("error", code), message
        for raw in NO_JSON:
            await client.connection.send(raw)
            assert (await client.hear())["code"] == "bad_message", raw[:20]
        assert (await client.ask(op="ping", id="x")) == {"type": "pong", "id": "x", "sequence": 0}


async def test_client_that_sends_nothing_sensible_is_closed_at_last() -> None:
    async with serve(fast_settings(max_bad_messages=3)) as service, listen(service) as client:
        for _ in range(3):
            await client.connection.send("?")
        assert await client.closed() == (4400, "too_many_bad_messages")


async def test_flood_of_messages_is_answered_one_by_one() -> None:
    """A client that asks fast and reads is no slow client, however short its line."""
    async with serve(fast_settings(queue_size=8)) as service, listen(service) as client:
        for number in range(1000):
            await client.say(op="ping", id=str(number))
        assert [(await client.hear())["id"] for _ in range(1000)] == [str(number) for number in range(1000)]


async def test_only_the_first_subscription_resumes() -> None:
    async with serve() as service, listen(service) as client:
        resume = {"stream": client.welcome["stream"], "after": 0}
        await client.ask(op="subscribe", kinds=["bars"])
        assert (await client.ask(op="subscribe", resume=resume))["code"] == "resume_too_late"


async def test_number_that_was_never_given_is_refused() -> None:
    async with serve() as service, listen(service) as client:
        resume = {"stream": client.welcome["stream"], "after": 1}
        assert (await client.ask(op="subscribe", resume=resume))["code"] == "sequence_ahead"


async def test_clients_beyond_the_limit_are_refused_with_a_problem() -> None:
    async with serve(fast_settings(max_clients=1)) as service, listen(service):
        with pytest.raises(InvalidStatus) as refused:
            async with listen(service):
                pass
        response = refused.value.response
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert b"too_many_clients" in bytes(response.body or b"")


async def test_clients_that_leave_make_room() -> None:
    async with serve(fast_settings(max_clients=1)) as service:
        for _ in range(3):
            async with listen(service) as client:
                await client.ask(op="subscribe")
            await until(lambda: service.broadcaster.hub.clients == 0)


async def test_page_of_another_site_is_refused() -> None:
    async with serve() as service:
        with pytest.raises(InvalidStatus) as refused:
            async with listen(service, origin="http://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with listen(service, origin=service.url) as client:
            assert (await client.ask(op="ping"))["type"] == "pong"


async def test_program_that_stops_says_so_to_everybody() -> None:
    async with serve() as service, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(listen(service)) for _ in range(5)]
        await service.stop_stream()
        assert await asyncio.gather(*(client.closed() for client in clients)) == [(1001, "shutting_down")] * 5
        with pytest.raises(InvalidStatus) as refused:
            async with listen(service):
                pass
        assert refused.value.response.status_code == 503


async def test_server_that_stops_first_stops_in_time() -> None:
    async with serve() as service, listen(service) as client:
        await client.ask(op="subscribe")
        began = time.monotonic()
        await service.stop_server()
        assert time.monotonic() - began < 4
        code, _ = await client.closed()
        assert code == 1012
