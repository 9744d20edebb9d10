"""Hand-written utterances with their gold routing, in English and Spanish.

`load` reads one part of the corpus. The parts are separate on purpose: `dev` and `hostile_dev` may be read while the
offline parser is tuned, a `heldout` part only measures it. See README.md for how lines are labelled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Language = Literal["en", "es"]
Part = Literal["dev", "heldout_3", "hostile_dev", "hostile_heldout_3"]

LANGUAGES: tuple[Language, ...] = ("en", "es")
PARTS: tuple[Part, ...] = get_args(Part)
_SPREAD: dict[Part, str] = {"dev": "dev_*.jsonl", "hostile_dev": "hostile_dev*.jsonl"}
_ROOT = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Utterance:
    """One message with the answers that are right for it.

    Attributes:
        id: Unique in the whole corpus.
        lang: Language of the person.
        tags: What the line is about, the main one first.
        text: The message to route.
        history: Turns before it, oldest first, each with `role` and `text`.
        expect: The best answer: `{"calls": [...]}` or `{"ask": True}`.
        also: Other answers that are as acceptable.
    """

    id: str
    lang: Language
    tags: tuple[str, ...]
    text: str
    history: tuple[dict[str, str], ...]
    expect: dict[str, Any]
    also: tuple[dict[str, Any], ...]


def files(language: Language, part: Part) -> list[Path]:
    """Return the files of one part, in order of name; what may be read is spread over several."""
    return sorted((_ROOT / language).glob(_SPREAD.get(part, f"{part}.jsonl")))


def load(language: Language, part: Part) -> list[Utterance]:
    """Return every utterance of one part of the corpus, in order."""
    lines = [line for path in files(language, part) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [_parse(json.loads(line)) for line in lines]


def _parse(row: dict[str, Any]) -> Utterance:
    return Utterance(
        id=row["id"],
        lang=row["lang"],
        tags=tuple(row["tags"]),
        text=row["text"],
        history=tuple(row["history"]),
        expect=row["expect"],
        also=tuple(row.get("also", ())),
    )
