"""Numbers and times as each language writes them. Decimals are rounded for the eye only, never through a float.

English writes 1,234.56 and Spanish 1.234,56. Times are UTC and say so.
"""

from __future__ import annotations

from datetime import datetime
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

from engine.domain.errors import DataUnavailable
from engine.domain.instruments import build_instrument

Language = Literal["en", "es"]
_SWAP = str.maketrans({",": ".", ".": ","})
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_MAX_DIGITS = 120
"""Longer numbers are nobody's money; they are shown as they were written."""
_EXACT = Context(prec=2 * _MAX_DIGITS, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
"""Wide enough that only the asked rounding ever drops a digit."""


def format_number(value: Decimal, language: Language, places: int | None = None) -> str:
    """Return a number with grouping; `places` rounds (half to even), None keeps every digit that matters.

    >>> format_number(Decimal("1234.50"), "en"), format_number(Decimal("1234.5"), "es", 2)
    ('1,234.5', '1.234,50')
    """
    if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS or len(value.as_tuple().digits) > _MAX_DIGITS:
        return str(value)
    if places is None:
        value = value.normalize(_EXACT)
        places = max(-int(value.as_tuple().exponent), 0)
    rounded = value.quantize(Decimal(1).scaleb(-places), context=_EXACT)
    text = f"{abs(rounded) if rounded.is_zero() else rounded:,f}"
    return text if language == "en" else text.translate(_SWAP)


def format_money(value: Decimal, currency: str, language: Language) -> str:
    """Return an amount of money with two places; dollars by their sign."""
    if currency != "USD":
        return f"{format_number(value, language, 2)} {currency}"
    number = format_number(value, language, 2)
    sign, number = ("-", number[1:]) if number.startswith("-") else ("", number)
    return f"{sign}${number}" if language == "en" else f"{sign}{number} $"


def format_price(value: Decimal | float, language: Language, symbol: str = "") -> str:
    """Return a price with the digits of its tick.

    An exact price without a symbol keeps its own digits, at least two; a model's price gets as many as its size makes
    sensible.
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    places = _tick_places(symbol, exact)
    if places is None:
        places = max(2, _decimals(exact)) if isinstance(value, Decimal) else _sensible_places(abs(value))
    return format_number(exact, language, places)


def format_percent(value: Decimal | float, language: Language, places: int | None = 2, *, signed: bool = False) -> str:
    """Return a percentage (0–100) with its sign; `places` None keeps the digits that matter."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    plus = "+" if signed and exact > 0 else ""
    gap = "" if language == "en" else " "
    return f"{plus}{format_number(exact, language, places)}{gap}%"


def format_float(value: float, language: Language, places: int = 2) -> str:
    """Return a model's or an indicator's number."""
    return format_number(Decimal(repr(float(value))), language, places)


def format_time(at: datetime, language: Language) -> str:
    """Return a UTC time to the minute."""
    return at.strftime("%Y-%m-%d %H:%M UTC") if language == "en" else at.strftime("%d/%m/%Y %H:%M UTC")


def format_duration(seconds: float) -> str:
    """Return a length of time in its largest fitting unit (`4 min`), written alike in both languages."""
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY)} d"


def escape(text: str) -> str:
    """Return outside text on one line, with Markdown's signs made harmless."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!~&" else sign for sign in " ".join(text.split()))


def _tick_places(symbol: str, price: Decimal) -> int | None:
    try:
        return _decimals(build_instrument(symbol, float(price)).tick_size) if symbol else None
    except DataUnavailable:
        return None


def _sensible_places(size: float) -> int:
    return 2 if size >= 100 else 4 if size >= 1 else 5


def _decimals(value: Decimal) -> int:
    return max(-int(value.as_tuple().exponent), 0) if value.is_finite() else 0
