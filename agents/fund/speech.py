"""Words, numbers and dates of a statement in its reader's language, for a page and for a PDF alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape
from typing import Any

from agents.fund.arithmetic import CENT
from agents.fund.statement import Statement


class Speech:
    """Words, numbers and dates in the reader's language.

    Args:
        words: The section `page` of `prompts/<language>/fund.yaml`.
        safe: Makes text harmless for where it is written; HTML by default.
    """

    def __init__(self, words: Mapping[str, Any], safe: Callable[[str], str] = escape) -> None:
        self._words = words
        self._safe = safe

    def __call__(self, key: str, **values: str) -> str:
        """Return a phrase."""
        found: Any = self._words
        for part in key.split("."):
            found = found[part]
        return self._safe(str(found).format(**values))

    def number(self, value: Decimal) -> str:
        """Write a number with all its digits."""
        plain = value.normalize() if value else Decimal(0)
        marks = str.maketrans({",": self._words["thousands_mark"], ".": self._words["decimal_mark"]})
        return self._safe(f"{plain:,f}".translate(marks).replace("-", "−"))

    def money(self, value: Decimal) -> str:
        """Write money in cents."""
        return self._fixed(cents(value))

    def fixed(self, value: Decimal, step: str) -> str:
        """Write a number to a step, for display alone."""
        return self._fixed(value.quantize(Decimal(step), ROUND_HALF_EVEN))

    def _fixed(self, value: Decimal) -> str:
        marks = str.maketrans({",": self._words["thousands_mark"], ".": self._words["decimal_mark"]})
        return self._safe(f"{value + 0:,f}".translate(marks).replace("-", "−"))

    def signed(self, value: Decimal) -> str:
        """Write money with its sign, also above zero."""
        rounded = cents(value)
        return f"{'+' if rounded > 0 else ''}{self._fixed(rounded)}"

    def percent(self, ratio: Decimal, step: str = "0.01") -> str:
        """Write a ratio as a percentage, rounded to a step."""
        return self("percent", value=self._fixed((100 * ratio).quantize(Decimal(step), ROUND_HALF_EVEN)))

    def rate(self, ratio: Decimal) -> str:
        """Write a ratio as a percentage with all its digits."""
        return self("percent", value=self.number(100 * ratio))

    def day(self, at: datetime) -> str:
        """Write a date."""
        month = str(self._words["months"]).split()[at.month - 1]
        return self("date", day=str(at.day), month=month, year=str(at.year))

    def moment(self, at: datetime) -> str:
        """Write a date with its time."""
        return f"{self.day(at)} {at:%H:%M}"

    def period(self, statement: Statement) -> str:
        """Name a statement's period."""
        name = statement.period.name
        if "Q" in name:
            return self("quarter", quarter=name[-1], year=name[:4])
        if len(name) == len("2026-01"):
            month = str(self._words["long_months"]).split()[statement.period.start.month - 1]
            return self("month", month=month, year=name[:4])
        return name if name.isdigit() else self.day(statement.period.start)


def cents(value: Decimal) -> Decimal:
    """Return money rounded to cents."""
    return value.quantize(CENT, ROUND_HALF_EVEN)
