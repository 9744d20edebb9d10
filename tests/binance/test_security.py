"""Keys, signatures, time windows, rights and limits."""

from __future__ import annotations

from typing import Any

import ccxt  # type: ignore[import-untyped]  # ccxt ships no types
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.binance.client import ccxt_client
from tests.binance.clock import SystemClock
from tests.binance.limits import Limits
from tests.binance.server import BinanceServer

BTC = "BTC/USDT"
SPOT = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}


async def refusal(server: BinanceServer, **settings: Any) -> str:
    client = ccxt_client(server, pro=False, **settings)
    try:
        await client.private_get_account()
    except ccxt.BaseError as error:
        return f"{type(error).__name__} {error}"
    finally:
        await client.close()
    return "accepted"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"secret": "x" * 64}, 'AuthenticationError binance {"code":-1022'.replace('":', '": ')),
        ({"key": "!"}, "-2014"),
        ({"key": "z" * 64}, "-2015"),
        ({}, "accepted"),
    ],
)
async def test_only_the_right_key_and_signature_pass(
    server: BinanceServer, settings: dict[str, Any], words: str
) -> None:
    assert words in await refusal(server, **settings)


async def test_a_key_is_bound_to_addresses_and_rights(server: BinanceServer, spot: Any) -> None:
    server.account.can_trade = False
    with pytest.raises(ccxt.ExchangeError, match="-2015"):
        await spot.create_order(BTC, "market", "buy", 0.01)
    assert (await spot.fetch_balance())["USDT"]["free"] == 10_000
    server.account.ip_allowed = ("10.0.0.1",)
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):  # ccxt's name for it, once the key has worked
        await spot.fetch_balance()


@pytest.mark.parametrize("skew_ms", [-5_000, 20_000])
async def test_a_clock_that_is_off_is_refused_and_can_be_corrected(skew_ms: int) -> None:
    async with BinanceServer(clock=SystemClock(skew_ms)) as server:
        assert "InvalidNonce" in await refusal(server)
        corrected: dict[str, Any] = {"options": SPOT | {"adjustForTimeDifference": True}}
        client = ccxt_client(server, **corrected)
        try:
            await client.load_markets()
            assert (await client.fetch_balance())["USDT"]["free"] == 10_000
        finally:
            await client.close()


async def test_a_window_of_more_than_a_minute_is_refused(spot: Any) -> None:
    with pytest.raises(ccxt.BadRequest, match="recvWindow"):
        await spot.private_get_account({"recvWindow": 60_001})


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_public_keys_sign_as_well(server: BinanceServer, kind: str) -> None:
    private = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    server.add_account("other", "a" * 64, public, {"USDT": 1})
    assert await refusal(server, key="a" * 64, secret=pem) == "accepted"
    wrong = server.add_account("third", "b" * 64, public, {"USDT": 1})
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    wrong.secret = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "-1022" in await refusal(server, key="b" * 64, secret=pem)


async def test_unknown_symbols_and_paths_are_refused(spot: Any) -> None:
    with pytest.raises(ccxt.BadSymbol):
        await spot.public_get_depth({"symbol": "NOPEUSDT"})
    with pytest.raises(ccxt.ExchangeError, match="-1102"):
        await spot.public_get_depth()


async def test_weight_is_counted_then_refused_then_banned() -> None:
    async with BinanceServer(limits=Limits(weight_per_minute=100, patience=2)) as server:
        client = ccxt_client(server, options=SPOT)
        try:
            await client.load_markets()
            assert client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "20"
            statuses = []
            for _ in range(10):
                try:
                    await client.private_get_account()
                except ccxt.DDoSProtection as error:
                    statuses.append(str(error).split()[1])
            assert statuses[:2] == ["429", "429"]
            assert set(statuses[2:]) == {"418"}
            assert len(statuses) == 6
            assert int(client.last_response_headers["Retry-After"]) > 60
        finally:
            await client.close()


async def test_orders_are_counted_apart_from_weight() -> None:
    async with BinanceServer(limits=Limits(orders_per_ten_seconds=3, orders_per_day=3)) as server:
        client = ccxt_client(server, options=SPOT)
        try:
            await client.load_markets()
            for number in range(3):
                await client.create_order(BTC, "limit", "buy", 0.001, 50_000 + number)
            assert client.last_response_headers["X-MBX-ORDER-COUNT-1D"] == "3"
            with pytest.raises(ccxt.DDoSProtection, match="-1015"):
                await client.create_order(BTC, "limit", "buy", 0.001, 50_000)
            counts = await client.private_get_ratelimit_order()
            assert [row["count"] for row in counts][1] == 3
        finally:
            await client.close()
