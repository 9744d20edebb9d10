"""A stream server in a process of its own that sends best prices of many symbols as fast as they are taken."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue

from aiohttp import WSMsgType, web


def symbol_ids(count: int) -> list[str]:
    return [f"C{number:03d}USDT" for number in range(count)]


@contextmanager
def blaster(messages: int) -> Iterator[str]:
    """Run one that sends so many messages on each connection once it is subscribed; yield its address."""
    context = multiprocessing.get_context("spawn")
    port: Queue[int] = context.Queue()
    process = context.Process(target=_serve, args=(messages, port), daemon=True)
    process.start()
    try:
        yield f"ws://127.0.0.1:{port.get(timeout=60)}"
    finally:
        process.terminate()
        process.join()
        port.close()


def _serve(messages: int, port: Queue[int]) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        names: list[str] = []
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            names += [name for name in json.loads(message.data)["params"] if name.endswith("@bookTicker")]
            if len(names) >= 100:
                break
        ids = [name.partition("@")[0].upper() for name in names]
        for number in range(messages):
            price = f"{100 + number % 1000 / 100:.2f}"
            body = {"u": number + 1, "s": ids[number % len(ids)], "b": price, "B": "1.5", "a": "111.00", "A": "2.5"}
            await socket.send_str(json.dumps(body))
        await socket.receive()
        return socket

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/ws/{tail:.*}", stream)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())
