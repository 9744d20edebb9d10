"""A real server on a real port, and clients that speak the stream's language."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from engine.api import Authenticate, Broadcaster, StreamSettings, create_api
from tests.engine.api.fakes import FakeMarket, FakeShelf, FakeSignals

PATIENCE_S = 30
SMALL_BUFFER = 4096
"""Bytes of a socket's buffer, so that a client that does not read is noticed after some frames, not megabytes."""
Frame = dict[str, Any]


@dataclass
class Service:
    """A service that listens."""

    market: FakeMarket
    signals: FakeSignals
    broadcaster: Broadcaster
    running: asyncio.Task[None]
    server: uvicorn.Server
    serving: asyncio.Task[None]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/stream"

    async def stop_stream(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running

    async def stop_server(self) -> None:
        self.server.should_exit = True
        await asyncio.wait_for(self.serving, PATIENCE_S)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, and not for ever."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


def fast_settings(**changes: Any) -> StreamSettings:
    """Return settings under which nothing takes long."""
    known: dict[str, Any] = {"bar_timeframes": ("1m", "1h"), "poll_s": 0.01, "linger_s": 5.0}
    return StreamSettings(**(known | changes))


@asynccontextmanager
async def serve(
    settings: StreamSettings | None = None,
    *,
    authenticate: Authenticate | None = None,
    market: FakeMarket | None = None,
) -> AsyncIterator[Service]:
    """Serve until the block ends; the stream has begun when it starts."""
    market = market or FakeMarket()
    signals = FakeSignals(market)
    broadcaster = Broadcaster(market, signals, settings or fast_settings())
    api = create_api(broadcaster, FakeShelf(), authenticate=authenticate)
    # The protocol is named, because asyncio turns off Nagle's delay on such sockets only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(api, lifespan="off", log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    running = asyncio.create_task(broadcaster.run())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    service = Service(market, signals, broadcaster, running, server, serving, listener.getsockname()[1])
    try:
        await until(lambda: server.started and broadcaster.hub.is_open)
        yield service
    finally:
        signals.gate.set()
        await service.stop_stream()
        await service.stop_server()
        listener.close()


class Client:
    """One end of a stream."""

    def __init__(self, connection: ClientConnection, welcome: Frame) -> None:
        self.connection = connection
        self.welcome = welcome

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            frame: Frame = json.loads(await self.connection.recv(), parse_constant=_refuse_constant)
        return frame

    async def ask(self, **message: Any) -> Frame:
        await self.say(**message)
        return await self.hear()

    async def hear_until(self, kind: str) -> list[Frame]:
        """Return the frames up to one of a kind."""
        frames = [await self.hear()]
        while frames[-1]["type"] != kind:
            frames.append(await self.hear())
        return frames

    async def closed(self) -> tuple[int, str]:
        """Return the code and reason that the connection is closed with, reading what comes before."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        return self.connection.close_code or 0, self.connection.close_reason or ""


@asynccontextmanager
async def listen(service: Service, **options: Any) -> AsyncIterator[Client]:
    """Connect a client and take its welcome."""
    async with connect(service.stream_url, proxy=None, **options) as connection:
        client = Client(connection, {})
        client.welcome = await client.hear()
        assert client.welcome["type"] == "welcome"
        yield client


@asynccontextmanager
async def listen_without_reading(service: Service) -> AsyncIterator[Client]:
    """Connect a client with small buffers; it reads one frame at a time, and only when it is asked."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", service.port))
    async with listen(service, sock=sock, max_queue=1, compression=None, close_timeout=0.5) as client:
        yield client


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")
