"""Honest texts stand, dishonest ones are caught, over real results and in both languages."""

from __future__ import annotations

import pytest

from copilot.brain.checking import Caught, Facts, check_text, facts_from
from copilot.brain.checking.words import LANGUAGES
from tests.copilot.brain.checking.dishonest import DISHONEST, Lie
from tests.copilot.brain.checking.honest import HONEST, RESULTS, Case


def facts_of(case: Case | Lie) -> Facts:
    message = case.message if isinstance(case, Case) else ""
    return facts_from(RESULTS[case.results], [message] if message else [], case.language)


def caught_by(lie: Lie) -> str:
    """Return the reason why a text was caught, or an empty string."""
    try:
        check_text(lie.text, facts_of(lie), lie.language)
    except Caught as caught:
        return caught.reason_code
    return ""


@pytest.mark.parametrize("case", HONEST, ids=[f"{i}-{case.results}-{case.language}" for i, case in enumerate(HONEST)])
def test_honest_text_stands(case: Case) -> None:
    assert check_text(case.text, facts_of(case), case.language) == case.text


def test_every_dishonest_text_is_caught_by_a_check_that_fits() -> None:
    passed = [(lie.results, lie.text) for lie in DISHONEST if caught_by(lie) not in lie.reasons]
    assert passed == []


def test_tables_are_large_enough_to_mean_something() -> None:
    assert len({lie.text for lie in DISHONEST}) >= 600
    for language in LANGUAGES:
        assert sum(case.language == language for case in HONEST) >= 45


def test_a_lie_inside_an_honest_text_is_caught() -> None:
    case = HONEST[0]
    for lie in DISHONEST:
        if (lie.results, lie.language) == (case.results, case.language) and lie.reasons not in (
            ("language",),
            ("empty",),
        ):
            with pytest.raises(Caught):
                check_text(f"{case.text}\n{lie.text}\n{case.text}", facts_of(case), case.language)
