"""The service on the real copilot: graph, tools, tickets, desk, agents' tools and proposals on one SQLite file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import copilot.rest.tables
import tools.proposal_tables  # noqa: F401  # both stand on the shared metadata once they are imported
from copilot.events import Event, TicketClosed, TicketOpened, TurnEnded
from copilot.rest import (
    BacktestJobs,
    RestSettings,
    Scope,
    TokenStore,
    build_rest,
    database_probe,
    market_probe,
)
from copilot.rest.core import AnyTicket
from copilot.service import Copilot
from tests.copilot.talk import build_copilot
from tests.tools.agents.world import World as AgentWorld
from tests.tools.world import OWNER, World, open_fast
from tools.agent_results import FIRST_PROPOSAL
from tools.registry import Tool, Toolbox

ALL = tuple(Scope)
FAST = RestSettings(heartbeat_s=0.05, notice_poll_s=0.02, stall_s=0.5, body_wait_s=0.5, requests=100_000)


class WholeCore:
    """The copilot with proposals under the same calls, as the product's own service has them."""

    def __init__(self, copilot: Copilot, agents: AgentWorld) -> None:
        self._copilot = copilot
        self._proposals = agents.proposals
        self.send = copilot.send
        self.stop_everything = copilot.stop_everything
        self.language = copilot.language

    def open_tickets(self, owner: str) -> tuple[AnyTicket, ...]:
        return (*self._copilot.open_tickets(owner), *self._proposals.open_for(owner))

    def ticket(self, owner: str, ticket_id: int) -> AnyTicket | None:
        if ticket_id > FIRST_PROPOSAL:
            return self._proposals.view(ticket_id, owner)
        return self._copilot.ticket(owner, ticket_id)

    async def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Any, surface: str
    ) -> AsyncIterator[Event]:
        if ticket_id <= FIRST_PROPOSAL:
            async for event in self._copilot.decide(owner, ticket_id, nonce, decision, surface):
                yield event
            return
        act = self._proposals.approve if decision == "approve" else self._proposals.reject
        decided = await act(ticket_id, nonce, owner, surface)
        if decided.outcome in ("approved", "rejected", "already"):
            yield TicketClosed(await self._proposals.execute(ticket_id))  # type: ignore[arg-type]  # as the product will
        elif decided.ticket is not None:
            yield TicketOpened(decided.ticket)  # type: ignore[arg-type]
        yield TurnEnded(decided.outcome, "en", "offline")

    async def edit(
        self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str
    ) -> AsyncIterator[Event]:
        if ticket_id <= FIRST_PROPOSAL:
            async for event in self._copilot.edit(owner, ticket_id, nonce, changes, surface):
                yield event
            return
        edited = await self._proposals.edit(ticket_id, nonce, owner, changes)
        yield TicketOpened(edited)  # type: ignore[arg-type]
        yield TurnEnded("edited", "en", "offline")


@dataclass
class Place:
    """The service with everything behind it."""

    world: World
    agents: AgentWorld
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
    world: World, agents: AgentWorld, copilot: Any, tokens: TokenStore, jobs: BacktestJobs, settings: RestSettings
) -> FastAPI:
    return build_rest(
        copilot,
        tokens,
        tools=whole_toolbox(world, agents),
        alerts=world.alerts,
        notices=world.notices,
        jobs=jobs,
        now=world.clock.now,
        probes=(database_probe(world.database), market_probe(world.market)),
        gauges={"open_tickets": lambda: float(len(world.tickets.open_for(OWNER)))},
        settings=settings,
    )


def whole_toolbox(world: World, agents: AgentWorld) -> Toolbox:
    """Return the product's tools with those of the agents."""
    kept = [tool for tool in world.toolbox if tool.name not in ("agent_status", "control_agent", "configure_agent")]
    return Toolbox(
        [
            *kept,
            Tool("agent_status", "read", agents.tools.status),
            Tool("control_agent", "propose", agents.tools.control),
            Tool("configure_agent", "propose", agents.tools.configure),
        ]
    )


@asynccontextmanager
async def place_at(path: Path, settings: RestSettings = FAST, **jobs: Any) -> AsyncIterator[Place]:
    """Open a place on a file."""
    database = open_fast(path / "copilot.db")
    world = World(database)
    agents = AgentWorld(database)
    agents.present = agents.fleet.present = world.clock.now()
    await world.desk.start()
    memory = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None))
    copilot = build_copilot(world, memory)
    tokens = TokenStore(database, world.clock.now)
    work = BacktestJobs(database, jobs.get("tools", world.toolbox), world.clock.now)
    app = make_app(world, agents, WholeCore(copilot, agents), tokens, work, settings)
    place = Place(world, agents, copilot, tokens, work, app)
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
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
