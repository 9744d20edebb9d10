from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copilot.evaluation import EvalReport, score


def report(expect: Mapping[str, Any], got: Mapping[str, Any], *also: Mapping[str, Any]) -> EvalReport:
    record = {"id": "1", "lang": "en", "text": "x", "expect": expect, "also": list(also)}
    return score([record], lambda text, history: got)


def calls(tool: str, **args: object) -> dict[str, Any]:
    return {"calls": [{"tool": tool, "args": args}], "ask": None}


def test_numbers_compare_as_numbers() -> None:
    assert (
        report(calls("execute_trade", amount=1.50), calls("execute_trade", amount=Decimal("1.5"))).exact_accuracy == 1
    )


def test_lists_compare_as_sets() -> None:
    got = calls("analyze_chart", indicators=("macd", "rsi"))
    assert report(calls("analyze_chart", indicators=["rsi", "macd"]), got).exact_accuracy == 1


def test_an_extra_argument_is_not_exact_but_the_right_tool() -> None:
    result = report(calls("get_signal", symbol="XAUUSD"), calls("get_signal", symbol="XAUUSD", timeframe="4h"))
    assert (result.tool_accuracy, result.exact_accuracy) == (1, 0)


def test_ask_needs_a_question_and_no_calls() -> None:
    assert report({"ask": True}, {"calls": [], "ask": "Which?"}).exact_accuracy == 1
    assert report({"ask": True}, {"calls": [], "ask": None}).exact_accuracy == 0
    assert report({"calls": []}, {"calls": [], "ask": "Which?"}).exact_accuracy == 0


def test_any_other_answer_counts() -> None:
    got = calls("get_signal", symbol="XAUUSD")
    assert report({"calls": []}, got, calls("get_signal", symbol="XAUUSD")).exact_accuracy == 1


def test_wrong_trades_are_counted() -> None:
    right = calls("execute_trade", symbol="BTC/USDT", side="buy", amount=1)
    assert report(right, calls("execute_trade", symbol="BTC/USDT", side="buy", amount=1)).wrong_trades == 0
    assert (
        report(right, calls("execute_trade", symbol="BTC/USDT", side="buy", amount=1, unit="quote")).wrong_trades == 1
    )
    assert report(right, calls("execute_trade", symbol="BTC/USDT", side="sell", amount=1)).wrong_trades == 1
    assert report({"calls": []}, right).wrong_trades == 1
    stop = calls("execute_trade", symbol="BTC/USDT", side="buy", amount=1, stop_loss=5)
    assert report(right, stop).wrong_trades == 0


def test_the_report_is_json_and_lines() -> None:
    result = report({"calls": []}, calls("get_signal", symbol="XAUUSD"))
    assert json.loads(json.dumps(result.as_dict()))["exact_accuracy"] == 0
    assert any("plain -> get_signal: 1" in line for line in result.lines())
    assert result.misses[0].text == "x"
