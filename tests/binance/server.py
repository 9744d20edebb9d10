"""The server: an exchange behind HTTP and WebSocket, in the running event loop, with faults and a log of requests.

What was accepted stays accepted: `kill` breaks every connection and closes the port, `start` opens the same port
again with the same books, balances and orders.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web

from tests.binance.accounts import Account, Ledger
from tests.binance.calls import Call
from tests.binance.clock import Clock, SimulatedClock, SystemClock
from tests.binance.faults import (
    Do,
    Empty,
    Fault,
    FaultPlan,
    FillFirst,
    Hang,
    Html,
    Maintenance,
    Refuse,
    Reset,
    Slow,
    Truncate,
)
from tests.binance.futures import FuturesExchange
from tests.binance.futures_api import FuturesApi
from tests.binance.futures_values import DEFAULT_FUTURES
from tests.binance.gateway import Gateway
from tests.binance.limits import Limits
from tests.binance.rules import DEFAULT_PRICES, DEFAULT_SPOT, SymbolRules
from tests.binance.scripted import Liquidity
from tests.binance.security import signed_text
from tests.binance.sockets import Sockets
from tests.binance.spot import SpotExchange
from tests.binance.spot_api import SpotApi
from tests.binance.streams import Hub
from tests.binance.wallet_api import ListenKeys, WalletApi

KEY = "k" * 32 + "0" * 32
SECRET = "s" * 64
PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
TICK_S = 0.25


class BinanceServer:
    """A local Binance, as an async context manager.

    Args:
        symbols: Spot pairs.
        futures_symbols: USD-M perpetuals.
        prices: First price of each pair, by symbol.
        balances: What the first account owns.
        futures_balance: Its margin in USDT.
        clock: The exchange's time; the machine's by default.
        liquidity: How the house quotes.
        limits: Limits of spot requests.
        futures_limits: Limits of futures requests.
        faults: What goes wrong.
        seed: Seed of faults with a chance.
        latency_s: Time each answer takes.
        port: Port to listen on, 0 for a free one.
        futures_port: A second port, where WebSocket paths without a prefix are those of futures; 0 for none.
    """

    def __init__(
        self,
        *,
        symbols: Iterable[SymbolRules] = DEFAULT_SPOT,
        futures_symbols: Iterable[SymbolRules] = DEFAULT_FUTURES,
        prices: dict[str, Any] | None = None,
        balances: dict[str, Any] | None = None,
        futures_balance: Any = 0,
        clock: Clock | None = None,
        liquidity: Liquidity | None = None,
        limits: Limits | None = None,
        futures_limits: Limits | None = None,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        latency_s: float = 0.0,
        port: int = 0,
        futures_port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.clock = clock or SystemClock()
        self.ledger = Ledger()
        self.faults = FaultPlan(faults, seed)
        self.latency_s = latency_s
        self.host, self.port = host, port
        self.spot = SpotExchange(self.clock, self.ledger, symbols, liquidity)
        self.futures = FuturesExchange(self.clock, self.ledger, futures_symbols, liquidity)
        self.hub = Hub(self.clock, self.faults)
        for engine in (self.spot, self.futures):
            engine.watchers.append(self.hub)
        by_root = {"api": limits or Limits(), "sapi": Limits(12_000), "fapi": futures_limits or Limits(2400, 300)}
        self.gateway = Gateway(self.clock, self.ledger, by_root)
        self.listen_keys = {kind: ListenKeys(self.hub, self.clock, kind) for kind in ("spot", "futures")}
        self._fill_table(by_root)
        self.hub.expire = self.expire_listen_key
        self.sockets = Sockets(self.hub, self.gateway, self.faults, self.listen_keys)
        self.sockets.futures_port = self.futures_port = futures_port
        self.maintenance_until_ms = 0
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._open_market({**DEFAULT_PRICES, **(prices or {})})
        self.account = self.add_account("owner", KEY, SECRET, {"USDT": 10_000} if balances is None else balances)
        if futures_balance:
            self.futures.deposit(self.account, futures_balance)

    def _fill_table(self, limits: dict[str, Limits]) -> None:
        spot = SpotApi(self.spot, limits["api"].published())
        table = self.gateway.table
        table |= spot.endpoints()
        table |= WalletApi(spot, self.futures, limits["api"]).endpoints()
        table |= FuturesApi(self.futures, limits["fapi"].published()).endpoints()
        table |= self.listen_keys["spot"].endpoints("/api/v3/userDataStream")
        table |= self.listen_keys["futures"].endpoints("/fapi/v1/listenKey")

    def _open_market(self, prices: dict[str, Any]) -> None:
        for engine in (self.spot, self.futures):
            for symbol in engine.rules:
                if symbol in prices:
                    engine.move(symbol, prices[symbol])

    # For tests.

    @property
    def rest_url(self) -> str:
        """Return the address of the REST interface, without a path."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Return the address of the streams, without a path."""
        return f"ws://{self.host}:{self.port}"

    @property
    def requests(self) -> list[Call]:
        """Return every request received, oldest first."""
        return list(self.gateway.calls)

    def add_account(self, name: str, key: str, secret: str, balances: dict[str, Any], **rights: Any) -> Account:
        """Open an account with an API key and what it owns."""
        account = self.ledger.add(Account(name, key, secret, **rights))
        for asset, amount in balances.items():
            self.ledger.deposit(account, asset, Decimal(str(amount)))
        return account

    def move(self, symbol: str, price: Any, volume: Any = None) -> None:
        """Take the markets of a symbol, spot and futures, to a price."""
        for engine in (self.spot, self.futures):
            if symbol in engine.rules:
                engine.move(symbol, price, volume)

    def advance(self, seconds: float) -> None:
        """Move a simulated clock, and do what falls due."""
        if not isinstance(self.clock, SimulatedClock):
            raise TypeError("only a simulated clock can be moved")
        self.clock.advance(seconds)
        self.tick()

    def requests_for(self, client_id: str) -> list[Call]:
        """Return the requests that name a client order id."""
        return [call for call in self.requests if client_id in call.client_ids]

    def posts_by_client_id(self) -> Counter[str]:
        """Count how often each client order id was sent in a new order."""
        return Counter(ids for call in self.requests if call.method == "POST" for ids in call.client_ids)

    def orders_by_client_id(self) -> Counter[str]:
        """Count the orders that the exchange accepted under each client order id."""
        orders = (*self.spot.orders.values(), *self.futures.orders.values())
        found = Counter(order.client_id for order in orders if not order.account.is_house)
        return found + Counter(algo.client_id for algo in self.futures.algos.values() if algo.actual is None)

    def expire_listen_key(self, kind: str = "spot", account: Account | None = None) -> None:
        """Let an account's listen keys and subscriptions end now."""
        owner = account or self.account
        keys = self.listen_keys[kind]
        for key, (of_kind, who, _) in tuple(self.hub.listen_keys.items()):
            if of_kind == kind and who is owner:
                keys.drop(key)
        self.sockets.end_subscriptions(kind, owner)

    def drop_streams(self) -> None:
        """Break every WebSocket."""
        for connection in tuple(self.hub.connections):
            connection.drop()

    def silence_streams(self) -> None:
        """Keep every WebSocket open and send nothing more on it."""
        for connection in self.hub.connections:
            connection.is_silent = True

    # Life.

    async def start(self) -> None:
        """Listen; the port stays the same after the first start."""
        self._closing.clear()
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        await site.start()
        if self.futures_port:
            await web.TCPSite(self._runner, self.host, self.futures_port, reuse_address=True).start()
        if not self.port:
            self.port = self._runner.addresses[0][1]
        if not isinstance(self.clock, SimulatedClock):
            self._ticker = asyncio.create_task(self._tick_on())

    async def kill(self) -> None:
        """Break every connection and close the port; the exchange keeps its state."""
        self._closing.set()
        self.drop_streams()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.kill()

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Do what the passing of time asks for: close bars, end listen keys and old connections."""
        self.spot.tick()
        self.futures.tick()
        for keys in self.listen_keys.values():
            keys.expire_old()
        self.sockets.tick()

    # Requests.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.sockets.serve(request)
        body = await request.text()
        query = request.rel_url.raw_query_string
        call = Call(
            request.method,
            request.path,
            dict(parse_qsl(query, keep_blank_values=True)) | dict(parse_qsl(body, keep_blank_values=True)),
            api_key=request.headers.get("X-MBX-APIKEY", ""),
            ip=request.remote or "",
            at_ms=self.clock.now_ms(),
            signed_text=signed_text(query, body),
        )
        self.gateway.calls.append(call)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if self.clock.now_ms() < self.maintenance_until_ms:
            return self._page(503)
        effect = self.faults.for_call(call)
        return self._answer(call) if effect is None else await self._go_wrong(request, call, effect)

    def _answer(self, call: Call) -> web.Response:
        status, body = self.gateway.answer(call)
        return web.json_response(body, status=status, headers=call.headers)

    def _page(self, status: int) -> web.Response:
        reasons = {502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable", 504: "504 Gateway Time-out"}
        text = PAGE.format(reasons.get(status, str(status)))
        return web.Response(status=status, text=text, content_type="text/html")

    async def _go_wrong(self, request: web.Request, call: Call, effect: Any) -> web.StreamResponse:
        if isinstance(effect, Do | FillFirst | Maintenance | Slow):
            return await self._disturb(request, call, effect)
        if isinstance(effect, Truncate | Empty) or effect.accepted:
            self.gateway.answer(call)
        if isinstance(effect, Hang):
            await self._wait(effect.seconds)
            return self._abort(request)
        if isinstance(effect, Reset):
            return self._abort(request)
        if isinstance(effect, Truncate):
            return await self._truncate(request, call, effect)
        if isinstance(effect, Empty):
            return web.Response(status=200)
        if isinstance(effect, Html):
            return self._page(effect.status)
        assert isinstance(effect, Refuse)
        error = effect.error
        headers = {"Retry-After": "1"} if error.status in (418, 429) else {}
        return web.json_response(error.body(), status=error.status, headers=headers)

    async def _disturb(
        self, request: web.Request, call: Call, effect: Do | FillFirst | Maintenance | Slow
    ) -> web.Response:
        """Do what happens before the request and let it go on, unless the server is killed meanwhile."""
        if isinstance(effect, Maintenance):
            self.maintenance_until_ms = self.clock.now_ms() + round(effect.seconds * 1000)
            return self._page(503)
        if isinstance(effect, Do):
            effect.action(call)
        if isinstance(effect, FillFirst):
            self._fill_first(call, effect)
        if isinstance(effect, Slow) and await self._wait(effect.before_s):
            return self._abort(request)
        response = self._answer(call)
        if isinstance(effect, Slow):
            await self._wait(effect.after_s)
        return response

    def _fill_first(self, call: Call, effect: FillFirst) -> None:
        names = {call.text("origClientOrderId"), call.text("orderId")} - {""}
        engine = self.futures if call.path.startswith("/fapi") else self.spot
        for order in tuple(engine.orders.values()):
            if order.is_open and not order.is_stop and {order.client_id, str(order.order_id)} & names:
                engine.fill(order, effect.share)

    async def _wait(self, seconds: float) -> bool:
        """Wait, and tell whether the server was killed meanwhile."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _abort(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _truncate(self, request: web.Request, call: Call, effect: Truncate) -> web.StreamResponse:
        whole = json.dumps(call.answer).encode()
        half = whole[: len(whole) // 2]
        announced = whole if effect.announces_whole else half
        response = web.StreamResponse(status=200, headers={"Content-Type": "application/json"})
        response.content_length = len(announced)
        await response.prepare(request)
        await response.write(half)
        if effect.announces_whole and request.transport is not None:
            request.transport.close()
        return response
