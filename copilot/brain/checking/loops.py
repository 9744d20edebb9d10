"""Texts that go round in circles, and texts that recite the instructions they were given."""

from __future__ import annotations

import re
from collections import Counter, deque
from functools import lru_cache

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.sentences import Sentence
from copilot.brain.checking.words import fold

RECITED = 12
"""Words in a row that are no coincidence."""
_RUN, _PHRASE, _TIMES, _LINE_TIMES = 4, 6, 4, 3
_WORD = re.compile(r"\w+")
_SAME_CHARACTER = re.compile(r"([^\s\-=.])\1{7,}|([-=.])\2{39,}")


@lru_cache(maxsize=8)
def _recitals(prompt: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(fold(prompt))
    return frozenset(tuple(words[at : at + RECITED]) for at in range(len(words) - RECITED + 1))


class LoopCheck:
    """Remembers the words of one text."""

    def __init__(self, prompt: str) -> None:
        self._recitals = _recitals(prompt)
        self._last: deque[str] = deque(maxlen=RECITED)
        self._phrases: Counter[tuple[str, ...]] = Counter()
        self._parts: Counter[str] = Counter()
        self._run = 0

    def check(self, sentence: Sentence) -> None:
        """Check the new part of a sentence.

        Raises:
            Caught: It repeats itself or the prompt.
        """
        part = sentence.folded[sentence.new :]
        if _SAME_CHARACTER.search(part):
            raise Caught("repetition", part)
        words = _WORD.findall(part)
        for word in words:
            self._take(word, part)
        if len(words) >= 3:
            key = " ".join(words)
            self._parts[key] += 1
            if self._parts[key] >= _LINE_TIMES:
                raise Caught("repetition", part)

    def _take(self, word: str, part: str) -> None:
        self._run = self._run + 1 if self._last and self._last[-1] == word else 1
        self._last.append(word)
        if self._run >= _RUN and not word.isdigit():
            raise Caught("repetition", part)
        if self._recitals and len(self._last) == RECITED and tuple(self._last) in self._recitals:
            raise Caught("prompt_leak", part)
        if len(self._last) >= _PHRASE:
            phrase = tuple(self._last)[-_PHRASE:]
            self._phrases[phrase] += 1
            if self._phrases[phrase] >= _TIMES:
                raise Caught("repetition", part)
