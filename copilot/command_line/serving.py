"""Commands that run until they are interrupted: the page, the engine's service, a talk; and the page's password.

Heavy parts are imported by the command that needs them, so that `--help` starts at once.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from copilot.command_line.console import JsonOption, command_words, out, print_lines, progress, read_settings, say


def run(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond this machine a password is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
) -> None:
    """Open the web page: prepares the market and a first model if needed, then prints a one-time login link."""
    from copilot.bootstrap import open_runtime, serve_web

    settings = read_settings(host=host, port=port)

    async def serve() -> None:
        with progress() as report:
            runtime = await open_runtime(settings, report)
        async with runtime:
            await serve_web(runtime, say)

    asyncio.run(serve())
    raise typer.Exit(130)  # only an interruption ends it


def api(
    host: Annotated[str | None, typer.Option(help="Address; beyond this machine COPILOT_API_TOKEN is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
) -> None:
    """Serve signals, bars, models and reports over HTTP and a WebSocket stream; its page is /docs."""
    from copilot.rest_engine import serve_engine

    settings = read_settings(host=host, api_port=port)

    async def serve() -> None:
        with progress() as report:
            await serve_engine(settings, report, say)

    asyncio.run(serve())
    raise typer.Exit(130)  # only an interruption ends it


def chat() -> None:
    """Talk in this terminal; tickets are decided at their own prompt."""
    from copilot.bootstrap import open_runtime
    from copilot.terminal import Terminal

    settings = read_settings()

    async def talk() -> None:
        with progress() as report:
            runtime = await open_runtime(settings, report)
        async with runtime:
            terminal = Terminal(runtime.copilot, settings.owner, settings.language, out)
            await terminal.run(f"terminal-{settings.owner}", runtime.copilot.banner(settings.language))

    asyncio.run(talk())


def password(as_json: JsonOption = False) -> None:
    """Set the password of the web page (at least 10 characters); only its Argon2 hash is kept."""
    from copilot.passwords import PasswordFile

    settings = read_settings()
    file, words = PasswordFile(settings.data_dir), command_words(settings)
    try:
        chosen = typer.prompt(
            words["password_asked"], hide_input=True, confirmation_prompt=words["password_again"], err=True
        )
    except typer.Abort:
        raise typer.Exit(130) from None
    file.set(chosen)
    print_lines([words["password_set"]], json.dumps({"is_set": True}), as_json)
