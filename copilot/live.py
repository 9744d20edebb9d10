"""`trading-copilot live`: what real money still lacks, and the words that allow it for one key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError, VenueUnavailable
from prompts import load_words

if TYPE_CHECKING:
    from agents.execution.binance.access import KeyPermissions


def live(
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the permission back.")] = False,
) -> None:
    """Allow real money with the key of the settings: checks what the key may do, then asks for typed words."""
    from agents.execution.binance.access import CONFIRMATION, lacking
    from copilot.venues import confirmation_file, fingerprint, keep_confirmation

    settings = load_settings()
    words = load_words(settings.language, "terminal")["live"]
    if revoke:
        confirmation_file(settings).unlink(missing_ok=True)
        typer.echo(words["revoked"])
        return
    if not settings.is_real_money:
        typer.echo(words["not_needed"].format(venue=settings.venue))
        raise typer.Exit(1)
    typer.echo(words["setting"].format(venue=settings.venue, fingerprint=fingerprint(settings)))
    missing = lacking(asyncio.run(_ask(settings)))
    if missing:
        raise ConfigError(words["refused"].format(missing="; ".join(words["missing"][code] for code in missing)))
    typer.echo(words["key_is_right"])
    wanted = f"{CONFIRMATION} {fingerprint(settings)}"
    typed = typer.prompt(words["asked"].format(words=wanted), prompt_suffix="\n> ")
    if " ".join(typed.split()) != wanted:
        typer.echo(words["not_typed"])
        raise typer.Exit(1)
    keep_confirmation(settings, typed)
    typer.echo(words["allowed"])


async def _ask(settings: Settings) -> KeyPermissions:
    from copilot.database import open_database
    from copilot.places import prepare_data_dir
    from copilot.venues import connect_venue

    prepare_data_dir(settings)
    database = open_database(settings.database)
    venue = connect_venue(settings, database)
    try:
        await venue.gateway.sync_clock()
        return await venue.check_keys()
    except VenueUnavailable as error:
        raise ConfigError(f"{settings.venue} does not answer ({error}); try again when it does") from error
    finally:
        await venue.close()
        database.dispose()
