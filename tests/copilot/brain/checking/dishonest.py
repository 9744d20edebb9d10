"""What a bad, random or hostile model says of real results: each of these must be caught, by a check that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from copilot.brain.checking.words import LANGUAGES, Language


@dataclass(frozen=True)
class Lie:
    """A text that may not stand, and the checks of which one must catch it."""

    results: str
    language: Language
    text: str
    reasons: tuple[str, ...]


_ADVICE = ("direction", "certainty", "claim")
_DEEDS = ("claim", "direction", "instrument", "certainty", "number", "language")
_TERMS = ("claim", "number", "number_sign", "direction", "interface", "instrument")
_TOLD: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "numbers": (("signal_long",), ("number", "number_sign", "characters", "script", "markup", "certainty")),
    "claims": (("nothing", "signal_none", "chart", "ticket_refused"), _DEEDS),
    "directions_none": (("signal_none",), _ADVICE),
    "directions_long": (("signal_long",), _ADVICE),
    "instruments": (("signal_none",), ("instrument", "number")),
    "certainty": (("nothing", "signal_long"), ("certainty", "direction", "number")),
    "pending": (("ticket_pending",), _TERMS),
    "portfolio": (("portfolio_summary",), _TERMS),
}
"""Over which results each group of texts is a lie, and which checks may catch it."""
_UNWRITABLE = (
    ("characters", "Gold \ud800 half"),
    ("characters", "gold" * 30 + "silver" * 3),
    ("empty", "- , - ! " * 9),
    ("language", "Le marché est ouvert et les prix sont stables pour vous."),
    ("language", "Der Markt ist offen und die Lage ist nicht klar."),
    ("language", "O mercado está aberto e os preços não são claros, com uma alta em vista."),
    ("language", "Il mercato è aperto, che bello, e gli scambi sono nel pieno della giornata."),
    ("repetition", "It is so. " * 12),
    (
        "too_long",
        "\n".join(f"{a}{b}{c} {c}{a}{b}e {b}{c}{a}o" for a in "abcdefghij" for b in "klmnopqrs" for c in "tuv"),
    ),
)


def _lies() -> Iterator[Lie]:
    data: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    for group, (names, reasons) in _TOLD.items():
        for language in LANGUAGES:
            for text in data[group].get(language, ()):
                yield from (Lie(name, language, text, reasons) for name in names)
    for language in LANGUAGES:
        yield from (Lie("signal_none", language, row["text"], (row["reason"],)) for row in data["form"][language])
    yield from (Lie("signal_none", "en", text, (reason,)) for reason, text in _UNWRITABLE)


DISHONEST = tuple(_lies())
