"""The WebSocket endpoints: market streams, user streams by listen key, and the WebSocket API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.binance import security
from tests.binance.accounts import Account
from tests.binance.calls import Call
from tests.binance.errors import ApiError
from tests.binance.faults import FaultPlan, Hang, Refuse, Reset, Slow
from tests.binance.gateway import Gateway
from tests.binance.streams import Connection, Hub
from tests.binance.wallet_api import ListenKeys

DAY_MS = 86_400_000
PING_S = 20.0
METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "klines": ("GET", "/api/v3/klines"),
    "avgPrice": ("GET", "/api/v3/avgPrice"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.place.oto": ("POST", "/api/v3/orderList/oto"),
    "orderList.place.otoco": ("POST", "/api/v3/orderList/otoco"),
    "orderList.status": ("GET", "/api/v3/orderList"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "openOrderLists.status": ("GET", "/api/v3/openOrderList"),
    "account.status": ("GET", "/api/v3/account"),
    "account.commission": ("GET", "/api/v3/account/commission"),
    "account.rateLimits.orders": ("GET", "/api/v3/rateLimit/order"),
    "userDataStream.start": ("POST", "/api/v3/userDataStream"),
    "userDataStream.ping": ("PUT", "/api/v3/userDataStream"),
    "userDataStream.stop": ("DELETE", "/api/v3/userDataStream"),
}
FUTURES_METHODS = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.status": ("GET", "/fapi/v2/account"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "ticker.price": ("GET", "/fapi/v1/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "depth": ("GET", "/fapi/v1/depth"),
}


class Sockets:
    """Serves every WebSocket of the exchange."""

    def __init__(self, hub: Hub, gateway: Gateway, plan: FaultPlan, listen_keys: dict[str, ListenKeys]) -> None:
        self.hub = hub
        self.gateway = gateway
        self.plan = plan
        self.listen_keys = listen_keys
        self.futures_port = 0
        self.life_ms = DAY_MS
        self.ping_s = PING_S
        self.accepts = True

    def _kind(self, request: web.Request) -> str:
        name = request.transport.get_extra_info("sockname") if request.transport else None
        on_port = name is not None and self.futures_port != 0 and name[1] == self.futures_port
        return "futures" if on_port or request.path.startswith(("/futures", "/ws-fapi")) else "spot"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until it ends."""
        if not self.accepts:
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=True, heartbeat=self.ping_s)
        await socket.prepare(request)
        path = request.path.rstrip("/")
        connection = Connection(socket, request, self._kind(request), path.endswith("/stream"))
        connection.opened_ms = self.hub.clock.now_ms()
        is_api = "/ws-api/" in path or "/ws-fapi/" in path
        self.hub.connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            if not is_api:
                self._subscribe_from(connection, request, path)
            await self._read(connection, is_api)
        finally:
            self.hub.connections.discard(connection)
            connection.close()
            await writer
        return socket

    def _subscribe_from(self, connection: Connection, request: web.Request, path: str) -> None:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        if "/ws/" in path:
            names += [name for name in path.split("/ws/", 1)[1].split("/") if name]
        if request.query.get("listenKey"):
            names.append(request.query["listenKey"])
        self._subscribe(connection, names)

    def _subscribe(self, connection: Connection, names: list[str]) -> None:
        for name in names:
            known = self.hub.listen_keys.get(name)
            if known and known[0] == connection.kind:
                connection.listen_keys[name] = known[1]
            else:
                connection.streams.add(name)

    async def _read(self, connection: Connection, is_api: bool) -> None:
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                body = json.loads(message.data)
                if not isinstance(body, dict):
                    raise ValueError("not an object")
            except ValueError:
                connection.send({"error": {"code": 2, "msg": "Invalid request: invalid JSON"}, "id": None})
                continue
            if is_api:
                await self._api(connection, body)
            else:
                self._control(connection, body)

    def _control(self, connection: Connection, body: dict[str, Any]) -> None:
        """Change or tell the subscriptions of a market stream."""
        method, names, number = body.get("method"), body.get("params") or [], body.get("id")
        result: Any = None
        if method == "SUBSCRIBE" and isinstance(names, list):
            self._subscribe(connection, [str(name) for name in names])
        elif method == "UNSUBSCRIBE" and isinstance(names, list):
            connection.streams -= {str(name) for name in names}
            for name in names:
                connection.listen_keys.pop(str(name), None)
        elif method == "LIST_SUBSCRIPTIONS":
            result = sorted(connection.streams)
        elif method in ("SET_PROPERTY", "GET_PROPERTY"):
            if method == "SET_PROPERTY":
                connection.is_combined = bool(names[1])
            else:
                result = connection.is_combined
        else:
            connection.send({"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, "id": number})
            return
        connection.send({"result": result, "id": number})

    # The WebSocket API.

    async def _api(self, connection: Connection, body: dict[str, Any]) -> None:
        number, name = body.get("id"), str(body.get("method", ""))
        params = {key: _text(value) for key, value in (body.get("params") or {}).items()}
        table = METHODS if connection.kind == "spot" else FUTURES_METHODS
        method, path = table.get(name, ("WS", f"/ws-api/v3/{name}"))
        call = Call(method, path, params, params.get("apiKey", ""), connection.request.remote or "", way="ws")
        call.at_ms = self.hub.clock.now_ms()
        signed = sorted((key, value) for key, value in params.items() if key != "signature")
        call.signed_text = "&".join(f"{key}={value}" for key, value in signed)
        if not call.api_key and connection.session is not None:
            call.account, call.way = connection.session, "session"
        self.gateway.calls.append(call)
        effect = self.plan.for_call(call)
        if effect is not None and await self._go_wrong(connection, call, number, effect):
            return
        self._reply(connection, number, call, *self._answer(connection, name, call))

    async def _go_wrong(self, connection: Connection, call: Call, number: Any, effect: Any) -> bool:
        """Act on a fault, and tell whether the call is over."""
        if isinstance(effect, Slow):
            await asyncio.sleep(effect.before_s + effect.after_s)
            return False
        if getattr(effect, "accepted", False):
            self.gateway.answer(call)
        if isinstance(effect, Refuse):
            self._reply(connection, number, call, effect.error.status, effect.error.body())
        elif isinstance(effect, Reset):
            connection.drop()
        return isinstance(effect, Hang | Reset | Refuse)

    def _answer(self, connection: Connection, name: str, call: Call) -> tuple[int, Any]:
        special = {
            "session.logon": self._logon,
            "session.status": self._session,
            "session.logout": self._logout,
            "userDataStream.subscribe": self._subscribe_user,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe_user,
        }
        if name not in special:
            return self.gateway.answer(call)
        try:
            return 200, special[name](connection, call)
        except ApiError as error:
            return error.status, error.body()

    def _reply(self, connection: Connection, number: Any, call: Call, status: int, body: Any) -> None:
        limits = self.gateway.limits_of(call.path)
        owner = call.account.name if call.account else None
        usage = limits.usage(call.ip, owner, self.hub.clock.now_ms())
        part = {"result": body} if status == 200 else {"error": body}
        answer = {"id": number, "status": status, **part}
        if call.text("returnRateLimits", "true") != "false":
            answer["rateLimits"] = usage
        connection.send(answer)

    def _sign_in(self, call: Call) -> Account:
        account = security.find_account(self.gateway.ledger.accounts.values(), call)
        security.check_window(call, self.hub.clock.now_ms())
        security.check_signature(call, account.secret)
        call.account = account
        return account

    def _logon(self, connection: Connection, call: Call) -> dict[str, Any]:
        connection.session = self._sign_in(call)
        return self._session(connection, call)

    def _session(self, connection: Connection, call: Call) -> dict[str, Any]:
        now = self.hub.clock.now_ms()
        return {
            "apiKey": connection.session.key if connection.session else None,
            "authorizedSince": now if connection.session else None,
            "connectedSince": connection.opened_ms,
            "returnRateLimits": True,
            "serverTime": now,
            "userDataStream": bool(connection.users),
        }

    def _logout(self, connection: Connection, call: Call) -> dict[str, Any]:
        connection.session = None
        return self._session(connection, call)

    def _subscribe_user(self, connection: Connection, call: Call) -> dict[str, Any]:
        if connection.session is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self._add_user(connection, connection.session)

    def _subscribe_signed(self, connection: Connection, call: Call) -> dict[str, Any]:
        return self._add_user(connection, self._sign_in(call))

    def _add_user(self, connection: Connection, account: Account) -> dict[str, Any]:
        if account in connection.users.values():
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number = connection.next_subscription
        connection.next_subscription += 1
        connection.users[number] = account
        return {"subscriptionId": number}

    def _unsubscribe_user(self, connection: Connection, call: Call) -> dict[str, Any]:
        number = call.integer("subscriptionId")
        if number is None:
            connection.users.clear()
        elif connection.users.pop(number, None) is None:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        return {}

    def end_subscriptions(self, kind: str, account: Account) -> None:
        """End an account's subscriptions on WebSocket API connections, and tell them."""
        event = {"e": "eventStreamTerminated", "E": self.hub.clock.now_ms()}
        for connection in self.hub.connections:
            if connection.kind == kind:
                for number in [number for number, owner in connection.users.items() if owner is account]:
                    connection.send({"subscriptionId": number, "event": event})
                    del connection.users[number]

    def tick(self) -> None:
        """Close the connections that have been open for a day, as the exchange does."""
        now = self.hub.clock.now_ms()
        for connection in tuple(self.hub.connections):
            if now - connection.opened_ms >= self.life_ms:
                connection.drop()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
