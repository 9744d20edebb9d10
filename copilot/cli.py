"""The command line: every command explains itself with `--help`, and errors are one line.

Exit status: 0 done, 1 the answer is "no" (a score missed, a part missing), 2 wrong use or settings, 130 interrupted.
Heavy parts are imported by the command that needs them, so that `--help` and `route` start at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError, CopilotError

app = typer.Typer(
    name="trading-copilot",
    help="A chat-first trading copilot that runs on your own machine. Start with: trading-copilot run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

ModelOption = Annotated[str, typer.Option("--model", help="Chat model that decides: offline.")]


def main() -> None:
    """Run the command line; known errors become one line on standard error."""
    try:
        app()
    except ConfigError as error:
        err.print(f"trading-copilot: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except CopilotError as error:
        err.print(f"trading-copilot: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def run(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond this machine a password is needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
) -> None:
    """Open the web page: prepares the market and a first model if needed, then prints a one-time login link."""
    from copilot.bootstrap import open_runtime, serve_web

    settings = _settings(host=host, port=port)

    async def serve() -> None:
        with _progress() as report:
            runtime = await open_runtime(settings, report)
        async with runtime:
            await serve_web(runtime, _say)

    asyncio.run(serve())


@app.command()
def chat() -> None:
    """Talk in this terminal; tickets are decided at their own prompt."""
    from copilot.bootstrap import open_runtime
    from copilot.terminal import Terminal

    settings = _settings()

    async def talk() -> None:
        with _progress() as report:
            runtime = await open_runtime(settings, report)
        async with runtime:
            terminal = Terminal(runtime.copilot, settings.owner, settings.language, out)
            await terminal.run(f"terminal-{settings.owner}", runtime.copilot.banner(settings.language))

    asyncio.run(talk())


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of bars.", exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option(help="Folder of the bar store to write to.")] = "files",
    symbol: Annotated[str | None, typer.Option(help="Symbol, when the file name does not tell (BTC/USDT).")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Timeframe, when the file name does not tell (1h).")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Column names, ours=theirs: time=date,open=o,high=h,low=l,close=c,volume=v")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Zone of times without one.")] = "UTC",
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON lines.")] = False,
) -> None:
    """Read bars into the columnar store, with a quality report; nothing is written when a file is unusable."""
    from copilot.commands import ingest_files

    with _progress() as report:
        reports = ingest_files(
            _settings(), files, source, symbol=symbol, timeframe=timeframe, columns=columns, time_zone=time_zone,
            progress=report,
        )  # fmt: skip
    for each in reports:
        _print_lines(each.lines(), each, as_json)


@app.command()
def train(
    symbol: Annotated[
        str | None, typer.Option(help="One symbol; without it one model for all of them together.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's manifest as JSON.")] = False,
) -> None:
    """Train on the market at hand by purged walk-forward and register the model with its out-of-sample figures."""
    from copilot.commands import train_model

    with _progress() as report:
        manifest = train_model(_settings(), symbol, timeframe, report)
    _print_lines(manifest.lines(), manifest, as_json)


@app.command()
def route(
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, in and out.")] = True,
    model: ModelOption = "offline",
) -> None:
    """Tell what each message on standard input would call; nothing is executed, no state changes."""
    decide = _router(model)
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        record = _record(line, number)
        started = time.perf_counter()
        decided = decide(str(record["text"]), record.get("history") or [])
        elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
        answer = {"id": record.get("id"), **decided, "ms": elapsed_ms}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=_json_number) + "\n")
        sys.stdout.flush()


@app.command(name="eval")
def evaluate(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with text, lang, tags, expect.", exists=True, dir_okay=False)
    ],
    model: ModelOption = "offline",
    min_exact: Annotated[float | None, typer.Option(help="Exit 1 below this exact-match accuracy (0-1).")] = None,
    max_wrong_trades: Annotated[int | None, typer.Option(help="Exit 1 above this many wrong trades.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a chat model on a file of utterances: tool and exact accuracy, wrong trades, latency."""
    from copilot.evaluation import score

    records = [_record(line, n) for n, line in enumerate(file.read_text("utf-8").splitlines(), 1) if line.strip()]
    report = score(records, _router(model))
    _print_lines(report.lines(), report.as_dict(), as_json)
    too_low = min_exact is not None and report.exact_accuracy < min_exact
    too_many = max_wrong_trades is not None and report.wrong_trades > max_wrong_trades
    raise typer.Exit(1 if too_low or too_many else 0)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Tell for each part what is in use, what is missing and the one command that would add it."""
    from copilot.doctor import examine, render

    settings = _settings()
    parts = examine(settings)
    if as_json:
        _print_lines([], [part.as_dict() for part in parts], as_json)
        return
    for line in render(parts, settings.language):
        _say(line)


@app.command()
def password() -> None:
    """Set the password of the web page (at least 10 characters); only its Argon2 hash is kept."""
    from copilot.passwords import PasswordFile

    chosen = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    PasswordFile(_settings().data_dir).set(chosen)
    out.print("The password is set; the next `trading-copilot run` asks for it.")


def _settings(**overrides: object) -> Settings:
    return load_settings(**{key: value for key, value in overrides.items() if value is not None})


def _router(model: str) -> Callable[[str, list[dict[str, str]]], dict[str, Any]]:
    if model != "offline":
        raise ConfigError(f"--model {model!r} is not known here; this version routes with: offline")
    from copilot.offline import routing

    return routing.route


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {number} is not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(record, dict) or "text" not in record:
        raise ConfigError(f'line {number} must be a JSON object with "text"')
    return record


def _json_number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on a terminal, and nothing elsewhere; report with a fraction (0-1) and what is being done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, visible=False)

        def report(done: float, what: str) -> None:
            bar.update(task, completed=done, description=what, visible=done < 1.0)

        yield report


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_lines(lines: list[str] | tuple[str, ...], value: object, as_json: bool) -> None:
    if as_json:
        from copilot.commands import to_json

        sys.stdout.write(to_json(value) + "\n")
        return
    for line in lines:
        _say(line)
