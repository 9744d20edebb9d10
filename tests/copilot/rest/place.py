"""The service on the real copilot: graph, tools, tickets, desk, agents' tools and proposals on one SQLite file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from copilot.brain.offline import OfflineBrain
from copilot.graph import Nodes, build_graph
from copilot.rest.app import build_rest
from copilot.rest.health import database_probe, market_probe
from copilot.rest.jobs import BacktestJobs
from copilot.rest.settings import RestSettings
from copilot.rest.tokens import Scope, TokenStore
from copilot.service import Copilot
from tests.copilot.talk import ScriptedModel
from tests.tools.world import OWNER, World, open_fast

ALL = tuple(Scope)
FAST = RestSettings(heartbeat_s=0.05, notice_poll_s=0.02, stall_s=0.5, body_wait_s=0.5, requests=100_000)


@dataclass
class Place:
    """The service with everything behind it."""

    world: World
    copilot: Copilot
    tokens: TokenStore
    jobs: BacktestJobs
    app: FastAPI
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def secret(self, *scopes: Scope, owner: str = OWNER) -> str:
        return self.tokens.create("test", scopes or ALL, owner)[0]

    def client(self, *scopes: Scope, owner: str = OWNER, secret: str | None = None) -> httpx.AsyncClient:
        """Return a client with a fresh token of these scopes; all of them unless named."""
        told = self.secret(*scopes, owner=owner) if secret is None else secret
        headers = {"authorization": f"Bearer {told}"} if told else {}
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://here", headers=headers)
        self.clients.append(client)
        return client


def make_app(
    world: World, copilot: Copilot, tokens: TokenStore, jobs: BacktestJobs, settings: RestSettings = FAST
) -> FastAPI:
    """Return the service around a copilot."""
    return build_rest(
        copilot,
        tokens,
        tools=world.toolbox,
        alerts=world.alerts,
        notices=world.notices,
        jobs=jobs,
        now=world.clock.now,
        probes=(database_probe(world.database), market_probe(world.market)),
        gauges={"open_tickets": lambda: float(len(world.tickets.open_for(OWNER)))},
        settings=settings,
        lift=lambda owner: world.desk.lift(None, owner),
    )


def make_copilot(world: World) -> Copilot:
    """Return the service of the product around the scripted model, proposals included."""
    memory = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))
    graph = build_graph(Nodes(OfflineBrain(ScriptedModel(), "scripted"), world.toolbox, world.decisions), memory)
    return Copilot(
        graph, world.decisions, world.profiles, world.notices, world.market, fallback_language="en", halt=world.halt
    )


@asynccontextmanager
async def place_at(path: Path, settings: RestSettings = FAST, **jobs: Any) -> AsyncIterator[Place]:
    """Open a place on a file."""
    database = open_fast(path / "copilot.db")
    world = World(database)
    await world.desk.start()
    copilot = make_copilot(world)
    tokens = TokenStore(database, world.clock.now)
    work = BacktestJobs(database, jobs.get("tools", world.toolbox), world.clock.now)
    app = make_app(world, copilot, tokens, work, settings)
    place = Place(world, copilot, tokens, work, app)
    try:
        yield place
    finally:
        await work.close()
        for client in place.clients:
            await client.aclose()
        database.dispose()


@dataclass(frozen=True)
class Heard:
    """One server-sent event."""

    id: str
    name: str
    data: dict[str, Any]


def parse_events(text: str) -> list[Heard]:
    """Return the events of a stream, comments left out."""
    heard = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            heard.append(Heard(fields["id"], fields["event"], json.loads(fields["data"])))
    return heard


async def until(is_so: Any) -> None:
    """Wait until something is so, and not for ever."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


def fill_history(world: World, minutes: int = 90) -> None:
    """Close some minutes of BTC that go up and down around 100."""
    for n in range(minutes):
        low = 99 + (n * 7 % 11) / 10
        world.market.minute(str(low + 0.5), str(low + 1.2), str(low), str(low + 0.6), "10")
