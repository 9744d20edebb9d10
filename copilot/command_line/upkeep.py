"""Commands that look after an installation: what is in use, backup and restore.

Heavy parts are imported by the command that needs them, so that `--help` starts at once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from copilot.command_line.console import command_words, print_lines, progress, read_settings
from copilot.settings import Settings

if TYPE_CHECKING:
    from copilot.backup import Manifest


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Tell for each part what is in use, what is missing and the one command that would add it."""
    from copilot.commands import to_json
    from copilot.doctor import examine, render

    settings = read_settings()
    parts = examine(settings)
    print_lines(render(parts, settings.language), to_json([part.as_dict() for part in parts]), as_json)


def backup(
    file: Annotated[Path, typer.Argument(help="ZIP file to write; one that exists is never overwritten.")],
    bars: Annotated[bool, typer.Option("--bars", help="Stored bars too; they can be large.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write everything that you would miss into one file; the copilot may run meanwhile."""
    from copilot.backup import back_up

    settings = read_settings()
    with progress() as report:
        manifest = back_up(settings, file, datetime.now(UTC), report, has_bars=bars)
    words = command_words(settings)
    count = len(manifest.parts)
    lines = [words["backed_up"].format(file=file, world=manifest.world, rows=_rows(manifest, settings), count=count)]
    for code in manifest.left_out:
        kind, _, name = code.partition(":")
        lines.append(words["left_out"][kind].format(name=name))
    print_lines(lines, manifest.model_dump_json(), as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", exists=True, dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was restored as JSON.")] = False,
) -> None:
    """Put a backup back into an empty database and data folder; SQLite and MySQL take each other's."""
    from copilot.backup import restore as put_back

    settings = read_settings()
    with progress() as report:
        manifest = put_back(settings, file, report)
    values = {"rows": _rows(manifest, settings), "time": f"{manifest.made_at:%Y-%m-%d %H:%M}"}
    told = command_words(settings)["restored"].format(world=manifest.world or settings.world, **values)
    print_lines([told], manifest.model_dump_json(), as_json)


def _rows(manifest: Manifest, settings: Settings) -> str:
    from copilot.wording import format_number

    return format_number(Decimal(sum(part.rows or 0 for part in manifest.parts.values())), settings.language)
