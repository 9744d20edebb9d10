"""The checked stream: a model's text goes in by pieces, and comes out part by part as far as it may stand."""

from __future__ import annotations

import re
import unicodedata

from copilot.brain.checking.caught import Caught
from copilot.brain.checking.claims import ClaimCheck
from copilot.brain.checking.directions import DirectionCheck
from copilot.brain.checking.facts import Facts
from copilot.brain.checking.figures import strip_marks
from copilot.brain.checking.form import check_form
from copilot.brain.checking.loops import LoopCheck
from copilot.brain.checking.numbers import NumberCheck
from copilot.brain.checking.parts import ends_sentence, next_cut
from copilot.brain.checking.promises import InterfaceCheck, check_certainty
from copilot.brain.checking.sentences import read_sentence
from copilot.brain.checking.tongue import LanguageCheck
from copilot.brain.checking.words import Language

MAX_LENGTH = 2500
"""Characters of an answer; prompts ask for at most 160 words, tables may add to that."""
_CONTEXT = 320
"""Characters of a sentence that later parts of it are read with."""
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


class CheckedStream:
    """Checks one answer while it streams.

    Text is released in parts (a sentence, a clause, a line) after all checks have passed on the part, so a number is
    never shown before it is checked. Whatever pieces the same text arrives in, the outcome is the same.

    Args:
        facts: What the answer may say.
        language: Of the answer.
        prompt: The system prompt's text; repeating it is caught.
        max_length: Characters allowed.
    """

    def __init__(self, facts: Facts, language: Language, *, prompt: str = "", max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._numbers = NumberCheck(facts)
        self._claims = ClaimCheck(facts)
        self._directions = DirectionCheck(facts)
        self._interface = InterfaceCheck(facts)
        self._loops = LoopCheck(prompt)
        self._tongue = LanguageCheck(language)
        self._held, self._line, self._sentence = "", "", ""
        self._length, self._has_words = 0, False
        self._caught: Caught | None = None

    def feed(self, piece: str) -> str:
        """Take the next piece and return the text that may be shown now, possibly none.

        Raises:
            Caught: The text may not stand; nothing more comes out of this stream.
        """
        if self._caught is not None:
            raise self._caught
        self._held += piece
        released = []
        while (cut := next_cut(self._held)) is not None:
            part, self._held = self._held[:cut], self._held[cut:]
            released.append(self._checked(part))
        return "".join(released)

    def finish(self) -> str:
        """Check what is still held and the text as a whole; return the rest.

        Raises:
            Caught: The text may not stand.
        """
        if self._caught is not None:
            raise self._caught
        part, self._held = self._held, ""
        rest = self._checked(part) if part else ""
        if not self._has_words:
            raise Caught("empty", "")
        self._tongue.finish()
        return rest

    def _checked(self, part: str) -> str:
        try:
            self._check(part)
        except Caught as caught:
            self._caught = caught
            raise
        return part

    def _check(self, part: str) -> None:
        self._length += len(part)
        if self._length > self._max_length:
            raise Caught("too_long", part)
        check_form(part)
        plain = strip_marks(unicodedata.normalize("NFC", part))
        if _LETTER_OR_DIGIT.search(plain):
            self._has_words = True
            self._numbers.check(plain, self._line, at_line_start=not self._line)
            self._check_sentence(plain)
        self._line = "" if part.endswith("\n") else self._line + plain
        self._sentence = "" if ends_sentence(part) else _shortened(self._sentence + plain)

    def _check_sentence(self, plain: str) -> None:
        sentence = read_sentence(self._sentence, plain)
        self._interface.check(sentence)
        self._claims.check(sentence)
        self._directions.check(sentence, plain)
        check_certainty(sentence)
        self._loops.check(sentence)
        self._tongue.check(sentence)


def _shortened(sentence: str) -> str:
    """Return the end of an overlong sentence, marked as not its beginning."""
    return sentence if len(sentence) <= _CONTEXT else "…" + sentence[-_CONTEXT:]


def check_text(text: str, facts: Facts, language: Language, *, prompt: str = "", max_length: int = MAX_LENGTH) -> str:
    """Return a whole text that may stand.

    Raises:
        Caught: It may not.
    """
    stream = CheckedStream(facts, language, prompt=prompt, max_length=max_length)
    return stream.feed(text) + stream.finish()
