"""Whether a text is in the answer's language, by a vote of the small words that only one language has.

Two languages are spoken here; the small words of a few others count against both.
"""

from __future__ import annotations

from functools import cache

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.sentences import WORD, Sentence
from copilot.brain.checking.words import Language, load_list

_CLEAR = 3
"""Small words of the other language that decide a part without any of its own."""


@cache
def _small_words(language: Language) -> frozenset[str]:
    return frozenset(load_list(f"words_{language}")["stop_words"])


class LanguageCheck:
    """Counts the votes of one text."""

    def __init__(self, language: Language) -> None:
        other: Language = "es" if language == "en" else "en"
        own_words, other_words = _small_words(language), _small_words(other)
        foreign = frozenset(load_list("words_en")["foreign_words"]) - own_words
        self._own_words, self._other_words = own_words - other_words, (other_words - own_words) | foreign
        self._own = self._other = 0

    def check(self, sentence: Sentence) -> None:
        """Count the new part of a sentence.

        Raises:
            Caught: The part is clearly in the other language.
        """
        words = WORD.findall(sentence.folded, sentence.new)
        own = sum(word in self._own_words for word in words)
        other = sum(word in self._other_words for word in words)
        self._own, self._other = self._own + own, self._other + other
        if other >= _CLEAR and other > 2 * own:
            raise Caught("language", sentence.text)

    def finish(self) -> None:
        """Judge the text as a whole.

        Raises:
            Caught: Most of its small words are the other language's.
        """
        if self._other > self._own and self._other >= 2:
            raise Caught("language", f"{self._other} words against {self._own}")
