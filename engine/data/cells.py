"""Turn columns of cells, as a file or a table holds them, into raw bars."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from engine.data.quality import BadRow, BadRows, RawBars
from engine.data.series import EXAMPLES
from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray

SEPARATOR = "\x1f"
"""Stands between the cells of a line; no number, time or name holds it."""
NUMBERS = ("open", "high", "low", "close", "volume")


def to_raw(
    cells: Mapping[str, pa.ChunkedArray],
    time: IntArray,
    has_time: BoolArray,
    *,
    first_row: int = 1,
    rows_read: int | None = None,
    unsplit: BadRows | None = None,
) -> RawBars:
    """Return raw bars out of columns.

    Args:
        cells: `time`, `open`, `high`, `low`, `close` and perhaps `volume` (0 where there is none), as they were read.
        time: Seconds since the epoch of each row.
        has_time: Whether each could be read.
        first_row: The number that messages give the first row.
        rows_read: Rows of the source, those that could not be split included; None means the rows of the columns.
        unsplit: Those that could not be split.
    """
    rows = len(time)
    numbers = {name: read_numbers(cells[name]) if name in cells else np.zeros(rows) for name in NUMBERS}
    return RawBars(
        row=np.arange(first_row, first_row + rows, dtype=np.int64),
        time=time,
        has_time=has_time,
        **numbers,
        text=lambda row, column: str(cells[column][row - first_row].as_py()),
        rows_read=rows if rows_read is None else rows_read,
        unsplit=unsplit,
    )


def read_numbers(column: pa.ChunkedArray) -> FloatArray:
    """Return a column as numbers, NaN where a cell is none."""
    if not pa.types.is_string(column.type):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    trimmed = pc.utf8_trim_whitespace(column)
    try:
        return np.asarray(trimmed.cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        texts = trimmed.to_pandas()
        if not texts.str.contains(".", regex=False).fillna(False).any():
            texts = texts.str.replace(",", ".", regex=False)
        return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)


def split_lines(
    lines: Sequence[str], names: Sequence[str], first_row: int
) -> tuple[dict[str, pa.ChunkedArray], BadRows | None]:
    """Return lines of cells with `SEPARATOR` between them as columns of text, and the lines that do not fit.

    Args:
        lines: One for each row; an empty cell is null.
        names: The name of each cell of a line.
        first_row: The number that messages give the first line.
    """
    unsplit: list[BadRow] = []
    counted = [0]

    def skip(row: pa.csv.InvalidRow) -> str:
        counted[0] += 1
        if len(unsplit) < EXAMPLES:
            number = first_row - 1 + (row.number or 1)
            unsplit.append(BadRow(number, f"{row.actual_columns} columns, not {row.expected_columns}", str(row.text)))
        return "skip"

    joined = "\n".join(lines)
    if joined.count("\n") >= len(lines) or "\r" in joined:
        joined = "\n".join(" ".join(line.split("\r")).replace("\n", " ") for line in lines)
    table = pa.csv.read_csv(
        io.BytesIO(joined.encode()),
        read_options=pa.csv.ReadOptions(use_threads=False, column_names=list(names)),
        parse_options=pa.csv.ParseOptions(delimiter=SEPARATOR, quote_char=False, invalid_row_handler=skip),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    columns = {name: table.column(name) for name in names}
    return columns, BadRows("wrong_columns", counted[0], tuple(unsplit)) if counted[0] else None


def read_whole(column: pa.ChunkedArray, divisor: int = 1) -> tuple[IntArray, BoolArray]:
    """Return a column of digits as whole numbers, divided and rounded down, and whether each cell holds one."""
    has_value = np.asarray(column.is_valid().to_numpy(), dtype=np.bool_)
    filled = column.fill_null("0")
    try:
        whole = filled.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        numbers = read_numbers(filled)
        has_value &= np.isfinite(numbers)
        whole = np.floor(np.where(np.isfinite(numbers), numbers, 0.0)).astype(np.int64)
    return whole // divisor, has_value
