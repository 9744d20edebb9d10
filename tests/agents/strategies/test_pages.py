"""Each strategy has a page, and the page says what the code does: its parts, its parameters, its warm-up."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agents.profiles.parts import PARAMETERS
from agents.strategies import LONG_ONLY_STRATEGIES, STRATEGY_NAMES, build_strategy
from engine.domain.symbols import CRYPTO_SYMBOLS

PAGES = Path(__file__).parents[3] / "docs" / "strategies"
PARTS = ("**Idea.**", "**Source.**", "**Rules.**", "**Warm-up.**", "**When it fails.**")
SPOKEN = {"no": False, "yes": True}
ALL = pytest.mark.parametrize("name", STRATEGY_NAMES)


def told_parameters(page: str) -> dict[str, object]:
    """Return the usual figure of every parameter that a page's table names."""
    found: dict[str, object] = {}
    for names, figures in re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", page, re.MULTILINE):
        values = [figure.split(";")[0].strip() for figure in figures.split(", ")]
        for name, value in zip(re.findall(r"`(\w+)`", names), values, strict=True):
            found[name] = SPOKEN[value] if value in SPOKEN else float(value)
    return found


@ALL
def test_a_page_has_all_its_parts(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    assert [part for part in PARTS if part not in page] == []
    assert f"({name}.md)" in (PAGES / "README.md").read_text("utf-8")


@ALL
def test_a_page_names_every_parameter_with_its_usual_figure(name: str) -> None:
    parameters = PARAMETERS[name]()
    code = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    assert told_parameters((PAGES / f"{name}.md").read_text("utf-8")) == code


@ALL
def test_a_page_tells_the_warm_up_and_whether_it_sells_short(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    strategy = build_strategy(name, CRYPTO_SYMBOLS if name == "altcoin_rotation" else ("BTC/USDT",), "1h")
    (told,) = re.findall(r"\*\*Warm-up\.\*\* (\d[\d,]*)", page)
    assert int(told.replace(",", "")) == strategy.warmup
    assert ("never sells short" in page) == (name in LONG_ONLY_STRATEGIES)
