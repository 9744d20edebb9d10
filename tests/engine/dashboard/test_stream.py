"""The stream over a real socket: snapshot, changes, resuming, slow clients, heartbeat, and what is refused."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from engine.dashboard.telling import tell_chart
from engine.domain.errors import DataUnavailable, VenueUnavailable
from tests.engine.dashboard.fakes import HandClock, ManySymbols
from tests.engine.dashboard.serving import SMALL_BUFFER, fast_settings, serve, visit

CHART = {"type": "chart", "symbol": "XAUUSD", "timeframe": "1h"}


async def test_snapshot_holds_everything_that_the_page_shows() -> None:
    async with serve(symbols=13) as service, visit(service, start={"chart": CHART}) as client:
        assert client.welcome.keys() == {"type", "stream", "sequence", "heartbeat_s", "window"}
        frame = await client.hear()
        assert frame["type"] == "snapshot"
        kinds = {key.partition("/")[0] for key in frame["set"]}
        assert kinds == {
            "trading", "account", "agent", "curve", "position", "order", "fill", "signal", "alert", "model", "feed",
            "symbol", "quote", "chart",
        }  # fmt: skip
        assert frame["set"]["quote/XAUUSD"].keys() == {"bid", "ask", "at", "is_open", "change_pct"}
        assert frame["set"]["account"]["cash"] == "61240.18"
        assert frame["set"]["agent/nova"]["target_monthly_pct"] == ["10", None]
        chart = frame["set"]["chart/1h/XAUUSD"]
        assert {len(chart[name]) for name in ("time", "open", "high", "low", "close", "volume")} == {50}


async def test_changes_hold_only_what_changed_and_numbers_grow() -> None:
    async with serve() as service, visit(service) as client:
        first = await client.hear()
        service.clock.advance(seconds=1)
        frame = await client.hear_until("changes")
        assert frame["sequence"] > first["sequence"]
        assert "symbol/XAUUSD" not in frame["set"]
        while "agent/atlas" not in frame["set"]:
            frame = await client.hear_until("changes")
            assert "fill/f0-0" not in frame["set"]


async def test_prices_are_merged_for_each_client_to_ten_frames_a_second() -> None:
    settings = fast_settings(frame_every_s=0.1, quotes_every_s=0.005, facts_every_s=60)
    async with serve(settings) as service, visit(service) as client:
        await client.hear()
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(_tick(service.clock.advance))
        heard, until = 0, loop.time() + 1
        while loop.time() < until:
            frame = await client.hear()
            heard += frame["type"] == "changes"
        ticking.cancel()
    assert 5 <= heard <= 11


async def test_client_that_comes_back_is_told_what_it_missed_and_nothing_else() -> None:
    async with serve(fast_settings(facts_every_s=0.01)) as service, visit(service) as other:
        await other.hear()
        async with visit(service) as client:
            await client.hear()
            had, after, stream = dict(client.known), client.sequence, client.welcome["stream"]
        service.view.trading = await service.view.halt("ben")
        while other.known["trading"]["state"] != "halted":
            await other.hear()
        async with visit(service, start={"resume": {"stream": stream, "after": after}}) as client:
            frame = await client.hear()
            assert frame["type"] == "changes"
            assert frame["set"]["trading"]["state"] == "halted"
            assert len(frame["set"]) < len(had) / 2


@pytest.mark.parametrize("resume", [{"stream": "another", "after": 5}, {"after": 10**9}])
async def test_client_of_another_run_or_ahead_of_this_one_gets_a_snapshot(resume: dict[str, Any]) -> None:
    async with serve() as service, visit(service) as first:
        here = {"stream": first.welcome["stream"]} | resume
        async with visit(service, start={"resume": here}) as client:
            assert client.welcome["type"] == "welcome"
            assert (await client.hear())["type"] == "snapshot"


async def test_unacknowledged_client_gets_no_backlog_but_the_newest_state() -> None:
    async with serve(fast_settings(window=2)) as service, visit(service) as client:
        ticking = asyncio.create_task(_tick(service.clock.advance))
        for _ in range(2):
            last = await client.hear(acks=False)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.connection.recv(), 0.3)
        await client.say(type="ack", sequence=last["sequence"])
        frame = await client.hear()
        ticking.cancel()
        assert frame["set"]["quote/XAUUSD"]
        assert frame["sequence"] > last["sequence"] + 30


async def test_client_that_never_acknowledges_is_let_go_with_the_reason() -> None:
    async with serve(fast_settings(window=1, patience_s=0.3)) as service, visit(service) as client:
        ticking = asyncio.create_task(_tick(service.clock.advance))
        await client.hear(acks=False)
        assert await client.closed() == (4008, "slow_client")
        ticking.cancel()


async def test_client_that_does_not_read_is_let_go_and_holds_up_nobody() -> None:
    settings = fast_settings(window=10_000, patience_s=0.4)
    async with serve(settings, symbols=13) as service:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", service.port))
        options: dict[str, Any] = {"sock": sock, "max_queue": 1, "compression": None, "close_timeout": 0.5}
        async with visit(service, **options) as lazy, visit(service) as quick:
            ticking = asyncio.create_task(_tick(service.clock.advance))
            until = asyncio.get_running_loop().time() + 1.5
            heard = 0
            while asyncio.get_running_loop().time() < until:
                await quick.hear()
                heard += 1
            ticking.cancel()
            assert heard > 20
            # The reason cannot reach somebody who reads nothing; that the connection ends, does.
            assert (await lazy.closed())[0] in (0, 1006, 4008)


async def test_heartbeat_comes_when_nothing_changes() -> None:
    settings = fast_settings(heartbeat_s=0.1, facts_every_s=60)
    async with serve(settings) as service, visit(service) as client:
        first = await client.hear()
        beat = await client.hear_until("heartbeat")
        assert beat["sequence"] >= first["sequence"]
        assert beat["at"] == service.clock.at.timestamp() * 1000


async def test_what_goes_away_is_told() -> None:
    async with serve() as service, visit(service) as client:
        await client.know("alert/1")
        service.view.without = {"alerts"}
        while any(key.startswith("alert/") for key in client.known):
            await client.hear()


async def test_another_chart_is_sent_at_once_and_the_old_one_no_more() -> None:
    async with serve() as service, visit(service, start={"chart": CHART}) as client:
        await client.know("chart/1h/XAUUSD")
        await client.say(type="chart", symbol="EURUSD", timeframe="5m")
        assert (await client.know("chart/5m/EURUSD"))["decimals"] == 5


async def test_chart_follows_when_a_bar_closes() -> None:
    async with serve() as service, visit(service, start={"chart": {**CHART, "timeframe": "1m"}}) as client:
        before = await client.know("chart/1m/XAUUSD")
        service.clock.advance(seconds=60)
        while client.known["chart/1m/XAUUSD"]["time"] == before["time"]:
            await client.hear()
        assert client.known["chart/1m/XAUUSD"]["time"][-1] == before["time"][-1] + 60


async def test_bar_that_is_not_closed_is_told_as_far_as_it_is_known() -> None:
    async with serve() as service:
        service.clock.advance(minutes=17)
        async with visit(service, start={"chart": CHART}) as client:
            chart = await client.know("chart/1h/XAUUSD")
        minutes = service.market.bars("XAUUSD", "1m", 17)
        assert chart["forming"]["time"] == chart["time"][-1] + 3600
        assert chart["forming"]["high"] == round(float(minutes.high.max()), 2)
        assert chart["forming"]["open"] == round(float(minutes.open[0]), 2)


async def test_timeframe_that_the_market_does_not_have_is_told_in_place_of_a_chart() -> None:
    async with serve() as service:
        service.market.without = {"1w"}
        async with visit(service, start={"chart": {**CHART, "timeframe": "1w"}}) as client:
            assert await client.know("chart/1w/XAUUSD") == {"trouble": "no_data"}


async def test_bars_that_are_no_numbers_are_left_out() -> None:
    bars = ManySymbols(HandClock()).bars("XAUUSD", "1h", 5)
    broken = replace(bars, high=np.array([1.0, np.nan, 1.0, np.inf, 1.0]))
    chart = tell_chart(broken, None, 2)
    assert isinstance(chart, dict)
    assert chart["time"] == bars.time[[0, 2, 4]].tolist()
    assert chart["high"] == [1.0, 1.0, 1.0]


async def test_failure_is_told_as_trouble_and_what_was_known_stays() -> None:
    async with serve() as service, visit(service) as client:
        await client.hear()
        service.view.failure = VenueUnavailable("no answer")
        assert await client.know("trouble/facts") is True
        assert client.known["account"]["cash"] == "61240.18"
        service.view.failure = None
        while "trouble/facts" in client.known:
            await client.hear()


async def test_market_that_fails_is_told_as_trouble() -> None:
    async with serve() as service, visit(service) as client:
        await client.know("quote/XAUUSD")
        service.market.failure = RuntimeError("a secret")
        assert await client.know("trouble/quotes") is True
        assert "secret" not in str(client.known)


async def test_symbol_without_a_price_is_told_without_one() -> None:
    async with serve() as service:
        service.market.failure = DataUnavailable("closed")
        async with visit(service) as client:
            frame = await client.hear()
        assert not [key for key in frame["set"] if key.startswith("quote/")]


@pytest.mark.parametrize(
    "message",
    ["no json", "[]", '{"type":"start"}', '{"type":"buy"}', '{"type":"ack"}', '{"type":"ack","sequence":-1}',
     '{"type":"chart","symbol":"NO/SUCH","timeframe":"1h"}', '{"type":"chart","symbol":"XAUUSD","timeframe":"7h"}',
     '{"type":"ping","more":1}', "x" * 5000, b"\0"],
)  # fmt: skip
async def test_message_that_makes_no_sense_is_answered_and_does_no_harm(message: str | bytes) -> None:
    async with serve() as service, visit(service) as client:
        await client.hear()
        await client.connection.send(message)
        assert (await client.hear_until("error"))["code"] in ("bad_message", "out_of_turn", "unknown_symbol")
        await client.say(type="ping")
        await client.hear_until("pong")


async def test_client_of_many_bad_messages_is_closed() -> None:
    async with serve(fast_settings(max_bad_messages=3)) as service, visit(service) as client:
        for _ in range(3):
            await client.connection.send("no json")
        assert await client.closed() == (4400, "too_many_bad_messages")


async def test_more_clients_than_allowed_are_turned_away() -> None:
    async with serve(fast_settings(max_clients=1)) as service, visit(service):
        with pytest.raises(InvalidStatus):
            async with visit(service):
                pass


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", None])
async def test_page_of_another_site_cannot_listen(origin: str | None) -> None:
    async with serve() as service:
        with pytest.raises(InvalidStatus):
            async with visit(service, origin=origin):
                pass


async def test_nothing_is_asked_while_nobody_looks() -> None:
    async with serve() as service:
        async with visit(service) as client:
            await client.hear()
        await asyncio.sleep(0.05)
        asked = service.view.asked
        await asyncio.sleep(0.2)
        assert service.view.asked == asked
        async with visit(service) as client:
            assert (await client.hear())["type"] == "snapshot"
        assert service.view.asked > asked


async def _tick(advance: Any) -> None:
    while True:
        advance(seconds=0.1)
        await asyncio.sleep(0.005)
