"""A backtest as a PNG: equity above, drawdown below, with years and amounts at the edges.

Drawn point by point, because none of the libraries here draws a picture without a browser; it needs no words, so that
it is the same in every language. The digits come from a small table of dots.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

from engine.backtest.result import Run
from engine.domain.market import FloatArray, IntArray

Canvas = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_INK, _GRID, _EQUITY, _FALL = (60, 60, 60), (225, 225, 225), (31, 119, 180), (214, 96, 77)
_LEFT, _EDGE, _SCALE = 90, 24, 2
_DOT_ROWS = 5
_MIN_HEIGHT = 160
# Rows of each sign from the top, three dots wide, as octal digits.
_DOTS = {
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71122",
    "8": "75757", "9": "75717", "-": "00700", ".": "00002", "%": "51245", "k": "45655", "M": "57755", " ": "00000",
}  # fmt: skip
_LINES = 4


def report_picture(run: Run, *, width: int = 1200, height: int = 700) -> bytes:
    """Return a PNG of a run that kept its equity.

    Args:
        run: With at least one bar.
        width: In dots, at least 160.
        height: In dots, at least 160.

    Raises:
        ValueError: The run has no curve, or the picture would be too small to read.
    """
    if len(run.equity) == 0:
        raise ValueError("the run did not keep its equity; run it with has_equity=True")
    if width < _MIN_HEIGHT or height < _MIN_HEIGHT:
        raise ValueError(f"a picture of {width} x {height} cannot be read; use at least {_MIN_HEIGHT} each way")
    canvas = np.full((height, width, 3), 255, np.uint8)
    peaks = np.maximum.accumulate(np.maximum(run.equity, float(run.account.starting_cash)))
    parting = height * 2 // 3
    _draw_years(canvas, run.time)
    _draw_panel(canvas, _EDGE, parting - _EDGE, run.equity, _EQUITY, is_filled=False)
    _draw_panel(canvas, parting, height - _EDGE, 100 * (run.equity / peaks - 1), _FALL, is_filled=True)
    return _encode(canvas)


def _draw_panel(canvas: Canvas, top: int, bottom: int, values: FloatArray, colour: Colour, *, is_filled: bool) -> None:
    """Draw one curve between two rows of dots, with the span of each column as a stroke."""
    highest, lowest = float(values.max()), float(values.min())
    span = highest - lowest or 1.0

    def row_of(value: FloatArray) -> IntArray:
        rows: IntArray = np.rint(top + (highest - value) / span * (bottom - top)).astype(np.int64)
        return rows

    for level in np.linspace(lowest, highest, _LINES + 1):
        row = int(row_of(np.array([level]))[0])
        canvas[row, _LEFT:-_EDGE] = _GRID
        _write(canvas, row - _DOT_ROWS * _SCALE // 2, _LEFT - 8, _amount(level, is_filled))
    columns = canvas.shape[1] - _LEFT - _EDGE
    starts = np.arange(columns) * len(values) // columns
    ends = np.maximum(np.append(starts[1:], len(values)), starts + 1)
    for column, (start, end) in enumerate(zip(starts, ends, strict=True)):
        # A stroke begins where the last one ended, so that the curve is not torn.
        part = values[max(start - 1, 0) : end]
        upper, lower = row_of(np.array([part.max(), part.min()])).tolist()
        canvas[top if is_filled else max(upper - 1, 0) : lower + 1, _LEFT + column] = colour


def _draw_years(canvas: Canvas, time: IntArray) -> None:
    years = time.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    columns = canvas.shape[1] - _LEFT - _EDGE
    for row in np.flatnonzero(np.diff(years)) + 1:
        column = _LEFT + int(row * columns // len(time))
        canvas[_EDGE:-_EDGE, column] = _GRID
        _write(canvas, canvas.shape[0] - _EDGE + 6, column + 4 * len("0000") * _SCALE // 2, str(years[row]))


def _amount(value: float, is_percent: bool) -> str:
    if is_percent:
        return f"{value:.0f}%"
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size:
            return f"{value / size:.1f}{sign}"
    return f"{value:.2f}"


def _write(canvas: Canvas, top: int, right: int, text: str) -> None:
    """Write signs that end at a column; what falls outside the picture is left out."""
    left = right - 4 * _SCALE * len(text)
    for place, sign in enumerate(text):
        for row, bits in enumerate(_DOTS[sign]):
            for column in range(3):
                if int(bits, 8) >> (2 - column) & 1:
                    y, x = top + row * _SCALE, left + (4 * place + column) * _SCALE
                    canvas[max(y, 0) : max(y + _SCALE, 0), max(x, 0) : max(x + _SCALE, 0)] = _INK


def _encode(canvas: Canvas) -> bytes:
    """Return the picture in the PNG format (W3C Recommendation, 2nd edition): 8 bits, true colour, no filter."""
    height, width, _ = canvas.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = canvas.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
