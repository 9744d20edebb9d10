"""A venue, the exchange it talks to, and time, all in one process: hours of trouble pass in milliseconds.

The venue, ccxt's client and its HTTP code are the real ones; only the socket is left out, and the event loop's time
jumps to the next thing that is due instead of waiting for it. The exchange and the venue read the same time.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from agents.execution.binance.gateway import Connection
from agents.execution.binance.opening import Mode, connect, open_binance
from agents.execution.binance.stream import Pace
from agents.execution.binance.tables import (
    binance_incidents,
    binance_legs,
    binance_orders,
    binance_releases,
    binance_state,
    binance_trades,
)
from agents.execution.binance.venue import BinanceVenue
from agents.execution.desk import client_order_id
from engine.data.database import metadata
from engine.domain.orders import OrderRequest, OrderType, Side
from tests.binance.calls import Call
from tests.binance.client import ccxt_urls
from tests.binance.faults import Do, Empty, FillFirst, Hang, Html, Maintenance, Refuse, Reset, Slow, Truncate
from tests.binance.security import signed_text
from tests.binance.server import KEY, SECRET, BinanceServer

START = datetime(2026, 1, 1, tzinfo=UTC)
D = Decimal
Result = TypeVar("Result")
EXCHANGE = "exchange"
"""Name of the tasks that are the exchange's, and outlive a client."""
TABLES = (binance_state, binance_orders, binance_legs, binance_trades, binance_releases, binance_incidents)


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time that would be waited is added to the loop's own."""

    jumped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits for ever")
        self.jumped_s += max(timeout, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is simulated."""

    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.jumped_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass without running anything, as it does for a process that is dead or stopped."""
        self.jumping.jumped_s += seconds


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run something on simulated time."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)


class LoopClock:
    """The present of the running loop, for the venue (`now`) and the exchange (`now_ms`)."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time(), milliseconds=self.skew_ms)

    def now_ms(self) -> int:
        return round(START.timestamp() * 1000 + asyncio.get_running_loop().time() * 1000) + self.skew_ms


class _Response:
    def __init__(self, status: int, text: str, headers: dict[str, str]) -> None:
        self.status, self.reason, self.headers, self.content = status, "reason", headers, b""
        self._text = text

    async def text(self, errors: str = "strict") -> str:
        return self._text


class _Request:
    def __init__(self, session: InProcessSession, method: str, url: Any, body: bytes | None, headers: Any) -> None:
        self._parts = (session, method, url, body, headers)

    async def __aenter__(self) -> _Response:
        session, method, url, body, headers = self._parts
        return await session.answer(method, str(url), (body or b"").decode(), headers)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        return None


class InProcessSession:
    """Stands where ccxt has its HTTP session, and hands requests to the exchange without a socket."""

    def __init__(self, server: BinanceServer, latency_s: float = 0.02) -> None:
        self.server = server
        self.latency_s = latency_s
        self.is_cut = False
        self.closed = False
        self.headers: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in ("get", "post", "put", "delete"):
            raise AttributeError(name)

        def send(url: Any, data: bytes | None = None, headers: Any = None, **_: Any) -> _Request:
            return _Request(self, name.upper(), url, data, headers)

        return send

    async def close(self) -> None:
        self.closed = True

    async def answer(self, method: str, url: str, body: str, headers: dict[str, str]) -> _Response:
        await asyncio.sleep(self.latency_s / 2)
        if self.is_cut:
            raise aiohttp.ClientConnectorError(_KEY, OSError("refused"))
        parts = urlsplit(url)
        server = self.server
        call = Call(
            method,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)) | dict(parse_qsl(body, keep_blank_values=True)),
            api_key=headers.get("X-MBX-APIKEY", ""),
            at_ms=server.clock.now_ms(),
            signed_text=signed_text(parts.query, body),
        )
        server.gateway.calls.append(call)
        if server.clock.now_ms() < server.maintenance_until_ms:
            return _page(503)
        effect = server.faults.for_call(call)
        response = await self._work(call) if effect is None else await self._go_wrong(call, effect)
        await asyncio.sleep(self.latency_s / 2)
        return response

    async def _work(self, call: Call) -> _Response:
        status, body = self.server.gateway.answer(call)
        return _Response(status, json.dumps(body), {"Content-Type": "application/json", **call.headers})

    async def _go_wrong(self, call: Call, effect: Any) -> _Response:
        server = self.server
        if isinstance(effect, Maintenance):
            server.maintenance_until_ms = server.clock.now_ms() + round(effect.seconds * 1000)
            return _page(503)
        if isinstance(effect, Do | FillFirst | Slow):
            work = asyncio.create_task(self._disturb(call, effect), name=EXCHANGE)
            return await asyncio.shield(work)  # it is done even when the client has gone
        if isinstance(effect, Truncate | Empty) or effect.accepted:
            server.gateway.answer(call)
        if isinstance(effect, Hang | Reset):
            await asyncio.sleep(effect.seconds if isinstance(effect, Hang) else 0)
            raise aiohttp.ServerDisconnectedError
        return self._spoil(call, effect)

    async def _disturb(self, call: Call, effect: Any) -> _Response:
        if isinstance(effect, Do):
            effect.action(call)
        if isinstance(effect, FillFirst):
            self.server._fill_first(call, effect)
        before, after = (effect.before_s, effect.after_s) if isinstance(effect, Slow) else (0, 0)
        await asyncio.sleep(before)
        response = await self._work(call)
        await asyncio.sleep(after)
        return response

    def _spoil(self, call: Call, effect: Any) -> _Response:
        match effect:
            case Truncate(announces_whole=True):
                raise aiohttp.ClientPayloadError("half")
            case Truncate():
                whole = json.dumps(call.answer)
                return _Response(200, whole[: len(whole) // 2], {"Content-Type": "application/json"})
            case Empty():
                return _Response(200, "", {})
            case Html():
                return _page(effect.status)
            case Refuse():
                after = {"Retry-After": "1"} if effect.error.status in (418, 429) else {}
                return _Response(effect.error.status, json.dumps(effect.error.body()), after)
        raise AssertionError(effect)


_KEY: Any = type("Key", (), {"ssl": False, "host": "exchange", "port": 443, "is_ssl": False})()


def _page(status: int) -> _Response:
    return _Response(status, "<html>away</html>", {"Content-Type": "text/html"})


@cache
def shared_connection(mode: Mode = "binance-testnet") -> Connection:
    """Return one ccxt client for all simulations: to build one takes longer than a simulation."""
    urls = ccxt_urls("http://exchange", "ws://exchange")
    return connect(mode, KEY, SECRET, urls=urls)


def memory_database(*, everything: bool = False) -> Engine:
    """Return an empty database in memory with the adapter's tables, copied from a first one."""
    database = _memory_engine()
    with database.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        _template(everything=everything).backup(raw)
    return database


def _memory_engine() -> Engine:
    database = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(database, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    return database


@cache
def _template(*, everything: bool) -> Any:
    database = _memory_engine()
    metadata.create_all(database, None if everything else TABLES)
    return database.raw_connection().driver_connection


class Bench:
    """An exchange and a venue on one simulated time; make it inside `run`."""

    def __init__(
        self,
        *,
        database: Engine | None = None,
        skew_ms: int = 0,
        mode: Mode = "binance-testnet",
        pace: Pace | None = None,
        **server: Any,
    ) -> None:
        self.mode, self.pace = mode, pace
        self.clock = LoopClock(skew_ms)
        self.server = BinanceServer(clock=LoopClock(), **server)
        self.session = InProcessSession(self.server)
        self.database = database or memory_database()
        self.venue = self.open()

    @property
    def wallet(self) -> Any:
        return self.server.account.wallet

    def open(self) -> BinanceVenue:
        """Return a new venue on the same database, as after a restart."""
        connection = shared_connection(self.mode)
        connection.own_session, connection.session, connection.closed_by_user = False, self.session, False
        connection.asyncio_loop = asyncio.get_running_loop()
        connection.options["timeDifference"] = 0
        return open_binance(
            self.mode,
            KEY,
            SECRET,
            self.database,
            clock=self.clock,
            connection=connection,
            streams=False,
            pace=self.pace,
            seed=1,
        )

    async def __aenter__(self) -> Self:
        await self.venue.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the venue's background without closing the shared client."""
        if self.venue.background is not None:
            await self.venue.background.close()

    async def restart(self) -> None:
        """Kill the venue and start a new one on the same database."""
        await self.stop()
        self.venue = self.open()
        await self.venue.start()

    def move(self, price: Any, symbol: str = "BTCUSDT", volume: Any = None) -> None:
        self.server.move(symbol, price, volume)

    def open_at_exchange(self) -> list[Any]:
        return self.server.spot.open_orders(self.server.account)


def request(
    side: str = "buy",
    quantity: str = "0.01",
    *,
    symbol: str = "BTC/USDT",
    kind: str = "market",
    price: str | None = None,
    stop_loss: str | None = None,
    take_profit: str | None = None,
    reduce: bool = False,
    source: str = "ticket:1",
) -> OrderRequest:
    limit, stop, target = (None if each is None else D(each) for each in (price, stop_loss, take_profit))
    return OrderRequest(
        client_order_id(source), symbol, Side(side), OrderType(kind), D(quantity), limit, stop, target, reduce
    )
