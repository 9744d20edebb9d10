"""A real ccxt client that is pointed at the local server."""

from __future__ import annotations

from typing import Any

import ccxt.async_support  # type: ignore[import-untyped]  # ccxt ships no types
import ccxt.pro  # type: ignore[import-untyped]  # ccxt ships no types

from tests.binance.server import KEY, SECRET, BinanceServer

REST = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
}


def ccxt_urls(rest_url: str, ws_url: str) -> dict[str, Any]:
    """Return what belongs in `exchange.urls["api"]` of a ccxt client.

    ccxt takes a stream for a spot stream only when its address contains `/stream`, so the path begins with it.
    """
    urls: dict[str, Any] = {name: rest_url + path for name, path in REST.items()}
    urls["ws"] = {
        "spot": f"{ws_url}/streams/ws",
        "margin": f"{ws_url}/streams/ws",
        "linear": f"{ws_url}/futures/ws",
        "inverse": f"{ws_url}/delivery/ws",
        "ws-api": {
            "spot": f"{ws_url}/ws-api/v3",
            "linear": f"{ws_url}/ws-fapi/v1",
            "inverse": f"{ws_url}/ws-dapi/v1",
        },
    }
    return urls


def point(exchange: Any, rest_url: str, ws_url: str) -> None:
    """Point any ccxt Binance client at a server, with the error table of the real hosts.

    ccxt picks the table of error codes by host name; without this a local address would get only the common one.
    """
    exchange.urls["api"] = ccxt_urls(rest_url, ws_url)

    def table(url: str | None, kind: str) -> dict[str, Any]:
        market = "linear" if "/fapi/" in (url or "") else "spot"
        found: dict[str, Any] = exchange.exceptions.get(market, {}).get(kind, {})
        return found

    exchange.get_exceptions_by_url = table


def ccxt_client(
    server: BinanceServer, *, pro: bool = True, key: str = KEY, secret: str = SECRET, **options: Any
) -> Any:
    """Return a configured ccxt client; close it after use.

    Args:
        server: A running server.
        pro: With streams.
        key: API key; the first account's by default.
        secret: Its secret.
        options: Settings of the client; `options` among them is merged into ccxt's own options.
    """
    settings: dict[str, Any] = {"apiKey": key, "secret": secret, "enableRateLimit": False, "timeout": 10_000}
    settings |= {"timeout_on_exit": 0}
    settings |= options
    exchange = ccxt.pro.binance(settings) if pro else ccxt.async_support.binance(settings)
    point(exchange, server.rest_url, server.ws_url)
    return exchange
