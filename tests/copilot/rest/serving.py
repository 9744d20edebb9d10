"""The service on a real port, in a thread with a loop of its own, for clients that are not ours."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from copilot.rest.settings import RestSettings
from engine.domain.signals import Direction
from tests.copilot.rest.place import FAST, Place, fill_history, place_at


@dataclass
class Service:
    """A service that listens."""

    place: Place
    port: int
    secret: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serve(path: Path, settings: RestSettings = FAST) -> Iterator[Service]:
    """Serve a place until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    ready, found = threading.Event(), list[Service]()
    stop: list[uvicorn.Server] = []

    async def run() -> None:
        async with place_at(path, settings) as place:
            fill_history(place.world)
            place.world.signals.directions["BTC/USDT"] = Direction.LONG
            await place.world.propose()
            server = uvicorn.Server(uvicorn.Config(place.app, lifespan="off", log_level="error"))
            stop.append(server)
            found.append(Service(place, listener.getsockname()[1], place.secret()))
            ready.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        assert ready.wait(120), "the service did not start"
        yield found[0]
    finally:
        for server in stop:
            server.should_exit = True
        thread.join(60)
        listener.close()
