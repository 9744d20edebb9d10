"""What the learned model sees of a message: its words, their meanings and its letters, hashed.

Names and numbers become class marks first, so that "2 btc" and "40 sol" look alike and nothing is learned about one
instrument. The grammar's labels stand beside the words: an unknown word still counts by its neighbours and its letters,
a known one by what it means. How a message starts, whether it asks and how much it names are told as well. Letters
count less than words: they carry misspelt ones, but alone they mislead. Hashing is CRC-32, the same on every machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from copilot.offline.lexicon import fold
from copilot.offline.tokens import Token
from copilot.offline.values import Turn

BUCKETS = 1 << 16
LETTER_WEIGHT = 0.7
_NAMES = frozenset({"sym", "agent", "strat", "ind", "tf", "per", "cur", "lang", "days"})
_LETTERS = (3, 4)
_MAX_WORDS = 60
_EARLIER_WORDS = 12
_LENGTH_STEP, _LONGEST_STEP = 3, 6
_ROLES = 2
_COUNTED = ("sym", "agent", "unknown")
_MANY = 3


@dataclass(frozen=True, slots=True)
class Features:
    """Distinct hash buckets of one message, each sorted.

    Attributes:
        words: From words and meanings; each counts 1.
        letters: From pieces of words as written; each counts `LETTER_WEIGHT`.
    """

    words: NDArray[np.intp]
    letters: NDArray[np.intp]

    @property
    def norm(self) -> float:
        """Return the length of the feature vector, at least 1."""
        return max(1.0, float(np.sqrt(self.words.size + LETTER_WEIGHT**2 * self.letters.size)))


def features_of(tokens: Sequence[Token], history: Sequence[Turn] = ()) -> Features:
    """Return the hashed features of a message.

    Args:
        tokens: The tagged words of the message.
        history: Earlier turns; of them only the last words of the person and of the copilot count.
    """
    kept = tokens[:_MAX_WORDS]
    return Features(_hashed(_word_pieces(kept, history)), _hashed(_letter_pieces(kept)))


def _hashed(pieces: Iterable[str]) -> NDArray[np.intp]:
    buckets = sorted({crc32(piece.encode()) & (BUCKETS - 1) for piece in pieces})
    return np.array(buckets, dtype=np.intp)


def word_class(token: Token) -> str:
    """Return a token's word, or the mark of its class for names and numbers.

    >>> word_class(Token("btc", "BTC", frozenset({"sym:BTC/USDT"})))
    '@sym'
    """
    if token.is_number:
        return f"#{token.unit}" if token.value is not None else "#?"
    for label in sorted(token.labels):
        kind, colon, _ = label.partition(":")
        if colon and kind in _NAMES:
            return f"@{kind}"
    return "@id" if token.has("id") else token.text


def _word_pieces(tokens: Sequence[Token], history: Sequence[Turn]) -> Iterator[str]:
    words = [word_class(token) for token in tokens]
    padded = ["<", *words, ">"]
    yield from (f"w{word}" for word in words)
    yield from (f"b{first} {second}" for first, second in pairwise(padded))
    yield from (f"s{first} {second}" for first, second in zip(padded, padded[2:], strict=False))
    yield f"n{min(len(words) // _LENGTH_STEP, _LONGEST_STEP)}"
    yield from _shape_pieces(tokens)
    yield from _label_pieces(tokens)
    yield from _earlier_pieces(history)


def _shape_pieces(tokens: Sequence[Token]) -> Iterator[str]:
    """Return how a message starts, whether it asks, and how many names and numbers it holds."""
    if tokens:
        yield f"f{word_class(tokens[0])}"
        yield from (f"fl{label.partition(':')[0]}" for label in tokens[0].labels)
    yield "?" if any(token.text == "?" for token in tokens) else "."
    kinds = Counter(label.partition(":")[0] for token in tokens for label in token.labels)
    yield from (f"c{kind}{min(kinds[kind], _MANY)}" for kind in _COUNTED)
    yield f"cn{min(sum(token.is_number for token in tokens), _MANY)}"


def _label_pieces(tokens: Sequence[Token]) -> Iterator[str]:
    before = ["<"]
    for token in tokens:
        own = [label.partition(":")[0] for label in token.labels]
        for label in own:
            yield f"l{label}"
            yield from (f"m{earlier} {label}" for earlier in before)
        before = own or before


def _letter_pieces(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        text = f" {fold(token.raw)} "
        for width in _LETTERS:
            yield from (text[start : start + width] for start in range(len(text) - width + 1))


def _earlier_pieces(history: Sequence[Turn]) -> Iterator[str]:
    seen: set[str] = set()
    if history:
        yield "h"
    for turn in reversed(history):
        if len(seen) == _ROLES:
            return
        if turn.role not in seen:
            seen.add(turn.role)
            yield from (f"h{turn.role[0]}{word}" for word in fold(turn.text).split()[:_EARLIER_WORDS])


__all__ = ["BUCKETS", "LETTER_WEIGHT", "Features", "features_of", "word_class"]
