"""The page: complete in itself, in two languages, safe; and the JSON beside it."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import numpy as np
import pytest

from engine.backtest import (
    REPORT_WORDS,
    AccountSettings,
    Evaluation,
    Listing,
    Run,
    evaluate,
    report_json,
    report_page,
    report_picture,
    run_decisions,
)
from engine.backtest.report import MAX_POINTS, thin
from engine.domain.instruments import build_instrument
from tests.engine.backtest.strategies import Bracket
from tests.engine.ml.bars import random_walk

SPANISH = {
    **{key: f"palabra {key}" for key in REPORT_WORDS},
    "language": "es",
    "title": "Prueba <b>",
    "decimal_mark": ",",
    "thousands_mark": ".",
    "equity": "</script><b>capital",
    "months": "ene feb mar abr may jun jul ago sep oct nov dic",
}
ENGLISH = {
    **{key: key.replace("_", " ") for key in REPORT_WORDS},
    "language": "en",
    "decimal_mark": ".",
    "thousands_mark": ",",
    "months": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
}


@pytest.fixture(scope="module")
def judged() -> tuple[Run, Evaluation]:
    listing = Listing(random_walk(9000, 2), build_instrument("BTC/USDT"), Decimal(1))
    decisions = Bracket(("BTC/USDT",)).decide_all(listing.bars)
    run = run_decisions(listing, decisions, AccountSettings())
    return run, evaluate(run, lambda listings, account: run_decisions(listings[0], decisions, account), draws=20)


def test_the_page_asks_nothing_of_a_network(judged: tuple[Run, Evaluation]) -> None:
    page = report_page(*judged, ENGLISH)
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert "Plotly.newPlot" in page
    assert page.count('class="chart"') == 3


def test_the_page_speaks_the_readers_language_and_escapes_its_words(judged: tuple[Run, Evaluation]) -> None:
    page = report_page(*judged, SPANISH)
    assert '<html lang="es">' in page
    assert "Prueba &lt;b&gt;" in page
    assert "</script><b>" not in page
    assert "10.000,00" in page
    assert "10,000.00" in report_page(*judged, ENGLISH)


def test_a_missing_word_is_named(judged: tuple[Run, Evaluation]) -> None:
    words = {key: value for key, value in ENGLISH.items() if key != "sharpe"}
    with pytest.raises(ValueError, match="sharpe"):
        report_page(*judged, words)


def test_the_monthly_table_has_every_month(judged: tuple[Run, Evaluation]) -> None:
    page = report_page(*judged, ENGLISH)
    for name in ENGLISH["months"].split():
        assert f"<th>{name}</th>" in page
    for year in {year for year, _, _ in judged[1].months}:
        assert f"<tr><td>{year}</td>" in page


def test_the_json_holds_exact_trades_and_no_nan(judged: tuple[Run, Evaluation]) -> None:
    run, evaluation = judged
    content = json.loads(report_json(run, evaluation), parse_constant=pytest.fail)
    assert content["cash"] == str(run.cash)
    assert len(content["trades"]) == len(run.trades)
    assert content["trades"][0]["entry_fee"] == str(run.trades.exact(0).entry_fee)
    assert content["evaluation"]["overfitting"] is None
    assert content["daily"]["equity"][-1] == pytest.approx(run.equity[-1])


def test_thinning_keeps_every_peak_and_trough() -> None:
    values = np.random.default_rng(1).standard_normal(1_000_003)
    values[777_777], values[123_456] = 50.0, -50.0
    rows = thin(values)
    assert len(rows) <= MAX_POINTS + 2
    assert {0, 123_456, 777_777, 1_000_002} <= set(rows.tolist())


def test_the_picture_is_a_png_of_the_curve(judged: tuple[Run, Evaluation]) -> None:
    picture = report_picture(judged[0], width=400, height=300)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(picture[16:20], "big") == 400
    assert int.from_bytes(picture[20:24], "big") == 300
