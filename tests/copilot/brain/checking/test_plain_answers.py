"""Every deterministic answer passes the checks that a model's text must pass."""

from __future__ import annotations

import pytest

from copilot.brain.checking import check_text, facts_from
from copilot.brain.checking.words import LANGUAGES, Language
from copilot.wording import render_answer
from tests.copilot.wording.samples import SNAPSHOTS

WORDED = [name for name in SNAPSHOTS if not name.startswith("backtest")]
"""Answers that a model may be asked to word; a backtest is told by the program alone."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", WORDED)
def test_plain_answer_stands(name: str, language: Language) -> None:
    results = SNAPSHOTS[name]
    answer = render_answer(results, language)
    assert check_text(answer, facts_from(results, [], language), language) == answer


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", WORDED)
def test_plain_answer_stands_on_the_json_of_its_results(name: str, language: Language) -> None:
    results = SNAPSHOTS[name]
    answer = render_answer(results, language)
    facts = facts_from([result.model_dump_json() for result in results], [], language)
    assert check_text(answer, facts, language) == answer
