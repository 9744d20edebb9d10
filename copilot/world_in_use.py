"""Which world a command acts on while a copilot may run beside it: the one that the copilot trades in.

With `COPILOT_MARKET=auto` each start of the copilot decides anew whether it looks at Binance or at invented prices,
and notes it. A command that acts on the account must never decide for itself, for the network may have come or gone
since: it takes the world in which some process lives, else the one that was noted last. Where the owner names a
database, what that database holds decides. The database's library is imported where it is needed, so that commands
that need none start at once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from copilot.settings import Settings
from engine.domain.errors import DataUnavailable

_KINDS = {"binance-paper": "binance", "simulated": "simulated"}
"""Which market makes each world that `auto` may come to."""
_ALIVE_S = 20.0
"""How old the last heartbeat of a living process may be: four of the supervisor's beats."""


def settle_world(settings: Settings, now: datetime | None = None) -> Settings:
    """Return the settings with the world of the copilot that runs, or ran last; nothing is written.

    Args:
        settings: As the owner wrote them.
        now: Wall time, aware UTC; the real one when None.
    """
    if settings.venue != "paper" or settings.market != "auto":
        return settings
    noted = settings.model_copy(update={"market": settings.market_kind})
    if settings.database_url:
        return in_world(settings, _kept_world(settings.database_url) or "") or noted
    moment = now or datetime.now(UTC)
    others = [settings.model_copy(update={"market": kind}) for kind in _KINDS.values()]
    return next((each for each in (noted, *others) if _is_alive(each, moment)), noted)


def in_world(settings: Settings, world: str) -> Settings | None:
    """Return the settings as they are in a world; None when they cannot mean it."""
    if settings.venue == "paper" and settings.market == "auto" and world in _KINDS:
        return settings.model_copy(update={"market": _KINDS[world]})
    return settings if settings.world == world else None


def other_worlds(settings: Settings) -> list[str]:
    """Return further worlds whose accounts lie in the data folder, by name."""
    if settings.database_url:
        return []
    places = {path.parent.name: path for path in settings.data_dir.glob("*/copilot.db")}
    places["simulated"] = settings.data_dir / "copilot.db"
    return sorted(name for name, path in places.items() if path.is_file() and name != settings.world)


def _is_alive(settings: Settings, now: datetime) -> bool:
    """Tell whether a process trades in a world; a file that cannot be read tells of none."""
    if not (settings.world_dir / "copilot.db").is_file():
        return False
    from sqlalchemy import create_engine

    from agents.supervisor.heartbeats import Heartbeats

    database = create_engine(settings.database)
    try:
        return any(process.is_alive for process in Heartbeats(database, alive_s=_ALIVE_S).read(now))
    except DataUnavailable:
        return False
    finally:
        database.dispose()


def _kept_world(url: str) -> str | None:
    from sqlalchemy import create_engine, select
    from sqlalchemy.exc import SQLAlchemyError

    from copilot.worlds import account_world

    database = create_engine(url)
    try:
        with database.connect() as connection:
            world: str | None = connection.scalar(select(account_world.c.world))
            return world
    except SQLAlchemyError:
        return None
    finally:
        database.dispose()
