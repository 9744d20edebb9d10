"""Where a streamed text may be cut, so that a part can be judged and shown.

A cut depends on the text alone, never on how it arrived: it follows a sentence's or a line's end, a clause's end once
the part is long enough, and in a part without either a space that tears no number apart.
"""

from __future__ import annotations

import re

LONGEST = 160
"""Characters that are held back at most, where the text offers a space to cut at."""
_CLAUSE = 40
"""Shorter clauses are held back until the sentence ends."""
_BOUND = re.compile(r"[.!?…][.!?…\"”’»)*_]*(?=\s)|[,;:—–][\"”’»)*_]*(?=\s)|\n")
_LIST_NUMBER = re.compile(r"\s*[-•#*]*\s*\d{1,2}[.)]\**$")
_SPACE = re.compile(r"(?<![\d\s%$€£+-])\s+(?![\s\d%$€£+-])")


def next_cut(text: str) -> int | None:
    """Return where the first part of a text ends; None while that is undecided.

    >>> next_cut("It rose. Then"), next_cut("It rose 1."), next_cut("It rose 1.5")
    (8, None, None)
    """
    for match in _BOUND.finditer(text):
        if match.end() > LONGEST:
            break
        if match[0] == "\n" or match[0][0] not in ",;:—–" or match.end() >= _CLAUSE:
            if match[0] != "\n" and _LIST_NUMBER.match(text, 0, match.end()):
                continue
            return match.end()
    return None if len(text) <= LONGEST + 1 else _forced(text[: LONGEST + 1])


def _forced(text: str) -> int:
    spaces = [match.start() for match in _SPACE.finditer(text) if match.start() > 0]
    return spaces[-1] if spaces else LONGEST


def ends_sentence(part: str) -> bool:
    """Tell whether a part closes its sentence, so that the next one begins afresh."""
    return part.endswith("\n") or part.rstrip('"”’»)*_ ').endswith((".", "!", "?", "…"))
