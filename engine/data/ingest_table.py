"""Bring bars from a database into the store: in chunks, resumable, and only what is new the next time.

Each range of keys is read, judged and put on the disk before it counts, so a killed run goes on with the range that it
was in. A connection that is lost is opened again after a pause, and the range is read from its start. The next run
begins at the last row that was read, because that bar may not have been over; rows that are added earlier than that, or
changed there, are read again only when `from_start` asks for it. Nothing is read twice into the store: it is merged by
time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import TypeVar

from engine.data.cells import read_whole, split_lines, to_raw
from engine.data.mysql import MySqlBars, SeriesTable, ServerGone
from engine.data.quality import QualityReport, RawBars, make_report
from engine.data.series import SeriesCheck
from engine.data.staging import Staging, open_staging
from engine.data.store import BarStore
from engine.data.tables import TableMapping
from engine.data.times import find_zone, read_times, wall_to_utc
from engine.domain.errors import DataUnavailable, InvalidRequest
from engine.domain.symbols import Timeframe

DEFAULT_SOURCE = "mysql"
ROWS_PER_RANGE = 200_000
"""Rows that a kill costs at most, about."""
_ROWS_PER_PART = 200_000
_ATTEMPTS = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_MOST_BAD_RATIO = 0.5

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Progress = Callable[[float, str], None]
"""Told the share of everything that is done, and the symbol at hand."""


def ingest_table(
    url: str,
    store: BarStore,
    mapping: TableMapping,
    symbols: Sequence[str],
    timeframe: Timeframe,
    *,
    source: str = DEFAULT_SOURCE,
    from_start: bool = False,
    rows_per_range: int = ROWS_PER_RANGE,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[QualityReport]:
    """Read bars of one timeframe from MySQL or MariaDB into the store; yield each symbol's report once it is stored.

    Args:
        url: SQLAlchemy URL of the database.
        store: Where the bars go.
        mapping: Where they lie, as far as it is not to be guessed.
        symbols: Which, in any usual writing; none means all that the tables tell of.
        timeframe: Length of their bars.
        source: The name under which the store keeps them.
        from_start: Read everything again, also what was read before.
        rows_per_range: Rows that are read before they count.
        progress: Called while it reads.
        pause: Waits some seconds, between attempts to reach a server that is gone.

    Raises:
        DataUnavailable: The server stays away, refuses access, or has hardly any bar there; what was read is kept.
        InvalidRequest: The URL, a table, a column or a symbol is not there; the message lists what is.
    """
    tell = progress or _tell_nobody
    zone = find_zone(mapping.time_zone)
    database = MySqlBars(url, mapping)
    try:
        tables = retry_gone(lambda: database.series(symbols, timeframe), pause)
        for number, table in enumerate(tables):

            def share(done: float, number: int = number, symbol: str = table.symbol) -> None:
                tell((number + done) / len(tables), symbol)

            with staging_of(store, source, table.symbol, timeframe, table.fingerprint) as staging:
                if from_start:
                    staging.restart()
                reader = _Reader(database, table, staging, zone, mapping, share, pause)
                reader.read(rows_per_range)
                # The last key is read again next time: its bar may not be over, and a day may not be.
                report = finish(staging, store, source, table.table, table.symbol, timeframe, table.last)
            yield report
        tell(1.0, "")
    finally:
        database.close()


def finish(
    staging: Staging,
    store: BarStore,
    source: str,
    label: str,
    symbol: str,
    timeframe: Timeframe,
    watermark: int | None,
) -> QualityReport:
    """Merge what was read into the store and return the report: of the rows read now, and of the series as it is.

    Args:
        staging: What was read.
        store: Where it goes.
        source: The name under which the store keeps it.
        label: What the report calls the table or the exchange.
        symbol: The instrument.
        timeframe: Length of its bars.
        watermark: The key from which the next run reads; None keeps nothing, so that it reads from the start.

    Raises:
        DataUnavailable: Most rows are bad, or there are no bars at all; nothing is merged then.
    """
    tally = staging.tally
    bad = sum(one.count for one in tally.bad)
    if bad > _MOST_BAD_RATIO * tally.rows_read:
        staging.restart()
        first = min((example for kind in tally.bad for example in kind.examples), key=lambda one: one.row)
        reasons = ", ".join(f"{kind.reason} {kind.count}" for kind in tally.bad)
        raise DataUnavailable(
            f"{label}: only {tally.rows_read - bad} of {tally.rows_read} rows are bars of {symbol} ({reasons}); "
            f"first at row {first.row}, column {first.column}: {first.value}"
        )
    tally, counts = staging.merge(watermark)
    check = SeriesCheck(symbol, timeframe)
    for block in store.blocks(source, symbol, timeframe):
        check.update(block)
    found = check.finish()
    if found is None:
        raise DataUnavailable(f"{label} holds no {timeframe} bars of {symbol}")
    report = make_report(
        label,
        symbol,
        timeframe,
        found,
        rows_read=tally.rows_read,
        bad=tally.bad,
        duplicates=counts.duplicates,
        conflicts=counts.conflicts,
        unsorted=tally.unsorted,
    )
    return replace(report, added=counts.added, replaced=counts.replaced, unchanged=counts.unchanged)


@contextmanager
def staging_of(store: BarStore, source: str, symbol: str, timeframe: Timeframe, fingerprint: str) -> Iterator[Staging]:
    """Open the staging of a series.

    Raises:
        InvalidRequest: The source is not a safe name.
        DataUnavailable: Another program ingests the same series now.
    """
    try:
        store.staging_folder(source, symbol, timeframe)
    except ValueError as error:
        raise InvalidRequest("ingest_source", file=symbol, source=source) from error
    with open_staging(store, source, symbol, timeframe, fingerprint) as staging:
        yield staging


def try_again_after(attempt: int) -> float:
    """Return how many seconds to wait after a failed attempt, counted from 0."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)


def retry_gone(work: Callable[[], Answer], pause: Callable[[float], None]) -> Answer:
    """Do some work, again after growing pauses while the server is gone.

    Raises:
        DataUnavailable: It stays away.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except ServerGone as error:
            if attempt + 1 == _ATTEMPTS:
                message = f"the database does not answer ({error}); what was read is kept, run it again to go on"
                raise DataUnavailable(message, code="ingest_database_gone", attempts=_ATTEMPTS) from error
            _log.warning("the database is gone (%s); attempt %d of %d", error, attempt + 2, _ATTEMPTS)
            pause(try_again_after(attempt))
    raise AssertionError("the last attempt answers or raises")


class _Reader:
    """Read one symbol's rows, range by range."""

    def __init__(
        self,
        database: MySqlBars,
        table: SeriesTable,
        staging: Staging,
        zone: tzinfo,
        mapping: TableMapping,
        share: Callable[[float], None],
        pause: Callable[[float], None],
    ) -> None:
        self._database, self._table, self._staging = database, table, staging
        self._zone, self._format = zone, mapping.time_format
        self._share, self._pause = share, pause

    def read(self, rows_per_range: int) -> None:
        ranges = list(self._table.ranges(self._staging.watermark, rows_per_range))
        for number, (first, end) in enumerate(ranges):
            retry_gone(partial(self._read_range, first, end), self._pause)
            self._staging.commit(end)
            self._share((number + 1) / len(ranges))

    def _read_range(self, first: int, end: int) -> None:
        self._staging.drop()
        row, lines = self._staging.tally.rows_read + 1, []
        for some in self._database.rows(self._table.between(first, end)):
            lines += some
            if len(lines) >= _ROWS_PER_PART:
                self._staging.add(self._to_raw(lines, row))
                row, lines = row + len(lines), []
        if lines:
            self._staging.add(self._to_raw(lines, row))

    def _to_raw(self, lines: list[str], first_row: int) -> RawBars:
        cells, unsplit = split_lines(lines, self._table.cells, first_row)
        times = cells["time"]
        match self._table.time_kind:
            case "text":
                try:
                    seconds, has_time = read_times(times, self._zone, self._format)
                except ValueError as error:
                    raise InvalidRequest(
                        "ingest_time_format", file=self._table.table, row=first_row, column="time", value=str(error)
                    ) from error
            case kind:
                seconds, has_time = read_whole(times, self._table.per_second)
                if kind == "wall":
                    utc, is_certain = wall_to_utc(seconds, self._zone)
                    seconds, has_time = utc, has_time & is_certain
        return to_raw(cells, seconds, has_time, first_row=first_row, rows_read=len(lines), unsplit=unsplit)


def _tell_nobody(_share: float, _symbol: str) -> None:
    return
