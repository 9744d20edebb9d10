"""The checker's word lists, read once from the YAML files beside this module."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")


def lower(text: str) -> str:
    """Return lower-case text, letter for letter: positions stay the same."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in text)


def fold(text: str) -> str:
    """Return lower-case text without accents, letter for letter.

    >>> fold("Órdenes")
    'ordenes'
    """
    lowered = lower(text)
    return lowered if lowered.isascii() else lowered.translate(_BASES)


class _Bases(dict[int, str]):
    """Letters without their accents, found once each."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        self[code] = base = letter if code < 128 else unicodedata.normalize("NFD", letter)[0]
        return base


_BASES = _Bases()


@dataclass(frozen=True, slots=True)
class NumberWords:
    """How one language says numbers; values are exact."""

    units: Mapping[str, int]
    hundreds: frozenset[str]
    scales: Mapping[str, int]
    parts: Mapping[str, Fraction]
    counted_parts: Mapping[str, int]
    articles: frozenset[str]
    and_half: frozenset[str]
    free: frozenset[str]
    point: frozenset[str]
    joiners: frozenset[str]
    minus: frozenset[str]
    not_minus: frozenset[str]
    months: Mapping[str, int]
    id_nouns: frozenset[str]
    gain: frozenset[str]
    loss: frozenset[str]
    harmless: tuple[str, ...]


@cache
def load_list(name: str) -> Mapping[str, Any]:
    """Return one file of words as written."""
    text = files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return loaded


@cache
def load_numbers(language: Language) -> NumberWords:
    """Return the number words of one language."""
    data = load_list(f"words_{language}")
    numbers = data["numbers"]
    return NumberWords(
        units={word: int(value) for word, value in numbers["units"].items()},
        hundreds=frozenset(numbers["hundreds"]),
        scales={word: int(value) for word, value in numbers["scales"].items()},
        parts={word: Fraction(value) for word, value in numbers["parts"].items()},
        counted_parts={word: int(value) for word, value in numbers["counted_parts"].items()},
        articles=frozenset(numbers["articles"]),
        and_half=frozenset(numbers["and_half"]),
        free=frozenset(numbers["free"]),
        point=frozenset(numbers["point"]),
        joiners=frozenset(numbers["and"]),
        minus=frozenset(numbers["minus"]),
        not_minus=frozenset(numbers["not_minus"]),
        months={word: int(value) for word, value in data["months"].items()},
        id_nouns=frozenset(data["id_nouns"]),
        gain=frozenset(data["gain"]),
        loss=frozenset(data["loss"]),
        harmless=tuple(data["harmless"]),
    )
