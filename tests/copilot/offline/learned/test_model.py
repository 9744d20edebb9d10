from __future__ import annotations

import json
import statistics
import time
from importlib.resources import files

import numpy as np
import pytest

from copilot.offline.combined import decide
from copilot.offline.learned import judge_message, load_model
from copilot.offline.learned.features import BUCKETS
from copilot.offline.learned.labels import HEADS, TOOL
from copilot.offline.learned.model import ASK, PLAIN, SEVERAL, WEIGHTS
from copilot.offline.tokens import tokenize
from tests.copilot.offline.corpus import read_lines
from tools.schema import ARGUMENTS

_LARGEST_BYTES = 1_500_000
_MAX_LOAD_MS, _MAX_JUDGE_MS, _MAX_DECIDE_MS = 50, 0.5, 1.5
_FOLDER = files("copilot.offline.learned")


def _median_ms(times: list[float]) -> float:
    return statistics.median(times) * 1000


def test_stored_weights_cover_every_tool_and_argument_head() -> None:
    model = load_model()
    assert tuple(model.heads) == HEADS
    assert set(model.heads[TOOL].classes) == {*ARGUMENTS, PLAIN, ASK, SEVERAL}
    assert model.weights.shape == (BUCKETS, sum(len(head.classes) for head in model.heads.values()))
    assert model.weights.dtype == np.int8


def test_file_is_small_and_loads_fast() -> None:
    with _FOLDER.joinpath(WEIGHTS).open("rb") as stored:
        assert len(stored.read()) < _LARGEST_BYTES
    times = []
    for _ in range(5):
        load_model.cache_clear()
        started = time.perf_counter()
        load_model()
        times.append(time.perf_counter() - started)
    assert min(times) * 1000 < _MAX_LOAD_MS


@pytest.mark.parametrize("head", HEADS)
def test_shares_are_probabilities(head: str) -> None:
    judgement = judge_message(tokenize("avisame si el oro pasa de 2.400", "es"))
    opinion = judgement.of(head)
    assert sum(opinion.shares.values()) == pytest.approx(1)
    assert opinion.probability == max(opinion.shares.values()) == opinion.of(opinion.name)


def test_unknown_class_has_no_share() -> None:
    assert judge_message(tokenize("hello", "en")).of(TOOL).of("fly_to_the_moon") == 0


@pytest.mark.parametrize(
    ("text", "language", "tool"),
    [
        ("how much am I up this week", "en", "check_portfolio"),
        ("what does the model think of gold", "en", "get_signal"),
        ("¿cuánto voy ganando este mes?", "es", "check_portfolio"),
        ("despierta a nova", "es", "control_agent"),
    ],
)
def test_plain_requests_are_named(text: str, language: str, tool: str) -> None:
    assert judge_message(tokenize(text, "es" if language == "es" else "en")).of(TOOL).name == tool


@pytest.mark.benchmark
def test_judging_and_deciding_are_fast() -> None:
    lines = read_lines("*/dev_11.jsonl")[::8]
    judging, deciding = [], []
    for line in lines:
        tokens = tokenize(line["text"], line["lang"])
        started = time.perf_counter()
        judge_message(tokens)
        judging.append(time.perf_counter() - started)
        started = time.perf_counter()
        decide(line["text"])
        deciding.append(time.perf_counter() - started)
    assert _median_ms(judging) < _MAX_JUDGE_MS
    assert _median_ms(deciding) < _MAX_DECIDE_MS


def test_manifest_shows_what_was_read_and_how_well_unseen_writers_are_named() -> None:
    manifest = json.loads(_FOLDER.joinpath("manifest.json").read_text("utf-8"))
    assert not any("heldout" in name for name in manifest["files"])
    assert len(manifest["data_sha256"]) == 64
    left_out = manifest["left_out"]
    assert left_out["by_classifier"]["tool"] >= 0.84
    assert left_out["by_classifier"]["side"] >= 0.94
    assert left_out["by_classifier"]["size"] >= 0.92
    assert left_out["by_classifier"]["view"] >= 0.92
    assert min(left_out["tool_by_language"].values()) >= 0.83
