"""Numbers as a reader sees them in a text, whatever form they take: digits, words, dates, times, ratios, parts.

The scanner is greedy on purpose: what could be read as a number is one. A form that cannot be read exactly becomes a
figure without a value, which no fact can cover. Nothing here knows the facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Literal

from copilot.brain.checking.digits import Token, WordNumber, read_digits
from copilot.brain.checking.words import Language, fold, load_numbers

Unit = Literal["", "percent", "money", "asset", "multiple", "seconds", "bps", "date", "clock", "ratio"]

_DIGITS = r"(?:[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f]\d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,'’]\d+)*)"
_TOKEN = re.compile(
    rf"""
    (?P<iso>\d{{4}}-\d{{2}}-\d{{2}})(?:T(?P<iso_clock>\d{{2}}:\d{{2}})(?::\d{{2}}(?:\.\d+)?)?(?:Z|[+-]\d{{2}}:?\d{{2}})?)?(?!\d)
  | (?P<slash>\d{{1,2}}/\d{{1,2}}/\d{{2}}(?:\d{{2}})?)(?![\d/])
  | (?P<clock>\d{{1,2}}:\d{{2}}(?::\d{{2}})?)(?![\d:]|[.,]\d)
  | (?P<ratio>\d+(?:[.,]\d+)?\s?:\s?\d+(?:[.,]\d+)?)(?![\d:])
  | (?P<part>(?<![\d/])\d{{1,3}}[/⁄]\d{{1,3}})(?![\d/])
  | (?P<vulgar>\d*[½¼¾⅓⅔⅛])
  | (?P<num>{_DIGITS}|(?<!\w)[.,]\d+)(?P<exponent>[eE][-+]?\d+(?!\w))?
  | (?P<word>[^\W\d_]+)
    """,
    re.VERBOSE,
)
_MARKS = re.compile(r"[*`~\\]")
_THIRD_STEP = Decimal("0.0001")
"""A third has no end in decimals; this is how exactly a fact must match it."""
_MAX_POWER = 30
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8"}
_CURRENCIES = {
    **dict.fromkeys(("$", "us$", "usd", "usdt", "dollar", "dollars", "buck", "bucks", "dolar", "dolares"), "USD"),
    **dict.fromkeys(("€", "eur", "euros"), "EUR"),
    **dict.fromkeys(("£", "gbp", "pounds", "libras"), "GBP"),
    **dict.fromkeys(("¥", "jpy", "yen", "yenes"), "JPY"),
    "chf": "CHF",
    "pesos": "MXN",
    "mxn": "MXN",
}
_CURRENCY_BEFORE = re.compile(r"(?:(?<![a-z])(us\$|usdt|usd|eur|gbp|jpy|chf|mxn)|([$€£¥]))\s?([-−–+])?\s?$")
_CURRENCY_AFTER = re.compile(
    r"\s?-?(us\$|[$€£¥]|(?:usdt|usd|eur|gbp|jpy|chf|mxn|dollars?|bucks?|euros|pounds|yen|dolar(?:es)?|libras|yenes|pesos)\b)(?!/)"
)
_PERCENT = re.compile(
    r"\s?(?:%|-?(?:percentage points?|percents?|per cent|pct|pp|por ?cientos?|por cien|puntos? porcentual(?:es)?)\b)"
)
_IN_HUNDRED = re.compile(
    r"(?:\s(?:times|cases|trades|veces|casos))?\s(?:in|out of|of|for every|per|de cada|de|sobre|en)\s100\b(?![.,:/]?\d)"
)
_BPS = re.compile(r"\s?(?:bps?|basis points?|puntos? basicos?)\b")
_MULTIPLE = re.compile(r"\s?(?:x|×|r|times|veces|-?fold)\b")
_TIME_UNITS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "segundo": 1, "segundos": 1, "seg": 1,
    "min": 60, "mins": 60, "minute": 60, "minutes": 60, "minuto": 60, "minutos": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600, "hora": 3600, "horas": 3600,
    "d": 86400, "day": 86400, "days": 86400, "dia": 86400, "dias": 86400,
    "week": 604800, "weeks": 604800, "semana": 604800, "semanas": 604800,
    "month": 2592000, "months": 2592000, "mes": 2592000, "meses": 2592000,
    "year": 31536000, "years": 31536000, "ano": 31536000, "anos": 31536000,
}  # fmt: skip
_TIME = re.compile(rf"\s?-?({'|'.join(sorted(_TIME_UNITS, key=len, reverse=True))})\b")
_ASSET = re.compile(
    r"\s?(?:units?|unidad(?:es)?|ounces?|oz|onzas?|coins?|monedas?|lots?|lotes?|contracts?|contratos?|shares?|acciones|btc|bitcoins?|eth|ether|xau|xauusd|gold|oro"
    r"|eurusd|gbpusd|sol|solana|bnb|xrp|ada|doge|avax|ltc|link)\b"
)
_SUFFIX_SCALES = {
    "k": 1000, "m": 10**6, "mm": 10**6, "mn": 10**6, "mln": 10**6, "mio": 10**6,
    "b": 10**9, "bn": 10**9, "t": 10**12, "tn": 10**12,
}  # fmt: skip
_SUFFIX = re.compile(r"(?:k|mm|mn|mln|mio|m|bn|b|tn|t)(?![a-z0-9])")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|º|ª|er|ro|ra|to|ta|do|da|vo|va|mo|ma)(?![a-z0-9])")
_HALF_DAY = re.compile(r"\s?([ap])\.?\s?m\b\.?")
_YEAR_BEHIND = re.compile(r"(?:\s(?:de|del))?,?\s(\d{4})(?!\d|[.,]\d)")
_MONTH_BEHIND = re.compile(r"\s(?:de\s|of\s)?([a-z]{3,10})\b\.?")
_MONTH_BEFORE = re.compile(r"([a-z]{3,10})\.?\s(?:the\s)?$")
_WORD_BEFORE = re.compile(r"(?:^|([a-z]+)?[^a-z]*\s)([a-z]+)\s$")
_GLUED = re.compile(r"[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in a text.

    Attributes:
        text: As written.
        start, end: Where it stands, its unit included.
        value: Absolute value; None when the form can't be read, which is never right.
        step: Weight of its last written digit: how far an honest rounding may be away is half of it.
        sign: -1 or 1 when a sign is written, else 0.
        unit: What it counts, by the signs and words beside it.
        payload: Currency of money; ISO date, or time of day.
        is_free: Whether it is only an article or a pronoun ("one of them").
        is_scaled: Whether a magnitude is part of it (`64k`).
    """

    text: str
    start: int
    end: int
    value: Decimal | None
    step: Decimal = Decimal(0)
    sign: int = 0
    unit: Unit = ""
    payload: str = ""
    is_free: bool = False
    is_scaled: bool = False


def strip_marks(text: str) -> str:
    """Return a text without Markdown's emphasis, so that `6**4**` reads as a person sees it."""
    return _MARKS.sub("", text)


def find_figures(text: str, language: Language) -> list[Figure]:
    """Return every number of a text, in order.

    Args:
        text: Without Markdown's emphasis.
        language: Decides how a lone separator is read, and whose number words count.
    """
    folded = fold(text)
    for phrase in _harmless(language):
        folded = phrase.sub(lambda match: " " * len(match[0]), folded)
    tokens = list(_tokens(folded))
    return list(_Scanner(text, folded, tokens, language).figures())


@cache
def _harmless(language: Language) -> tuple[re.Pattern[str], ...]:
    phrases = load_numbers(language).harmless
    return (re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, sorted(phrases, key=len, reverse=True))) + r")(?!\w)"),)


def _tokens(folded: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(folded):
        kind = next(name for name in ("word", "num", "iso", "slash", "clock", "ratio", "part", "vulgar") if match[name])
        yield Token(kind, match[kind], match.start(), match.end(), match["exponent"] or "", match["iso_clock"] or "")


class _Scanner:
    """Walks the tokens of one text and yields its figures."""

    def __init__(self, text: str, folded: str, tokens: Sequence[Token], language: Language) -> None:
        self._text, self._folded, self._tokens, self._language = text, folded, tokens, language
        self._words = load_numbers(language)

    def figures(self) -> Iterator[Figure]:
        at, done = 0, 0
        while at < len(self._tokens):
            token = self._tokens[at]
            if token.start < done:
                at += 1
                continue
            figure, at = self._read(at)
            if figure is not None:
                done = figure.end
                yield figure

    def _read(self, at: int) -> tuple[Figure | None, int]:
        token = self._tokens[at]
        match token.kind:
            case "word":
                return self._word(at)
            case "num":
                return self._number(at)
            case "iso":
                clock = f" {token.iso_clock}" if token.iso_clock else ""
                return self._plain(token, "date", token.text + clock), at + 1
            case "slash":
                return self._plain(token, "date", token.text), at + 1
            case "clock":
                return self._clock(token), at + 1
            case "ratio":
                return self._plain(token, "ratio", token.text.replace(" ", "")), at + 1
            case _:
                return self._part(token), at + 1

    def _plain(self, token: Token, unit: Unit, payload: str) -> Figure:
        return Figure(self._text[token.start : token.end], token.start, token.end, None, unit=unit, payload=payload)

    def _clock(self, token: Token) -> Figure:
        half = _HALF_DAY.match(self._folded, token.end)
        payload = f"{token.text} {half[1]}m" if half else token.text
        return self._plain(token, "clock", payload)

    def _part(self, token: Token) -> Figure:
        if token.kind == "vulgar":
            value = Fraction(token.text[:-1] or "0") + Fraction(_VULGAR[token.text[-1]])
        else:
            top, bottom = (int(part) for part in re.split(r"[/⁄]", token.text))
            if bottom == 0:
                return Figure(token.text, token.start, token.end, None)
            value = Fraction(top, bottom)
        return self._finish(
            token.start, token.end, _decimal(value), _THIRD_STEP if value.denominator == 3 else Decimal(0)
        )

    def _number(self, at: int) -> tuple[Figure | None, int]:
        token = self._tokens[at]
        dated = self._day(at)
        if dated is not None:
            return dated, at + 1
        read = read_digits(token.text, self._language)
        if read is None:
            return Figure(token.text, token.start, token.end, None), at + 1
        value, step = read
        if token.exponent:
            power = int(token.exponent[1:])
            if abs(power) > _MAX_POWER:
                return Figure(token.text, token.start, token.end, None), at + 1
            value, step = value.scaleb(power), step.scaleb(power)
        scale, end, at = self._scale(token.end, at)
        return self._finish(token.start, end, value * scale, step * scale, is_scaled=scale != 1), at

    def _scale(self, end: int, at: int) -> tuple[int, int, int]:
        """Return the magnitude behind a number, where it ends, and the next token."""
        suffix = _SUFFIX.match(self._folded, end)
        if suffix:
            return _SUFFIX_SCALES[suffix[0]], suffix.end(), at + 1
        scale, at = 1, at + 1
        while at < len(self._tokens) and self._tokens[at].text in self._words.scales and self._is_joined(end, at):
            scale *= self._words.scales[self._tokens[at].text]
            end, at = self._tokens[at].end, at + 1
        return scale, end, at

    def _is_joined(self, end: int, at: int) -> bool:
        return self._folded[end : self._tokens[at].start] in ("", " ", "-", "\u00a0")

    def _day(self, at: int) -> Figure | None:
        """Read "5 March 2025", "5 de marzo", "March 5": a day only beside a month."""
        token, months = self._tokens[at], self._words.months
        if not re.fullmatch(r"\d{1,2}", token.text):
            return None
        ordinal = _ORDINAL.match(self._folded, token.end)
        end = ordinal.end() if ordinal else token.end
        ahead = _MONTH_BEHIND.match(self._folded, end)
        month = months.get(ahead[1]) if ahead else None
        if ahead and month:
            end = ahead.end()
        else:
            before = _MONTH_BEFORE.search(self._folded[max(0, token.start - 16) : token.start])
            month = months.get(before[1]) if before else None
        if month is None:
            return None
        year = _YEAR_BEHIND.match(self._folded, end)
        payload = f"{year[1] if year else '????'}-{month:02d}-{int(token.text):02d}"
        return Figure(
            self._text[token.start : end], token.start, year.end() if year else end, None, unit="date", payload=payload
        )

    def _word(self, at: int) -> tuple[Figure | None, int]:
        token, words = self._tokens[at], self._words
        if token.text in words.parts:
            return self._finish(token.start, token.end, _decimal(words.parts[token.text]), Decimal(0)), at + 1
        if token.text in words.counted_parts and self._is_counted(at):
            value = Fraction(1, words.counted_parts[token.text])
            return self._finish(token.start, token.end, _decimal(value), Decimal(0)), at + 1
        if token.text not in words.units and token.text not in words.scales and token.text not in words.hundreds:
            return None, at + 1
        reader = WordNumber(self._folded, self._tokens, words)
        after = reader.read(at)
        last = self._tokens[after - 1]
        if after == at + 1 and token.text in words.free:
            return Figure(token.text, token.start, last.end, Decimal(1), is_free=True), after
        return self._finish(token.start, last.end, reader.value, reader.step, is_scaled=reader.step > 1), after

    def _is_counted(self, at: int) -> bool:
        if at == 0:
            return False
        before = self._tokens[at - 1]
        return before.text in self._words.articles or before.text in self._words.units or before.kind == "num"

    def _finish(self, start: int, end: int, value: Decimal, step: Decimal, *, is_scaled: bool = False) -> Figure:
        """Take the sign and the unit beside a number into it."""
        folded = self._folded
        sign, before, currency = self._before(start)
        unit: Unit = "money" if currency else ""
        payload = currency
        for name, pattern in _UNITS:
            behind = pattern.match(folded, end)
            if behind is None:
                continue
            end = behind.end()
            if name == "seconds":
                weight = _TIME_UNITS[behind[1]]
                value, step = value * weight, step * weight
            if name == "money":
                payload = _CURRENCIES[behind[1]]
                if currency and currency != payload:
                    return Figure(self._text[before:end], before, end, None)
            if name == "clock":
                payload = f"{value}:00 {behind[1]}m"
            unit = name
            break
        else:
            ordinal = _ORDINAL.match(folded, end)
            end = ordinal.end() if ordinal else end
        if end < len(folded) and _GLUED.match(folded, end) and (folded[end - 1].isalnum() or folded[end - 1] == "_"):
            return Figure(self._text[before:end], before, end, None)
        return Figure(self._text[before:end], before, end, value, step, sign, unit, payload, is_scaled=is_scaled)

    def _before(self, start: int) -> tuple[int, int, str]:
        """Return sign, first position and currency of what is written in front of a number."""
        folded, head = self._folded, start
        sign, currency = 0, ""
        money = _CURRENCY_BEFORE.search(folded[max(0, start - 8) : start])
        if money:
            currency = _CURRENCIES[money[1] or money[2]]
            sign = _sign(money[3])
            head = start - (len(money[0]))
        if (
            not sign
            and head > 0
            and folded[head - 1] in "-−–+"
            and (head == 1 or folded[head - 2] in " \t\n(|:,;/\u00a0\"'«“[=≈")
        ):
            sign, head = _sign(folded[head - 1]), head - 1
        if not sign:
            said = _WORD_BEFORE.search(folded[max(0, head - 24) : head])
            if said and said[2] in self._words.minus and said[1] not in self._words.not_minus:
                sign = -1
        return sign, head, currency


_UNITS: tuple[tuple[Unit, re.Pattern[str]], ...] = (
    ("percent", _PERCENT),
    ("percent", _IN_HUNDRED),
    ("bps", _BPS),
    ("clock", _HALF_DAY),
    ("money", _CURRENCY_AFTER),
    ("multiple", _MULTIPLE),
    ("seconds", _TIME),
    ("asset", _ASSET),
)


def _sign(mark: str | None) -> int:
    return 0 if not mark else 1 if mark == "+" else -1


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
