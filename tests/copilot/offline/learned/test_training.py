from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from copilot.offline.learned import judge_message
from copilot.offline.learned.labels import SIDE, SIZE, TOOL, labels_of
from copilot.offline.learned.training import (
    Example,
    corpus_files,
    corpus_hash,
    cross_validate,
    fit,
    main,
    read_examples,
    temperatures_of,
)
from copilot.offline.tokens import tokenize
from tests.copilot.offline.corpus import ROOT

_CORPUS = ROOT / "tests" / "corpus"
_EVERY = 8


def _call(tool: str, **args: object) -> dict[str, object]:
    return {"calls": [{"tool": tool, "args": args}]}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"calls": []}, "plain"),
        ({"ask": True}, "ask"),
        (_call("list_alerts"), "list_alerts"),
        ({"calls": [{"tool": "list_alerts", "args": {}}] * 2}, "several"),
    ],
)
def test_tool_labels(answer: dict[str, object], label: str) -> None:
    assert labels_of([answer])[TOOL] == (label,)


def test_terms_of_a_trade_and_of_its_other_readings() -> None:
    answers = [_call("execute_trade", side="close"), _call("execute_trade", side="sell", amount=100, unit="percent")]
    assert labels_of(answers)[SIDE] == ("close", "sell")
    assert labels_of(answers)[SIZE] == ("none", "percent")


def test_only_tuning_files_are_read(tmp_path: Path) -> None:
    for name in ("dev_01", "heldout", "heldout_3", "hostile_dev", "hostile_heldout_3"):
        path = tmp_path / "en" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        line: dict[str, object] = {"id": name, "lang": "en", "text": "hello", "history": [], "expect": {"calls": []}}
        path.write_text(json.dumps(line) + "\n", "utf-8")
    assert [path.stem for path in corpus_files(tmp_path)] == ["dev_01", "hostile_dev"]
    assert {example.writer for example in read_examples(tmp_path)} == {"dev_01", "hostile_dev"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """An eighth of the corpus: enough to learn the plainest words."""
    folder = tmp_path_factory.mktemp("corpus")
    for path in corpus_files(_CORPUS):
        lines = path.read_text("utf-8").splitlines()[::_EVERY]
        copy = folder / path.parent.name / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_text("\n".join(lines) + "\n", "utf-8")
    return read_examples(folder)


def test_same_lines_give_the_same_weights_and_learn_them(examples: list[Example]) -> None:
    first, second = fit(examples), fit(examples)
    assert np.array_equal(first.weights, second.weights)
    assert np.array_equal(first.bias, second.bias)
    assert judge_message(tokenize("how much am I up this week", "en"), model=first).of(TOOL).name == "check_portfolio"


def test_a_left_out_writer_is_judged_by_a_fit_without_it(examples: list[Example]) -> None:
    guesses, models = cross_validate(examples, ["dev_10"])
    assert set(models) == {"dev_10"}
    assert {guess.example.writer for guess in guesses} == {"dev_10"}
    tools = [guess.is_right for guess in guesses if guess.head == TOOL]
    assert sum(tools) / len(tools) > 0.5
    assert all(0.4 <= value <= 4.0 for value in temperatures_of(guesses).values())


def test_check_tells_a_stale_fit_from_a_current_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "en").mkdir(parents=True)
    lines = corpus / "en" / "dev_01.jsonl"
    lines.write_text('{"text": "hello"}\n', "utf-8")
    (tmp_path / "manifest.json").write_text(json.dumps({"data_sha256": corpus_hash(corpus)}), "utf-8")
    assert main(["--check", str(corpus)], tmp_path) == 0
    lines.write_text('{"text": "hello again"}\n', "utf-8")
    assert main(["--check", str(corpus)], tmp_path) == 1
    assert "stale" in capsys.readouterr().out
