"""Golden texts: what a person reads for each kind of result, in both languages.

After a wanted change of words, `UPDATE_SNAPSHOTS=1 pytest tests/copilot/wording` writes them anew; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from copilot.wording import render_answer, render_ticket
from tests.copilot.wording.samples import SNAPSHOTS, sizing, terms, ticket

FOLDER = Path(__file__).parent / "snapshots"
LANGUAGES: tuple[Literal["en", "es"], ...] = ("en", "es")


def check(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        path.write_text(text + "\n", "utf-8")
    assert path.read_text("utf-8") == text + "\n"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SNAPSHOTS)
def test_answer_reads_as_agreed(name: str, language: Literal["en", "es"]) -> None:
    check(f"{name}.{language}.md", render_answer(SNAPSHOTS[name], language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_ticket_card_reads_as_agreed(language: Literal["en", "es"]) -> None:
    card = ticket(repriced_from=terms().expected_price - 50, terms=terms(sizing=sizing()))
    check(f"card.{language}.txt", render_ticket(card, language))


def test_every_snapshot_on_disk_is_still_checked() -> None:
    expected = {f"{name}.{language}.md" for name in SNAPSHOTS for language in LANGUAGES}
    expected |= {f"card.{language}.txt" for language in LANGUAGES}
    assert {path.name for path in FOLDER.iterdir()} == expected
