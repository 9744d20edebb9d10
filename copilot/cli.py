"""The command line: every command explains itself with `--help`, and errors are one line.

Exit status: 0 done, 1 the answer is "no" (a score missed, a file without bars), 2 wrong use or settings,
130 interrupted. Standard output holds results alone; progress, warnings and errors go to standard error.
Heavy parts are imported by the command that needs them, so that `--help` and `route` start at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from copilot import funds, live, switch
from copilot import token_commands as tokens
from copilot.settings import Settings, load_settings
from engine.domain.errors import ConfigError, CopilotError, DataUnavailable, InvalidRequest

if TYPE_CHECKING:
    from copilot.routing import Router
    from engine.data.quality import QualityReport

app = typer.Typer(
    name="trading-copilot",
    help="A chat-first trading copilot that runs on your own machine. Start with: trading-copilot run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

app.add_typer(funds.app, name="funds")
app.add_typer(tokens.app, name="token")
app.command()(switch.stop)
app.command()(switch.lift)
app.command()(live.live)

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Chat model that decides: offline, ollama:NAME or openai:NAME. Default: the one in the settings.",
    ),
]
_LEFT_OUT = {
    "bars": "Left out: stored bars (add them with --bars, or ingest them again).",
    "redis": "Left out: conversations in Redis, which keeps files of its own.",
}
_ESCAPED = re.compile(r"\\([\\`*_{}\[\]<>#|!~&])")
"""A sign that is made harmless for Markdown, which the command line does not write."""
OUR_ROOMS = ("copilot", "tools", "agents", "engine", "prompts")


def main() -> None:
    """Run the command line; known errors become one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # What cannot be encoded must not end an answer half way; in JSON the escape is the character itself.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # real streams can
    try:
        app()
    except CopilotError as error:
        _complain(_worded(error))
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        exec("")  # else `python -m` ends as if killed when the interruption came inside an exec, as imports run them
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
    raise typer.Exit(130)  # only an interruption ends it


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Address; beyond this machine COPILOT_API_TOKEN is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
) -> None:
    """Serve signals, bars, models and reports over HTTP and a WebSocket stream; its page is /docs."""
    from copilot.rest_engine import serve_engine

    settings = _settings(host=host, api_port=port)

    async def serve() -> None:
        with _progress() as report:
            await serve_engine(settings, report, _say)

    asyncio.run(serve())
    raise typer.Exit(130)  # only an interruption ends it


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
    """Read bars into the columnar store, with a quality report each; stops at a file that cannot be used.

    Nothing of such a file is stored; the files before it are.
    """
    from copilot.commands import ingest_files, to_json

    done = 0
    try:
        with _progress() as report:
            for each in ingest_files(
                _settings(), files, source, symbol=symbol, timeframe=timeframe, columns=columns, time_zone=time_zone,
                progress=report,
            ):  # fmt: skip
                done += 1
                _print_lines(each.lines(), to_json(each, indent=None), as_json)
    finally:
        # The error itself follows, on the line of `main`.
        if 0 < done < len(files):
            _complain(f"{done} of {len(files)} files stored; {files[done]} is not, nor what comes after it")


@app.command(name="ingest-mysql")
def ingest_mysql(
    url: Annotated[
        str,
        typer.Option(envvar="COPILOT_MYSQL_URL", help="mysql://user:password@host/name; better in the environment."),
    ],
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="YAML file that says where the bars lie; without it they are found.", exists=True, dir_okay=False
        ),
    ] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Symbol; repeat it for several; all when left out.")] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1m",
    source: Annotated[str, typer.Option(help="Folder of the bar store to write to.")] = "mysql",
    table: Annotated[str | None, typer.Option(help="Table, over the mapping's.")] = None,
    columns: Annotated[str | None, typer.Option(help="Column names, ours=theirs: time=ts,open=o")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of times without one, over the mapping's.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Read everything again.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write the quality reports as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON lines.")] = False,
) -> None:
    """Read bars from MySQL or MariaDB into the columnar store, with a quality report each.

    An interrupted run goes on where it was when the same command is given again; a finished one reads what is new.
    """
    from copilot import ingesting

    settings = _settings()
    with _progress() as report:
        reports = ingesting.ingest_mysql(
            settings, url, mapping, symbol or (), timeframe, source=source, table=table, columns=columns,
            time_zone=time_zone, from_start=from_start, progress=report,
        )  # fmt: skip
        _print_reports(reports, settings, page, as_json)


@app.command(name="ingest-exchange")
def ingest_exchange(
    exchange: Annotated[str, typer.Argument(help="Exchange by its ccxt id, such as binance.")],
    symbol: Annotated[list[str], typer.Option(help="Symbol, such as BTC/USDT; repeat it for several.")],
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    since: Annotated[str | None, typer.Option(help="First day; left out, it goes on from the last run.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Folder of the bar store; the exchange's id when left out.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write the quality reports as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON lines.")] = False,
) -> None:
    """Read public bars from an exchange into the columnar store, with a quality report each; no key is needed.

    An interrupted run goes on where it was; a finished one reads what is new.
    """
    from copilot import ingesting

    settings = _settings()
    with _progress() as report:
        reports = ingesting.ingest_exchange(
            settings, exchange, symbol, timeframe, since, source=source, progress=report
        )  # fmt: skip
        _print_reports(reports, settings, page, as_json)


@app.command()
def train(
    symbol: Annotated[
        str | None, typer.Option(help="One symbol; without it one model for all of them together.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's manifest as JSON.")] = False,
) -> None:
    """Train on the market at hand by purged walk-forward and register the model with its out-of-sample figures.

    It is used only if it did better out of sample than the model in use.
    """
    from copilot.commands import to_json, train_model

    with _progress() as report:
        offer = train_model(_settings(), symbol, timeframe, report)
    verdict = "in use from now on" if offer.is_promoted else "kept, but not used"
    _print_lines([*offer.manifest.lines(), f"  {verdict}: {offer.reason}"], to_json(offer), as_json)


@app.command()
def rollback(
    symbol: Annotated[str, typer.Option(help="Whose model.")],
    timeframe: Annotated[str, typer.Option(help="Timeframe of the model.")] = "1h",
) -> None:
    """Take the model in use for a symbol out of use; the one before it is used again."""
    from copilot.commands import roll_back_model

    before = roll_back_model(_settings(), symbol, timeframe)
    _say("no model is left; the next signal trains one" if before is None else f"in use again: {before.id}")


@app.command()
def backtest(
    target: Annotated[str, typer.Argument(help="Agent (atlas, orion, nova) or strategy (breakout, momentum, grid …).")],
    symbol: Annotated[str | None, typer.Option(help="One symbol; without it those that the target trades.")] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    days: Annotated[int, typer.Option(min=1, help="Days up to the market's present.")] = 365,
    page: Annotated[
        Path | None, typer.Option(help="Write the full report as an HTML page; of an agent, one for each strategy.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write equity and drawdown as a PNG, in the same way.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and the full reports as JSON.")] = False,
) -> None:
    """Backtest an agent or a strategy on the market at hand, beside holding, chance and doubled costs."""
    from copilot import backtesting
    from copilot.wording import render_answer
    from prompts import load_words

    settings = _settings()
    has_reports = as_json or page is not None or picture is not None
    with _progress() as report:
        done = backtesting.backtest(
            settings, target, symbol=symbol, timeframe=timeframe, days=days, has_reports=has_reports, progress=report
        )
    _print_answer(render_answer([done.result], settings.language), backtesting.to_json(done) if as_json else None)
    told = load_words(settings.language, "backtest_report")["command"]["written"]
    for path, write in ((page, backtesting.write_pages), (picture, backtesting.write_pictures)):
        for file in write(done, path, settings.language) if path is not None else ():
            err.print(told.format(file=file), markup=False, emoji=False, highlight=False, soft_wrap=True)


@app.command()
def route(
    jsonl: Annotated[
        bool, typer.Option("--jsonl/--text", help="One JSON object a line; or one plain message a line.")
    ] = True,
    model: ModelOption = None,
) -> None:
    """Tell what each message on standard input would call, one JSON object a line; nothing is executed.

    In: {"id": "17", "text": "buy 0.05 bitcoin", "history": []}
    """
    with _router(model) as router:
        for number, raw in enumerate(sys.stdin.buffer, 1):
            line = _decode(raw, number)
            if not line.strip():
                continue
            record: dict[str, Any] = _record(line, number) if jsonl else {"text": line.strip(), "history": []}
            started = time.perf_counter()
            decided = router.route(record["text"], record["history"])
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            answer = {"id": record.get("id"), **decided, "ms": elapsed_ms}
            sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=_json_number) + "\n")
            sys.stdout.flush()
    _tell_troubles(router)


@app.command(name="eval")
def evaluate(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with text, lang, tags, expect.", exists=True, dir_okay=False)
    ],
    model: ModelOption = None,
    min_exact: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit 1 below this exact-match accuracy.")
    ] = None,
    max_wrong_trades: Annotated[int | None, typer.Option(min=0, help="Exit 1 above this many wrong trades.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Save the report: JSON, or Markdown when the name ends in .md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a chat model on a file of utterances: tool and exact accuracy, wrong trades, latency."""
    from copilot.commands import to_json
    from copilot.evaluation import score

    lines = ((number, _decode(raw, number)) for number, raw in enumerate(file.read_bytes().splitlines(), 1))
    records = [_graded(_record(line, number), number) for number, line in lines if line.strip()]
    if not records:
        raise ConfigError(f"{file} holds no utterances")
    with _router(model) as router, _progress() as progress:
        scored = score(records, router.route, progress=progress)
    report = scored.answered_by(router.name, router.troubles)
    text = to_json(report.as_dict())
    if out_file is not None:
        out_file.write_text(report.markdown() if out_file.suffix == ".md" else text + "\n", encoding="utf-8")
    _print_lines(report.lines(), text, as_json)
    missed = []
    if min_exact is not None and report.exact_accuracy < min_exact:
        missed.append(f"exact accuracy {report.exact_accuracy:.4f} is below {min_exact}")
    if max_wrong_trades is not None and report.wrong_trades > max_wrong_trades:
        missed.append(f"{report.wrong_trades} wrong trades are more than {max_wrong_trades}")
    if missed:
        _complain("; ".join(missed))
        raise typer.Exit(1)


@app.command(name="evaluate")
def evaluate_engine(
    bars: Annotated[
        Path, typer.Option("--bars", help="Parquet file: time open high low close volume.", exists=True, dir_okay=False)
    ],
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars (1h).")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for predictions.parquet and metrics.json.")],
    test_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day that is forecast; the last two fifths if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score the ML engine on a file of bars: walk-forward forecasts of bars that no model had seen, and their figures.

    Interrupted, it goes on where it stopped when it is started again with the same file and folder.
    """
    from copilot.commands import to_json
    from copilot.evaluate import evaluate_bars

    with _progress() as report:
        first_day = None if test_from is None else test_from.date()
        summary = evaluate_bars(bars, timeframe, out_dir, test_from=first_day, report=report)
    _print_lines(summary.lines(), to_json(summary.as_dict()), as_json)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Tell for each part what is in use, what is missing and the one command that would add it."""
    from copilot.commands import to_json
    from copilot.doctor import examine, render

    settings = _settings()
    parts = examine(settings)
    _print_lines(render(parts, settings.language), to_json([part.as_dict() for part in parts]), as_json)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="ZIP file to write; one that exists is never overwritten.")],
    bars: Annotated[bool, typer.Option("--bars", help="Stored bars too; they can be large.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write everything that you would miss into one file; the copilot may run meanwhile."""
    from datetime import UTC

    from copilot.backup import back_up

    with _progress() as report:
        manifest = back_up(load_settings(), file, datetime.now(UTC), report, has_bars=bars)
    rows = sum(part.rows or 0 for part in manifest.parts.values())
    lines = [f"{file}: {rows:,} rows, {len(manifest.parts)} files"]
    lines += [_LEFT_OUT[code] for code in manifest.left_out]
    _print_lines(lines, manifest.model_dump_json(), as_json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", exists=True, dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was restored as JSON.")] = False,
) -> None:
    """Put a backup back into an empty database and data folder; SQLite and MySQL take each other's."""
    from copilot.backup import restore as put_back

    with _progress() as report:
        manifest = put_back(load_settings(), file, report)
    rows = sum(part.rows or 0 for part in manifest.parts.values())
    _print_lines(
        [f"restored {rows:,} rows of {manifest.made_at:%Y-%m-%d %H:%M} UTC"], manifest.model_dump_json(), as_json
    )


@app.command()
def password() -> None:
    """Set the password of the web page (at least 10 characters); only its Argon2 hash is kept."""
    from copilot.passwords import PasswordFile

    file = PasswordFile(_settings().data_dir)
    try:
        chosen = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    except typer.Abort:
        raise typer.Exit(130) from None
    file.set(chosen)
    out.print("The password is set; the next `trading-copilot run` asks for it.")


def _print_reports(reports: Iterator[QualityReport], settings: Settings, page: Path | None, as_json: bool) -> None:
    """Print each report when its bars are stored, and keep all of them as a page where one is wanted."""
    from copilot.commands import to_json
    from copilot.ingesting import report_lines, write_report_page

    done = []
    for each in reports:
        done.append(each)
        _print_lines(report_lines(each, settings.language), to_json(each, indent=None), as_json)
    if page is not None:
        write_report_page(page, done, settings.language)


def _settings(**overrides: object) -> Settings:
    settings = load_settings(**{key: value for key, value in overrides.items() if value is not None})
    _set_up_logging(settings.log_level)
    return settings


def _set_up_logging(level: str) -> None:
    """Show our own messages from `level` on, and of libraries only errors."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for room in OUR_ROOMS:
        logging.getLogger(room).setLevel(level)


def _router(model: str | None) -> Router:
    from copilot.routing import Router

    settings = _settings(chat_model=model)
    return Router(settings)


def _tell_troubles(router: Router) -> None:
    """Say on standard error how often the offline model had to decide instead of the one that was asked for."""
    for code, count in router.troubles.most_common():
        _complain(f"the offline model decided {count} times instead of {router.name} ({code})")


def _decode(raw: bytes, number: int) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"line {number} is not UTF-8 (byte {error.start + 1})") from error


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {number} is not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise ConfigError(f"line {number} is nested too deeply") from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise ConfigError(f'line {number} must be a JSON object with "text"')
    history = record.get("history") or []
    if not isinstance(history, list) or not all(_is_turn(turn) for turn in history):
        raise ConfigError(f'line {number}: "history" must list objects with "role" (user or assistant) and "text"')
    return {**record, "history": history}


def _is_turn(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ("user", "assistant") and isinstance(turn.get("text"), str)


def _graded(record: dict[str, Any], number: int) -> dict[str, Any]:
    if not all(_is_answer(answer) for answer in [record.get("expect"), *(record.get("also") or [])]):
        raise ConfigError(f'line {number}: "expect" must be {{"calls": [...]}} or {{"ask": true}}')
    return record


def _is_answer(answer: object) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("calls") or [], list):
        return False
    calls = answer.get("calls") or []
    return all(isinstance(call, dict) and "tool" in call and isinstance(call.get("args"), dict) for call in calls)


def _json_number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on a terminal, and nothing elsewhere; report with a fraction (0-1) and what is being done."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0, visible=False)

        def report(done: float, what: str) -> None:
            bar.update(task, completed=done, description=what, visible=done < 1.0)

        yield report


def _say(line: str) -> None:
    out.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _complain(line: str) -> None:
    err.print(f"trading-copilot: {line}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def _worded(error: CopilotError) -> str:
    """Return an error as one line; one that carries a code is worded in the person's language."""
    is_worded = isinstance(error, InvalidRequest) or (
        isinstance(error, DataUnavailable) and error.code.startswith("ingest_")
    )
    if not is_worded:
        return " ".join(str(error).split())
    from copilot.wording import render_error

    return _ESCAPED.sub(r"\1", render_error(error, load_settings().language))


def _print_answer(markdown: str, json_text: str | None) -> None:
    """Print an answer: drawn on a terminal, as plain lines elsewhere, or the JSON that stands for it."""
    if json_text is None and out.is_terminal:
        out.print(Markdown(markdown))
    else:
        _print_lines([_ESCAPED.sub(r"\1", markdown)], json_text or "", json_text is not None)


def _print_lines(lines: Sequence[str], json_text: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json_text + "\n")
        return
    for line in lines:
        _say(line)
