"""The kill switch from a terminal: `trading-copilot stop`, and `lift`, which only a person may do.

Both work beside a running copilot and without one: the state stands in the database, and whoever trades looks at it
before every order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from copilot.settings import Settings, load_settings
from prompts import load_words

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agents.execution.desk import Desk

SURFACE = "terminal"


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[tuple[Desk, Engine]]:
    """Open the desk of the settings, settled and reconciled, with its database.

    Raises:
        ConfigError: A setting cannot be used.
    """
    from agents.execution.desk import Desk
    from agents.execution.kill_file import KillFile
    from agents.risk.values import RiskLimits
    from copilot.bootstrap import KILL_FILE, prepare_data_dir
    from copilot.database import open_database
    from copilot.markets import running_market
    from copilot.venues import running_venue, starting_cash
    from copilot.worlds import claim_world

    prepare_data_dir(settings)
    database = open_database(settings.database)
    try:
        claim_world(database, settings.world)
        async with (
            running_market(settings, lambda _done: None) as market,
            running_venue(settings, database, market) as venue,
        ):
            desk = Desk(
                database,
                venue,
                market,
                RiskLimits(),
                starting_cash=starting_cash(settings),
                kill_file=KillFile(settings.data_dir / KILL_FILE),
            )
            await desk.start()
            yield desk, database
    finally:
        database.dispose()


def stop() -> None:
    """Stop all trading at once: no new order, resting ones cancelled, positions closed, until `lift`."""
    settings = load_settings()

    async def work() -> None:
        async with open_desk(settings) as (desk, _):
            await desk.kill(settings.owner, f"asked:{SURFACE}")

    asyncio.run(work())
    typer.echo(_words(settings)["stopped"])


def lift(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let trading go on after a stop or a halt of the whole account; agents stay paused until you start them."""
    settings = load_settings()
    words = _words(settings)
    if not yes:
        typer.confirm(words["lift_asked"], abort=True)

    async def work() -> None:
        async with open_desk(settings) as (desk, _):
            await desk.lift(None, settings.owner)

    asyncio.run(work())
    typer.echo(words["lifted"])


def _words(settings: Settings) -> dict[str, str]:
    words: dict[str, str] = load_words(settings.language, "terminal")["switch"]
    return words
