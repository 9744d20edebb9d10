from __future__ import annotations

import pytest

from copilot.evaluation import score
from copilot.offline.routing import route
from tests.copilot.offline.corpus import SAMPLE, read_lines, read_sample

_MAX_P50_MS = 2


@pytest.mark.parametrize("language", ["en", "es"])
def test_tuning_lines(language: str) -> None:
    report = score(read_lines(f"{language}/dev_*.jsonl"), route)
    assert report.exact_accuracy >= 0.92
    assert report.tool_accuracy >= 0.93
    assert report.wrong_trades == 0
    assert report.p50_ms < _MAX_P50_MS


@pytest.mark.parametrize("language", ["en", "es"])
def test_unseen_lines(language: str) -> None:
    report = score(read_lines(f"{language}/heldout.jsonl"), route)
    assert report.exact_accuracy >= 0.74
    assert report.wrong_trades <= 5


def test_hostile_lines_are_safe() -> None:
    lines = read_lines("*/hostile_dev.jsonl")
    report = score(lines, route)
    assert report.wrong_trades == 0
    assert report.exact_accuracy >= 0.97


def test_sample() -> None:
    if not SAMPLE.exists():
        pytest.skip(f"the evaluation sample is not beside the repository ({SAMPLE.name})")
    report = score(read_sample(), route)
    assert report.exact_accuracy >= 0.95
    assert report.wrong_trades == 0
