"""Binance's public streams, through ccxt's connections: minutes and best prices of many symbols.

Symbols are spread over a few connections. Each is held open for good: broken, it is opened again after a growing
pause; silent though there is news, it is broken by its owner. What a stream leaves out is not its concern: the owner
of the history sees holes and fills them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from engine.data.live.clock import elapsed_s
from engine.data.live.networks import SPOT, Network

SYMBOLS_PER_LINE = 100
"""Two streams each; Binance allows 1,024 on a connection, but a break should hurt few."""
_NAMES_PER_MESSAGE = 100
_MESSAGE_PAUSE_S = 0.25
"""Binance takes five messages a second on a connection."""
_CONNECT_S = 10.0
_CLOSE_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
_STEADY_S = 30.0
"""A connection that held this long was a good one: the next pause is short again."""
_log = logging.getLogger(__name__)

OnKline = Callable[[str, dict[str, Any]], None]
"""Told the exchange's symbol and the bar of a kline event."""
OnPrices = Callable[[str, int, str, str], None]
"""Told the exchange's symbol, the number of the change, best bid and best ask."""


@dataclass(slots=True)
class Line:
    """One connection.

    Attributes:
        symbol_ids: The exchange's names of what it carries.
        is_live: Whether it is open and subscribed.
        heard_at: When the last message came, by `elapsed_s`.
        changed_at: When it was opened or broken last.
        give_up: Set to have it broken and opened again.
    """

    symbol_ids: tuple[str, ...]
    url: str = ""
    is_live: bool = False
    heard_at: float = 0.0
    changed_at: float = field(default_factory=elapsed_s)
    breaks: int = 0
    give_up: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Holds the connections.

    Args:
        client: ccxt's client; its `on_stream` is taken.
        ws_url: Scheme, host and port to use instead of Binance's own.
        on_kline: Told every kline event.
        on_prices: Told every change of best prices.
        network: Whose they are.
        first_pause_s: Before the first attempt to open a broken connection again; doubled with each.
        sleep: Waits some seconds.
    """

    def __init__(
        self,
        client: Any,
        ws_url: str | None,
        on_kline: OnKline,
        on_prices: OnPrices,
        *,
        network: Network = SPOT,
        first_pause_s: float = _FIRST_PAUSE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: random.Random | None = None,
    ) -> None:
        self._client, self._on_kline, self._on_prices = client, on_kline, on_prices
        self._base = f"{ws_url.rstrip('/')}/ws" if ws_url is not None else network.stream_url(client)
        self._first_pause_s, self._sleep, self._jitter = first_pause_s, sleep, jitter or random.Random()
        self._numbers = count(1)
        self._by_url: dict[str, Line] = {}
        self._lines: dict[str, Line] = {}
        self._tasks: list[asyncio.Task[None]] = []
        client.on_stream = self._hear

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return the connections."""
        return tuple({id(line): line for line in self._lines.values()}.values())

    def line_of(self, symbol_id: str) -> Line | None:
        """Return the connection that carries a symbol."""
        return self._lines.get(symbol_id)

    def carry(self, symbol_ids: Sequence[str]) -> None:
        """Open connections for some symbols and hold them until `close`."""
        for first in range(0, len(symbol_ids), SYMBOLS_PER_LINE):
            line = Line(tuple(symbol_ids[first : first + SYMBOLS_PER_LINE]))
            for symbol_id in line.symbol_ids:
                self._lines[symbol_id] = line
            self._tasks.append(asyncio.create_task(self._keep(line)))

    async def close(self) -> None:
        """Close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep(self, line: Line) -> None:
        pause_s = self._first_pause_s
        while True:
            try:
                await self._hold(line)
            except Exception as error:  # whatever breaks a connection, it is opened again
                _log.warning("stream of %d symbols broke (%s)", len(line.symbol_ids), str(error)[:200])
            now = elapsed_s()
            pause_s = self._first_pause_s if line.is_live and now - line.changed_at > _STEADY_S else pause_s
            line.is_live, line.changed_at = False, now
            line.breaks += 1
            await self._sleep(pause_s * (0.5 + self._jitter.random()))
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _hold(self, line: Line) -> None:
        """Open a connection, subscribe, and wait until it breaks."""
        # A path of its own makes it a connection of its own to ccxt.
        line.url = f"{self._base}/{next(self._numbers)}"
        self._by_url[line.url] = line
        connection = self._client.client(line.url)
        broken = self._client.watch(line.url, "line", None, "line")
        line.give_up.clear()
        given_up = asyncio.ensure_future(line.give_up.wait())
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.wait({connection.connected, broken}, return_when=asyncio.FIRST_COMPLETED)
            if not broken.done():
                await self._subscribe(connection, line)
                line.is_live, line.heard_at, line.changed_at = True, elapsed_s(), elapsed_s()
            await asyncio.wait({broken, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if broken.done() and not broken.cancelled():
                await broken
        finally:
            given_up.cancel()
            self._by_url.pop(line.url, None)
            self._client.clients.pop(line.url, None)
            if not broken.done():
                broken.cancel()
            # A dead peer would be waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await connection.close(1000)

    async def _subscribe(self, connection: Any, line: Line) -> None:
        names = [f"{one.lower()}@{stream}" for one in line.symbol_ids for stream in ("kline_1m", "bookTicker")]
        for number, first in enumerate(range(0, len(names), _NAMES_PER_MESSAGE), start=1):
            if first:
                await self._sleep(_MESSAGE_PAUSE_S)
            await connection.send(
                {"method": "SUBSCRIBE", "params": names[first : first + _NAMES_PER_MESSAGE], "id": number}
            )

    def _hear(self, url: str, message: Any) -> None:
        """Take one message; what cannot be read is left out, and found missing later."""
        line = self._by_url.get(url)
        if line is None or not isinstance(message, dict):
            return
        line.heard_at = elapsed_s()
        body = message.get("data", message)
        try:
            if body.get("e") == "kline":
                self._on_kline(body["s"], body["k"])
            elif "b" in body and "a" in body and "u" in body:
                self._on_prices(body["s"], body["u"], body["b"], body["a"])
            elif body.get("error"):
                _log.warning("the stream refuses: %s", str(body["error"])[:200])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _log.warning("an event that cannot be read (%s)", type(error).__name__)
