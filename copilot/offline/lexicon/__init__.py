"""The words: YAML lists by meaning, and the index that the tagger reads.

Everything linguistic lives in the YAML files beside this module; the code only conjugates, folds accents and indexes.
The index is built once per process and set of agents: an owner's own agents are files, known at run time only. Whoever
reads a message says so with `knowing`; what is cached elsewhere never depends on an agent's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

Language = Literal["en", "es"]
_SHORT_STEM = 3
_THINGS = ("lo", "la", "los", "las")
_PRONOUN_VERBS = frozenset({"pause", "resume", "stop", "start"})
_SPOKEN = ("units", "fractions", "hundreds")
_SHORTEST_SPOKEN = 4
_CHATTER = frozenset(
    (
        "reported",
        "reported.weak",
        "passed_on",
        "third",
        "smalltalk",
        "past",
        "future",
        "hypothetical",
        "correct",
        "thanks",
        "greeting",
        "goodbye",
        "confirm",
        "polite",
        "advice",
        "opinion",
        "holder",
        "another",
        "tag",
        "status.strong",
    )
)
_NO_LABELS: frozenset[str] = frozenset()


def fold(text: str) -> str:
    """Return lower-case text without accents.

    >>> fold("Órdenes, señal")
    'ordenes, senal'
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark))


@dataclass(slots=True)
class Vocabulary:
    """The words of one language.

    Attributes:
        phrases: Folded phrase (words joined by spaces) to its labels.
        accented: Accented single words whose accent changes the meaning, to their labels.
        known: Every folded single word, content or not.
        fillers: Words that carry no meaning of their own in an order.
        glue: Words of grammar and manners that never change what a message asks for.
        numbers: Number words by role, as written in the file.
        spellings: Short forms of messages, written out.
        contracted: Words whose "'s" stands for "is" or "us".
        repairable: Single content words by length, which a misspelt word may be repaired to.
        longest: Words in the longest phrase.
    """

    phrases: dict[str, frozenset[str]] = field(default_factory=dict)
    accented: dict[str, frozenset[str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    fillers: set[str] = field(default_factory=set)
    glue: set[str] = field(default_factory=set)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    time_units: dict[str, str] = field(default_factory=dict)
    concepts: dict[str, str] = field(default_factory=dict)
    initial: set[str] = field(default_factory=set)
    repairable: list[str] = field(default_factory=list)
    spellings: dict[str, str] = field(default_factory=dict)
    contracted: set[str] = field(default_factory=set)
    longest: int = 1

    def add(self, phrase: str, *labels: str) -> None:
        """Index one phrase under labels."""
        folded = fold(phrase).replace("'", "")
        self.phrases[folded] = self.phrases.get(folded, _NO_LABELS) | set(labels)
        words = folded.split(" ")
        self.known.update(words)
        self.longest = max(self.longest, len(words))


_AGENTS: ContextVar[tuple[str, ...]] = ContextVar("agents", default=())


@contextmanager
def knowing(agents: Sequence[str]) -> Iterator[None]:
    """Read messages within this block as those of somebody who has these agents, beside the three of the program."""
    token = _AGENTS.set(tuple(agents))
    try:
        yield
    finally:
        _AGENTS.reset(token)


def load_lexicon() -> Lexicon:
    """Return the index of all words; built on first use."""
    return _load(_AGENTS.get())


@cache
def _load(agents: tuple[str, ...]) -> Lexicon:
    return Lexicon(
        shared=_shared(_read("shared"), agents),
        own={"en": _language(_read("en")), "es": _language(_read("es"))},
        guard=_guard(),
        refusals=_refusals(),
        grammar={name: frozenset(words) for name, words in _read("shared")["grammar"].items()},
    )


@cache
def word_set(name: str) -> frozenset[str]:
    """Return one of the small closed sets of words of both languages ("joins", "articles")."""
    return load_lexicon().grammar[name]


@cache
def _typical_prices() -> Mapping[str, float]:
    return {symbol: float(price) for symbol, price in _read("shared")["typical_prices"].items()}


def typical_price(symbol: str | None) -> float | None:
    """Return about what one unit of an instrument costs, to tell a price from a count; never a price to trade at."""
    return _typical_prices().get(symbol or "")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of both languages, the names they share, and the marks of untrusted text."""

    shared: Vocabulary
    own: Mapping[Language, Vocabulary]
    guard: re.Pattern[str]
    refusals: re.Pattern[str]
    grammar: Mapping[str, frozenset[str]]


def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return loaded


def _guard() -> re.Pattern[str]:
    marks = _read("shared")["guard"]["marks"]
    return re.compile("|".join((r"(?<!\w)" if mark[0].isalnum() else "") + re.escape(mark) for mark in marks))


def _refusals() -> re.Pattern[str]:
    return re.compile("|".join(_read("shared")["guard"]["refusals"]))


def _shared(data: Mapping[str, Any], agents: Sequence[str]) -> Vocabulary:
    vocabulary = Vocabulary()
    for kind, values in data["entities"].items():
        for value, phrases in values.items():
            for phrase in phrases:
                vocabulary.add(phrase, f"{kind}:{value}")
    for row in data["unknown_instruments"]:
        for phrase in row:
            vocabulary.add(phrase, "unknown")
    vocabulary.repairable = [w for w in vocabulary.phrases if w.isalpha() and len(w) >= 4]
    for name in agents:
        for phrase in {name, name.replace("_", " ")}:
            vocabulary.add(phrase, f"agent:{name}")
    return vocabulary


def _language(data: Mapping[str, Any]) -> Vocabulary:
    vocabulary = Vocabulary()
    for label, phrases in data["phrases"].items():
        for phrase in phrases:
            vocabulary.add(phrase, label)
    for label, words in data.get("accented", {}).items():
        vocabulary.accented.update((word, frozenset({label})) for word in words)
    vocabulary.repairable = [w for w in vocabulary.phrases if _is_worth_mending(w, vocabulary.phrases[w])]
    _add_verbs(vocabulary, data)
    _add_times(vocabulary, data)
    for key, phrases in data["concepts"].items():
        for phrase in phrases:
            vocabulary.concepts[fold(phrase)] = key
            vocabulary.known.update(fold(phrase).split(" "))
    vocabulary.fillers = {fold(word) for word in data["fillers"]}
    vocabulary.glue = {fold(word) for word in data["glue"]}
    vocabulary.numbers = _fold_numbers(data["number_words"])
    vocabulary.time_units = {fold(w): unit for unit, words in data["time_units"].items() for w in words}
    vocabulary.initial = set(data["initial_buy"])
    vocabulary.spellings = {fold(short): written for written, row in data["spellings"].items() for short in row}
    vocabulary.contracted = set(data["contracted"])
    vocabulary.known.update(vocabulary.spellings)
    vocabulary.repairable += [w for role in _SPOKEN for w in vocabulary.numbers[role] if len(w) >= _SHORTEST_SPOKEN]
    for role in vocabulary.numbers.values():
        vocabulary.known.update(role)
    vocabulary.known.update(
        vocabulary.fillers, vocabulary.glue, (fold(w) for w in data["words"]), vocabulary.time_units
    )
    return vocabulary


def _is_worth_mending(word: str, labels: frozenset[str]) -> bool:
    """Tell whether a misspelt word may be read as this one: it asks for something, and is not just chatter."""
    return word.isalpha() and len(word) >= _SHORTEST_SPOKEN and not labels <= _CHATTER


def _add_times(vocabulary: Vocabulary, data: Mapping[str, Any]) -> None:
    for kind, prefix in (("timeframes", "tf"), ("periods", "per")):
        for value, phrases in data[kind].items():
            for phrase in phrases:
                vocabulary.add(phrase, f"{prefix}:{value}")
    vocabulary.repairable += [
        w for kind in ("timeframes", "periods") for row in data[kind].values() for w in row if " " not in w
    ]
    for phrase, days in data["durations"].items():
        vocabulary.add(phrase, f"days:{days}")


def _fold_numbers(roles: Mapping[str, Any]) -> dict[str, Any]:
    return {
        role: {fold(w): value for w, value in words.items()} if isinstance(words, dict) else {fold(w) for w in words}
        for role, words in roles.items()
    }


def _add_verbs(vocabulary: Vocabulary, data: Mapping[str, Any]) -> None:
    clitics = data.get("clitics", ())
    for label, classes in data.get("verbs", {}).items():
        for kind, stems in classes.items():
            if kind not in data["endings"]:
                continue
            for spelling in stems:
                for stem in spelling.split("/"):
                    for form, mood in _forms(stem, data["endings"][kind], clitics):
                        _add_form(vocabulary, form, label, mood)
                    vocabulary.repairable += [
                        fold(stem + end) for end in data["endings"][kind]["order"][:2] if len(stem) > _SHORT_STEM
                    ]


def _forms(stem: str, endings: Mapping[str, list[str]], clitics: list[str]) -> Iterator[tuple[str, str]]:
    """Yield every form with its mood; a pronoun for a thing adds "it" to the mood."""
    for mood, suffixes in endings.items():
        for suffix in suffixes:
            yield stem + suffix, mood
            if mood in ("order", "inf", "ger"):
                yield from (
                    (stem + suffix + clitic, f"{mood} it" if clitic.endswith(_THINGS) else mood) for clitic in clitics
                )


def _add_form(vocabulary: Vocabulary, form: str, label: str, mood: str) -> None:
    mood, _, thing = mood.partition(" ")
    folded = fold(form)
    base = label if label == "buy.weak" else label.split(".")[0]
    if mood == "past":
        labels = frozenset({f"{base}.past", "past"})
        if folded != form.lower() and form not in vocabulary.accented:
            vocabulary.accented[form] = vocabulary.accented.get(form, _NO_LABELS) | labels
            vocabulary.known.add(folded)
            return
        if folded not in vocabulary.phrases:
            vocabulary.add(form, *labels)
        return
    extra = {"first": "first", "ger": "ger", "inf": "inf", "sub": "sub", "wish": "sub"}.get(mood)
    vocabulary.add(form, label, *((extra,) if extra else ()), *((thing,) if thing and label in _PRONOUN_VERBS else ()))
