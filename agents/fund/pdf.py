"""A statement as a PDF: the lines of the page, drawn on A4 by Matplotlib without a screen.

The same figures and words as the page (`agents.fund.lines`); a line that finds no room begins the next sheet. Importing
this file loads Matplotlib, which whoever writes no PDF need not wait for.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from agents.fund.lines import (
    MOVEMENT_HEADS,
    SUMMARY_HEADS,
    charged,
    due_line,
    fee_lines,
    fee_title,
    foot_lines,
    movement_line,
    standing_line,
    summary_lines,
    waiting_line,
)
from agents.fund.speech import Speech
from agents.fund.statement import Statement

_WIDTH_IN, _HEIGHT_IN = 8.27, 11.69
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.07, 0.93, 0.95, 0.06
_STEP = 0.0172
"""Height of a line, as a part of the sheet's."""
_LETTERS = 112
"""Letters of running text in a line."""
_INK, _SOFT, _TINT = "#1b2126", "#5c6770", "#0b6e5f"
_CHART_LINES = 10
_SUMMARY_ENDS = (_LEFT, 0.6, 0.77, _RIGHT)
_MOVEMENT_ENDS = (_LEFT, 0.235, 0.47, 0.545, 0.665, 0.79, _RIGHT)
_FEE_ENDS = (_LEFT, 0.75)

Look = Literal["title", "heading", "head", "plain", "sum", "soft", "gap", "chart"]
_SIZES: Mapping[str, float] = {"title": 16, "heading": 11, "head": 7.5, "plain": 8, "sum": 8, "soft": 7.5}
_HEIGHTS: Mapping[str, float] = {"title": 2.2, "heading": 1.7, "gap": 0.9, "chart": _CHART_LINES}


@dataclass(frozen=True, slots=True)
class Row:
    """One line on the sheet.

    Attributes:
        ends: Where each cell ends, as a part of the width; the first `texts` cells begin there instead.
    """

    look: Look
    cells: tuple[str, ...] = ()
    ends: tuple[float, ...] = (_LEFT,)
    texts: int = 1

    @property
    def height(self) -> float:
        """Return its height as a part of the sheet's."""
        return _STEP * _HEIGHTS.get(self.look, 1.0)


def statement_pdf(statement: Statement, words: Mapping[str, Any], *, made_at: datetime) -> bytes:
    """Return the PDF, complete in itself.

    Args:
        statement: Of one account and period.
        words: The section `page` of `prompts/<language>/fund.yaml`.
        made_at: When it was made, shown at its foot.

    Raises:
        KeyError: A word is missing.
    """
    say, written = Speech(words, safe=str), io.BytesIO()
    title = say("title", fund=statement.fund.capitalize(), period=say.period(statement))
    about = {"Title": title, "CreationDate": made_at, "Creator": None, "Producer": None}
    with PdfPages(written, metadata=about) as pages:
        for sheet in _sheets(statement_rows(statement, say, made_at=made_at)):
            pages.savefig(_draw(sheet, statement))
    return written.getvalue()


def statement_rows(statement: Statement, say: Speech, *, made_at: datetime) -> list[Row]:
    """Return every line of a statement, from its title to its foot."""
    span = f"{say.day(statement.period.start)} – {say.day(statement.period.end)} (UTC)"
    ratio = say("none") if statement.return_ratio is None else say.percent(statement.return_ratio)
    rows = [
        Row("title", (say("title", fund=statement.fund.capitalize(), period=say.period(statement)),)),
        Row("plain", (f"{statement.account.holder} · {statement.account.account} · {span}",)),
        Row("plain", (f"{say('return')}: {ratio} · {say('fees')}: {say.money(statement.fees)}",)),
    ]
    if len(statement.points) > 1:
        rows += [Row("heading", (say("chart"),)), Row("chart")]
    parts = (_summary(statement, say), _movements(statement, say), _fees(statement, say), _waiting(statement, say))
    rows += chain.from_iterable(parts)
    rows.append(Row("gap"))
    for line in foot_lines(statement, say, made_at):
        rows += _running(line)
    return rows


def _summary(statement: Statement, say: Speech) -> Iterator[Row]:
    def row(look: Look, cells: Sequence[str]) -> Row:
        return Row(look, tuple(cells), _SUMMARY_ENDS)

    yield Row("heading", (say("summary"),))
    yield row("head", [say(f"heads.{key}") for key in SUMMARY_HEADS])
    yield row("plain", standing_line(say("opening"), statement.opening, say))
    for name, amount in summary_lines(statement, say):
        yield row("plain", (name, "", "", say.signed(amount)))
    yield row("sum", standing_line(say("closing"), statement.closing, say))
    yield from _running(due_line(statement, say))


def _movements(statement: Statement, say: Speech) -> Iterator[Row]:
    yield Row("heading", (say("movements"),))
    if not statement.movements:
        yield Row("soft", (say("no_movements"),))
        return
    yield Row("head", tuple(say(f"heads.{key}") for key in MOVEMENT_HEADS), _MOVEMENT_ENDS, 2)
    for movement in statement.movements:
        yield Row("plain", movement_line(movement, say), _MOVEMENT_ENDS, 2)


def _fees(statement: Statement, say: Speech) -> Iterator[Row]:
    yield Row("heading", (say("fee_calculations"),))
    found = list(charged(statement))
    if not found:
        yield Row("soft", (say("no_fees"),))
    for movement, fees in found:
        yield Row("sum", (fee_title(movement, fees, say),))
        for line in fee_lines(fees, say):
            yield Row("plain", line, _FEE_ENDS)
        yield Row("gap")


def _waiting(statement: Statement, say: Speech) -> Iterator[Row]:
    if statement.waiting:
        yield Row("heading", (say("waiting"),))
    for order in statement.waiting:
        yield Row("plain", (waiting_line(order, say),))


def _running(text: str) -> list[Row]:
    return [Row("soft", (line,)) for line in textwrap.wrap(text, _LETTERS)]


def _sheets(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield what stands on each sheet; a heading never stands alone at the foot of one."""
    sheet, left = list[Row](), _TOP - _BOTTOM
    for row in rows:
        needed = row.height + (2 * _STEP if row.look in ("heading", "head") else 0.0)
        if needed > left:
            yield sheet
            sheet, left = [], _TOP - _BOTTOM
        sheet.append(row)
        left -= row.height
    yield sheet


def _draw(rows: Sequence[Row], statement: Statement) -> Figure:
    figure, top = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN)), _TOP
    for row in rows:
        top -= row.height
        if row.look == "chart":
            _draw_chart(figure, statement, top)
            continue
        for number, (cell, end) in enumerate(zip(row.cells, row.ends, strict=False)):
            # "$" begins a formula in Matplotlib, and a person's name is no formula.
            figure.text(
                end,
                top,
                cell.replace("$", r"\$"),
                ha="left" if number < row.texts else "right",
                fontsize=_SIZES.get(row.look, 8),
                fontweight="bold" if row.look in ("title", "heading", "sum") else "normal",
                color={"heading": _TINT, "head": _SOFT, "soft": _SOFT}.get(row.look, _INK),
            )
    return figure


def _draw_chart(figure: Figure, statement: Statement, bottom: float) -> None:
    axes = figure.add_axes((_LEFT + 0.06, bottom + _STEP, _RIGHT - _LEFT - 0.06, (_CHART_LINES - 1.5) * _STEP))
    days = np.array([np.datetime64(point.at.replace(tzinfo=None)) for point in statement.points])
    axes.plot(days, [float(point.value) for point in statement.points], color=_TINT)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=6, colors=_SOFT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
