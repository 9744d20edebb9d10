"""What every command shares: settings, where words go, and progress that only a terminal sees.

Standard output holds results alone, standard error everything else, so that any command may stand in a pipe.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from copilot.settings import Settings, load_settings
from copilot.world_in_use import settle_world
from prompts import load_words

out = Console()
err = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
OUR_ROOMS = ("copilot", "tools", "agents", "engine", "prompts")
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#|!~&])")
"""A sign that is made harmless for Markdown, which the command line does not write."""


def read_settings(**overrides: object) -> Settings:
    """Return the settings, over which options that were given win, and let our messages be shown."""
    settings = load_settings(**{key: value for key, value in overrides.items() if value is not None})
    _set_up_logging(settings.log_level)
    return settings


def settings_in_use() -> Settings:
    """Return the settings with the account and the market that the copilot is on."""
    return settle_world(read_settings())


def command_words(settings: Settings) -> Mapping[str, Any]:
    """Return the words of commands in the owner's language."""
    words: Mapping[str, Any] = load_words(settings.language, "terminal")["commands"]
    return words


@contextmanager
def progress() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on a terminal, and nothing elsewhere; report with a fraction (0-1) and what is being done."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, visible=False)

        def report(done: float, what: str) -> None:
            bar.update(task, completed=done, description=what, visible=done < 1.0)

        yield report


def say(line: str) -> None:
    """Print one line of a result."""
    out.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(line: str) -> None:
    """Print one line beside the result."""
    err.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def complain(line: str) -> None:
    """Print what is wrong, in one line."""
    note(f"trading-copilot: {line}")


def unescape(markdown: str) -> str:
    """Return words without what only Markdown needs."""
    return _ESCAPED.sub(r"\1", markdown)


def print_answer(markdown: str, json_text: str | None) -> None:
    """Print an answer: drawn on a terminal, as plain lines elsewhere, or the JSON that stands for it."""
    if json_text is None and out.is_terminal:
        out.print(Markdown(markdown))
    else:
        print_lines([unescape(markdown)], json_text or "", json_text is not None)


def print_lines(lines: Sequence[str], json_text: str, as_json: bool) -> None:
    """Print lines, or the JSON that stands for them."""
    if as_json:
        sys.stdout.write(json_text + "\n")
        return
    for line in lines:
        say(line)


def _set_up_logging(level: str) -> None:
    """Show our own messages from `level` on, and of libraries only errors."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for room in OUR_ROOMS:
        logging.getLogger(room).setLevel(level)
