"""Numbers as people type them into the ticket's form, made plain text; nothing is computed here."""

from __future__ import annotations

import re

from copilot.events import Language

_GROUPED = {"en": re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?"), "es": re.compile(r"\d{1,3}(\.\d{3})+(,\d+)?")}
_MARKS = {"en": (",", "."), "es": (".", ",")}
_SPACES = re.compile(r"[\s\u00a0\u202f_']+")


class AmbiguousNumber(Exception):
    """A number that two people would read differently: `1.500` in Spanish, `1,500` in English.

    Attributes:
        value: As it was typed.
        plain: The more likely meaning, without grouping.
    """

    def __init__(self, value: str, plain: str) -> None:
        self.value = value
        self.plain = plain
        super().__init__(value)


def plain_number(text: str, language: Language) -> str:
    """Return a typed number with a point and no grouping; what is no number comes back as it is.

    >>> plain_number("64.250,5", "es"), plain_number("0,05", "es"), plain_number("1,234.5", "en")
    ('64250.5', '0.05', '1234.5')

    Raises:
        AmbiguousNumber: One grouping mark with three digits behind it may as well be a decimal mark.
    """
    number = _SPACES.sub("", text)
    group, decimal = _MARKS[language]
    if _GROUPED[language].fullmatch(number):
        if number.count(group) == 1 and decimal not in number and not number.startswith("0"):
            raise AmbiguousNumber(text.strip(), number.replace(group, ""))
        if not number.startswith("0"):
            return number.replace(group, "").replace(decimal, ".")
    if number.count(group) + number.count(decimal) == 1:
        return number.replace(group, ".").replace(decimal, ".")
    return number
