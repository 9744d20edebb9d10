"""Commands that bring bars into the columnar store.

Heavy parts are imported by the command that needs them, so that `--help` starts at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from copilot.command_line.console import command_words, complain, print_lines, progress, read_settings
from copilot.settings import Settings

if TYPE_CHECKING:
    from engine.data.quality import QualityReport


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
    from copilot.ingesting import report_lines

    settings, done = read_settings(), 0
    try:
        with progress() as report:
            for each in ingest_files(
                settings, files, source, symbol=symbol, timeframe=timeframe, columns=columns, time_zone=time_zone,
                progress=report,
            ):  # fmt: skip
                done += 1
                print_lines(report_lines(each, settings.language), to_json(each, indent=None), as_json)
    finally:
        # The error itself follows, on the line of `main`.
        if 0 < done < len(files):
            told = command_words(settings)["partly_stored"]
            complain(told.format(done=done, count=len(files), file=files[done]))


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

    settings = read_settings()
    with progress() as report:
        reports = ingesting.ingest_mysql(
            settings, url, mapping, symbol or (), timeframe, source=source, table=table, columns=columns,
            time_zone=time_zone, from_start=from_start, progress=report,
        )  # fmt: skip
        _print_reports(reports, settings, page, as_json)


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

    settings = read_settings()
    with progress() as report:
        reports = ingesting.ingest_exchange(
            settings, exchange, symbol, timeframe, since, source=source, progress=report
        )  # fmt: skip
        _print_reports(reports, settings, page, as_json)


def _print_reports(reports: Iterator[QualityReport], settings: Settings, page: Path | None, as_json: bool) -> None:
    """Print each report when its bars are stored, and keep all of them as a page where one is wanted."""
    from copilot.commands import to_json
    from copilot.ingesting import report_lines, write_report_page

    done = []
    for each in reports:
        done.append(each)
        print_lines(report_lines(each, settings.language), to_json(each, indent=None), as_json)
    if page is not None:
        write_report_page(page, done, settings.language)
