"""The streams: who listens to what, the payloads of public streams, and the delivery of user events with its faults."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from aiohttp import web

from tests.binance.accounts import Account
from tests.binance.clock import Clock
from tests.binance.engine import Engine
from tests.binance.faults import (
    DropStream,
    Duplicate,
    ExpireKey,
    FaultPlan,
    Late,
    Lose,
    Reorder,
    Silence,
)
from tests.binance.market import Candle, Print, next_open
from tests.binance.public_data import PublicData
from tests.binance.render import levels
from tests.binance.rules import plain

Json = dict[str, Any]
KEPT = 100_000


class Connection:
    """One open WebSocket with its subscriptions and a queue that keeps the order of what is sent."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, kind: str, is_combined: bool) -> None:
        self.socket = socket
        self.request = request
        self.kind = kind
        self.is_combined = is_combined
        self.streams: set[str] = set()
        self.users: dict[int, Account] = {}
        self.listen_keys: dict[str, Account] = {}
        self.session: Account | None = None
        self.is_silent = False
        self.opened_ms = 0
        self.next_subscription = 0
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, payload: Any) -> None:
        """Queue a message, unless the connection is silent."""
        if not self.is_silent:
            self._queue.put_nowait(json.dumps(payload))

    async def write(self) -> None:
        """Send what is queued until the connection ends."""
        while (text := await self._queue.get()) is not None:
            try:
                await self.socket.send_str(text)
            except (ConnectionError, RuntimeError):
                return

    def close(self) -> None:
        """Send what is queued, then stop."""
        self._queue.put_nowait(None)

    def drop(self) -> None:
        """Break the connection without a word."""
        self._queue.put_nowait(None)
        if self.request.transport is not None:
            self.request.transport.abort()


class Hub:
    """All open connections, and the watcher that turns what happens into messages."""

    def __init__(self, clock: Clock, plan: FaultPlan) -> None:
        self.clock = clock
        self.plan = plan
        self.connections: set[Connection] = set()
        self.listen_keys: dict[str, tuple[str, Account, int]] = {}
        self.expire: Callable[[str, Account], None] = lambda kind, account: None
        self.sent: deque[tuple[Account, Json]] = deque(maxlen=KEPT)
        self._reordered: dict[str, list[Json]] = {}
        self._held: list[tuple[Engine, Account, Json]] = []

    # Public streams.

    def publish(self, kind: str, stream: str, payload: Callable[[], Any]) -> None:
        """Send a payload to all who subscribed to a stream; it is built only when somebody did."""
        body: Any = None
        for connection in tuple(self.connections):
            if connection.kind == kind and stream in connection.streams:
                body = payload() if body is None else body
                connection.send({"stream": stream, "data": body} if connection.is_combined else body)

    def on_print(self, engine: Engine, symbol: str, print_: Print) -> None:
        """Send a public trade."""
        now, low = self.clock.now_ms(), symbol.lower()

        def trade(kind: str) -> Json:
            number: Json = {"t": print_.trade_id}
            if kind == "aggTrade":
                number = {"a": print_.trade_id, "f": print_.trade_id, "l": print_.trade_id}
            return {
                "e": kind,
                "E": now,
                "s": symbol,
                **number,
                "p": plain(print_.price),
                "q": plain(print_.quantity),
                "T": print_.time_ms,
                "m": print_.buyer_is_maker,
                "M": True,
            }

        self.publish(engine.kind, f"{low}@trade", lambda: trade("trade"))
        self.publish(engine.kind, f"{low}@aggTrade", lambda: trade("aggTrade"))
        for name, build in (("ticker", day_ticker), ("miniTicker", mini_ticker)):
            self.publish(engine.kind, f"{low}@{name}", partial(build, engine, symbol))
            self.publish(engine.kind, f"!{name}@arr", partial(_alone, build, engine, symbol))

    def on_candle(self, engine: Engine, symbol: str, interval: str, candle: Candle, is_closed: bool) -> None:
        """Send a bar."""
        if not self.connections:
            return
        stream = f"{symbol.lower()}@kline_{interval}"
        now = self.clock.now_ms()
        self.publish(engine.kind, stream, lambda: kline_event(symbol, interval, candle, is_closed, now))

    def on_book(self, engine: Engine, symbol: str, changes: dict[str, list[tuple[Decimal, Decimal]]]) -> None:
        """Send changed levels and the best prices."""
        book, low, now = engine.books[symbol], symbol.lower(), self.clock.now_ms()

        def diff() -> Json:
            body: Json = {"e": "depthUpdate", "E": now, "s": symbol, "U": book.sent_id + 1, "u": book.update_id}
            if engine.kind == "futures":
                body |= {"T": now, "pu": book.sent_id}
            return body | {"b": levels(changes["b"]), "a": levels(changes["a"])}

        def top(length: int) -> Json:
            bids, asks = book.snapshot(length)
            if engine.kind == "futures":
                return diff() | {"b": levels(bids), "a": levels(asks)}
            return {"lastUpdateId": book.update_id, "bids": levels(bids), "asks": levels(asks)}

        for speed in ("", "@100ms", "@0ms", "@250ms", "@500ms"):
            self.publish(engine.kind, f"{low}@depth{speed}", diff)
            for length in (5, 10, 20):
                self.publish(engine.kind, f"{low}@depth{length}{speed}", partial(top, length))
        self.publish(engine.kind, f"{low}@bookTicker", lambda: best_event(engine, symbol, now))

    # User streams.

    def on_user(self, engine: Engine, account: Account, event: Json) -> None:
        """Send an account's event, unless a fault says otherwise."""
        self.sent.append((account, event))
        effect = self.plan.for_event(event)
        if isinstance(effect, Lose):
            return
        if isinstance(effect, Late):
            self._later(engine, account, event, effect.seconds)
            return
        key = f"{engine.kind}:{account.name}"
        if isinstance(effect, Reorder):
            self._reordered.setdefault(key, []).append(event)
            return
        if self._breaks(engine, account, event, effect):
            return
        for _ in range(1 + (effect.copies if isinstance(effect, Duplicate) else 0)):
            self.deliver(engine.kind, account, event)
        for old in self._reordered.pop(key, []):
            self.deliver(engine.kind, account, old)

    def _breaks(self, engine: Engine, account: Account, event: Json, effect: Any) -> bool:
        """Act on a fault of the stream itself, and tell whether the event is gone."""
        if isinstance(effect, DropStream):
            if effect.sends_event:
                self.deliver(engine.kind, account, event)
            for connection in self.of(engine.kind, account):
                asyncio.get_running_loop().call_later(0.01 if effect.sends_event else 0, connection.drop)
            return True
        if isinstance(effect, Silence):
            for connection in self.of(engine.kind, account):
                connection.is_silent = True
            return True
        if isinstance(effect, ExpireKey):
            self.expire(engine.kind, account)
            return True
        return False

    def _later(self, engine: Engine, account: Account, event: Json, seconds: float | None) -> None:
        if seconds is None:
            self._held.append((engine, account, event))
            return
        asyncio.get_running_loop().call_later(seconds, self.deliver, engine.kind, account, event)

    def deliver_held(self) -> None:
        """Send the events that were held back."""
        held, self._held = self._held, []
        for engine, account, event in held:
            self.deliver(engine.kind, account, event)

    def of(self, kind: str, account: Account) -> list[Connection]:
        """Return the connections that carry an account's events."""
        return [
            one
            for one in self.connections
            if one.kind == kind and account in (*one.users.values(), *one.listen_keys.values())
        ]

    def deliver(self, kind: str, account: Account, event: Json) -> None:
        """Put an event on the account's streams."""
        for connection in tuple(self.connections):
            if connection.kind != kind:
                continue
            for number, owner in connection.users.items():
                if owner is account:
                    connection.send({"subscriptionId": number, "event": event})
            for key, owner in connection.listen_keys.items():
                if owner is account:
                    connection.send({"stream": key, "data": event} if connection.is_combined else event)


def _alone(build: Callable[[Engine, str], Json], engine: Engine, symbol: str) -> list[Json]:
    return [build(engine, symbol)]


def kline_event(symbol: str, interval: str, bar: Candle, is_closed: bool, now_ms: int) -> Json:
    """Return a bar as its stream sends it."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": bar.open_ms,
            "T": next_open(interval, bar.open_ms) - 1,
            "s": symbol,
            "i": interval,
            "f": bar.first_id,
            "L": bar.last_id,
            "o": plain(bar.open),
            "c": plain(bar.close),
            "h": plain(bar.high),
            "l": plain(bar.low),
            "v": plain(bar.volume),
            "n": bar.trades,
            "x": is_closed,
            "q": plain(bar.quote_volume),
            "V": plain(bar.taker_volume),
            "Q": plain(bar.taker_quote),
            "B": "0",
        },
    }


def best_event(engine: Engine, symbol: str, now_ms: int) -> Json:
    """Return the best bid and ask as their stream sends them."""
    best = PublicData(engine).best_of(symbol)
    body = {
        "u": engine.books[symbol].update_id,
        "s": symbol,
        "b": best["bidPrice"],
        "B": best["bidQty"],
        "a": best["askPrice"],
        "A": best["askQty"],
    }
    return body | {"e": "bookTicker", "E": now_ms, "T": now_ms} if engine.kind == "futures" else body


def mini_ticker(engine: Engine, symbol: str) -> Json:
    """Return the short figures of the day."""
    day = PublicData(engine).day_of(symbol)
    return {
        "e": "24hrMiniTicker",
        "E": engine.clock.now_ms(),
        "s": symbol,
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


def day_ticker(engine: Engine, symbol: str) -> Json:
    """Return the long figures of the day."""
    day = PublicData(engine).day_of(symbol)
    names = {
        "p": "priceChange",
        "P": "priceChangePercent",
        "w": "weightedAvgPrice",
        "x": "prevClosePrice",
        "Q": "lastQty",
        "b": "bidPrice",
        "B": "bidQty",
        "a": "askPrice",
        "A": "askQty",
        "O": "openTime",
        "C": "closeTime",
        "F": "firstId",
        "L": "lastId",
        "n": "count",
    }
    return mini_ticker(engine, symbol) | {"e": "24hrTicker"} | {short: day[name] for short, name in names.items()}
