"""The page on a real port, by itself or under a path, and clients that speak its stream's language."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from engine.dashboard import DashboardSettings, build_dashboard, dashboard_routes
from prompts import LANGUAGES, load_words
from tests.engine.dashboard.fakes import FakeView, HandClock, ManySymbols, WallClock

PATIENCE_S = 10
SMALL_BUFFER = 4096
"""Bytes of a socket's buffer, so that a client that does not read is noticed after some frames, not megabytes."""
PATH = "/dashboard"
OWNER = "ana"
WORDS = {language: load_words(language, "dashboard") for language in LANGUAGES}
Frame = dict[str, Any]


def build(view: FakeView, market: ManySymbols, settings: DashboardSettings | None = None, **options: Any) -> Starlette:
    """Return an app that has the page under its path."""
    app = build_dashboard(
        view,
        market,
        WORDS,
        owner=OWNER,
        prefer=lambda tag: "es" if tag.startswith("es") else "en",
        settings=settings,
        **options,
    )
    return Starlette(routes=dashboard_routes(app, PATH))


@dataclass
class Service:
    """A page that is served."""

    market: ManySymbols
    view: FakeView
    clock: HandClock
    server: uvicorn.Server
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{PATH}/stream"


def fast_settings(**changes: Any) -> DashboardSettings:
    """Return settings under which nothing takes long."""
    known: dict[str, Any] = {"frame_every_s": 0.01, "quotes_every_s": 0.01, "facts_every_s": 0.02, "chart_bars": 50}
    return DashboardSettings(**(known | changes))


@asynccontextmanager
async def serve(settings: DashboardSettings | None = None, *, symbols: int = 3) -> AsyncIterator[Service]:
    """Serve until the block ends; the market's clock stands until the test moves it."""
    clock = HandClock()
    market = ManySymbols(clock, symbols)
    view = FakeView(market)
    app = build(view, market, settings or fast_settings())
    # The protocol is named, because asyncio turns off Nagle's delay on such sockets only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.01)
        yield Service(market, view, clock, server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, PATIENCE_S)
        listener.close()


class Client:
    """One end of a stream: it acknowledges what it hears, unless told otherwise, and keeps what the page would know."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.welcome: Frame = {}
        self.known: Frame = {}
        self.sequence = 0

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, *, acks: bool = True) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            frame: Frame = json.loads(await self.connection.recv(), parse_constant=_refuse_constant)
        if frame["type"] in ("snapshot", "changes"):
            self.sequence = frame["sequence"]
            if frame["type"] == "snapshot":
                self.known = {}
            for key, value in frame["set"].items():
                self.known[key] = value
                if value is None:
                    del self.known[key]
            if acks:
                await self.say(type="ack", sequence=frame["sequence"])
        return frame

    async def hear_until(self, *kinds: str, acks: bool = True) -> Frame:
        """Return the first frame of some kinds."""
        while True:
            frame = await self.hear(acks=acks)
            if frame["type"] in kinds:
                return frame

    async def know(self, key: str) -> Any:
        """Return what stands under a key, waiting for it."""
        while key not in self.known:
            await self.hear()
        return self.known[key]

    async def closed(self) -> tuple[int, str]:
        """Return the code and reason that the connection is closed with, reading what comes before."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        return self.connection.close_code or 0, self.connection.close_reason or ""


@asynccontextmanager
async def visit(service: Service, *, start: Frame | None = None, **options: Any) -> AsyncIterator[Client]:
    """Connect a client and begin; its welcome is taken."""
    options = {"origin": service.origin, "proxy": None, **options}
    async with connect(service.stream_url, **options) as connection:
        client = Client(connection)
        await client.say(type="start", **(start or {}))
        client.welcome = await client.hear()
        yield client


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def main() -> None:
    """Serve a page to look at, with the present of this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--symbols", type=int, default=50)
    options = parser.parse_args()
    market = ManySymbols(WallClock(), options.symbols)
    market.below.prepare()
    app = build(FakeView(market), market)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}/", flush=True)  # noqa: T201  # whoever started it reads this
    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
