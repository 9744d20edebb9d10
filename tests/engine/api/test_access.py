"""Tokens: without a valid one nothing is told, with one only what it grants."""

from __future__ import annotations

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from engine.api import Broadcaster, create_api
from tests.engine.api.fakes import FakeMarket, FakeShelf, FakeSignals
from tests.engine.api.serving import fast_settings, listen, serve

TOKENS = {"all": {"bars", "signals", "models"}, "bars": {"bars"}, "none": set(), "odd": {"orders", "bars"}}
NEEDED = {
    "/signals": "signals",
    "/signals/EURUSD": "signals",
    "/bars/EURUSD": "bars",
    "/models": "models",
    "/models/m1": "models",
    "/reports/m1": "models",
}


def _client() -> httpx.AsyncClient:
    market = FakeMarket()
    api = create_api(Broadcaster(market, FakeSignals(market)), FakeShelf(), authenticate=TOKENS.get)
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here")


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        _bearer("wrong"),
        _bearer(""),
        _bearer("x" * 10_000),
        {"authorization": "all"},
        {"authorization": "Basic all"},
        {"authorization": "Bearerall"},
    ],
)
async def test_without_a_valid_token_everything_is_refused(headers: dict[str, str]) -> None:
    async with _client() as client:
        for path in (*NEEDED, "/stream", "/nope", "/docs/", "/health/"):
            response = await client.get(path, headers=headers)
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.headers["content-type"] == "application/problem+json"


async def test_two_tokens_at_once_are_refused() -> None:
    async with _client() as client:
        twice = [("authorization", "Bearer all"), ("authorization", "Bearer wrong")]
        assert (await client.get("/models", headers=twice)).status_code == 401


async def test_token_opens_what_it_grants_and_nothing_else() -> None:
    async with _client() as client:
        for token, granted in TOKENS.items():
            for path, needed in NEEDED.items():
                response = await client.get(path, headers=_bearer(token))
                assert response.status_code == (200 if needed in granted else 403), (token, path)


async def test_health_and_the_documents_need_no_token() -> None:
    async with _client() as client:
        assert (await client.get("/openapi.json")).status_code == 200
        assert (await client.get("/docs")).status_code == 200
        assert (await client.get("/health")).status_code == 503, "nothing runs here, and that is told"


async def test_document_tells_which_scope_each_route_needs() -> None:
    async with _client() as client:
        document = (await client.get("/openapi.json")).json()
    told = {path: item["get"].get("security") for path, item in document["paths"].items()}
    assert told["/bars/{symbol}"] == [{"bearer": ["bars"]}]
    assert told["/health"] is None
    assert all(told[path] for path in told if path != "/health")
    assert all(told[path][0]["bearer"] for path in told if path not in ("/health", "/stream"))


async def test_check_that_fails_lets_nobody_in() -> None:
    def broken(token: str) -> set[str]:
        raise OSError("the store of tokens is gone")

    market = FakeMarket()
    api = create_api(Broadcaster(market, FakeSignals(market)), FakeShelf(), authenticate=broken)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://here") as client:
        response = await client.get("/models", headers=_bearer("all"))
        assert (response.status_code, response.json()["code"]) == (503, "access_unknown")


async def test_stream_asks_for_a_token_before_it_accepts() -> None:
    async with serve(authenticate=TOKENS.get) as service:
        for headers in ({}, _bearer("wrong")):
            with pytest.raises(InvalidStatus) as refused:
                async with listen(service, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 401
        assert service.broadcaster.hub.clients == 0


async def test_stream_gives_only_what_the_token_grants() -> None:
    async with serve(authenticate=TOKENS.get) as service, listen(service, additional_headers=_bearer("bars")) as client:
        assert (await client.ask(op="subscribe"))["code"] == "forbidden"
        assert (await client.ask(op="subscribe", kinds=["signals"]))["code"] == "forbidden"
        assert (await client.ask(op="subscribe", kinds=["bars"]))["type"] == "subscribed"


async def test_token_that_is_withdrawn_ends_its_stream() -> None:
    tokens = {"all": {"bars", "signals"}}
    serving = serve(fast_settings(heartbeat_s=0.05), authenticate=tokens.get)
    async with serving as service, listen(service, additional_headers=_bearer("all")) as client:
        assert (await client.hear())["type"] == "heartbeat"
        del tokens["all"]
        assert await client.closed() == (4401, "access_changed")
