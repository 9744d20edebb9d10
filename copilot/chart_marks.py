"""What both kinds of picture mark on bars: AMD phases as tinted regions, fills as triangles, and their names.

Colours and words are decided once, so that the page's figure and the PNG of a phone say the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from copilot.events import Language
from copilot.wording import format_price
from copilot.wording.formats import format_number
from engine.ledger import MAIN_BOOK
from tools.results import ChartData, ChartFill

Words = Mapping[str, Any]

PHASE_COLOURS = {"accumulation": "#5b8def", "manipulation": "#e0a030", "distribution": "#b07cf2"}
PHASE_OPACITY = 0.16
"""Strong enough to be told apart on white and on black, weak enough to read bars through."""
FILL_COLOURS = {"buy": "#1769e0", "sell": "#d9480f"}
"""Neither is a colour of bars: a fill must not look like one."""


@dataclass(frozen=True, slots=True)
class FillMark:
    """Fills of one side, ready to be drawn.

    Attributes:
        side: `buy` or `sell`.
        name: What the side is called.
        times: Open times of their bars.
        prices: Where they filled.
        told: What each was, in words.
    """

    side: str
    name: str
    times: tuple[int, ...]
    prices: tuple[float, ...]
    told: tuple[str, ...]


def fill_marks(chart: ChartData, words: Words, language: Language) -> tuple[FillMark, ...]:
    """Return a chart's fills by side; a side without any is left out."""
    marks = []
    for side in FILL_COLOURS:
        fills = [fill for fill in chart.fills if fill.side == side]
        if fills:
            marks.append(
                FillMark(
                    side=side,
                    name=words["fill"][side],
                    times=tuple(fill.time for fill in fills),
                    prices=tuple(float(fill.price) for fill in fills),
                    told=tuple(_told(fill, words, language) for fill in fills),
                )
            )
    return tuple(marks)


def phases_shown(chart: ChartData) -> tuple[str, ...]:
    """Return which phases a chart has, in the order in which a cycle passes through them."""
    present = {phase.phase for phase in chart.phases}
    return tuple(phase for phase in PHASE_COLOURS if phase in present)


def _told(fill: ChartFill, words: Words, language: Language) -> str:
    told = str(words["fill"]["told"]).format(
        side=words["fill"][fill.side],
        quantity=format_number(fill.quantity, language),
        price=format_price(fill.price, language),
    )
    return told if fill.book == MAIN_BOOK else f"{told} · {fill.book.capitalize()}"
