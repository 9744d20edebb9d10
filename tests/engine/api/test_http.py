"""The routes: what they answer, and how each refusal is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from engine.api import Broadcaster, StreamSettings, create_api
from engine.domain.errors import DataUnavailable, VenueUnavailable
from tests.engine.api.fakes import STRANGE, FakeMarket, FakeShelf, FakeSignals


class Asker:
    """Asks a service in this process."""

    def __init__(self, client: httpx.AsyncClient, market: FakeMarket, signals: FakeSignals) -> None:
        self.client = client
        self.market = market
        self.signals = signals

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the body of an answer of status 200."""
        response = await self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = json.loads(response.content, parse_constant=pytest.fail)
        return body

    async def refused(self, path: str, status: int, **query: Any) -> dict[str, Any]:
        """Return the problem of a refusal."""
        response = await self.client.get(path, params=query)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = response.json()
        assert problem["status"] == status
        assert problem["type"].endswith(f":{problem['code']}")
        assert problem["instance"] == path
        return problem


@asynccontextmanager
async def ask(*, signal_timeout_s: float = 5.0, is_running: bool = True) -> AsyncIterator[Asker]:
    market = FakeMarket()
    signals = FakeSignals(market)
    broadcaster = Broadcaster(market, signals, StreamSettings(poll_s=0.01))
    api = create_api(broadcaster, FakeShelf(), signal_timeout_s=signal_timeout_s)
    running = asyncio.create_task(broadcaster.run()) if is_running else None
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
            yield Asker(client, market, signals)
    finally:
        signals.gate.set()
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_bars_are_the_last_closed_ones_oldest_first() -> None:
    async with ask() as asker:
        told = await asker.get("/bars/BTC-USDT", timeframe="1m", limit=2)
        assert (told["symbol"], told["timeframe"], told["is_simulated"]) == ("BTC/USDT", "1m", True)
        assert [bar["opened_at"] for bar in told["bars"]] == ["2026-03-02T11:58:00Z", "2026-03-02T11:59:00Z"]
        assert told["bars"][-1]["closed_at"] == "2026-03-02T12:00:00Z"
        assert told["bars"][-1]["high"] == told["bars"][-1]["open"] + 2


async def test_numbers_that_are_none_are_null() -> None:
    async with ask() as asker:
        bars = (await asker.get("/bars/XRP-USDT", limit=3))["bars"]
        assert {bar[name] for bar in bars for name in ("open", "high", "low", "close")} == {None}
        signal = await asker.get("/signals/XRP-USDT")
        assert (signal["close"], signal["stop"], signal["probability"]) == (None, None, None)
        assert signal["drivers"] == [{"feature": "return_1", "value": None, "contribution": None}]
        report = await asker.get("/reports/m1")
        assert report["figures"]["acted_z_long_2"] is None


async def test_signal_tells_everything_it_rests_on() -> None:
    async with ask() as asker:
        signal = await asker.get("/signals/BTC-USDT", timeframe="1h")
        assert (signal["symbol"], signal["direction"], signal["reason"]) == ("BTC/USDT", "long", "edge")
        assert signal["phase"]["phase"] == "neutral"
        assert signal["expected_range"]["up"] == {"q10": 100.5, "q50": 102.0, "q90": 105.0}
        assert signal["bar_at"] == "2026-03-02T11:00:00Z"


async def test_signals_of_all_symbols_name_those_without() -> None:
    async with ask() as asker:
        asker.signals.failures["EURUSD"] = DataUnavailable("EURUSD has too few bars", code="too_few_bars")
        told = await asker.get("/signals")
        assert [each["symbol"] for each in told["signals"]] == ["BTC/USDT", STRANGE]
        assert told["without"] == [
            {"symbol": "EURUSD", "timeframe": "1h", "code": "too_few_bars", "detail": "EURUSD has too few bars"}
        ]


async def test_symbols_in_a_query_are_taken_in_both_forms_and_once() -> None:
    async with ask() as asker:
        told = await asker.get("/signals", symbol=["BTC/USDT", "BTC-USDT", "EURUSD"])
        assert [each["symbol"] for each in told["signals"]] == ["BTC/USDT", "EURUSD"]


async def test_models_and_their_reports() -> None:
    async with ask() as asker:
        assert [each["id"] for each in (await asker.get("/models"))["models"]] == ["m1", "m2"]
        assert [each["id"] for each in (await asker.get("/models", symbol="BTC/USDT"))["models"]] == ["m1"]
        assert (await asker.get("/models", timeframe="4h"))["models"] == []
        assert (await asker.get("/models/m2"))["is_held"] is True
        report = await asker.get("/reports/m1")
        assert report["targets"] == [
            {
                "target": "long_2",
                "auc": 0.55,
                "auc_by_fold": [0.54, 0.56, 0.57],
                "brier_skill": 0.01,
                "calibration_error": None,
                "acted_share": None,
                "acted_payoff": None,
                "acted_z": None,
            }
        ]
        assert report["ranges"][0] == {"side": "up", "coverage": 0.8, "pinball": 0.3, "pinball_gain": None}


async def test_refusals_are_problems() -> None:
    async with ask() as asker:
        assert (await asker.refused("/bars/NOPE", 404))["code"] == "unknown_symbol"
        assert (await asker.refused("/signals", 404, symbol="NOPE"))["code"] == "unknown_symbol"
        assert (await asker.refused("/models/m9", 404))["code"] == "unknown_model"
        assert (await asker.refused("/models/%C3%A9%22", 404))["code"] == "unknown_model"
        assert (await asker.refused("/bars/BTC/USDT", 404))["code"] == "not_found"
        assert (await asker.refused("/bars/EURUSD", 404, timeframe="1d"))["code"] == "no_data"
        assert (await asker.refused("/signals/EURUSD", 404, timeframe="4h"))["code"] == "model_missing"
        assert (await asker.refused("/stream", 426))["code"] == "upgrade_required"


async def test_wrong_arguments_are_named_one_by_one() -> None:
    async with ask() as asker:
        problem = await asker.refused("/bars/EURUSD", 422, timeframe="2h", limit=0, limt=3)
        assert problem["code"] == "invalid_request"
        assert {each["where"] for each in problem["errors"]} == {"query.timeframe", "query.limit", "query.limt"}


async def test_other_methods_are_problems_that_tell_what_is_allowed() -> None:
    async with ask() as asker:
        response = await asker.client.post("/signals", json={})
        assert response.status_code == 405
        assert response.headers["allow"] == "GET"
        assert response.json()["code"] == "method_not_allowed"


async def test_signal_that_takes_long_is_told_to_be_asked_for_later() -> None:
    async with ask(signal_timeout_s=0.05) as asker:
        asker.signals.gate.clear()
        response = await asker.client.get("/signals/EURUSD")
        assert (response.status_code, response.json()["code"]) == (503, "still_computing")
        assert int(response.headers["retry-after"]) > 0
        told = await asker.get("/signals", symbol="EURUSD")
        assert told["without"][0]["code"] == "still_computing"
        assert (await asker.get("/bars/EURUSD"))["bars"], "bars do not wait for signals"


async def test_same_signal_asked_by_many_is_computed_once() -> None:
    async with ask() as asker:
        asker.signals.gate.clear()
        asking = [asyncio.create_task(asker.get("/signals/EURUSD")) for _ in range(20)]
        await asyncio.sleep(0.05)
        asker.signals.gate.set()
        answers = await asyncio.gather(*asking)
        assert all(answer == answers[0] for answer in answers)
        assert len(asker.signals.calls) == 1


async def test_error_that_nobody_foresaw_tells_nothing_about_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    async with ask() as asker:
        asker.signals.failures["EURUSD"] = KeyError("secret path")
        problem = await asker.refused("/signals/EURUSD", 500)
        assert problem["code"] == "internal_error"
        assert "secret" not in json.dumps(problem)
        assert "secret path" in caplog.text
        asker.market.failure = VenueUnavailable("no answer")
        assert (await asker.refused("/bars/EURUSD", 503))["code"] == "venue_unavailable"


async def test_health_follows_the_stream() -> None:
    async with ask(is_running=False) as asker:
        assert (await asker.refused("/health", 503))["detail"] == "the stream is not running"
    async with ask() as asker:
        await asyncio.sleep(0.1)
        health = await asker.get("/health")
        assert (health["status"], health["market"], health["market_at"]) == ("ok", "fake", "2026-03-02T12:00:30Z")
        asker.market.advance(hours=1)
        asker.market.failure = VenueUnavailable("no answer")
        await asyncio.sleep(0.1)
        assert "no answer" in (await asker.refused("/health", 503))["detail"]
        asker.market.failure = None
        asker.market.advance(hours=1)
        await asyncio.sleep(0.1)
        assert (await asker.get("/health"))["status"] == "ok"


async def test_service_may_be_mounted_under_a_path() -> None:
    market = FakeMarket()
    broadcaster = Broadcaster(market, FakeSignals(market))
    api = create_api(broadcaster, FakeShelf(), authenticate=lambda token: {"bars"} if token == "t" else None)
    outer = Starlette(routes=[Mount("/api", api)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://here") as client:
        assert (await client.get("/api/openapi.json")).status_code == 200
        assert (await client.get("/api/bars/EURUSD")).status_code == 401
        allowed = await client.get("/api/bars/EURUSD", headers={"authorization": "Bearer t"})
        assert allowed.status_code == 200
        assert (await client.get("/api/nope", headers={"authorization": "Bearer t"})).json()["code"] == "not_found"


async def test_page_loads_nothing_from_elsewhere() -> None:
    async with ask() as asker:
        response = await asker.client.get("/docs")
        assert response.status_code == 200
        assert "<script" not in response.text
        assert "src=" not in response.text
        assert "/signals/{symbol}" in response.text
