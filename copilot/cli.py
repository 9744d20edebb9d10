"""The command line: every command explains itself with `--help`, and errors are one line.

Exit status: 0 done, 1 the answer is "no" (a score missed, a file without bars, a proposal that waits), 2 wrong use or
settings, 130 interrupted. Standard output holds results alone; progress, warnings and errors go to standard error.
The commands stand in `copilot/command_line/`, by what they are for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from copilot import funds, live, switch
from copilot import token_commands as tokens
from copilot.command_line import account, data, models, routing, serving, upkeep
from copilot.command_line.console import complain, unescape
from copilot.settings import load_settings
from engine.domain.errors import ConfigError, CopilotError, DataUnavailable, InvalidRequest

app = typer.Typer(
    name="trading-copilot",
    help="A chat-first trading copilot that runs on your own machine. Start with: trading-copilot run",
    epilog="Completion in your shell: trading-copilot --install-completion",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("run", serving.run, "trading-copilot run --port 8080"),
    ("chat", serving.chat, "trading-copilot chat"),
    ("status", account.status, "trading-copilot status --json"),
    ("stop", switch.stop, "trading-copilot stop"),
    ("lift", switch.lift, "trading-copilot lift --yes"),
    ("api", serving.api, "trading-copilot api --port 8100"),
    ("ingest", data.ingest, "trading-copilot ingest BTCUSDT_1h.csv --columns time=date,open=o,high=h,low=l,close=c"),
    ("ingest-mysql", data.ingest_mysql, "trading-copilot ingest-mysql --symbol BTC/USDT --page quality.html"),
    (
        "ingest-exchange",
        data.ingest_exchange,
        "trading-copilot ingest-exchange binance --symbol BTC/USDT --since 2024-01-01",
    ),
    ("train", models.train, "trading-copilot train --timeframe 1h"),
    ("rollback", models.rollback, "trading-copilot rollback --symbol BTC/USDT"),
    ("backtest", models.backtest, "trading-copilot backtest breakout --symbol BTC/USDT --days 365 --page report.html"),
    ("evaluate", models.evaluate_engine, "trading-copilot evaluate --bars btc.parquet --timeframe 1h --out scores"),
    ("route", routing.route, "echo 'buy 0.05 bitcoin' | trading-copilot route --text"),
    ("eval", routing.evaluate, "trading-copilot eval utterances.jsonl --model ollama:llama3.1:8b --out report.md"),
    ("doctor", upkeep.doctor, "trading-copilot doctor --json"),
    ("backup", upkeep.backup, "trading-copilot backup copilot.zip --bars"),
    ("restore", upkeep.restore, "COPILOT_DATA_DIR=new trading-copilot restore copilot.zip"),
    ("password", serving.password, "trading-copilot password"),
    ("live", live.live, "trading-copilot live --revoke"),
)
"""Names, what they do, and an example of each."""

for _name, _command, _example in _COMMANDS:
    app.command(name=_name, epilog=f"Example: {_example}")(_command)
app.add_typer(account.agents_app, name="agents")
app.add_typer(funds.app, name="funds")
app.add_typer(tokens.app, name="token")


def main() -> None:
    """Run the command line; known errors become one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # What cannot be encoded must not end an answer half way; in JSON the escape is the character itself.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # real streams can
    try:
        app(prog_name="trading-copilot")
    except CopilotError as error:
        complain(_worded(error))
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        exec("")  # else `python -m` ends as if killed when the interruption came inside an exec, as imports run them
        sys.exit(130)


def _worded(error: CopilotError) -> str:
    """Return an error as one line; one that carries a code is worded in the person's language."""
    is_worded = isinstance(error, InvalidRequest) or (
        isinstance(error, DataUnavailable) and error.code.startswith("ingest_")
    )
    if not is_worded:
        return " ".join(str(error).split())
    from copilot.wording import render_error

    return unescape(render_error(error, load_settings().language))
