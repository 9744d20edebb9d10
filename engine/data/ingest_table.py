"""Bring bars from a database into the store: in chunks, resumable, and only what is new the next time.

Each range of keys is read, judged and put on the disk before it counts, so a killed run goes on with the range that it
was in. A connection that is lost is opened again after a pause, and the range is read from its start. The next run
begins at the last row that was read, because that bar may not have been over; rows that are added earlier than that, or
changed there, are read again only when `from_start` asks for it. Nothing is read twice into the store: it is merged by
time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from engine.data.cells import read_whole, split_lines, to_raw
from engine.data.chunked import Progress, finish, staging_of, tell_nobody, try_again
from engine.data.mysql import MySqlBars, SeriesTable
from engine.data.quality import QualityReport, RawBars
from engine.data.staging import Staging
from engine.data.store import BarStore
from engine.data.tables import TableMapping
from engine.data.times import Zone, find_zone, read_times, wall_to_utc
from engine.domain.errors import InvalidRequest
from engine.domain.symbols import Timeframe

DEFAULT_SOURCE = "mysql"
ROWS_PER_RANGE = 200_000
"""Rows that a kill costs at most, about."""
_ROWS_PER_PART = 200_000


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
    tell = progress or tell_nobody
    zone = find_zone(mapping.time_zone)
    database = MySqlBars(url, mapping)
    try:
        tables = try_again(lambda: database.series(symbols, timeframe), pause)
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


class _Reader:
    """Read one symbol's rows, range by range."""

    def __init__(
        self,
        database: MySqlBars,
        table: SeriesTable,
        staging: Staging,
        zone: Zone,
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
            try_again(partial(self._read_range, first, end), self._pause)
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
