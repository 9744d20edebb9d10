"""What an answer may be made of, as values, and whether a figure of a text states one of them.

A figure states a fact exactly or as an honest rounding: to the digits that it shows, never so coarse that it says
something else. A percentage is stated by a percentage or by a ratio told as one; money by money; a number of things
only exactly.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from copilot.brain.checking.figures import Figure
from copilot.brain.checking.standing import Side
from copilot.brain.checking.words import Language

Kind = Literal[
    "price",
    "money",
    "quantity",
    "ratio",
    "pct",
    "multiple",
    "index",
    "count",
    "id",
    "duration",
    "bps",
    "plain",
    "other",
    "share",
]
"""What a number counts. `share`: a ratio told as a percentage; `plain` may be anything, as a person leaves it open."""

Day = tuple[int | None, int, int]
"""Year (None when a person left it out), month and day."""

_COARSE, _COARSE_SCALED = Decimal("0.07"), Decimal("0.01")
"""How far, in parts of the number, a rounding with fewer than two decimals, or to thousands, may lie from it."""
_EXACT_KINDS = frozenset({"count", "id"})
_COVERS: dict[str, frozenset[str]] = {
    "": frozenset(
        {"price", "money", "quantity", "ratio", "pct", "multiple", "index", "count", "id", "bps", "plain", "other"}
    ),
    "percent": frozenset({"pct", "share", "index", "plain"}),
    "money": frozenset({"price", "money", "plain"}),
    "asset": frozenset({"quantity", "price", "money", "plain"}),
    "multiple": frozenset({"multiple", "plain"}),
    "seconds": frozenset({"duration", "plain"}),
    "bps": frozenset({"bps", "plain"}),
    "ratio": frozenset({"multiple"}),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One number that is known; `is_signed` when its sign tells gain from loss, `role` what people call it."""

    value: Decimal
    kind: Kind
    is_signed: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the text of one turn may say.

    Attributes:
        numbers: Sorted by absolute value.
        identifiers: Names with digits in them (`1h`, `all-1h-20250301`), lower case.
        dates, clocks: Days, and hours and minutes in UTC.
        symbols: Instruments that results or messages name.
        directions: What the signal of an instrument advises: `long`, `short` or `none`.
        deeds, history: What results say was done now, and what may be told of the past.
        lines, holdings, leanings: Instruments with a side: of orders, of positions, of the market.
        is_pending: Whether a ticket waits for its owner.
        asked: The side that the person's last message speaks of, if it names one.
        currencies: Codes of the money that amounts are in.
        bases: Codes of currencies that are held as instruments (EUR of EURUSD).
    """

    language: Language
    numbers: tuple[Fact, ...]
    identifiers: frozenset[str]
    dates: frozenset[Day]
    clocks: frozenset[tuple[int, int]]
    symbols: frozenset[str]
    directions: Mapping[str, str]
    deeds: frozenset[str]
    history: frozenset[str]
    lines: frozenset[tuple[str, str]]
    holdings: frozenset[tuple[str, str]]
    leanings: frozenset[tuple[str, str]]
    is_pending: bool
    asked: Side | None
    currencies: frozenset[str]
    bases: frozenset[str]
    _sizes: tuple[Decimal, ...] = field(repr=False, default=())
    _names: re.Pattern[str] | None = field(repr=False, default=None)

    def covering(self, figure: Figure) -> list[Fact]:
        """Return the facts that a figure states, exactly or as an honest rounding; empty when there is none.

        A length of time may also be rounded down to whole units, as people do.
        """
        if figure.value is None:
            return []
        below, kinds = figure.step / 2, _COVERS[figure.unit]
        above = figure.step if figure.unit == "seconds" else below
        found = []
        for index in range(bisect_left(self._sizes, figure.value - below), len(self._sizes)):
            if self._sizes[index] > figure.value + above:
                break
            fact = self.numbers[index]
            if fact.kind in kinds and _states(figure, fact):
                found.append(fact)
        return found

    def knows_date(self, text: str) -> bool:
        """Tell whether a written date, or date and time, is one of the facts."""
        day, _, clock = text.partition(" ")
        if clock and not self.knows_clock(clock):
            return False
        return any(
            month == known[1] and number == known[2] and (year is None or known[0] is None or year == known[0])
            for year, month, number in read_dates(day)
            for known in self.dates
        )

    def knows_clock(self, text: str) -> bool:
        """Tell whether a written time of day is one of the facts."""
        return read_clock(text) in self.clocks

    def knows_year(self, value: Decimal) -> bool:
        """Tell whether a whole number is the year of a date that is a fact."""
        return any(year == value for year, _, _ in self.dates)

    def mask_names(self, text: str) -> str:
        """Return a text with known names that hold digits blanked out; positions stay."""
        return text if self._names is None else self._names.sub(lambda match: " " * len(match[0]), text)


def _states(figure: Figure, fact: Fact) -> bool:
    if figure.sign and fact.value * figure.sign < 0:
        return False
    if figure.sign < 0 and fact.value > 0:
        return False
    value = abs(fact.value)
    away = abs(value - figure.value) if figure.value is not None else value
    if away == 0:
        return True
    if fact.kind in _EXACT_KINDS:
        return False
    if figure.is_scaled:
        return away <= _COARSE_SCALED * value
    return figure.step <= Decimal("0.01") or away <= _COARSE * value


def read_clock(text: str) -> tuple[int, int] | None:
    """Return hour and minute of a written time of day.

    >>> read_clock("2:30 pm"), read_clock("25:00")
    ((14, 30), None)
    """
    match = re.match(r"(\d{1,2}):(\d{2})(?::\d{2})?(?: ([ap])m)?$", text)
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2])
    if match[3]:
        hour = hour % 12 + (12 if match[3] == "p" else 0)
    return (hour, minute) if hour < 24 and minute < 60 else None


def read_dates(text: str) -> Iterator[Day]:
    """Yield the readings of a written date as year (None when it is not told), month and day."""
    iso = re.match(r"(\d{4}|\?{4})-(\d{2})-(\d{2})", text)
    if iso:
        yield (None if iso[1] == "????" else int(iso[1])), int(iso[2]), int(iso[3])
        return
    first, second, year = (int(part) for part in text.split("/"))
    year += 2000 if year < 100 else 0
    yield year, second, first
    yield year, first, second
