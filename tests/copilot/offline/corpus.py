"""Reads the utterance files for the tests; the sample beside the repository is optional."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT.parent / "shared" / "eval" / "sample.jsonl"


def read_lines(*patterns: str) -> list[dict[str, Any]]:
    """Return the records of the corpus files that match the patterns."""
    paths = sorted(path for pattern in patterns for path in (ROOT / "tests" / "corpus").glob(pattern))
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines() if line.strip()]


def read_sample() -> list[dict[str, Any]]:
    """Return the records of the sample."""
    return [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines() if line.strip()]
