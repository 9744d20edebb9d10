"""Find the columns of bars in a file, whatever its maker called them, and read its cells.

Every reader gives the same thing: columns by our names, still as the file holds them. CSV is read as text, so
that a cell that is no number can be quoted in a message instead of spoiling its column.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from engine.data.quality import BadRow, BadRows
from engine.data.series import EXAMPLES
from engine.domain.errors import DataUnavailable, InvalidRequest

Progress = Callable[[float], None]

ALIASES: dict[str, tuple[str, ...]] = {
    "time": (
        "time", "timestamp", "datetime", "date_time", "open_time", "opentime", "date", "time_utc", "utc",
        "gmt_time", "local_time", "ts", "t", "unix", "unix_time", "__index_level_0__", "index",
    ),
    "open": ("open", "o", "open_price", "openprice", "bid_open", "open_bid"),
    "high": ("high", "h", "high_price", "highprice", "max", "bid_high", "high_bid"),
    "low": ("low", "l", "low_price", "lowprice", "min", "bid_low", "low_bid"),
    "close": ("close", "c", "close_price", "closeprice", "last", "bid_close", "close_bid"),
    "volume": (
        "volume", "v", "base_volume", "volume_base", "tick_volume", "tickvolume", "tickvol", "tick_vol", "ticks",
        "vol", "real_volume",
    ),
}  # fmt: skip
"""Names of each column, the most trusted first; compared in lower case, without `<>`, spaces as `_`."""
DAY_COLUMN = "day"
"""Our name for the date, where a file keeps date and time of day apart."""

_HEADERLESS = ("time", "open", "high", "low", "close", "volume")
_CSV_ENDINGS = (".csv", ".txt", ".tsv", ".csv.gz")
_PARQUET_ENDINGS = (".parquet", ".pq")
_DELIMITERS = ("\t", ";", "|", ",")
_NULLS = ["", "nan", "NaN", "null", "NULL", "None", "NA", "N/A"]
_READ_BLOCK_BYTES = 4 << 20
_PARQUET_BATCH_ROWS = 1 << 17
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """The columns of bars of one file.

    Attributes:
        columns: By our names (`time`, `open`, ...; `day` where the date has a column of its own).
        names: The file's own name of each.
        rows_read: Rows of data in the file, those that could not be split into columns included.
        unsplit: Rows with the wrong number of columns.
    """

    columns: Mapping[str, pa.ChunkedArray]
    names: Mapping[str, str]
    rows_read: int
    unsplit: BadRows | None = None


def read_table(path: Path, mapping: Mapping[str, str], progress: Progress) -> RawTable:
    """Read the columns of bars of a CSV or Parquet file.

    Args:
        path: The file; its ending tells its kind.
        mapping: Our column name to the file's, where guessing must not decide.
        progress: Called with the share that is read.

    Raises:
        DataUnavailable: The file is empty or damaged.
        InvalidRequest: Its kind is not known, or a column cannot be found.
    """
    name = path.name.lower()
    try:
        if name.endswith(_PARQUET_ENDINGS):
            return _read_parquet(path, mapping, progress)
        if name.endswith(_CSV_ENDINGS):
            return _read_csv(path, mapping, progress)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataUnavailable(f"{path} cannot be read: {error}") from error
    raise InvalidRequest("ingest_file_kind", file=path.name, kinds=", ".join((*_CSV_ENDINGS, *_PARQUET_ENDINGS)))


def find_columns(file: str, available: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the name that a file or a table has for each of our columns; `volume` may be missing, nothing else.

    Raises:
        InvalidRequest: A column is missing, or the mapping names one that is not there or that we do not know.
    """
    for ours, theirs in mapping.items():
        if ours not in ALIASES:
            raise InvalidRequest("ingest_mapping", column=ours, allowed=", ".join(ALIASES))
        if theirs not in available:
            raise InvalidRequest("ingest_column_missing", file=file, column=theirs, found=", ".join(available))
    by_plain = {plain_name(name): name for name in reversed(available)}
    found = dict(mapping)
    for ours, aliases in ALIASES.items():
        guess = next((by_plain[alias] for alias in aliases if alias in by_plain), None)
        if guess is not None:
            found.setdefault(ours, guess)
        elif ours not in found and ours != "volume":
            raise InvalidRequest("ingest_column_missing", file=file, column=ours, found=", ".join(available))
    return found


def _read_parquet(path: Path, mapping: Mapping[str, str], progress: Progress) -> RawTable:
    with pq.ParquetFile(path) as file:
        available = file.schema_arrow.names
        names = find_columns(path.name, available, mapping)
        names = _with_day(names, available, mapping)
        rows = file.metadata.num_rows
        if rows == 0:
            raise DataUnavailable(f"{path} holds no rows")
        batches, read = [], 0
        for batch in file.iter_batches(_PARQUET_BATCH_ROWS, columns=sorted(set(names.values()))):
            batches.append(batch)
            read += batch.num_rows
            progress(read / rows)
    table = pa.Table.from_batches(batches)
    return RawTable({ours: table.column(theirs) for ours, theirs in names.items()}, names, rows)


def _read_csv(path: Path, mapping: Mapping[str, str], progress: Progress) -> RawTable:
    head, encoding = _first_line(path)
    delimiter = max(_DELIMITERS, key=head.count)
    cells = [cell.strip().strip('"') for cell in head.split(delimiter)]
    has_header = any(re.search(r"[A-Za-z]{2}|^[ohlcvt]$", cell) for cell in cells)
    available = (
        cells if has_header else [*_HEADERLESS, *(f"column_{n}" for n in range(7, len(cells) + 1))][: len(cells)]
    )
    names = _with_day(find_columns(path.name, available, mapping), available, mapping)
    unsplit: list[BadRow] = []
    counted = [0]

    def skip(row: pa.csv.InvalidRow) -> str:
        counted[0] += 1
        if len(unsplit) < EXAMPLES:
            number = (row.number or 0) - 1 * has_header
            unsplit.append(BadRow(number, f"{row.actual_columns} columns, not {row.expected_columns}", str(row.text)))
        return "skip"

    batches = _csv_batches(path, encoding, delimiter, available, has_header, skip, progress)
    if not batches or not sum(batch.num_rows for batch in batches):
        raise DataUnavailable(f"{path} holds no rows that fit its {len(available)} columns")
    table = pa.Table.from_batches(batches)
    return RawTable(
        {ours: table.column(theirs) for ours, theirs in names.items()},
        names,
        table.num_rows + counted[0],
        BadRows("wrong_columns", counted[0], tuple(unsplit)) if counted[0] else None,
    )


def _csv_batches(
    path: Path,
    encoding: str,
    delimiter: str,
    available: Sequence[str],
    has_header: bool,
    skip: Callable[[pa.csv.InvalidRow], str],
    progress: Progress,
) -> list[pa.RecordBatch]:
    size, seen, batches = max(1, path.stat().st_size), 0, []
    reader = pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(
            # One thread: only then does the reader know the numbers of the rows that it cannot split.
            use_threads=False,
            block_size=_READ_BLOCK_BYTES,
            column_names=list(available),
            skip_rows=1 * has_header,
            encoding=encoding,
        ),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(available, pa.string()), null_values=_NULLS, strings_can_be_null=True
        ),
    )
    with reader:
        for batch in reader:
            batches.append(batch)
            seen += batch.nbytes
            # The text in memory is a little larger than in the file: close enough for a bar.
            progress(min(1.0, seen / size))
    return batches


def _first_line(path: Path) -> tuple[str, str]:
    """Return the first line and the encoding of a text file."""
    with pa.input_stream(str(path)) as stream:
        head = bytes(stream.read(64 << 10))
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")
    text = head.decode(encoding, errors="replace").lstrip("\ufeff")
    line = text.splitlines()[0] if text.strip() else ""
    if not line.strip():
        raise DataUnavailable(f"{path} is empty, or its first line is")
    return line, encoding


def _with_day(names: dict[str, str], available: Sequence[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Add the date's column when the time of day has one of its own, as in MetaTrader's exports."""
    if "time" in mapping or plain_name(names["time"]) != "time":
        return names
    day = next((name for name in available if plain_name(name) == "date"), None)
    return names if day is None else {**names, DAY_COLUMN: day}


def plain_name(name: str) -> str:
    """Return a column's name as the aliases are written."""
    return re.sub(r"[\s.-]+", "_", name.strip().strip("<>").lower())
