"""Numbers as people write and say them, exactly, in both notations.

Digits: `58k`, `1.5m`, `0,05`, `1.000,50`, `1,000.50`, `1/2`. A lone separator with three digits behind it groups
thousands in the notation of the text and is a decimal mark in the other. What cannot be read is `None`: the caller
asks.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_SUFFIXES = {"k": 1000, "m": 1_000_000, "mm": 1_000_000, "mil": 1000, "mn": 1_000_000, "mio": 1_000_000}
_GROUPED = re.compile(r"^\d{1,3}(?:([.,'’])\d{3})(?:\1\d{3})*$")
_INDIAN = re.compile(r"^\d{1,2}(?:,\d{2})+,\d{3}$")
_MIXED = re.compile(r"^(\d{1,3}(?:([.,'’ ])\d{3})+|\d+)([.,])(\d+)$")


def read_digits(text: str, *, comma_decimal: bool) -> Decimal | None:
    """Return the value of written digits, or `None` when they are malformed.

    Args:
        text: Digits with separators, without sign, currency or suffix.
        comma_decimal: Whether the text writes decimals with a comma, so that a lone dot groups thousands.

    >>> read_digits("1.000,50", comma_decimal=True), read_digits("1.500", comma_decimal=False)
    (Decimal('1000.50'), Decimal('1.500'))
    """
    if text.isdigit():
        return Decimal(text)
    if _INDIAN.match(text):
        return Decimal(text.replace(",", ""))
    grouped = _GROUPED.match(text)
    if grouped:
        return _grouped(text, grouped[1], comma_decimal)
    mixed = _MIXED.match(text)
    if mixed and mixed[3] != mixed[2]:
        whole = re.sub(r"[.,'’ ]", "", mixed[1])
        return Decimal(f"{whole}.{mixed[4]}")
    if re.fullmatch(r"[.,]\d+", text):
        return Decimal("0." + text[1:])
    return None


def _grouped(text: str, separator: str, comma_decimal: bool) -> Decimal | None:
    groups = text.count(separator)
    is_decimal_mark = separator == ("," if comma_decimal else ".") and not _is_thousands(text, separator)
    if separator in "'’" or groups > 1:
        return Decimal(text.replace(separator, ""))
    if text.startswith("0") or is_decimal_mark:
        return Decimal(text.replace(separator, "."))
    return Decimal(text.replace(separator, ""))


def _is_thousands(text: str, separator: str) -> bool:
    """Tell whether zeros at the end give a grouping away: nobody writes "10.000" for ten."""
    if separator == ",":
        return text.endswith("0")
    return text.endswith("000") and text.index(".") > 1


def read_scaled(digits: str, suffix: str, *, comma_decimal: bool) -> Decimal | None:
    """Return the value of digits with a magnitude suffix (`k`, `m`), or `None` when malformed."""
    value = read_digits(digits, comma_decimal=comma_decimal)
    return None if value is None else value * _SUFFIXES.get(suffix, 1)


def is_magnitude(suffix: str) -> bool:
    """Tell whether letters behind digits are a magnitude."""
    return suffix in _SUFFIXES


def read_scientific(text: str) -> Decimal | None:
    """Return the value of `1e-2`-style digits."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
