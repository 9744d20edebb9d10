"""Turn columns of cells, as a file or a table holds them, into raw bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.quality import BadRows, RawBars
from engine.domain.market import FloatArray, IntArray
from engine.domain.sessions import BoolArray

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
