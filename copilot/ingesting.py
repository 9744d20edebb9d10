"""What stands behind the commands that bring bars from databases and exchanges into the store.

Here words become values: a timeframe, a date, a mapping out of a file and the options that change it, the language of
a report. The reading itself is `engine.data`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from copilot.commands import Progress
from copilot.places import open_bar_store, prepare_data_dir
from copilot.settings import Settings
from engine.data import exchanges
from engine.data.files import write_atomically
from engine.data.ingest_table import DEFAULT_SOURCE, ingest_table
from engine.data.quality import QualityReport
from engine.data.quality_text import render_page
from engine.data.tables import TableMapping
from engine.domain.errors import ConfigError
from engine.domain.symbols import TIMEFRAMES, Timeframe, find_timeframe
from prompts import load_words


def ingest_mysql(
    settings: Settings,
    url: str,
    mapping: Path | None,
    symbols: Sequence[str],
    timeframe: str,
    *,
    source: str = DEFAULT_SOURCE,
    table: str | None = None,
    columns: str | None = None,
    time_zone: str | None = None,
    from_start: bool = False,
    progress: Progress,
) -> Iterator[QualityReport]:
    """Read bars from MySQL or MariaDB into the bar store; yield each symbol's report once its bars are stored.

    An interrupted run goes on where it was when the same command is given again; a finished one reads what is new.

    Args:
        settings: Where the store lies.
        url: `mysql://user:password@host/name`.
        mapping: A YAML file that says where the bars lie; None means that they are found.
        symbols: Which; none means all that the tables tell of.
        timeframe: Length of the bars.
        source: Folder of the bar store to write to.
        table: Table, over the mapping's.
        columns: `time=ts,open=o`, over the mapping's.
        time_zone: Zone of times without one, over the mapping's.
        from_start: Read everything again.
        progress: Told the share that is done, and the symbol.

    Raises:
        ConfigError: The mapping or an option cannot be understood.
        InvalidRequest: The URL, a table, a column or a symbol is not there.
        DataUnavailable: The server stays away or refuses; what was read is kept.
    """
    wanted = _timeframe(timeframe)
    chosen = _mapping(mapping, table, columns, time_zone)
    prepare_data_dir(settings)
    yield from ingest_table(
        url,
        open_bar_store(settings),
        chosen,
        symbols,
        wanted,
        source=source,
        from_start=from_start,
        progress=progress,
    )


def ingest_exchange(
    settings: Settings,
    exchange: str,
    symbols: Sequence[str],
    timeframe: str,
    since: str | None,
    *,
    source: str | None = None,
    base_url: str | None = None,
    progress: Progress,
) -> Iterator[QualityReport]:
    """Read bars from an exchange into the bar store; yield each symbol's report once its bars are stored.

    Args:
        settings: Where the store lies.
        exchange: A ccxt id, such as `binance`.
        symbols: Which, at least one.
        timeframe: Length of the bars.
        since: A date, or a time, UTC unless it says otherwise; None goes on from the last run or begins at the start.
        source: Folder of the bar store to write to; None means the exchange's id.
        base_url: Address to use instead of the exchange's own.
        progress: Told the share that is done, and the symbol.

    Raises:
        ConfigError: An option cannot be understood.
        InvalidRequest: The exchange, a symbol or the timeframe does not exist.
        DataUnavailable: The exchange does not answer or has no bars; what was read is kept.
    """
    wanted, begin = _timeframe(timeframe), None if since is None else _time(since)
    if not symbols:
        raise ConfigError("name at least one symbol to read from an exchange, such as --symbol BTC/USDT")
    prepare_data_dir(settings)
    yield from exchanges.ingest_exchange(
        exchange, open_bar_store(settings), symbols, wanted, begin, source=source, base_url=base_url, progress=progress
    )


def report_lines(report: QualityReport, language: str) -> tuple[str, ...]:
    """Return a report as plain lines in a language."""
    return report.lines(load_words(language, "quality"))


def write_report_page(path: Path, reports: Sequence[QualityReport], language: str) -> None:
    """Write reports as one HTML page, in a language.

    Raises:
        ConfigError: The file cannot be written.
    """
    page = render_page(reports, load_words(language, "quality"))
    try:
        write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"), is_private=False)
    except OSError as error:
        raise ConfigError(f"the report {path} cannot be written: {error}") from error


def _timeframe(text: str) -> Timeframe:
    timeframe = find_timeframe(text)
    if timeframe is None:
        raise ConfigError(f"--timeframe {text!r} is not known; choose one of {', '.join(TIMEFRAMES)}")
    return timeframe


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--since {text!r} is not a date; write it like 2020-01-31 or 2020-01-31T12:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _mapping(file: Path | None, table: str | None, columns: str | None, time_zone: str | None) -> TableMapping:
    mapping = TableMapping() if file is None else TableMapping.read(file)
    changes: dict[str, object] = {}
    if table is not None:
        changes["table"] = table
    if time_zone is not None:
        changes["time_zone"] = time_zone
    if columns is not None:
        changes["columns"] = {**mapping.columns, **_columns(columns)}
    try:
        return TableMapping.model_validate({**mapping.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(f"--columns {columns!r}: {error.errors()[0]['msg']}") from error


def _columns(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(not ours.strip() or not equals or not theirs.strip() for ours, equals, theirs in pairs):
        raise ConfigError(f"--columns {text!r} must read like time=ts,open=o,high=h,low=l,close=c,volume=v,symbol=s")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
