"""The commands of tokens: `trading-copilot token create`, `list`, `revoke`.

A fresh token goes to standard output alone, so that it can be piped; what is said about it goes to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from copilot.command_line.console import JsonOption, err, out
from copilot.settings import Settings, load_settings
from copilot.world_in_use import settle_world
from engine.domain.errors import ConfigError, InvalidRequest
from prompts import load_words

if TYPE_CHECKING:
    from copilot.rest.tokens import Token, TokenStore

app = typer.Typer(
    name="token",
    help="Bearer tokens of the HTTP service: who may read, trade or manage tokens.",
    no_args_is_help=True,
)

OwnerOption = Annotated[str | None, typer.Option(help="Whose token it is. Default: the owner in the settings.")]
SCOPES = ("read", "trade", "admin")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a command works with."""

    settings: Settings
    tokens: TokenStore
    words: Mapping[str, Any]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for, to recognise it in the list.")],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="What it may do; repeat for several. read: look. trade: talk, decide on tickets, cancel, stop. "
            "admin: manage tokens.",
        ),
    ],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it ends. Default: no end.")] = None,
    owner: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it; it cannot be shown again."""
    from copilot.rest.tokens import Scope

    unknown = [each for each in scope if each not in SCOPES]
    if unknown:
        raise ConfigError(f"--scope {unknown[0]!r} is not known; choose of {', '.join(SCOPES)}")
    ends_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _open() as desk:
        try:
            secret, token = desk.tokens.create(name, map(Scope, scope), owner or desk.settings.owner, ends_at)
        except InvalidRequest as error:
            raise ConfigError(
                load_words(desk.settings.language, "rest")["errors"][error.code].format(**error.params)
            ) from error
    if as_json:
        _print({**_plain(token), "token": secret})
        return
    end = desk.words["no_end"] if ends_at is None else desk.words["end"].format(time=_time(ends_at))
    told = desk.words["created"]
    scopes = ", ".join(sorted(token.scopes))
    err.print(told.format(id=token.id, name=token.name, owner=token.owner, scopes=scopes, end=end), markup=False)
    _line(secret)


@app.command("list")
def list_tokens(
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None, as_json: JsonOption = False
) -> None:
    """List tokens without their secrets, oldest first; revoked and expired ones too."""
    with _open() as desk:
        tokens = desk.tokens.list(owner)
    if as_json:
        _print([_plain(token) for token in tokens])
    elif not tokens:
        err.print(desk.words["none"], markup=False)
    else:
        table = Table(*desk.words["columns"], box=None)
        for token in tokens:
            used = desk.words["never"] if token.used_at is None else _time(token.used_at)
            state = desk.words["states"][_state(token)]
            table.add_row(token.id, token.name, token.owner, " ".join(sorted(token.scopes)), state, used)
        out.print(table)


@app.command()
def revoke(token_id: Annotated[str, typer.Argument(help="Its id, as listed.")], as_json: JsonOption = False) -> None:
    """Make a token worthless from now on; repeating it changes nothing."""
    with _open() as desk:
        is_known = desk.tokens.revoke(token_id)
    if as_json:
        _print({"id": token_id, "revoked": is_known})
    elif is_known:
        out.print(desk.words["revoked"].format(id=token_id), markup=False)
    else:
        err.print(load_words(desk.settings.language, "rest")["errors"]["token_not_found"], markup=False)
    if not is_known:
        raise typer.Exit(1)


@contextmanager
def _open() -> Iterator[_Desk]:
    from copilot.database import open_database
    from copilot.places import prepare_data_dir
    from copilot.rest.tokens import TokenStore

    settings = settle_world(load_settings())
    prepare_data_dir(settings)
    database = open_database(settings.database)
    try:
        store = TokenStore(database, lambda: datetime.now(UTC))
        yield _Desk(settings, store, load_words(settings.language, "rest")["tokens"])
    finally:
        database.dispose()


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    is_over = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
    return "expired" if is_over else "good"


def _plain(token: Token) -> dict[str, Any]:
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "revoked_at", "used_at")}
    told = {name: None if time is None else time.isoformat() for name, time in times.items()}
    return {
        "id": token.id,
        "name": token.name,
        "owner": token.owner,
        "scopes": sorted(token.scopes),
        "state": _state(token),
        **told,
    }


def _print(value: object) -> None:
    _line(json.dumps(value, ensure_ascii=False))


def _line(text: str) -> None:
    out.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
