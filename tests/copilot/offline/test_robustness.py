from __future__ import annotations

import random

import pytest

from copilot.offline import parse
from tests.copilot.offline.corpus import read_lines

_MARKS = "0123456789.,%$€/-+ ½eEkKmM\n\"'#:?¿"


def _mutate(text: str, other: str, rng: random.Random) -> str:
    words = text.split()
    change = rng.randrange(5)
    if change == 0:
        rng.shuffle(words)
    elif change == 1:
        words = words[: rng.randrange(len(words) + 1)]
    elif change == 2:
        words.insert(rng.randrange(len(words) + 1), rng.choice(other.split() or [""]))
    elif change == 3:
        words += other.split()
    else:
        letters = list(text)
        for _ in range(min(3, len(letters))):
            letters[rng.randrange(len(letters))] = rng.choice(_MARKS)
        return "".join(letters)
    return " ".join(words)


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_messages_are_decided_and_never_raise(seed: int) -> None:
    rng = random.Random(seed)
    lines = rng.sample(read_lines("*/dev_*.jsonl"), 500)
    for first, second in zip(lines, reversed(lines), strict=True):
        decision = parse(_mutate(first["text"], second["text"], rng))
        assert sum([bool(decision.calls), decision.question is not None, decision.talk is not None]) == 1
