"""What the service needs of the rest of the program; nothing to inherit.

The owner is always an argument, taken from the token and never from what a client sends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from copilot.events import Event, Language
from copilot.rest.health import Probe
from copilot.rest.jobs import BacktestJobs
from copilot.rest.metrics import Gauge
from copilot.rest.settings import RestSettings
from copilot.rest.tokens import TokenStore
from tools.alerts import AdjustAlert
from tools.decisions import Asked
from tools.notices import Notice
from tools.registry import ToolContext
from tools.results import AlertView, Result

SURFACE = "rest"
"""The service's name in decisions; with a token's id, in notices."""

AnyTicket = Asked
Lift = Callable[[str], Awaitable[object]]
"""Lets trading go on after a stop, on behalf of an owner."""
Events = AsyncGenerator[Event, None] | AsyncIterator[Event]


class RestCore(Protocol):
    """A copilot as this surface sees it."""

    def send(self, owner: str, conversation_id: str, text: str) -> Events:
        """Take what a person says and tell what happens, ending with `TurnEnded`."""
        ...

    def decide(
        self, owner: str, ticket_id: int, nonce: str, decision: Literal["approve", "reject"], surface: str
    ) -> Events:
        """Take a decision on the version of a ticket that the nonce stands for."""
        ...

    def edit(self, owner: str, ticket_id: int, nonce: str, changes: Mapping[str, str], surface: str) -> Events:
        """Change numbers of a ticket (plain decimal text): a new version, asked again."""
        ...

    def open_tickets(self, owner: str) -> Iterable[AnyTicket]:
        """Return the owner's tickets and proposals that wait for a decision, oldest first."""
        ...

    def ticket(self, owner: str, ticket_id: int) -> AnyTicket | None:
        """Return one of the owner's tickets or proposals as it stands."""
        ...

    async def stop_everything(self, owner: str, surface: str) -> str:
        """Stop all trading at once, and say what was stopped."""
        ...

    def language(self, owner: str, fallback: Language) -> Language:
        """Return the language that the owner chose, or the fallback."""
        ...


class Tools(Protocol):
    """The toolbox."""

    async def run(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Result:
        """Validate the arguments and run a tool."""
        ...


class AlertBook(Protocol):
    """Where alerts are adjusted."""

    def adjust(self, arguments: AdjustAlert, owner: str) -> AlertView:
        """Change how an alert repeats, rests and ends."""
        ...


class NoticeBook(Protocol):
    """What happened while nobody looked."""

    def pending(self, owner: str, surface: str) -> tuple[Notice, ...]:
        """Return what this surface has not shown yet, oldest first."""
        ...

    def mark_delivered(self, ids: Iterable[int], surface: str) -> tuple[int, ...]:
        """Note that a surface has shown these."""
        ...


class Clock(Protocol):
    """The present."""

    def __call__(self) -> datetime:
        """Return the present, aware UTC."""
        ...


@dataclass(frozen=True, slots=True)
class RestParts:
    """Everything that the routes work with."""

    core: RestCore
    tokens: TokenStore
    tools: Tools
    alerts: AlertBook
    notices: NoticeBook
    jobs: BacktestJobs
    now: Clock
    probes: tuple[Probe, ...] = ()
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    fallback: Language = "en"
    settings: RestSettings = field(default_factory=RestSettings)
    lift: Lift | None = None
