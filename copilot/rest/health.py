"""Whether the program is well, part by part.

The answer needs no token, so a part tells a code at most: no address, no version, no sentence of a library.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine, text

from agents.supervisor import Supervisor, WorkerState
from engine.domain.errors import CopilotError
from engine.domain.protocols import MarketData

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""A part that has not answered by then is in trouble."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How one part is looked at.

    Attributes:
        name: Of the part.
        look: Returns a code of what is wrong, or an empty text.
        is_vital: Whether nothing works without it.
    """

    name: str
    look: Callable[[], Awaitable[str]]
    is_vital: bool = False


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One part as it was found."""

    name: str
    trouble: str
    is_vital: bool


Status = Literal["ok", "degraded", "down"]


async def examine(probes: Sequence[Probe]) -> tuple[PartHealth, ...]:
    """Look at every part at once; one that fails or does not answer is in trouble."""
    return tuple(await asyncio.gather(*(_look(probe) for probe in probes)))


def overall(parts: Sequence[PartHealth]) -> Status:
    """Return how the whole is: down without a vital part, degraded without another."""
    if any(part.trouble and part.is_vital for part in parts):
        return "down"
    return "degraded" if any(part.trouble for part in parts) else "ok"


def database_probe(database: Engine) -> Probe:
    """Return the probe of the database."""

    def ask() -> None:
        with database.execution_options(read_only=True).connect() as connection:
            connection.execute(text("SELECT 1")).scalar_one()

    async def look() -> str:
        await asyncio.to_thread(ask)
        return ""

    return Probe("database", look, is_vital=True)


def market_probe(market: MarketData) -> Probe:
    """Return the probe of the market: it lists something, and tells its price."""

    async def look() -> str:
        symbol = next(iter(market.instruments()), None)
        if symbol is None:
            return "no_instruments"
        try:
            market.quote(symbol)
        except CopilotError:
            return "no_price"
        return ""

    return Probe("market", look)


def supervisor_probe(supervisor: Supervisor) -> Probe:
    """Return the probe of the background work of this process."""

    async def look() -> str:
        states = {each.state for each in supervisor.status()}
        return "worker_failing" if states & {WorkerState.FAILING, WorkerState.STUCK} else ""

    return Probe("background", look)


async def _look(probe: Probe) -> PartHealth:
    try:
        async with asyncio.timeout(PATIENCE_S):
            trouble = await probe.look()
    except TimeoutError:
        trouble = "no_answer"
    except Exception:
        log.exception("the health of %s could not be examined", probe.name)
        trouble = "failed"
    return PartHealth(probe.name, trouble, probe.is_vital)
