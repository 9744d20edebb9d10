"""Missing data is told in the person's language, with its figures: every code raised has words that use its values."""

from __future__ import annotations

import ast
from string import Formatter

import pytest

from copilot.wording import render_error
from engine.domain.errors import DataUnavailable
from prompts import LANGUAGES, load_words
from tests.parts import REPOSITORY


def raised() -> dict[str, set[str]]:
    """Return every code that a `DataUnavailable` is raised with, and the values that come with it."""
    found: dict[str, set[str]] = {}
    for room in ("engine", "agents", "tools", "copilot"):
        for path in (REPOSITORY / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DataUnavailable":
                    values = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                    code = values.pop("code", None)
                    if isinstance(code, ast.Constant):
                        found[str(code.value)] = set(values)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_words_for_its_values(language: str) -> None:
    words = load_words(language, "messages")["errors"]
    codes = raised()
    assert len(codes) >= 8
    for code, values in codes.items():
        assert {name for _, name, _, _ in Formatter().parse(words[code]) if name} <= values


def test_spanish_hears_no_english() -> None:
    error = DataUnavailable(
        "BTC/USDT has 3 closed 1w bars; 60 are needed",
        code="too_few_bars",
        symbol="BTC/USDT",
        timeframe="1w",
        count=3,
        needed=60,
    )
    assert render_error(error, "es") == "BTC/USDT tiene 3 velas cerradas de 1w; hacen falta 60."
