"""What a person takes back as a whole ("buy 3 bnb, actually forget it"), and corrections that nobody can be sure of."""

from __future__ import annotations

from collections.abc import Sequence

from copilot.offline.lexicon import word_set
from copilot.offline.tokens import Token

_MARKS = frozenset({",", ";", ".", "...", "…", "—", "-", "!"})
_LONGEST = 4


def takes_all_back(tokens: Sequence[Token]) -> bool:
    """Tell whether a message ends by taking back what it asked for, alone behind a mark, or with "just kidding"."""
    said = [token.text for token in tokens]
    while said and said[-1] in _MARKS:
        said.pop()
    if len(said) > 1 and (said[-1] in word_set("jokes") or " ".join(said[-2:]) in word_set("jokes")):
        return True
    parts: list[list[str]] = [[]]
    for word in said:
        if word in _MARKS:
            parts.append([])
        else:
            parts[-1].append(word)
    ends = [part for part in parts if part]
    taken = 0
    while len(ends) > 1 and _is_retraction(ends[-1]):
        ends.pop()
        taken += 1
    return taken > 0


def _is_retraction(words: Sequence[str]) -> bool:
    known = word_set("retractions")
    softeners = word_set("softeners")
    meant = [word for word in words if word not in softeners]
    whole = " ".join(words) in known
    return whole or (0 < len(meant) <= _LONGEST and " ".join(meant) in known)


def is_corrected_unclearly(tokens: Sequence[Token]) -> bool:
    """Tell whether a correcting word stands between two things to trade and was not resolved."""
    named = [index for index, token in enumerate(tokens) if token.get("sym")]
    marks = [index for index, token in enumerate(tokens) if token.has("correct")]
    return any(named[0] < mark < named[-1] for mark in marks) if len(named) > 1 else False
