"""The kill switch from a terminal: `trading-copilot stop`, and `lift`, which only a person may do.

Both work beside a running copilot and without one: the state stands in the database, and whoever trades looks at it
before every order. Both act on the world that the copilot trades in and say which. `stop` needs no network to be in
force: what cannot be cancelled and closed from here is left to the copilot that runs, or to the next one that starts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copilot.settings import Settings, load_settings
from copilot.world_in_use import settle_world
from engine.domain.errors import ConfigError, DataUnavailable, VenueUnavailable
from prompts import load_words

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from agents.execution.desk import Desk

SURFACE = "terminal"
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[tuple[Desk, Engine]]:
    """Open the desk of the world in use, settled and reconciled, with its database.

    Raises:
        ConfigError: A setting cannot be used.
    """
    from agents.execution.desk import Desk
    from agents.execution.kill_file import KillFile
    from agents.risk.values import RiskLimits
    from copilot.database import open_database
    from copilot.markets import running_market
    from copilot.places import KILL_FILE, prepare_data_dir
    from copilot.venues import running_venue, starting_cash
    from copilot.worlds import claim_world

    settings = settle_world(settings)
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


def stop(as_json: JsonOption = False) -> None:
    """Stop all trading at once: no new order, resting ones cancelled, positions closed, until `lift`."""
    settings = settle_world(load_settings())
    trouble = asyncio.run(_stop(settings))
    words = _words(settings)
    if trouble:
        typer.echo(f"trading-copilot: {words['left_to_copilot'].format(trouble=trouble)}", err=True)
    told = {"is_stopped": True, "world": settings.world, "trouble": trouble or None}
    _tell(words["stopped"].format(world=settings.world), told, as_json)


def lift(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let trading go on after a stop or a halt of the whole account; agents stay paused until you start them."""
    settings = settle_world(load_settings())
    words = _words(settings)
    if not yes:
        typer.confirm(words["lift_asked"].format(world=settings.world), abort=True, err=True)

    async def work() -> None:
        async with open_desk(settings) as (desk, _):
            await desk.lift(None, settings.owner)

    asyncio.run(work())
    _tell(words["lifted"].format(world=settings.world), {"is_stopped": False, "world": settings.world}, as_json)


async def _stop(settings: Settings) -> str:
    """Halt the account and close what it holds; return what kept this program from closing, empty for nothing."""
    is_live = settings.market_kind == "binance"
    if is_live:  # prices and orders may be out of reach, and this must not wait for them
        write_halt(settings, datetime.now(UTC))
    try:
        async with open_desk(settings) as (desk, _):
            await desk.kill(settings.owner, f"asked:{SURFACE}")
    except (ConfigError, DataUnavailable, VenueUnavailable) as error:
        if not is_live:
            raise
        return " ".join(str(error).split())
    return ""


def write_halt(settings: Settings, at: datetime) -> None:
    """Halt the whole account in the database alone: no process sends anything from now on.

    Args:
        settings: Which account.
        at: Wall time, aware UTC, which is the present of a live market too.

    Raises:
        ConfigError: The database cannot be used, or holds another account.
    """
    from agents.execution.control_store import read_states, write_state
    from agents.execution.journal import Journal
    from agents.execution.ledger_rows import update_state
    from agents.risk.states import WHOLE_ACCOUNT, StateChange, TradingState
    from copilot.database import open_database
    from copilot.worlds import claim_world

    database = open_database(settings.database)
    try:
        claim_world(database, settings.world)
        with Journal(database, settings.venue).writing() as (connection, row):
            known = read_states(connection).get(WHOLE_ACCOUNT)
            if known is None or known.state is not TradingState.HALTED:
                reason = f"asked:{SURFACE}"
                write_state(
                    connection,
                    StateChange(WHOLE_ACCOUNT, TradingState.HALTED, settings.owner, reason, at, is_settled=False),
                )
                update_state(connection, version=row["version"] + 1)
    finally:
        database.dispose()


def _tell(line: str, told: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(told, ensure_ascii=False) if as_json else line)


def _words(settings: Settings) -> dict[str, str]:
    words: dict[str, str] = load_words(settings.language, "terminal")["switch"]
    return words
