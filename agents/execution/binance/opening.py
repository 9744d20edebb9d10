"""Opens Binance in one of its modes: the only place that knows addresses and that holds a secret.

`binance-testnet` is the spot test network, `binance` the real spot market, `binance-futures-demo` the demo of USD-M
futures (a market of its own, no mirror of the real one). The secret goes into ccxt's client and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import Engine

from agents.execution.binance.dialect import Dialect
from agents.execution.binance.futures import FuturesDialect
from agents.execution.binance.gateway import Connection, Gateway
from agents.execution.binance.guard import Guard
from agents.execution.binance.keeper import Keeper
from agents.execution.binance.limiter import DEFAULT_ORDERS, DEFAULT_WEIGHT, Limiter, Window
from agents.execution.binance.replies import Failure
from agents.execution.binance.spot import SpotDialect
from agents.execution.binance.store import Store
from agents.execution.binance.stream import Listener, Pace
from agents.execution.binance.values import Incident, Told
from agents.execution.binance.venue import BinanceVenue
from engine.data.live.networks import NetworkName
from engine.domain.errors import ConfigError
from engine.domain.protocols import Clock

Mode = NetworkName
_FUTURES_WEIGHT = Window(60, 2400)
_FUTURES_ORDERS = (Window(10, 300), Window(60, 1200))
_TIMEOUT_MS = 10_000
Sleep = Callable[[float], Awaitable[None]]


class WallClock:
    """The present of this machine."""

    def now(self) -> datetime:
        """Return the present, aware UTC."""
        return datetime.now(UTC)


def open_binance(
    mode: Mode,
    key: str,
    secret: str,
    database: Engine,
    *,
    urls: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    limiter: Limiter | None = None,
    pace: Pace | None = None,
    streams: bool = True,
    on_incident: Callable[[Told], None] | None = None,
    connection: Connection | None = None,
    sleep: Sleep = asyncio.sleep,
    seed: int | None = None,
) -> BinanceVenue:
    """Return a venue that has not spoken to the exchange yet; `start` does.

    Args:
        mode: Which market.
        key: API key.
        secret: Its secret, or an Ed25519 or RSA private key in PEM.
        database: Where the adapter's tables live.
        urls: ccxt's addresses (`urls["api"]`) instead of the mode's own, for a proxy or a local server.
        clock: The present; this machine's by default.
        limiter: Shared with whoever else uses the account's address; one of its own by default.
        pace: How often is polled.
        streams: Whether to open the user stream; without it, polling alone settles.
        on_incident: Told once of each new incident, in stable codes.
        connection: A ccxt client to use instead of a new one.
        sleep: Waits some seconds.
        seed: Of the pauses' random part.

    Raises:
        ConfigError: The mode is not known, or a key is missing.
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"{mode!r} is not a venue; use one of {', '.join(get_args(Mode))}")
    if not key or not secret:
        raise ConfigError(f"{mode} needs an API key and its secret")
    is_futures = mode == "binance-futures-demo"
    client = connection or connect(mode, key, secret, urls=urls)
    present = clock or WallClock()
    weight = _FUTURES_WEIGHT if is_futures else DEFAULT_WEIGHT
    orders = _FUTURES_ORDERS if is_futures else DEFAULT_ORDERS
    purse = limiter or Limiter(present, weight=weight, orders=orders, sleep=sleep)
    dialect: Dialect = FuturesDialect() if is_futures else SpotDialect()
    store = Store(database, mode)
    jitter = random.Random(seed)
    gateway = Gateway(
        client,
        purse,
        present,
        time_endpoint=dialect.time_endpoint,
        jitter=jitter,
        sleep=sleep,
        on_failure=lambda failure: _tell(keeper, failure),
    )
    keeper = Keeper(store, gateway, dialect, on_incident)
    venue = BinanceVenue(mode, keeper, Guard(keeper, sleep))
    listener = Listener(venue, gateway, pace or Pace(), streams, is_futures, sleep, jitter)
    venue.background = listener
    return venue


def connect(mode: Mode, key: str, secret: str, *, urls: Mapping[str, Any] | None = None) -> Connection:
    """Return ccxt's client for a mode: no retries, no guesses, numbers as text."""
    is_futures = mode == "binance-futures-demo"
    config = {
        "apiKey": key,
        "secret": secret,
        "enableRateLimit": False,  # our limiter counts for all that use the account
        "timeout": _TIMEOUT_MS,
        "options": {
            "defaultType": "swap" if is_futures else "spot",
            **({"defaultSubType": "linear"} if is_futures else {}),
            "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
            "fetchMarkets": {"types": ["linear" if is_futures else "spot"]},
            "fetchMargins": False,
            "maxRetriesOnFailure": 0,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        },
    }
    client = Connection(config)
    client.number = str
    client.has["fetchCurrencies"] = False
    if urls is not None:
        client.urls["api"] = {**client.urls["api"], **urls}
        if str(urls.get("private") or urls.get("fapiPrivate") or "").startswith("http://"):
            client.verify = False
            client.timeout_on_exit = 0
    elif mode == "binance-testnet":
        client.set_sandbox_mode(True)
    elif is_futures:
        client.enable_demo_trading(True)
    return client


def _tell(keeper: Keeper, failure: Failure) -> None:
    if failure.is_ban:
        keeper.tell(Incident.BANNED, detail=f"{failure.status}")
    elif failure.is_key:
        keeper.tell(Incident.KEY_REFUSED, detail=f"{failure.code}")
