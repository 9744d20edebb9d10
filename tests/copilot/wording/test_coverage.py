"""Every code that the lower rooms can emit has words in both languages, with values for each placeholder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

import numpy as np
import pytest

from copilot.offline import CONCEPTS, QUESTIONS, TALK
from copilot.wording import render_answer, render_ticket
from engine.domain.market import Bars
from engine.domain.signals import Direction, Phase, PhaseEvidence, SignalDriver
from engine.features import indicators
from engine.features.definitions import FEATURE_NAMES
from prompts import load_words
from tests.copilot.wording.samples import (
    alert,
    chart,
    empty_portfolio,
    filled,
    limits,
    order,
    portfolio,
    profile,
    signal,
    sizing,
    terms,
    ticket,
    trade_signal,
)
from tools.chart import describe
from tools.results import (
    AlertList,
    OrdersCancelled,
    SizingView,
    TicketRefused,
    TicketState,
    ToolResult,
    Unavailable,
)
from tools.schema import ARGUMENTS, CheckPortfolio, Indicator, Period, SetAlert

REPOSITORY = Path(__file__).resolve().parents[3]
Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")


@cache
def calls_in(folder: str) -> dict[str, list[ast.Call]]:
    """Return the calls in a folder's files by the name of what is called."""
    found: dict[str, list[ast.Call]] = {}
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found.setdefault(getattr(node.func, "id", getattr(node.func, "attr", "")), []).append(node)
    return found


def calls(name: str, *folders: str) -> Iterator[ast.Call]:
    for folder in folders:
        yield from calls_in(folder).get(name, ())


def literals(node: ast.AST) -> set[str]:
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def requests() -> dict[str, list[set[str]]]:
    """Return each code of `InvalidRequest` with the values that each place gives it."""
    found: dict[str, list[set[str]]] = {}
    for call in calls("InvalidRequest", "engine", "agents", "tools", "copilot"):
        for code in literals(call.args[0]) if call.args else ():
            found.setdefault(code, []).append({word.arg for word in call.keywords if word.arg})
    return found


def decided_codes() -> set[str]:
    return refusals() | {code for call in calls("Decided", "tools") for code in literals(call) if "_" in code}


def refusals() -> set[str]:
    """Return what the one function can say that tells why a decision cannot stand."""
    tree = ast.parse((REPOSITORY / "tools" / "asked_rows.py").read_text("utf-8"))
    (function,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == "refusal")
    answers = [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None]
    return {code for answer in answers for code in literals(answer)}


def reasons() -> set[str]:
    """Return each code with which an order can be denied, refused or closed."""
    found = set()
    for call in calls("OrderRejected", "agents", "engine"):
        found |= literals(call)
    for call in calls("_close", "agents"):
        found |= literals(call)
    for call in calls("NothingToClose", "tools"):
        found |= literals(call.args[0])
    for folder in ("agents/risk", "engine/sim"):
        for call in calls("append", folder):
            found |= literals(call)
    return found | limit_names()


def limit_names() -> set[str]:
    return {
        call.args[0].value
        for name in ("LimitCheck", "_limit", "_ratio_check")
        for call in calls(name, "agents/risk")
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_search_finds_what_it_looks_for() -> None:
    assert {"bad_number", "unknown_instrument", "message_too_long"} <= requests().keys()
    assert {"no_quote", "lot", "cash", "interrupted", "nothing_to_close", "symbol"} <= reasons()
    assert {"position", "cash", "short", "daily_loss", "order_rate"} <= limit_names()
    assert {"ticket_not_found", "ticket_changed", "ticket_damaged"} <= decided_codes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_words_and_values_for_them(language: Language) -> None:
    words = load_words(language, "messages")["errors"]
    assert not (requests().keys() | decided_codes()) - words.keys()
    for code, places in requests().items():
        for given in places:
            assert fields(words[code]) <= given | {"code"}, code


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_words(language: Language) -> None:
    words = load_words(language, "messages")["reasons"]
    assert not reasons() - words.keys()
    assert not {code for code, text in words.items() if not fields(text) <= {"symbol", "code"}}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_has_words(language: Language) -> None:
    assert not QUESTIONS - load_words(language, "questions").keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_concept_that_is_recognised_is_explained(language: Language) -> None:
    assert not set(CONCEPTS) - load_words(language, "talk")["concepts"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_talk_has_words(language: Language) -> None:
    words = load_words(language, "talk")
    assert all(isinstance(words[kind], str) for kind in TALK if not kind.startswith("concept:"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_limit_has_a_name(language: Language) -> None:
    assert not limit_names() - load_words(language, "answers")["limits"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_tool_that_is_not_built_says_so(language: Language) -> None:
    codes = {"no_data", "venue_unavailable"}
    assert not codes - load_words(language, "messages")["errors"].keys()
    for tool in ARGUMENTS:
        for code in codes:
            assert render_answer([Unavailable(tool=tool, code=code, params={"detail": "x"})], language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_input_of_the_model_is_told_in_plain_words(language: Language) -> None:
    assert FEATURE_NAMES
    for name in FEATURE_NAMES:
        text = render_answer([signal(drivers=(SignalDriver(name, 1.0, 0.5),))], language)
        assert "`" not in text, name
        assert "{" not in text, name


def test_input_without_words_keeps_its_name_as_code() -> None:
    assert "`brand_new_7`" in render_answer([signal(drivers=(SignalDriver("brand_new_7", 1.0, 0.5),))], "es")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("phase", Phase)
def test_every_phase(phase: Phase, language: Language) -> None:
    evidence = PhaseEvidence(phase, 0.5, None, None, None, None)
    assert load_words(language, "answers")["phase"][phase.value] in render_answer([signal(phase=evidence)], language)


REASONS = ("no_edge", "stale", "phase", "range", "drift")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_for_no_trade_reads_differently(reason: str, language: Language) -> None:
    texts = {each: render_answer([signal(reason=each)], language) for each in REASONS}
    assert len(set(texts.values())) == len(REASONS)
    first = {"en": "**No trade.**", "es": "**Sin operación.**"}[language]
    assert first in texts[reason]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("direction", [Direction.LONG, Direction.SHORT])
def test_trade_shows_its_probability_beside_break_even(direction: Direction, language: Language) -> None:
    text = render_answer([trade_signal(direction)], language)
    for number in ("48.7", "43.1"):
        assert (number if language == "en" else number.replace(".", ",")) in text


def test_thin_margin_is_not_told_as_a_missing_one() -> None:
    text = render_answer([signal(probability=0.44)], "en")
    assert "margin is too small" in text
    assert "it takes 43.1% to break even" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_pattern_that_can_be_found_has_a_name(language: Language) -> None:
    codes = {code for pair in indicators._PATTERNS.values() for code in pair}
    assert codes
    assert not codes - load_words(language, "answers")["patterns"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_of_a_chart_has_a_name(language: Language) -> None:
    rows = 120
    close = 100 + np.sin(np.arange(rows) / 5)
    bars = Bars("XAUUSD", "1h", np.arange(rows) * 3600, close, close + 1, close - 1, close + 0.1, np.ones(rows))
    result = describe(bars, get_args(Indicator), market="simulated", is_simulated=True)
    assert len(result.readings) >= 10
    assert not result.readings.keys() - load_words(language, "answers")["lines"].keys()
    assert render_answer([result], language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_of_a_chart(language: Language) -> None:
    for name, values in {
        "trend": ("up", "down", "sideways"),
        "momentum": ("rising", "falling", "flat"),
        "volatility": ("low", "normal", "high"),
    }.items():
        texts = {render_answer([chart(**{name: value})], language) for value in values}
        assert len(texts) == len(values)
    assert render_answer([chart(supports=(), resistances=(), patterns=(), readings={})], language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", get_args(CheckPortfolio.model_fields["view"].annotation))
def test_every_view_with_every_period(view: str, language: Language) -> None:
    for period in (None, *get_args(Period)):
        for result in (portfolio(view, period), empty_portfolio(view, period)):
            text = render_answer([result], language)
            assert "{" not in text
            for line in text.splitlines():
                assert not line.startswith("|") or line.endswith("|")


@pytest.mark.parametrize("language", LANGUAGES)
def test_rows_of_a_table_have_as_many_columns_as_its_head(language: Language) -> None:
    for view in ("summary", "positions", "orders", "trades", "pnl", "risk"):
        blocks = render_answer([portfolio(view)], language).split("\n\n")
        tables = [block for block in blocks if block.startswith("|")]
        assert tables
        for table in tables:
            assert len({line.count("|") for line in table.splitlines()}) == 1, table


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", get_args(TicketState))
def test_every_state_of_a_ticket(state: TicketState, language: Language) -> None:
    text = render_answer([ticket(state)], language)
    assert "{" not in text
    assert "secret-nonce" not in text
    assert "secret-nonce" not in render_ticket(ticket(state), language)


@pytest.mark.parametrize(
    ("side", "price", "words"),
    [
        ("buy", "60006.100", "0.010% worse"),
        ("buy", "59994.10", "0.010% better"),
        ("sell", "60006.10", "0.010% better"),
        ("sell", "59994.10", "0.010% worse"),
        ("sell", "60000.10", "Exactly the price"),
    ],
)
def test_slippage_is_worse_for_a_dearer_buy_and_a_cheaper_sale(
    side: Literal["buy", "sell"], price: str, words: str
) -> None:
    done = ticket("executed", terms=terms(side=side), fill=filled(average_price=Decimal(price)))
    assert words in render_answer([done], "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", ["pending", "rejected", "expired", "replaced", "unsent", "failed"])
def test_ticket_that_was_not_sent_never_sounds_done(state: TicketState, language: Language) -> None:
    text = render_answer([ticket(state)], language)
    assert {"en": "Done:", "es": "Hecho:"}[language] not in text
    assert "21" not in text, "the venue's order id belongs to what was sent"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("order_type", ["market", "limit", "stop"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_card_tells_the_exact_terms(side: str, order_type: str, language: Language) -> None:
    price = None if order_type == "market" else Decimal("59500.10")
    card = render_ticket(
        ticket(terms=terms(side=side, order_type=order_type, price=price, take_profit=Decimal("61000.00"))), language
    )
    numbers = ["0.05", "58,800.10", "61,000.00", "$96,996.99", "$3,005.10"]
    numbers += [] if price is None else ["59,500.10"]
    if language == "es":
        swap = str.maketrans(",.", ".,")
        numbers = [f"{n[1:]} $".translate(swap) if n.startswith("$") else n.translate(swap) for n in numbers]
    assert not [number for number in numbers if number not in card]
    assert "`" not in card
    assert "**" not in card


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("source", get_args(SizingView.model_fields["stop_from"].annotation))
def test_every_origin_of_a_size(source: str, language: Language) -> None:
    for bound in (None, "position", "exposure", "order_notional", "cash"):
        result = ticket(terms=terms(sizing=sizing(stop_from=source, bounded_by=bound)))
        assert "0.4125" in render_answer([result], "en")
        assert "{" not in render_answer([result], language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("condition", get_args(SetAlert.model_fields["condition"].annotation))
def test_every_condition_of_an_alert(condition: str, language: Language) -> None:
    value = None if condition == "signal_change" else "30"
    text = render_answer([AlertList(symbol=None, alerts=(alert(condition, value),))], language)
    assert "…" not in text
    assert "BTC/USDT" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_order_that_filled_first_is_not_called_cancelled(language: Language) -> None:
    text = render_answer([OrdersCancelled(orders=(order(status="filled"),))], language)
    assert text.startswith({"en": "Not cancelled", "es": "No cancelada"}[language])


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_to_cancel(language: Language) -> None:
    assert render_answer([OrdersCancelled(orders=())], language) == load_words(language, "answers")["cancelled"]["none"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_refusal_shows_only_the_limits_that_refuse(language: Language) -> None:
    refused: ToolResult = TicketRefused(symbol="BTC/USDT", side="buy", reasons=("cash",), limits=limits(is_ok=False))
    names: dict[str, Any] = load_words(language, "answers")["limits"]
    text = render_answer([refused], language)
    assert names["cash"] in text
    assert names["positions"] not in text


def test_name_from_outside_is_made_harmless() -> None:
    text = render_answer([profile(name="[x](http://evil)")], "en")
    assert "\\[x\\](" in text


def test_results_are_told_in_order() -> None:
    text = render_answer([profile(), OrdersCancelled(orders=())], "en")
    assert text.index("Saved") < text.index("nothing to cancel")


@pytest.mark.parametrize("language", LANGUAGES)
def test_doctor_has_words_and_values_for_every_part(language: Language) -> None:
    words = load_words(language, "messages")["doctor"]
    assert words["parts"].keys() == {"chat_model", "memory", "database", "market", "models", "device", "exchange"}
    assert words["states"].keys() == {"in_use", "simulated", "missing"}
    assert fields(words["adds"]) == {"command"}
    parts = list(calls("Part", "copilot"))
    assert parts
    for part in parts:
        name, state, detail = (next(iter(literals(argument))) for argument in part.args[:3])
        given = {key for argument in part.args[3:4] if isinstance(argument, ast.Dict) for key in _keys(argument)}
        assert name in words["parts"]
        assert state in words["states"]
        assert fields(words["details"][detail]) == given, detail


def _keys(values: ast.Dict) -> set[str]:
    return {key.value for key in values.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
