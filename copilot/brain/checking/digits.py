"""Values of numbers in digits, in both notations, and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from copilot.brain.checking.words import Language, NumberWords

_SPACES = re.compile(r"[ \u00a0\u2009\u202f]")


@dataclass(frozen=True, slots=True)
class Token:
    """A run of letters, a written number, a date or a time, with its place in the text."""

    kind: str
    text: str
    start: int
    end: int
    exponent: str = ""
    iso_clock: str = ""


def read_digits(text: str, language: Language) -> tuple[Decimal, Decimal] | None:
    """Return the value of written digits and the weight of the last one; None when malformed.

    A lone separator is read as the language writes it; where that is impossible, as the other one does.

    >>> read_digits("1.234", "en"), read_digits("1.234", "es")
    ((Decimal('1.234'), Decimal('0.001')), (Decimal('1234'), Decimal('1')))
    """
    text = _SPACES.sub("'", text).replace("’", "'")
    if text[0] in ".,":
        text = f"0{text}"
    whole, decimals = text, ""
    last = max(text.rfind("."), text.rfind(","))
    if last >= 0 and _is_decimal_mark(text, last, language):
        whole, decimals = text[:last], text[last + 1 :]
    groups = re.split(r"[.,']", whole)
    separators = set(re.findall(r"[.,']", whole))
    if len(groups) > 1 and (
        len(separators) > 1 or not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:])
    ):
        return None
    digits = "".join(groups) or "0"
    return Decimal(f"{digits}.{decimals}" if decimals else digits), Decimal(1).scaleb(-len(decimals))


def _is_decimal_mark(text: str, at: int, language: Language) -> bool:
    mark, other = text[at], "," if text[at] == "." else "."
    if text.count(mark) > 1:
        return False
    if other in text or "'" in text or mark == ("." if language == "en" else ","):
        return True
    behind, before = len(text) - at - 1, text[:at]
    return behind != 3 or not 1 <= len(before) <= 3 or before.startswith("0")


class WordNumber:
    """Reads one number said in words, such as "fifty-eight thousand" or "cincuenta y ocho mil".

    Attributes:
        value, step: The number, and the weight of its last said part (1000 in "fifty-eight thousand").
    """

    def __init__(self, folded: str, tokens: Sequence[Token], words: NumberWords) -> None:
        self._folded, self._tokens, self._words = folded, tokens, words
        self.value, self.step = Decimal(0), Decimal(1)

    def read(self, at: int) -> int:
        """Read from one token on; return the position behind the number, whose value and step are then set."""
        total, current, previous, step = 0, 0, 0, 1
        first = at
        while at < len(self._tokens) and (at == first or self._is_near(at)):
            text = self._tokens[at].text
            if text in self._words.units:
                unit = self._words.units[text]
                if at > first and not _continues(previous, unit):
                    break
                current, previous, step = current + unit, unit, 1
            elif text in self._words.hundreds:
                current, previous = max(current, 1) * 100, 100
            elif text in self._words.scales:
                step = self._words.scales[text]
                total, current, previous = (
                    (total + max(current, 1) * step, 0, 1000) if current or not total else (total * step, 0, 1000)
                )
            elif not self._is_joint(at, previous):
                break
            at += 1
        self.value, self.step = Decimal(total + current), Decimal(step)
        return self._decimals(self._half(at))

    def _is_near(self, at: int) -> bool:
        return self._folded[self._tokens[at - 1].end : self._tokens[at].start] in (" ", "-", "\u00a0", " - ")

    def _is_joint(self, at: int, previous: int) -> bool:
        following = self._tokens[at + 1].text if at + 1 < len(self._tokens) else ""
        return (
            self._tokens[at].text in self._words.joiners
            and following in self._words.units
            and self._is_near(at + 1)
            and previous >= 20
            and _continues(previous, self._words.units[following])
        )

    def _half(self, at: int) -> int:
        """Read "and a half", "y medio"."""
        rest = [token.text for token in self._tokens[at : at + 3]]
        if not rest or rest[0] not in self._words.joiners:
            return at
        skip = 2 if len(rest) > 1 and rest[1] in self._words.articles else 1
        if len(rest) > skip and rest[skip] in self._words.and_half:
            self.value, self.step = self.value + self.step / 2, self.step / 10
            return at + skip + 1
        return at

    def _decimals(self, at: int) -> int:
        """Read "point five", "coma cinco"."""
        if at + 1 >= len(self._tokens) or self._tokens[at].text not in self._words.point or not self._is_near(at):
            return at
        digits, position = "", at + 1
        while (
            position < len(self._tokens)
            and self._tokens[position].text in self._words.units
            and self._is_near(position)
        ):
            digits += str(self._words.units[self._tokens[position].text])
            position += 1
        if not digits:
            return at
        self.value, self.step = self.value + Decimal(f"0.{digits}"), Decimal(1).scaleb(-len(digits))
        while (
            position < len(self._tokens)
            and self._tokens[position].text in self._words.scales
            and self._is_near(position)
        ):
            scale = self._words.scales[self._tokens[position].text]
            self.value, self.step, position = self.value * scale, self.step * scale, position + 1
        return position


def _continues(previous: int, unit: int) -> bool:
    if previous in (100, 1000):
        return unit < previous
    if previous > 100:
        return unit < 100
    return 20 <= previous <= 90 and 0 < unit < 10
